//! A client's certificate as proxies write it in a header. `tests/proxies.rs` holds those of nginx, HAProxy and Envoy to what they
//! really write. Those of AWS are as their documentation has them.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Identity;

/// All but what RFC 3986 §2.3 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// "URL-encoded PEM format of the leaf certificate, with +=/ as safe characters."
const RESERVED_BY_AWS: &AsciiSet = &RESERVED.remove(b'+').remove(b'=').remove(b'/');

/// `$ssl_client_escaped_cert` of nginx, and `%DOWNSTREAM_PEER_CERT%` of Envoy.
#[must_use]
pub fn escaped_pem(identity: &Identity) -> String {
    utf8_percent_encode(&pem(identity), RESERVED).to_string()
}

/// `X-Amzn-Mtls-Clientcert-Leaf` of an Application Load Balancer of AWS.
#[must_use]
pub fn aws_leaf(identity: &Identity) -> String {
    utf8_percent_encode(&pem(identity), RESERVED_BY_AWS).to_string()
}

/// `ssl_c_der,base64` of HAProxy, and `X-ARR-ClientCert` of Azure.
#[must_use]
pub fn base64_der(identity: &Identity) -> String {
    STANDARD.encode(identity.certificate())
}

/// `Client-Cert` (RFC 9440 §2.2).
#[must_use]
pub fn client_cert(identity: &Identity) -> String {
    format!(":{}:", base64_der(identity))
}

/// `ssl_c_der,sha2(256),hex` of HAProxy.
#[must_use]
pub fn hex_sha256(identity: &Identity) -> String {
    identity.thumbprint().to_uppercase()
}

/// `%DOWNSTREAM_PEER_FINGERPRINT_256%` of Envoy.
#[must_use]
pub fn lower_hex_sha256(identity: &Identity) -> String {
    identity.thumbprint()
}

/// `x-forwarded-client-cert` of Envoy, which sets no details.
#[must_use]
pub fn xfcc_hash(identity: &Identity) -> String {
    format!("Hash={}", identity.thumbprint())
}

/// The same with `cert: true`.
#[must_use]
pub fn xfcc_cert(identity: &Identity) -> String {
    format!("{};Cert=\"{}\"", xfcc_hash(identity), escaped_pem(identity))
}

/// The same with all details.
#[must_use]
pub fn xfcc(identity: &Identity) -> String {
    format!(
        "{};Chain=\"{}\";Subject=\"CN=rcgen self signed cert\";URI=;DNS=localhost",
        xfcc_cert(identity),
        escaped_pem(identity)
    )
}

/// As OpenSSL writes it.
fn pem(identity: &Identity) -> String {
    let text = base64_der(identity);
    let lines =
        text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    let lines: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}
