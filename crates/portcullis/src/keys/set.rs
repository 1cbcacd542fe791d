use core::fmt;
use std::sync::Arc;

use super::{KeyFault, KeySource, VerificationKey, jwk, pem};
use crate::signature::Algorithm;

/// Public keys held in memory. Cheap to clone.
///
/// ```
/// use portcullis::KeySet;
///
/// let keys = KeySet::from_jwks(br#"{"keys":[
///   {"kty":"OKP","crv":"Ed25519",
///    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///   {"kty":"EC","crv":"secp256k1","kid":"odd"}
/// ]}"#)?;
/// assert_eq!(keys.len(), 2); // for `EdDSA` and for `Ed25519`
/// assert_eq!(
///     keys.skipped()[0].to_string(),
///     "key 1 (`odd`): its key type or curve is not supported"
/// );
///
/// // An RSA key of 512 bits, even if it came alone:
/// let short = br#"{"kty":"RSA","e":"AQAB","n":"sXchDaQebHnPiGvyDOAT4saGEUetSw"}"#;
/// assert!(KeySet::from_jwk(short).is_err());
/// # Ok::<_, portcullis::keys::KeyFault>(())
/// ```
///
/// A shared secret is never among them, and a public key never becomes one:
///
/// ```compile_fail
/// # use portcullis::{KeySet, Secret};
/// let keys: KeySet = Secret::new([0; 32]).into();
/// ```
#[derive(Clone)]
pub struct KeySet(pub(super) Arc<Inner>);

pub(super) struct Inner {
    keys: Vec<Arc<VerificationKey>>,
    skipped: Vec<SkippedKey>,
}

/// An entry of a key set that is not used.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its id, as far as it has one.
    pub key_id: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, key_id, fault } = self;
        match key_id {
            // Another party's text: no control characters in a log, and no more than a line.
            Some(id) => {
                let id: String = id.chars().take(64).flat_map(char::escape_debug).collect();
                write!(f, "key {index} (`{id}`): {fault}")
            }
            None => write!(f, "key {index}: {fault}"),
        }
    }
}

/// How many entries of a set are not used, where there are some: the end of a sentence.
pub(super) struct Skipped<'a>(pub(super) &'a KeySet);

impl fmt::Display for Skipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.skipped().len() {
            0 => Ok(()),
            1 => f.write_str(", without 1 entry that cannot be used"),
            count => write!(f, ", without {count} entries that cannot be used"),
        }
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5) of at most 256 KiB and 100 keys. A byte order mark in front is ignored
    /// (RFC 8259 §8.1).
    ///
    /// A key without `alg` serves every algorithm that its type and curve allow; which of them are
    /// accepted, the issuer's policy lists. One of ML-DSA (`AKP`) has to have it (RFC 9964 §3). An entry
    /// that cannot be used is [skipped](Self::skipped) and costs no other: unknown types, keys for encryption,
    /// private or symmetric members, RSA under 2048 or over 8192 bits or with a bad exponent, points off their
    /// curve or of small order, and keys of ML-DSA that are not as long as their parameter set's.
    ///
    /// A member that is `null`, an empty string or an empty list says nothing, and counts as absent: so
    /// some serializers write what a key has not. An empty `alg`, `use` or `key_ops` restricts nothing,
    /// and an empty `d` or `oth` gives nothing away.
    ///
    /// A key without `n` and `e`, or `x` and `y`, is read from the first certificate of its `x5c` (RFC 7517
    /// §4.7); where both are there, they must be of one key. Nothing else of a certificate counts, as
    /// with [PEM](Self::from_pem): an expired one serves, since the set vouches for the key.
    ///
    /// # Errors
    ///
    /// The set is not one JSON object with an array `keys`, too large, or has no usable key.
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, KeyFault> {
        Self::from_jwks_text(jwk::text(json.as_ref(), jwk::MAX_BYTES)?, jwk::MAX_KEYS)
    }

    pub(super) fn from_jwks_text(json: &str, max_keys: usize) -> Result<Self, KeyFault> {
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for (index, entry) in jwk::read_set(json, max_keys)?.into_iter().enumerate() {
            match entry.keys {
                Ok(prepared) => keys.extend(prepared),
                Err(fault) => skipped.push(SkippedKey { index, key_id: entry.id, fault }),
            }
        }
        if keys.is_empty() {
            let skipped = skipped.into_iter().take(10).map(|key| (key.index, key.fault)).collect();
            return Err(KeyFault::NoUsableKey { skipped });
        }
        Ok(Self::new(keys, skipped))
    }

    /// Reads a single JWK (RFC 7517 §4).
    ///
    /// # Errors
    ///
    /// As an entry of a set would be skipped.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, KeyFault> {
        Ok(Self::new(jwk::read_key(json.as_ref())?, Vec::new()))
    }

    /// Reads public keys in PEM: `PUBLIC KEY` (SPKI), `RSA PUBLIC KEY` (PKCS#1) and `CERTIFICATE`
    /// (X.509), one or several. They have no id; see [`with_key_id`](Self::with_key_id).
    ///
    /// Of a certificate only the key counts: neither its dates nor its issuer are looked at, since
    /// you, and no chain, vouch for the file.
    ///
    /// # Errors
    ///
    /// Any block that is not a usable public key; a private key is refused by name.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyFault> {
        let keys = pem::read_pem(pem.as_ref())?;
        let mut prepared = Vec::new();
        for key in keys {
            prepared.extend(key.prepare(None, None)?);
        }
        Ok(Self::new(prepared, Vec::new()))
    }

    /// Reads one public key in DER: SPKI, PKCS#1 or an X.509 certificate, as
    /// [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    ///
    /// It is not a usable public key.
    pub fn from_der(der: impl AsRef<[u8]>) -> Result<Self, KeyFault> {
        Ok(Self::new(pem::read_der(der.as_ref())?.prepare(None, None)?, Vec::new()))
    }

    /// These keys under an id, which tokens then have to name.
    ///
    /// If you do not call it: keys from PEM and DER have no id and are tried for every token.
    ///
    /// # Errors
    ///
    /// The id is empty or longer than 1 KiB.
    pub fn with_key_id(&self, id: &str) -> Result<Self, KeyFault> {
        if id.is_empty() || id.len() > 1024 {
            return Err(KeyFault::KeyId);
        }
        let keys = self.iter().map(|key| {
            let named = VerificationKey::new(key.algorithm, Some(id), key.verifier.clone());
            let (thumbprint, weight) = (key.thumbprint.clone(), key.weight);
            VerificationKey { thumbprint, weight, ..named }
        });
        Ok(Self::new(keys.collect(), self.0.skipped.clone()))
    }

    /// The keys of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let keys = self.0.keys.iter().chain(&other.0.keys).cloned().collect();
        let skipped = self.0.skipped.iter().chain(&other.0.skipped).cloned().collect();
        Self(Arc::new(Inner { keys, skipped }))
    }

    /// No keys: what a [`KeySource`] has before it has any.
    pub fn empty() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    pub(super) fn new(keys: Vec<VerificationKey>, skipped: Vec<SkippedKey>) -> Self {
        Self(Arc::new(Inner { keys: keys.into_iter().map(Arc::new).collect(), skipped }))
    }

    /// This set, with the keys that `old` has as well taken from there, so that what was verified
    /// with them stays.
    pub(super) fn succeeding(self, old: &Self) -> Self {
        let keys = self
            .iter()
            .map(|key| old.iter().find(|old| old.is_same_as(key)).unwrap_or(key).clone());
        Self(Arc::new(Inner { keys: keys.collect(), skipped: self.0.skipped.clone() }))
    }

    /// Whether `successor`, which took over what both have, has no other keys.
    #[cfg(feature = "remote-jwks")]
    pub(super) fn has_same_keys(&self, successor: &Self) -> bool {
        let is_in = |key: &Arc<_>, set: &Self| set.iter().any(|other| Arc::ptr_eq(key, other));
        self.iter().all(|key| is_in(key, successor)) && successor.iter().all(|key| is_in(key, self))
    }

    /// The ids of its keys under which `successor` has none.
    #[cfg(feature = "remote-jwks")]
    pub(super) fn ids_missing_in(&self, successor: &Self) -> Vec<Box<str>> {
        let is_there = |id: &str| successor.iter().any(|key| key.id() == Some(id));
        let missing = self.iter().filter_map(|key| key.id()).filter(|id| !is_there(id));
        let mut ids: Vec<_> = missing.map(Box::from).collect();
        ids.dedup();
        ids
    }

    /// Withdraws the keys that `successor` no longer has.
    pub(super) fn give_way_to(&self, successor: &Self) {
        for key in self.iter().filter(|key| !successor.iter().any(|new| Arc::ptr_eq(key, new))) {
            key.withdraw();
        }
    }

    /// How many keys there are, one for each algorithm that a public key serves.
    pub fn len(&self) -> usize {
        self.0.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.keys.is_empty()
    }

    /// The entries that were not used, and why.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.0.skipped
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerificationKey>> {
        self.0.keys.iter()
    }

    /// Over all tokens of `algorithm`, the most keys that one could match.
    pub(crate) fn most_matches(&self, algorithm: Algorithm, id_required: bool) -> usize {
        self.most(algorithm, id_required, |_| 1)
    }

    /// The same, each by what it counts for.
    pub(crate) fn most_weight(&self, algorithm: Algorithm, id_required: bool) -> usize {
        self.most(algorithm, id_required, |key| key.weight)
    }

    fn most(
        &self,
        algorithm: Algorithm,
        id_required: bool,
        measure: fn(&VerificationKey) -> usize,
    ) -> usize {
        let keys = || self.iter().filter(|key| key.algorithm() == algorithm);
        let sum_of = |id: Option<&str>| -> usize {
            keys().filter(|key| key.id() == id).map(|key| measure(key)).sum()
        };
        if !id_required {
            return keys().map(|key| measure(key)).sum();
        }
        let most_of_an_id = keys().filter_map(|key| key.id()).map(|id| sum_of(Some(id))).max();
        sum_of(None) + most_of_an_id.unwrap_or(0)
    }
}

impl KeySource for KeySet {
    fn keys(&self) -> KeySet {
        self.clone()
    }

    fn describe(&self) -> String {
        "given to the policy when it was made".to_owned()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.len())
            .field("skipped", &self.0.skipped.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use Algorithm::{ES256, ES384, Ed25519, EdDSA, HS256, RS256};
    use serde_json::{Value, json};

    use super::*;
    use crate::json::JsonFault;
    use crate::keys::{MemberFault, NotAnObject};
    use crate::text::TextFault;
    use crate::time::UnixTime;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    /// The public key of this name of `pem/keys.json`.
    fn jwk(name: &str, id: Option<&str>) -> Value {
        let mut keys: Value =
            serde_json::from_str(include_str!("../../tests/vectors/pem/keys.json")).unwrap();
        let mut jwk = keys[name]["jwk"].take();
        assert!(jwk.is_object(), "{name}");
        if let Some(id) = id {
            jwk["kid"] = id.into();
        }
        jwk
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::from_jwks(json!({ "keys": keys }).to_string()).expect("a usable key")
    }

    fn refused(text: impl AsRef<[u8]>) -> KeyFault {
        KeySet::from_jwks(text).expect_err("no usable set")
    }

    fn ids(set: &KeySet) -> Vec<Option<&str>> {
        set.iter().map(|key| key.id()).collect()
    }

    #[test]
    fn a_bad_entry_costs_no_other_and_is_counted_and_named() {
        let good = jwk("p256", Some("good"));
        let rest = good.to_string()[1..].to_owned();
        let private = {
            let mut key = jwk("p384", Some("leaked"));
            key["d"] = "AA".into();
            key
        };
        let deep = format!(r#"{{"kid":"deep","x":{}1{}}}"#, "[".repeat(16), "]".repeat(16));
        let entries = [
            "7".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"kty":"AKP","kid":"future","alg":"ML-DSA-45","pub":"AA"}"#.to_owned(),
            r#"{"kty":"EC","crv":"secp256k1","kid":"bit\u0000coin"}"#.to_owned(),
            format!(r#"{{"kty":"EC",{rest}"#),
            deep,
            private.to_string(),
            r#"{"kty":"RSA","kid":7,"n":"AQAB","e":"AQAB"}"#.to_owned(),
            r#"{"kty":"\ud800"}"#.to_owned(),
            good.to_string(),
        ];
        let set = KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, entries.join(","))).unwrap();
        assert_eq!(ids(&set), [Some("good")]);
        let skipped = |index, id: Option<&str>, fault| SkippedKey {
            index,
            key_id: id.map(str::to_owned),
            fault,
        };
        assert_eq!(
            set.skipped(),
            [
                skipped(0, None, KeyFault::NotAnObject(NotAnObject::Value)),
                skipped(1, None, KeyFault::NotAnObject(NotAnObject::Value)),
                skipped(2, None, KeyFault::NotAnObject(NotAnObject::List)),
                skipped(3, None, KeyFault::Missing { member: "kty" }),
                skipped(4, Some("future"), KeyFault::UnknownAlgorithm),
                skipped(5, Some("bit\0coin"), KeyFault::Unsupported),
                skipped(6, None, KeyFault::Json(JsonFault::DuplicateMember)),
                skipped(7, None, KeyFault::Json(JsonFault::TooDeep)),
                skipped(8, Some("leaked"), KeyFault::PrivateMember { member: "d" }),
                skipped(9, None, MemberFault::Type { expected: "a string" }.of("kid")),
                skipped(10, None, KeyFault::NotAnObject(NotAnObject::Other)),
            ]
        );
        assert_eq!(
            set.skipped()[5].to_string(),
            "key 5 (`bit\\0coin`): its key type or curve is not supported"
        );
    }

    #[test]
    fn a_long_key_id_is_cut_where_it_is_shown() {
        let odd = json!({ "kid": "\u{1b}é".repeat(20_000) });
        let set = set(&[odd, jwk("p256", None)]);
        let shown = format!("key 0 (`{}`): `kty` is missing", "\\u{1b}é".repeat(32));
        assert_eq!(set.skipped()[0].to_string(), shown);
    }

    #[test]
    fn a_set_whose_json_is_broken_is_refused_as_a_whole() {
        let good = json!({ "keys": [jwk("p256", None)] }).to_string();
        let not_utf8 = [good.as_bytes().strip_suffix(b"}").unwrap(), b",\"x\":\"\xff\"}"].concat();
        for (text, found) in [
            ("", NotAnObject::Nothing),
            ("[]", NotAnObject::List),
            ("null", NotAnObject::Value),
            ("{", NotAnObject::Other),
            (good.strip_suffix('}').unwrap(), NotAnObject::Other),
            (&good.replace("]}", "],}"), NotAnObject::Other),
            (&format!("{good}{good}"), NotAnObject::Other),
            (&good.replace('"', "'"), NotAnObject::Other),
        ] {
            assert_eq!(refused(text), KeyFault::NotAnObject(found), "{text}");
        }
        assert_eq!(refused(not_utf8), KeyFault::Text(TextFault::NotUtf8));
    }

    #[test]
    fn a_duplicate_member_of_the_set_refuses_it() {
        let key = jwk("p256", None);
        for text in [
            format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#),
            format!(r#"{{"keys":[{key}],"\u006beys":[{key}]}}"#),
            format!(r#"{{"keys":[{key}],"x":1,"x":1}}"#),
            format!(r#"{{"x":{{"y":1,"y":1}},"keys":[{key}]}}"#),
        ] {
            assert_eq!(refused(&text), KeyFault::Json(JsonFault::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn what_has_no_array_of_keys_is_no_set() {
        for text in [
            "{}",
            r#"{"Keys":[]}"#,
            r#"{"key":[]}"#,
            r#"{"keys":null}"#,
            r#"{"keys":{}}"#,
            r#"{"keys":"[]"}"#,
            r#"{"keys":{"keys":[]}}"#,
            &jwk("p256", None).to_string(),
        ] {
            assert_eq!(refused(text), KeyFault::NotASet, "{text}");
        }
    }

    #[test]
    fn a_set_without_a_usable_key_is_refused_and_says_why() {
        assert_eq!(refused(r#"{"keys":[]}"#), KeyFault::NoUsableKey { skipped: vec![] });
        let twelve = json!({ "keys": vec![json!({ "kty": "oct", "k": "AA" }); 12] });
        let expected =
            (0..10).map(|index| (index, KeyFault::PrivateMember { member: "k" })).collect();
        assert_eq!(refused(twelve.to_string()), KeyFault::NoUsableKey { skipped: expected });
    }

    #[test]
    fn a_set_has_at_most_100_entries() {
        let entries = |count: usize| {
            let mut keys = vec![json!({ "kty": "odd" }); count - 1];
            keys.push(jwk("p256", None));
            json!({ "keys": keys }).to_string()
        };
        let set = KeySet::from_jwks(entries(100)).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 99));
        assert_eq!(refused(entries(101)), KeyFault::TooManyKeys { found: 101, allowed: 100 });
    }

    #[test]
    fn a_set_has_at_most_256_kib() {
        let mut text = json!({ "keys": [jwk("p256", None)] }).to_string();
        let white_space = 256 * 1024 - text.len();
        text.push_str(&" ".repeat(white_space));
        assert_eq!(KeySet::from_jwks(&text).map(|set| set.len()), Ok(1));
        text.push_str(&" ".repeat(1024));
        assert_eq!(refused(&text), KeyFault::TooLarge { length: 257 * 1024 });
        assert_eq!(
            KeySet::from_jwk(&text).map(drop),
            Err(KeyFault::TooLarge { length: 257 * 1024 })
        );
    }

    #[test]
    fn ten_thousand_levels_of_nesting_are_refused_wherever_they_are() {
        let key = jwk("p256", None);
        let deep =
            |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for value in [deep("[", "]"), deep(r#"{"a":"#, "}")] {
            let too_deep = KeyFault::Json(JsonFault::TooDeep);
            // Beside the keys it costs the set, in an entry the entry.
            assert_eq!(refused(format!(r#"{{"keys":[{key}],"x":{value}}}"#)), too_deep);
            assert_eq!(refused(format!(r#"{{"x":{value},"keys":[{key}]}}"#)), too_deep);
            let entry = format!(r#"{{"keys":[{key},{{"kty":"RSA","x":{value}}}]}}"#);
            let set = KeySet::from_jwks(entry).unwrap();
            assert_eq!(set.len(), 1);
            assert_eq!(set.skipped()[0].fault, too_deep);
            let is_entry = KeySet::from_jwks(format!(r#"{{"keys":[{key},{value}]}}"#)).unwrap();
            assert_eq!((is_entry.len(), is_entry.skipped().len()), (1, 1));
            let alone = KeySet::from_jwk(format!(r#"{{"x":{value}}}"#)).map(drop);
            assert_eq!(alone, Err(too_deep));
            let keys = refused(format!(r#"{{"keys":{value}}}"#));
            assert!(matches!(keys, KeyFault::NotASet | KeyFault::NoUsableKey { .. }), "{keys:?}");
        }
    }

    #[test]
    fn members_beside_the_keys_are_ignored() {
        let text = format!(r#"{{"x":[{{"y":null}}],"keys":[{}],"z":1e5}}"#, jwk("p256", None));
        assert_eq!(KeySet::from_jwks(text).map(|set| set.len()), Ok(1));
    }

    #[test]
    fn a_key_id_is_put_on_every_key_and_changes_nothing_else() {
        let set = set(&[jwk("p256", None), jwk("ed25519", Some("old"))]);
        let named = set.with_key_id("new").unwrap();
        assert_eq!(ids(&named), [Some("new"); 3]);
        for (one, other) in set.iter().zip(named.iter()) {
            assert_eq!(one.algorithm(), other.algorithm());
            assert!(one.verifier().is_same_public_key(other.verifier()));
        }
        assert_eq!(ids(&set), [None, Some("old"), Some("old")]);
    }

    #[test]
    fn a_key_id_that_no_token_can_name_is_refused() {
        let set = set(&[jwk("p256", None)]);
        assert_eq!(set.with_key_id("").map(drop), Err(KeyFault::KeyId));
        assert_eq!(set.with_key_id(&"k".repeat(1025)).map(drop), Err(KeyFault::KeyId));
        assert!(set.with_key_id(&"k".repeat(1024)).is_ok());
    }

    #[test]
    fn two_sets_together_have_the_keys_and_the_skipped_entries_of_both() {
        let one = set(&[jwk("p256", Some("one")), json!({ "kid": "odd one" })]);
        let both = one.clone().and(&set(&[json!({ "kid": "odd two" }), jwk("p384", Some("two"))]));
        assert_eq!(ids(&both), [Some("one"), Some("two")]);
        let skipped: Vec<_> = both.skipped().iter().map(|key| key.key_id.as_deref()).collect();
        assert_eq!(skipped, [Some("odd one"), Some("odd two")]);
        assert!(Arc::ptr_eq(&one.0.keys[0], &both.0.keys[0]));
    }

    #[test]
    fn the_most_keys_that_a_token_could_match_depend_on_whether_it_must_name_one() {
        let one = |id: Option<&str>| jwk("p256", id);
        let (a, b) = (Some("a"), Some("b"));
        for (keys, any, with_id) in [
            (vec![one(None)], 1, 1),
            (vec![one(None), one(None)], 2, 2),
            (vec![one(a), one(b)], 2, 1),
            (vec![one(a), one(a), one(b)], 3, 2),
            // A key without an id serves tokens of any id.
            (vec![one(a), one(a), one(b), one(None), one(None)], 5, 4),
            (vec![one(None), jwk("p384", None), jwk("rsa", a)], 1, 1),
        ] {
            let set = set(&keys);
            assert_eq!(set.most_matches(ES256, false), any, "{keys:?}");
            assert_eq!(set.most_matches(ES256, true), with_id, "{keys:?}");
            assert_eq!(set.most_matches(HS256, false), 0);
        }
        // One key without `alg` counts once under each of its algorithms.
        let set = set(&[jwk("rsa", None), jwk("ed25519", None)]);
        for algorithm in [RS256, EdDSA, Ed25519] {
            assert_eq!(set.most_matches(algorithm, false), 1, "{algorithm}");
        }
        assert_eq!(set.most_matches(ES384, false), 0);
        assert_eq!(KeySet::empty().most_matches(RS256, true), 0);
    }

    /// Reads `new` in place of `old`, as a key file does.
    fn replace(old: &KeySet, new: KeySet) -> KeySet {
        let new = new.succeeding(old);
        old.give_way_to(&new);
        new
    }

    #[test]
    fn a_key_that_both_sets_have_stays_the_same_and_live() {
        let old = set(&[jwk("p256", Some("a")), jwk("p384", Some("b"))]);
        let new = replace(&old, set(&[jwk("ed25519", None), jwk("p256", Some("a"))]));
        assert!(Arc::ptr_eq(&old.0.keys[0], &new.0.keys[2]));
        assert!(new.iter().all(|key| key.is_live(NOW)));
    }

    #[test]
    fn a_key_that_the_new_set_lacks_is_withdrawn_wherever_it_is_held() {
        let old = set(&[jwk("p256", Some("a")), jwk("p384", Some("b"))]);
        let held = Arc::clone(&old.0.keys[1]);
        assert!(held.is_live(NOW));
        replace(&old, set(&[jwk("p256", Some("a"))]));
        assert!(!held.is_live(NOW));
    }

    #[test]
    fn the_same_key_under_another_id_or_algorithm_is_another() {
        let pinned = |alg: &str| {
            let mut key = jwk("rsa", Some("a"));
            key["alg"] = alg.into();
            key
        };
        for (old, new) in [
            (jwk("p256", Some("a")), jwk("p256", Some("b"))),
            (jwk("p256", Some("a")), jwk("p256", None)),
            (pinned("RS256"), pinned("PS256")),
        ] {
            let (old, new) = (set(&[old]), set(&[new]));
            let new = replace(&old, new);
            assert!(!old.0.keys[0].is_live(NOW));
            assert!(new.0.keys[0].is_live(NOW));
        }
    }

    #[test]
    fn another_key_under_the_same_id_is_another() {
        let mut other = jwk("p256", Some("a"));
        // The same x, and the other y of it, is the only other point at hand.
        let (x, y) = (other["x"].clone(), negated_y(&other["y"]));
        (other["x"], other["y"]) = (x, y);
        let old = set(&[jwk("p256", Some("a"))]);
        let new = replace(&old, set(&[other]));
        assert!(!old.0.keys[0].is_live(NOW));
        assert!(new.0.keys[0].is_live(NOW));
    }

    /// p - y, with the prime of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
    fn negated_y(y: &Value) -> Value {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let y = URL_SAFE_NO_PAD.decode(y.as_str().unwrap()).unwrap();
        let mut prime = [0xff_u8; 32];
        prime[4..8].fill(0);
        prime[7] = 1;
        prime[8..20].fill(0);
        let mut borrow = 0;
        for at in (0..32).rev() {
            let difference = i16::from(prime[at]) - i16::from(y[at]) - borrow;
            borrow = i16::from(difference < 0);
            prime[at] = difference.rem_euclid(256).try_into().unwrap();
        }
        URL_SAFE_NO_PAD.encode(prime).into()
    }

    #[test]
    fn a_key_withdrawn_does_not_come_back_to_those_who_hold_it() {
        let old = set(&[jwk("p256", Some("a")), jwk("p384", Some("b"))]);
        let held = Arc::clone(&old.0.keys[1]);
        let without = replace(&old, set(&[jwk("p256", Some("a"))]));
        let again = replace(&without, set(&[jwk("p256", Some("a")), jwk("p384", Some("b"))]));
        assert!(again.iter().all(|key| key.is_live(NOW)));
        assert!(!held.is_live(NOW));
        assert!(Arc::ptr_eq(&old.0.keys[0], &again.0.keys[0]));
    }

    #[test]
    fn neither_a_set_nor_a_key_shows_its_content() {
        let set = set(&[jwk("p256", Some("secret-name")), json!({ "kid": "secret-name" })]);
        assert_eq!(format!("{set:?}"), "KeySet { keys: 1, skipped: 1 }");
        assert_eq!(format!("{:?}", set.0.keys[0]), "VerificationKey { algorithm: ES256, .. }");
    }
}
