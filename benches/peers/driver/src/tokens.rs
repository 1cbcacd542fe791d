use core::time::Duration;

use base64::prelude::*;
use peer::{Case, SUBJECT};
use portcullis::{Algorithm, Clock, SystemClock};
use portcullis_testkit::{TestIssuer, TokenBuilder, hostile};
use serde_json::json;

/// How many different tokens a case goes round, so that nothing learns one by heart.
const TOKENS: usize = 16;

const ISSUER: &str = "https://id.example/realms/main";
const AUDIENCE: &str = "https://orders.example";
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
const YEAR: i64 = 365 * 24 * 60 * 60;

/// A token with one thing wrong.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    /// What a program looks at that refuses it.
    pub(crate) checks: &'static str,
    /// Nobody may accept it.
    pub(crate) is_grave: bool,
    mint: fn(&Tokens) -> String,
}

/// What is tried on each route before anything is measured.
pub(crate) const PROBES: [Probe; 14] = [
    Probe {
        name: "bad signature",
        checks: "signature",
        is_grave: true,
        mint: |tokens| hostile::flip_signature_bit(&tokens.token().mint()),
    },
    Probe {
        name: "`alg` of another kind (the public key as a secret, `none` for HS256)",
        checks: "`alg`",
        is_grave: true,
        mint: |tokens| {
            let (key, token) = (tokens.issuer.key(tokens.algorithm), tokens.token().mint());
            match key.secret() {
                Some(_) => hostile::none(&token, "none"),
                None => hostile::public_key_as_secret(&token, key),
            }
        },
    },
    Probe {
        name: "expired",
        checks: "`exp`",
        is_grave: true,
        mint: |tokens| tokens.token().expired().mint(),
    },
    Probe {
        name: "no `exp`",
        checks: "`exp` present",
        is_grave: false,
        mint: |tokens| tokens.token().without("exp").mint(),
    },
    Probe {
        name: "`nbf` in an hour",
        checks: "`nbf`",
        is_grave: false,
        mint: |tokens| tokens.token().claim("nbf", now() + 3600).mint(),
    },
    Probe {
        name: "another issuer",
        checks: "`iss`",
        is_grave: false,
        mint: |tokens| tokens.token().claim("iss", "https://id.example/realms/other").mint(),
    },
    Probe {
        name: "no `iss`",
        checks: "`iss` present",
        is_grave: false,
        mint: |tokens| tokens.token().without("iss").mint(),
    },
    Probe {
        name: "another audience",
        checks: "`aud`",
        is_grave: true,
        mint: |tokens| tokens.token().audience("https://bills.example").mint(),
    },
    Probe {
        name: "no `aud`",
        checks: "`aud` present",
        is_grave: false,
        mint: |tokens| tokens.token().without("aud").mint(),
    },
    Probe {
        name: "`iat` in an hour",
        checks: "`iat`",
        is_grave: false,
        mint: |tokens| tokens.token().claim("iat", now() + 3600).mint(),
    },
    Probe {
        name: "valid for ten years",
        checks: "lifetime",
        is_grave: false,
        mint: |tokens| tokens.token().expires_at(now() + 10 * YEAR).mint(),
    },
    Probe {
        name: "`typ` of a logout token",
        checks: "`typ`",
        is_grave: false,
        mint: |tokens| tokens.token().typ("logout+jwt").mint(),
    },
    Probe {
        name: "unknown `crit`",
        checks: "`crit`",
        is_grave: false,
        mint: |tokens| {
            // A text, since jsonwebtoken 10 does not read a header with any other unknown member.
            tokens.token().header("crit", json!(["example"])).header("example", "1").mint()
        },
    },
    Probe {
        name: "`cnf`, without a proof",
        checks: "`cnf`",
        is_grave: false,
        mint: |tokens| {
            let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
            tokens.token().claim("cnf", json!({ "jkt": thumbprint })).mint()
        },
    },
];

/// Tokens of one algorithm, good and bad.
pub(crate) struct Tokens {
    algorithm: Algorithm,
    issuer: TestIssuer,
    good: Vec<String>,
    bad: Vec<String>,
}

impl Tokens {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
        let mut tokens = Self { algorithm, issuer, good: Vec::new(), bad: Vec::new() };
        tokens.good = (0..TOKENS).map(|_| tokens.token().mint()).collect();
        tokens.bad = PROBES.iter().map(|probe| (probe.mint)(&tokens)).collect();
        tokens
    }

    /// Those that pass.
    pub(crate) fn good(&self) -> &[String] {
        &self.good
    }

    /// One for each of the [`PROBES`].
    pub(crate) fn bad(&self) -> &[String] {
        &self.bad
    }

    /// What the programs are told: of the tokens only the good ones.
    pub(crate) fn case(&self) -> Case {
        let key = self.issuer.key(self.algorithm);
        let jwk = key.public_jwk().unwrap_or_else(|| {
            let secret = key.secret().expect("what is not public is a secret");
            let k = BASE64_URL_SAFE_NO_PAD.encode(secret);
            json!({ "kty": "oct", "k": k, "kid": key.id(), "alg": self.algorithm.name() })
        });
        Case {
            algorithm: self.algorithm.name().to_owned(),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwk,
            secret: key.secret().map(<[u8]>::to_vec),
            tokens: self.good.clone(),
        }
    }

    /// A token that passes, before it is minted: nine claims.
    fn token(&self) -> TokenBuilder {
        self.issuer
            .token(self.algorithm)
            .expires_in(LIFETIME)
            .subject(SUBJECT)
            .claim("nbf", now())
            .claim("client_id", "orders-web")
            .scope("orders:read orders:write profile")
    }
}

fn now() -> i64 {
    SystemClock.now().0
}
