//! A blocking HTTP/1.1 client over one socket a request, and the body of an answer as it comes in.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

use super::json::Json;
use super::{SOON, lock};

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
    try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
}

fn try_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    Ok(stream)
}

/// `GET`
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, &[])
}

/// `DELETE`
pub fn delete(address: SocketAddr, path: &str) -> Response {
    request(address, "DELETE", path, &[])
}

/// User, password and token, once there is one.
type Caller = (String, String, Option<String>);

/// What everybody may ask.
const OPEN: [&str; 4] = ["server", "runtime", "login", "refreshtoken"];

/// Who asks a hub: the token of its default user, or of whom a test names.
static LOGINS: Mutex<BTreeMap<SocketAddr, Caller>> = Mutex::new(BTreeMap::new());

/// A new hub may have the address of an old one.
pub fn forget(address: SocketAddr) {
    lock(&LOGINS).remove(&address);
}

/// Requests to that hub are that user's from now on.
pub fn log_in_as(address: SocketAddr, user: &str, password: &str) {
    lock(&LOGINS).insert(address, (user.into(), password.into(), None));
}

/// The access token of a user; panics if the hub gives none.
pub fn login(address: SocketAddr, user: &str, password: &str) -> String {
    let (access, _) = tokens(address, user, password).unwrap_or_else(|answer| panic!("login as {user}: {answer:?}"));
    access
}

/// The access and the refresh token of a user, or the answer that has none.
pub fn tokens(address: SocketAddr, user: &str, password: &str) -> Result<(String, String), Response> {
    let body = serde_json::json!({ "username": user, "password": password }).to_string();
    let answer = anonymous(address, "POST", "/api/v1/login", &[("Content-Type", "application/json")], &body);
    if answer.status != 200 {
        return Err(answer);
    }
    let json = Json::parse(&answer.text());
    Ok((json.text("access_token").to_owned(), json.text("refresh_token").to_owned()))
}

/// The access token for a hub's REST; made once. `None` if the default user cannot log in there.
fn token(address: SocketAddr) -> Option<String> {
    let (user, password, known) =
        lock(&LOGINS).get(&address).cloned().unwrap_or_else(|| ("admin".into(), "admin".into(), None));
    let token = known.or_else(|| tokens(address, &user, &password).ok().map(|(access, _)| access))?;
    lock(&LOGINS).insert(address, (user, password, Some(token.clone())));
    Some(token)
}

/// A request without body, to REST by whoever is logged in; the answer is read to its end.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    send(address, method, path, headers, "")
}

/// A request with a body, to REST by whoever is logged in.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let call = path.strip_prefix("/api/v1/");
    let needs = call.is_some_and(|call| !OPEN.iter().any(|open| call.starts_with(open)));
    let named = path.contains("token=") && !path.contains("page_token=")
        || headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let token = if needs && !named { token(address) } else { None };
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = headers.to_vec();
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    anonymous(address, method, path, &headers, body)
}

/// A request of nobody in particular.
pub fn anonymous(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    exchange(address, method, path, headers, body)
}

fn exchange(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], text: &str) -> Response {
    try_exchange(address, method, path, headers, text).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// A request to a hub that may be ended meanwhile.
pub fn try_exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    text: &str,
) -> io::Result<Response> {
    let length = text.len().to_string();
    let mut headers = headers.to_vec();
    if !text.is_empty() {
        headers.push(("Content-Length", &length));
    }
    let mut stream = Answer::head(address, method, path, "HTTP/1.1", &headers)?;
    stream.write_all(text.as_bytes())?;
    let mut answer = Answer::read_head(stream)?;
    let mut body = Vec::new();
    if method != "HEAD" {
        answer.read_to_end(&mut body)?;
    }
    Ok(Response { status: answer.status, headers: answer.headers, body })
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
        Self::read_head(Self::head(address, method, path, version, headers)?)
    }

    fn head(
        address: SocketAddr,
        method: &str,
        path: &str,
        version: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<TcpStream> {
        let mut stream = try_connect(address)?;
        send_head(&mut stream, format!("{method} {path} {version}\r\nHost: {address}\r\n"), headers)?;
        Ok(stream)
    }
}

/// Sends the rest of a request's head.
fn send_head(stream: &mut impl Write, mut head: String, headers: &[(&str, &str)]) -> io::Result<()> {
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        head.push_str("Connection: close\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())
}

impl<S: Read + Write> Answer<S> {
    /// Sends a request and reads the head of the answer.
    pub fn over(mut stream: S, method: &str, path: &str, version: &str, headers: &[(&str, &str)]) -> io::Result<Self> {
        send_head(&mut stream, format!("{method} {path} {version}\r\nHost: localhost\r\n"), headers)?;
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
