//! Proofs that are wrong in one way.
use core::fmt;

use base64::prelude::*;
use portcullis::Algorithm;
use serde_json::{Map, Value, json};

use super::ProofBuilder;
use super::proof::{base64url, text};
use crate::SigningKey;

macro_rules! bad_proofs {
    ($($name:ident = $what:literal,)+) => {
        /// What is wrong with a proof of [`ProofBuilder::mint_bad`]: one thing, so that it is the only reason to refuse it.
        ///
        /// [`Display`](fmt::Display) says it for the message of an assertion.
        ///
        /// ```
        /// use portcullis::Algorithm;
        /// use portcullis_testkit::{BadProof, SigningKey, TestIssuer};
        ///
        /// let issuer = TestIssuer::new("https://id.example");
        /// let key = SigningKey::generate(Algorithm::ES256);
        /// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
        /// for fault in BadProof::ALL {
        ///     let url = "https://api.example/orders";
        ///     let good = issuer.proof(&key, "GET", url).token(&token);
        ///     let bad = good.mint_bad(*fault);
        ///     // Assert that the application refuses it.
        ///     assert_ne!(bad, good.mint(), "a proof {fault}");
        /// }
        /// ```
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum BadProof {
            $(#[doc = concat!("A proof ", $what, ".")] $name,)+
        }

        impl BadProof {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)+
                }
            }
        }
    };
}

bad_proofs! {
    NotAJwt = "that is not a JWT",
    TooLong = "of more than 16 KiB",
    Padded = "whose signature is padded with `=`",
    Joined = "with another one behind a comma",
    Changed = "that was changed after it was signed",
    SignatureMissing = "without a signature",
    OtherSignature = "signed by another key than the one that it brings",
    OtherKey = "of another key than the token's",
    TypeMissing = "without `typ`",
    OtherType = "whose `typ` is `JWT`",
    AlgorithmMissing = "without `alg`",
    AlgorithmNone = "whose `alg` is `none`, without a signature",
    OtherAlgorithm = "whose `alg` is not of its key",
    PublicKeyAsSecret = "whose `alg` is `HS256`, with its public key as the secret",
    KeyMissing = "without `jwk`",
    KeyTwice = "with two `jwk`",
    KeyCut = "whose `jwk` is cut short",
    KeyElsewhere = "with a `jku` beside its `jwk`",
    PrivateKey = "whose `jwk` has a private member",
    SharedSecret = "whose `jwk` is a shared secret, which signed it",
    Critical = "whose `crit` names what nobody knows",
    IdMissing = "without `jti`",
    IdTwice = "with two `jti`",
    IdTooLong = "whose `jti` has 257 bytes",
    IdNumber = "whose `jti` is a number",
    MethodMissing = "without `htm`",
    OtherMethod = "for another method (`htm`)",
    MethodInLowerCase = "whose `htm` is in lower case",
    AddressMissing = "without `htu`",
    OtherScheme = "for another scheme (`htu`)",
    OtherHost = "for another host (`htu`)",
    OtherPort = "for another port (`htu`)",
    OtherPath = "for another path (`htu`)",
    PathAlone = "whose `htu` is a path alone",
    HostAsUser = "whose `htu` has the host before an `@`",
    HashMissing = "without `ath`",
    OtherHash = "for another access token (`ath`)",
    TimeMissing = "without `iat`",
    TimeAsText = "whose `iat` is text",
    TooOld = "that was made an hour ago",
    OfTheFuture = "that was made in an hour",
    Expired = "whose own `exp` was an hour ago",
    NotYet = "whose own `nbf` is in an hour",
    Nested = "with 1000 arrays within each other",
}

const HOUR: i64 = 3_600;

impl BadProof {
    /// Whether it is good where the server gives out nonces: those are the clock, and the client's does not count
    /// (RFC 9449 §11.1).
    pub fn is_good_with_nonces(self) -> bool {
        matches!(self, Self::TooOld | Self::OfTheFuture)
    }
}

/// It stands behind "a proof": "of another key than the token's".
impl fmt::Display for BadProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl ProofBuilder {
    /// The proof, wrong in this way. All else is as it would be in [`mint`](Self::mint).
    ///
    /// What is wrong about a claim is made of the claim as it is now: set it first. At a token endpoint, where no access
    /// token goes along, [`HashMissing`](BadProof::HashMissing), [`OtherHash`](BadProof::OtherHash) and
    /// [`OtherKey`](BadProof::OtherKey) are good proofs.
    #[must_use]
    pub fn mint_bad(&self, fault: BadProof) -> String {
        use BadProof as Bad;
        let own = self.clone();
        match fault {
            Bad::NotAJwt => "not-a-proof".to_owned(),
            Bad::TooLong => own.claim("filler", "x".repeat(13 * 1024)).mint(),
            Bad::Padded => format!("{}==", self.mint()),
            Bad::Joined => format!("{}, {}", self.mint(), own.claim("jti", "another").mint()),
            Bad::Changed => {
                let signed = self.mint();
                let signature = signed.rsplit('.').next().unwrap_or_default();
                format!("{}.{signature}", own.claim("jti", "another").input())
            }
            Bad::SignatureMissing => format!("{}.", self.input()),
            Bad::TypeMissing
            | Bad::OtherType
            | Bad::AlgorithmMissing
            | Bad::AlgorithmNone
            | Bad::OtherAlgorithm
            | Bad::PublicKeyAsSecret
            | Bad::Critical => self.bad_header(fault),
            Bad::OtherSignature
            | Bad::OtherKey
            | Bad::KeyMissing
            | Bad::KeyTwice
            | Bad::KeyCut
            | Bad::KeyElsewhere
            | Bad::PrivateKey
            | Bad::SharedSecret => self.bad_key(fault),
            Bad::AddressMissing
            | Bad::OtherScheme
            | Bad::OtherHost
            | Bad::OtherPort
            | Bad::OtherPath
            | Bad::PathAlone
            | Bad::HostAsUser => self.bad_address(fault),
            _ => self.bad_claim(fault),
        }
    }

    fn bad_header(&self, fault: BadProof) -> String {
        let own = self.clone();
        match fault {
            BadProof::TypeMissing => own.without_header("typ").mint(),
            BadProof::OtherType => own.header("typ", "JWT").mint(),
            BadProof::AlgorithmMissing => own.without_header("alg").mint(),
            BadProof::AlgorithmNone => format!("{}.", own.header("alg", "none").input()),
            BadProof::OtherAlgorithm => {
                let is_elliptic = self.header["jwk"]["kty"] == "EC";
                own.header("alg", if is_elliptic { "RS256" } else { "ES256" }).mint()
            }
            BadProof::PublicKeyAsSecret => {
                let public = self.key.public_pem().unwrap_or_default();
                let secret = SigningKey::from_secret(Algorithm::HS256, public);
                own.header("alg", "HS256").signed_by(&secret).mint()
            }
            _ => own.header("crit", json!(["anything"])).header("anything", true).mint(),
        }
    }

    fn bad_key(&self, fault: BadProof) -> String {
        let own = self.clone();
        let mut jwk = self.header.get("jwk").cloned().unwrap_or_default();
        let bytes = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        match fault {
            BadProof::OtherSignature => {
                own.signed_by(&SigningKey::generate(self.key.algorithm())).mint()
            }
            BadProof::OtherKey => {
                let other = SigningKey::generate(self.key.algorithm());
                own.bringing(&other).signed_by(&other).mint()
            }
            BadProof::KeyMissing => own.without_header("jwk").mint(),
            BadProof::KeyTwice => {
                let other = SigningKey::generate(self.key.algorithm());
                let other = own.clone().bringing(&other).header["jwk"].clone();
                own.with_texts(twice(&self.header, "jwk", &other), text(&self.payload))
            }
            BadProof::KeyCut => {
                let member = match jwk["kty"].as_str() {
                    Some("RSA") => "n",
                    Some("AKP") => "pub",
                    _ => "x",
                };
                let whole = jwk[member].as_str().unwrap_or_default();
                jwk[member] = whole.get(4..).unwrap_or_default().into();
                own.header("jwk", jwk).mint()
            }
            BadProof::KeyElsewhere => own.header("jku", "https://evil.example/jwks").mint(),
            BadProof::PrivateKey => {
                let member = if jwk["kty"] == "AKP" { "priv" } else { "d" };
                jwk[member] = bytes.into();
                own.header("jwk", jwk).mint()
            }
            _ => {
                let secret = SigningKey::from_secret(Algorithm::HS256, [7; 32]);
                let own = own.header("alg", "HS256").signed_by(&secret);
                own.header("jwk", json!({ "kty": "oct", "k": bytes })).mint()
            }
        }
    }

    fn bad_address(&self, fault: BadProof) -> String {
        let address = self.payload.get("htu").and_then(Value::as_str).unwrap_or_default();
        let address = address.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let other = match fault {
            BadProof::AddressMissing => return self.clone().without("htu").mint(),
            BadProof::OtherScheme => {
                let other = if scheme == "https" { "http" } else { "https" };
                format!("{other}://{authority}{path}")
            }
            BadProof::OtherHost => format!("{scheme}://evil.example{path}"),
            BadProof::OtherPort => {
                let port = if authority.ends_with(":8443") { 9443 } else { 8443 };
                format!("{scheme}://{host}:{port}{path}")
            }
            BadProof::OtherPath => format!("{scheme}://{authority}{path}/other"),
            BadProof::PathAlone => path.to_owned(),
            _ => format!("{scheme}://{host}@evil.example{path}"),
        };
        self.clone().claim("htu", other).mint()
    }

    fn bad_claim(&self, fault: BadProof) -> String {
        let own = self.clone();
        let method = self.payload.get("htm").and_then(Value::as_str).unwrap_or_default();
        let made = self.payload.get("iat").and_then(Value::as_i64).unwrap_or_default();
        let own = match fault {
            BadProof::IdMissing => own.without("jti"),
            BadProof::IdTwice => {
                let payload = twice(&self.payload, "jti", &json!("another"));
                return own.with_texts(text(&self.header), payload);
            }
            BadProof::IdTooLong => own.claim("jti", "x".repeat(257)),
            BadProof::IdNumber => own.claim("jti", 1),
            BadProof::MethodMissing => own.without("htm"),
            BadProof::OtherMethod => own.claim("htm", if method == "PUT" { "GET" } else { "PUT" }),
            BadProof::MethodInLowerCase => own.claim("htm", method.to_ascii_lowercase()),
            BadProof::HashMissing => own.without("ath"),
            BadProof::OtherHash => own.token("another"),
            BadProof::TimeMissing => own.without("iat"),
            BadProof::TimeAsText => own.claim("iat", made.to_string()),
            BadProof::TooOld => own.claim("iat", made - HOUR),
            BadProof::OfTheFuture => own.claim("iat", made + HOUR),
            BadProof::Expired => own.claim("exp", made - HOUR),
            BadProof::NotYet => own.claim("nbf", made + HOUR),
            _ => own.claim("nested", (0..1000).fold(json!([]), |inner, _| json!([inner]))),
        };
        own.mint()
    }

    /// With another key in its header.
    fn bringing(self, key: &SigningKey) -> Self {
        self.header("jwk", super::proof::public_part(key))
    }

    fn with_texts(&self, header: String, payload: String) -> String {
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = base64url(self.key.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// An object that has a member once more, before all others.
fn twice(members: &Map<String, Value>, name: &str, value: &Value) -> String {
    text(members).replacen('{', &format!("{{{}:{value},", json!(name)), 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Request;
    use portcullis::dpop::{Dpop, DpopError, InProcessReplays, Nonces, ProofFault, TargetPart};
    use portcullis::{Error, Policy, UnixTime};

    use super::*;
    use crate::TestIssuer;

    const NOW: i64 = 1_800_000_000;
    const URL: &str = "https://api.example/orders";
    const ALGORITHMS: [Algorithm; 6] = [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::Ed25519,
        Algorithm::PS256,
        Algorithm::ML_DSA_44,
        Algorithm::ML_DSA_87,
    ];

    struct Service {
        issuer: TestIssuer,
        policy: Policy,
        replays: InProcessReplays,
    }

    impl Service {
        fn new(change: impl FnOnce(Dpop) -> Dpop) -> Self {
            let issuer = TestIssuer::new("https://bad.example").at(NOW);
            let replays = InProcessReplays::new().started_at(UnixTime(NOW - HOUR));
            let dpop = Dpop::new(replays.clone()).at("https://api.example");
            let dpop = change(dpop.algorithms(ALGORITHMS));
            let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
            Self { issuer, policy, replays }
        }

        fn refuses(&self, token: &str, proof: &str) -> Option<Error> {
            let request = Request::get("/orders")
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", proof)
                .body(())
                .expect("a request");
            self.policy.verify_now(&request).err().map(|rejection| rejection.error().clone())
        }
    }

    fn is_as_meant(fault: BadProof, found: &DpopError) -> bool {
        use BadProof as Bad;
        let claim = |name: &str| matches!(found, DpopError::Proof(ProofFault::Claim { claim }) if *claim == name);
        let proof = |fault: ProofFault| *found == DpopError::Proof(fault);
        let differs = |part| matches!(found, DpopError::Target { differs, .. } if *differs == part);
        match fault {
            Bad::NotAJwt | Bad::Padded | Bad::SignatureMissing | Bad::AlgorithmNone => {
                matches!(found, DpopError::Proof(ProofFault::Form(_)))
            }
            // Of ML-DSA-87, two are too long to be looked at.
            Bad::Joined => {
                matches!(found, DpopError::Proof(ProofFault::Form(_) | ProofFault::TooLong { .. }))
            }
            Bad::TooLong => matches!(found, DpopError::Proof(ProofFault::TooLong { .. })),
            Bad::Changed | Bad::OtherSignature => *found == DpopError::Signature,
            Bad::OtherKey => *found == DpopError::OtherKey,
            Bad::TypeMissing | Bad::OtherType => proof(ProofFault::Type),
            Bad::AlgorithmMissing | Bad::OtherAlgorithm | Bad::PublicKeyAsSecret => {
                proof(ProofFault::Algorithm)
            }
            Bad::KeyMissing => proof(ProofFault::KeyMissing),
            Bad::KeyElsewhere | Bad::Critical => proof(ProofFault::Header),
            Bad::KeyCut | Bad::PrivateKey | Bad::SharedSecret => {
                matches!(found, DpopError::Proof(ProofFault::Key(_)))
            }
            Bad::KeyTwice | Bad::IdTwice | Bad::Nested => {
                matches!(found, DpopError::Proof(ProofFault::Json(_)))
            }
            Bad::IdMissing | Bad::IdTooLong | Bad::IdNumber => claim("jti"),
            Bad::MethodMissing => claim("htm"),
            Bad::OtherMethod | Bad::MethodInLowerCase => *found == DpopError::Method,
            Bad::AddressMissing => claim("htu"),
            Bad::PathAlone | Bad::HostAsUser => {
                matches!(found, DpopError::Proof(ProofFault::Target(_)))
            }
            Bad::OtherScheme => differs(TargetPart::Scheme),
            Bad::OtherHost => differs(TargetPart::Host),
            Bad::OtherPort => differs(TargetPart::Port),
            Bad::OtherPath => differs(TargetPart::Path),
            Bad::HashMissing | Bad::OtherHash => *found == DpopError::TokenHash,
            Bad::TimeMissing | Bad::TimeAsText => claim("iat"),
            Bad::TooOld | Bad::OfTheFuture => matches!(found, DpopError::Window { .. }),
            Bad::Expired | Bad::NotYet => *found == DpopError::NotNow,
        }
    }

    #[test]
    fn each_is_refused_for_what_it_says_and_uses_nothing() {
        let service = Service::new(|dpop| dpop);
        for algorithm in ALGORITHMS {
            let key = SigningKey::generate(algorithm);
            let token = service.issuer.token(Algorithm::ES256).bound_to(&key).mint();
            let good = || service.issuer.proof(&key, "GET", URL).token(&token);
            let before = service.replays.len();
            for fault in BadProof::ALL {
                let found = service.refuses(&token, &good().mint_bad(*fault));
                let Some(Error::Dpop(error)) = &found else {
                    panic!("{algorithm}: a proof {fault}: {found:?}")
                };
                assert!(is_as_meant(*fault, error), "{algorithm}: a proof {fault}: {error}");
            }
            assert_eq!(service.replays.len(), before);
            assert_eq!(service.refuses(&token, &good().mint()), None, "{algorithm}");
        }
    }

    /// Those that speak of an access token, which is not there yet: the documentation of `mint_bad` lists them.
    #[test]
    fn at_a_token_endpoint_each_is_refused_for_what_it_says_unless_it_is_about_an_access_token() {
        let issuer = TestIssuer::new("https://bad.example").at(NOW);
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - HOUR));
        let dpop = Dpop::new(replays).at("https://api.example").algorithms(ALGORITHMS);
        let proofs = dpop.for_token_endpoint().expect("good settings");
        for algorithm in ALGORITHMS {
            let key = SigningKey::generate(algorithm);
            let good = issuer.proof(&key, "POST", "https://api.example/oauth/token");
            let check = |proof: &str| {
                let request = Request::post("/oauth/token").header("dpop", proof);
                let request = request.body(()).expect("a request");
                proofs.check(&request, UnixTime(NOW)).map(|proof| proof.expect("a proof"))
            };
            assert!(check(&good.mint()).is_ok(), "{algorithm}");
            for fault in BadProof::ALL {
                let is_of_token = [BadProof::HashMissing, BadProof::OtherHash, BadProof::OtherKey];
                match check(&good.mint_bad(*fault)) {
                    Ok(_) => assert!(is_of_token.contains(fault), "{algorithm}: a proof {fault}"),
                    Err(error) => {
                        assert!(!is_of_token.contains(fault), "{algorithm}: a proof {fault}");
                        assert!(
                            is_as_meant(*fault, &error),
                            "{algorithm}: a proof {fault}: {error}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn where_nonces_are_given_out_the_clients_clock_does_not_count_and_all_else_does() {
        let service = Service::new(|dpop| dpop.nonces(Nonces::of_this_process()));
        let key = SigningKey::generate(Algorithm::ES256);
        let token = service.issuer.token(Algorithm::ES256).bound_to(&key).mint();
        let request = Request::get("/orders").body(()).expect("a request");
        let refusal = service.policy.verify_now(&request).expect_err("no token").refusal();
        let (_, nonce) =
            refusal.headers().find(|(name, _)| *name == "dpop-nonce").expect("a nonce");
        let nonce = String::from_utf8(nonce.to_vec()).expect("text");
        for fault in BadProof::ALL {
            let good = service.issuer.proof(&key, "GET", URL).token(&token);
            let found = service.refuses(&token, &good.claim("nonce", &*nonce).mint_bad(*fault));
            assert_eq!(found.is_none(), fault.is_good_with_nonces(), "a proof {fault}: {found:?}");
        }
    }

    #[test]
    fn no_two_say_the_same_and_no_two_are_the_same() {
        let names: BTreeSet<_> = BadProof::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), BadProof::ALL.len());
        let issuer = TestIssuer::new("https://bad.example").at(NOW);
        let key = SigningKey::generate(Algorithm::Ed25519);
        let good = issuer.proof(&key, "GET", URL).token("t");
        let proofs: BTreeSet<_> = BadProof::ALL.iter().map(|fault| good.mint_bad(*fault)).collect();
        assert_eq!(proofs.len(), BadProof::ALL.len());
        assert!(!proofs.contains(&good.mint()));
    }
}
