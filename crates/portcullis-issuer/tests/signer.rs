//! Keys at a signer that is slow, fails and answers DER.
#[path = "../examples/kms_signer.rs"]
mod kms_signer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
};
use portcullis::{Algorithm, Secret};
use portcullis_issuer::signer::{Signature, Signer, SignerError, SignerKey};
use portcullis_issuer::store::{MemoryRing, RingStore as _};
use portcullis_issuer::{
    AccessToken, BuildError, IssuerEvent, KeyError, MintError, PrivatePart, RingError, TokenIssuer,
    TokenIssuerBuilder,
};

use self::kms_signer::Kms;

const ISSUER: &str = "https://id.example";

fn builder(
    store: &MemoryRing,
    algorithm: Algorithm,
) -> TokenIssuerBuilder<portcullis_issuer::Complete<MemoryRing>> {
    TokenIssuer::builder(ISSUER)
        .algorithm(algorithm)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
        .ring(store.clone())
        .refreshed_by_hand()
}

async fn issuer(store: &MemoryRing, signer: impl Signer) -> TokenIssuer<MemoryRing> {
    builder(store, Algorithm::ES256).signer(signer).build().await.expect("an issuer")
}

fn alice() -> AccessToken {
    AccessToken::of_user("alice", "web")
}

async fn names_in_rows(store: &MemoryRing) -> Vec<String> {
    let (_, ring) = store.load(ISSUER).await.expect("a store").ring.expect("a ring");
    let mut names = Vec::new();
    for key in ring.keys {
        match key.private {
            Some(PrivatePart::AtSigner { name }) => names.push(name),
            Some(PrivatePart::Sealed(_)) => panic!("a private part is here"),
            None => {}
        }
    }
    names.sort();
    names
}

#[test]
fn the_example_runs() {
    kms_signer::main().expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_key_that_never_leaves_pass_at_every_instance() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    kms.set_latency(Duration::from_secs(2));
    let (one, other) = (issuer(&store, kms.clone()).await, issuer(&store, kms.clone()).await);
    let minted = one.mint(&alice()).await.expect("a token");
    let policy = other.policy_builder().build().expect("a policy");
    assert!(policy.verify_token_now(&minted.token).is_ok());
    assert_eq!(one.key_set(), other.key_set());
    assert_eq!(names_in_rows(&store).await, kms.names());
    assert_eq!(one.mint_now(&alice()).err(), Some(MintError::Waits));
    // An emergency: the key is deleted there, too.
    let signing = one.status().and_then(|it| it.signing().cloned()).expect("a key that signs");
    one.withdraw(&signing.key_id).await.expect("withdrawn");
    assert_eq!(names_in_rows(&store).await, kms.names());
    assert!(!kms.names().contains(&"projects/orders/keys/1".to_owned()));
    let minted = one.mint(&alice()).await.expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_fails_or_takes_too_long_is_unavailable() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let issuer = issuer(&store, kms.clone()).await;
    kms.set_away(true);
    let refused = issuer.mint(&alice()).await.expect_err("it is away");
    assert_eq!(refused, MintError::Signer(SignerError::new("ThrottlingException")));
    assert!(refused.is_unavailable());
    kms.set_away(false);
    kms.set_latency(Duration::from_secs(6));
    let refused = issuer.mint(&alice()).await.expect_err("too long");
    assert_eq!(refused, MintError::Signer(SignerError::new("it did not answer within 5s")));
    kms.set_latency(Duration::from_secs(4));
    assert!(issuer.mint(&alice()).await.is_ok());
}

/// It never answers. What needs no signer is done: the key that stands by takes over, and a reading is a reading.
#[tokio::test(start_paused = true)]
async fn a_signer_that_hangs_holds_up_no_emergency_and_no_reading() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let left = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&left);
    let builder = builder(&store, Algorithm::ES256).signer(kms.clone()).on_event(move |event| {
        if let IssuerEvent::LeftAtSigner { name, .. } = event {
            told.lock().expect("no panic").push(name.clone());
        }
    });
    let issuer = builder.build().await.expect("an issuer");
    let signing = issuer.status().and_then(|it| it.signing().cloned()).expect("a key that signs");
    kms.set_latency(Duration::from_secs(3600));
    let begin = tokio::time::Instant::now();
    issuer.withdraw(&signing.key_id).await.expect("withdrawn");
    assert!(begin.elapsed() < Duration::from_secs(31));
    assert_ne!(issuer.status().expect("a ring").signing().expect("one").key_id, signing.key_id);
    assert!(!issuer.key_set().expect("keys").body.contains(&signing.key_id));
    // It is told what the signer was not heard to delete.
    assert_eq!(*left.lock().expect("no panic"), ["projects/orders/keys/1"]);
    issuer.refresh().await.expect("a ring, without a key that stands by");
    assert_eq!(issuer.status().expect("a ring").keys.len(), 2);
    kms.set_latency(Duration::ZERO);
    issuer.refresh().await.expect("a ring");
    assert_eq!(issuer.status().expect("a ring").keys.len(), 3);
    assert!(issuer.mint(&alice()).await.is_ok());
}

/// A pod without the signer, or with another seal, or a release of before.
#[tokio::test(start_paused = true)]
async fn who_cannot_go_by_a_ring_does_not_change_it() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let good = issuer(&store, kms.clone()).await;
    // A longer lifetime is a change that is due.
    let hour = Duration::from_secs(60 * 60);
    let without = TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(hour)
        .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
        .ring(store.clone())
        .refreshed_by_hand();
    let before = store.load(ISSUER).await.expect("a store").ring;
    let refused = without.build().await;
    assert!(matches!(refused, Err(BuildError::Ring(RingError::NoSigner { .. }))), "{refused:?}");
    assert_eq!(store.load(ISSUER).await.expect("a store").ring, before);
    good.refresh().await.expect("a ring");
}

/// As with a name that the program chose itself.
#[tokio::test(start_paused = true)]
async fn a_signer_that_gives_the_same_key_twice_is_told_so_and_keeps_it() {
    struct Same(Kms, Mutex<Option<SignerKey>>);
    impl Signer for Same {
        async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
            let made = self.0.create(algorithm).await?;
            Ok(self.1.lock().expect("no panic").get_or_insert(made).clone())
        }
        async fn sign(
            &self,
            name: &str,
            algorithm: Algorithm,
            input: &[u8],
        ) -> Result<Signature, SignerError> {
            self.0.sign(name, algorithm, input).await
        }
        async fn delete(&self, name: &str) -> Result<(), SignerError> {
            self.0.delete(name).await
        }
    }
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let signer = Same(kms.clone(), Mutex::default());
    let built = builder(&store, Algorithm::ES256).signer(signer).build().await;
    let Err(BuildError::Ring(RingError::Key(refused))) = built else { panic!("{built:?}") };
    assert_eq!(refused, KeyError::GivenBefore);
    assert_eq!(store.load(ISSUER).await.expect("a store").ring, None);
}

/// An answer that is not a key of the curve would be published, and no instance could go by the ring any more.
#[tokio::test(start_paused = true)]
async fn a_key_of_a_signer_that_nobody_could_verify_with_never_gets_into_the_ring() {
    struct Off(Kms);
    impl Signer for Off {
        async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
            let mut key = self.0.create(algorithm).await?;
            let last = key.public_key_der.len() - 1;
            key.public_key_der[last] ^= 1;
            Ok(key)
        }
        async fn sign(&self, _: &str, _: Algorithm, _: &[u8]) -> Result<Signature, SignerError> {
            Err(SignerError::new("it is not asked"))
        }
        async fn delete(&self, name: &str) -> Result<(), SignerError> {
            self.0.delete(name).await
        }
    }
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let built = builder(&store, Algorithm::ES256).signer(Off(kms.clone())).build().await;
    let error = KeyError::OfSigner { algorithm: Algorithm::ES256 };
    let Err(BuildError::Ring(RingError::Key(refused))) = built else { panic!("{built:?}") };
    assert_eq!((refused, kms.names().len()), (error, 0));
    assert_eq!(store.load(ISSUER).await.expect("a store").ring, None);
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_is_away_when_a_ring_is_made_leaves_none() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    kms.set_away(true);
    let refused = builder(&store, Algorithm::ES256).signer(kms.clone()).build().await;
    assert!(matches!(refused, Err(BuildError::Ring(RingError::Signer(_)))), "{refused:?}");
    assert_eq!(store.load(ISSUER).await.expect("a store").ring, None);
}

/// Another's key, another algorithm's form, and nothing at all.
struct Liar(Kms, fn(Vec<u8>) -> Signature);

impl Signer for Liar {
    async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
        self.0.create(algorithm).await
    }

    async fn sign(
        &self,
        name: &str,
        algorithm: Algorithm,
        input: &[u8],
    ) -> Result<Signature, SignerError> {
        match self.0.sign(name, algorithm, input).await? {
            Signature::Der(der) => Ok((self.1)(der)),
            Signature::Jose(_) => Err(SignerError::new("it answers DER")),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), SignerError> {
        self.0.delete(name).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_not_verify_never_leaves() {
    let lies: [fn(Vec<u8>) -> Signature; 5] = [
        // DER, said to be what a token has.
        Signature::Jose,
        |mut der| {
            let last = der.len() - 1;
            der[last] ^= 1;
            Signature::Der(der)
        },
        |der| Signature::Der(der[..8].to_vec()),
        |_| Signature::Der(Vec::new()),
        |_| Signature::Jose(vec![0; 64]),
    ];
    for lie in lies {
        let store = MemoryRing::new();
        let issuer = issuer(&store, Liar(Kms::default(), lie)).await;
        assert_eq!(issuer.mint(&alice()).await.err(), Some(MintError::NotSigned));
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_the_signer_says_what_it_lacks() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let with = issuer(&store, kms.clone()).await;
    let without = builder(&store, Algorithm::ES256).build().await;
    let Err(BuildError::Ring(RingError::NoSigner { key_id })) = without else {
        panic!("{without:?}")
    };
    let status = with.status().expect("a ring");
    assert!(status.keys.iter().any(|key| key.key_id == key_id));
}

/// From keys that are here to keys at a signer: the ring has both for a while.
#[tokio::test(start_paused = true)]
async fn a_ring_goes_over_to_a_signer_without_a_gap() {
    let (store, kms) = (MemoryRing::new(), Kms::default());
    let before = builder(&store, Algorithm::EdDSA).build().await.expect("an issuer");
    let minted = before.mint(&alice()).await.expect("a token");
    let after = issuer(&store, kms.clone()).await;
    assert!(after.mint_now(&alice()).is_ok(), "a key that is here signs still");
    assert_eq!(kms.names(), [""; 0]);
    // The next ones are made there.
    for _ in 0..2 {
        let status = after.status().expect("a ring");
        after.withdraw(&status.signing().expect("one").key_id).await.expect("withdrawn");
    }
    assert_eq!(after.mint_now(&alice()).err(), Some(MintError::Waits));
    let policy = after.policy_builder().build().expect("a policy");
    let token = after.mint(&alice()).await.expect("a token").token;
    assert!(policy.verify_token_now(&token).is_ok());
    assert!(policy.verify_token_now(&minted.token).is_err(), "its key was withdrawn");
}

/// A key of another curve, and something that is not a key.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_for_the_algorithm_is_refused_and_deleted() {
    struct Odd(Kms, fn(&mut Vec<u8>));
    impl Signer for Odd {
        async fn create(&self, _: Algorithm) -> Result<SignerKey, SignerError> {
            let mut key = self.0.create(Algorithm::ES256).await?;
            (self.1)(&mut key.public_key_der);
            Ok(key)
        }
        async fn sign(&self, _: &str, _: Algorithm, _: &[u8]) -> Result<Signature, SignerError> {
            Err(SignerError::new("it is not asked"))
        }
        async fn delete(&self, name: &str) -> Result<(), SignerError> {
            self.0.delete(name).await
        }
    }
    type Case = (Algorithm, fn(&mut Vec<u8>));
    let cases: [Case; 4] = [
        (Algorithm::ES384, |_| {}),
        (Algorithm::RS256, |_| {}),
        (Algorithm::EdDSA, |_| {}),
        (Algorithm::ES256, |der| der.truncate(20)),
    ];
    for (algorithm, change) in cases {
        let (store, kms) = (MemoryRing::new(), Kms::default());
        let built = builder(&store, algorithm).signer(Odd(kms.clone(), change)).build().await;
        let Err(BuildError::Ring(RingError::Key(KeyError::OfSigner { algorithm: told }))) = built
        else {
            panic!("{built:?}")
        };
        assert_eq!((told, kms.names().len()), (algorithm, 0));
        assert_eq!(store.load(ISSUER).await.expect("a store").ring, None);
    }
}

/// A KMS that makes keys of ML-DSA and gives their public parts as RFC 9881 has them.
#[derive(Clone, Default)]
struct PostQuantum(Arc<Mutex<Vec<PqdsaKeyPair>>>);

impl Signer for PostQuantum {
    async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
        let signing = match algorithm {
            Algorithm::ML_DSA_44 => &ML_DSA_44_SIGNING,
            Algorithm::ML_DSA_65 => &ML_DSA_65_SIGNING,
            _ => &ML_DSA_87_SIGNING,
        };
        let pair = PqdsaKeyPair::generate(signing).expect("a key");
        let der = pair.public_key().as_der().expect("SPKI");
        let mut keys = self.0.lock().expect("no panic");
        keys.push(pair);
        let name = (keys.len() - 1).to_string();
        Ok(SignerKey { name, public_key_der: der.as_ref().to_vec() })
    }

    async fn sign(&self, name: &str, _: Algorithm, input: &[u8]) -> Result<Signature, SignerError> {
        let place: usize = name.parse().map_err(|_| SignerError::new("no such key"))?;
        let pair = &self.0.lock().expect("no panic")[place];
        let mut signature = vec![0; pair.algorithm().signature_len()];
        pair.sign(input, &mut signature).expect("a signature");
        Ok(Signature::Jose(signature))
    }

    async fn delete(&self, _: &str) -> Result<(), SignerError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_signs_with_ml_dsa_and_its_rows_are_read_by_others() {
    for algorithm in [Algorithm::ML_DSA_44, Algorithm::ML_DSA_65, Algorithm::ML_DSA_87] {
        let (store, kms) = (MemoryRing::new(), PostQuantum::default());
        let build = async || {
            let issuer = builder(&store, algorithm).signer(kms.clone()).build().await;
            issuer.expect("an issuer")
        };
        let (one, other) = (build().await, build().await);
        let minted = one.mint(&alice()).await.expect("a token");
        let policy = other.policy_builder().build().expect("a policy");
        let token = policy.verify_token_now(&minted.token).expect("a good token");
        assert_eq!(token.algorithm(), algorithm);
        assert_eq!(one.key_set(), other.key_set());
    }
}
