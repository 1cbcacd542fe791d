use portcullis::Algorithm;
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::peer::Peer;
use crate::{Provider, Tool, path};

/// A library of others that makes proofs (DPoP, RFC 9449).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DpopLibrary {
    /// `openid-client` of npm: a client of OpenID Connect.
    OpenIdClient,
    /// `oauth4webapi` of npm: the parts that the one before is made of.
    Oauth4WebApi,
    /// `dpop` of npm: proofs, and nothing else.
    Dpop,
    /// `requests-oauth2client` of Python.
    RequestsOauth2Client,
}

impl DpopLibrary {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OpenIdClient, Self::Oauth4WebApi, Self::Dpop, Self::RequestsOauth2Client];

    /// Whether it sends a request again with the nonce that a service asks for. Where it does not, its user has to.
    #[must_use]
    pub fn asks_again_with_a_nonce(self) -> bool {
        matches!(self, Self::OpenIdClient | Self::RequestsOauth2Client)
    }

    /// Whether it takes the next nonce from an answer that is no refusal, and so is not asked for it.
    #[must_use]
    pub fn keeps_nonces_of_successes(self) -> bool {
        self != Self::RequestsOauth2Client
    }

    /// What it calls a key of Ed25519: `EdDSA` by RFC 8037, or `Ed25519` by RFC 9864.
    fn name_of(self, algorithm: Algorithm) -> &'static str {
        match (self, algorithm) {
            (Self::RequestsOauth2Client, Algorithm::Ed25519) => Algorithm::EdDSA.name(),
            _ => algorithm.name(),
        }
    }
}

/// A client that has the provider bind an access token to a key of its own, and sends it with proofs, in a process of its
/// own that ends with this value.
#[derive(Debug)]
pub struct DpopClient {
    peer: Peer,
    token: String,
    at_the_provider: Vec<Exchange>,
}

/// A request that went over the wire, and what came back.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The header `DPoP`.
    pub proof: Option<String>,
    /// The status.
    pub status: u16,
    /// The header `WWW-Authenticate`: all of its lines, joined.
    pub challenge: Option<String>,
    /// The header `DPoP-Nonce`.
    pub nonce: Option<String>,
}

/// What a library made of a request.
#[derive(Clone, Debug, Deserialize)]
pub struct Answered {
    /// The status and the body that its user sees.
    pub status: Option<u16>,
    /// The body that its user sees.
    pub body: Option<String>,
    /// The name of the error that its user sees instead.
    pub refused: Option<String>,
    /// Whether that error tells its user to ask again with a nonce.
    #[serde(default)]
    pub wants_nonce: bool,
    /// What went over the wire, in order.
    pub exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Ready {
    token: String,
    exchanges: Vec<Exchange>,
}

impl DpopClient {
    /// Starts one with a new key and a token for the [audience](Provider::audience) of ES256.
    ///
    /// # Panics
    ///
    /// It does not start, or gets no token.
    pub async fn start(library: DpopLibrary, provider: &Provider, algorithm: Algorithm) -> Self {
        let node = |name| {
            let mut command = Command::new("node");
            command.arg(path("provider/dpop_client.mjs")).arg(name);
            command
        };
        let mut command = match library {
            DpopLibrary::OpenIdClient => node("openid-client"),
            DpopLibrary::Oauth4WebApi => node("oauth4webapi"),
            DpopLibrary::Dpop => node("dpop"),
            DpopLibrary::RequestsOauth2Client => {
                let mut command = Command::new(path(".venv/bin/python"));
                command.arg(path("python/dpop_client.py"));
                command
            }
        };
        let audience = Provider::audience(Algorithm::ES256);
        command.args([provider.issuer(), &audience, library.name_of(algorithm)]);
        let mut peer = Peer::start(command);
        let Ready { token, exchanges } = peer.next().await;
        Self { peer, token, at_the_provider: exchanges }
    }

    /// Whether it can be started, next to a provider. If not, says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required.
    #[must_use]
    pub fn or_leave_out(library: DpopLibrary) -> bool {
        library != DpopLibrary::RequestsOauth2Client || Tool::Python.or_leave_out()
    }

    /// Its access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How it came by that.
    pub fn at_the_provider(&self) -> &[Exchange] {
        &self.at_the_provider
    }

    /// Has it send a request with its token.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub async fn ask(&mut self, method: &str, url: &str, body: Option<&str>) -> Answered {
        self.ask_again(method, url, body, 0).await
    }

    /// The same, where what sends its requests, below the library, sends one again so many times if its connection breaks. The
    /// clients of npm send with `fetch`, which cannot be told to.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub async fn ask_again(
        &mut self,
        method: &str,
        url: &str,
        body: Option<&str>,
        retries: usize,
    ) -> Answered {
        let request = json!({ "method": method, "url": url, "body": body, "retries": retries });
        self.peer.ask_json(&request).await
    }
}
