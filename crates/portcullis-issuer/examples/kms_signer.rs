//! Keys that never leave a KMS: what a [`Signer`] has to do, beside a KMS in memory that behaves as they do. It takes its
//! time, fails now and then, and answers DER.
//!
//! `cargo run -p portcullis-issuer --example kms_signer`
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use portcullis::{Algorithm, Encoding, Secret};
use portcullis_issuer::signer::{Signature, Signer, SignerError, SignerKey};
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{AccessToken, TokenIssuer};

/// A KMS. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Kms(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    keys: HashMap<String, EcdsaKeyPair>,
    made: usize,
    /// How long it takes to answer.
    latency: Duration,
    is_away: bool,
}

impl Kms {
    /// Answers after so long from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.with(|state| state.latency = latency);
    }

    /// Fails from now on, or works again.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.with(|state| state.is_away = is_away);
    }

    /// The names of the keys that it has.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.with(|state| state.keys.keys().cloned().collect::<Vec<_>>());
        names.sort();
        names
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A round trip.
    async fn ask<T>(
        &self,
        act: impl FnOnce(&mut State) -> Result<T, SignerError>,
    ) -> Result<T, SignerError> {
        tokio::time::sleep(self.with(|state| state.latency)).await;
        self.with(|state| match state.is_away {
            true => Err(SignerError::new("ThrottlingException")),
            false => act(state),
        })
    }
}

fn failed(_: impl Sized) -> SignerError {
    SignerError::new("InternalException")
}

impl Signer for Kms {
    async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
        if algorithm != Algorithm::ES256 {
            return Err(SignerError::new("this KMS makes keys for ES256 only"));
        }
        self.ask(|state| {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
            let public_key_der = pair.public_key().as_der().map_err(failed)?.as_ref().to_vec();
            state.made += 1;
            let name = format!("projects/orders/keys/{}", state.made);
            state.keys.insert(name.clone(), pair);
            Ok(SignerKey { name, public_key_der })
        })
        .await
    }

    async fn sign(&self, name: &str, _: Algorithm, input: &[u8]) -> Result<Signature, SignerError> {
        self.ask(|state| {
            let pair = state.keys.get(name).ok_or_else(|| SignerError::new("NotFoundException"))?;
            let signature = pair.sign(&SystemRandom::new(), input).map_err(failed)?;
            Ok(Signature::Der(signature.as_ref().to_vec()))
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<(), SignerError> {
        self.ask(|state| {
            state.keys.remove(name);
            Ok(())
        })
        .await
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let kms = Kms::default();
    kms.set_latency(Duration::from_millis(20));
    // Rows are authenticated with it; no private key is sealed, since none is here.
    let root = Secret::encoded("b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo", Encoding::Base64url);
    let issuer = TokenIssuer::builder("https://id.example")
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([root])
        .ring(MemoryRing::new())
        .signer(kms.clone())
        .build()
        .await?;
    let minted = issuer.mint(&AccessToken::of_user("alice", "web")).await?;
    let policy = issuer.policy_builder().build()?;
    let verified = policy.verify_token_now(&minted.token)?;
    println!("a token of {:?}, signed by one of {:?}", verified.subject(), kms.names());
    kms.set_away(true);
    let refused = issuer.mint(&AccessToken::of_user("bob", "web")).await;
    println!("while the KMS is away: {}", refused.expect_err("it cannot sign"));
    Ok(())
}
