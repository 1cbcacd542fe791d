use portcullis::{Clock, Issuer, KeySet, Policy, Requirement, TokenType, VerifiedToken};
use serde_json::json;

use super::*;
use crate::key::SigningKey;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const NOW: UnixTime = UnixTime(1_800_000_000);
const LIFETIME: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
struct At(UnixTime);

impl Clock for At {
    fn now(&self) -> UnixTime {
        self.0
    }
}

fn terms() -> TokenTerms {
    TokenTerms::new(ISSUER, &[AUDIENCE.to_owned()], LIFETIME)
}

fn mint<C: Serialize>(what: &AccessToken<C>) -> Result<(Minted, SigningKey), MintError> {
    let (key, _) = SigningKey::generate(Algorithm::ES256).expect("a key");
    let header = TokenHeader::new(key.algorithm(), key.id());
    let unsigned = terms().write(what, &header, NOW, None)?;
    let signature = key.sign(unsigned.input())?;
    Ok((unsigned.signed(&signature), key))
}

/// By a policy that takes RFC 9068 tokens of this issuer alone.
fn verified<C: Serialize>(what: &AccessToken<C>) -> VerifiedToken {
    let (Minted { token, .. }, key) = mint(what).expect("a token");
    let jwk = key.public_jwk().expect("a public part");
    let keys = KeySet::from_jwks(format!(r#"{{"keys":[{jwk}]}}"#)).expect("a key set");
    let issuer = Issuer::new(ISSUER)
        .algorithms([Algorithm::ES256])
        .keys(keys)
        .audience(AUDIENCE)
        .token_types([TokenType::AccessToken]);
    let policy = Policy::builder().issuer(issuer).max_lifetime(LIFETIME).clock(At(NOW));
    policy.build().expect("a policy").verify_token_now(&token).expect("a good token")
}

#[test]
fn a_token_of_a_user_says_what_it_was_given_and_passes_our_own_policy() {
    let what = AccessToken::of_user("alice \"the\" \u{1f600}", "web")
        .session("s-1")
        .subject_version(3)
        .authenticated_at(UnixTime(NOW.0 - 60))
        .acr("urn:example:gold")
        .amr(["pwd", "otp"])
        .scopes(["orders:read"])
        .scopes(["orders:write"])
        .claims(json!({ "tenant": "acme", "seats": [1, 2] }));
    let token = verified(&what);
    assert_eq!(token.subject(), Some("alice \"the\" \u{1f600}"));
    assert_eq!(token.client_id(), Some("web"));
    assert_eq!(token.scopes(), ["orders:read", "orders:write"]);
    assert!(token.is_typed_access_token());
    let claims: Value = serde_json::from_str(token.claims_json()).expect("JSON");
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice \"the\" \u{1f600}", "client_id": "web",
            "iat": NOW.0, "exp": NOW.0 + 900, "jti": token.token_id(), "sid": "s-1",
            "subject_version": 3, "auth_time": NOW.0 - 60, "acr": "urn:example:gold",
            "amr": ["pwd", "otp"], "scope": "orders:read orders:write",
            "tenant": "acme", "seats": [1, 2],
        })
    );
    let recent = Requirement::max_age(Duration::from_secs(120));
    assert!(recent.and(Requirement::scope("orders:write")).check(&token).is_ok());
}

#[test]
fn a_token_of_a_service_names_itself_and_nothing_that_only_users_have() {
    let token = verified(&AccessToken::of_service("billing"));
    assert_eq!((token.subject(), token.client_id()), (Some("billing"), Some("billing")));
    let claims: Value = serde_json::from_str(token.claims_json()).expect("JSON");
    let mut names: Vec<_> = claims.as_object().expect("an object").keys().collect();
    names.sort();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "sub"]);
}

#[test]
fn several_audiences_are_a_list() {
    let terms = TokenTerms::new(ISSUER, &["a".to_owned(), "b".to_owned()], LIFETIME);
    assert_eq!(terms.beginning, r#"{"iss":"https://id.example","aud":["a","b"],"#);
}

#[test]
fn each_token_has_another_id_and_debug_shows_neither_id_nor_token() {
    let what = AccessToken::of_service("billing");
    let ((one, _), (other, _)) = (mint(&what).expect("a token"), mint(&what).expect("a token"));
    assert_ne!(one.token_id, other.token_id);
    assert_eq!(format!("{one:?}"), "Minted { expires_at: UnixTime(1800000900), .. }");
}

#[test]
fn an_own_claim_cannot_have_a_name_that_the_issuer_writes() {
    for claim in RESERVED_CLAIMS {
        let mut own = serde_json::Map::new();
        own.insert(claim.to_owned(), Value::Null);
        let refused = mint(&AccessToken::of_service("billing").claims(own)).err();
        assert_eq!(refused, Some(MintError::Reserved { claim }));
    }
    for own in [json!([1]), json!("x"), json!(null)] {
        let refused = mint(&AccessToken::of_service("billing").claims(own)).err();
        assert_eq!(refused, Some(MintError::NotAnObject));
    }
}

#[test]
fn a_text_that_no_policy_would_take_is_refused_before_it_is_signed() {
    let long = "x".repeat(1025);
    let user = || AccessToken::of_user("alice", "web");
    let text = |claim, length| Some(MintError::Text { claim, length });
    for (what, refused) in [
        (AccessToken::of_user("", "web"), text("sub", 0)),
        (AccessToken::of_user(long.as_str(), "web"), text("sub", 1025)),
        (AccessToken::of_user("alice", ""), text("client_id", 0)),
        (user().session(""), text("sid", 0)),
        (user().acr(long.as_str()), text("acr", 1025)),
        (user().amr(["pwd", ""]), text("amr", 0)),
        (AccessToken::of_user("root\0", "web"), Some(MintError::Nul { claim: "sub" })),
        (AccessToken::of_user("alice", "\0"), Some(MintError::Nul { claim: "client_id" })),
        (user().scopes([""]), Some(MintError::Scope)),
        (user().scopes(["a b"]), Some(MintError::Scope)),
        (user().scopes(["a\"b"]), Some(MintError::Scope)),
        (user().scopes(["\u{e9}"]), Some(MintError::Scope)),
    ] {
        assert_eq!(mint(&what).err(), refused);
    }
}

#[test]
fn claims_that_would_make_a_token_too_long_are_refused() {
    let own = |length: usize| json!({ "text": "x".repeat(length) });
    assert!(mint(&AccessToken::of_service("billing").claims(own(9_000))).is_ok());
    let refused = mint(&AccessToken::of_service("billing").claims(own(11_000))).err();
    assert!(matches!(refused, Some(MintError::TooLong { .. })), "{refused:?}");
}

/// A policy takes 16 KiB unless it is told otherwise, and of those an ML-DSA signature takes up to 6.
#[test]
fn the_largest_token_of_each_algorithm_is_one_that_a_policy_takes() {
    let own = |length: usize| json!({ "text": "x".repeat(length) });
    for (algorithm, most) in [
        (Algorithm::ES256, 10_240),
        (Algorithm::ML_DSA_44, 9_780),
        (Algorithm::ML_DSA_65, 8_889),
        (Algorithm::ML_DSA_87, 7_572),
    ] {
        let (key, _) = SigningKey::generate(algorithm).expect("a key");
        let header = TokenHeader::new(algorithm, key.id());
        let mint = |what: &AccessToken<_>| {
            let unsigned = terms().write(what, &header, NOW, None)?;
            let signature = key.sign(unsigned.input())?;
            Ok::<_, MintError>(unsigned.signed(&signature).token)
        };
        let what = |length| AccessToken::of_service("billing").claims(own(length));
        let Err(MintError::TooLong { length, limit }) = mint(&what(16_000)) else {
            panic!("{algorithm}: too long")
        };
        assert_eq!(limit, most, "{algorithm}");
        let longest = 16_000 - (length - limit);
        let token = mint(&what(longest)).expect("one that fits");
        assert!(token.len() <= 16 * 1024, "{algorithm}: {}", token.len());
        let refused = mint(&what(longest + 1)).err();
        assert_eq!(refused, Some(MintError::TooLong { length: limit + 1, limit }), "{algorithm}");
    }
}

/// The key is published until then, and no longer.
#[test]
fn a_token_does_not_outlive_its_key_in_the_key_set() {
    let (key, _) = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let header = TokenHeader::new(key.algorithm(), key.id());
    let what = AccessToken::of_service("billing");
    let mint = |end| {
        let unsigned = terms().write(&what, &header, NOW, Some(UnixTime(NOW.0 + end)));
        unsigned.map(|unsigned| unsigned.signed(b"signature"))
    };
    assert_eq!(mint(60).map(|minted| minted.expires_at), Ok(UnixTime(NOW.0 + 60)));
    assert_eq!(mint(10_000).map(|minted| minted.expires_at), Ok(UnixTime(NOW.0 + 900)));
    assert_eq!(mint(0).err(), Some(MintError::KeyIsOver));
    assert_eq!(mint(-5).err(), Some(MintError::KeyIsOver));
}
