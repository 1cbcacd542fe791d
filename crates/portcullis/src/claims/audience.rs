//! Whom a token is for.
use crate::error::ClaimsError;
use crate::token::Parts;

/// How a token must name this service.
#[derive(Clone, Debug)]
pub(crate) enum AudienceRule {
    /// `aud` has one of these.
    Audiences(Vec<Box<str>>),
    /// There is no `aud`, and `client_id` is one of these.
    ClientIds(Vec<Box<str>>),
}

impl AudienceRule {
    pub(super) fn check(&self, parts: &Parts) -> Result<(), ClaimsError> {
        let payload = parts.text.payload();
        let claims = &parts.payload;
        match (self, &claims.audiences) {
            // RFC 8725 §3.9: without `aud` it is nobody's. Compared byte by byte: no URL rules.
            (Self::Audiences(_), None) => Err(ClaimsError::AudienceMissing),
            (Self::Audiences(ours), Some(theirs)) => {
                let named =
                    theirs.iter().any(|one| ours.iter().any(|our| **our == *one.get(payload)));
                if named { Ok(()) } else { Err(ClaimsError::Audience) }
            }
            // A token that does name an audience was not made under this habit.
            (Self::ClientIds(_), Some(_)) => Err(ClaimsError::Audience),
            (Self::ClientIds(ours), None) => match &claims.client_id {
                None => Err(ClaimsError::Missing { claim: "client_id" }),
                Some(client) if ours.iter().any(|our| **our == *client.get(payload)) => Ok(()),
                Some(_) => Err(ClaimsError::Audience),
            },
        }
    }
}
