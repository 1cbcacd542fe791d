//! The table: what comes in, and what the client then sees.
//!
//! Every expectation is spelled out here. None is taken from the code under test.
use std::time::Duration;

use portcullis::Algorithm;
use portcullis_testkit::{SigningKey, TestIssuer, TokenBuilder, hostile};
use serde_json::json;

use crate::client::{Answer, Protocol, Request};
use crate::policies::{AUTH0, COGNITO, ENTRA, KEYCLOAK, NOW, OTHER_ISSUER, Variant, issuer};

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it says, as a sentence.
    pub name: String,
    /// The policy in front.
    pub policy: Variant,
    /// What is sent.
    pub sent: Sent,
    /// What must come back, over every protocol and through every door.
    pub expected: Answer,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A request, over HTTP/1.1 and HTTP/2.
    Request(Request),
    /// A request that HTTP/2 does not have.
    Http1(Request),
    /// Bytes that no client library would send, over HTTP/1.1. The request has this method.
    Raw(&'static str, Vec<u8>),
}

impl Sent {
    /// The protocols it is sent over.
    pub fn protocols(&self) -> &'static [Protocol] {
        match self {
            Self::Request(_) => &Protocol::ALL,
            Self::Http1(_) | Self::Raw(..) => &[Protocol::Http1],
        }
    }
}

impl From<Request> for Sent {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

/// Every row.
pub fn rows() -> Vec<Row> {
    [
        missing(),
        several(),
        spellings(),
        good_tokens(),
        routes(),
        malformed(),
        unverifiable(),
        audiences(),
        times(),
        claim_rules(),
        presentation(),
        hooks(),
        cookies(),
        cross_site(),
        bad_cookies(),
        other_sources(),
        private_responses(),
        preflights(),
        sought_keys(),
        revocation(),
        revocation_list(),
        requirements(),
        providers(),
        grpc(),
        views(),
        certificates(),
        sizes(),
    ]
    .concat()
}

fn row(policy: Variant, name: impl Into<String>, sent: impl Into<Sent>, expected: Answer) -> Row {
    Row { name: name.into(), policy, sent: sent.into(), expected }
}

// What is sent.

fn get(target: &str) -> Request {
    Request::new("GET", target)
}

fn post(target: &str) -> Request {
    Request::new("POST", target)
}

fn head(target: &str) -> Request {
    Request::new("HEAD", target)
}

fn whoami(token: impl AsRef<[u8]>) -> Request {
    get("/whoami").bearer(token)
}

fn raw(method: &'static str, lines: &[&[u8]]) -> Sent {
    let mut bytes = lines.join(&b"\r\n"[..]);
    bytes.extend_from_slice(b"\r\n\r\n");
    Sent::Raw(method, bytes)
}

impl Request {
    fn authorization(self, value: impl AsRef<[u8]>) -> Self {
        self.header("authorization", value.as_ref())
    }

    fn bearer(self, token: impl AsRef<[u8]>) -> Self {
        self.authorization([b"Bearer ", token.as_ref()].concat())
    }

    fn cookie(self, value: impl AsRef<str>) -> Self {
        self.header("cookie", value.as_ref())
    }

    fn token_cookie(self, token: impl AsRef<str>) -> Self {
        self.cookie(format!("__Host-token={}", token.as_ref()))
    }

    /// As a browser's `new WebSocket(url, [a, b])`.
    fn offering(self, protocols: impl Into<Vec<u8>>) -> Self {
        self.header("sec-websocket-protocol", protocols)
    }

    fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }
}

// Tokens.

fn token() -> TokenBuilder {
    issuer().token(Algorithm::ES256)
}

fn good() -> String {
    token().mint()
}

fn expired() -> String {
    token().expired().mint()
}

// What comes back.

/// What [`good`] claims.
const CLAIMS: &str = r#"{"aud":"https://api.example","client_id":"testkit","exp":1800000300,"iat":1800000000,"iss":"https://issuer.example","jti":"token-1","sub":"alice"}"#;

impl Answer {
    fn of(status: u16, content_type: &str, body: &str) -> Self {
        let length = body.len().to_string();
        let headers =
            [("content-length", length.as_bytes()), ("content-type", content_type.as_bytes())];
        Self::new(status, headers, body)
    }

    fn problem(status: u16, body: &str) -> Self {
        Self::of(status, "application/problem+json", body).with("cache-control", "no-store")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self.headers.sort_unstable();
        self
    }

    /// As where the token may have come in a place that caches know nothing of (RFC 9111 §3.5).
    fn private(self) -> Self {
        self.with("cache-control", "private")
    }

    /// With one header of another value.
    fn with_other(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self.with(name, value)
    }

    /// As the answer to HEAD: the same headers (RFC 9110 §9.3.2).
    fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }
}

fn claims() -> Answer {
    Answer::of(200, "application/json", CLAIMS)
}

fn text(body: &str) -> Answer {
    Answer::of(200, "text/plain; charset=utf-8", body)
}

fn token_missing() -> Answer {
    Answer::problem(
        401,
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"This resource needs an access token.","code":"token-missing"}"#,
    )
    .with("www-authenticate", "Bearer")
}

fn several_tokens() -> Answer {
    Answer::problem(
        400,
        r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request carries more than one access token.","code":"request-invalid"}"#,
    )
    .with("www-authenticate", r#"Bearer error="invalid_request", error_description="The request carries more than one access token""#)
}

/// Of `text`, the full stop belongs to the detail alone.
fn token_invalid(text: &str) -> Answer {
    Answer::problem(
        401,
        &format!(
            r#"{{"type":"about:blank","title":"Unauthorized","status":401,"detail":"{text}.","code":"token-invalid"}}"#
        ),
    )
    .with("www-authenticate", &format!(r#"Bearer error="invalid_token", error_description="{text}""#))
}

fn is_malformed() -> Answer {
    token_invalid("The access token is malformed")
}

fn is_unverifiable() -> Answer {
    token_invalid("The access token could not be verified")
}

fn is_for_others() -> Answer {
    token_invalid("The access token is not meant for this resource")
}

fn has_expired() -> Answer {
    token_invalid("The access token has expired")
}

fn is_not_valid_yet() -> Answer {
    token_invalid("The access token is not valid yet")
}

fn is_too_old() -> Answer {
    token_invalid("The access token is too old")
}

fn lacks_a_claim() -> Answer {
    token_invalid("The access token lacks a required claim")
}

fn has_other_claims() -> Answer {
    token_invalid("The claims of the access token are not what this resource accepts")
}

fn was_revoked() -> Answer {
    token_invalid("The access token has been revoked")
}

fn token_unsuitable() -> Answer {
    Answer::problem(
        403,
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token does not carry what this resource needs.","code":"token-unsuitable"}"#,
    )
}

fn is_cross_site() -> Answer {
    Answer::problem(
        403,
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"The request did not come from an allowed origin.","code":"cross-site-request"}"#,
    )
}

fn unavailable(retry_after: &str) -> Answer {
    Answer::problem(
        503,
        r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Access tokens cannot be verified at the moment.","code":"verification-unavailable"}"#,
    )
    .with("retry-after", retry_after)
}

fn misconfigured() -> Answer {
    Answer::problem(
        500,
        r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"This resource is not protected as it was meant to be.","code":"misconfigured"}"#,
    )
}

// The rows.

fn missing() -> Vec<Row> {
    let plain = |name: &str, request: Request| row(Variant::Plain, name, request, token_missing());
    vec![
        plain("a request without a token is refused", get("/whoami")),
        plain("an unsafe request without a token is refused", post("/whoami")),
        row(
            Variant::Plain,
            "a request with a body is refused like one without",
            Sent::Raw(
                "POST",
                b"POST /whoami HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\n\r\nbody"
                    .to_vec(),
            ),
            token_missing(),
        ),
        plain("a method that nobody knows needs a token", Request::new("BREW", "/whoami")),
        plain("an empty Authorization is no token", get("/whoami").authorization("")),
        plain("a scheme alone is no token", get("/whoami").authorization("Bearer")),
        plain("a scheme and spaces are no token", get("/whoami").authorization("Bearer    ")),
        plain("Basic is not our scheme", get("/whoami").authorization("Basic dXNlcjpwYXNz")),
        plain(
            "DPoP is not our scheme while it is not enabled",
            get("/whoami").authorization(format!("DPoP {}", good())),
        ),
        plain(
            "a longer scheme is not Bearer",
            get("/whoami").authorization(format!("Bearers {}", good())),
        ),
        plain("a token without a scheme is none", get("/whoami").authorization(good())),
        plain(
            "a tab does not end the scheme",
            get("/whoami").authorization(format!("Bearer\t{}", good())),
        ),
        plain(
            "two credentials of other schemes are no token",
            get("/whoami").authorization("Basic YTpi").authorization("Digest x"),
        ),
        plain("a cookie that is no source is no token", get("/whoami").token_cookie(good())),
        plain(
            "a query parameter that is no source is no token",
            get(&format!("/whoami?access_token={}", good())),
        ),
        plain(
            "proxy credentials are no token",
            get("/whoami").header("proxy-authorization", format!("Bearer {}", good())),
        ),
        row(
            Variant::Plain,
            "the answer to HEAD has the headers of a refusal and no body",
            head("/whoami"),
            token_missing().without_body(),
        ),
    ]
}

fn several() -> Vec<Row> {
    let plain = |name: &str, request: Request| row(Variant::Plain, name, request, several_tokens());
    let cookie =
        |name: &str, request: Request| row(Variant::Cookie, name, request, several_tokens());
    vec![
        plain("two Authorization fields are two tokens", whoami(good()).bearer(expired())),
        plain("the same Authorization twice is two tokens", whoami(good()).bearer(good())),
        plain(
            "a bearer token before other credentials counts as two tokens",
            whoami(good()).authorization("Basic YTpi"),
        ),
        plain(
            "a bearer token after other credentials counts as two tokens",
            get("/whoami").authorization("Basic YTpi").bearer(good()),
        ),
        plain(
            "a bearer token before an empty field counts as two tokens",
            whoami(good()).authorization(""),
        ),
        plain("two bad tokens are two tokens", whoami("x").bearer("y")),
        row(
            Variant::Plain,
            "two tokens are refused where anonymous requests pass",
            get("/optional").bearer(good()).bearer(good()),
            several_tokens(),
        ),
        row(
            Variant::Plain,
            "two tokens are refused without a body where the method is HEAD",
            head("/whoami").bearer(good()).bearer(good()),
            several_tokens().without_body(),
        ),
        cookie("a header and a cookie are two tokens", whoami(good()).token_cookie(good())),
        cookie("a header and a bad cookie are two tokens", whoami(good()).token_cookie("x")),
        cookie(
            "the same cookie twice in one field is two tokens",
            get("/whoami").cookie(format!("__Host-token={0}; a=b; __Host-token={0}", good())),
        ),
        cookie(
            "the same cookie in two fields is two tokens",
            get("/whoami").token_cookie(good()).token_cookie(good()),
        ),
        row(
            Variant::CustomHeader,
            "the same header twice is two tokens",
            get("/whoami")
                .header("x-access-token", format!("Token {}", good()))
                .header("x-access-token", format!("Token {}", good())),
            several_tokens(),
        ),
        row(
            Variant::CustomHeader,
            "a token's header beside one of its name without a token is two tokens",
            get("/whoami")
                .header("x-access-token", "other")
                .header("x-access-token", format!("Token {}", good())),
            several_tokens(),
        ),
        row(
            Variant::OtherScheme,
            "a token of another scheme before other credentials counts as two tokens",
            get("/whoami").authorization(format!("JWT {}", good())).authorization("Basic YTpi"),
            several_tokens(),
        ),
        row(
            Variant::OtherScheme,
            "a token of another scheme after other credentials counts as two tokens",
            get("/whoami").authorization("Basic YTpi").authorization(format!("JWT {}", good())),
            several_tokens(),
        ),
        row(
            Variant::WebSocketProtocol,
            "a subprotocol with a token twice is two tokens",
            get("/whoami").offering(format!("bearer, {0}, bearer, {0}", good())),
            several_tokens(),
        ),
        row(
            Variant::WebSocketProtocol,
            "a header and a subprotocol are two tokens",
            whoami(good()).offering(format!("bearer, {}", good())),
            several_tokens(),
        ),
        row(
            Variant::Query,
            "the same query parameter twice is two tokens",
            get(&format!("/whoami?access_token={0}&access_token={0}", good())),
            several_tokens(),
        ),
        row(
            Variant::Query,
            "a header and a query parameter are two tokens",
            get(&format!("/whoami?access_token={}", good())).bearer(good()),
            several_tokens(),
        ),
        row(
            Variant::Plain,
            "two tokens in one field are one that is malformed",
            whoami(format!("{0}, Bearer {0}", good())),
            is_malformed(),
        ),
    ]
}

fn spellings() -> Vec<Row> {
    let plain = |name: String, sent: Sent| row(Variant::Plain, name, sent, claims());
    let mut rows: Vec<_> = ["bearer ", "BEARER ", "bEaReR ", "Bearer   "]
        .into_iter()
        .map(|scheme| {
            let request = get("/whoami").authorization(format!("{scheme}{}", good()));
            plain(format!("the scheme may be spelled {scheme:?}"), request.into())
        })
        .collect();
    let credentials = format!("Authorization: Bearer {}", good());
    let host = b"Host: api.example".as_slice();
    rows.extend([
        plain(
            "a header's name may be in any case".to_owned(),
            raw(
                "GET",
                &[
                    b"GET /whoami HTTP/1.1",
                    host,
                    format!("AUTHORIZATION: Bearer {}", good()).as_bytes(),
                ],
            ),
        ),
        plain(
            "white space around a value does not count".to_owned(),
            raw(
                "GET",
                &[
                    b"GET /whoami HTTP/1.1",
                    host,
                    format!("Authorization: \t  Bearer {} \t ", good()).as_bytes(),
                ],
            ),
        ),
        plain(
            "a target may have a host".to_owned(),
            raw("GET", &[b"GET http://api.example/whoami HTTP/1.1", host, credentials.as_bytes()]),
        ),
        plain(
            "a query does not matter".to_owned(),
            whoami(good()).target("/whoami?authorization=Bearer%20x&access_token=y").into(),
        ),
        row(
            Variant::Plain,
            "HTTP/1.0 is answered too",
            raw("GET", &[b"GET /whoami HTTP/1.0", host, credentials.as_bytes()]),
            claims(),
        ),
        row(
            Variant::Plain,
            "bytes that are no ASCII are no token",
            whoami([0xc3, 0xa4, 0xff, 0x80]),
            is_malformed(),
        ),
        row(
            Variant::Plain,
            "a scheme that is no ASCII is not ours",
            get("/whoami").authorization([b"Bearer\xff ".as_slice(), good().as_bytes()].concat()),
            token_missing(),
        ),
        row(
            Variant::Plain,
            "a second field is seen however its name is spelled",
            raw(
                "GET",
                &[
                    b"GET /whoami HTTP/1.1",
                    host,
                    format!("authorization: Bearer {}", good()).as_bytes(),
                    format!("AUTHORIZATION: Bearer {}", good()).as_bytes(),
                ],
            ),
            several_tokens(),
        ),
    ]);
    rows
}

impl Request {
    fn target(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }
}

fn good_tokens() -> Vec<Row> {
    let plain =
        |name: &str, token: TokenBuilder| row(Variant::Plain, name, whoami(token.mint()), claims());
    let mut rows: Vec<_> = Algorithm::ALL
        .iter()
        .copied()
        .map(|algorithm| plain(&format!("{algorithm} is verified"), issuer().token(algorithm)))
        .collect();
    // Spaces, order, escapes and members of any kind come out as they went in.
    let payload = r#"{ "sub" : "\u0061lice", "nested": {"b":[1, 2.50, 1e3], "a":null}, "iss":"https://issuer.example","aud":["other","https://api.example"],
 "exp":1800000300.75 , "ünïcode":"✓" }"#;
    rows.extend([
        plain(
            "a token without a key id is tried with the keys of its algorithm",
            token().without_header("kid"),
        ),
        plain("the type JWT is accepted", token().typ("JWT")),
        plain("the type jwt is the type JWT", token().typ("jwt")),
        plain("the type application/jwt is the type JWT", token().typ("application/jwt")),
        plain("the type application/at+jwt is accepted", token().typ("application/AT+JWT")),
        plain("no type is accepted", token().without_header("typ")),
        plain(
            "header members that say nothing to us are no harm",
            token().header("x", json!({"y": [1]})),
        ),
        plain(
            "a key in the header is not followed",
            token()
                .header("jku", "https://evil.example/jwks")
                .header("jwk", json!({"kty": "oct", "k": ""})),
        ),
        row(
            Variant::Plain,
            "the claims come out byte for byte",
            whoami(token().raw_payload(payload).mint()),
            Answer::of(200, "application/json", payload),
        ),
        row(
            Variant::Plain,
            "the other signature of an ECDSA token is as valid",
            whoami(hostile::ecdsa_twin(&good())),
            claims(),
        ),
        row(
            Variant::Plain,
            "the answer to HEAD has the headers of a success and no body",
            head("/whoami").bearer(good()),
            claims().without_body(),
        ),
        row(
            Variant::Plain,
            "an unsafe method passes with a token in a header",
            post("/whoami").bearer(good()),
            claims(),
        ),
        row(
            Variant::Plain,
            "an unsafe request of another site passes with a token in a header",
            post("/whoami")
                .bearer(good())
                .header("sec-fetch-site", "cross-site")
                .header("origin", "https://evil.example"),
            claims(),
        ),
        row(
            Variant::TwoIssuers,
            "each issuer's tokens are verified with its own keys",
            whoami(good()),
            claims(),
        ),
        row(
            Variant::TwoIssuers,
            "a token of the second issuer is verified with its key",
            get("/optional").bearer(
                TestIssuer::new(OTHER_ISSUER).at(NOW).token(Algorithm::EdDSA).subject("bob").mint(),
            ),
            text("bob"),
        ),
        row(
            Variant::Rotation,
            "a secret is accepted until the second before its end",
            whoami(issuer().token(Algorithm::HS256).without_header("kid").mint()),
            claims(),
        ),
    ]);
    rows
}

fn routes() -> Vec<Row> {
    let plain =
        |name: &str, request: Request, answer: Answer| row(Variant::Plain, name, request, answer);
    let member = token().claim("tenant", "acme").claim("number", 7).mint();
    let stranger = token().claim("tenant", "acme").claim("number", "seven").mint();
    let since = |time: &str| {
        let members = format!(r#","tenant":"acme","number":7,"since":{time}}}"#);
        token().raw_payload(CLAIMS.replace('}', &members)).mint()
    };
    vec![
        plain(
            "a request without a token is anonymous where that is allowed",
            get("/optional"),
            text("anonymous"),
        ),
        plain(
            "a request with an empty token is anonymous where that is allowed",
            get("/optional").authorization("Bearer "),
            text("anonymous"),
        ),
        plain(
            "a request with other credentials is anonymous where that is allowed",
            get("/optional").authorization("Basic YTpi"),
            text("anonymous"),
        ),
        plain(
            "a request with a token is not anonymous where it could be",
            get("/optional").bearer(good()),
            text("alice"),
        ),
        plain(
            "a token without a subject has none",
            get("/optional").bearer(token().without("sub").mint()),
            text("anonymous"),
        ),
        plain(
            "a malformed token is refused where anonymous requests pass",
            get("/optional").bearer("undefined"),
            is_malformed(),
        ),
        plain(
            "an expired token is refused where anonymous requests pass",
            get("/optional").bearer(expired()),
            has_expired(),
        ),
        plain(
            "HEAD is anonymous where that is allowed",
            head("/optional"),
            text("anonymous").without_body(),
        ),
        plain("an open route does not look for a token", get("/open"), text("open")),
        plain(
            "an open route does not look at a bad token",
            get("/open").bearer(expired()),
            text("open"),
        ),
        plain(
            "an open route does not look at two tokens",
            get("/open").bearer("x").bearer("y"),
            text("open"),
        ),
        plain("claims that fit are read", get("/typed").bearer(&member), text("7 of acme")),
        plain(
            "a time is read in a handler's claims as verification reads it",
            get("/typed").bearer(since("1.8e9")),
            text("7 of acme since 1800000000"),
        ),
        plain(
            "what verification takes for no time does not fit",
            get("/typed").bearer(since("-1.8e9")),
            token_unsuitable(),
        ),
        plain(
            "claims of the wrong type do not fit",
            get("/typed").bearer(&stranger),
            token_unsuitable(),
        ),
        plain("missing claims do not fit", get("/typed").bearer(good()), token_unsuitable()),
        plain(
            "an unsuitable token is refused without a body where the method is HEAD",
            head("/typed").bearer(good()),
            token_unsuitable().without_body(),
        ),
        plain("typed claims need a token", get("/typed"), token_missing()),
        plain(
            "optional claims that fit are read",
            get("/typed-optional").bearer(&member),
            text("7 of acme"),
        ),
        plain(
            "optional claims may be missing together with the token",
            get("/typed-optional"),
            text("anonymous"),
        ),
        plain(
            "optional claims that do not fit are refused",
            get("/typed-optional").bearer(&stranger),
            token_unsuitable(),
        ),
        plain(
            "a route that asks for a token and has no layer is a fault of the server",
            get("/unprotected"),
            misconfigured(),
        ),
        plain(
            "a route without its layer lets no token in",
            get("/unprotected").bearer(good()),
            misconfigured(),
        ),
        plain(
            "a route that could do without a token needs its layer as well",
            get("/unprotected-optional"),
            misconfigured(),
        ),
        plain(
            "behind the layer a handler need not look at the token",
            get("/inside").bearer(good()),
            text("inside"),
        ),
        plain("without a token nothing gets behind the layer", get("/inside"), token_missing()),
        plain(
            "with a bad token nothing gets behind the layer",
            get("/inside").bearer(expired()),
            has_expired(),
        ),
        plain(
            "a route without its layer answers HEAD without a body",
            head("/unprotected"),
            misconfigured().without_body(),
        ),
    ]
}

fn malformed() -> Vec<Row> {
    let plain =
        |name: &str, token: String| row(Variant::Plain, name, whoami(token), is_malformed());
    let good = good();
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { unreachable!("a token has three parts") };
    let header_is = |json: &str| token().raw_header(json).mint();
    let payload_is = |json: &str| token().raw_payload(json).mint();
    let mut rows = vec![
        plain("what a browser sends for no token is malformed", "undefined".into()),
        plain("null is malformed", "null".into()),
        plain("a lone dot is malformed", ".".into()),
        plain("two dots are malformed", "..".into()),
        plain("two parts are malformed", format!("{header}.{payload}")),
        plain("an empty header is malformed", format!(".{payload}.{signature}")),
        plain("an empty payload is malformed", format!("{header}..{signature}")),
        plain("an empty signature is malformed", format!("{header}.{payload}.")),
        plain("a fourth part is malformed", format!("{good}.")),
        plain("an encrypted token is malformed", format!("{good}.AA.AA")),
        plain("padding is malformed", format!("{good}=")),
        plain("base64 of the other alphabet is malformed", format!("{header}.{payload}.+/+/")),
        plain("a part of impossible length is malformed", format!("{header}.{payload}.A")),
        plain("trailing bits are malformed", format!("{header}.{payload}.AB")),
        plain("a space inside is malformed", format!("{header}. {payload}.{signature}")),
        plain("quotes around a token are malformed", format!("\"{good}\"")),
        plain(
            "a token in JSON is malformed",
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            ),
        ),
        plain("a percent-encoded dot is malformed", good.replace('.', "%2E")),
        plain("a thousand dots are malformed", ".".repeat(1000)),
        plain("a token over 16 KiB is malformed", token().claim("x", "y".repeat(12 * 1024)).mint()),
        plain("a token over 16 KiB by a byte is malformed", "a".repeat(16 * 1024 + 1)),
        plain("a header over 4 KiB is malformed", token().header("x", "y".repeat(4 * 1024)).mint()),
        plain("a key id over 1 KiB is malformed", token().key_id("k".repeat(1025)).mint()),
        plain("a key id that is no string is malformed", token().header("kid", 1).mint()),
        plain(
            "an audience among over 256 is malformed",
            token().claim("aud", vec![TestIssuer::AUDIENCE; 257]).mint(),
        ),
        plain("a token id over 1 KiB is malformed", token().claim("jti", "j".repeat(1025)).mint()),
        plain("a missing algorithm is malformed", token().without_header("alg").mint()),
        plain(
            "an algorithm that is no string is malformed",
            token().header("alg", json!(["ES256"])).mint(),
        ),
        plain("a critical extension is malformed", token().header("crit", json!(["exp"])).mint()),
        plain(
            "an empty list of critical extensions is malformed",
            token().header("crit", json!([])).mint(),
        ),
        plain("an unencoded payload is malformed", token().header("b64", false).mint()),
        plain("a compressed token is malformed", token().header("zip", "DEF").mint()),
        plain("a nested token is malformed", token().header("cty", "JWT").mint()),
        plain("a header member twice is malformed", header_is(r#"{"alg":"ES256","alg":"ES256"}"#)),
        plain(
            "a header member twice is malformed if one is spelled with escapes",
            header_is(r#"{"alg":"ES256","\u0061lg":"ES256"}"#),
        ),
        plain("a header that is no object is malformed", header_is("[]")),
        plain("a header that is no JSON is malformed", header_is("alg: ES256")),
        plain("a byte order mark is malformed", header_is("\u{feff}{\"alg\":\"ES256\"}")),
        plain("a claim twice is malformed", payload_is(r#"{"sub":"alice","sub":"root"}"#)),
        plain(
            "a claim twice deep inside is malformed",
            payload_is(r#"{"a":[{"b":1,"\u0062":2}]}"#),
        ),
        plain(
            "a payload that is not UTF-8 is malformed",
            token().raw_payload([b'{', 0xff, b'}']).mint(),
        ),
        plain(
            "a payload nested too deep is malformed",
            payload_is(&format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000))),
        ),
        plain(
            "17 levels are too deep",
            payload_is(&format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16))),
        ),
    ];
    for (claim, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("nbf", json!("0")),
        ("iat", json!([])),
        ("iss", json!(["https://issuer.example"])),
        ("sub", json!(1.5)),
        ("aud", json!(7)),
        ("aud", json!(["https://api.example", 7])),
        ("jti", json!({})),
    ] {
        let name = format!("`{claim}` of the wrong type is malformed: {value}");
        rows.push(plain(&name, token().claim(claim, value).mint()));
    }
    rows
}

fn unverifiable() -> Vec<Row> {
    let of = |policy: Variant, name: &str, token: String| {
        row(policy, name, whoami(token), is_unverifiable())
    };
    let plain = |name: &str, token: String| of(Variant::Plain, name, token);
    let rs256 = issuer().token(Algorithm::RS256).mint();
    let impostor = issuer().impostor();
    let mut rows = vec![
        // The type of a claim, which an issuer may be allowed.
        plain("a subject that is a number is not verified", token().claim("sub", 42).mint()),
        plain("a token id that is a number is not verified", token().claim("jti", 42).mint()),
        // The algorithm.
        plain(
            "an unsigned token with a signature is not verified",
            token().header("alg", "none").mint(),
        ),
        plain(
            "an algorithm that nobody knows is not verified",
            token().header("alg", "ES257").mint(),
        ),
        plain(
            "the name of an algorithm is compared with its case",
            token().header("alg", "es256").mint(),
        ),
        of(
            Variant::OneAlgorithm,
            "an algorithm that the policy does not list is not verified",
            issuer().token(Algorithm::EdDSA).mint(),
        ),
        of(
            Variant::TwoIssuers,
            "an algorithm that the policy lists for another issuer is not verified",
            issuer().token(Algorithm::EdDSA).mint(),
        ),
        plain(
            "a key is used with its own algorithm only",
            issuer().token(Algorithm::PS256).key_id("rs256-1").mint(),
        ),
        plain(
            "a key of ML-DSA is used with its own parameter set only",
            issuer().token(Algorithm::ML_DSA_44).header("alg", "ML-DSA-65").mint(),
        ),
        plain(
            "a key of ML-DSA is not used with a parameter set that its token claims for it",
            issuer().token(Algorithm::ML_DSA_87).key_id("ml-dsa-65-1").mint(),
        ),
        plain(
            "one bit of a signature of ML-DSA spoils it",
            hostile::flip_signature_bit(&issuer().token(Algorithm::ML_DSA_65).mint()),
        ),
        plain(
            "a public key of ML-DSA is no secret",
            hostile::public_key_as_secret(
                &issuer().token(Algorithm::ML_DSA_65).mint(),
                issuer().key(Algorithm::ML_DSA_65),
            ),
        ),
        of(
            Variant::OneAlgorithm,
            "ML-DSA is not verified where the policy does not list it",
            issuer().token(Algorithm::ML_DSA_65).mint(),
        ),
        plain(
            "a public key is no secret",
            hostile::public_key_as_secret(&rs256, issuer().key(Algorithm::RS256)),
        ),
        // The key.
        plain("an unknown key is not verified", token().key_id("es256-7").mint()),
        plain("a key id is not a path", token().key_id("../../../dev/null").mint()),
        plain("a key id is no query", token().key_id("' OR 1=1 --\0").mint()),
        of(
            Variant::StrictHeader,
            "a token that names no key is not verified where it must",
            token().without_header("kid").mint(),
        ),
        of(
            Variant::StrictHeader,
            "a token that brings a key is not verified where it must not",
            token().header("jwk", json!({})).mint(),
        ),
        of(
            Variant::Rotation,
            "a secret is not accepted from its end on",
            issuer().token(Algorithm::HS384).without_header("kid").mint(),
        ),
        // The signature.
        plain("one bit of the signature spoils it", hostile::flip_signature_bit(&good())),
        plain("a signature of zeros is none", hostile::with_signature(&good(), &[0; 64])),
        plain(
            "a signature of the wrong length is none",
            hostile::with_signature(&good(), &[1; 63]),
        ),
        plain(
            "another payload spoils the signature",
            hostile::with_payload(&good(), CLAIMS.replace("alice", "root")),
        ),
        plain("a key of the same name is not the key", impostor.token(Algorithm::ES256).mint()),
        plain(
            "a key in the header is not the key",
            token()
                .signed_by(&SigningKey::generate(Algorithm::ES256))
                .key_id("es256-1")
                .header("jwk", impostor.key(Algorithm::ES256).public_jwk().expect("a public key"))
                .mint(),
        ),
        // The issuer.
        plain("a token without an issuer is not verified", token().without("iss").mint()),
        plain("another issuer is not trusted", token().claim("iss", "https://evil.example").mint()),
        plain(
            "the slash at an issuer's end counts",
            token().claim("iss", "https://issuer.example/").mint(),
        ),
        of(
            Variant::TwoIssuers,
            "one issuer's key does not sign for another",
            token().claim("iss", OTHER_ISSUER).header("alg", "EdDSA").mint(),
        ),
        // The type.
        plain("another type is not accepted", token().typ("dpop+jwt").mint()),
        plain(
            "a logout token is not accepted",
            token().typ("JWT").claim("events", json!({})).mint(),
        ),
        plain(
            "an ID token is not accepted where it can be told",
            token().typ("JWT").claim("at_hash", "x").mint(),
        ),
        of(
            Variant::AccessTokens,
            "JWT is not accepted where the type must be at+jwt",
            token().typ("JWT").mint(),
        ),
        of(
            Variant::AccessTokens,
            "no type is not accepted where it must be at+jwt",
            token().without_header("typ").mint(),
        ),
        // The rest.
        plain(
            "a token bound to a key of its sender is not verified",
            token().claim("cnf", json!({"jkt": "x"})).mint(),
        ),
        plain("a token bound to nothing is not verified", token().claim("cnf", json!(null)).mint()),
        plain(
            "a token that lives longer than a day is not verified",
            token().expires_in(Duration::from_secs(24 * 3600 + 1)).mint(),
        ),
    ];
    for forgery in hostile::none_family(&good()) {
        // What of it reads as a token at all is refused for its algorithm.
        if let Some(alg) = forgery.what.strip_prefix("alg ")
            && alg.starts_with('"')
            && (alg.ends_with("another token") || alg.ends_with("one zero"))
        {
            rows.push(plain(&format!("no signature is none: {}", forgery.what), forgery.token));
        }
    }
    rows
}

fn audiences() -> Vec<Row> {
    let plain = |name: &str, token: TokenBuilder, answer: Answer| {
        row(Variant::Plain, name, whoami(token.mint()), answer)
    };
    let accepted = |audience: serde_json::Value| {
        let token = token().audience(audience.clone()).mint();
        let body = CLAIMS.replace(r#""https://api.example""#, &audience.to_string());
        (token, Answer::of(200, "application/json", &body))
    };
    let (among_others, among_others_answer) =
        accepted(json!(["https://other.example", "https://api.example"]));
    vec![
        plain(
            "a token for another audience is refused",
            token().audience("https://other.example"),
            is_for_others(),
        ),
        plain("a token for nobody is refused", token().without("aud"), is_for_others()),
        plain("a token for an empty list is refused", token().audience(json!([])), is_for_others()),
        plain("a token for an empty name is refused", token().audience(""), is_for_others()),
        plain(
            "an audience is compared whole",
            token().audience("https://api.example.evil"),
            is_for_others(),
        ),
        plain(
            "the slash at an audience's end counts",
            token().audience("https://api.example/"),
            is_for_others(),
        ),
        plain(
            "an audience's case counts",
            token().audience("https://API.example"),
            is_for_others(),
        ),
        row(
            Variant::Plain,
            "one audience among several is enough",
            whoami(among_others),
            among_others_answer,
        ),
        row(
            Variant::ClientIds,
            "a client's id stands in for the audience where the policy says so",
            get("/optional").bearer(token().without("aud").mint()),
            text("alice"),
        ),
        row(
            Variant::ClientIds,
            "a client's id does not count beside an audience",
            whoami(good()),
            is_for_others(),
        ),
        row(
            Variant::ClientIds,
            "another client's id does not stand in for the audience",
            whoami(token().without("aud").claim("client_id", "other").mint()),
            is_for_others(),
        ),
        row(
            Variant::ClientIds,
            "a client's id must be there where it stands in for the audience",
            whoami(token().without("aud").without("client_id").mint()),
            lacks_a_claim(),
        ),
    ]
}

fn times() -> Vec<Row> {
    let plain = |name: &str, token: TokenBuilder, answer: Answer| {
        row(Variant::Plain, name, get("/optional").bearer(token.mint()), answer)
    };
    let alice = || text("alice");
    let fresh = |at: f64| token().claim("iat", at).claim("nbf", at).mint();
    vec![
        plain("an expired token is refused", token().expired(), has_expired()),
        plain("an expired token passes within the leeway", token().expires_at(NOW - 29), alice()),
        plain(
            "an expired token is refused at the end of the leeway",
            token().expires_at(NOW - 30),
            has_expired(),
        ),
        plain(
            "a fraction of a second does not lengthen its life",
            token().claim("exp", (NOW - 30) as f64 + 0.9),
            has_expired(),
        ),
        plain("an expiry at the epoch is an expiry", token().expires_at(0), has_expired()),
        plain("a token without an expiry is refused", token().without("exp"), lacks_a_claim()),
        plain(
            "a token is not valid before its time",
            token().claim("nbf", NOW + 31),
            is_not_valid_yet(),
        ),
        plain(
            "a token is valid before its time within the leeway",
            token().claim("nbf", NOW + 30),
            alice(),
        ),
        plain("a token that was always valid is valid", token().claim("nbf", 0), alice()),
        plain(
            "a token issued in the future is not valid",
            token().claim("iat", NOW + 31),
            is_not_valid_yet(),
        ),
        plain(
            "a token issued in the future is valid within the leeway",
            token().claim("iat", NOW + 30),
            alice(),
        ),
        plain("a token need not say when it was issued", token().without("iat"), alice()),
        row(
            Variant::NoLeeway,
            "without a leeway, a token that was issued within this second passes",
            get("/optional").bearer(fresh(NOW as f64 + 0.9)),
            alice(),
        ),
        row(
            Variant::NoLeeway,
            "without a leeway, a token that was issued in the next second is not valid",
            get("/optional").bearer(fresh(NOW as f64 + 1.0)),
            is_not_valid_yet(),
        ),
    ]
}

fn claim_rules() -> Vec<Row> {
    let ruled = || {
        token()
            .claim("tenant", "acme")
            .claim("token_use", "access")
            .claim("region", "eu")
            .claim("suspended", false)
    };
    let rules = |name: &str, token: TokenBuilder, answer: Answer| {
        row(Variant::Rules, name, get("/optional").bearer(token.mint()), answer)
    };
    let access = |name: &str, claim: &str| {
        row(Variant::AccessTokens, name, whoami(token().without(claim).mint()), lacks_a_claim())
    };
    vec![
        rules("a token that meets every rule passes", ruled(), text("alice")),
        rules("a required claim must be there", ruled().without("tenant"), lacks_a_claim()),
        rules(
            "a required claim must say something",
            ruled().claim("tenant", json!(null)),
            lacks_a_claim(),
        ),
        rules(
            "a forbidden claim must not be there",
            ruled().claim("act", json!({"sub": "bob"})),
            has_other_claims(),
        ),
        rules(
            "an exact claim must be exactly that",
            ruled().claim("token_use", "id"),
            has_other_claims(),
        ),
        rules(
            "an exact claim must not be a list of it",
            ruled().claim("token_use", json!(["access"])),
            has_other_claims(),
        ),
        rules(
            "one of several values must be one of them",
            ruled().claim("region", "cn"),
            has_other_claims(),
        ),
        rules("a predicate must hold", ruled().claim("suspended", true), has_other_claims()),
        rules(
            "a predicate must be able to read the claims",
            ruled().claim("suspended", "no"),
            has_other_claims(),
        ),
        row(
            Variant::NumericIds,
            "a subject and a token id that are numbers pass where the issuer may write them so",
            get("/optional").bearer(token().claim("sub", 42).claim("jti", 7).mint()),
            text("42"),
        ),
        row(
            Variant::NumericIds,
            "a subject with a fraction does not",
            get("/optional").bearer(token().claim("sub", 42.5).mint()),
            is_malformed(),
        ),
        rules("a token as old as it may be passes", ruled().claim("iat", NOW - 600), text("alice")),
        rules(
            "a token older than it may be is refused",
            ruled().claim("iat", NOW - 601).expires_at(NOW + 60),
            is_too_old(),
        ),
        rules(
            "a token without an age is refused where age matters",
            ruled().without("iat"),
            lacks_a_claim(),
        ),
        rules(
            "a token that lives too long is not verified",
            ruled().expires_at(NOW + 901),
            is_unverifiable(),
        ),
        rules("a token ends on time without leeway", ruled().expires_at(NOW), has_expired()),
        row(
            Variant::AccessTokens,
            "an access token of RFC 9068 has all that it needs",
            whoami(good()),
            claims(),
        ),
        access("an access token of RFC 9068 has a subject", "sub"),
        access("an access token of RFC 9068 has a client", "client_id"),
        access("an access token of RFC 9068 has a time of issue", "iat"),
        access("an access token of RFC 9068 has an id", "jti"),
    ]
}

const METADATA: &str =
    r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;

fn presentation() -> Vec<Row> {
    let presented = |name: &str, request: Request, status: u16, body: &str| {
        row(Variant::Presented, name, request, Answer::problem(status, body))
    };
    let terse = |name: &str, request: Request, status: u16, body: &str| {
        row(Variant::Terse, name, request, Answer::problem(status, body))
    };
    let challenge = |mut row: Row, parameters: &str| {
        row.expected = row.expected.with("www-authenticate", &format!("Bearer {parameters}"));
        row
    };
    let missing = r#"{"type":"https://api.example/problems/token-missing","title":"Authentication required","status":401,"detail":"This resource needs an access token.","code":"token-missing"}"#;
    vec![
        challenge(
            presented("realm and metadata stand in the challenge", get("/whoami"), 401, missing),
            &format!(r#"realm="orders", {METADATA}"#),
        ),
        challenge(
            presented(
                "metadata do not depend on the host",
                get("/whoami").host("evil.example"),
                401,
                missing,
            ),
            &format!(r#"realm="orders", {METADATA}"#),
        ),
        challenge(
            presented(
                "the error stands between realm and metadata",
                whoami(expired()),
                401,
                r#"{"type":"https://api.example/problems/token-invalid","title":"Invalid access token","status":401,"detail":"The access token has expired.","code":"token-invalid"}"#,
            ),
            &format!(
                r#"realm="orders", error="invalid_token", error_description="The access token has expired", {METADATA}"#
            ),
        ),
        challenge(
            presented(
                "a request that is invalid is told realm and metadata",
                whoami(good()).bearer(good()),
                400,
                r#"{"type":"https://api.example/problems/request-invalid","title":"Invalid request","status":400,"detail":"The request carries more than one access token.","code":"request-invalid"}"#,
            ),
            &format!(
                r#"realm="orders", error="invalid_request", error_description="The request carries more than one access token", {METADATA}"#
            ),
        ),
        presented(
            "an extractor answers as the layer does",
            get("/typed").bearer(good()),
            403,
            r#"{"type":"https://api.example/problems/token-unsuitable","title":"Unsuitable access token","status":403,"detail":"The access token does not carry what this resource needs.","code":"token-unsuitable"}"#,
        ),
        row(
            Variant::Presented,
            "a route without its layer has no presentation",
            get("/unprotected"),
            misconfigured(),
        ),
        challenge(
            terse(
                "without details the code says what there is to say",
                whoami(expired()),
                401,
                r#"{"type":"https://api.example/problems/token-invalid","title":"Invalid access token","status":401,"code":"token-invalid"}"#,
            ),
            &format!(r#"realm="orders", error="invalid_token", {METADATA}"#),
        ),
        challenge(
            terse(
                "without details every bad token is told the same",
                whoami(hostile::flip_signature_bit(&good())),
                401,
                r#"{"type":"https://api.example/problems/token-invalid","title":"Invalid access token","status":401,"code":"token-invalid"}"#,
            ),
            &format!(r#"realm="orders", error="invalid_token", {METADATA}"#),
        ),
        challenge(
            terse(
                "without details a missing token is still a missing token",
                get("/whoami"),
                401,
                r#"{"type":"https://api.example/problems/token-missing","title":"Authentication required","status":401,"code":"token-missing"}"#,
            ),
            &format!(r#"realm="orders", {METADATA}"#),
        ),
    ]
}

const CLEARED: &str = "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";

fn hooks() -> Vec<Row> {
    let login = || {
        Answer::of(440, "text/html; charset=utf-8", "<p>Log in again.")
            .with("cache-control", "no-store")
            .with("location", "/login")
    };
    vec![
        row(
            Variant::Hooked,
            "a hook adds what it likes, and nothing that is no header",
            get("/whoami"),
            Answer::problem(
                401,
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"This resource needs an access token.","code":"token-missing"}"#,
            )
            .with("www-authenticate", r#"Bearer realm="orders""#)
            .with("x-reason", "token_missing"),
        ),
        row(Variant::Hooked, "a hook replaces status, headers and body", whoami(expired()), login()),
        row(
            Variant::Hooked,
            "a hook replaces the headers of the answer to HEAD",
            head("/whoami").bearer(expired()),
            login().without_body(),
        ),
        row(
            Variant::Hooked,
            "a cookie is cleared whatever a hook does",
            get("/whoami").token_cookie(expired()),
            login().with("set-cookie", CLEARED),
        ),
        row(
            Variant::Hooked,
            "a hook sees the refusals of extractors",
            get("/typed").bearer(good()),
            token_unsuitable().with("x-reason", "claims_shape"),
        ),
    ]
}

fn cookies() -> Vec<Row> {
    let cookie =
        |name: &str, sent: Request, answer: Answer| row(Variant::Cookie, name, sent, answer);
    let good = good();
    vec![
        cookie(
            "a token in a cookie is verified",
            get("/whoami").token_cookie(&good),
            claims().private(),
        ),
        cookie(
            "a token is found among other cookies",
            get("/whoami").cookie(format!("a=b; __Host-token={good}; c=d")),
            claims().private(),
        ),
        cookie(
            "a token is found in one of several Cookie fields",
            get("/whoami").cookie("a=b").token_cookie(&good).cookie("c=d"),
            claims().private(),
        ),
        cookie("a header is still a source", whoami(&good), claims().private()),
        cookie("without header and cookie the token is missing", get("/whoami"), token_missing()),
        cookie("an empty cookie is no token", get("/whoami").token_cookie(""), token_missing()),
        cookie(
            "an empty cookie beside a header is no second one",
            whoami(&good).token_cookie(""),
            claims().private(),
        ),
        cookie(
            "a cookie's name has a case",
            get("/whoami").cookie(format!("__host-token={good}")),
            token_missing(),
        ),
        cookie(
            "a longer name is another cookie",
            get("/whoami").cookie(format!("x__Host-token={good}")),
            token_missing(),
        ),
        cookie(
            "a name in a value is another cookie",
            get("/whoami").cookie(format!("a=__Host-token={good}")),
            token_missing(),
        ),
        cookie(
            "quotes around a cookie's token are malformed",
            get("/whoami").token_cookie(format!("\"{good}\"")),
            is_malformed(),
        ),
        cookie("a bad cookie is refused", get("/whoami").token_cookie(expired()), has_expired()),
        cookie(
            "a bad cookie is refused where anonymous requests pass",
            get("/optional").token_cookie(expired()),
            has_expired(),
        ),
        cookie(
            "a good cookie passes where anonymous requests pass",
            get("/optional").token_cookie(&good),
            text("alice").private(),
        ),
        cookie(
            "an open route does not look at cookies",
            post("/open").token_cookie("x"),
            text("open"),
        ),
        row(
            Variant::AnyCookie,
            "a cookie of any name may be a source",
            get("/whoami").cookie(format!("token={good}")),
            claims().private(),
        ),
        row(
            Variant::AnyCookie,
            "a header is no source where only a cookie is",
            whoami(&good),
            token_missing(),
        ),
        row(
            Variant::AnyCookie,
            "an unsafe request with a cookie of any name must say where it comes from",
            post("/whoami").cookie(format!("token={good}")),
            is_cross_site(),
        ),
        row(
            Variant::PreferHeader,
            "the header wins where the policy says so",
            whoami(&good).token_cookie("x"),
            claims().private(),
        ),
        row(
            Variant::PreferHeader,
            "a bad header wins over a good cookie",
            whoami("x").token_cookie(&good),
            is_malformed(),
        ),
        row(
            Variant::PreferHeader,
            "the cookie counts where there is no header",
            get("/whoami").token_cookie(&good),
            claims().private(),
        ),
        row(
            Variant::PreferHeader,
            "the same header twice is still two tokens",
            whoami(&good).bearer(&good),
            several_tokens(),
        ),
        row(
            Variant::PreferHeader,
            "where the header counts no site is asked for",
            post("/whoami")
                .bearer(&good)
                .token_cookie(&good)
                .header("sec-fetch-site", "cross-site"),
            claims().private(),
        ),
    ]
}

fn cross_site() -> Vec<Row> {
    let good = good();
    let cookie = |name: &str, request: Request, answer: Answer| {
        row(Variant::Cookie, name, request.token_cookie(&good), answer)
    };
    let site = |site: &str| post("/whoami").header("sec-fetch-site", site);
    let origin = |origin: &str| post("/whoami").header("origin", origin);
    let upgrade = |name: &str, origin: &str, answer: Answer| {
        let request = get("/whoami")
            .token_cookie(&good)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", origin);
        row(Variant::Cookie, name, Sent::Http1(request), answer)
    };
    let credentials = format!("Cookie: __Host-token={good}");
    vec![
        cookie(
            "an unsafe request with a cookie must say where it comes from",
            post("/whoami"),
            is_cross_site(),
        ),
        cookie(
            "a page of the same origin may send a cookie",
            site("same-origin"),
            claims().private(),
        ),
        cookie("the user may send a cookie", site("none"), claims().private()),
        cookie("a sibling site may not send a cookie", site("same-site"), is_cross_site()),
        cookie("another site may not send a cookie", site("cross-site"), is_cross_site()),
        cookie(
            "a site that no browser would name may not send a cookie",
            site("SAME-ORIGIN"),
            is_cross_site(),
        ),
        cookie(
            "a site named twice may not send a cookie",
            site("same-origin").header("sec-fetch-site", "same-origin"),
            is_cross_site(),
        ),
        cookie(
            "an allowed origin may send a cookie from another site",
            site("cross-site").header("origin", "https://app.example"),
            claims().private(),
        ),
        cookie(
            "the host's origin may not where the browser says that it is another site",
            site("cross-site").header("origin", "https://api.example"),
            is_cross_site(),
        ),
        cookie(
            "the host's origin may send a cookie where the browser does not name the site",
            origin("https://api.example"),
            claims().private(),
        ),
        cookie(
            "the host's origin may not send a cookie without TLS",
            origin("http://api.example"),
            is_cross_site(),
        ),
        cookie(
            "a scheme that is not of the web is another origin",
            origin("chrome-extension://api.example"),
            is_cross_site(),
        ),
        cookie(
            "a page of the own machine may send a cookie without TLS",
            origin("http://localhost:3000").host("localhost:3000"),
            claims().private(),
        ),
        cookie(
            "the port of the scheme is none",
            origin("https://api.example").host("api.example:443"),
            claims().private(),
        ),
        row(
            Variant::AnyCookie,
            "a page without TLS may send a cookie that nobody promised to send by TLS",
            origin("http://api.example").cookie(format!("token={good}")),
            claims().private(),
        ),
        row(
            Variant::AnyCookie,
            "a scheme that is not of the web may not send any cookie",
            origin("ftp://api.example").cookie(format!("token={good}")),
            is_cross_site(),
        ),
        cookie(
            "the host's origin may have a port",
            origin("https://api.example:8443").host("api.example:8443"),
            claims().private(),
        ),
        cookie(
            "another port is another origin",
            origin("https://api.example:8443"),
            is_cross_site(),
        ),
        cookie(
            "another host is another origin",
            origin("https://api.example").host("other.example"),
            is_cross_site(),
        ),
        cookie(
            "an allowed origin may send a cookie",
            origin("https://app.example"),
            claims().private(),
        ),
        cookie(
            "another origin may not send a cookie",
            origin("https://evil.example"),
            is_cross_site(),
        ),
        cookie("an opaque origin may not send a cookie", origin("null"), is_cross_site()),
        cookie("an empty origin may not send a cookie", origin(""), is_cross_site()),
        cookie(
            "two origins may not send a cookie",
            origin("https://app.example").header("origin", "https://app.example"),
            is_cross_site(),
        ),
        cookie(
            "a safe method passes from anywhere",
            get("/whoami")
                .header("sec-fetch-site", "cross-site")
                .header("origin", "https://evil.example"),
            claims().private(),
        ),
        cookie(
            "HEAD is safe",
            head("/whoami").header("sec-fetch-site", "cross-site"),
            claims().private().without_body(),
        ),
        cookie("DELETE is not safe", Request::new("DELETE", "/whoami"), is_cross_site()),
        cookie(
            "a method that nobody knows is not safe",
            Request::new("BREW", "/whoami"),
            is_cross_site(),
        ),
        cookie(
            "a cross-site request is refused where anonymous requests pass",
            post("/optional").header("sec-fetch-site", "cross-site"),
            is_cross_site(),
        ),
        row(
            Variant::Cookie,
            "a cross-site request without a token is anonymous where that is allowed",
            post("/optional").header("sec-fetch-site", "cross-site"),
            text("anonymous").private(),
        ),
        row(
            Variant::Cookie,
            "a cross-site request without a token is refused for that",
            post("/whoami").header("sec-fetch-site", "cross-site"),
            token_missing(),
        ),
        row(
            Variant::Cookie,
            "a bad cookie does not change who may send it",
            post("/whoami").token_cookie("x"),
            is_cross_site(),
        ),
        row(
            Variant::Cookie,
            "a token in a header may be sent by anybody",
            post("/whoami").bearer(&good).header("sec-fetch-site", "cross-site"),
            claims().private(),
        ),
        row(
            Variant::ClearingCookie,
            "a cookie that another site sends is not cleared",
            post("/whoami").token_cookie(expired()),
            is_cross_site(),
        ),
        row(
            Variant::LenientCookie,
            "a cookie that another site sends does not count as none",
            post("/optional").token_cookie(expired()),
            is_cross_site(),
        ),
        upgrade("another site opens no WebSocket", "https://evil.example", is_cross_site()),
        upgrade("an allowed site opens a WebSocket", "https://app.example", claims().private()),
        upgrade("its own site opens a WebSocket", "https://api.example", claims().private()),
        upgrade(
            "a page without TLS opens no WebSocket with a cookie that needs it",
            "http://api.example",
            is_cross_site(),
        ),
        row(
            Variant::Cookie,
            "an upgrade without an origin is refused",
            raw(
                "GET",
                &[
                    b"GET /whoami HTTP/1.1",
                    b"Host: api.example",
                    b"Connection: upgrade",
                    b"Upgrade: websocket",
                    credentials.as_bytes(),
                ],
            ),
            is_cross_site(),
        ),
        row(
            Variant::Cookie,
            "another site opens no tunnel",
            raw(
                "CONNECT",
                &[
                    b"CONNECT /whoami HTTP/1.1",
                    b"Host: api.example",
                    b"Origin: https://evil.example",
                    credentials.as_bytes(),
                ],
            ),
            is_cross_site(),
        ),
        row(
            Variant::Cookie,
            "the target's host counts before the header's",
            raw(
                "POST",
                &[
                    b"POST http://other.example/whoami HTTP/1.1",
                    b"Host: api.example",
                    b"Content-Length: 0",
                    b"Origin: https://api.example",
                    credentials.as_bytes(),
                ],
            ),
            is_cross_site(),
        ),
    ]
}

fn bad_cookies() -> Vec<Row> {
    let clearing = |name: &str, request: Request, answer: Answer| {
        row(Variant::ClearingCookie, name, request, answer)
    };
    let lenient = |name: &str, request: Request, answer: Answer| {
        row(Variant::LenientCookie, name, request, answer)
    };
    let good = good();
    vec![
        clearing(
            "a bad cookie is cleared",
            get("/optional").token_cookie(expired()),
            has_expired().with("set-cookie", CLEARED),
        ),
        clearing(
            "a malformed cookie is cleared",
            get("/optional").token_cookie("x"),
            is_malformed().with("set-cookie", CLEARED),
        ),
        clearing(
            "a bad cookie is cleared where a token is needed",
            get("/whoami").token_cookie("x"),
            is_malformed().with("set-cookie", CLEARED),
        ),
        clearing(
            "a bad cookie is cleared in answer to HEAD",
            head("/whoami").token_cookie("x"),
            is_malformed().with("set-cookie", CLEARED).without_body(),
        ),
        row(
            Variant::ClearingAnyCookie,
            "a cookie is cleared as it was set",
            get("/whoami").cookie("token=x"),
            is_malformed().with(
                "set-cookie",
                "token=; Max-Age=0; Path=/whoami; Domain=api.example; Secure; HttpOnly; SameSite=None",
            ),
        ),
        clearing("a good cookie stays", get("/optional").token_cookie(&good), text("alice").private()),
        clearing("a bad header clears no cookie", get("/optional").bearer("x"), is_malformed()),
        clearing(
            "two tokens clear no cookie",
            get("/optional").bearer(&good).token_cookie("x"),
            several_tokens(),
        ),
        clearing(
            "a token that does not fit its handler clears no cookie",
            get("/typed").token_cookie(&good),
            token_unsuitable(),
        ),
        lenient(
            "a bad cookie counts as none where that is allowed",
            get("/optional").token_cookie(expired()),
            text("anonymous").private(),
        ),
        lenient(
            "a malformed cookie counts as none where that is allowed",
            get("/optional").token_cookie("x"),
            text("anonymous").private(),
        ),
        lenient(
            "a bad cookie does not count as none where a token is needed",
            get("/whoami").token_cookie(expired()),
            has_expired(),
        ),
        lenient(
            "a bad header never counts as none",
            get("/optional").bearer(expired()),
            has_expired(),
        ),
        lenient(
            "two tokens never count as none",
            get("/optional").bearer(&good).token_cookie("x"),
            several_tokens(),
        ),
        lenient(
            "a good cookie counts where a bad one would not",
            get("/optional").token_cookie(&good),
            text("alice").private(),
        ),
        lenient(
            "claims of a cookie that do not fit are refused where a bad cookie is not",
            get("/typed-optional").token_cookie(&good),
            token_unsuitable(),
        ),
    ]
}

fn other_sources() -> Vec<Row> {
    let custom = |name: &str, request: Request, answer: Answer| {
        row(Variant::CustomHeader, name, request, answer)
    };
    let bare = |name: &str, request: Request, answer: Answer| {
        row(Variant::BareHeader, name, request, answer)
    };
    let query = |name: &str, query: &str, answer: Answer| {
        row(Variant::Query, name, get(&format!("/whoami?{query}")), answer)
    };
    let good = good();
    let offer = |name: &str, fields: &[&str], answer: Answer| {
        let fields = fields.iter().map(|field| field.replace("{}", &good));
        row(
            Variant::WebSocketProtocol,
            name,
            fields.fold(get("/whoami"), Request::offering),
            answer,
        )
    };
    let token = |value: String| get("/whoami").header("x-access-token", value);
    vec![
        custom(
            "a token in a header of another name is verified",
            token(format!("Token {good}")),
            claims().private(),
        ),
        custom("a header without its prefix is no token", token(good.clone()), token_missing()),
        custom("the prefix has a case", token(format!("token {good}")), token_missing()),
        custom("the prefix alone is no token", token("Token ".to_owned()), token_missing()),
        custom(
            "what follows the prefix is all token",
            token(format!("Token  {good}")),
            is_malformed(),
        ),
        custom(
            "Authorization is no source where another header is",
            whoami(&good),
            token_missing(),
        ),
        bare(
            "a header may be all token",
            get("/whoami").header("x-token", good.clone()),
            claims().private(),
        ),
        bare(
            "a scheme in a header that is all token is malformed",
            get("/whoami").header("x-token", format!("Bearer {good}")),
            is_malformed(),
        ),
        bare("an empty header is no token", get("/whoami").header("x-token", ""), token_missing()),
        offer("a token behind its marker is verified", &["bearer, {}"], claims().private()),
        offer("white space between subprotocols is free", &["bearer,{}"], claims().private()),
        offer("subprotocols may stand in several fields", &["bearer", "{}"], claims().private()),
        offer(
            "other subprotocols may be offered besides",
            &["chat, bearer, {}, v2"],
            claims().private(),
        ),
        offer("a marker has a case", &["Bearer, {}"], token_missing()),
        offer("a marker at the end is no token", &["{}, bearer"], token_missing()),
        offer(
            "a subprotocol after the marker that is no token is bad",
            &["bearer, x, {}"],
            is_malformed(),
        ),
        query(
            "a token in the query is verified where that is allowed",
            &format!("a=b&access_token={good}&c=d"),
            claims().private(),
        ),
        query("an empty parameter is no token", "access_token=", token_missing()),
        query("a parameter's name has a case", &format!("Access_Token={good}"), token_missing()),
        query(
            "a parameter is taken as it was sent",
            &format!("access_token={}", good.replace('.', "%2E")),
            is_malformed(),
        ),
        query(
            "a bad token in the query is refused",
            &format!("access_token={}", expired()),
            has_expired(),
        ),
    ]
}

/// What caches may do with responses behind the policy. Each row of a policy with another source than `Authorization`
/// says it as well.
fn private_responses() -> Vec<Row> {
    let good = good();
    let cached = || text("cached").with("cache-control", "public, max-age=60");
    let cookie =
        |name: &str, request: Request, answer: Answer| row(Variant::Cookie, name, request, answer);
    vec![
        cookie(
            "a response to a header is private where there might have been a cookie",
            whoami(&good),
            claims().private(),
        ),
        cookie(
            "a response to nobody is private where there might have been a cookie",
            get("/optional"),
            text("anonymous").private(),
        ),
        cookie(
            "a response to HEAD is private",
            head("/whoami").token_cookie(&good),
            claims().private().without_body(),
        ),
        cookie(
            "what a handler says of caches stands",
            get("/cached").token_cookie(&good),
            cached(),
        ),
        cookie(
            "a refusal behind the policy is for no cache",
            get("/scoped").token_cookie(&good),
            forbidden(LACKS_SCOPE),
        ),
        row(
            Variant::Plain,
            "a response to Authorization alone is left as it is",
            whoami(&good),
            claims(),
        ),
        row(
            Variant::OtherScheme,
            "so is one to another scheme of it",
            get("/whoami").authorization(format!("JWT {good}")),
            claims(),
        ),
        row(Variant::Plain, "so is what a handler says", get("/cached").bearer(&good), cached()),
        row(
            Variant::Plain,
            "so is one to nobody, since caches know of Authorization",
            get("/optional"),
            text("anonymous"),
        ),
    ]
}

fn preflights() -> Vec<Row> {
    let preflight = |target: &str| {
        Request::new("OPTIONS", target)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "authorization")
    };
    vec![
        row(
            Variant::Plain,
            "a preflight needs a token like any request",
            preflight("/whoami"),
            token_missing(),
        ),
        row(
            Variant::Plain,
            "a preflight is anonymous where that is allowed",
            preflight("/optional"),
            text("anonymous"),
        ),
        row(
            Variant::Plain,
            "a preflight does not get behind the layer",
            preflight("/inside"),
            token_missing(),
        ),
        row(
            Variant::Plain,
            "a preflight with a bad token is refused where it could be anonymous",
            preflight("/optional").bearer("x"),
            is_malformed(),
        ),
    ]
}

fn sought_keys() -> Vec<Row> {
    let late = |name: &str, request: Request, answer: Answer| {
        row(Variant::LateKeys, name, request, answer)
    };
    let gone = |name: &str, request: Request, answer: Answer| {
        row(Variant::NoKeysForNow, name, request, answer)
    };
    vec![
        late("a request waits for its key", whoami(good()), claims()),
        late(
            "a request waits for its key where anonymous requests pass",
            get("/optional").bearer(good()),
            text("alice"),
        ),
        late(
            "an extractor finds what was waited for",
            get("/typed").bearer(good()),
            token_unsuitable(),
        ),
        late(
            "a key that does not come is unknown",
            whoami(token().key_id("es256-7").mint()),
            is_unverifiable(),
        ),
        late(
            "a signature is checked after the wait",
            whoami(hostile::flip_signature_bit(&good())),
            is_unverifiable(),
        ),
        late("what can be refused without a key does not wait", whoami(expired()), has_expired()),
        late(
            "the answer to HEAD has no body after the wait",
            head("/whoami").bearer(hostile::flip_signature_bit(&good())),
            is_unverifiable().without_body(),
        ),
        late("nobody waits without a token", get("/optional"), text("anonymous")),
        row(
            Variant::NoKeys,
            "a wait that is known is told, rounded up",
            whoami(good()),
            unavailable("8"),
        ),
        row(
            Variant::NoKeys,
            "HEAD is told how long to wait",
            head("/whoami").bearer(good()),
            unavailable("8").without_body(),
        ),
        row(
            Variant::NoKeys,
            "what needs no key is refused for what it is",
            whoami(expired()),
            has_expired(),
        ),
        gone("a wait that is not known is a guess", whoami(good()), unavailable("5")),
        gone(
            "what cannot be verified does not count as anonymous",
            get("/optional").bearer(good()),
            unavailable("5"),
        ),
        gone(
            "a cookie that cannot be verified does not count as anonymous",
            get("/optional").token_cookie(good()),
            unavailable("5"),
        ),
        gone(
            "without a token nothing has to be verified",
            get("/optional"),
            text("anonymous").private(),
        ),
    ]
}

fn revocation() -> Vec<Row> {
    let with = |name: &str, request: Request, answer: Answer| {
        row(Variant::Revocation, name, request, answer)
    };
    let id = |id: &str| token().claim("jti", id).mint();
    vec![
        with(
            "a token that was not revoked passes",
            get("/optional").bearer(good()),
            text("alice").private(),
        ),
        with("a revoked token is refused", whoami(id("revoked")), was_revoked()),
        with(
            "a revoked token is refused where anonymous requests pass",
            get("/optional").bearer(id("revoked")),
            was_revoked(),
        ),
        with(
            "a revoked token in a cookie is a bad cookie",
            get("/optional").token_cookie(id("revoked")),
            text("anonymous").private(),
        ),
        with(
            "what cannot be told of a token is no fault of the client's",
            whoami(id("unknown")),
            unavailable("5"),
        ),
        with(
            "a cookie of which it cannot be told does not count as anonymous",
            get("/optional").token_cookie(id("unknown")),
            unavailable("5"),
        ),
        with(
            "a request waits until it can be told",
            get("/optional").bearer(id("later")),
            text("alice").private(),
        ),
        with(
            "an extractor finds the token that was waited for",
            get("/typed").bearer(id("later")),
            token_unsuitable(),
        ),
        with("a token can be revoked after a wait", whoami(id("later-revoked")), was_revoked()),
        with(
            "the answer to HEAD has no body after that wait",
            head("/whoami").bearer(id("later-revoked")),
            was_revoked().without_body(),
        ),
        with(
            "what cannot be told after a wait says how long to wait, rounded up",
            whoami(id("later-unknown")),
            unavailable("8"),
        ),
        with(
            "an expired token is refused for that, revoked or not",
            whoami(token().claim("jti", "revoked").expired().mint()),
            has_expired(),
        ),
    ]
}

fn revocation_list() -> Vec<Row> {
    let on = |name: &str, request: Request, answer: Answer| {
        row(Variant::RevocationList, name, request, answer)
    };
    let stale = |name: &str, request: Request, answer: Answer| {
        row(Variant::StaleRevocationList, name, request, answer)
    };
    // It has all that the kinds go by.
    let whole = || token().claim("jti", "good").claim("sid", "session").claim("ver", 3);
    let with = |claim: &str, value: &str| whole().claim(claim, value).mint();
    vec![
        on(
            "a token that stands on no list passes",
            get("/optional").bearer(whole().mint()),
            text("alice"),
        ),
        on("a token is revoked by its id", whoami(with("jti", "stolen")), was_revoked()),
        on("a session is revoked by `sid`", whoami(with("sid", "ended")), was_revoked()),
        on(
            "a subject is logged out everywhere",
            whoami(whole().subject("mallory").claim("iat", NOW - 60).mint()),
            was_revoked(),
        ),
        on(
            "and can log in again",
            get("/optional").bearer(with("sub", "mallory")),
            text("mallory"),
        ),
        on(
            "a subject's tokens of an older version are refused",
            whoami(whole().subject("bob").claim("ver", 2).mint()),
            was_revoked(),
        ),
        on(
            "those of its version pass",
            get("/optional").bearer(whole().subject("bob").mint()),
            text("bob"),
        ),
        on("a client is revoked", whoami(with("client_id", "broken-app")), was_revoked()),
        on(
            "a name of one kind stands for no other",
            get("/optional").bearer(whole().subject("stolen").claim("sid", "mallory").mint()),
            text("stolen"),
        ),
        on(
            "a token without an id is refused",
            whoami(whole().without("jti").mint()),
            lacks_a_claim(),
        ),
        on("one without `iat`", whoami(whole().without("iat").mint()), lacks_a_claim()),
        on("one without `sid`", whoami(whole().without("sid").mint()), lacks_a_claim()),
        on("one without a subject", whoami(whole().without("sub").mint()), lacks_a_claim()),
        on("one without a version", whoami(whole().without("ver").mint()), lacks_a_claim()),
        on("a version is a number", whoami(whole().claim("ver", "3").mint()), lacks_a_claim()),
        stale(
            "a list that may lack entries lets nobody in",
            whoami(whole().mint()),
            unavailable("5"),
        ),
        stale("what stands on it is refused as such", whoami(with("jti", "stolen")), was_revoked()),
        stale("without a token nothing is asked", get("/optional"), text("anonymous")),
    ]
}

/// What a policy sees of a request besides its token is what the client sent, however routers are put together.
fn views() -> Vec<Row> {
    let seen = |target: &str, path: &str| {
        let answer = text(&format!("{path} from Some(127.0.0.1) with a certificate"));
        let name = format!("the path of {target} is seen as it was sent");
        row(Variant::Plain, name, get(target).bearer(good()), answer)
    };
    let mut rows: Vec<_> = [
        "/nested/twice/a",
        "/nested/twice/a/",
        "/nested/twice/a/b/c",
        "/nested/twice/a//b",
        "/nested/twice/%61%2Fb%2fc/%20/%C3%A9",
        "/nested/twice/a/%2e%2E/b",
        "/nested/twice/a/../b",
        "/nested/twice/nested/twice/a",
        "/nested/nowhere",
        "/nested/tw%69ce/a",
        "/service/a/b",
        "/merged/a/b",
    ]
    .into_iter()
    .map(|target| seen(target, target))
    .collect();
    rows.push(seen("/nested/twice/a?b=/c", "/nested/twice/a"));
    let authorization = format!("Authorization: Bearer {}", good());
    rows.push(row(
        Variant::Plain,
        "the path of the absolute form is seen, and not its authority",
        raw(
            "GET",
            &[
                b"GET http://api.example/nested/twice/a%20b HTTP/1.1",
                b"Host: api.example",
                authorization.as_bytes(),
            ],
        ),
        text("/nested/twice/a%20b from Some(127.0.0.1) with a certificate"),
    ));
    rows.push(row(
        Variant::Plain,
        "the path of a gRPC call is seen as that of any request",
        post("/nested/twice/orders.v1.Orders/List")
            .header("content-type", "application/grpc")
            .bearer(good()),
        text("/nested/twice/orders.v1.Orders/List from Some(127.0.0.1) with a certificate"),
    ));
    rows.push(row(
        Variant::Plain,
        "what a header says of the peer and the certificate does not count",
        get("/merged/a")
            .header("x-forwarded-for", "192.0.2.1")
            .header("forwarded", "for=192.0.2.1;host=other.example")
            .header("x-original-uri", "/b")
            .header("client-cert", ":AAAA:")
            .bearer(good()),
        text("/merged/a from Some(127.0.0.1) with a certificate"),
    ));
    rows
}

/// RFC 8705 §3. Every door tells of [`CERTIFICATE`] for each connection.
fn certificates() -> Vec<Row> {
    const CERTIFICATE: &[u8] = b"a certificate";
    const OTHER: &[u8] = b"another";
    let own = || token().bound_to_certificate(CERTIFICATE).mint();
    let others = || token().bound_to_certificate(OTHER).mint();
    let read = |token: String| get("/optional").bearer(token);
    let passes = || text("alice");
    let refused = || {
        token_invalid(
            "The access token does not go with the client's certificate, as this resource asks for",
        )
    };
    let tls = |name: &str, request: Request, answer: Answer| {
        row(Variant::Certificates, name, request, answer)
    };
    let required = |name: &str, request: Request, answer: Answer| {
        row(Variant::RequiredCertificates, name, request, answer)
    };
    let proxied = |name: &str, request: Request, answer: Answer| {
        row(Variant::ProxiedCertificates, name, request, answer)
    };
    // In base64, as a structured field.
    let (said, said_other) = (":YSBjZXJ0aWZpY2F0ZQ==:", ":YW5vdGhlcg==:");
    vec![
        tls("a token that is bound to the connection's certificate passes", read(own()), passes()),
        tls("one that is bound to another does not", whoami(others()), refused()),
        tls("one that is bound to nothing passes", read(good()), passes()),
        tls(
            "a header does not count where the server's own TLS does",
            whoami(others()).header("client-cert", said_other),
            refused(),
        ),
        required("a bound token passes where it has to be bound", read(own()), passes()),
        required("one that is bound to nothing does not", whoami(good()), refused()),
        proxied(
            "a token that is bound to the certificate in a proxy's header passes",
            read(own()).header("client-cert", said),
            passes(),
        ),
        proxied(
            "one that is bound to another than that in the header does not",
            whoami(others()).header("client-cert", said),
            refused(),
        ),
        proxied(
            "the connection's own certificate does not count where a header does",
            whoami(own()),
            refused(),
        ),
        proxied(
            "two headers are refused, though one is right",
            whoami(own()).header("client-cert", said).header("client-cert", said_other),
            refused(),
        ),
        proxied(
            "a header in another form is refused",
            whoami(own()).header("client-cert", "YSBjZXJ0aWZpY2F0ZQ=="),
            refused(),
        ),
        proxied(
            "a header of the same name with an underscore is another",
            whoami(own()).header("client_cert", said),
            refused(),
        ),
        proxied(
            "a header that says nothing right harms no other token",
            read(good()).header("client-cert", "nonsense"),
            passes(),
        ),
        row(
            Variant::DistantProxy,
            "a header of a peer that is not listed is refused, whatever other headers say of it",
            whoami(own())
                .header("client-cert", said)
                .header("x-forwarded-for", "192.0.2.1")
                .header("forwarded", "for=192.0.2.1"),
            refused(),
        ),
        row(
            Variant::Plain,
            "a bound token is refused where nobody looks at certificates",
            whoami(own()),
            is_unverifiable(),
        ),
        tls(
            "x5t of another hash is a binding that nobody checks",
            whoami(token().claim("cnf", json!({ "x5t": "AAAA" })).mint()),
            is_unverifiable(),
        ),
        tls(
            "a binding to a key as well is not checked where no proofs are taken",
            whoami(
                token()
                    .bound_to(&SigningKey::generate(Algorithm::ES256))
                    .bound_to_certificate(CERTIFICATE)
                    .mint(),
            ),
            is_unverifiable(),
        ),
    ]
}

fn sizes() -> Vec<Row> {
    let large = |name: &str, request: Request, answer: Answer| {
        row(Variant::LargeTokens, name, request, answer)
    };
    let sized = |length: usize| {
        let bare = token().claim("x", "").mint().len();
        let token = token().claim("x", "y".repeat((length - bare) * 3 / 4)).mint();
        assert!((length - 3..=length).contains(&token.len()), "{} of {length} bytes", token.len());
        token
    };
    let padding = "p".repeat(8 * 1024);
    // As three certificates in `x5c` make it.
    let certified = || token().header("x5c", vec!["c".repeat(4 * 1024 - 40); 3]).mint();
    vec![
        large(
            "a token of 64 KiB passes where the policy says so",
            get("/optional").bearer(sized(64 * 1024)),
            text("alice"),
        ),
        large(
            "a token of 64 KiB passes beside other headers",
            get("/optional").bearer(sized(64 * 1024)).header("x-padding", padding.clone()),
            text("alice"),
        ),
        large(
            "a token over 64 KiB is malformed",
            whoami("a".repeat(64 * 1024 + 1)),
            is_malformed(),
        ),
        large(
            "a header over 4 KiB is malformed in a large token too",
            whoami(certified()),
            is_malformed(),
        ),
        row(
            Variant::LargeHeaders,
            "a header of 12 KiB passes where the policy says so",
            whoami(certified()),
            claims(),
        ),
        row(
            Variant::Plain,
            "a token of 16 KiB passes",
            get("/optional").bearer(sized(16 * 1024)),
            text("alice"),
        ),
        row(
            Variant::Plain,
            "a token of 20 KiB is answered by the policy",
            whoami("a".repeat(20 * 1024)),
            is_malformed(),
        ),
        row(
            Variant::Plain,
            "a token of 64 KiB beside other headers is answered by the policy",
            whoami("a".repeat(64 * 1024)).header("x-padding", padding),
            is_malformed(),
        ),
        row(
            Variant::Plain,
            "a token of 100 KiB is answered by the policy",
            whoami("a".repeat(100 * 1024)),
            is_malformed(),
        ),
        row(
            Variant::Plain,
            "ninety other headers are no harm",
            (0..90).fold(whoami(good()), |request, _| request.header("x-padding", "p")),
            claims(),
        ),
    ]
}

fn scoped(scope: &str) -> TokenBuilder {
    token().claim("scope", scope)
}

fn forbidden(challenge: &str) -> Answer {
    Answer::problem(
        403,
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token does not allow this request.","code":"scope-insufficient"}"#,
    )
    .with("www-authenticate", challenge)
}

fn needs_authentication(challenge: &str) -> Answer {
    Answer::problem(
        401,
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"A stronger or more recent authentication is needed.","code":"authentication-insufficient"}"#,
    )
    .with("www-authenticate", challenge)
}

const LACKS_SCOPE: &str = r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request", scope="orders:read""#;

/// What a route asks for besides the policy.
fn requirements() -> Vec<Row> {
    const LACKS_ROLE: &str = r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request""#;
    const REFUND: &str = r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request", scope="orders:read orders:write""#;
    const STEP_UP: &str = r#"Bearer error="insufficient_user_authentication", error_description="A stronger or more recent authentication is needed", scope="orders:read", acr_values="gold silver", max_age="300""#;
    let ask = |name: &str, target: &str, token: TokenBuilder, answer: Answer| {
        row(Variant::Plain, name, get(target).bearer(token.mint()), answer)
    };
    let roles = |roles: serde_json::Value| {
        scoped("orders:write orders:read").claim("realm_access", json!({ "roles": roles }))
    };
    let stepped_up =
        |acr: &str, age: i64| scoped("orders:read").claim("acr", acr).claim("auth_time", NOW - age);
    let inside = || text("inside");
    let mut rows = vec![
        row(
            Variant::Plain,
            "a requirement asks nothing of a request that the policy refuses",
            get("/scoped"),
            token_missing(),
        ),
        row(
            Variant::Plain,
            "a requirement asks nothing of a token that the policy refuses",
            get("/scoped").bearer(scoped("orders:read").expired().mint()),
            has_expired(),
        ),
        row(
            Variant::Plain,
            "a requirement asks for a token where anonymous requests pass",
            get("/scoped-optional"),
            token_missing(),
        ),
        ask(
            "a requirement is met where anonymous requests pass",
            "/scoped-optional",
            scoped("orders:read"),
            inside(),
        ),
        ask(
            "a list of scopes in scp is a list of scopes",
            "/scoped",
            token().claim("scp", json!(["orders:write", "orders:read"])),
            inside(),
        ),
        ask(
            "a list in scp with something else among the scopes lists nothing",
            "/scoped",
            token().claim("scp", json!(["orders:read", 1])),
            forbidden(LACKS_SCOPE),
        ),
        ask(
            "a list in scope is a list of scopes",
            "/scoped",
            token().claim("scope", json!(["openid", "orders:read"])),
            inside(),
        ),
        ask(
            "an item of a list in scope is one scope",
            "/scoped",
            token().claim("scope", json!(["openid orders:read"])),
            forbidden(LACKS_SCOPE),
        ),
        row(
            Variant::Plain,
            "the answer to HEAD on a route that asks for more has no body",
            head("/scoped").bearer(good()),
            forbidden(LACKS_SCOPE).without_body(),
        ),
        row(
            Variant::Presented,
            "what a route asks for stands between realm and metadata",
            get("/scoped").bearer(good()),
            Answer::problem(
                403,
                r#"{"type":"https://api.example/problems/scope-insufficient","title":"Insufficient scope","status":403,"detail":"The access token does not allow this request.","code":"scope-insufficient"}"#,
            )
            .with("www-authenticate", r#"Bearer realm="orders", error="insufficient_scope", error_description="The access token does not allow this request", scope="orders:read", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#),
        ),
        row(
            Variant::Presented,
            "step-up stands between realm and metadata",
            get("/stepped-up").bearer(good()),
            Answer::problem(
                401,
                r#"{"type":"https://api.example/problems/authentication-insufficient","title":"Stronger authentication required","status":401,"detail":"A stronger or more recent authentication is needed.","code":"authentication-insufficient"}"#,
            )
            .with("www-authenticate", r#"Bearer realm="orders", error="insufficient_user_authentication", error_description="A stronger or more recent authentication is needed", scope="orders:read", acr_values="gold silver", max_age="300", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#),
        ),
        row(
            Variant::Terse,
            "without details, what a route asks for is told all the same",
            get("/scoped").bearer(good()),
            Answer::problem(
                403,
                r#"{"type":"https://api.example/problems/scope-insufficient","title":"Insufficient scope","status":403,"code":"scope-insufficient"}"#,
            )
            .with("www-authenticate", r#"Bearer realm="orders", error="insufficient_scope", scope="orders:read", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#),
        ),
        row(
            Variant::Hooked,
            "a hook sees what a route asks for and may add to it",
            get("/scoped").bearer(good()),
            forbidden(&LACKS_SCOPE.replace("Bearer ", "Bearer realm=\"orders\", "))
                .with("x-reason", "forbidden"),
        ),
        row(
            Variant::FirstScopes,
            "the challenge to a request without a token names the scopes to ask for first",
            get("/whoami"),
            token_missing().with_other("www-authenticate", r#"Bearer scope="orders:read profile""#),
        ),
        row(
            Variant::FirstScopes,
            "the challenge to a bad token names the scopes to ask for first",
            whoami(expired()),
            has_expired().with_other(
                "www-authenticate",
                r#"Bearer error="invalid_token", error_description="The access token has expired", scope="orders:read profile""#,
            ),
        ),
        row(
            Variant::FirstScopes,
            "a route names the scopes that it asks for, not those to ask for first",
            get("/scoped").bearer(good()),
            forbidden(LACKS_SCOPE),
        ),
        ask("all scopes and a role are met", "/refund", roles(json!(["user", "admin"])), inside()),
        ask("a missing role has no scope asked for that the token has", "/refund", roles(json!([])), forbidden(LACKS_ROLE)),
        ask("a role claim of another type lists nothing", "/refund", roles(json!({ "admin": true })), forbidden(LACKS_ROLE)),
        ask("all scopes are named at once", "/refund", token(), forbidden(REFUND)),
        ask(
            "a scope that is held is named beside one that is missing",
            "/refund",
            scoped("orders:write").claim("realm_access", json!({ "roles": ["admin"] })),
            forbidden(REFUND),
        ),
        ask("a recent and strong authentication is enough", "/stepped-up", stepped_up("silver", 330), inside()),
        ask("a weak authentication is not", "/stepped-up", stepped_up("bronze", 0), needs_authentication(STEP_UP)),
        ask("an old authentication is not", "/stepped-up", stepped_up("gold", 331), needs_authentication(STEP_UP)),
        ask("an authentication in the future is not", "/stepped-up", stepped_up("gold", -31), needs_authentication(STEP_UP)),
        ask(
            "an authentication at no time is not",
            "/stepped-up",
            scoped("orders:read").claim("acr", "gold"),
            needs_authentication(STEP_UP),
        ),
        ask("a missing scope and authentication are told at once", "/stepped-up", token(), needs_authentication(STEP_UP)),
        ask(
            "only a scope is missing after a strong authentication",
            "/stepped-up",
            token().claim("acr", "gold").claim("auth_time", NOW),
            forbidden(LACKS_SCOPE),
        ),
        ask("who is not excluded passes", "/others", token(), inside()),
        ask(
            "who is excluded is told no scope",
            "/others",
            token().subject("mallory"),
            forbidden(r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request""#),
        ),
        ask("a requirement that nobody can meet is the server's fault", "/faulty", scoped("orders:read orders:write"), misconfigured()),
        ask("a requirement without a policy in front is the server's fault", "/unprotected-scoped", scoped("orders:read"), misconfigured()),
        ask("an extractor of a requirement without a policy is the server's fault", "/unprotected-authorized", scoped("orders:read"), misconfigured()),
    ];
    for target in ["/scoped", "/authorized"] {
        rows.push(ask(
            &format!("{target} is for who has the scope"),
            target,
            scoped("profile orders:read"),
            inside(),
        ));
        for (what, scope) in [
            ("no scope", ""),
            ("another scope", "orders:write"),
            ("a tab between scopes", "profile\torders:read"),
            ("a no-break space between scopes", "profile\u{a0}orders:read"),
            ("a longer scope", "orders:read:all"),
        ] {
            rows.push(ask(
                &format!("{target} is not for who has {what}"),
                target,
                scoped(scope),
                forbidden(LACKS_SCOPE),
            ));
        }
    }
    rows
}

/// Tokens as four providers make them.
fn providers() -> Vec<Row> {
    let token = |id: &str| TestIssuer::new(id).at(NOW).token(Algorithm::ES256);
    let keycloak = || {
        let roles = json!({ "roles": ["offline_access", "accountant"] });
        let token = token(KEYCLOAK).claim("typ", "Bearer").claim("azp", "web");
        token.claim("scope", "openid orders:read orders:write").claim("realm_access", roles)
    };
    let entra = || {
        let token = token(ENTRA).claim("ver", "2.0").claim("azp", "web").claim("uti", "aBcD");
        token.claim("scp", "profile orders:read")
    };
    let auth0 = || token(AUTH0).claim("azp", "web").claim("scope", "openid orders:read");
    let cognito = || {
        let token = token(COGNITO).claim("token_use", "access").without("aud");
        token.claim("scope", "aws.cognito.signin.user.admin orders:read")
    };
    let inside = || text("inside");
    let ask = |name: &str, target: &str, token: TokenBuilder, answer: Answer| {
        row(Variant::Providers, name, get(target).bearer(token.mint()), answer)
    };
    vec![
        ask("Keycloak's roles of a realm are found", "/refund", keycloak(), inside()),
        ask(
            "Keycloak's ID token is none",
            "/inside",
            keycloak().claim("typ", "ID"),
            has_other_claims(),
        ),
        ask("Entra's scopes in scp are found", "/scoped", entra(), inside()),
        ask(
            "Entra's token of version 1 is none",
            "/inside",
            entra().claim("ver", "1.0"),
            has_other_claims(),
        ),
        ask("Auth0's scopes are found", "/scoped", auth0(), inside()),
        ask(
            "Auth0's issuer has its slash",
            "/inside",
            token(AUTH0.trim_end_matches('/')),
            is_unverifiable(),
        ),
        ask("Cognito's scopes are found", "/scoped", cognito(), inside()),
        ask(
            "Cognito's ID token is none",
            "/inside",
            cognito().claim("token_use", "id"),
            has_other_claims(),
        ),
        ask(
            "Cognito's token of another client is for others",
            "/inside",
            cognito().claim("client_id", "other"),
            is_for_others(),
        ),
        ask(
            "a token by the keys of another provider is none",
            "/inside",
            keycloak().claim("iss", ENTRA),
            is_unverifiable(),
        ),
    ]
}

/// A call of gRPC wants its status in a header, and no body. That of HTTP stays: a refusal looks like none to nobody.
fn grpc() -> Vec<Row> {
    let call = |target: &str| post(target).header("content-type", "application/grpc+proto");
    let status = |http: u16, status: &str, message: &str| {
        Answer::of(http, "application/grpc", "")
            .with("cache-control", "no-store")
            .with("grpc-status", status)
            .with("grpc-message", message)
    };
    let row = |policy, name, sent: Request, expected| row(policy, name, sent, expected);
    vec![
        row(
            Variant::Plain,
            "a gRPC call without a token is unauthenticated",
            call("/whoami"),
            status(401, "16", "This resource needs an access token.").with("www-authenticate", "Bearer"),
        ),
        row(
            Variant::Plain,
            "a gRPC call with a bad token is unauthenticated",
            call("/whoami").bearer(expired()),
            status(401, "16", "The access token has expired.").with(
                "www-authenticate",
                r#"Bearer error="invalid_token", error_description="The access token has expired""#,
            ),
        ),
        row(
            Variant::Plain,
            "a gRPC call with two tokens is invalid",
            call("/whoami").bearer(good()).bearer(good()),
            status(400, "3", "The request carries more than one access token.").with(
                "www-authenticate",
                r#"Bearer error="invalid_request", error_description="The request carries more than one access token""#,
            ),
        ),
        row(
            Variant::Plain,
            "a gRPC call without the scope is denied",
            call("/scoped").bearer(good()),
            status(403, "7", "The access token does not allow this request.").with(
                "www-authenticate",
                r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request", scope="orders:read""#,
            ),
        ),
        row(
            Variant::Plain,
            "a gRPC call with claims of another shape is denied",
            call("/typed").bearer(good()),
            status(403, "7", "The access token does not carry what this resource needs."),
        ),
        row(
            Variant::NoKeys,
            "a gRPC call while keys cannot be had is unavailable",
            call("/whoami").bearer(good()),
            status(503, "14", "Access tokens cannot be verified at the moment.").with("retry-after", "8"),
        ),
        row(
            Variant::Plain,
            "a gRPC call to a route without its policy fails inside",
            call("/unprotected").bearer(good()),
            status(500, "13", "This resource is not protected as it was meant to be."),
        ),
        row(
            Variant::Plain,
            "a gRPC call with a good token passes",
            call("/whoami").bearer(good()),
            claims(),
        ),
        row(
            Variant::Plain,
            "gRPC-Web is no gRPC until somebody translates it",
            post("/whoami").header("content-type", "application/grpc-web"),
            token_missing(),
        ),
        row(
            Variant::Plain,
            "gRPC knows no other method than POST",
            get("/whoami").header("content-type", "application/grpc"),
            token_missing(),
        ),
    ]
}
