use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

/// The rejection of this crate's extractors. Answers as the layer in front of the route would.
#[derive(Debug)]
pub struct Rejection(portcullis::Rejection);

impl Rejection {
    /// Why, for logs: it may name limits and types of the service.
    pub fn error(&self) -> &portcullis::Error {
        self.0.error()
    }

    /// A word for programs, of a closed list: the `code` of the problem details.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// A few words for the client, in English, the same for each refusal of this code.
    pub fn title(&self) -> &'static str {
        self.0.title()
    }

    /// A sentence for the client, in English. `None`: the policy was told to give no details.
    pub fn detail(&self) -> Option<&'static str> {
        self.0.detail()
    }
}

impl From<portcullis::Rejection> for Rejection {
    fn from(rejection: portcullis::Rejection) -> Self {
        Self(rejection)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response::<Body>()
    }
}
