//! Whether who came with a refresh token may go on with its session at all: a pure function, asked before the rule is.
//!
//! A token that was stolen says nothing of who sends it. Where a session is bound to a key or a certificate, only who shows that
//! is heard: for anybody else nothing rotates, and nothing is taken for a replay, so that a copy of a token neither opens its
//! session nor ends it. Of a session that is bound to both, both are asked for.
use crate::session::Binding;

/// Why who came with a token is not heard. Nothing is written, ended or consumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NotHeard {
    /// The session is bound to a key, and nobody showed one.
    Bound,
    /// It is bound to another key, or to what this release does not know.
    OtherKey,
    /// It is bound to no key, and a key was shown, or is asked for.
    Unbound,
    /// It is bound to a certificate, and nobody showed one.
    CertificateMissing,
    /// It is bound to another certificate.
    OtherCertificate,
    /// It is bound to no certificate, and that is asked for.
    CertificateUnbound,
}

/// What a session must be bound to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct MustBeBound {
    pub(crate) to_key: bool,
    pub(crate) to_certificate: bool,
}

/// `binding` is what the row says, `shown` the key of a proof that holds, and the certificate of the connection.
pub(crate) fn hear(
    binding: Option<&[u8]>,
    shown: &Binding,
    must_be_bound: MustBeBound,
) -> Result<(), NotHeard> {
    let bound = match binding {
        None => Binding::default(),
        Some(binding) => Binding::of_row(binding).ok_or(NotHeard::OtherKey)?,
    };
    match (&bound.key, &shown.key) {
        (None, None) if !must_be_bound.to_key => {}
        // A key that is shown now was not shown at the login: to bind the session to it would give it to whoever stole the
        // token and comes first. To go on without would let the client believe that its token is of no use to a thief.
        (None, _) => return Err(NotHeard::Unbound),
        (Some(_), None) => return Err(NotHeard::Bound),
        (Some(bound), Some(key)) if key.is(bound) => {}
        (Some(_), Some(_)) => return Err(NotHeard::OtherKey),
    }
    match (&bound.certificate, &shown.certificate) {
        // A certificate is not put into a request, as a proof is: it goes along with whatever its connection carries, and says
        // nothing of what the client believes of this token.
        (None, _) if !must_be_bound.to_certificate => Ok(()),
        (None, _) => Err(NotHeard::CertificateUnbound),
        (Some(_), None) => Err(NotHeard::CertificateMissing),
        (Some(bound), Some(certificate)) if certificate.is(bound) => Ok(()),
        (Some(_), Some(_)) => Err(NotHeard::OtherCertificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{CertificateBinding, KeyBinding};

    fn of(key: Option<u8>, certificate: Option<u8>) -> Binding {
        let key = key.map(|byte| KeyBinding::new([byte; 32]));
        Binding { key, certificate: certificate.map(|byte| CertificateBinding::new([byte; 32])) }
    }

    #[test]
    fn only_who_shows_the_key_of_a_session_is_heard() {
        use NotHeard::{Bound, OtherKey, Unbound};
        let nothing = || of(None, None);
        let (own, other) = (|| of(Some(1), None), || of(Some(2), None));
        let row = own().to_row().expect("a key");
        let later = [&[9], &row[1..]].concat();
        for (binding, shown, to_key, expected) in [
            (None, nothing(), false, Ok(())),
            (None, nothing(), true, Err(Unbound)),
            (None, own(), false, Err(Unbound)),
            (None, own(), true, Err(Unbound)),
            (Some(&row), nothing(), false, Err(Bound)),
            (Some(&row), nothing(), true, Err(Bound)),
            (Some(&row), own(), false, Ok(())),
            (Some(&row), own(), true, Ok(())),
            (Some(&row), other(), false, Err(OtherKey)),
            (Some(&later), own(), false, Err(OtherKey)),
            (Some(&later), nothing(), false, Err(OtherKey)),
            (Some(&Vec::new()), nothing(), false, Err(OtherKey)),
            (Some(&Vec::new()), own(), false, Err(OtherKey)),
        ] {
            let must_be_bound = MustBeBound { to_key, to_certificate: false };
            let heard = hear(binding.map(Vec::as_slice), &shown, must_be_bound);
            assert_eq!(heard, expected, "{binding:?} {to_key}");
        }
    }

    /// In every combination of what is bound, shown and asked for, by a rule that is written in another way.
    #[test]
    fn who_is_heard_shows_all_that_the_session_is_bound_to() {
        let each = [None, Some(1), Some(2)];
        let all = || each.into_iter().flat_map(|key| each.map(|certificate| (key, certificate)));
        let mut heard = 0;
        for (bound_key, bound_certificate) in all() {
            let row = of(bound_key, bound_certificate).to_row();
            for (key, certificate) in all() {
                for (to_key, to_certificate) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    let must_be_bound = MustBeBound { to_key, to_certificate };
                    let found = hear(row.as_deref(), &of(key, certificate), must_be_bound);
                    let has_key = key == bound_key && (key.is_some() || !to_key);
                    let has_certificate = match bound_certificate {
                        None => !to_certificate,
                        Some(_) => certificate == bound_certificate,
                    };
                    let what = (bound_key, bound_certificate, key, certificate, must_be_bound);
                    assert_eq!(found.is_ok(), has_key && has_certificate, "{what:?}");
                    heard += usize::from(found.is_ok());
                }
            }
        }
        assert!(heard > 0);
    }

    /// The same 32 bytes, of another kind.
    #[test]
    fn a_certificate_is_never_taken_for_a_key_nor_a_key_for_a_certificate() {
        let any = MustBeBound::default();
        let (key, certificate) = (of(Some(1), None), of(None, Some(1)));
        let row = |binding: &Binding| binding.to_row().expect("bound");
        assert_eq!(hear(Some(&row(&key)), &certificate, any), Err(NotHeard::Bound));
        assert_eq!(hear(Some(&row(&certificate)), &key, any), Err(NotHeard::Unbound));
        assert_eq!(hear(Some(&row(&key)), &key, any), Ok(()));
        assert_eq!(hear(Some(&row(&certificate)), &certificate, any), Ok(()));
        // Each in the other's place.
        let (both, turned) = (of(Some(1), Some(2)), of(Some(2), Some(1)));
        assert_eq!(hear(Some(&row(&both)), &turned, any), Err(NotHeard::OtherKey));
        assert_eq!(hear(Some(&row(&both)), &both, any), Ok(()));
    }

    #[test]
    fn why_nobody_is_heard_names_the_certificate_where_it_is_that() {
        use NotHeard::{CertificateMissing, CertificateUnbound, OtherCertificate};
        let row = of(None, Some(1)).to_row();
        let asked = MustBeBound { to_key: false, to_certificate: true };
        for (binding, shown, must_be_bound, expected) in [
            (None, of(None, None), asked, CertificateUnbound),
            (None, of(None, Some(1)), asked, CertificateUnbound),
            (row.as_deref(), of(None, None), asked, CertificateMissing),
            (row.as_deref(), of(None, None), MustBeBound::default(), CertificateMissing),
            (row.as_deref(), of(None, Some(2)), asked, OtherCertificate),
        ] {
            assert_eq!(hear(binding, &shown, must_be_bound), Err(expected));
        }
    }
}
