use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

/// The rejection of this crate's extractors. Answers as the layer in front of the route would.
#[derive(Debug)]
pub struct Rejection(portcullis::Rejection);

impl Rejection {
    /// Why.
    pub fn error(&self) -> &portcullis::Error {
        self.0.error()
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
