//! What the tables are called, and where they stand.
use core::fmt;

/// What every table's name begins with where nobody said otherwise, and in the texts of this crate.
const PREFIX: &str = "portcullis_";

/// The longest that PostgreSQL makes of a name, in bytes.
#[cfg(feature = "postgres")]
const MAX_SCHEMA: usize = 63;

/// The longest prefix: with the longest name of a table, and what PostgreSQL adds for a constraint, it is within 63 bytes.
const MAX_PREFIX: usize = 32;

/// What the tables are called, and where they stand.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    schema: Option<String>,
    prefix: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { schema: None, prefix: PREFIX.to_owned() }
    }
}

impl Names {
    #[cfg(feature = "postgres")]
    pub(crate) fn in_schema(self, schema: &str) -> Result<Self, NameFault> {
        check(schema, MAX_SCHEMA)?;
        if schema.is_empty() {
            return Err(NameFault::Empty);
        }
        Ok(Self { schema: Some(schema.to_owned()), ..self })
    }

    pub(crate) fn with_prefix(self, prefix: &str) -> Result<Self, NameFault> {
        check(prefix, MAX_PREFIX)?;
        Ok(Self { prefix: prefix.to_owned(), ..self })
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// A text of this crate, with these names in the place of those that it was written with. They were checked, so that
    /// they cannot be anything but names.
    pub(crate) fn put_into(&self, sql: &str) -> String {
        // A schema may be called like a word of SQL. A table cannot: what follows the prefix is not one.
        let schema = self.schema.as_ref().map(|schema| format!("\"{schema}\"."));
        sql.replace(PREFIX, &format!("{}{}", schema.unwrap_or_default(), self.prefix))
    }
}

/// Whether it is a name that every database spells alike, quoted or not.
fn check(name: &str, max: usize) -> Result<(), NameFault> {
    if name.len() > max {
        return Err(NameFault::TooLong { length: name.len(), max });
    }
    let is_plain = |char: &char| char.is_ascii_lowercase() || char.is_ascii_digit() || *char == '_';
    if let Some(char) = name.chars().find(|char| !is_plain(char)) {
        return Err(NameFault::Character { char });
    }
    if name.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(NameFault::Digit);
    }
    Ok(())
}

/// Why a schema or a prefix of tables is refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameFault {
    /// It is empty.
    Empty,
    /// It has too many bytes.
    TooLong {
        /// How many.
        length: usize,
        /// How many it may have.
        max: usize,
    },
    /// It has a character that is not one of `a` to `z`, `0` to `9` and `_`.
    Character {
        /// Which.
        char: char,
    },
    /// It begins with a digit.
    Digit,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the name of a schema is empty: leave `schema` out, and the tables stand where the connection looks first",
            ),
            Self::TooLong { length, max } => {
                write!(f, "the name of a schema or a prefix of tables has {length} bytes: {max} are accepted")
            }
            Self::Character { char } => write!(
                f,
                "the name of a schema or a prefix of tables has the character {char:?}: lower-case letters, digits and `_` are accepted"
            ),
            Self::Digit => f.write_str(
                "the name of a schema or a prefix of tables begins with a digit: begin with a letter or `_`",
            ),
        }
    }
}

impl core::error::Error for NameFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_more_than_a_name_is_refused() {
        let refused = |prefix: &str| Names::default().with_prefix(prefix).err();
        for char in ['"', '\'', ';', ' ', '-', '.', '$', '\0', 'A', 'é'] {
            let fault = Some(NameFault::Character { char });
            assert_eq!(refused(&format!("a{char}")), fault);
        }
        assert_eq!(refused("1a"), Some(NameFault::Digit));
        let length = 33;
        assert_eq!(refused(&"a".repeat(length)), Some(NameFault::TooLong { length, max: 32 }));
        for accepted in ["", "_", "acme_", &"a".repeat(32)] {
            assert_eq!(refused(accepted), None, "{accepted}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn names_stand_in_the_place_of_those_of_the_text() {
        let text = "SELECT 1 FROM portcullis_keys";
        let names = Names::default();
        assert_eq!(names.put_into(text), text);
        let names = names.with_prefix("acme_").expect("a prefix");
        assert_eq!(names.put_into(text), "SELECT 1 FROM acme_keys");
        let names = names.in_schema("user").expect("a schema");
        assert_eq!(names.put_into(text), "SELECT 1 FROM \"user\".acme_keys");
        assert_eq!(names.in_schema("").err(), Some(NameFault::Empty));
    }
}
