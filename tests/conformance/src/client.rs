//! A client that sends what it is told to, byte by byte, and hands back all that it was answered.
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A version of HTTP, as it is spoken without TLS.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, known beforehand.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// A request, its headers in their order and as often as they are listed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// The host that it is sent to: `Host`, or `:authority` over HTTP/2.
    pub host: String,
    /// All other headers.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request to `api.example` without further headers.
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        let (target, host) = (target.into(), "api.example".to_owned());
        Self { method, target, host, headers: Vec::new(), body: Bytes::new() }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The request as a client sends it, and as a server that does no more than that sees it.
    ///
    /// # Panics
    ///
    /// It is none.
    #[must_use]
    pub fn build(&self, protocol: Protocol) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::from(self.body.clone()));
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let target = match protocol {
            Protocol::Http1 => {
                let host = HeaderValue::from_str(&self.host).expect("a host");
                request.headers_mut().insert("host", host);
                self.target.clone()
            }
            Protocol::Http2 => format!("http://{}{}", self.host, self.target),
        };
        *request.uri_mut() = Uri::try_from(target).expect("a target");
        for (name, value) in &self.headers {
            let name = HeaderName::from_static(name);
            let value = HeaderValue::from_bytes(value).expect("bytes that a header may have");
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// What a server answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in alphabetical order, without those that are the server's own affair.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Headers about the connection and the clock of the server.
    const IGNORED: [&str; 3] = ["connection", "date", "keep-alive"];

    /// The answer of these parts.
    pub fn new<'a>(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let mut headers: Vec<_> = headers
            .into_iter()
            .filter(|(name, _)| !Self::IGNORED.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect();
        headers.sort_unstable();
        Self { status, headers, body: body.into() }
    }

    /// The answer of the core, with what frameworks add to it: how long the body is.
    pub fn of_core(response: http::Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut answer = Self::new(head.status.as_u16(), headers, body);
        if answer.status != 204 && answer.header("content-length").next().is_none() {
            let length = answer.body.len().to_string().into_bytes();
            answer.headers.push(("content-length".into(), length));
            answer.headers.sort_unstable();
        }
        answer
    }

    /// The values of a header.
    pub fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_slice())
    }
}

/// An open connection, for one request after another.
#[derive(Debug)]
pub enum Connection {
    /// Of HTTP/1.1.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// Of HTTP/2.
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The server does not accept, or does not speak the protocol.
    pub async fn open(address: SocketAddr, protocol: Protocol) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
                // How it ends, the requests learn.
                tokio::spawn(async move { drop(connection.await) });
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.map_err(io::Error::other)?;
                tokio::spawn(async move { drop(connection.await) });
                Self::Http2(sender)
            }
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// The connection ends before the answer does.
    pub async fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request.build(Protocol::Http1)).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request.build(Protocol::Http2)).await
            }
        };
        read(response.map_err(io::Error::other)?).await
    }
}

async fn read(response: http::Response<Incoming>) -> io::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok(Answer::new(head.status.as_u16(), headers, body))
}

/// Sends a request over a connection of its own.
///
/// # Errors
///
/// There is no answer, or not all of it.
pub async fn send(
    address: SocketAddr,
    protocol: Protocol,
    request: &Request,
) -> io::Result<Answer> {
    Connection::open(address, protocol).await?.send(request).await
}

/// Sends these bytes over HTTP/1.1 and reads an answer to each of `methods`.
///
/// A server may answer and close before all has reached it (RFC 9112 §9.6): what it said still counts.
///
/// # Errors
///
/// There are fewer answers, or they are not HTTP/1.1 with `Content-Length`.
pub async fn send_raw(
    address: SocketAddr,
    bytes: &[u8],
    methods: &[&str],
) -> io::Result<Vec<Answer>> {
    let mut stream = write(address, bytes).await?;
    let mut buffer = Vec::new();
    let mut answers = Vec::new();
    for method in methods {
        answers.push(read_raw(&mut stream, &mut buffer, method).await?);
    }
    if buffer.is_empty() { Ok(answers) } else { Err(bad("bytes after the last answer")) }
}

/// Sends a request over HTTP/1.1 that says it has more of a body, and nothing after it: by its length, or in chunks.
///
/// # Errors
///
/// There is no answer.
pub async fn send_broken(
    address: SocketAddr,
    request: &Request,
    is_chunked: bool,
) -> io::Result<Answer> {
    let Request { method, target, host, headers, body } = request;
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let length = body.len();
    let announced = match is_chunked {
        false => format!("content-length: {}\r\n\r\n", length + 1),
        true => format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", length + 1),
    };
    bytes.extend([announced.as_bytes(), body].concat());
    let mut stream = write(address, &bytes).await?;
    stream.shutdown().await?;
    read_raw(&mut stream, &mut Vec::new(), method).await
}

async fn write(address: SocketAddr, bytes: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    match stream.write_all(bytes).await {
        Err(error) if is_closed_early(&error) => {}
        written => written?,
    }
    Ok(stream)
}

/// The next answer, to a request of this method.
async fn read_raw(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    method: &str,
) -> io::Result<Answer> {
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer).await?;
    };
    let (mut answer, length) = read_head(&buffer[..head])?;
    buffer.drain(..head);
    if method != "HEAD" {
        while buffer.len() < length {
            fill(stream, buffer).await?;
        }
        answer.body = buffer.drain(..length).collect();
    }
    Ok(answer)
}

fn is_closed_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Status and headers of an answer, and how long its body is.
fn read_head(head: &[u8]) -> io::Result<(Answer, usize)> {
    let head = core::str::from_utf8(head).map_err(|_| bad("a head that is not UTF-8"))?;
    let mut lines = head.trim_end().split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| bad("no status"))?;
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) =
                line.split_once(':').ok_or_else(|| bad("a line that is no header"))?;
            Ok((name.to_ascii_lowercase(), value.trim()))
        })
        .collect::<io::Result<_>>()?;
    let length = headers
        .iter()
        .find_map(|(name, value)| (name == "content-length").then(|| value.parse().ok())?)
        .ok_or_else(|| bad("no content-length"))?;
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok((Answer::new(status, headers, []), length))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
