use core::fmt::{self, Write as _};

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

/// Verified claims do not have the shape of the type that was asked for.
///
/// Its text names the type, the claim by its path, what belongs there and of what kind the value is. It never has the
/// value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShapeError {
    type_name: &'static str,
    detail: String,
}

/// The most characters of a path in a message, and of one name in it.
const MAX_PATH: usize = 128;
const MAX_NAME: usize = 64;

/// The most characters of what a type expects: it names variants one by one.
const MAX_EXPECTED: usize = 256;

impl ShapeError {
    /// Why `claims` are not a `T`, which they were just found not to be. They are read once more, now with an eye on
    /// where: what is read well costs nothing.
    #[cold]
    pub(crate) fn of<T: DeserializeOwned>(claims: &str) -> Self {
        let mut reader = serde_json::Deserializer::from_str(claims);
        let read = serde_path_to_error::deserialize::<_, T>(&mut reader);
        let detail = match read {
            Err(error) => {
                let (fault, is_of_container) = fault(error.inner());
                format!("{}{fault}", Place { path: error.path(), is_of_container })
            }
            // Such as a type that reads by chance.
            Ok(_) => "read again, they are".to_owned(),
        };
        Self { type_name: core::any::type_name::<T>(), detail }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims are not a `{}`: {}", ShortName(self.type_name), self.detail)
    }
}

impl core::error::Error for ShapeError {}

/// Where it is: `` `address.zip`: ``. Nothing for the claims as a whole, and where serde does not say.
struct Place<'a> {
    path: &'a Path,
    /// It is said of the whole of which the last name is a part: one that the type does not have.
    is_of_container: bool,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_known = |segment: &&Segment| !matches!(segment, Segment::Unknown);
        let mut path = String::new();
        let length = self.path.iter().len().saturating_sub(usize::from(self.is_of_container));
        for segment in self.path.iter().take(length).take_while(is_known) {
            if path.len() > MAX_PATH {
                path.push('…');
                break;
            }
            match segment {
                Segment::Seq { index } => write!(path, "[{index}]")?,
                Segment::Map { key } => write!(path, "{}{}", dot(&path), Name(key))?,
                Segment::Enum { variant } => write!(path, "{}{}", dot(&path), Name(variant))?,
                Segment::Unknown => {}
            }
        }
        if path.is_empty() { Ok(()) } else { write!(f, "`{path}`: ") }
    }
}

fn dot(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "." }
}

/// The name of a claim or of a member. It comes from the token: nothing that moves a cursor or ends a quotation, no
/// `@`, so that no address of a person, and no more than a name is long.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/#$+".contains(&byte);
        let is_name = !self.0.is_empty() && self.0.len() <= MAX_NAME && self.0.bytes().all(is_fit);
        f.write_str(if is_name { self.0 } else { "*" })
    }
}

/// `Vec<Order>` for `alloc::vec::Vec<shop::Order>`.
struct ShortName(&'static str);

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_border =
            |character: char| !character.is_alphanumeric() && !"_:{}".contains(character);
        self.0
            .split_inclusive(is_border)
            .try_for_each(|part| f.write_str(part.rsplit_once("::").map_or(part, |(_, name)| name)))
    }
}

/// What is wrong. serde's messages quote values, and a type may put them into messages of its own: of each message that
/// serde is known to make, what comes from the type is kept, and of all others nothing. Also, whether it is said of the
/// whole, and not of the part that the path ends with.
fn fault(error: &serde_json::Error) -> (String, bool) {
    let message = error.to_string();
    let is_of_container = message.starts_with("unknown field `");
    (words(error, &message), is_of_container)
}

fn words(error: &serde_json::Error, message: &str) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&*place).unwrap_or(message);
    let starts = |start: &str| message.strip_prefix(start);
    // Behind the value, whatever is in it: of messages that always end with what the type says.
    let expected = || message.rsplit_once(", expected ").map(|(_, expected)| expected);
    let with_expected = |what: &str| match expected() {
        Some(expected) => {
            let expected: String =
                expected.chars().filter(|char| !char.is_control()).take(MAX_EXPECTED).collect();
            format!("{what}, expected {expected}")
        }
        None => what.to_owned(),
    };
    if let Some((field, _)) = starts("missing field `").and_then(|rest| rest.split_once('`')) {
        format!("missing field `{field}`")
    } else if let Some(found) = starts("invalid type: ") {
        with_expected(&format!("invalid type: {}", kind(found)))
    } else if let Some(found) = starts("invalid value: ") {
        with_expected(&format!("invalid value: {}", kind(found)))
    } else if starts("invalid length ").is_some() {
        with_expected("invalid length")
    } else if starts("unknown variant `").is_some() && !message.ends_with(", there are no variants")
    {
        with_expected("unknown variant")
    } else if starts("unknown variant `").is_some() {
        "unknown variant".to_owned()
    } else if starts("unknown field `").is_some() {
        // Of a type with flattened parts, nothing stands behind the name, and the name may say anything.
        "unknown field".to_owned()
    } else if let Some(name) = starts("data did not match any variant of untagged enum ") {
        let is_name = name.chars().all(|character| character.is_alphanumeric() || character == '_');
        format!("not a variant of `{}`", if is_name { name } else { "an enum" })
    } else {
        "not a value of its type".to_owned()
    }
}

/// Of what kind a value is, which serde says in front of it.
fn kind(found: &str) -> &'static str {
    const KINDS: [(&str, &str); 10] = [
        ("null", "null"),
        ("unit", "null"),
        ("boolean", "boolean"),
        ("integer", "integer"),
        ("floating point", "floating point"),
        ("character", "character"),
        ("string", "string"),
        ("sequence", "sequence"),
        ("map", "map"),
        ("byte array", "byte array"),
    ];
    let kind = KINDS.iter().find(|(start, _)| found.starts_with(start));
    kind.map_or("another value", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "read and not used")]
    struct Customer {
        tenant: u32,
        #[serde(default)]
        plan: Plan,
        #[serde(default)]
        small: u8,
        #[serde(default)]
        pair: (u8, u8),
        #[serde(default)]
        address: Address,
        #[serde(default)]
        orders: Vec<Address>,
        #[serde(default)]
        by_name: HashMap<String, u8>,
        #[serde(default)]
        either: Option<Either>,
        #[serde(default)]
        own: Option<Own>,
        #[serde(default)]
        r#where: Option<std::net::IpAddr>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read and not used")]
    struct Address {
        #[serde(rename = "https://shop.example/zip")]
        zip: Option<u32>,
        inner: Option<Box<Self>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Plan {
        #[default]
        Free,
        Paid,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "read and not used")]
    enum Either {
        Number(u8),
        Flag(bool),
    }

    /// Quotes what it does not take, in the words of a known message at that.
    #[derive(Debug)]
    struct Own;

    impl<'de> Deserialize<'de> for Own {
        fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
            let text = String::deserialize(reader)?;
            Err(serde::de::Error::custom(format!("bad text {text}, expected {text}")))
        }
    }

    fn told<T: DeserializeOwned>(claims: &str) -> String {
        assert!(serde_json::from_str::<T>(claims).is_err(), "{claims}");
        ShapeError::of::<T>(claims).to_string()
    }

    #[test]
    fn a_claim_that_does_not_fit_is_named_by_its_path_and_never_quoted() {
        for (claims, detail) in [
            (r"{}", "missing field `tenant`"),
            (r#"{"tenant":"SECRET"}"#, "`tenant`: invalid type: string, expected u32"),
            (
                r#"{"tenant":"SECRET, expected SECRET"}"#,
                "`tenant`: invalid type: string, expected u32",
            ),
            (
                r#"{"tenant":"SECRET\"`, expected `SECRET"}"#,
                "`tenant`: invalid type: string, expected u32",
            ),
            (r#"{"tenant":-7310}"#, "`tenant`: invalid value: integer, expected u32"),
            (r#"{"tenant":7310.5}"#, "`tenant`: invalid type: floating point, expected u32"),
            (r#"{"tenant":null}"#, "`tenant`: invalid type: null, expected u32"),
            (r#"{"tenant":["SECRET"]}"#, "`tenant`: invalid type: sequence, expected u32"),
            (r#"{"tenant":{"SECRET":1}}"#, "`tenant`: invalid type: map, expected u32"),
            (r#"{"tenant":true}"#, "`tenant`: invalid type: boolean, expected u32"),
            (r#"{"tenant":1,"small":7310}"#, "`small`: invalid value: integer, expected u8"),
            (
                r#"{"tenant":1,"plan":"SECRET"}"#,
                "`plan`: unknown variant, expected `free` or `paid`",
            ),
            (r#"{"tenant":1,"pair":[1]}"#, "`pair`: invalid length, expected a tuple of size 2"),
            (
                r#"{"tenant":1,"address":{"https://shop.example/zip":"SECRET"}}"#,
                "`address.https://shop.example/zip`: invalid type: string, expected u32",
            ),
            (
                r#"{"tenant":1,"orders":[{},{"https://shop.example/zip":"SECRET"}]}"#,
                "`orders[1].https://shop.example/zip`: invalid type: string, expected u32",
            ),
            (r#"{"tenant":1,"address":{"se@cret":1}}"#, "`address`: unknown field"),
            (
                r#"{"tenant":1,"by_name":{"alice@SECRET":"SECRET"}}"#,
                "`by_name.*`: invalid type: string, expected u8",
            ),
            (r#"{"tenant":1,"either":"SECRET"}"#, "`either`: not a variant of `Either`"),
            (r#"{"tenant":1,"own":"SECRET"}"#, "`own`: not a value of its type"),
            (r#"{"tenant":1,"where":"SECRET"}"#, "`where`: not a value of its type"),
        ] {
            let text = told::<Customer>(claims);
            assert_eq!(text, format!("the claims are not a `Customer`: {detail}"), "{claims}");
            assert!(!text.contains("SECRET") && !text.contains("7310"), "{text}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read and not used")]
    struct Flattened {
        sub: String,
        #[serde(flatten)]
        address: Address,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {}

    #[derive(Debug, Deserialize)]
    enum Never {}

    /// Messages behind which nothing of the type stands: what looks like it would be the token's.
    #[test]
    fn a_name_or_a_value_that_reads_like_the_end_of_a_message_is_not_told() {
        for text in [
            told::<Flattened>(r#"{"sub":"a","x, expected \nSECRET":1}"#),
            told::<Flattened>(r#"{"sub":"a","x`, expected `SECRET":1}"#),
            told::<Empty>(r#"{"x, expected SECRET":1}"#),
            told::<Never>(r#""x, expected SECRET""#),
            told::<Never>(r#""x`, expected `SECRET`, there are no variants""#),
            told::<HashMap<String, Never>>(r#"{"a":"x, expected SECRET"}"#),
            told::<Plan>(r#""x, expected `SECRET`, there are no variants""#),
        ] {
            assert!(!text.contains("SECRET") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_path_is_cut() {
        let depth = 60;
        let claims = format!(
            r#"{{"tenant":1,"address":{}{{"x":1}}{}}}"#,
            r#"{"inner":"#.repeat(depth),
            "}".repeat(depth)
        );
        let text = told::<Customer>(&claims);
        assert!(text.contains("inner.inner…`: unknown field"), "{text}");
        assert!(text.len() < 300, "{text}");
    }

    #[test]
    fn a_type_is_called_as_in_the_program() {
        for (name, short) in [
            ("u8", "u8"),
            ("shop::Order", "Order"),
            ("alloc::vec::Vec<shop::Order>", "Vec<Order>"),
            ("(shop::A, shop::b::B<u8>)", "(A, B<u8>)"),
            ("errs::main::{{closure}}::U", "U"),
            ("&[shop::A]", "&[A]"),
        ] {
            assert_eq!(ShortName(name).to_string(), short);
        }
    }
}
