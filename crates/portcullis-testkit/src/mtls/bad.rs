//! Bindings to a certificate that are wrong in one way.
use core::fmt;

use aws_lc_rs::digest;
use base64::prelude::*;
use portcullis::Algorithm;
use serde_json::json;

use crate::{SigningKey, TokenBuilder};

macro_rules! bad_bindings {
    ($($name:ident = $what:literal,)+) => {
        /// What is wrong with the binding of a token to a certificate: one thing, so that it is the only reason to refuse it.
        ///
        /// [`Display`](fmt::Display) says it for the message of an assertion.
        ///
        /// ```
        /// use portcullis::Algorithm;
        /// use portcullis_testkit::{BadBinding, TestIssuer};
        ///
        /// let issuer = TestIssuer::new("https://id.example");
        /// let good = issuer.token(Algorithm::ES256);
        /// let der = b"the client's certificate";
        /// for fault in BadBinding::ALL {
        ///     let token = fault.bind(good.clone(), der).mint();
        ///     // Assert that the application refuses it from that client.
        ///     assert!(!token.is_empty(), "a token {fault}");
        /// }
        /// ```
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum BadBinding {
            $(#[doc = concat!("A token ", $what, ".")] $name,)+
        }

        impl BadBinding {
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

bad_bindings! {
    OtherCertificate = "that is bound to another certificate",
    OfPem = "whose `x5t#S256` is of the PEM text",
    Sha1 = "whose `x5t#S256` is SHA-1",
    Hexadecimal = "whose `x5t#S256` is in hexadecimal digits",
    Padded = "whose `x5t#S256` is padded with `=`",
    Cut = "whose `x5t#S256` is cut short",
    List = "whose `x5t#S256` is a list",
    WithoutHashName = "that has `x5t` in place of `x5t#S256`",
    LowerCase = "that has `x5t#s256` in place of `x5t#S256`",
    UnknownAsWell = "that is bound to a key by its id (`kid`) as well",
    KeyAsWell = "that is bound to a key (`jkt`) as well, and comes without a proof",
}

impl fmt::Display for BadBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl BadBinding {
    /// Binds a token to the certificate with this DER, wrongly. What it was bound to before is gone.
    pub fn bind(self, token: TokenBuilder, der: impl AsRef<[u8]>) -> TokenBuilder {
        let der = der.as_ref();
        let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
        let right = BASE64_URL_SAFE_NO_PAD.encode(sha256(der));
        let token = token.without("cnf");
        let of = |value: String| token.clone().confirmed_by("x5t#S256", value);
        match self {
            Self::OtherCertificate => of(BASE64_URL_SAFE_NO_PAD.encode(sha256(&other(der)))),
            Self::OfPem => {
                let text = BASE64_STANDARD.encode(der);
                let pem =
                    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
                of(BASE64_URL_SAFE_NO_PAD.encode(sha256(pem.as_bytes())))
            }
            Self::Sha1 => {
                let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
                of(BASE64_URL_SAFE_NO_PAD.encode(digest))
            }
            Self::Hexadecimal => {
                of(sha256(der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Self::Padded => of(format!("{right}=")),
            Self::Cut => of(right[..right.len() - 1].to_owned()),
            Self::List => token.claim("cnf", json!({ "x5t#S256": [right] })),
            Self::WithoutHashName => token.confirmed_by("x5t", right),
            Self::LowerCase => token.confirmed_by("x5t#s256", right),
            Self::UnknownAsWell => of(right).confirmed_by("kid", "1".to_owned()),
            Self::KeyAsWell => of(right).bound_to(&SigningKey::generate(Algorithm::ES256)),
        }
    }
}

/// The DER of another certificate, as far as anybody looks.
pub(super) fn other(der: &[u8]) -> Vec<u8> {
    let mut other = der.to_vec();
    match other.last_mut() {
        Some(byte) => *byte ^= 1,
        None => other.push(0),
    }
    other
}

#[cfg(test)]
mod tests {
    use portcullis::Error;
    use portcullis::mtls::Mtls;
    use portcullis::request::ClientCertificate;

    use super::*;
    use crate::TestIssuer;

    #[test]
    fn each_is_refused_from_the_client_whose_certificate_it_is() {
        let issuer = TestIssuer::new("https://bindings.example");
        let policy = issuer.policy_builder().mtls(Mtls::from_tls()).build().expect("a policy");
        let der = [0x30, 3, 1, 2, 3];
        let decide = |token: TokenBuilder| {
            let mut request = http::Request::new(());
            let value = format!("Bearer {}", token.mint()).parse().expect("a value");
            request.headers_mut().insert("authorization", value);
            request.extensions_mut().insert(ClientCertificate::presented(der));
            policy.verify_now(&request).map(drop).map_err(|refused| refused.into_error())
        };
        let token = || issuer.token(Algorithm::ES256);
        assert_eq!(decide(token().bound_to_certificate(der)), Ok(()));
        for fault in BadBinding::ALL {
            // Whatever it was bound to.
            let bad = fault.bind(token().bound_to_certificate(der), der);
            let decided = decide(bad);
            let is_of_binding = matches!(decided, Err(Error::Certificate(_) | Error::Claims(_)));
            assert!(is_of_binding, "{fault}: {decided:?}");
        }
        let names: std::collections::BTreeSet<_> =
            BadBinding::ALL.iter().map(|fault| fault.to_string()).collect();
        assert_eq!(names.len(), BadBinding::ALL.len());
    }
}
