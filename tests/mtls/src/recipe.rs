//! Configurations of Envoy that the guide shows: what users copy is what is tested.
const GUIDE: &str = include_str!("../../../docs/guide/mutual_tls.md");
/// Where the header's mode is said.
const MODE: &str = "forward_client_cert_details: SANITIZE_SET";

/// Asks for any certificate, and writes `X-Forwarded-Client-Cert` anew.
#[must_use]
pub fn xfcc() -> String {
    block("forward_client_cert_details").to_owned()
}

/// The same in another mode, and with some details.
///
/// # Panics
///
/// The guide has no such place.
#[must_use]
pub fn xfcc_but(mode: &str, details: &str) -> String {
    let chain = xfcc();
    let line = chain.lines().find(|line| line.ends_with(MODE)).expect("a line with the mode");
    let indent = &line[..line.len() - MODE.len()];
    let said = format!(
        "{indent}forward_client_cert_details: {mode}\n{indent}set_current_client_cert_details: {{ {details} }}"
    );
    chain.replace(line, &said)
}

/// Sets a header of a name to what a pattern of Envoy's says.
///
/// # Panics
///
/// The guide has no such place.
#[must_use]
pub fn header(name: &str, value: &str) -> String {
    let block = block("request_headers_to_add");
    assert!(block.contains("X-Client-Cert") && block.contains("%DOWNSTREAM_PEER_CERT%"), "{block}");
    with(&block.replace("X-Client-Cert", name).replace("%DOWNSTREAM_PEER_CERT%", value))
}

/// Writes `Client-Cert` (RFC 9440), which Envoy does not by itself.
///
/// # Panics
///
/// The guide has no such place.
#[must_use]
pub fn client_cert() -> String {
    with(block("envoy_on_request"))
}

/// That of [`xfcc`], with more of the same indentation as a block of the guide.
fn with(block: &str) -> String {
    let chain = xfcc();
    let first = block.lines().next().expect("a line");
    let line = chain.lines().find(|line| line.trim_start() == first).expect("the same line");
    let indent = line.len() - first.len();
    chain.replace(line, &indented(block, indent))
}

/// Each line so far to the right.
pub(crate) fn indented(text: &str, by: usize) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("{:by$}{line}", "")).collect();
    lines.join("\n")
}

/// The block of YAML that has a text.
fn block(text: &str) -> &'static str {
    let mut blocks = GUIDE.split("```").skip(1).step_by(2);
    let blocks = blocks.by_ref().filter_map(|block| block.strip_prefix("yaml\n"));
    let mut found = blocks.filter(|block| block.contains(text));
    let block = found.next().unwrap_or_else(|| panic!("the guide has no block with {text}"));
    assert_eq!(found.next(), None, "{text} is in one block");
    block.trim_end()
}
