//! A client that sees what is on the wire.
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::KeyServer;

/// What came until the server closed the connection.
pub(super) struct Got {
    pub(super) all: Vec<u8>,
    /// A character for each octet of the head.
    head: String,
}

/// Asks for this path on a connection of its own.
pub(super) fn ask(server: &KeyServer, path: &str) -> TcpStream {
    ask_with(server, path, "")
}

/// As [`ask`], with these lines in the head of the request.
pub(super) fn ask_with(server: &KeyServer, path: &str, lines: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    // A server that is broken shall fail the test and not stop it.
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket has a timeout");
    let head = format!("GET {path} HTTP/1.1\r\nhost: id\r\nconnection: close\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

pub(super) fn fetch(server: &KeyServer, path: &str) -> Got {
    Got::all_of(ask(server, path))
}

pub(super) fn fetch_with(server: &KeyServer, path: &str, lines: &str) -> Got {
    Got::all_of(ask_with(server, path, lines))
}

/// Whether not a byte more has come, nor an end.
///
/// Another request was answered before that is looked at: what the server, which has one thread,
/// was about to write before it, it has written.
pub(super) fn is_silent(server: &KeyServer, stream: &mut TcpStream) -> bool {
    assert_eq!(fetch(server, "/elsewhere").status(), 404);
    stream.set_nonblocking(true).expect("a socket can be told not to block");
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).expect("a socket can be told to block");
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

impl Got {
    pub(super) fn all_of(mut stream: TcpStream) -> Self {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the server closes the connection in order");
        Self::new(all)
    }

    /// All up to the end of the head, and what comes with it.
    pub(super) fn head_of(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        let mut part = [0; 1024];
        while end_of_head(&all).is_none() {
            let length = stream.read(&mut part).expect("the server answers");
            assert_ne!(length, 0, "the connection ended before the head did");
            all.extend_from_slice(&part[..length]);
        }
        Self::new(all)
    }

    fn new(all: Vec<u8>) -> Self {
        let end = end_of_head(&all).unwrap_or_default();
        let head = all[..end].iter().copied().map(char::from).collect();
        Self { all, head }
    }

    pub(super) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.split("\r\n").skip(1);
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        headers.filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.all[end_of_head(&self.all).expect("the head has an end") + 4..]
    }

    pub(super) fn text(&self) -> &str {
        str::from_utf8(self.body()).expect("UTF-8")
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n")
}
