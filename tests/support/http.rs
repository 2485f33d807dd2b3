//! A blocking HTTP/1.1 client over one socket a request, and the body of an answer as it comes in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A connection whose reads and writes give up instead of hanging a test.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    stream.set_write_timeout(Some(SOON)).expect("a timeout can be set");
    stream
}

/// `GET`
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, &[])
}

/// `DELETE`
pub fn delete(address: SocketAddr, path: &str) -> Response {
    request(address, "DELETE", path, &[])
}

/// A request without body; the answer is read to its end.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut answer = Answer::to(address, method, path, "HTTP/1.1", headers)
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let mut body = Vec::new();
    if method != "HEAD" {
        answer.read_to_end(&mut body).unwrap_or_else(|error| panic!("body of {method} {path}: {error}"));
    }
    Response { status: answer.status, headers: answer.headers, body }
}

/// How the body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Bytes left of the chunk; `None` before a chunk's size.
    Chunked(Option<u64>),
    Length(u64),
    ToTheEnd,
    /// The end has come.
    Over,
}

/// An answer whose body is read as it comes.
pub struct Answer<S = TcpStream> {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body's end was said: by the terminating chunk or its length. Without either the end of the connection says it.
    pub complete: bool,
    framing: Framing,
    input: BufReader<S>,
}

impl Answer {
    /// Sends a request on a new connection and reads the head of the answer.
    pub fn to(
        address: SocketAddr,
        method: &str,
        path: &str,
        version: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::over(connect(address), method, path, version, headers)
    }
}

impl<S: Read + Write> Answer<S> {
    /// Sends a request and reads the head of the answer.
    pub fn over(mut stream: S, method: &str, path: &str, version: &str, headers: &[(&str, &str)]) -> io::Result<Self> {
        let mut head = format!("{method} {path} {version}\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            head.push_str("Connection: close\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        Self::read_head(stream)
    }

    /// Reads the head of an answer.
    pub fn read_head(stream: S) -> io::Result<Self> {
        let mut input = BufReader::new(stream);
        let start = line(&mut input)?;
        let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("status line {start:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut input)?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other(format!("header line {line:?}")))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
        let framing = match (header(&headers, "transfer-encoding"), length, status) {
            (_, _, 101 | 204 | 304) => Framing::ToTheEnd,
            (Some("chunked"), None, _) => Framing::Chunked(None),
            (Some(other), ..) => return Err(io::Error::other(format!("transfer-encoding {other} with {length:?}"))),
            (None, Some(length), _) => Framing::Length(length),
            (None, None, _) => Framing::ToTheEnd,
        };
        Ok(Self { status, headers, complete: false, framing, input })
    }

    /// What comes after the head, without framing.
    pub fn into_input(self) -> BufReader<S> {
        self.input
    }

    /// The socket.
    pub fn stream(&self) -> &S {
        self.input.get_ref()
    }

    fn chunk_size(&mut self) -> io::Result<Option<u64>> {
        let text = line(&mut self.input)?;
        let size = u64::from_str_radix(&text, 16).map_err(|_| io::Error::other(format!("chunk size {text:?}")))?;
        if size == 0 {
            let end = line(&mut self.input)?;
            assert_eq!(end, "", "no trailers are expected");
            return Ok(None);
        }
        Ok(Some(size))
    }
}

impl<S: Read + Write> Read for Answer<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = match self.framing {
            Framing::Over => return Ok(0),
            Framing::ToTheEnd => u64::MAX,
            Framing::Length(left) => left,
            Framing::Chunked(Some(left)) => left,
            Framing::Chunked(None) => self.chunk_size()?.unwrap_or(0),
        };
        let most = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        if most == 0 && !out.is_empty() {
            (self.framing, self.complete) = (Framing::Over, true);
            return Ok(0);
        }
        let n = self.input.read(&mut out[..most])?;
        let rest = left - n as u64;
        self.framing = match self.framing {
            Framing::ToTheEnd => Framing::ToTheEnd,
            _ if n == 0 && !out.is_empty() => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes are missing")));
            }
            Framing::Chunked(_) if rest == 0 => {
                let end = line(&mut self.input)?;
                assert_eq!(end, "", "what follows a chunk");
                Framing::Chunked(None)
            }
            Framing::Chunked(_) => Framing::Chunked(Some(rest)),
            _ => Framing::Length(rest),
        };
        Ok(n)
    }
}

/// A line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a line"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(io::Error::other)
}
