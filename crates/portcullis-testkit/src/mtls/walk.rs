//! Whether an app takes a bound token from who presented its certificate, and from nobody else.
use core::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portcullis::Error;
use portcullis::error::ClaimsError;
use portcullis::mtls::{CertificateError, CertificateHeader};
use portcullis::request::{ClientCertificate, PeerAddress};

use super::bad::other;
use super::{BadBinding, MtlsClient};
use crate::protected::{Answer, Question};
use crate::routes::{Credentials, Route, Routes};

/// What a server says of the connection of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) peer: Option<PeerAddress>,
}

/// Asks every route, and panics with all that is not as it should be.
pub(crate) async fn walk(
    client: &MtlsClient,
    routes: Routes<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    let found = message(client, attempts(client), "assert_mtls", routes, async |route, attempt| {
        ask(&attempt.question(route)).await
    });
    if let Some(message) = found.await {
        panic!("{message}");
    }
}

/// A request of [`assert_mtls_over`], which a client of your own sends.
#[derive(Clone)]
#[non_exhaustive]
pub struct MtlsRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Which certificate the client presents, on a connection of its own.
    pub presents: PresentedCertificate,
}

/// Shows no token.
impl core::fmt::Debug for MtlsRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MtlsRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("presents", &self.presents)
            .finish_non_exhaustive()
    }
}

/// Which certificate a client presents in its TLS handshake.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PresentedCertificate {
    /// That of the [`MtlsClient`].
    Own,
    /// Another one, with the key that belongs to it.
    Other,
    /// None.
    Nothing,
}

/// Asks over real connections whether a service takes a token that is bound to a certificate from who presented that certificate, and
/// from nobody else (RFC 8705).
///
/// So it finds what no test of an app alone can: a server that does not pass on what its TLS handshake saw, and a proxy that lets
/// the header of its own client through. `send` makes a connection that presents what the request says, sends the request with an
/// empty body, and gives the status of the answer. [`MtlsClient::behind_proxy`] makes no difference here.
///
/// Each listed route is asked with the client's certificate, which has to get in; with another one and with none; with
/// neither, but with each header in which a proxy may say the certificate; and with each [`BadBinding`]. These have to be answered
/// with 401, or not at all, where the server takes no such connection.
///
/// ```no_run
/// use portcullis::Algorithm;
/// use portcullis_testkit::{
///     MtlsClient, MtlsRequest, PresentedCertificate, TestIssuer,
///     assert_mtls_over,
/// };
///
/// # async fn get(_: &MtlsRequest<'_>, _: Option<&str>) -> Result<u16, std::io::Error> { Ok(200) }
/// # async fn test(issuer: TestIssuer, der: Vec<u8>) {
/// let client = MtlsClient::new(issuer.token(Algorithm::ES256), der);
/// let send = async |request: &MtlsRequest<'_>| {
///     let certificate = match request.presents {
///         PresentedCertificate::Own => Some("client.pem"),
///         PresentedCertificate::Other => Some("other.pem"),
///         PresentedCertificate::Nothing => None,
///     };
///     // By the client that your tests use.
///     get(request, certificate).await
/// };
/// assert_mtls_over(&client, &[("GET", "/orders")], send).await;
/// # }
/// ```
///
/// # Panics
///
/// If a route does anything else: one message names all of it, and the way out. Also if the list is empty.
pub async fn assert_mtls_over<'a, E: Display>(
    client: &MtlsClient,
    routes: impl Into<Routes<'a>>,
    send: impl AsyncFn(&MtlsRequest<'_>) -> Result<u16, E>,
) {
    if let Some(message) = message_over(client, routes.into(), send).await {
        panic!("{message}");
    }
}

/// What it panics with.
pub(super) async fn message_over<E: Display>(
    client: &MtlsClient,
    routes: Routes<'_>,
    send: impl AsyncFn(&MtlsRequest<'_>) -> Result<u16, E>,
) -> Option<String> {
    let attempts = attempts_over(client);
    message(client, attempts, "assert_mtls_over", routes, async |(method, path), attempt| {
        let headers = attempt.fields.clone();
        let presents = attempt.presents;
        let request = MtlsRequest { method, path, headers, presents };
        match send(&request).await {
            Ok(status) => Ok(Answer::new(status, core::iter::empty(), None)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// What an app is asked with, and what has to come of it.
pub(super) struct Attempt {
    what: String,
    fields: Vec<(String, String)>,
    connection: Connection,
    /// Over a real connection, in place of the former.
    presents: PresentedCertificate,
    kind: Kind,
    way_out: &'static str,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    GetsIn,
    /// By who has no right to the token. If it gets in, the route is open to thieves, and nothing else is asked.
    IsRefused,
    /// The same, and of the rest.
    IsRefusedAsWell,
}

const BYPASS: &str = "Something other than the policy with `.mtls(…)` lets it in.";
const STRANGER: &str = "Something takes the header from anybody: let the policy read it, by `Mtls::from_header` with `trusted_proxies`, and nothing else.";

impl Attempt {
    fn new(what: impl Into<String>, token: &str, kind: Kind) -> Self {
        Self {
            what: what.into(),
            fields: vec![("authorization".to_owned(), format!("Bearer {token}"))],
            connection: Connection::default(),
            presents: PresentedCertificate::Nothing,
            kind,
            way_out: "",
        }
    }

    pub(super) fn question<'a>(&self, (method, path): Route<'a>) -> Question<'a> {
        let fields = self.fields.iter().map(|(name, value)| (&**name, &**value));
        let credentials = Credentials::headers(&fields.collect::<Vec<_>>());
        Question::plain(method, path, credentials).over(self.connection.clone())
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn with_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.connection.certificate = Some(certificate);
        self
    }

    fn from(mut self, peer: IpAddr) -> Self {
        self.connection.peer = Some(peer_at(peer));
        self
    }

    fn presents(mut self, presents: PresentedCertificate) -> Self {
        self.presents = presents;
        self
    }

    fn way_out(mut self, way_out: &'static str) -> Self {
        self.way_out = way_out;
        self
    }
}

fn peer_at(address: IpAddr) -> PeerAddress {
    PeerAddress::Ip(SocketAddr::new(address, 49_152))
}

impl MtlsClient {
    /// A question over a connection of its own, with its certificate or without one.
    pub(crate) fn ask_by<'q>(
        &self,
        (method, path): Route<'q>,
        credentials: Credentials,
        presents_certificate: bool,
    ) -> Question<'q> {
        let (credentials, connection) = match (&self.proxy, presents_certificate) {
            (None, true) => (credentials, Connection::of(ClientCertificate::presented(&self.der))),
            (None, false) => (credentials, Connection::of(ClientCertificate::absent())),
            (Some((header, proxy)), true) => {
                let value = header.value_of(&self.der);
                (credentials.with(header.name(), value), Connection::from_peer(*proxy))
            }
            (Some((_, proxy)), false) => (credentials, Connection::from_peer(*proxy)),
        };
        Question::plain(method, path, credentials).over(connection)
    }

    /// The DER of its certificate.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

impl Connection {
    fn of(certificate: ClientCertificate) -> Self {
        Self { certificate: Some(certificate), peer: None }
    }

    fn from_peer(address: IpAddr) -> Self {
        Self { certificate: None, peer: Some(peer_at(address)) }
    }
}

/// In the order in which they are made.
pub(super) fn attempts(client: &MtlsClient) -> Vec<Attempt> {
    match &client.proxy {
        None => by_tls(client),
        Some((header, proxy)) => by_proxy(client, header, *proxy),
    }
}

fn by_tls(client: &MtlsClient) -> Vec<Attempt> {
    let token = client.token();
    let own = || ClientCertificate::presented(&client.der);
    let other = ClientCertificate::presented(other(&client.der));
    let absent = ClientCertificate::absent;
    let good = |what| Attempt::new(what, &token, Kind::GetsIn).with_certificate(own());
    let refused = |what: &str| Attempt::new(what, &token, Kind::IsRefused).way_out(BYPASS);
    let mut all = vec![
        good("with its certificate"),
        refused("with another certificate").with_certificate(other),
        refused("without a certificate").with_certificate(absent()),
        refused("over a connection of which nobody says whether there was a certificate"),
    ];
    for header in usual_headers() {
        let what =
            format!("without a certificate, and with its own in the header `{}`,", header.name());
        let attempt = refused(&what).with_certificate(absent()).way_out(STRANGER);
        all.push(attempt.header(header.name(), header.value_of(&client.der)));
    }
    for fault in BadBinding::ALL {
        let what = format!("with its certificate and a token {fault}");
        let token = client.bad_token(*fault);
        all.push(Attempt::new(what, &token, Kind::IsRefusedAsWell).with_certificate(own()));
    }
    all.push(good("with its certificate, after bad requests,"));
    all
}

fn by_proxy(client: &MtlsClient, header: &CertificateHeader, proxy: IpAddr) -> Vec<Attempt> {
    let token = client.token();
    let (name, own) = (header.name(), header.value_of(&client.der));
    let by = proxy.to_string();
    // Of those for documentation (RFC 5737 §3).
    let strangers = [Ipv4Addr::new(203, 0, 113, 77), Ipv4Addr::new(198, 51, 100, 77)];
    let stranger = if strangers[0] == proxy { strangers[1] } else { strangers[0] };
    let good = |what| Attempt::new(what, &token, Kind::GetsIn).from(proxy).header(name, &*own);
    let refused = |what: &str, peer: IpAddr| {
        Attempt::new(what, &token, Kind::IsRefused).way_out(BYPASS).from(peer)
    };
    let from_stranger =
        |what: &str| refused(what, stranger.into()).header(name, &*own).way_out(STRANGER);
    let mut all = vec![
        good("with its certificate"),
        refused("with another certificate", proxy)
            .header(name, header.value_of(other(&client.der))),
        refused("without a certificate", proxy),
        refused("with an empty header", proxy).header(name, ""),
        from_stranger(
            "with its certificate in the header, from an address that is not the proxy's,",
        ),
    ];
    for told in ["x-forwarded-for", "x-real-ip"] {
        let what = format!(
            "with its certificate in the header, from an address that is not the proxy's and says so in `{told}`,"
        );
        let way_out =
            "Something takes the address of the peer from a header: anybody can write it.";
        all.push(from_stranger(&what).header(told, &*by).way_out(way_out));
    }
    let nobody = Attempt::new(
        "with its certificate in the header, from nobody knows where,",
        &token,
        Kind::IsRefused,
    );
    all.push(nobody.way_out(STRANGER).header(name, &*own));
    let tls = refused("with its certificate by the app's own TLS, and not in the header,", proxy);
    all.push(tls.with_certificate(ClientCertificate::presented(&client.der)));
    let again = |what: &str| Attempt::new(what, &token, Kind::IsRefusedAsWell).from(proxy);
    all.push(again("with the header twice").header(name, &*own).header(name, &*own));
    let underscored = name.replace('-', "_");
    if underscored != name {
        let what = format!("with the header spelt `{underscored}`");
        all.push(again(&what).header(&underscored, &*own));
    }
    for fault in BadBinding::ALL {
        let what = format!("with its certificate and a token {fault}");
        let attempt = Attempt::new(what, &client.bad_token(*fault), Kind::IsRefusedAsWell);
        all.push(attempt.from(proxy).header(name, &*own));
    }
    all.push(good("with its certificate, after bad requests,"));
    all
}

fn attempts_over(client: &MtlsClient) -> Vec<Attempt> {
    let token = client.token();
    let good = |what| Attempt::new(what, &token, Kind::GetsIn).presents(PresentedCertificate::Own);
    let refused = |what: &str| Attempt::new(what, &token, Kind::IsRefused).way_out(BYPASS);
    let mut all = vec![
        good("with its certificate"),
        refused("with another certificate").presents(PresentedCertificate::Other),
        refused("without a certificate"),
    ];
    let own_header = client.proxy.iter().map(|(header, _)| header.clone());
    for header in usual_headers().into_iter().chain(own_header) {
        let what =
            format!("without a certificate, and with the header `{}` by itself,", header.name());
        let way_out = "Does a proxy let that header of its client through, or does the service take it from anybody?";
        let value = header.value_of(&client.der);
        all.push(refused(&what).way_out(way_out).header(header.name(), value));
    }
    for fault in BadBinding::ALL {
        let what = format!("with its certificate and a token {fault}");
        let attempt = Attempt::new(what, &client.bad_token(*fault), Kind::IsRefusedAsWell);
        all.push(attempt.presents(PresentedCertificate::Own));
    }
    all.push(good("with its certificate, after bad requests,"));
    all
}

/// In which proxies say a certificate, by the names that they have of themselves or in examples.
fn usual_headers() -> [CertificateHeader; 8] {
    [
        CertificateHeader::client_cert(),
        CertificateHeader::xfcc(),
        CertificateHeader::aws_alb_verify(),
        CertificateHeader::aws_alb_passthrough(),
        CertificateHeader::escaped_pem("x-client-cert"),
        CertificateHeader::escaped_pem("ssl-client-cert"),
        CertificateHeader::base64_der("x-arr-clientcert"),
        CertificateHeader::hex_sha256("cloudfront-viewer-cert-sha256"),
    ]
}

/// What is wrong with the routes.
pub(super) async fn message(
    client: &MtlsClient,
    attempts: Vec<Attempt>,
    assertion: &str,
    routes: Routes<'_>,
    ask: impl AsyncFn(Route<'_>, &Attempt) -> Result<Answer, String>,
) -> Option<String> {
    if routes.listed().is_empty() {
        return Some(format!("no routes were given to `{assertion}`"));
    }
    let is_real = assertion != "assert_mtls";
    let mut faults = String::new();
    for route in routes.listed().iter().copied() {
        for fault in faults_of(client, &attempts, is_real, route, &ask).await {
            let (method, path) = route;
            _ = write!(faults, "\n  - {method} {path}: {fault}");
        }
    }
    (!faults.is_empty()).then(|| {
        format!(
            "the app does not hold tokens to their certificates:{faults}\nA bound token gets in from who presented its certificate. From anybody else it is answered with 401."
        )
    })
}

async fn faults_of(
    client: &MtlsClient,
    attempts: &[Attempt],
    is_real: bool,
    route: Route<'_>,
    ask: &impl AsyncFn(Route<'_>, &Attempt) -> Result<Answer, String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for attempt in attempts {
        // An open route has been called often enough.
        if attempt.kind != Kind::IsRefused && !faults.is_empty() {
            break;
        }
        let fault = match (ask(route, attempt).await, attempt.kind) {
            (Ok(answer), Kind::GetsIn) => fault_of_entry(client, is_real, &answer),
            (Ok(answer), _) => fault_of_refusal(is_real, attempt, &answer),
            // A server may take no connection without a certificate, or with one that it does not trust.
            (Err(_), Kind::IsRefused) if is_real => None,
            (Err(error), _) => Some(format!("failed: {error}")),
        };
        if let Some(fault) = fault {
            faults.push(format!("{} it {fault}", attempt.what));
            if attempt.kind == Kind::GetsIn {
                break;
            }
        }
    }
    faults
}

/// Why this is not what the client of a token is answered with.
fn fault_of_entry(client: &MtlsClient, is_real: bool, answer: &Answer) -> Option<String> {
    let status = answer.status();
    let Some(why) = answer.why() else {
        return match (status, is_real) {
            (503, true) => Some(format!("answered 503. {SAYS_NOTHING}")),
            (401, true) => Some(format!(
                "answered 401. {SAY_MTLS} Does it go by the source that the certificate comes from, and is the connection that of the client with this certificate?"
            )),
            (404 | 405 | 501, _) => Some(format!("answered {status}: is there such a route?")),
            (401 | 403 | 500.., false) => {
                Some(format!("answered {status}, and Portcullis did not"))
            }
            (403 | 500.., true) => Some(format!("answered {status}")),
            _ => None,
        };
    };
    let way_out = match why {
        Error::Claims(ClaimsError::SenderConstrained) => SAY_MTLS.to_owned(),
        Error::Certificate(error) => way_out(client, *error),
        Error::Dpop(_) => {
            "The policy asks for a proof as well: `assert_dpop` asks for that".to_owned()
        }
        Error::Forbidden(_) | Error::Shape(_) => {
            "The certificate was taken: give the client a token that may use the route".to_owned()
        }
        Error::NotInstalled => return Some(format!("answered {status}: {why}")),
        _ => "Give the client a token that the policy accepts".to_owned(),
    };
    let why = why.to_string();
    // Of what ends with a question.
    let end = if why.ends_with('?') { "" } else { "." };
    Some(format!("answered {status}: {why}{end} {way_out}"))
}

fn way_out(client: &MtlsClient, error: CertificateError) -> String {
    match (&client.proxy, error) {
        (None, CertificateError::Unknown) => {
            "The request said it: something between takes it away, such as a request that is made anew without its extensions".to_owned()
        }
        (None, CertificateError::Missing | CertificateError::NoHeader | CertificateError::Other) => "The request said it by the app's own TLS. Does the policy go by a header? Then say which, by `MtlsClient::behind_proxy`. Or does something say another certificate, such as a layer that puts a `ClientCertificate` on each request?".to_owned(),
        (Some((header, _)), CertificateError::Unknown) => format!(
            "The proxy said it in `{}`, and the policy goes by its own TLS: name the header, by `Mtls::from_header`",
            header.name()
        ),
        (Some((_, proxy)), CertificateError::UntrustedProxy) => format!(
            "The header came from {proxy}: list it by `Mtls::trusted_proxies`. Or does something say another peer, such as `MockConnectInfo`?"
        ),
        (Some((header, _)), CertificateError::Missing | CertificateError::NoHeader) => format!(
            "The proxy said it in `{}`: does the policy name that header, and does something take it away?",
            header.name()
        ),
        (Some((header, _)), CertificateError::Header(_)) => format!(
            "The proxy wrote `{}` as the client has it: does the policy name the same form?",
            header.name()
        ),
        (Some(_), CertificateError::PeerUnknown) => {
            "The request said its peer: something between takes it away".to_owned()
        }
        _ => "The certificate was that of the token: does something change the request?".to_owned(),
    }
}

const SAY_MTLS: &str = "Does the policy in front of this route have `.mtls(…)`?";
const SAYS_NOTHING: &str = "The server does not say what its TLS handshake saw, or which peer it has: serve by `portcullis_axum::tls` or `portcullis_actix::tls`, or see that `on_connect` is set before `bind`, that each request gets a `ClientCertificate`, and behind a proxy `into_make_service_with_connect_info`";

/// Why this is not what anybody but the client is answered with.
fn fault_of_refusal(is_real: bool, attempt: &Attempt, answer: &Answer) -> Option<String> {
    let status = answer.status();
    let is_told = is_real || answer.challenges() || answer.challenges_for_proofs();
    // Of what nobody knows, nobody is to blame.
    let is_unavailable = status == 503 && answer.why().is_some_and(is_of_certificate);
    if (status == 401 && is_told) || is_unavailable {
        return None;
    }
    let why = answer.why().map(|why| format!(": {why}")).unwrap_or_default();
    let way_out = if answer.is_success() && !attempt.way_out.is_empty() {
        format!(". {}", attempt.way_out)
    } else {
        String::new()
    };
    let challenge = if status == 401 { " without a challenge" } else { "" };
    Some(format!("answered {status}{challenge}{why}{way_out}"))
}

fn is_of_certificate(why: &Error) -> bool {
    matches!(why, Error::Certificate(_))
}
