use core::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::response;

/// The error of this crate's extractors, and why its middleware refuses. Answers as the middleware
/// in front of the route would.
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

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        response::status(self.0.status())
    }

    /// Why stands in the response's extensions.
    fn error_response(&self) -> HttpResponse {
        let refusal = self.0.refusal();
        let mut response = response::response(refusal.status(), refusal.headers(), refusal.body());
        response.extensions_mut().insert(self.0.error().clone());
        response
    }
}
