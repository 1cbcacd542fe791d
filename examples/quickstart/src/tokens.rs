//! Each kind of token, and what it should get.
use std::time::Duration;

use portcullis::Algorithm;
use portcullis_testkit::{TestIssuer, hostile};

/// A request and the answer that is expected of both servers.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    /// The code of the problem details; a good answer has none.
    pub(crate) code: Option<&'static str>,
    /// Their detail, or the good answer's body.
    pub(crate) detail: &'static str,
}

pub(crate) fn cases(issuer: &TestIssuer) -> Vec<Case> {
    let token = || issuer.token(Algorithm::ES256).expires_in(Duration::from_secs(15 * 60));
    let good = token().mint();
    let unsigned = hostile::none(&good, "none");
    let forged = hostile::public_key_as_secret(&good, issuer.key(Algorithm::ES256));
    let invalid = |detail| Expected { status: 401, code: Some("token-invalid"), detail };
    vec![
        Case {
            name: "good",
            about: "alice's, for 15 minutes",
            expected: Expected { status: 200, code: None, detail: "orders of alice" },
            token: Some(good),
        },
        Case {
            name: "post-quantum",
            about: "bob's, signed by ML-DSA-65",
            token: Some(issuer.token(Algorithm::ML_DSA_65).subject("bob").mint()),
            expected: Expected { status: 200, code: None, detail: "orders of bob" },
        },
        Case {
            name: "expired",
            about: "was good an hour ago",
            token: Some(token().expired().mint()),
            expected: invalid("The access token has expired."),
        },
        Case {
            name: "wrong audience",
            about: "of the same issuer, for another service",
            token: Some(token().audience("https://bills.example").mint()),
            expected: invalid("The access token is not meant for this resource."),
        },
        Case {
            name: "none",
            about: "says that it needs no signature",
            token: Some(unsigned),
            // Its third part is empty, and so it is no token at all.
            expected: invalid("The access token is malformed."),
        },
        Case {
            name: "forged",
            about: "signed by HS256, with the public key as the secret",
            token: Some(forged),
            expected: invalid("The access token could not be verified."),
        },
        Case {
            name: "no token",
            about: "nothing at all",
            token: None,
            expected: Expected {
                status: 401,
                code: Some("token-missing"),
                detail: "This resource needs an access token.",
            },
        },
    ]
}
