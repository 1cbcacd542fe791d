use portcullis::UnixTime;
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;

use crate::peer::Peer;
use crate::verify::Output;
use crate::{Refused, Tool, path};

/// `oauth4webapi` of npm as a resource, which decides about requests with bearer and bound tokens
/// (`validateJwtAccessToken`), in a process of its own that ends with this value. Its clock stands still.
#[derive(Debug)]
pub struct Judge(Peer);

/// A request to a resource, as its client means it.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedRequest {
    /// The method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(&'static str, String)>,
}

impl Judge {
    /// Starts it with an issuer's key set at a time, or says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub async fn or_leave_out(
        issuer: &str,
        audience: &str,
        jwks: &str,
        now: UnixTime,
    ) -> Option<Self> {
        if !Tool::Node.or_leave_out() {
            return None;
        }
        let mut command = Command::new("node");
        command.arg(path("provider/judge.mjs")).args([issuer, audience, &now.0.to_string()]);
        let mut peer = Peer::start(command);
        let ready: Value = peer.ask(jwks).await;
        assert_eq!(ready["ready"], true, "{ready}");
        Some(Self(peer))
    }

    /// The subject of a request's token.
    ///
    /// # Errors
    ///
    /// The request is refused.
    ///
    /// # Panics
    ///
    /// There is no answer.
    pub async fn judge(&mut self, request: &JudgedRequest) -> Result<String, Refused> {
        self.0.ask_json::<Output>(request).await.into_result()
    }
}
