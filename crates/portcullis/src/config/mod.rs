//! The same policy from TOML, or from any other serde format.
//!
//! A policy given as data goes through [`PolicyBuilder::build`] like one made in code: it can say
//! nothing that code could not, and is refused for the same faults. It is accepted if
//!
//! 1. it is TOML (or what your format reads), and no key is there twice;
//! 2. every key is known, every value of its type, and nothing without a default is missing;
//! 3. no secret stands in it: only the names of files and environment variables do;
//! 4. its key files can be read and its secrets are strong;
//! 5. the policy that it makes is one that [`PolicyBuilder::build`] accepts.
//!
//! Otherwise [`ConfigError`] lists every fault at once, each with its place.
//!
//! ```
//! use portcullis::Policy;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(
//!     folder.path().join("jwt-2026-11"),
//!     "mFQmXCRaSbnhTzHKHTGr85zwXOUmn9qBpzGRGCGJ0xE",
//! )?;
//! std::fs::write(folder.path().join("policy.toml"), r#"
//! [[issuer]]
//! id         = "https://id.example"
//! audiences  = ["https://orders.example"]
//! algorithms = ["HS256"]
//! keys       = { secrets = [
//!     { id = "2026-11", file = "jwt-2026-11", encoding = "base64url" },
//! ] }
//!
//! [claims]
//! max_lifetime = "15m"
//! required     = ["sub"]
//! "#)?;
//! let policy = Policy::from_file(folder.path().join("policy.toml"))?;
//! # let _ = policy;
//!
//! let refused = Policy::from_toml_str(r#"
//! [[issuer]]
//! id         = "https://id.example"
//! audience   = ["https://orders.example"]
//! algorithms = ["HS256", "RS265"]
//! keys       = { secrets = [{ value = "hunter2" }] }
//! [claims]
//! leeway     = "1h"
//! "#, folder.path()).unwrap_err();
//! let faults = refused.faults().iter();
//! let places: Vec<_> =
//!     faults.map(|it| (it.line.unwrap_or(0), it.place.as_str())).collect();
//! assert_eq!(places, [
//!     (2, "issuer[0]"),                       // without audiences
//!     (4, "issuer[0].audience"),              // unknown; is `audiences` meant?
//!     (5, "issuer[0].algorithms[1]"),         // unknown
//!     (6, "issuer[0].keys.secrets[0].value"), // a secret never stands in a policy
//!     (8, "claims.leeway"),                   // over 10 minutes
//! ]);
//! assert!(!refused.to_string().contains("hunter2"));
//! # Ok(()) }
//! ```
//!
//! What data cannot say, such as a clock, a predicate or a hook, is added in code:
//! [`PolicyBuilder::from_file`]. It adds to what the file says, and takes nothing away: a setting of
//! which both say another thing is a fault at its line, unless code says it by
//! [`PolicyBuilder::overrule`]. JSON is read by [`PolicyConfig::from_json_str`], and any other format by its
//! own crate, as a [`PolicyConfig`].
//!
//! Whoever can write the file decides who gets in: give it the permissions of the program itself.
//! It is read once, or with [`PolicyFile`] whenever it changes. Key files and secret files that it names are
//! watched either way (see [`KeyFile`](crate::KeyFile)), environment variables are not. Write a new file beside
//! the old one, and rename it: what is there while the program starts counts, whole or not.
//!
//! # Keys that are fetched
//!
//! With the feature `remote-jwks`, an issuer's keys may come from an address, and issuers may be
//! made on demand: see [`RemoteJwks`](crate::RemoteJwks) and
//! [`Issuer::template`](crate::Issuer::template). Nothing is fetched before the first token comes,
//! unless `load_at_start` says so.
//!
//! ```
//! # #[cfg(feature = "remote-jwks")] {
//! use portcullis::Policy;
//!
//! let policy = Policy::from_toml_str(r#"
//! [[issuer]]
//! id         = "https://id.example"
//! audiences  = ["https://orders.example"]
//! algorithms = ["ES256"]
//! keys       = { discovery = true, max_stale = "4h" }
//!
//! [[issuer]]
//! template   = "https://login.example/{tenant}/v2.0"
//! audiences  = ["https://orders.example"]
//! algorithms = ["RS256"]
//! keys       = { jwks_url = "https://login.example/{tenant}/keys" }
//! "#, "")?;
//! // Those of tenants come with their tokens.
//! assert_eq!(policy.remote_keys().len(), 1);
//!
//! let refused = Policy::from_toml_str(r#"
//! [[issuer]]
//! id         = "http://keycloak:8080/realms/orders"
//! audiences  = ["https://orders.example"]
//! algorithms = ["ES256"]
//! keys       = { discovery = true, cool_down = "0s" }
//! "#, "").unwrap_err();
//! let faults = refused.faults().iter();
//! let places: Vec<_> = faults.map(|fault| fault.place.as_str()).collect();
//! assert_eq!(places, [
//!     // Plain `http`; with `dangerous = { allow_http = ["keycloak"] }`?
//!     "issuer[0].id",
//!     "issuer[0].keys.cool_down", // under 1 s
//! ]);
//! # }
//! # Ok::<_, portcullis::config::ConfigError>(())
//! ```
//!
//! # Keys of the file
//!
//! Paths are relative to the folder of the policy file. Durations are text in days, hours, minutes and
//! seconds: `"30s"`, `"15m"`, `"1h 30m"`, `"30d"`. A day has 24 hours. Durations are whole seconds and not
//! negative. Those that may be less than a second may have milliseconds: `"500ms"`. In TOML, the keys of the
//! top level stand above the first `[table]`.
//!
//! An editor knows all of these keys by the [JSON Schema](SCHEMA) of policy files. `portcullis schema` prints
//! it. Save it as `policy.schema.json` beside the policy, and name it in the first line of a TOML file, for
//! Taplo and Even Better TOML:
//!
//! ```toml
//! #:schema policy.schema.json
//! ```
//!
//! A JSON file names it by `"$schema": "policy.schema.json"`.
//!
//! | Top level | Value | Not there |
//! |-----------|-------|-----------|
//! | `name` | what metrics and logs call the policy (see [`PolicyBuilder`](crate::PolicyBuilder::name)) | `default` in metrics |
//! | `issuer` | a table per issuer, at least one | refused |
//! | `claims` | a table: rules for every issuer's tokens | the defaults below |
//! | `sources` | a list of `"bearer"`, `{ cookie = "__Host-…" }`, perhaps with `same_site` as for `dangerous.cookie`, `{ header = "…", prefix = "…" }`, `{ websocket_protocol = "…" }` (see [`TokenSource`](crate::TokenSource::websocket_protocol)); each place once | `["bearer"]` |
//! | `prefer_header` | `true`: the token in a header counts where a cookie carries one too | such a request is refused |
//! | `allowed_origins` | a list of origins whose pages may use the cookie: `"https://app.example"` | the service's own only |
//! | `bad_cookie` | `"reject"`, `"reject-and-clear"` or `"anonymous"` (see [`BadCookie`](crate::policy::BadCookie)) | `"reject"` |
//! | `token_limit` | the largest token in bytes, 1 to 65536 | 16384 |
//! | `header_limit` | the largest header of a token in bytes, without base64url, 1 to 16384 | 4096 |
//! | `token_cache` | how many bytes remembered tokens may take, 1048576 (1 MiB) to 1073741824; 0 remembers none (see [`PolicyBuilder`](crate::PolicyBuilder::token_cache)) | 16777216 |
//! | `refuse_brought_keys` | `true`: refuses tokens with `jwk`, `jku`, `x5u` or `x5c` | not looked at, never followed |
//! | `allow_anonymous` | `true`: a request without a token passes | refused |
//! | `presentation` | a table | the defaults below |
//! | `dpop` | a table: what is asked of proofs of who has the key of a token (see [`Dpop`](crate::dpop::Dpop)) | tokens that are bound to a key are refused |
//! | `mtls` | a table: what is asked of the certificate that a token is bound to (see [`Mtls`](crate::mtls::Mtls)) | tokens that are bound to a certificate are refused |
//! | `dangerous` | a table | nothing is weakened |
//! | `$schema` | where an editor finds the JSON Schema of this file; it changes nothing | |
//!
//! | `[[issuer]]` | Value | Not there |
//! |--------------|-------|-----------|
//! | `id` | what stands in `iss`, byte by byte; each once | refused, unless: |
//! | `template` | the same with one `{tenant}` in it, for every issuer of this form (feature `remote-jwks`; see [`Issuer`](crate::Issuer::template)); not beside `id` | |
//! | `max_tenants` | how many issuers of a `template` there are at a time, at least 1 | 1000 |
//! | `known_tenants` | a list of issuers of a `template` that come in at once after a start, each as it stands in `iss`, as many as `max_tenants` at most (see [`Issuer`](crate::Issuer::known_tenants)) | after a start, all are new |
//! | `tenant_burst` | how many new ones come in at once, 1 to 10000 | 50 |
//! | `tenant_interval` | how long it takes from one to the next after that, 1 ms to 60 s | `"100ms"` |
//! | `audiences` | a list of what this service is called in `aud`, at least one | refused, unless: |
//! | `client_ids_instead_of_audience` | a list of clients, for tokens without `aud` (see [`Issuer`](crate::Issuer::client_ids_instead_of_audience)); not beside `audiences` | |
//! | `algorithms` | a list of the [names](crate::Algorithm) it signs with; of a key file, at least one key must go with one of them | refused |
//! | `keys` | a table | refused |
//! | `token_type` | `"jwt"`, `"at+jwt"` (with the claims of RFC 9068), or a list of both | both, by type only |
//! | `require_key_id` | `true`: refuses tokens without `kid` | they are tried with at most 4 keys (see [`MAX_CANDIDATES`](crate::keys::MAX_CANDIDATES)) |
//! | `numeric_ids` | `true`: takes `sub` and `jti` also where they are whole numbers (see [`Issuer`](crate::Issuer::numeric_ids)) | refused |
//! | `scope_claims` | a list of claims that scopes are in (see [`Issuer`](crate::Issuer::scope_claims)) | `scope` and `scp` |
//! | `claims` | a table; its durations stand above those of the top level, its other rules hold besides | |
//! | `dangerous` | a table with `long_lifetime`, `unlimited_lifetime` and `allow_http` only | nothing is weakened |
//!
//! | `issuer.keys`, at least one; all are used | Value |
//! |---|---|
//! | `jwks_url` | the address of a JWK set (feature `remote-jwks`), in which `{tenant}` stands for that of a `template`; not beside `discovery` |
//! | `discovery` | `true`: the JWK set that the issuer's metadata name (feature `remote-jwks`; see [`RemoteJwks`](crate::RemoteJwks::discovery)) |
//! | `jwks_file` | the path of a JWK set, at most 256 KiB and 100 keys |
//! | `pem_file` | the path of public keys or certificates in PEM |
//! | `key_id` | the id of the keys in `pem_file`, at most 1 KiB. Not there: they have none |
//! | `secrets` | a list of tables, one per shared secret |
//!
//! | `issuer.keys`, beside `jwks_url` or `discovery` | Value (see [`RemoteJwksOptions`](crate::keys::remote::RemoteJwksOptions)) | Not there |
//! |---|---|---|
//! | `fresh_for` | for how long a set is fresh whose answer does not say, 1 s to 24 h | `"5m"` |
//! | `min_fresh` | the shortest time that an answer can ask for, 1 s to `max_fresh` | `"1m"` |
//! | `max_fresh` | the longest, 1 s to 24 h | `"1h"` |
//! | `refresh_at_percent` | after which part of this time the set is fetched anew, 1 to 90 | `80` |
//! | `cool_down` | from a fetch to the next that an unknown key id causes, 1 s to 1 h | `"30s"` |
//! | `max_wait` | how long a request waits for keys, 0 to 60 s | `"2s"` |
//! | `max_waiting` | how many requests wait at a time for a key that is not at hand, 0 to 100000 | `64` |
//! | `max_waiting_without_keys` | how many wait while there are no keys at all, 0 to 100000 | `2048` |
//! | `first_retry` | from a first failure to the next fetch, at most, 100 ms to 1 h | `"1s"` |
//! | `max_retry` | from any failure to the next fetch, at most, `first_retry` to 1 h | `"1m"` |
//! | `max_stale` | how long keys serve after the last fetch that succeeded, `fresh_for` to 7 days | `"24h"` |
//! | `connect_timeout` | how long a connection may take, 1 ms to 60 s | `"2s"` |
//! | `timeout` | how long a whole answer may take, 1 ms to 60 s | `"5s"` |
//! | `max_bytes` | how long an answer may be, 1 KiB to 4 MiB | `262144` |
//! | `max_keys` | how many entries a set may have, 1 to 1000 | `100` |
//! | `same_origin` | `true`: refuses metadata that name keys at another scheme, host or port; `false`: takes keys from wherever they say. For a `template`, not there is `true` | `false` |
//! | `proxy` | the address of a proxy to fetch through, without user and path: `"http://proxy.internal:3128"` | none; the environment does not count |
//! | `load_at_start` | `true`: fetches while the policy is built, which fails if that does; not beside `template` | `false` |
//!
//! | `issuer.keys.secrets` | Value | Not there |
//! |---|---|---|
//! | `file` | the path of a file with the secret and nothing else | refused, unless: |
//! | `env` | the name of an environment variable with the secret; not beside `file` | |
//! | `encoding` | `"raw"` (a newline at the end of a file of text is dropped; a byte order mark, other white space around it or quotes refuse it), `"base64url"` or `"hex"` | `"raw"` |
//! | `id` | its id, 1 byte to 1 KiB, for tokens that name one in `kid` | tried for every token |
//! | `algorithm` | `"HS256"`, `"HS384"` or `"HS512"` | each of these that the issuer lists |
//! | `accept_until` | a date and time with its offset, `2026-12-31T00:00:00Z` (RFC 3339, in TOML without quotes or with): from then on it is refused | no end |
//!
//! | `[claims]`, `[issuer.claims]` | Value | Not there |
//! |------------|-------|-----------|
//! | `leeway` | how far clocks may differ, at most `"10m"` | `"30s"` |
//! | `max_lifetime` | from `iat`, or else now, to `exp`; more than nothing, and at most `"720h"` (30 days) | `"24h"` |
//! | `max_age` | since `iat`, which must then be there; more than nothing | no bound |
//! | `required` | a list of claims that must be there | none |
//! | `forbidden` | a list of claims that must not | none |
//! | `exact` | a table of claims and the string, integer or boolean that each must be | none |
//! | `one_of` | a table of claims and lists, not empty, of what each may be | none |
//!
//! | `[presentation]` | Value | Not there |
//! |------------|-------|-----------|
//! | `realm` | printable ASCII without `"` and `\`, as for all of these | no realm |
//! | `resource_metadata` | the URL of the metadata (RFC 9728) | not said |
//! | `problem_base` | what stands before the code in the problem's `type` | `about:blank` |
//! | `scopes` | a list of scopes that a client should ask for first (see [`Presentation`](crate::Presentation::scopes)) | none are named |
//! | `details` | `false`: clients are told the error code and no more | `true` |
//!
//! | `[dpop]` | Value | Not there |
//! |------------|-------|-----------|
//! | `base_urls` | a list of 1 to 16 addresses under which clients know the service: `"https://api.example"`, or with a prefix that a proxy takes away; what a request says of its host does not count (see [`Dpop::at`](crate::dpop::Dpop::at)) | refused |
//! | `mode` | `"allowed"`, or `"required"`: refuses tokens that are bound to no key | `"allowed"` |
//! | `algorithms` | a list of the algorithms of proofs, none of them of shared secrets; with ML-DSA among them, a proof may have 16 KiB in place of 8 | `["ES256", "EdDSA", "Ed25519"]` |
//! | `window` | a table: when a proof may have been made | the defaults below |
//! | `nonces` | `"off"`, or `"required"`: a proof has to have a nonce that the service gave out (see [`Dpop::nonces`](crate::dpop::Dpop::nonces)) | `"off"` |
//! | `nonce_secrets` | a list of up to 4 paths of files, each with a secret of at least 32 bytes and nothing else, for instances that share nonces: the first makes them, each accepts them; needs a `replay` that instances share | a secret of the process; so it is with an empty list |
//! | `replay` | the name of a store of used proofs: `"in_process"`, or one that [code gives](PolicyConfig::replays) | `"in_process"` |
//!
//! | `dpop.window` | Value | Not there |
//! |------------|-------|-----------|
//! | `past` | how old a proof may be: more than nothing, and at most `"5m"` | `"60s"` |
//! | `future` | how far ahead its client's clock may be, at most `"5m"` | `"10s"` |
//!
//! | `[mtls]` | Value | Not there |
//! |------------|-------|-----------|
//! | `certificate` | who says which certificate the client presented: `"tls"`, the server's own; or a proxy in a header, as `"client_cert"`, `"xfcc"`, `"aws_alb_verify"`, `"aws_alb_passthrough"`, `"escaped_pem"`, `"base64_der"` or `"hex_sha256"` (see [`CertificateHeader`](crate::mtls::CertificateHeader)) | refused |
//! | `header` | the name of the header, for the last three | refused for these |
//! | `trusted_proxies` | a list of up to 64 addresses and ranges whose header counts, `"10.0.0.0/24"`, and `"unix"` for a Unix domain socket (see [`Mtls::trusted_proxies`](crate::mtls::Mtls::trusted_proxies)) | none: refused for a header |
//! | `mode` | `"allowed"`, or `"required"`: refuses tokens that are bound to no certificate | `"allowed"` |
//!
//! | `[dangerous]`, `[issuer.dangerous]` | Value | Lost |
//! |------------|-------|------|
//! | `long_lifetime` | a duration of more than 30 days; not beside `max_lifetime` | the end of a leaked token, for as long |
//! | `unlimited_lifetime` | `true`; not beside `max_lifetime` or `long_lifetime` | a leaked token may work for years |
//! | `query_parameter` | a name; one more of the `sources` | secrecy: URLs stand in logs |
//! | `cookie` | a name without `__Host-`, or a table; one more of the `sources` | the certainty who set it |
//! | `allow_http` | of an issuer only: a list of hosts, such as `["keycloak"]`, whose keys are fetched without TLS | the certainty whose keys they are |
//!
//! | `dangerous.cookie`, as it is set, so that it can be cleared (see [`TokenCookie`](crate::TokenCookie)) | Value | Not there |
//! |---|---|---|
//! | `name` | a name without `__Host-` | refused |
//! | `path` | what begins with `/` | `"/"` |
//! | `domain` | the name of a domain | none: the host that sets it |
//! | `same_site` | `"strict"`, `"lax"` or `"none"` | `"lax"` |
//!
//! The two sources of `[dangerous]` come besides `"bearer"` where `sources` is not there; with
//! `sources = []` they are the only ones.
//!
//! # From the environment
//!
//! `${NAME}` in a text is what the environment variable of that name says: one file serves staging and production. It
//! is for what is not secret: faults quote it. A variable that is not set is a fault, and so there is no default;
//! `$${` stands for the characters `${` themselves. What a variable says is text, and is not looked through again.
//! It is read when the file is. [`Policy::from_env`](crate::Policy::from_env) does without a file.
//!
//! ```toml
//! [[issuer]]
//! id = "https://${ID_HOST}"
//! audiences = ["https://orders.${DOMAIN}"]
//! algorithms = ["ES256"]
//! keys = { discovery = true }
//! ```
mod environment;
mod fault;
mod lines;
mod nearest;
mod node;
mod place;
mod read;
mod reader;
mod stores;
#[cfg(test)]
mod tests;
mod watched_file;

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

pub use self::fault::{ConfigError, ConfigFault, ConfigProblem};
use self::lines::Lines;
use self::node::Node;
use self::read::Settings;
use self::stores::Stores;
pub use self::watched_file::{PolicyFile, PolicyFileEvent, PolicyFileOptions, PolicyFileStatus};
use crate::dpop::Replays;
use crate::file::{Content, unreadable_reason};
use crate::policy::{Policy, PolicyBuilder};

/// The JSON Schema of policy files (draft 2020-12), by which editors complete, explain and check them. It takes
/// every policy that this module takes. What it cannot tell, such as whether a key file is there, is found when
/// the policy is built.
pub const SCHEMA: &str = include_str!("../../policy.schema.json");

/// YAML is read by whichever crate the service chose, and these differ in what `no` and `012` mean.
const NO_YAML: &str = "YAML is not read here, but by the program whose policy it is; write TOML, or JSON in a file whose name ends in `.json`";

/// A policy as data, read from any format that describes itself: JSON, YAML, or a part of your
/// service's own configuration. For the keys see the [module](self).
///
/// Reading it takes whatever is there; it is judged when a policy is made of it. Of TOML and JSON that this
/// type reads itself, faults have their lines too.
///
/// ```
/// use portcullis::config::PolicyConfig;
///
/// #[derive(serde::Deserialize)]
/// struct Settings { listen: String, auth: PolicyConfig }
///
/// let settings: Settings = serde_json::from_str(r#"{
///     "listen": "127.0.0.1:8080",
///     "auth": { "issuer": [{ "id": "https://id.example" }], "token_limit": 0 }
/// }"#)?;
/// let refused = settings.auth.build("/etc/orders").unwrap_err().to_string();
/// assert_eq!(refused, "\
/// the policy is refused:
///   - issuer[0].algorithms: is missing and has no default: set it
///   - issuer[0].keys: is missing and has no default: set it
///   - issuer[0]: needs one of `audiences`, `client_ids_instead_of_audience`
///   - token_limit: a `token_limit` of 0 bytes is out of range: \
///     1 to 65536 are accepted");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct PolicyConfig {
    root: Node,
    lines: Lines,
    stores: Stores,
}

impl PolicyConfig {
    /// Reads TOML, and remembers its lines.
    ///
    /// # Errors
    ///
    /// The text is no TOML. The error lists each line that is not.
    pub fn from_toml_str(text: &str) -> Result<Self, ConfigError> {
        let (root, lines) = lines::from_toml(text).map_err(ConfigError::new)?;
        Ok(Self { root, lines, stores: Stores::default() })
    }

    /// Reads JSON, and remembers its lines.
    ///
    /// ```
    /// use portcullis::config::PolicyConfig;
    ///
    /// let config = PolicyConfig::from_json_str(r#"{
    ///     "issuer": [{ "id": "https://id.example", "audience": ["orders"] }]
    /// }"#)?;
    /// let refused = config.build("").unwrap_err();
    /// let misspelt = refused.faults().last().unwrap();
    /// assert_eq!(
    ///     misspelt.to_string(),
    ///     "line 2: issuer[0].audience: is not a known key: did you mean `audiences`?"
    /// );
    /// # Ok::<_, portcullis::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The text is not JSON. The error has the line where reading it ended.
    pub fn from_json_str(text: &str) -> Result<Self, ConfigError> {
        let (root, lines) = lines::from_json(text).map_err(ConfigError::new)?;
        Ok(Self { root, lines, stores: Stores::default() })
    }

    /// Reads a file: JSON where its name ends in `.json`, and else TOML. Its bounds are those of
    /// [`Policy::from_file`].
    ///
    /// Other programs than the service itself read a policy this way, as the command `portcullis` does. Paths
    /// in the policy then start from the folder of the file:
    ///
    /// ```no_run
    /// use std::path::Path;
    ///
    /// use portcullis::config::PolicyConfig;
    ///
    /// let path = Path::new("/etc/orders/policy.json");
    /// let policy =
    ///     PolicyConfig::from_file(path)?.build(path.parent().unwrap_or(path))?;
    /// # let _ = policy;
    /// # Ok::<_, portcullis::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than 1 MiB, is YAML by its name, or is not written in its format.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::from_content(path, &crate::file::read(path, MAX_BYTES))
            .map_err(|error| error.in_file(path))
    }

    /// What stands in a file, by the format that its name says.
    fn from_content(path: &Path, content: &Content) -> Result<Self, ConfigError> {
        let is_named = |endings: &[&str]| {
            let ending = path.extension().unwrap_or_default();
            endings.iter().any(|one| ending.eq_ignore_ascii_case(one))
        };
        let text = text_of(content)?;
        if is_named(&["json"]) {
            Self::from_json_str(text)
        } else if is_named(&["yaml", "yml"]) {
            Err(ConfigError::unreadable(NO_YAML))
        } else {
            Self::from_toml_str(text)
        }
    }

    /// Gives a store of used proofs a name, which `replay` in the table `[dpop]` may say.
    ///
    /// ```
    /// use portcullis::config::PolicyConfig;
    /// use portcullis::dpop::InProcessReplays;
    ///
    /// # let text = "";
    /// let config = PolicyConfig::from_toml_str(text)?
    ///     .replays("in_process", InProcessReplays::with_capacity(4_000_000));
    /// # let _ = config;
    /// # Ok::<_, portcullis::config::ConfigError>(())
    /// ```
    ///
    /// By the name `in_process`, it takes the place of the store that is there without it. Two of one name are a fault of the
    /// policy that says this name; a store whose name no policy says is not used.
    pub fn replays(mut self, name: impl Into<String>, replays: impl Replays) -> Self {
        self.stores.give(name.into(), replays);
        self
    }

    /// Goes by stores that others go by too.
    fn with_stores(self, stores: &Stores) -> Self {
        Self { stores: stores.clone(), ..self }
    }

    /// A builder with these settings, for what data cannot say. Paths in it start from `base`.
    ///
    /// Opens the key files. Secrets are read, and keys fetched with `load_at_start`, when the policy
    /// is built.
    ///
    /// # Errors
    ///
    /// There is a fault. The error then lists also what building would find; but where there is
    /// none yet, that is left to [`PolicyBuilder::build`], which knows no places.
    pub fn into_builder(self, base: impl AsRef<Path>) -> Result<PolicyBuilder, ConfigError> {
        let (root, unfilled) = environment::fill_in(self.root);
        Settings::read(&root, self.lines, base.as_ref(), unfilled, &self.stores).into_builder()
    }

    /// A policy with these settings. Paths in it start from `base`.
    ///
    /// # Errors
    ///
    /// There is a fault, or the policy would be refused by [`PolicyBuilder::build`]. The error lists
    /// every fault of either kind.
    pub fn build(self, base: impl AsRef<Path>) -> Result<Policy, ConfigError> {
        self.build_with(base.as_ref(), core::convert::identity)
    }
}

impl PolicyConfig {
    fn build_with(
        self,
        base: &Path,
        finish: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Result<Policy, ConfigError> {
        let (root, unfilled) = environment::fill_in(self.root);
        Settings::read(&root, self.lines, base, unfilled, &self.stores).build(finish)
    }
}

impl<'de> Deserialize<'de> for PolicyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let root = Node::deserialize(deserializer)?;
        Ok(Self { root, lines: Lines::default(), stores: Stores::default() })
    }
}

impl fmt::Debug for PolicyConfig {
    /// Shows nothing: a secret may stand in it until it is refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyConfig").finish_non_exhaustive()
    }
}

impl Policy {
    /// Reads a policy from a file, TOML or by the ending `.json` JSON: see [`config`](crate::config).
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the policy in it is refused. The error lists every fault.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        from_file(path.as_ref(), PolicyConfig::build)
    }

    /// Reads a policy from TOML: see [`config`](crate::config). Paths in it start from `base`.
    ///
    /// # Errors
    ///
    /// The policy is refused. The error lists every fault.
    pub fn from_toml_str(text: &str, base: impl AsRef<Path>) -> Result<Self, ConfigError> {
        PolicyConfig::from_toml_str(text)?.build(base)
    }
}

impl PolicyBuilder {
    /// Reads the settings of a policy from a file, TOML or by the ending `.json` JSON, for what data cannot say: see
    /// [`config`](crate::config).
    ///
    /// ```no_run
    /// use portcullis::{Policy, PolicyBuilder, Presentation};
    ///
    /// let policy: Policy = PolicyBuilder::from_file("/etc/orders/policy.toml")?
    ///     .presentation(Presentation::new().on_refusal(|refused, response| {
    ///         response.set_header("x-refused", refused.code());
    ///     }))
    ///     .build()?;
    /// # let _ = policy;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`PolicyConfig::into_builder`], or the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        from_file(path.as_ref(), PolicyConfig::into_builder)
    }

    /// Reads the settings of a policy from TOML. Paths in it start from `base`.
    ///
    /// # Errors
    ///
    /// As of [`PolicyConfig::into_builder`], or the text is no TOML.
    pub fn from_toml_str(text: &str, base: impl AsRef<Path>) -> Result<Self, ConfigError> {
        PolicyConfig::from_toml_str(text)?.into_builder(base)
    }
}

fn from_file<T>(
    path: &Path,
    make: impl FnOnce(PolicyConfig, PathBuf) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    from_content(path, &crate::file::read(path, MAX_BYTES), make)
}

/// More is no policy.
const MAX_BYTES: usize = 1024 * 1024;

fn from_content<T>(
    path: &Path,
    content: &Content,
    make: impl FnOnce(PolicyConfig, PathBuf) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let read = || {
        let config = PolicyConfig::from_content(path, content)?;
        make(config, path.parent().unwrap_or(Path::new("")).to_owned())
    };
    read().map_err(|error| error.in_file(path))
}

/// The text of a file.
fn text_of(content: &Content) -> Result<&str, ConfigError> {
    let text = match content {
        Ok(content) if content.len() > MAX_BYTES => {
            Err(unreadable_reason(io::ErrorKind::FileTooLarge))
        }
        Ok(content) => crate::text::read(content).map_err(|fault| format!("the text {fault}")),
        Err(kind) => Err(unreadable_reason(*kind)),
    };
    text.map_err(ConfigError::unreadable)
}
