//! Whether a token has to say where its status is (Token Status List §6.1).
use crate::error::{ClaimsError, Error};
use crate::token::{StatusClaim, TokenError};
use crate::verified::VerifiedToken;

/// What a policy asks of the claim.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum StatusRule {
    /// The policy does not look at it.
    #[default]
    Unread,
    Optional,
    Required,
}

impl StatusRule {
    /// Refuses a token whose status could never be told, by its own fault.
    pub(crate) fn check(self, token: &VerifiedToken) -> Result<(), Error> {
        if self == Self::Unread {
            return Ok(());
        }
        match token.status() {
            StatusClaim::Malformed => Err(TokenError::ClaimType { claim: "status" }.into()),
            StatusClaim::Absent if self == Self::Required => {
                Err(ClaimsError::Missing { claim: "status" }.into())
            }
            StatusClaim::Absent | StatusClaim::Listed(_) => Ok(()),
        }
    }
}
