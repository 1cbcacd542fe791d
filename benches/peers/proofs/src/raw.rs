use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::prelude::*;
use portcullis::Algorithm;
use portcullis_testkit::SigningKey;

/// A proof, and the signature as bytes.
pub(crate) struct Signed {
    proof: String,
    /// Up to the second dot.
    input: usize,
    signature: [u8; 64],
}

/// A parsed key, for the signature and nothing else.
pub(crate) type Raw = Box<dyn Fn(&Signed) -> bool>;

impl Signed {
    pub(crate) fn new(proof: String) -> Self {
        let (input, signature) = proof.rsplit_once('.').expect("a signature");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        Self { input: input.len(), signature: signature.try_into().expect("64 bytes"), proof }
    }

    fn input(&self) -> &[u8] {
        &self.proof.as_bytes()[..self.input]
    }
}

/// By aws-lc-rs, by what dpop-verifier brings, and by what huskarl brings.
pub(crate) fn raw(key: &SigningKey) -> [Raw; 3] {
    let der = key.public_der().expect("a key pair");
    let jwk = key.public_jwk().expect("a key pair");
    let number = |name: &str| -> [u8; 32] {
        let text = jwk[name].as_str().expect("a number");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        bytes.try_into().expect("32 bytes")
    };
    if key.algorithm() == Algorithm::ES256 {
        use p256_0_13::ecdsa::signature::Verifier as _;
        use p256_0_14::ecdsa::signature::Verifier as _;

        let aws = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).expect("a key");
        let point = [&[4], &number("x")[..], &number("y")].concat();
        let older = p256_0_13::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a key");
        let newer = p256_0_14::ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a key");
        [
            Box::new(move |it| aws.verify_sig(it.input(), &it.signature).is_ok()),
            Box::new(move |it| {
                let signature = p256_0_13::ecdsa::Signature::from_slice(&it.signature);
                signature.is_ok_and(|signature| older.verify(it.input(), &signature).is_ok())
            }),
            Box::new(move |it| {
                let signature = p256_0_14::ecdsa::Signature::from_slice(&it.signature);
                signature.is_ok_and(|signature| newer.verify(it.input(), &signature).is_ok())
            }),
        ]
    } else {
        use dalek_2::Verifier as _;
        use dalek_3::Verifier as _;

        let aws = ParsedPublicKey::new(&ED25519, der).expect("a key");
        let older = dalek_2::VerifyingKey::from_bytes(&number("x")).expect("a key");
        let newer = dalek_3::VerifyingKey::from_bytes(&number("x")).expect("a key");
        [
            Box::new(move |it| aws.verify_sig(it.input(), &it.signature).is_ok()),
            Box::new(move |it| {
                let signature = dalek_2::Signature::from_bytes(&it.signature);
                older.verify(it.input(), &signature).is_ok()
            }),
            Box::new(move |it| {
                let signature = dalek_3::Signature::from_bytes(&it.signature);
                newer.verify(it.input(), &signature).is_ok()
            }),
        ]
    }
}
