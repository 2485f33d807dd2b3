//! Requests and responses (RFC 2326, sections 6 and 7).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

/// A request's method (RFC 2326, section 10). Methods are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the methods' own
pub enum Method {
    Options,
    Describe,
    Announce,
    Setup,
    Play,
    Pause,
    Record,
    Teardown,
    GetParameter,
    SetParameter,
    Redirect,
    /// Any other word.
    Other(String),
}

impl Method {
    /// The method as it stands in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Announce => "ANNOUNCE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Pause => "PAUSE",
            Self::Record => "RECORD",
            Self::Teardown => "TEARDOWN",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
            Self::Redirect => "REDIRECT",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for Method {
    fn from(word: &str) -> Self {
        match word {
            "OPTIONS" => Self::Options,
            "DESCRIBE" => Self::Describe,
            "ANNOUNCE" => Self::Announce,
            "SETUP" => Self::Setup,
            "PLAY" => Self::Play,
            "PAUSE" => Self::Pause,
            "RECORD" => Self::Record,
            "TEARDOWN" => Self::Teardown,
            "GET_PARAMETER" => Self::GetParameter,
            "SET_PARAMETER" => Self::SetParameter,
            "REDIRECT" => Self::Redirect,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Header fields in the order they came; names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No header.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all headers of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the header added last, to which a folded line belongs.
    pub(super) fn last_mut(&mut self) -> Option<&mut String> {
        self.0.last_mut().map(|(_, value)| value)
    }
}

/// A request, to be written or as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// As the peer wrote it: absolute, relative or `*`; see [`crate::path::of_uri`].
    pub uri: String,
    /// All headers.
    pub headers: Headers,
    /// `Content-Length` bytes; empty without that header.
    pub body: Bytes,
}

impl Request {
    /// Appends the request as it goes over the wire; control characters as in [`Response::write_to`].
    pub fn write_to(&self, out: &mut BytesMut) {
        put_clean(out, self.method.as_str());
        out.put_slice(b" ");
        put_clean(out, &self.uri);
        out.put_slice(b" RTSP/1.0\r\n");
        put_headers(out, &self.headers, &self.body);
    }
}

/// A response, to be written or as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// RFC 2326, section 11; 100 to 999.
    pub status: u16,
    /// The phrase behind the status.
    pub reason: String,
    /// All headers. `Content-Length` is written from the body, whatever stands here.
    pub headers: Headers,
    /// Empty: no body and no `Content-Length`.
    pub body: Bytes,
}

impl Response {
    /// A response with the standard phrase, without headers and body.
    pub fn new(status: u16) -> Self {
        Self { status, reason: reason_phrase(status).to_owned(), headers: Headers::new(), body: Bytes::new() }
    }

    /// The same with one header more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with a short sentence for people as its body.
    pub fn with_text(mut self, text: &str) -> Self {
        self.headers.push("Content-Type", "text/plain; charset=utf-8");
        self.body = Bytes::from(format!("{text}\n"));
        self
    }

    /// Appends the response as it goes over the wire.
    ///
    /// A control character in a phrase, header name or value is written as a space: nothing that came from a peer and
    /// stands in a reply can end a line and begin a header or a second response.
    pub fn write_to(&self, out: &mut BytesMut) {
        out.put_slice(format!("RTSP/1.0 {:03} ", self.status).as_bytes());
        put_line(out, &self.reason);
        put_headers(out, &self.headers, &self.body);
    }

    /// The response as it goes over the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(256 + self.body.len());
        self.write_to(&mut out);
        out.freeze()
    }
}

fn put_headers(out: &mut BytesMut, headers: &Headers, body: &[u8]) {
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length")) {
        put_clean(out, name);
        out.put_slice(b": ");
        put_line(out, value);
    }
    if !body.is_empty() {
        out.put_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.put_slice(b"\r\n");
    out.put_slice(body);
}

fn put_line(out: &mut BytesMut, text: &str) {
    put_clean(out, text);
    out.put_slice(b"\r\n");
}

fn put_clean(out: &mut BytesMut, text: &str) {
    out.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
}

/// The standard phrase of a status (RFC 2326, section 7.1.1; 429 from RFC 6585), `Unknown` for any other.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        250 => "Low on Storage Space",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        451 => "Parameter Not Understood",
        452 => "Conference Not Found",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        456 => "Header Field Not Valid for Resource",
        457 => "Invalid Range",
        458 => "Parameter Is Read-Only",
        459 => "Aggregate operation not allowed",
        460 => "Only aggregate operation allowed",
        461 => "Unsupported transport",
        462 => "Destination unreachable",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Time-out",
        505 => "RTSP Version not supported",
        551 => "Option not supported",
        _ => "Unknown",
    }
}

/// A peer's text for an error message: short, in quotes, control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    /// Enough to recognise a URL or a header value, little enough for a log line.
    const MAX_CHARS: usize = 80;
    let short: String = text.chars().take(MAX_CHARS).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_reads_as_it_should() {
        let response = Response::new(404).with("CSeq", "7").with("Content-Length", "999").with_text("no such stream");
        assert_eq!(
            &response.to_bytes()[..],
            b"RTSP/1.0 404 Not Found\r\nCSeq: 7\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 15\r\n\r\n\
              no such stream\n"
        );
        assert_eq!(&Response::new(200).to_bytes()[..], b"RTSP/1.0 200 OK\r\n\r\n");
    }

    #[test]
    fn a_header_value_cannot_split_the_response() {
        let mut response = Response::new(200).with("X\r\nA: b", "1\r\n\r\nRTSP/1.0 200 OK\nX: y\0");
        response.reason = "OK\r\nX: z".to_owned();
        let bytes = response.to_bytes();
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, 3, "{bytes:?}");
        assert!(bytes.ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let mut headers = Headers::new();
        headers.push("cseq", "1");
        headers.push("CSEQ", "2");
        assert_eq!(headers.get("CSeq"), Some("1"));
        assert_eq!(headers.all("CSeq").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers.get("Session"), None);
    }

    #[test]
    fn methods_read_back() {
        for word in ["OPTIONS", "GET_PARAMETER", "REDIRECT", "RECORD", "options", "X"] {
            assert_eq!(Method::from(word).to_string(), word);
        }
        assert_eq!(Method::from("PLAY"), Method::Play);
    }

    #[test]
    fn quotes_are_short_and_clean() {
        assert_eq!(quoted("a\r\nb"), r#""a\r\nb""#);
        assert!(quoted(&"é".repeat(10_000)).len() < 200);
    }
}
