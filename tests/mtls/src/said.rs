//! What a service is told of a request: its answer.
use portcullis::RequestView;
use portcullis::request::{ClientCertificate, PeerAddress};
use serde_json::{Value, json};

use crate::identity::hex;

/// What a request says, as JSON: the hash of its certificate, its peer, and its headers in their order.
pub fn of<'r>(
    request: &impl RequestView,
    headers: impl Iterator<Item = (&'r str, &'r [u8])>,
) -> Value {
    let headers: Vec<_> =
        headers.map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect();
    json!({
        "certificate": certificate(request.client_certificate().as_ref()),
        "peer": request.peer().map(peer),
        "headers": headers,
    })
}

fn peer(said: PeerAddress) -> String {
    match said {
        PeerAddress::Ip(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

fn certificate(said: Option<&ClientCertificate>) -> String {
    match said {
        None => "unknown".to_owned(),
        Some(said) => match said.der() {
            None => "absent".to_owned(),
            Some(der) => hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref()),
        },
    }
}
