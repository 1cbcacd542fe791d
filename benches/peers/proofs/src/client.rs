use core::time::Duration;

use http::Request;
use portcullis::{Algorithm, PolicyBuilder};
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer};

pub(crate) const METHOD: &str = "GET";
/// What a proof names, and what the request is for.
pub(crate) const BASE: &str = "https://orders.example";
pub(crate) const TARGET: &str = "https://orders.example/orders/17";
pub(crate) const URL: &str = "https://orders.example/orders/17?page=2";

pub(crate) const ISSUER: &str = "https://id.example/realms/main";
pub(crate) const AUDIENCE: &str = "https://orders.example";
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// How many tokens take turns, so that nothing learns one by heart.
pub(crate) const TOKENS: usize = 8;

/// A client with a key, and access tokens of ES256: some bound to the key, some to none.
pub(crate) struct Client {
    issuer: TestIssuer,
    key: SigningKey,
    bound: Vec<String>,
    bearer: Vec<String>,
}

/// What a resource is asked with: a token that is bound to a key, and the headers `DPoP`.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) token: String,
    pub(crate) proofs: Vec<String>,
}

impl Client {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
        let key = SigningKey::generate(algorithm);
        let good = || {
            let token = issuer.token(Algorithm::ES256).expires_in(LIFETIME);
            token.typ("at+jwt").claim("client_id", "orders-web").scope("orders:read orders:write")
        };
        let bound = (0..TOKENS).map(|_| good().bound_to(&key).mint()).collect();
        let bearer = (0..TOKENS).map(|_| good().mint()).collect();
        Self { issuer, key, bound, bearer }
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The settings of a policy that trusts the issuer, and no more.
    pub(crate) fn policy_builder(&self) -> PolicyBuilder {
        portcullis::Policy::builder().issuer(self.issuer.trusted(&[Algorithm::ES256]))
    }

    pub(crate) fn token(&self, index: usize) -> &str {
        &self.bound[index % TOKENS]
    }

    /// A new proof of this key for the client's `index`th token, to be made otherwise.
    pub(crate) fn proof_of(&self, key: &SigningKey, index: usize) -> ProofBuilder {
        self.issuer.proof(key, METHOD, TARGET).token(self.token(index))
    }

    pub(crate) fn proof(&self, index: usize) -> String {
        self.proof_of(&self.key, index).mint()
    }

    /// The `index`th token, and a new proof.
    pub(crate) fn ask(&self, index: usize) -> Ask {
        Ask { token: self.token(index).to_owned(), proofs: vec![self.proof(index)] }
    }

    /// The request of a client without a key.
    pub(crate) fn bearer(&self, index: usize) -> Request<()> {
        request(&format!("Bearer {}", self.bearer[index % TOKENS]), &[])
    }
}

impl Ask {
    pub(crate) fn request(&self) -> Request<()> {
        request(&format!("DPoP {}", self.token), &self.proofs)
    }
}

fn request(authorization: &str, proofs: &[String]) -> Request<()> {
    let mut request = Request::builder()
        .method(METHOD)
        .uri(URL)
        .header("host", "orders.example")
        .header("user-agent", "client/1.0")
        .header("accept", "application/json")
        .header("authorization", authorization);
    for proof in proofs {
        request = request.header("dpop", proof);
    }
    request.body(()).expect("a request")
}
