//! What an issuer publishes: where its keys are, and what it says of itself.
use core::convert::Infallible;
use core::fmt;

use portcullis::RequestView;
use portcullis::routes::{PublicDocument, Reply};
use serde_json::{Map, Value};
use url::Url;

use super::TokenIssuer;
use crate::debug_as_displayed::debug_as_displayed;
use crate::keeper::IssuerNotReady;
use crate::store::RingStore;

const KEY_SET: &str = "/.well-known/jwks.json";

/// RFC 8414 §3.
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// Where an issuer's documents are, and the one that does not change.
#[derive(Debug)]
pub(super) struct Publication {
    key_set_path: String,
    /// `None`: the identifier is not an address.
    metadata: Option<(String, PublicDocument)>,
}

impl Publication {
    /// Of an issuer of this identifier, which says of itself what `members` say, too.
    pub(super) fn new(issuer: &str, members: Map<String, Value>) -> Result<Self, PublicationFault> {
        if let Some(member) =
            members.keys().find(|name| ["issuer", "jwks_uri"].contains(&name.as_str()))
        {
            return Err(PublicationFault::Member { member: member.clone() });
        }
        let is_address = issuer.starts_with("https://") || issuer.starts_with("http://");
        let Some(url) = Url::parse(issuer).ok().filter(|_| is_address) else {
            return Ok(Self { key_set_path: KEY_SET.to_owned(), metadata: None });
        };
        // RFC 8414 §2, and a path that every router matches as it is written.
        let path = url.path().trim_end_matches('/');
        let is_plain = |segment: &str| {
            !segment.starts_with([':', '*']) && !segment.contains(['%', '{', '}', '[', ']'])
        };
        let is_one = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && path.split('/').all(is_plain)
            // As it is written, up to a slash at its end.
            && url.as_str().trim_end_matches('/') == issuer.trim_end_matches('/');
        if !is_one {
            return Err(PublicationFault::Address);
        }
        let mut document = Map::new();
        document.insert("issuer".to_owned(), issuer.into());
        let key_set = format!("{}{KEY_SET}", issuer.trim_end_matches('/'));
        document.insert("jwks_uri".to_owned(), key_set.into());
        document.extend(members);
        let document = Value::Object(document).to_string();
        let document = PublicDocument::new("application/json", document);
        let metadata = Some((format!("{METADATA}{path}"), document));
        Ok(Self { key_set_path: format!("{path}{KEY_SET}"), metadata })
    }
}

impl<S: RingStore> TokenIssuer<S> {
    /// The path of its key set: `/.well-known/jwks.json`, behind the path of its identifier, where that has one.
    pub fn key_set_path(&self) -> &str {
        &self.0.publication.key_set_path
    }

    /// The path of its metadata: `/.well-known/oauth-authorization-server`, before the path of its identifier (RFC 8414 §3).
    /// `None`: its identifier is not an address, so that nobody could look there.
    pub fn metadata_path(&self) -> Option<&str> {
        self.0.publication.metadata.as_ref().map(|(path, _)| path.as_str())
    }

    /// Answers a request for its key set (RFC 7517 §5): public keys alone, in the same bytes on all instances, which anybody
    /// may keep for five minutes, and has by their entity tag.
    ///
    /// The adapters for web frameworks have a route that does it.
    ///
    /// 503 where the ring was not read for too long: an older set could have a key that was withdrawn since.
    pub fn answer_key_set(&self, request: &impl RequestView) -> Reply<IssuerNotReady> {
        match self.0.keeper.usable() {
            Ok(ring) => ring.document.answer(request),
            Err(error) => PublicDocument::unavailable(request, error),
        }
    }

    /// Answers a request for its metadata (RFC 8414): its identifier, where its keys are, and what else the program
    /// [says](super::TokenIssuerBuilder::metadata).
    ///
    /// There is no `response_types_supported`, unless the program says it: it is about an authorization endpoint, which this
    /// issuer does not have.
    ///
    /// The adapters for web frameworks have a route that does it. 404 where its identifier is not an address.
    pub fn answer_metadata(&self, request: &impl RequestView) -> Reply<Infallible> {
        match &self.0.publication.metadata {
            Some((_, document)) => document.answer(request),
            None => Reply::not_found(),
        }
    }
}

/// Why an issuer cannot publish what it says.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum PublicationFault {
    /// Its identifier is an address that clients read in different ways, or that has more than an address of an issuer may
    /// have.
    Address,
    /// The metadata say something that the issuer says itself.
    Member {
        /// What.
        member: String,
    },
}

impl fmt::Display for PublicationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str(
                "the identifier is an address with a query, a fragment, a user, a default port, capital letters, `..`, or a path with `%`, `:` or `*`: give it without, as it is to stand in `iss`",
            ),
            Self::Member { member } => write!(
                f,
                "`{member}` is among the members of the metadata, and the issuer says it itself: leave it out"
            ),
        }
    }
}

impl core::error::Error for PublicationFault {}

debug_as_displayed!(PublicationFault);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_where_clients_look_for_them() {
        for (issuer, key_set, metadata, uri) in [
            ("https://id.example", "", Some(""), "https://id.example"),
            ("https://id.example/", "", Some(""), "https://id.example"),
            ("https://id.example/acme", "/acme", Some("/acme"), "https://id.example/acme"),
            ("http://127.0.0.1:8080", "", Some(""), "http://127.0.0.1:8080"),
            ("acme-login", "", None, ""),
            ("urn:acme:login", "", None, ""),
        ] {
            let publication = Publication::new(issuer, Map::new()).expect("good");
            assert_eq!(publication.key_set_path, format!("{key_set}{KEY_SET}"));
            let Some((path, document)) = publication.metadata else {
                assert_eq!(metadata, None, "{issuer}");
                continue;
            };
            assert_eq!(Some(path), metadata.map(|path| format!("{METADATA}{path}")));
            let reply: Reply<Infallible> = document.answer(&http::Request::new(()));
            let told = String::from_utf8_lossy(reply.body()).into_owned();
            assert_eq!(told, format!(r#"{{"issuer":"{issuer}","jwks_uri":"{uri}{KEY_SET}"}}"#));
        }
    }

    #[test]
    fn an_address_that_clients_read_in_different_ways_is_refused() {
        for issuer in [
            "https://id.example?x=1",
            "https://id.example#x",
            "https://user@id.example",
            "https://id.example:443",
            "https://ID.example",
            "https://id.example/a/../b",
            "https://id.example/%61",
            "https://id.example/:tenant",
            "https://id.example/*",
            "https://id.example/{tenant}",
        ] {
            let refused = Publication::new(issuer, Map::new()).err();
            assert_eq!(refused, Some(PublicationFault::Address), "{issuer}");
        }
    }

    #[test]
    fn members_of_the_program_stand_beside_the_issuers_own() {
        let members = |name: &str| Map::from_iter([(name.to_owned(), Value::from("x"))]);
        let publication = Publication::new("https://id.example", members("token_endpoint"));
        let (_, document) = publication.expect("good").metadata.expect("metadata");
        let reply: Reply<Infallible> = document.answer(&http::Request::new(()));
        assert!(reply.body().ends_with(br#","token_endpoint":"x"}"#));
        for member in ["issuer", "jwks_uri"] {
            let refused = Publication::new("https://id.example", members(member)).err();
            assert_eq!(refused, Some(PublicationFault::Member { member: member.to_owned() }));
        }
    }
}
