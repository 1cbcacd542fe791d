//! Whether who came with a refresh token may go on with its session at all: a pure function, asked before the rule is.
//!
//! A token that was stolen says nothing of who sends it. Where a session is bound to a key, only who shows that key is heard:
//! for anybody else nothing rotates, and nothing is taken for a replay, so that a copy of a token neither opens its session nor
//! ends it.
use crate::session::KeyBinding;

/// Why who came with a token is not heard. Nothing is written, ended or consumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotHeard {
    /// The session is bound to a key, and nobody showed one.
    Bound,
    /// It is bound to another key, or to what this release does not know.
    OtherKey,
    /// It is bound to nothing, and a key was shown, or is asked for.
    Unbound,
}

/// `binding` is what the row says, `shown` the key of a proof that holds.
pub(crate) fn hear(
    binding: Option<&[u8]>,
    shown: Option<&KeyBinding>,
    must_be_bound: bool,
) -> Result<(), NotHeard> {
    match (binding, shown) {
        (None, None) if !must_be_bound => Ok(()),
        // A key that is shown now was not shown at the login: to bind the session to it would give it to whoever stole the
        // token and comes first. To go on without would let the client believe that its token is of no use to a thief.
        (None, _) => Err(NotHeard::Unbound),
        (Some(_), None) => Err(NotHeard::Bound),
        (Some(binding), Some(key)) if key.is_of(binding) => Ok(()),
        (Some(_), Some(_)) => Err(NotHeard::OtherKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_shows_the_key_of_a_session_is_heard() {
        use NotHeard::{Bound, OtherKey, Unbound};
        let (own, other) = (KeyBinding::new([1; 32]), KeyBinding::new([2; 32]));
        let row = own.to_row();
        let later = [&[9], &row[1..]].concat();
        for (binding, shown, must_be_bound, expected) in [
            (None, None, false, Ok(())),
            (None, None, true, Err(Unbound)),
            (None, Some(&own), false, Err(Unbound)),
            (None, Some(&own), true, Err(Unbound)),
            (Some(&row), None, false, Err(Bound)),
            (Some(&row), None, true, Err(Bound)),
            (Some(&row), Some(&own), false, Ok(())),
            (Some(&row), Some(&own), true, Ok(())),
            (Some(&row), Some(&other), false, Err(OtherKey)),
            (Some(&later), Some(&own), false, Err(OtherKey)),
            (Some(&Vec::new()), None, false, Err(Bound)),
            (Some(&Vec::new()), Some(&own), false, Err(OtherKey)),
        ] {
            let heard = hear(binding.map(Vec::as_slice), shown, must_be_bound);
            assert_eq!(heard, expected, "{binding:?} {must_be_bound}");
        }
    }
}
