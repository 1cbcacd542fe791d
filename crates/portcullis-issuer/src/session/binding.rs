//! What a session's refresh tokens are bound to: a key, a certificate, or both.
use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::prelude::*;
use portcullis::dpop::GoodProof;
use portcullis::mtls::PresentedCertificate;

/// A row begins with what it speaks of, one bit for each; 32 bytes for each follow, in this order. Another form is of a later
/// release, and nobody shows here that it holds. So a key is never taken for a certificate, or the reverse.
const KEY: u8 = 1;
const CERTIFICATE: u8 = 2;

/// What a session is bound to, or what somebody shows to have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Binding {
    pub(crate) key: Option<KeyBinding>,
    pub(crate) certificate: Option<CertificateBinding>,
}

impl Binding {
    /// What came along with a request.
    pub(crate) fn shown(
        proof: Option<&GoodProof>,
        certificate: Option<&PresentedCertificate>,
    ) -> Self {
        let key = proof.map(|proof| KeyBinding(*proof.thumbprint_bytes()));
        let certificate = certificate.map(|shown| CertificateBinding(*shown.sha256()));
        Self { key, certificate }
    }

    /// What a row says. `None`: it speaks of something else.
    pub(crate) fn of_row(binding: &[u8]) -> Option<Self> {
        let (form, rest) = binding.split_first()?;
        let (digests, rest) = rest.as_chunks::<32>();
        match (*form, digests, rest) {
            (KEY, [key], []) => Some(Self { key: Some(KeyBinding(*key)), certificate: None }),
            (CERTIFICATE, [certificate], []) => {
                Some(Self { key: None, certificate: Some(CertificateBinding(*certificate)) })
            }
            (BOTH, [key, certificate], []) => {
                let certificate = Some(CertificateBinding(*certificate));
                Some(Self { key: Some(KeyBinding(*key)), certificate })
            }
            _ => None,
        }
    }

    /// As a row keeps it. `None`: it is nothing.
    pub(crate) fn to_row(&self) -> Option<Vec<u8>> {
        match (&self.key, &self.certificate) {
            (None, None) => None,
            (Some(KeyBinding(key)), None) => Some([&[KEY], &key[..]].concat()),
            (None, Some(CertificateBinding(certificate))) => {
                Some([&[CERTIFICATE], &certificate[..]].concat())
            }
            (Some(KeyBinding(key)), Some(CertificateBinding(certificate))) => {
                Some([&[BOTH], &key[..], certificate].concat())
            }
        }
    }
}

const BOTH: u8 = KEY | CERTIFICATE;

/// The thumbprint of a key (RFC 7638) that proofs are made with (RFC 9449 §6.1).
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct KeyBinding([u8; 32]);

/// SHA-256 of a certificate that a client presents (RFC 8705 §3.1).
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct CertificateBinding([u8; 32]);

impl KeyBinding {
    #[cfg(test)]
    pub(crate) fn new(thumbprint: [u8; 32]) -> Self {
        Self(thumbprint)
    }

    /// Whether it is this one. In constant time, as everything that a token is held against, though a thumbprint is not secret.
    pub(crate) fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// As tokens say it (`cnf.jkt`).
    pub(crate) fn thumbprint(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl CertificateBinding {
    #[cfg(test)]
    pub(crate) fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Whether it is this one, likewise.
    pub(crate) fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// As tokens say it (`cnf.x5t#S256`).
    pub(crate) fn thumbprint(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Shows no key: it tells one device from another.
impl fmt::Debug for KeyBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBinding").finish_non_exhaustive()
    }
}

/// Shows no certificate: it names a person or a machine.
impl fmt::Debug for CertificateBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateBinding").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(key: Option<u8>, certificate: Option<u8>) -> Binding {
        let key = key.map(|byte| KeyBinding([byte; 32]));
        Binding { key, certificate: certificate.map(|byte| CertificateBinding([byte; 32])) }
    }

    #[test]
    fn a_row_says_what_it_is_bound_to_in_one_way() {
        let (seven, eight) = ([7; 32], [8; 32]);
        for (binding, row) in [
            (bound(Some(7), None), [&[1], &seven[..]].concat()),
            (bound(None, Some(7)), [&[2], &seven[..]].concat()),
            (bound(Some(7), Some(8)), [&[3], &seven[..], &eight].concat()),
            (bound(Some(8), Some(7)), [&[3], &eight[..], &seven].concat()),
        ] {
            assert_eq!(binding.to_row().as_ref(), Some(&row));
            assert_eq!(Binding::of_row(&row), Some(binding));
        }
        assert_eq!(Binding::default().to_row(), None);
    }

    #[test]
    fn a_row_of_another_form_speaks_of_nothing_that_is_known() {
        let both = [3; 65];
        assert!(Binding::of_row(&both).is_some());
        for form in 0..=255 {
            for length in 0..=128 {
                let row = [&[form][..], &vec![3; length]].concat();
                let is_known = matches!((form, length), (1 | 2, 32) | (3, 64));
                assert_eq!(Binding::of_row(&row).is_some(), is_known, "{form} {length}");
            }
        }
        assert_eq!(Binding::of_row(&[]), None);
    }

    #[test]
    fn a_key_and_a_certificate_are_each_one_and_no_other() {
        assert!(KeyBinding([7; 32]).is(&KeyBinding([7; 32])));
        assert!(!KeyBinding([7; 32]).is(&KeyBinding([8; 32])));
        assert!(CertificateBinding([7; 32]).is(&CertificateBinding([7; 32])));
        assert!(!CertificateBinding([7; 32]).is(&CertificateBinding([8; 32])));
    }
}
