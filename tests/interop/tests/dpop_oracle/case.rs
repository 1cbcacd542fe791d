//! A request to a resource, made of a good one by changes.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::Algorithm;
use portcullis_interop::JudgedRequest;
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer, TokenBuilder};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "https://api.example";

/// All that tokens and proofs are made with.
pub(crate) struct World {
    pub(crate) issuer: TestIssuer,
    pub(crate) now: i64,
    /// The keys of clients.
    pub(crate) keys: Vec<SigningKey>,
    /// Those of somebody else, in the same order.
    pub(crate) foreign: Vec<SigningKey>,
}

/// A request on its way.
pub(crate) struct Draft<'w> {
    pub(crate) world: &'w World,
    pub(crate) method: String,
    /// What is asked for: path and query.
    pub(crate) target: String,
    /// Of a token, the values of `Authorization`.
    pub(crate) authorization: fn(&str) -> Vec<String>,
    pub(crate) token: TokenBuilder,
    /// The place of the client's key.
    pub(crate) key: usize,
    pub(crate) proof: ProofBuilder,
    pub(crate) htu: String,
    /// How the hash of the token is spelled.
    pub(crate) token_hash: fn(&str) -> String,
    /// Whether its proof has another one, or none.
    pub(crate) has_own_token_hash: bool,
    /// Its `jwk`, where it is changed.
    pub(crate) jwk: Option<Value>,
    pub(crate) spelling: Spelling,
    /// Of a proof, the values of `DPoP`.
    pub(crate) proofs: fn(&str) -> Vec<String>,
}

/// How a proof is spelled, and signed.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    /// Of the JSON of its header, and of its payload.
    pub(crate) header: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) payload: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) encode_header: fn(&[u8]) -> String,
    pub(crate) encode_payload: fn(&[u8]) -> String,
    pub(crate) signature: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) encode_signature: fn(&[u8]) -> String,
    /// By somebody else's key.
    pub(crate) is_foreign: bool,
}

impl Default for Spelling {
    fn default() -> Self {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Self {
            header: |json| json,
            payload: |json| json,
            encode_header: encode,
            encode_payload: encode,
            signature: |bytes| bytes,
            encode_signature: encode,
            is_foreign: false,
        }
    }
}

/// A request, and what was done to it.
pub(crate) struct Case {
    pub(crate) changes: Vec<String>,
    pub(crate) request: JudgedRequest,
    pub(crate) target: String,
    pub(crate) token: String,
}

impl<'w> Draft<'w> {
    /// A good one.
    pub(crate) fn new(
        world: &'w World,
        method: &str,
        target: &str,
        key: usize,
        token: Algorithm,
    ) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        let htu = format!("{BASE}{path}");
        let own = &world.keys[key];
        Self {
            world,
            method: method.to_owned(),
            target: target.to_owned(),
            authorization: |token| vec![format!("DPoP {token}")],
            token: world.issuer.token(token).bound_to(own),
            key,
            proof: world.issuer.proof(own, method, &htu),
            htu,
            token_hash: str::to_owned,
            has_own_token_hash: false,
            jwk: None,
            spelling: Spelling::default(),
            proofs: |proof| vec![proof.to_owned()],
        }
    }

    /// The public key of the client, as a proof brings it.
    pub(crate) fn public_key(&self) -> Value {
        let mut jwk = self.world.keys[self.key].public_jwk().expect("a key pair");
        for member in ["kid", "alg", "use"] {
            jwk.as_object_mut().expect("an object").remove(member);
        }
        jwk
    }

    /// The thumbprint of the client's key.
    pub(crate) fn thumbprint(&self) -> String {
        self.world.keys[self.key].thumbprint().expect("a key pair")
    }

    /// Changes how its proof is built.
    pub(crate) fn change_proof(&mut self, change: impl FnOnce(ProofBuilder) -> ProofBuilder) {
        self.proof = change(self.proof.clone());
    }

    /// Changes how its token is built.
    pub(crate) fn change_token(&mut self, change: impl FnOnce(TokenBuilder) -> TokenBuilder) {
        self.token = change(self.token.clone());
    }

    /// Changes a member of the key that its proof brings.
    pub(crate) fn change_jwk(&mut self, name: &str, value: Value) {
        let mut jwk = self.jwk.take().unwrap_or_else(|| self.public_key());
        jwk[name] = value;
        self.jwk = Some(jwk);
    }

    /// Makes it.
    pub(crate) fn finish(self, changes: Vec<String>) -> Case {
        let token = self.token.mint();
        let mut proof = self.proof.clone();
        if !self.has_own_token_hash {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
            proof = proof.claim("ath", (self.token_hash)(&URL_SAFE_NO_PAD.encode(hash)));
        }
        if let Some(jwk) = &self.jwk {
            proof = proof.header("jwk", jwk.clone());
        }
        let proof = self.spelled(&proof.mint());
        let authorization = (self.authorization)(&token).into_iter();
        let proofs = (self.proofs)(&proof).into_iter();
        let headers = authorization.map(|value| ("authorization", value));
        let headers = headers.chain(proofs.map(|value| ("dpop", value)));
        let url = format!("{BASE}{}", self.target);
        let request = JudgedRequest { method: self.method, url, headers: headers.collect() };
        Case { changes, request, target: self.target, token }
    }

    /// The same proof in its spelling, signed anew.
    fn spelled(&self, proof: &str) -> String {
        let Spelling { header, payload, encode_header, encode_payload, .. } = self.spelling;
        let [head, body] = parts(proof).map(|json| json.to_string().into_bytes());
        let head = encode_header(&header(head));
        let input = format!("{head}.{}", encode_payload(&payload(body)));
        let keys = if self.spelling.is_foreign { &self.world.foreign } else { &self.world.keys };
        let signature = (self.spelling.signature)(keys[self.key].sign(input.as_bytes()));
        format!("{input}.{}", (self.spelling.encode_signature)(&signature))
    }
}

impl Case {
    /// Its proof, or the first of them.
    pub(crate) fn proof(&self) -> Option<&str> {
        let proof = self.request.headers.iter().find(|(name, _)| *name == "dpop");
        proof.map(|(_, proof)| proof.as_str())
    }

    /// Header and claims of its proof: `null` is what cannot be read.
    pub(crate) fn proof_parts(&self) -> [Value; 2] {
        parts(self.proof().unwrap_or_default())
    }

    /// Header and claims of its token.
    pub(crate) fn token_parts(&self) -> [Value; 2] {
        parts(&self.token)
    }
}

/// The JSON of the first two parts, or `null`.
fn parts(jwt: &str) -> [Value; 2] {
    let mut parts = jwt.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    });
    [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
}

/// The thumbprint of a key of Ed25519 (RFC 7638).
pub(crate) fn thumbprint_of_ed25519(x: &str) -> String {
    let text = json!({ "crv": "Ed25519", "kty": "OKP", "x": x });
    let text = format!(r#"{{"crv":{},"kty":{},"x":{}}}"#, text["crv"], text["kty"], text["x"]);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}
