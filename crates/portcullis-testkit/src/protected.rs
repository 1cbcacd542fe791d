//! Whether routes are closed to those without a token. Each framework asks its own way; what is
//! asked and what must come back stands here.
use core::fmt::{self, Write};

/// What a route is asked with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    NoToken,
    NotAToken,
}

impl Probe {
    /// The second is only asked where the first was refused: an open route has been called once,
    /// and that is enough.
    pub(crate) const ALL: [Self; 2] = [Self::NoToken, Self::NotAToken];

    /// The value of the `Authorization` header.
    pub(crate) fn authorization(self) -> Option<&'static str> {
        match self {
            Self::NoToken => None,
            Self::NotAToken => Some("Bearer not-a-token"),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "without a token",
            Self::NotAToken => "with `Authorization: Bearer not-a-token`",
        })
    }
}

/// What a route answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether a `WWW-Authenticate` challenges for the `Bearer` scheme.
    pub(crate) challenges: bool,
    /// Why, if Portcullis answered.
    pub(crate) why: Option<portcullis::Error>,
}

impl Answer {
    pub(crate) fn new<'a>(
        status: u16,
        mut challenges: impl Iterator<Item = &'a [u8]>,
        why: Option<&portcullis::Error>,
    ) -> Self {
        // RFC 9110 §11.6.1: a field may hold several challenges, ours or another's first.
        let is_bearer = |field: &[u8]| {
            field.split(|byte| *byte == b',').any(|one| {
                let scheme = one.trim_ascii().split(|byte| *byte == b' ').next();
                scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer"))
            })
        };
        Self { status, challenges: challenges.any(is_bearer), why: why.cloned() }
    }

    /// Why this is not what a protected route answers.
    fn fault(&self) -> Option<String> {
        let Self { status, challenges, why } = self;
        match (status, why) {
            (401, _) if *challenges => None,
            (401, _) => Some("401 without `WWW-Authenticate: Bearer`".to_owned()),
            (404 | 405, _) => Some(format!("{status}: is there such a route?")),
            (_, Some(why)) => Some(format!("{status}: {why}")),
            (_, None) => Some(status.to_string()),
        }
    }
}

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    walked: usize,
    offenders: Vec<String>,
}

impl Report {
    pub(crate) fn walks(&mut self) {
        self.walked += 1;
    }

    /// Whether the route may be asked on.
    pub(crate) fn note(
        &mut self,
        (method, path): (&str, &str),
        probe: Probe,
        answer: Result<Answer, String>,
    ) -> bool {
        let fault = match answer {
            Ok(answer) => answer.fault().map(|fault| format!("answered {fault}")),
            Err(error) => Some(format!("failed: {error}")),
        };
        let is_refused = fault.is_none();
        self.offenders.extend(fault.map(|fault| format!("{method} {path}: {probe} it {fault}")));
        is_refused
    }

    /// Panics if there was an offender, or nothing to walk.
    pub(crate) fn conclude(self, hint: &str) {
        let Self { walked, offenders } = self;
        assert!(walked > 0, "no routes were given to `assert_protected`");
        if offenders.is_empty() {
            return;
        }
        let mut message = format!("{} of {walked} routes are not protected:", offenders.len());
        for offender in offenders {
            _ = write!(message, "\n  - {offender}");
        }
        panic!("{message}\nA protected route answers 401 with `WWW-Authenticate: Bearer`. {hint}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, challenges: &[&str]) -> Option<String> {
        let challenges = challenges.iter().map(|text| text.as_bytes());
        Answer::new(status, challenges, None).fault()
    }

    #[test]
    fn a_bearer_challenge_protects_in_any_case_and_among_others() {
        for challenge in [
            "Bearer",
            "bearer",
            "Bearer realm=\"x\"",
            "Basic realm=\"x\", Bearer",
            "DPoP algs=\"ES256\", Bearer error=\"invalid_token\"",
        ] {
            assert_eq!(fault(401, &[challenge]), None, "{challenge}");
        }
        assert_eq!(fault(401, &["Basic", "Bearer"]), None);
    }

    #[test]
    fn anything_else_does_not() {
        let unchallenged = Some("401 without `WWW-Authenticate: Bearer`".to_owned());
        assert_eq!(fault(401, &[]), unchallenged);
        for challenge in ["Basic", "Bearerish", "Basic realm=\"Bearer\"", ""] {
            assert_eq!(fault(401, &[challenge]), unchallenged, "{challenge}");
        }
        assert_eq!(fault(200, &["Bearer"]), Some("200".to_owned()));
        assert_eq!(fault(404, &[]), Some("404: is there such a route?".to_owned()));
    }

    #[test]
    #[should_panic(expected = "no routes were given")]
    fn an_empty_list_proves_nothing() {
        Report::default().conclude("");
    }
}
