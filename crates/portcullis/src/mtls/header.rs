//! Headers in which a proxy that terminates TLS says which certificate its client presented.
use core::fmt;
use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use crate::signature::sha256;
use crate::text::pem_blocks;

/// The longest value that is read: that of a certificate with an RSA key of 4096 bits has 3 KB, with a chain behind it some 10 KB.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

/// The alphabet of RFC 4648 §4. What reads structured fields takes a value without padding, too (RFC 9651 §4.2.7).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which header a proxy writes, and how: for [`Mtls::from_header`](super::Mtls::from_header).
///
/// Each form has one spelling here. What differs from it is refused, and not guessed at.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct CertificateHeader {
    pub(super) name: String,
    pub(super) form: Form,
}

/// How a certificate is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    StructuredField,
    Xfcc,
    EscapedPem,
    EscapedPemChain,
    Base64Der,
    HexSha256,
}

impl CertificateHeader {
    /// `Client-Cert`, with the certificate as a byte sequence of structured fields (RFC 9440 §2.2): `:MIIC…:`.
    pub fn client_cert() -> Self {
        Self::new("client-cert", Form::StructuredField)
    }

    /// `X-Forwarded-Client-Cert` of Envoy, with one element. Its `Hash` or its `Cert` counts, and where it has both they must agree.
    ///
    /// Envoy must be told to write it anew (`forward_client_cert_details: SANITIZE_SET`). What `APPEND_FORWARD` leaves in front is the
    /// client's own, and several elements are refused. What `FORWARD_ONLY` and `ALWAYS_FORWARD_ONLY` send is the client's own alone, and
    /// nobody can tell that from Envoy's.
    ///
    /// The details `uri` and `dns` had better be off: Envoy writes what they say without quotes, and a certificate with a comma or a quote there is
    /// refused.
    pub fn xfcc() -> Self {
        Self::new("x-forwarded-client-cert", Form::Xfcc)
    }

    /// A header of this name with the certificate as PEM, percent-encoded: nginx's `$ssl_client_escaped_cert`.
    pub fn escaped_pem(name: impl Into<String>) -> Self {
        Self::new(name, Form::EscapedPem)
    }

    /// `X-Amzn-Mtls-Clientcert-Leaf`, which an Application Load Balancer of AWS writes in its mode *verify*.
    pub fn aws_alb_verify() -> Self {
        Self::new("x-amzn-mtls-clientcert-leaf", Form::EscapedPem)
    }

    /// `X-Amzn-Mtls-Clientcert`, which an Application Load Balancer of AWS writes in its mode *passthrough*: the client's chain, of which the
    /// first certificate is the client's own.
    pub fn aws_alb_passthrough() -> Self {
        Self::new("x-amzn-mtls-clientcert", Form::EscapedPemChain)
    }

    /// A header of this name with the certificate as DER in base64: `HAProxy`'s `ssl_c_der,base64`, and `X-ARR-ClientCert` of Azure.
    pub fn base64_der(name: impl Into<String>) -> Self {
        Self::new(name, Form::Base64Der)
    }

    /// A header of this name with SHA-256 of the certificate's DER in hexadecimal digits: `CloudFront-Viewer-Cert-Sha256`. nginx's
    /// `$ssl_client_fingerprint` is SHA-1, and is refused.
    pub fn hex_sha256(name: impl Into<String>) -> Self {
        Self::new(name, Form::HexSha256)
    }

    fn new(name: impl Into<String>, form: Form) -> Self {
        Self { name: name.into().to_ascii_lowercase(), form }
    }

    /// The name of the header, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a proxy writes of the certificate with this DER: for a test that stands in for one.
    ///
    /// Of Envoy's header it is the `Hash`, and of a chain the first certificate alone.
    ///
    /// ```
    /// use portcullis::mtls::CertificateHeader;
    ///
    /// let header = CertificateHeader::client_cert();
    /// assert_eq!(header.name(), "client-cert");
    /// assert_eq!(header.value_of([0x30, 0x00]), ":MAA=:");
    /// ```
    #[must_use]
    pub fn value_of(&self, der: impl AsRef<[u8]>) -> String {
        let der = der.as_ref();
        let hex = || sha256(der).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self.form {
            Form::StructuredField => format!(":{}:", BASE64.encode(der)),
            Form::Xfcc => format!("Hash={}", hex()),
            Form::EscapedPem | Form::EscapedPemChain => {
                utf8_percent_encode(&pem(der), NON_ALPHANUMERIC).to_string()
            }
            Form::Base64Der => BASE64.encode(der),
            Form::HexSha256 => hex(),
        }
    }
}

/// RFC 7468 §5: lines of 64.
fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(feature = "explain")]
impl Form {
    /// What policy files call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StructuredField => "client_cert",
            Self::Xfcc => "xfcc",
            Self::EscapedPem => "escaped_pem",
            Self::EscapedPemChain => "escaped_pem_chain",
            Self::Base64Der => "base64_der",
            Self::HexSha256 => "hex_sha256",
        }
    }

    /// What it holds, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::StructuredField => "a certificate between colons (RFC 9440)",
            Self::Xfcc => "one element of Envoy, with `Hash` or `Cert`",
            Self::EscapedPem => "a certificate as percent-encoded PEM",
            Self::EscapedPemChain => "a chain as percent-encoded PEM, the client's own first",
            Self::Base64Der => "a certificate as DER in base64",
            Self::HexSha256 => "SHA-256 of a certificate in 64 hexadecimal digits",
        }
    }
}

/// Why the value of a header is not a certificate.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateHeaderFault {
    /// It is longer than 16 KiB.
    TooLong,
    /// There are several values: at which one did the proxy look?
    Several,
    /// It is not what this form has.
    Form,
    /// It is not base64, or not the only spelling of what it is.
    Base64,
    /// It is base64 of PEM, where this form has base64 of DER.
    PemInBase64,
    /// It is not a single PEM block `CERTIFICATE`, with nothing around it.
    Pem,
    /// It is not SHA-256 in 64 hexadecimal digits.
    Digest,
    /// The digest is not that of the certificate beside it.
    Disagree,
}

impl fmt::Display for CertificateHeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 16 KiB",
            Self::Several => {
                "it has several values: the proxy must replace what its client sent, and write one"
            }
            Self::Form => "it is not written in the form that the policy names",
            Self::Base64 => "it is not base64",
            Self::PemInBase64 => {
                "it is base64 of PEM, and has to be base64 of DER: PEM is base64 already, without its first and last line"
            }
            Self::Pem => "it is not one percent-encoded PEM block `CERTIFICATE`",
            Self::Digest => {
                "it has no SHA-256 of 64 hexadecimal digits, without colons (40 digits are SHA-1)"
            }
            Self::Disagree => "its digest is not that of its certificate",
        })
    }
}

impl core::error::Error for CertificateHeaderFault {}

/// SHA-256 of the certificate that a value says. `None`: it says that there is none.
pub(super) fn read(form: Form, value: &[u8]) -> Result<Option<[u8; 32]>, CertificateHeaderFault> {
    if value.len() > MAX_LENGTH {
        return Err(CertificateHeaderFault::TooLong);
    }
    let value = value.trim_ascii();
    if value.is_empty() {
        return Ok(None);
    }
    let digest = match form {
        Form::StructuredField => {
            let inner = value.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":"));
            sha256_of_der(inner.ok_or(CertificateHeaderFault::Form)?)?
        }
        Form::Base64Der => sha256_of_der(value)?,
        Form::HexSha256 => hex_digest(value)?,
        Form::EscapedPem => sha256_of_pem(value, Following::Nothing)?,
        Form::EscapedPemChain => sha256_of_pem(value, Following::Chain)?,
        Form::Xfcc => xfcc(value)?,
    };
    Ok(Some(digest))
}

fn sha256_of_der(base64: &[u8]) -> Result<[u8; 32], CertificateHeaderFault> {
    let der = BASE64.decode(base64).map_err(|_| CertificateHeaderFault::Base64)?;
    if der.is_empty() {
        return Err(CertificateHeaderFault::Base64);
    }
    // No DER begins so. Its hash would be that of no certificate.
    if der.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(CertificateHeaderFault::PemInBase64);
    }
    Ok(sha256(&der))
}

fn hex_digest(digits: &[u8]) -> Result<[u8; 32], CertificateHeaderFault> {
    if digits.len() != 64 {
        return Err(CertificateHeaderFault::Digest);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (digit(pair[0]), digit(pair[1]));
        *byte = high
            .zip(low)
            .map(|(high, low)| high << 4 | low)
            .ok_or(CertificateHeaderFault::Digest)?;
    }
    Ok(digest)
}

/// What may stand behind a certificate.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Following {
    Nothing,
    /// Those of who issued it.
    Chain,
}

fn sha256_of_pem(escaped: &[u8], following: Following) -> Result<[u8; 32], CertificateHeaderFault> {
    const FAULT: CertificateHeaderFault = CertificateHeaderFault::Pem;
    // Never as a form does it: `+` is a digit of base64.
    let text: Cow<'_, [u8]> = percent_decode(escaped).into();
    let text = text.trim_ascii();
    let is_framed = text.starts_with(b"-----BEGIN CERTIFICATE-----")
        && text.ends_with(b"-----END CERTIFICATE-----");
    let blocks = pem_blocks(text).filter(|_| is_framed).ok_or(FAULT)?;
    let are_certificates = blocks.iter().all(|block| block.tag() == "CERTIFICATE");
    if !are_certificates || has_text_between(text) {
        return Err(FAULT);
    }
    match &*blocks {
        [own] => Ok(sha256(own.contents())),
        [own, ..] if following == Following::Chain => Ok(sha256(own.contents())),
        _ => Err(FAULT),
    }
}

/// Whether something stands between the end of a block and the beginning of the next, which the reader of blocks passes over.
fn has_text_between(text: &[u8]) -> bool {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    memchr::memmem::find_iter(text, END).any(|at| {
        let rest = text[at + END.len()..].trim_ascii_start();
        !rest.is_empty() && !rest.starts_with(b"-----BEGIN")
    })
}

/// One element of pairs, which `;` separates. A value in quotes may hold `,`, and has `\;` for a semicolon and `\"` for a quote.
fn xfcc(value: &[u8]) -> Result<[u8; 32], CertificateHeaderFault> {
    let (mut digest, mut certificate) = (None, None);
    let mut rest = value;
    loop {
        let equals = memchr::memchr(b'=', rest).ok_or(CertificateHeaderFault::Form)?;
        let (key, after) = (rest[..equals].trim_ascii(), &rest[equals + 1..]);
        let (value, after) = xfcc_value(after)?;
        let twice = if key.eq_ignore_ascii_case(b"hash") {
            digest.replace(hex_digest(&value)?).is_some()
        } else if key.eq_ignore_ascii_case(b"cert") {
            certificate.replace(sha256_of_pem(&value, Following::Nothing)?).is_some()
        } else {
            // A comma would begin another element.
            key.is_empty() || !key.iter().all(u8::is_ascii_alphanumeric)
        };
        if twice {
            return Err(CertificateHeaderFault::Form);
        }
        match after {
            [] => break,
            [b';', after @ ..] => rest = after,
            [b',', ..] => return Err(CertificateHeaderFault::Several),
            _ => return Err(CertificateHeaderFault::Form),
        }
    }
    match (digest, certificate) {
        (Some(digest), Some(certificate)) if digest != certificate => {
            Err(CertificateHeaderFault::Disagree)
        }
        (Some(digest), _) | (None, Some(digest)) => Ok(digest),
        (None, None) => Err(CertificateHeaderFault::Form),
    }
}

/// A value, and what comes behind it.
fn xfcc_value(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), CertificateHeaderFault> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = memchr::memchr2(b';', b',', text).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        // A quote inside is not one around.
        let is_plain = !value.contains(&b'"');
        return is_plain.then_some((value.into(), after)).ok_or(CertificateHeaderFault::Form);
    };
    let (mut value, mut bytes) = (Vec::new(), quoted.iter().enumerate());
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((value.into(), &quoted[at + 1..])),
            // Envoy escapes it. Otherwise, it is of an element behind this one, whose client opened the quotes for Envoy to close.
            b';' => break,
            b'\\' => value.extend(bytes.next().map(|(_, escaped)| *escaped)),
            byte => value.push(*byte),
        }
    }
    Err(CertificateHeaderFault::Form)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    /// Whatever it is: whose certificate it is and what it says is not looked at. Its base64 has `+` and `/`.
    const DER: [u8; 5] = [0x30, 0x03, 0xff, 0xfb, 0xef];

    fn digest() -> [u8; 32] {
        sha256(&DER)
    }

    fn hex(digest: [u8; 32]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn pem(der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn escape(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    /// As an Application Load Balancer does, which leaves `+`, `=` and `/`.
    fn escape_little(text: &str) -> String {
        text.replace('\n', "%0A").replace(' ', "%20")
    }

    fn reads(form: Form, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let told = String::from_utf8_lossy(value);
        assert_eq!(read(form, value), Ok(Some(digest())), "{form:?} {told}");
    }

    fn refuses(form: Form, value: impl AsRef<[u8]>, fault: CertificateHeaderFault) {
        let value = value.as_ref();
        let told = String::from_utf8_lossy(value);
        assert_eq!(read(form, value), Err(fault), "{form:?} {told}");
    }

    const FORMS: [Form; 6] = [
        Form::StructuredField,
        Form::Xfcc,
        Form::EscapedPem,
        Form::EscapedPemChain,
        Form::Base64Der,
        Form::HexSha256,
    ];

    #[test]
    fn an_empty_value_says_that_there_is_no_certificate() {
        for form in FORMS {
            for value in ["", " ", "\t "] {
                assert_eq!(read(form, value.as_bytes()), Ok(None), "{form:?}");
            }
        }
    }

    #[test]
    fn what_is_longer_than_16_kib_is_not_read() {
        for form in FORMS {
            refuses(form, vec![b'A'; MAX_LENGTH + 1], CertificateHeaderFault::TooLong);
            let longest = vec![b'A'; MAX_LENGTH];
            assert_ne!(read(form, &longest), Err(CertificateHeaderFault::TooLong));
        }
    }

    #[test]
    fn a_byte_sequence_of_structured_fields_is_a_certificate() {
        use CertificateHeaderFault::{Base64, Form as Wrong};
        let base64 = STANDARD.encode(DER);
        assert!(base64.contains('+') && base64.ends_with('='), "{base64}");
        let unpadded = base64.trim_end_matches('=');
        for value in [format!(":{base64}:"), format!(" :{base64}: "), format!(":{unpadded}:")] {
            reads(Form::StructuredField, value);
        }
        for (value, fault) in [
            (base64.clone(), Wrong),
            (format!("\"{base64}\""), Wrong),
            (format!(":{base64}"), Wrong),
            (":".to_owned(), Wrong),
            ("::".to_owned(), Base64),
            // A list of two, and a parameter.
            (format!(":{base64}:, :{base64}:"), Base64),
            (format!(":{base64}:;a=1"), Wrong),
            (format!(":{}:", base64.replace('+', "-").replace('/', "_")), Base64),
            (format!(":{} {}:", &base64[..4], &base64[4..]), Base64),
            // Another spelling of the same bytes.
            (":MAP/++9=:".to_owned(), Base64),
        ] {
            refuses(Form::StructuredField, value, fault);
        }
    }

    #[test]
    fn base64_of_der_is_a_certificate() {
        let base64 = STANDARD.encode(DER);
        reads(Form::Base64Der, &base64);
        for value in [format!(":{base64}:"), pem(&DER), format!("{base64}{base64}"), "=".to_owned()]
        {
            refuses(Form::Base64Der, value, CertificateHeaderFault::Base64);
        }
    }

    #[test]
    fn base64_of_pem_is_not_taken_for_another_certificate() {
        let pem = pem(&DER);
        for text in [pem.clone(), format!("\n{pem}"), pem.trim_end().to_owned()] {
            let base64 = STANDARD.encode(text);
            for (form, value) in
                [(Form::Base64Der, base64.clone()), (Form::StructuredField, format!(":{base64}:"))]
            {
                refuses(form, value, CertificateHeaderFault::PemInBase64);
            }
        }
    }

    #[test]
    fn one_escaped_block_is_a_certificate_and_nothing_stands_around_it() {
        let good = pem(&DER);
        for text in [
            good.clone(),
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
            format!("\n{good}\n"),
        ] {
            for form in [Form::EscapedPem, Form::EscapedPemChain] {
                reads(form, escape(&text));
                reads(form, escape_little(&text.replace('\r', "%0D")));
            }
        }
        let label = |label: &str| good.replace("CERTIFICATE", label);
        for text in [
            format!("{good}trailing"),
            format!("leading{good}"),
            format!("{good}between\n{good}"),
            good.replace("-----END CERTIFICATE-----", ""),
            label("X509 CRL"),
            label("TRUSTED CERTIFICATE"),
            label("PRIVATE KEY"),
            good.replace("MAP", "M\u{1}P"),
            "certificate".to_owned(),
        ] {
            for form in [Form::EscapedPem, Form::EscapedPemChain] {
                refuses(form, escape(&text), CertificateHeaderFault::Pem);
            }
        }
    }

    #[test]
    fn a_plus_is_a_digit_and_never_a_space() {
        let good = escape_little(&pem(&DER));
        assert!(good.contains('+'), "{good}");
        reads(Form::EscapedPem, &good);
        // As one that decodes a form leaves it.
        let value = good.replace('+', "%20");
        assert_ne!(read(Form::EscapedPem, value.as_bytes()), Ok(Some(digest())));
    }

    #[test]
    fn of_a_chain_the_first_is_the_clients_and_elsewhere_a_chain_is_refused() {
        let chain = escape(&(pem(&DER) + &pem(b"who issued it")));
        reads(Form::EscapedPemChain, &chain);
        refuses(Form::EscapedPem, chain, CertificateHeaderFault::Pem);
        let turned = escape(&(pem(b"who issued it") + &pem(&DER)));
        assert_eq!(
            read(Form::EscapedPemChain, turned.as_bytes()),
            Ok(Some(sha256(b"who issued it")))
        );
    }

    #[test]
    fn sha_256_in_hexadecimal_digits_is_taken_in_either_case_and_nothing_shorter() {
        let good = hex(digest());
        reads(Form::HexSha256, &good);
        reads(Form::HexSha256, good.to_ascii_uppercase());
        for value in [
            // SHA-1.
            good[..40].to_owned(),
            good[..63].to_owned(),
            format!("{good}0"),
            format!("g{}", &good[1..]),
            format!("+{}", &good[1..]),
            good.as_bytes()
                .chunks(2)
                .map(|pair| String::from_utf8_lossy(pair).into_owned())
                .collect::<Vec<_>>()
                .join(":"),
        ] {
            refuses(Form::HexSha256, value, CertificateHeaderFault::Digest);
        }
    }

    /// Recorded of Envoy 1.40.0, with all of its details and with few.
    #[test]
    fn what_envoy_writes_is_read() {
        #[derive(serde::Deserialize)]
        struct Recorded {
            details: String,
            certificate: String,
            header: String,
        }
        let recorded = include_str!("../../tests/vectors/envoy-headers.json");
        let recorded: Vec<Recorded> = serde_json::from_str(recorded).unwrap();
        let keys = ["By=", "Hash=", "Cert=", "Chain=", "Subject=", "URI=", "DNS="];
        for key in keys {
            assert!(recorded.iter().any(|Recorded { header, .. }| header.contains(key)), "{key}");
        }
        for Recorded { details, certificate, header } in recorded {
            let der = STANDARD.decode(certificate).unwrap();
            assert_eq!(read(Form::Xfcc, header.as_bytes()), Ok(Some(sha256(&der))), "{details}");
            // Under `APPEND_FORWARD`, of a client that has it and says that it is another.
            let appended = format!("Hash={},{header}", hex([7; 32]));
            refuses(Form::Xfcc, appended, CertificateHeaderFault::Several);
            for begun in [";a=\"", ";Subject=\"CN=", ";Cert=\"\\"] {
                let appended = format!("Hash={}{begun},{header}", hex([7; 32]));
                refuses(Form::Xfcc, appended, CertificateHeaderFault::Form);
            }
        }
    }

    /// What a client writes who would be another: what it takes to end a value and to begin an element, in any order.
    fn of_client() -> impl Strategy<Value = String> {
        let (victim, cert) = (hex([7; 32]), escape(&pem(b"another certificate")));
        let words = [
            "\"",
            "\\",
            ";",
            ",",
            "=",
            " ",
            "x",
            ";x=\"",
            "\";x=",
            "URI=",
            "Hash=",
            &victim,
            &format!("Hash={victim}"),
            &format!(";Hash={victim}"),
            &format!("Cert=\"{cert}\""),
        ];
        let words = prop::sample::select(words.map(str::to_owned).to_vec());
        proptest::collection::vec(words, 0..6).prop_map(|words| words.concat())
    }

    /// A subject as Envoy writes it: RFC 2253 §2.4.
    fn escaped(subject: &str) -> String {
        let escape =
            |it: char| if ",+\"\\<>;".contains(it) { format!("\\{it}") } else { it.to_string() };
        subject.chars().map(escape).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        /// Whatever Envoy was told to write of a certificate, and whatever stands in it and in front of it.
        #[test]
        fn of_what_envoy_writes_no_client_is_another(
            in_front in proptest::option::of(of_client()),
            (has_by, has_cert) in any::<(bool, bool)>(),
            subject in proptest::option::of(of_client()),
            uris in proptest::collection::vec(of_client(), 0..3),
            names in proptest::collection::vec(of_client(), 0..3),
        ) {
            let mut pairs = Vec::new();
            if has_by {
                pairs.push("By=spiffe://api.example/service".to_owned());
            }
            pairs.push(format!("Hash={}", hex(digest())));
            if has_cert {
                pairs.push(format!("Cert=\"{}\"", escape(&pem(&DER))));
            }
            pairs.extend(subject.map(|subject| format!("Subject=\"{}\"", escaped(&subject))));
            pairs.extend(uris.iter().map(|uri| format!("URI={uri}")));
            pairs.extend(names.iter().map(|name| format!("DNS={name}")));
            let in_front = in_front.map(|text| text + ",").unwrap_or_default();
            let value = in_front + &pairs.join(";");
            let found = read(Form::Xfcc, value.as_bytes());
            prop_assert!(found.is_err() || found == Ok(Some(digest())), "{}", value);
        }
    }

    #[test]
    fn one_element_of_envoy_is_a_certificate_by_its_hash_or_itself() {
        let (hash, cert) = (hex(digest()), escape(&pem(&DER)));
        for value in [
            format!("Hash={hash}"),
            format!("hash={hash}"),
            format!("Cert=\"{cert}\""),
            format!("Hash={hash};Cert=\"{cert}\""),
            // What a quoted value holds is no separator.
            format!("Subject=\"CN=a\\, b\\;Hash={},O=c\";Hash={hash}", hex([0; 32])),
            format!("Subject=\"CN=\\\"Hash={}\\\"\";Hash={hash}", hex([0; 32])),
        ] {
            reads(Form::Xfcc, value);
        }
        let other = hex([7; 32]);
        use CertificateHeaderFault::{Digest, Disagree, Form as Wrong, Pem, Several};
        for (value, fault) in [
            // What a client sent, in front of what Envoy saw.
            (format!("Hash={other},Hash={hash}"), Several),
            (format!("By=a;Hash={other},By=b;Hash={hash}"), Several),
            (format!("Subject=\"a\",Hash={hash}"), Several),
            // The second is between quotes that the first opens, and that an address in the client's certificate closes.
            (format!("Hash={other};a=\",Hash={hash};URI=\";b=c"), Wrong),
            (format!("Hash={other};a=\"\\,Hash={hash};URI=\"\""), Wrong),
            (format!("Subject=\"CN=a;Hash={other}\";Hash={hash}"), Wrong),
            (format!("Hash={other};Hash={hash}"), Wrong),
            (format!("Hash={hash};hash={hash}"), Wrong),
            (format!("Hash={other};Cert=\"{cert}\""), Disagree),
            ("By=http://frontend.lyft.com".to_owned(), Wrong),
            (format!("Hash={hash};"), Wrong),
            (format!("Hash={hash};x"), Wrong),
            (format!("Hash={hash};=x"), Wrong),
            (format!("Hash=\"{hash}"), Wrong),
            (format!("Hash=\"{hash}\"x"), Wrong),
            (format!("Hash={hash}\""), Wrong),
            (format!("Subject=\"\\\";Hash={hash}"), Wrong),
            (format!("a,Hash={hash}"), Wrong),
            (format!("Hash={}", &hash[..40]), Digest),
            ("Cert=\"MAP/++8=\"".to_owned(), Pem),
            (format!("Cert=\"{cert}{cert}\""), Pem),
            ("x".to_owned(), Wrong),
        ] {
            refuses(Form::Xfcc, value, fault);
        }
    }
}
