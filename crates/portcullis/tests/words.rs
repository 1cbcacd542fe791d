//! What the library tells operators, in the words of a person.
use core::fmt::Display;
use core::time::Duration;
use std::fs;
use std::path::Path;

use portcullis::error::{ClaimsError, TypeName};
use portcullis::keys::{KeyFault, KeyFileEvent, KeySet, KeysUnavailable};
use portcullis::mtls::{CertificateError, CertificateHeaderFault, MtlsFault};
use portcullis::revocation::{Revocable, RevocationEvent};
use portcullis::{Algorithm, UnixTime};
use portcullis_testkit::TestIssuer;

/// The types of events of all crates, by their definitions.
fn event_types(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            event_types(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            for line in text.lines() {
                let rest = line.strip_prefix("pub enum ").or(line.strip_prefix("pub struct "));
                let is_border = |character: char| !character.is_alphanumeric();
                let name = rest.and_then(|rest| rest.split(is_border).next());
                if let Some(name) = name.filter(|name| name.ends_with("Event")) {
                    found.push((name.to_owned(), text.clone()));
                }
            }
        }
    }
}

#[test]
fn every_public_type_of_events_has_words() {
    fn has_words<T: Display>() {}
    has_words::<RevocationEvent>();
    has_words::<KeyFileEvent>();
    #[cfg(feature = "config")]
    has_words::<portcullis::config::PolicyFileEvent>();
    #[cfg(feature = "remote-jwks")]
    has_words::<portcullis::keys::remote::RemoteKeysEvent>();

    let mut found = Vec::new();
    for crate_folder in
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("crates")
    {
        event_types(&crate_folder.expect("a crate").path().join("src"), &mut found);
    }
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"RevocationEvent") && names.len() >= 4, "{names:?}");
    for (name, text) in &found {
        assert!(text.contains(&format!("impl fmt::Display for {name} ")), "{name}");
    }
}

#[test]
fn an_event_of_revocation_says_what_happened() {
    let kind = Revocable::Subject;
    for (event, text) in [
        (RevocationEvent::Revoked { kind }, "a revocation was added (kind: subject)"),
        (RevocationEvent::Lifted { kind }, "a revocation was lifted (kind: subject)"),
        (
            RevocationEvent::Failed { kind },
            "a revocation or the lifting of one failed, or its outcome is not known (kind: subject)",
        ),
        (
            RevocationEvent::Full { capacity: 7 },
            "the list of revocations is full (7 entries): nothing more can be revoked until entries expire; raise `capacity`",
        ),
        (
            RevocationEvent::ShareUsedUp { capacity: 7 },
            "an issuer has used up its share of the list of revocations (7 entries in all), and nothing was revoked for it: raise `capacity`",
        ),
        (RevocationEvent::Fresh, "the list of revocations is up to date"),
        (RevocationEvent::Stale, "the list of revocations is out of date"),
        (
            RevocationEvent::Republished { entries: 7 },
            "the store of revocations may have lost some: this process wrote its 7 entries back",
        ),
    ] {
        assert_eq!(event.to_string(), text);
    }
}

#[test]
fn where_nobody_tells_of_a_certificate_the_call_that_does_is_named() {
    for (error, parts) in [
        (
            CertificateError::Unknown,
            &["`tls::serve`", "`tls::bind`", "`Mtls::from_header`", "`on_connect`"][..],
        ),
        (
            CertificateError::PeerUnknown,
            &["`app.into_make_service_with_connect_info::<SocketAddr>()`", "`PeerAddress`"],
        ),
        (CertificateError::NoHeader, &["presented none, or the proxy writes another header"]),
        (CertificateError::UntrustedProxy, &["`trusted_proxies`"]),
        (CertificateError::Header(CertificateHeaderFault::Digest), &["without colons", "SHA-1"]),
        (CertificateError::Header(CertificateHeaderFault::PemInBase64), &["base64 of DER"]),
    ] {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // As code and policy files both name it.
    let none = MtlsFault::Proxies { found: 0 }.to_string();
    assert!(none.ends_with("List them in `trusted_proxies`, such as [\"10.0.0.0/24\"]"), "{none}");
}

#[test]
fn an_event_of_a_key_file_says_what_happened_in_one_line() {
    let keys = TestIssuer::new("https://id.example").jwks_of(&[Algorithm::ES256]);
    let keys = KeySet::from_jwks(keys).expect("keys");
    let reloaded = KeyFileEvent::Reloaded { keys };
    assert_eq!(reloaded.to_string(), "the key file changed, and its new keys are in use");
    let failed = KeyFileEvent::Failed { fault: KeyFault::NotASet };
    assert_eq!(
        failed.to_string(),
        "the key file changed and cannot be used, and the keys before it stay in use: this is not a JWK set: it has no array `keys`"
    );
}

#[cfg(feature = "config")]
#[test]
fn an_event_of_a_policy_file_names_the_file_and_each_fault_in_one_line() {
    use portcullis::Policy;
    use portcullis::config::PolicyFileEvent;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.toml");
    fs::write(&path, "[[issuer]]\nid = \"https://id.example\"\naudience = \"x\"\n")
        .expect("a file");
    let error = Policy::from_file(&path).expect_err("faults");
    let text = PolicyFileEvent::Failed { error }.to_string();
    let start = format!(
        "the policy file {} is refused, and the policy before it stays in force: line ",
        path.display()
    );
    assert!(text.starts_with(&start), "{text}");
    assert!(text.contains("; line 3: issuer[0].audience: is not a known key"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    assert_eq!(
        PolicyFileEvent::Reloaded.to_string(),
        "the policy file changed, and its new policy is in force"
    );
}

#[test]
fn a_time_is_told_by_how_far_it_is_and_then_by_itself() {
    let now = UnixTime(1_795_885_801);
    let hour = Duration::from_secs(3600);
    for (error, text) in [
        (
            ClaimsError::Expired { at: UnixTime(1_795_885_149), now },
            "the token expired 10 min 52 s ago (`exp` is 1795885149)",
        ),
        (
            ClaimsError::NotYetValid { from: UnixTime(1_795_885_981), now },
            "the token becomes valid in 3 min (`nbf` is 1795885981)",
        ),
        (
            ClaimsError::IssuedInFuture { from: UnixTime(1_795_885_981), now },
            "the token was issued 3 min in the future (`iat` is 1795885981): the clocks of the issuer and of this service differ",
        ),
        (
            ClaimsError::LivesTooLong { lifetime: hour, limit: hour / 4 },
            "the token lives 1 h, and the policy allows 15 min: have the issuer shorten it, or raise `max_lifetime`",
        ),
        (
            // Never "lives 1 h, and the policy allows 1 h".
            ClaimsError::LivesTooLong { lifetime: hour + Duration::from_secs(1), limit: hour },
            "the token lives 1 h 1 s, and the policy allows 1 h: have the issuer shorten it, or raise `max_lifetime`",
        ),
        (
            ClaimsError::TooOld { age: hour, limit: hour / 2 },
            "the token was issued 1 h ago, and the policy allows 30 min (`max_age`)",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_mismatch_names_both_sides() {
    let trusted = [Algorithm::ES384, Algorithm::ES256].into_iter().collect();
    assert_eq!(
        ClaimsError::Algorithm { found: Algorithm::RS256, trusted }.to_string(),
        "the token is signed with RS256, and the policy trusts the issuer with ES256, ES384: if the issuer signs with RS256, add it to the issuer's algorithms"
    );
    for (found, text) in [
        (TypeName::new("JWT"), "the header's `typ` is `JWT`, and only `at+jwt` is accepted"),
        (TypeName::ABSENT, "the header's `typ` is missing, and only `at+jwt` is accepted"),
        (
            TypeName::new("\u{1b}[2J"),
            "the header's `typ` is not a known type, and only `at+jwt` is accepted",
        ),
    ] {
        assert_eq!(ClaimsError::Type { found, accepted: "`at+jwt`" }.to_string(), text);
    }
}

/// Every request moves an error, or room for one.
#[test]
fn an_error_is_no_larger_than_before_it_named_both_sides() {
    assert!(size_of::<portcullis::Error>() <= 48, "{}", size_of::<portcullis::Error>());
}

#[test]
fn keys_that_cannot_be_had_say_why_where_the_source_does() {
    let unavailable = KeysUnavailable::new();
    let text = "the keys of the issuer are not available at the moment";
    assert_eq!(unavailable.to_string(), text);
    let unavailable = unavailable.with_reason("the vault is sealed");
    assert_eq!(unavailable.reason(), Some("the vault is sealed"));
    assert_eq!(unavailable.to_string(), format!("{text}: the vault is sealed"));
}
