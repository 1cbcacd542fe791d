//! Public keys of any origin, checked once, for every algorithm that they can serve.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyFault, Thumbprint, VerificationKey};
use crate::signature::{Algorithm, Verifier};

/// RSA bounds: RFC 7518 §3.3 asks for 2048; beyond 8192 a single verification costs milliseconds.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// AWS-LC verifies nothing under a longer one, but says so only with the first signature.
const EXPONENT_BITS: usize = 33;

/// What is public about a key.
pub(crate) enum PublicKey {
    /// Big-endian numbers, perhaps with leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Affine coordinates of the curve's length.
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519([u8; 32]),
    /// FIPS 204 §7.2, of the parameter set's length.
    MlDsa {
        parameters: ParameterSet,
        key: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// What `crv` calls it (RFC 7518 §6.2.1.1).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate.
    pub(super) fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// RFC 7518 §3.4 ties each algorithm to one curve.
    fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
            Self::P521 => Algorithm::ES512,
        }
    }
}

/// One of the three of ML-DSA (FIPS 204 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ParameterSet {
    N44,
    N65,
    N87,
}

impl ParameterSet {
    /// RFC 9964 §5 ties each algorithm to one of them.
    pub(super) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::ML_DSA_44 => Some(Self::N44),
            Algorithm::ML_DSA_65 => Some(Self::N65),
            Algorithm::ML_DSA_87 => Some(Self::N87),
            _ => None,
        }
    }

    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::N44 => Algorithm::ML_DSA_44,
            Self::N65 => Algorithm::ML_DSA_65,
            Self::N87 => Algorithm::ML_DSA_87,
        }
    }

    /// Bytes of a public key (FIPS 204, table 2).
    pub(super) fn length(self) -> usize {
        match self {
            Self::N44 => 1312,
            Self::N65 => 1952,
            Self::N87 => 2592,
        }
    }
}

impl PublicKey {
    /// A point in the encoding of SEC 1 §2.3.4. Compressed points are rare enough to be turned away.
    pub(crate) fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyFault> {
        let length = curve.length();
        match point.split_first() {
            Some((4, point)) if point.len() == 2 * length => {
                Ok(Self::Ec { curve, x: point[..length].to_vec(), y: point[length..].to_vec() })
            }
            Some((2 | 3, _)) => Err(KeyFault::Unsupported),
            _ => Err(KeyFault::NotOnCurve),
        }
    }

    /// The verification keys it gives: one for `algorithm`, or one for each that it can serve.
    pub(super) fn prepare(
        &self,
        algorithm: Option<Algorithm>,
        id: Option<&str>,
    ) -> Result<Vec<VerificationKey>, KeyFault> {
        let able = self.algorithms();
        let algorithms = match algorithm {
            None => able,
            Some(algorithm) if able.contains(&algorithm) => match self {
                // One key serves either name of Ed25519: which is accepted, the policy lists.
                Self::Ed25519(_) => able,
                _ => vec![algorithm],
            },
            Some(algorithm) => return Err(KeyFault::AlgorithmMismatch { algorithm }),
        };
        self.check()?;
        let thumbprint = Arc::new(self.thumbprint());
        algorithms
            .into_iter()
            .map(|algorithm| {
                let verifier = self.verifier(algorithm)?;
                let thumbprint = Some(Arc::clone(&thumbprint));
                let key = VerificationKey::new(algorithm, id, verifier);
                Ok(VerificationKey { thumbprint, weight: self.weight(), ..key })
            })
            .collect()
    }

    /// RFC 7638 §3, RFC 8037 §2 and RFC 9964 §6: the hash of the JWK with nothing but what makes the key, its
    /// members in order, its numbers as short as they can be.
    pub(super) fn thumbprint(&self) -> Thumbprint {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match self {
            Self::Rsa { modulus, exponent } => {
                let [n, e] = [modulus, exponent].map(|number| text(significant(number)));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Self::Ec { curve, x, y } => {
                let (crv, x, y) = (curve.name(), text(x), text(y));
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Ed25519(x) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))
            }
            Self::MlDsa { parameters, key } => {
                let (alg, key) = (parameters.algorithm(), text(key));
                format!(r#"{{"alg":"{alg}","kty":"AKP","pub":"{key}"}}"#)
            }
        };
        Thumbprint::of(&jwk)
    }

    /// How many of [`MAX_CANDIDATES`](super::MAX_CANDIDATES) it counts for, by what its signatures cost.
    fn weight(&self) -> usize {
        let doubled = |is_costly: bool| if is_costly { 2 } else { 1 };
        match self {
            Self::Rsa { modulus, exponent } => {
                let [modulus, exponent] =
                    [modulus, exponent].map(|number| length_in_bits(significant(number)));
                doubled(modulus > 4096) * doubled(exponent > 17)
            }
            Self::Ec { curve, .. } => doubled(*curve != Curve::P256),
            Self::Ed25519(_) | Self::MlDsa { .. } => 1,
        }
    }

    /// What a JWK calls its type and its curve.
    pub(super) fn kind(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Rsa { .. } => ("RSA", None),
            Self::Ec { curve, .. } => ("EC", Some(curve.name())),
            Self::Ed25519(_) => ("OKP", Some("Ed25519")),
            Self::MlDsa { .. } => ("AKP", None),
        }
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        use Algorithm::{Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa { .. } => vec![RS256, RS384, RS512, PS256, PS384, PS512],
            Self::Ec { curve, .. } => vec![curve.algorithm()],
            Self::Ed25519(_) => vec![EdDSA, Ed25519],
            Self::MlDsa { parameters, .. } => vec![parameters.algorithm()],
        }
    }

    /// What the crypto library does not check when it parses.
    fn check(&self) -> Result<(), KeyFault> {
        match self {
            Self::Rsa { modulus, exponent } => {
                let modulus = significant(modulus);
                let bits = length_in_bits(modulus);
                if !MODULUS_BITS.contains(&bits) {
                    return Err(KeyFault::ModulusSize { bits });
                }
                if is_even(modulus) {
                    return Err(KeyFault::ModulusEven);
                }
                let exponent = significant(exponent);
                if is_even(exponent) || exponent == [1] || length_in_bits(exponent) > EXPONENT_BITS
                {
                    return Err(KeyFault::Exponent);
                }
                Ok(())
            }
            // The library checks that the point is on the curve.
            Self::Ec { curve, x, y } => {
                if x.len() != curve.length() || y.len() != curve.length() {
                    return Err(KeyFault::NotOnCurve);
                }
                Ok(())
            }
            Self::Ed25519(key) if is_small_order(key) => Err(KeyFault::SmallOrder),
            // Every text of this length is a key (FIPS 204 §7.2, algorithm 23). The library would take one of another length,
            // too: SPKI in DER.
            Self::MlDsa { parameters, key } if key.len() != parameters.length() => {
                Err(KeyFault::Der)
            }
            Self::Ed25519(_) | Self::MlDsa { .. } => Ok(()),
        }
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<Verifier, KeyFault> {
        match self {
            Self::Rsa { modulus, exponent } => {
                Verifier::rsa(algorithm, significant(modulus), significant(exponent))
                    .ok_or(KeyFault::Exponent)
            }
            Self::Ec { x, y, .. } => {
                // SEC 1 §2.3.3: uncompressed.
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                Verifier::ec(algorithm, &point).ok_or(KeyFault::NotOnCurve)
            }
            // Whether it is a point at all, the library asks with each signature.
            Self::Ed25519(key) => Verifier::ed25519(key).ok_or(KeyFault::NotOnCurve),
            Self::MlDsa { key, .. } => Verifier::ml_dsa(algorithm, key).ok_or(KeyFault::Der),
        }
    }
}

/// A big-endian number without leading zeros.
pub(super) fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// How long a number without leading zeros is.
fn length_in_bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Nothing at all is zero, and even.
fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|last| last % 2 == 0)
}

/// Whether an Ed25519 point is of order 1, 2, 4 or 8, in any encoding. Under the identity, the
/// equation that verifies a signature no longer depends on the message.
fn is_small_order(key: &[u8; 32]) -> bool {
    /// The `y` of the small-order points, little-endian, the two above the field's prime
    /// included. The list stands in "Taming the many EdDSAs" (Chalkias et al., 2020, table 6c)
    /// and in libsodium's `ge25519_has_small_order`.
    const SMALL: [[u8; 32]; 7] = [
        // 0: order 4
        [0; 32],
        // 1: the identity
        {
            let mut y = [0; 32];
            y[0] = 1;
            y
        },
        // order 8
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        // order 8
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
        // p - 1: order 2
        near_prime(0xec),
        // p: another spelling of 0
        near_prime(0xed),
        // p + 1: another spelling of 1
        near_prime(0xee),
    ];
    const fn near_prime(first: u8) -> [u8; 32] {
        let mut y = [0xff; 32];
        y[0] = first;
        y[31] = 0x7f;
        y
    }
    let mut y = *key;
    y[31] &= 0x7f; // the sign of x
    SMALL.contains(&y)
}

#[cfg(test)]
mod tests {
    use Algorithm::{
        ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512,
    };

    use super::*;

    fn rsa(modulus: Vec<u8>, exponent: &[u8]) -> PublicKey {
        PublicKey::Rsa { modulus, exponent: exponent.to_vec() }
    }

    /// An odd number of so many bits. Whether it has two prime factors, nobody can tell.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut number = vec![0xa5; bits.div_ceil(8)];
        number[0] = 1 << ((bits - 1) % 8);
        number
    }

    fn algorithms(
        key: &PublicKey,
        algorithm: Option<Algorithm>,
    ) -> Result<Vec<Algorithm>, KeyFault> {
        let keys = key.prepare(algorithm, None)?;
        Ok(keys.iter().map(VerificationKey::algorithm).collect())
    }

    #[test]
    fn an_rsa_modulus_has_2048_to_8192_bits() {
        for bits in [2048, 2049, 3072, 4096, 8191, 8192] {
            let key = rsa(modulus(bits), &[1, 0, 1]);
            assert_eq!(algorithms(&key, Some(RS256)), Ok(vec![RS256]), "{bits}");
        }
        for bits in [1, 512, 1024, 2040, 2047, 8193, 16384] {
            let key = rsa(modulus(bits), &[1, 0, 1]);
            assert_eq!(algorithms(&key, Some(RS256)), Err(KeyFault::ModulusSize { bits }));
        }
    }

    #[test]
    fn an_even_rsa_modulus_is_refused() {
        let mut even = modulus(2048);
        *even.last_mut().unwrap() ^= 1;
        assert_eq!(algorithms(&rsa(even, &[1, 0, 1]), None), Err(KeyFault::ModulusEven));
    }

    #[test]
    fn an_rsa_exponent_is_odd_and_of_2_to_33_bits() {
        for exponent in [&[3][..], &[5], &[17], &[1, 0, 1], &[1, 255, 255, 255, 255]] {
            let key = rsa(modulus(2048), exponent);
            assert_eq!(algorithms(&key, Some(PS256)), Ok(vec![PS256]), "{exponent:?}");
        }
        for exponent in
            [&[][..], &[0], &[1], &[0, 1], &[2], &[4], &[1, 0, 0], &[2, 0, 0, 0, 1], &[255; 256]]
        {
            let key = rsa(modulus(2048), exponent);
            assert_eq!(algorithms(&key, None), Err(KeyFault::Exponent), "{exponent:?}");
        }
    }

    #[test]
    fn the_crypto_library_parses_rsa_keys_that_it_could_not_or_should_not_verify_with() {
        let mut even = modulus(2048);
        *even.last_mut().unwrap() ^= 1;
        for (what, modulus, exponent) in [
            ("512 bits", modulus(512), &[1, 0, 1][..]),
            ("16384 bits", modulus(16384), &[1, 0, 1]),
            ("even", even, &[1, 0, 1]),
            ("e = 1", modulus(2048), &[1]),
            ("e = 2", modulus(2048), &[2]),
            ("e of 34 bits", modulus(2048), &[2, 0, 0, 0, 1]),
        ] {
            assert!(Verifier::rsa(RS256, &modulus, exponent).is_some(), "{what}");
        }
    }

    #[test]
    fn each_kind_of_key_serves_its_algorithms() {
        let base_point = include_str!("../../tests/vectors/pem/p256-spki.pem");
        let [p256] = &super::super::pem::read_pem(base_point.as_bytes()).unwrap()[..] else {
            panic!("one key")
        };
        assert_eq!(algorithms(p256, None), Ok(vec![ES256]));
        assert_eq!(algorithms(p256, Some(ES256)), Ok(vec![ES256]));
        let mismatch = |algorithm| Err(KeyFault::AlgorithmMismatch { algorithm });
        for algorithm in [ES384, ES512, RS256, EdDSA, Algorithm::HS256] {
            assert_eq!(algorithms(p256, Some(algorithm)), mismatch(algorithm));
        }
        let rsa = rsa(modulus(2048), &[1, 0, 1]);
        assert_eq!(algorithms(&rsa, None), Ok(vec![RS256, RS384, RS512, PS256, PS384, PS512]));
        assert_eq!(algorithms(&rsa, Some(PS512)), Ok(vec![PS512]));
        assert_eq!(algorithms(&rsa, Some(Algorithm::HS256)), mismatch(Algorithm::HS256));
        // RFC 8032 §7.1, test 1.
        let ed25519 = PublicKey::Ed25519([
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ]);
        for algorithm in [None, Some(EdDSA), Some(Ed25519)] {
            assert_eq!(algorithms(&ed25519, algorithm), Ok(vec![EdDSA, Ed25519]));
        }
        assert_eq!(algorithms(&ed25519, Some(ES256)), mismatch(ES256));
    }

    /// What the library would take without the check of the length: RFC 9881 §4 around the same key.
    #[test]
    fn the_crypto_library_takes_an_ml_dsa_key_in_two_spellings_and_this_one_in_one() {
        for (parameters, last, length) in [
            (ParameterSet::N44, 17, [5, 0x32]),
            (ParameterSet::N65, 18, [7, 0xb2]),
            (ParameterSet::N87, 19, [0x0a, 0x32]),
        ] {
            let algorithm = parameters.algorithm();
            let key = vec![7; parameters.length()];
            let bits = u16::from_be_bytes(length) - 17;
            let front = [
                &[0x30, 0x82][..],
                &length,
                &[0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, last],
                &[0x03, 0x82],
                &bits.to_be_bytes(),
                &[0],
            ]
            .concat();
            let spki = [front, key.clone()].concat();
            assert!(Verifier::ml_dsa(algorithm, &spki).is_some(), "{algorithm}");
            let of = |key| algorithms(&PublicKey::MlDsa { parameters, key }, None);
            assert_eq!(of(spki.clone()), Err(KeyFault::Der));
            assert_eq!(of(key.clone()), Ok(vec![algorithm]));
            // As SPKI, it is the same key.
            let read = super::super::pem::read_der(&spki).expect("SPKI");
            let raw = PublicKey::MlDsa { parameters, key: key.clone() };
            assert_eq!(read.thumbprint().as_str(), raw.thumbprint().as_str());
            // RFC 9881 §2: without parameters, not even a NULL.
            let mut with_null = spki.clone();
            with_null.splice(17..17, [5, 0]);
            (with_null[3], with_null[5]) = (with_null[3] + 2, 0x0d);
            assert_eq!(super::super::pem::read_der(&with_null).err(), Some(KeyFault::Der));
            // Of another parameter set, the length does not fit.
            let mut other = spki;
            other[16] = if last == 17 { 18 } else { 17 };
            assert_eq!(super::super::pem::read_der(&other).err(), Some(KeyFault::Der));
        }
    }

    #[test]
    fn a_key_counts_for_more_the_longer_its_signatures_take() {
        let e = &[1, 0, 1][..];
        let long = &[1, 255, 255, 255, 255][..];
        for (bits, exponent, weight) in [
            (2048, e, 1),
            (4096, e, 1),
            (4097, e, 2),
            (8192, e, 2),
            (2048, long, 2),
            (8192, long, 4),
        ] {
            assert_eq!(rsa(modulus(bits), exponent).weight(), weight, "{bits} {exponent:?}");
        }
        for (curve, weight) in [(Curve::P256, 1), (Curve::P384, 2), (Curve::P521, 2)] {
            let key = PublicKey::Ec { curve, x: Vec::new(), y: Vec::new() };
            assert_eq!(key.weight(), weight, "{curve:?}");
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638_and_rfc_8037() {
        // RFC 7638 §3.1; a zero in front, as DER has it, changes nothing.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let modulus = URL_SAFE_NO_PAD.decode(n).unwrap();
        for modulus in [modulus.clone(), [vec![0], modulus].concat()] {
            let key = rsa(modulus, &[0, 1, 0, 1]);
            assert_eq!(key.thumbprint().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        }
        // RFC 8037 §A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = PublicKey::Ed25519(x.try_into().unwrap());
        assert_eq!(key.thumbprint().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_coordinate_of_another_length_is_refused_even_if_both_together_would_fit() {
        let pem = include_str!("../../tests/vectors/pem/p256-spki.pem");
        let keys = super::super::pem::read_pem(pem.as_bytes()).unwrap();
        let Some(PublicKey::Ec { x, y, .. }) = keys.first() else { panic!("a key on P-256") };
        let point = [x.as_slice(), y].concat();
        for at in [0, 31, 33, 64] {
            let (x, y) = (point[..at].to_vec(), point[at..].to_vec());
            let key = PublicKey::Ec { curve: Curve::P256, x, y };
            assert_eq!(algorithms(&key, None), Err(KeyFault::NotOnCurve), "{at}");
        }
    }

    #[test]
    fn an_ed25519_key_that_is_no_point_verifies_nothing() {
        // y = 2 has no x. The library finds out with the first signature.
        let mut y = [0; 32];
        y[0] = 2;
        let keys = PublicKey::Ed25519(y).prepare(None, None).unwrap();
        // R = the identity, or the key itself; S = 0.
        let identity = [&[1][..], &[0; 63]].concat();
        let itself = [&y[..], &[0; 32]].concat();
        for signature in [vec![0; 64], identity, itself] {
            assert!(!keys[0].verifier().verify(b"", &signature));
        }
    }

    #[test]
    fn the_points_of_small_order_are_the_seven_of_the_list_with_either_sign() {
        let mut found = 0;
        // Around 0 and around the field's prime, where five of them are.
        for first in 0..=255 {
            for fill in [0, 0xff] {
                let mut key = [fill; 32];
                key[0] = first;
                for last in [fill & 0x7f, fill | 0x80] {
                    key[31] = last;
                    found += usize::from(is_small_order(&key));
                }
            }
        }
        assert_eq!(found, 10);
    }
}
