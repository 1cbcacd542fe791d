//! Requests that are turned away.
use core::fmt;
use std::sync::LazyLock;

use http::Request;
use portcullis::policy::Verification;
use portcullis::{Algorithm, Policy, Rejection};
use portcullis_testkit::hostile;

use crate::case::{self, Case};

/// Requests that are turned away for one reason.
pub struct Refused {
    name: &'static str,
    policy: Policy,
    request: Request<()>,
    token: Option<String>,
}

impl Refused {
    /// The names of [`all`](Self::all), in the order in which the steps come.
    pub const NAMES: [&str; 10] = [
        "missing",
        "malformed: a foreign byte",
        "malformed: two parts",
        "malformed: a claim twice",
        "unknown algorithm",
        "wrong audience",
        "expired",
        "unknown issuer",
        "unknown key",
        "bad signature",
    ];

    /// Every refusal, of requests that would else carry a token of nine claims by ES256.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Refused>> = LazyLock::new(|| {
            let case = Case::named("ES256");
            let good = case.token(0);
            Refused::NAMES.iter().map(|name| Refused::new(case, name, good)).collect()
        });
        &ALL
    }

    /// The refusal of this name.
    ///
    /// # Panics
    ///
    /// If it is none of [`NAMES`](Self::NAMES).
    pub fn named(name: &str) -> &'static Self {
        Self::all().iter().find(|refused| refused.name == name).expect("a name of a refusal")
    }

    fn new(case: &Case, name: &'static str, good: &str) -> Self {
        let unsigned = || good.rsplit_once('.').expect("a signed token").0;
        let (token, reason) = match name {
            "missing" => (None, "token_missing"),
            "malformed: a foreign byte" => (Some(format!("{good}=")), "malformed"),
            "malformed: two parts" => (Some(unsigned().to_owned()), "malformed"),
            "malformed: a claim twice" => {
                let claims = r#"{"iss":"a","sub":"b","aud":"c","sub":"d"}"#;
                (Some(case.good().raw_payload(claims).mint()), "malformed")
            }
            "unknown algorithm" => {
                (Some(case.good().header("alg", "none").mint()), "unknown_algorithm")
            }
            "wrong audience" => {
                (Some(case.good().audience("https://bills.example").mint()), "wrong_audience")
            }
            "expired" => (Some(case.good().expired().mint()), "expired"),
            "unknown issuer" => {
                (Some(case.good().claim("iss", "https://other.example").mint()), "unknown_issuer")
            }
            "unknown key" => (Some(case.good().key_id("es256-7").mint()), "unknown_key"),
            "bad signature" => (Some(hostile::flip_signature_bit(good)), "bad_signature"),
            _ => unreachable!("a refusal without a token: {name}"),
        };
        debug_assert_eq!(case.algorithm(), Algorithm::ES256);
        let request = case::request(token.as_deref());
        let refused = Self { name, policy: case.policy().clone(), request, token };
        assert_eq!(refused.decide().error().reason(), reason, "{name}");
        refused
    }

    /// The token that is refused.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The policy that refuses.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A request that is refused.
    pub fn request(&self) -> Request<()> {
        case::request(self.token.as_deref())
    }

    /// The decision, without a response.
    ///
    /// # Panics
    ///
    /// If the request is not refused at once.
    pub fn decide(&self) -> Rejection {
        decide(&self.policy, &self.request)
    }
}

/// Why `policy` turns `request` away.
///
/// # Panics
///
/// If it does not do so at once.
pub fn decide(policy: &Policy, request: &Request<()>) -> Rejection {
    match policy.start_verify(request) {
        Verification::Done(Err(rejection)) => rejection,
        _ => panic!("the request is refused at once"),
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({self})")
    }
}
