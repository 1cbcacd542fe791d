//! A key set, as Portcullis would use it.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::fetch::{
    AddressFault, Client, ClientFault, FetchFault, HttpClient, HttpFuture, HttpRequest,
};
use portcullis::keys::remote::{KeyFetchError, KeyFetchFault, RemoteJwksError};
use portcullis::{KeySet, RemoteJwks, dangerous};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::{Failure, MARK, Output, counted, shown};
use crate::time::duration;
use crate::{Exit, block_on};

/// Show which keys of a key set can be used, and why the others cannot.
///
/// The key set is fetched as a policy fetches it: by https only, except from this machine, without following redirects,
/// without a proxy from the environment, and with at most 256 KiB and 100 keys.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The address of a key set (JWKS), or a file with one
    #[arg(value_name = "URL|FILE", required_unless_present = "issuer")]
    set: Option<String>,

    /// Find the key set by the metadata of this issuer
    #[arg(long, value_name = "URL", conflicts_with = "set")]
    issuer: Option<String>,

    /// Fetch from this host without TLS. Can be given more than once
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,

    /// Fetch through this proxy: its scheme, host and port
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

/// What is shown of a set.
#[derive(Serialize)]
struct Report {
    usable: bool,
    address: String,
    bytes: usize,
    fresh_for_s: Option<u64>,
    entries: Vec<Entry>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    serves: Vec<&'static str>,
    thumbprint: Option<String>,
    skipped: Option<String>,
}

pub(crate) fn run(options: Options, output: &Output) -> Result<Exit, Failure> {
    let Options { set, issuer, allow_http, proxy } = options;
    let (report, exit) = match (set, issuer) {
        (Some(set), _) if !is_address(&set) => read(&PathBuf::from(set))?,
        (set, issuer) => fetch(set, issuer, allow_http, proxy)?,
    };
    if output.json {
        output.json(&report);
        return Ok(exit);
    }
    print(&report, output);
    Ok(exit)
}

fn is_address(text: &str) -> bool {
    text.contains("://")
}

fn print(report: &Report, output: &Output) {
    let Report { usable, address, bytes, fresh_for_s, entries, error } = report;
    match error {
        Some(error) => output.verdict(false, &shown(error)),
        None => {
            let used = entries.iter().filter(|entry| !entry.serves.is_empty()).count();
            let text = format!(
                "{}: {used} of {} can be used",
                shown(address),
                counted(entries.len(), "entry").replace("entrys", "entries")
            );
            output.verdict(*usable, &text);
        }
    }
    if *bytes > 0 {
        let fresh = fresh_for_s.map(|time| format!(", fresh for {}", duration(time)));
        output.line(&format!("{bytes} bytes{}", fresh.unwrap_or_default()));
    }
    if entries.is_empty() {
        return;
    }
    output.line("");
    let rows = entries.iter().map(|entry| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        let serves = match &entry.skipped {
            Some(reason) => format!("skipped: {reason}"),
            None => entry.serves.join(", "),
        };
        // What it can be revoked by.
        let id = match (&entry.id, &entry.thumbprint) {
            (None, Some(thumbprint)) => format!("– (thumbprint {thumbprint})"),
            (id, _) => text(id),
        };
        [id, text(&entry.kind), text(&entry.purpose), serves]
    });
    output.table(["key id", "type", "use", "serves"], rows);
}

fn read(path: &Path) -> Result<(Report, Exit), Failure> {
    let content = std::fs::read(path)
        .map_err(|error| Failure::fault(format!("{}: {error}", path.display())))?;
    let error = KeySet::from_jwks(&content).err().map(|fault| fault.to_string());
    let exit = if error.is_none() { Exit::Good } else { Exit::Refused };
    let address = path.display().to_string();
    let error = error.map(|error| format!("{address}: {error}"));
    let (bytes, entries) = (content.len(), entries(&content));
    Ok((
        Report { usable: error.is_none(), address, bytes, fresh_for_s: None, entries, error },
        exit,
    ))
}

fn fetch(
    set: Option<String>,
    issuer: Option<String>,
    allow_http: Vec<String>,
    proxy: Option<String>,
) -> Result<(Report, Exit), Failure> {
    let client = match proxy {
        Some(proxy) => Client::builder().proxy(proxy),
        None => Client::builder(),
    };
    let client = client.build().map_err(|error| match error.faults() {
        // Here, the setting is an option.
        [ClientFault::Setting(fault)] => {
            Failure::fault(format!("--proxy must be {}", fault.allowed))
        }
        _ => Failure::fault(error.to_string()),
    })?;
    let last = Last::default();
    let recorder = Recorder { client: Arc::new(client), last: Arc::clone(&last) };
    let keys = match &set {
        Some(address) => RemoteJwks::url(address),
        None => RemoteJwks::discovery(),
    };
    let keys = allow_http
        .into_iter()
        .fold(keys.client(recorder), |keys, host| keys.allow_http(dangerous::allow_http(host)));
    let address = set.or(issuer.clone()).unwrap_or_default();
    let keys = keys.start_for(issuer.unwrap_or_else(|| address.clone())).map_err(|error| {
        let message = match error {
            // The way out of the library is for policies.
            RemoteJwksError::Address { fault: AddressFault::PlainHttp, .. } => "this is plain `http`, and whoever is on the way could replace the keys: use `https`, or for a host of a private network give --allow-http HOST".to_owned(),
            RemoteJwksError::Address { fault, .. } => fault.to_string(),
            other => other.to_string(),
        };
        Failure::fault(format!("{}: {message}", without_query(&address)))
    })?;
    let error = block_on(keys.refresh_now())?.err();
    let answer = last.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Of what failed before the set came, the last answer is another.
    let is_set = error.as_ref().is_none_or(|error| matches!(error.fault(), KeyFetchFault::Keys(_)));
    let (address, body) = answer.filter(|_| is_set).unwrap_or_default();
    let report = Report {
        usable: error.is_none(),
        address: without_query(&address).to_owned(),
        bytes: body.len(),
        fresh_for_s: keys.health().fresh_for.map(|time| time.as_secs()),
        entries: entries(&body),
        error: error.as_ref().map(ToString::to_string),
    };
    Ok((report, error.as_ref().map_or(Exit::Good, exit_of)))
}

/// A key for an interface may stand in the query, and a password before the host.
fn without_query(address: &str) -> &str {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    address.rsplit_once('@').map_or(address, |(_, host)| host)
}

fn exit_of(error: &KeyFetchError) -> Exit {
    match error.fault() {
        KeyFetchFault::NoMetadata(tried)
            if tried.iter().any(|error| matches!(exit_of(error), Exit::Unavailable)) =>
        {
            Exit::Unavailable
        }
        KeyFetchFault::Fetch(
            FetchFault::Connection(_)
            | FetchFault::Timeout { .. }
            | FetchFault::Status { status: 429 | 500.. },
        )
        | KeyFetchFault::Panicked
        | KeyFetchFault::Ended => Exit::Unavailable,
        _ => Exit::Refused,
    }
}

/// Each entry as it would be used, of what is a set at all and not too large.
fn entries(set: &[u8]) -> Vec<Entry> {
    #[derive(serde::Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let set = set.strip_prefix(MARK).unwrap_or(set);
    let keys = serde_json::from_slice::<Set<'_>>(set).map(|set| set.keys).unwrap_or_default();
    let entry = |text: &RawValue| {
        let members: Value = serde_json::from_str(text.get()).unwrap_or_default();
        let member = |name: &str| {
            let text = members.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (keys, skipped) = match KeySet::from_jwk(text.get()) {
            Ok(keys) => (keys, None),
            Err(fault) => (KeySet::empty(), Some(fault.to_string())),
        };
        Entry {
            id: member("kid"),
            kind: member("kty"),
            purpose: member("use"),
            serves: keys.iter().map(|key| key.algorithm().name()).collect(),
            thumbprint: keys.iter().find_map(|key| key.thumbprint()).map(str::to_owned),
            skipped,
        }
    };
    keys.into_iter().take(1000).map(entry).collect()
}

/// An address, and what it answered.
type Last = Arc<Mutex<Option<(String, Vec<u8>)>>>;

/// Keeps the last answer for who wants to look at it. All else is the client's.
#[derive(Debug)]
struct Recorder<C> {
    client: Arc<C>,
    last: Last,
}

impl<C: HttpClient> HttpClient for Recorder<C> {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        let (client, last) = (Arc::clone(&self.client), Arc::clone(&self.last));
        Box::pin(async move {
            let url = request.url.clone();
            let response = client.get(request).await?;
            let answer = (url, response.body.clone());
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Ok(response)
        })
    }
}
