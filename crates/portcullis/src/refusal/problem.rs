//! The body of a refusal: problem details (RFC 9457).
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::{Presentation, Texts};

impl Presentation {
    /// Problem details (RFC 9457) of this code, title and detail.
    pub(super) fn problem(&self, status: StatusCode, (code, title, detail): Texts) -> Bytes {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
            code: &'a str,
        }
        let problem = Problem {
            r#type: match self.problem_base.get() {
                Some(base) => format!("{base}{code}"),
                None => "about:blank".to_owned(),
            },
            title: match self.problem_base.get() {
                Some(_) => title,
                None => status.canonical_reason().unwrap_or(title),
            },
            status: status.as_u16(),
            detail: (!self.without_details).then_some(detail),
            code,
        };
        serde_json::to_vec(&problem).map(Bytes::from).unwrap_or_default()
    }
}
