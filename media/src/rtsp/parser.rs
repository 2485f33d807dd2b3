//! Cuts the bytes of an RTSP connection into requests, responses and interleaved packets (RFC 2326, sections 4 to 7 and
//! 10.12).
//!
//! Tolerated, because real cameras and players send it: bare LF line ends, empty lines between messages, folded header
//! lines, header names in any case, header lines without a colon (left out), text that is no UTF-8 (U+FFFD instead), spaces
//! in a request URI.

use bytes::{Buf, Bytes, BytesMut};

use super::message::{Headers, Method, Request, Response, quoted};

/// Longest line: a URL with a long token, or a Digest answer, needs a few hundred bytes; proxies allow 8 to 16 KiB.
pub const MAX_LINE: usize = 16 * 1024;
/// Longest start line and headers together.
pub const MAX_HEAD: usize = 64 * 1024;
/// Most headers of a message; real ones have about ten.
pub const MAX_HEADERS: usize = 128;
/// Longest body: an SDP of 200 tracks fits, so that it can be refused with a reply that says why.
pub const MAX_BODY: usize = 256 * 1024;

/// One piece of a connection's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The peer asks something.
    Request(Request),
    /// The peer answers; some pushers answer what they were never asked.
    Response(Response),
    /// An RTP or RTCP packet (RFC 2326, section 10.12), a slice of the buffer that it came in.
    Interleaved {
        /// What SETUP agreed on.
        channel: u8,
        /// The packet, at most 65535 bytes.
        data: Bytes,
    },
}

/// Why the bytes cannot be cut any further. The connection cannot be used any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the connection: {what}")]
pub struct ParseError {
    /// Bytes before the fault, counted from the first that the parser saw.
    pub offset: u64,
    /// The fault and what was expected.
    pub what: Malformed,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Malformed {
    #[error("byte {0:#04x}, expected a request line or '$'")]
    Start(u8),
    #[error("start line {0}, expected METHOD URI RTSP/1.0 or RTSP/1.0 STATUS REASON")]
    StartLine(String),
    #[error("version {0}, expected RTSP/1.0")]
    Version(String),
    #[error("a line of more than {MAX_LINE} bytes")]
    Line,
    #[error("start line and headers of more than {MAX_HEAD} bytes")]
    Head,
    #[error("more than {MAX_HEADERS} headers")]
    Headers,
    #[error("Content-Length {0}, expected one number")]
    ContentLength(String),
    #[error("Content-Length {0}, expected at most {MAX_BODY}")]
    Body(u64),
}

impl ParseError {
    /// The status to answer with before the connection is closed.
    pub fn status(&self) -> u16 {
        match self.what {
            Malformed::Version(_) => 505,
            Malformed::Head | Malformed::Line | Malformed::Headers | Malformed::Body(_) => 413,
            Malformed::Start(_) | Malformed::StartLine(_) | Malformed::ContentLength(_) => 400,
        }
    }
}

/// The parser of one connection's one direction.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes taken out of the buffer so far.
    consumed: u64,
    /// Bytes at the buffer's start that were searched for the end of the head: no byte is searched twice.
    scanned: usize,
    /// Where the line begins that `scanned` is in.
    line: usize,
    /// Lines of the head that are complete.
    lines: usize,
    /// A head whose body has not come yet, and the body's length.
    head: Option<(Head, usize)>,
    /// The fault that ended the connection.
    failed: Option<ParseError>,
}

#[derive(Debug)]
enum Start {
    Request { method: Method, uri: String },
    Response { status: u16, reason: String },
}

#[derive(Debug)]
struct Head {
    start: Start,
    headers: Headers,
}

impl Parser {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes taken out of the buffer so far: the offset of what comes next.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Takes the next item out of `buf`, which holds what has come and was not taken yet; `None`: more bytes are needed.
    ///
    /// # Errors
    /// Nothing sensible can follow, and asking again gives the same error.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Item>, ParseError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let item = self.cut(buf);
        if let Err(error) = &item {
            self.failed = Some(error.clone());
        }
        item
    }

    fn cut(&mut self, buf: &mut BytesMut) -> Result<Option<Item>, ParseError> {
        if self.head.is_none() {
            if self.scanned == 0 {
                self.skip_empty_lines(buf);
                match buf.first() {
                    None => return Ok(None),
                    Some(b'$') => return Ok(self.interleaved(buf)),
                    Some(letter) if letter.is_ascii_alphabetic() => {}
                    Some(other) => return Err(self.error(0, Malformed::Start(*other))),
                }
            }
            let Some(end) = self.head_end(buf)? else { return Ok(None) };
            let (head, body) = self.read_head(&buf[..end])?;
            self.take(buf, end);
            self.head = Some((head, body));
        }
        match self.head.take() {
            Some((head, len)) if buf.len() >= len => {
                self.consumed += len as u64;
                Ok(Some(head.into_item(buf.split_to(len).freeze())))
            }
            waiting => {
                self.head = waiting;
                Ok(None)
            }
        }
    }

    fn interleaved(&mut self, buf: &mut BytesMut) -> Option<Item> {
        let [_, channel, high, low] = *buf.first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if buf.len() < 4 + len {
            return None;
        }
        buf.advance(4);
        self.consumed += 4 + len as u64;
        Some(Item::Interleaved { channel, data: buf.split_to(len).freeze() })
    }

    fn skip_empty_lines(&mut self, buf: &mut BytesMut) {
        if let Some(b'\r' | b'\n') = buf.first() {
            let empty = buf.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.take(buf, empty);
        }
    }

    fn take(&mut self, buf: &mut BytesMut, len: usize) {
        buf.advance(len);
        self.consumed += len as u64;
        (self.scanned, self.line, self.lines) = (0, 0, 0);
    }

    /// The length of the head with its empty line, once all of it is there.
    fn head_end(&mut self, buf: &[u8]) -> Result<Option<usize>, ParseError> {
        while let Some(at) = buf.get(self.scanned..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
            let end = self.scanned + at;
            self.check_lengths(end)?;
            self.scanned = end + 1;
            let empty = matches!(buf.get(self.line..end), Some(b"" | b"\r"));
            self.line = self.scanned;
            if empty {
                return Ok(Some(self.scanned));
            }
            self.lines += 1;
            if self.lines > 1 + MAX_HEADERS {
                return Err(self.error(self.line, Malformed::Headers));
            }
        }
        self.check_lengths(buf.len())?;
        self.scanned = buf.len();
        Ok(None)
    }

    fn check_lengths(&self, end: usize) -> Result<(), ParseError> {
        // Of two limits the one that comes first in the bytes, however they were cut.
        if end > self.line + MAX_LINE && self.line + MAX_LINE <= MAX_HEAD {
            return Err(self.error(self.line, Malformed::Line));
        }
        if end > MAX_HEAD {
            return Err(self.error(MAX_HEAD, Malformed::Head));
        }
        Ok(())
    }

    fn read_head(&self, bytes: &[u8]) -> Result<(Head, usize), ParseError> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let start = read_start(lines.next().unwrap_or_default()).map_err(|what| self.error(0, what))?;
        let mut headers = Headers::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                if let Some(value) = headers.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                headers.push(name.trim(), value.trim());
            }
        }
        let body = body_length(&headers).map_err(|what| self.error(bytes.len(), what))?;
        Ok((Head { start, headers }, body))
    }

    fn error(&self, at: usize, what: Malformed) -> ParseError {
        ParseError { offset: self.consumed + at as u64, what }
    }
}

impl Head {
    fn into_item(self, body: Bytes) -> Item {
        let headers = self.headers;
        match self.start {
            Start::Request { method, uri } => Item::Request(Request { method, uri, headers, body }),
            Start::Response { status, reason } => Item::Response(Response { status, reason, headers, body }),
        }
    }
}

fn read_start(line: &str) -> Result<Start, Malformed> {
    let wrong = || Malformed::StartLine(quoted(line));
    let line = line.trim();
    let (first, rest) = line.split_once([' ', '\t']).ok_or_else(wrong)?;
    if first.starts_with("RTSP/") {
        check_version(first)?;
        let (status, reason) = rest.trim_start().split_at_checked(3).ok_or_else(wrong)?;
        let status = number(status).filter(|status| *status >= 100).ok_or_else(wrong)?;
        let status = u16::try_from(status).map_err(|_| wrong())?;
        return Ok(Start::Response { status, reason: reason.trim().to_owned() });
    }
    let (uri, version) = rest.trim().rsplit_once([' ', '\t']).ok_or_else(wrong)?;
    if !version.contains('/') {
        return Err(wrong());
    }
    check_version(version)?;
    Ok(Start::Request { method: Method::from(first), uri: uri.trim().to_owned() })
}

fn check_version(version: &str) -> Result<(), Malformed> {
    if version.starts_with("RTSP/1.") { Ok(()) } else { Err(Malformed::Version(quoted(version))) }
}

fn body_length(headers: &Headers) -> Result<usize, Malformed> {
    let mut length = None;
    for value in headers.all("Content-Length") {
        let wrong = || Malformed::ContentLength(quoted(value));
        let bytes = number(value).ok_or_else(wrong)?;
        // Two answers to where the message ends: neither can be believed.
        if length.is_some_and(|before| before != bytes) {
            return Err(wrong());
        }
        length = Some(bytes);
    }
    let bytes = length.unwrap_or(0);
    usize::try_from(bytes).ok().filter(|len| *len <= MAX_BODY).ok_or(Malformed::Body(bytes))
}

/// A number of digits only; `str::parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
