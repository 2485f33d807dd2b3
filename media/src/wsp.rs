//! WSP 1.1, by which Streamedian's player speaks RTSP through websockets. There is no public document; the player's own
//! `src/transport/websocket.js` is the source.
//!
//! A page opens two websockets. On that of subprotocol `control` it asks INIT and gets a channel, and wraps RTSP requests; on
//! that of subprotocol `data` it says JOIN with the channel, and is sent interleaved RTP. A websocket message is one WSP
//! message:
//!
//! ```text
//! WSP/1.1 WRAP                        WSP/1.1 200 OK
//! contentLength: 120                  seq: 3
//! seq: 3                              channel: 42
//!
//! OPTIONS rtsp://... RTSP/1.0         RTSP/1.0 200 OK
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::rtsp::message::{Headers, quoted};
use crate::rtsp::parser::{MAX_BODY, MAX_HEAD as MAX_RTSP_HEAD};

/// Start line and headers: the player sends about 200 bytes.
const MAX_HEAD: usize = 8 << 10;
/// The player sends up to six headers.
const MAX_HEADERS: usize = 32;
/// Longest message: any RTSP request that the RTSP parser takes.
pub const MAX_MESSAGE: usize = MAX_HEAD + MAX_RTSP_HEAD + MAX_BODY;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A channel.
    Init,
    /// To be sent the media of a channel.
    Join,
    /// The RTSP request in the payload.
    Wrap,
    /// What the server is.
    GetInfo,
    /// The player tells of a codec or transport that it goes over to; nothing depends on it.
    Switch,
    /// Any other word.
    Other(String),
}

impl From<&str> for Command {
    fn from(word: &str) -> Self {
        match word {
            "INIT" => Self::Init,
            "JOIN" => Self::Join,
            "WRAP" => Self::Wrap,
            "GET_INFO" => Self::GetInfo,
            "SWITCH" => Self::Switch,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Names are compared without case. `contentLength` is passed over: the websocket's message says it.
    pub headers: Headers,
    /// What follows the empty line.
    pub payload: Bytes,
}

/// Why a message is none of WSP. The next one may be: where a message ends is the websocket's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Malformed {
    #[error("first line {0}, expected WSP/1.1 COMMAND")]
    StartLine(String),
    #[error("no empty line after the headers within {MAX_HEAD} bytes")]
    Head,
    #[error("header line {0}, expected name: value")]
    Header(String),
    #[error("more than {MAX_HEADERS} headers")]
    Headers,
}

impl Request {
    /// Reads a whole websocket message. Bare LF line ends are taken too.
    ///
    /// # Errors
    /// The message is no WSP, or was cut.
    pub fn parse(message: &Bytes) -> Result<Self, Malformed> {
        let end = head_end(message).ok_or_else(|| match start_line(message) {
            Err(wrong) => wrong,
            Ok(_) => Malformed::Head,
        })?;
        let command = start_line(message)?;
        let text = String::from_utf8_lossy(&message[..end]);
        let mut headers = Headers::new();
        for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| Malformed::Header(quoted(line)))?;
            if headers.len() == MAX_HEADERS {
                return Err(Malformed::Headers);
            }
            headers.push(name.trim(), value.trim());
        }
        Ok(Self { command, headers, payload: message.slice(end..) })
    }
}

/// Where the payload begins.
fn head_end(message: &[u8]) -> Option<usize> {
    let head = &message[..message.len().min(MAX_HEAD)];
    let mut line = 0;
    for (at, _) in head.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&head[line..at], b"" | b"\r") && line > 0 {
            return Some(at + 1);
        }
        line = at + 1;
    }
    None
}

fn start_line(message: &[u8]) -> Result<Command, Malformed> {
    let line = message.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(MAX_HEAD)]);
    let line = line.trim_end();
    let word = line.strip_prefix("WSP/1.1 ").map(str::trim).filter(|word| !word.is_empty() && !word.contains(' '));
    word.map(Command::from).ok_or_else(|| Malformed::StartLine(quoted(line)))
}

/// The server's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    reason: String,
    headers: Headers,
}

impl Reply {
    /// `200 OK`
    pub fn ok() -> Self {
        Self::new(200, "OK")
    }

    /// Any status. A player takes those below 300 for good.
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), headers: Headers::new() }
    }

    /// An answer to `request`: with its `seq`.
    pub fn to(mut self, request: &Request) -> Self {
        if let Some(seq) = request.headers.get("seq") {
            self.headers.push("seq", seq);
        }
        self
    }

    /// The same with one header more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The message. Control characters of reason and headers are written as spaces, so that nothing that came from a peer can
    /// end a line.
    pub fn to_bytes(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(128 + payload.len());
        let clean = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
        out.put_slice(format!("WSP/1.1 {} {}\r\n", self.status, clean(&self.reason)).as_bytes());
        for (name, value) in self.headers.iter() {
            out.put_slice(format!("{}: {}\r\n", clean(name), clean(value)).as_bytes());
        }
        out.put_slice(b"\r\n");
        out.put_slice(payload);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, Malformed> {
        Request::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    /// What Streamedian's player 3.3 sends.
    const INIT: &str = "WSP/1.1 INIT\r\nproto: rtsp\r\nhost: hub\r\nport: 1554\r\nclient: undefined\r\nseq: 2\r\n\r\n";
    const WRAP: &str =
        "WSP/1.1 WRAP\r\ncontentLength: 48\r\nseq: 4\r\n\r\nOPTIONS rtsp://hub/a RTSP/1.0\r\nCSeq: 1\r\n\r\n";

    #[test]
    fn the_players_messages() {
        let init = parse(INIT).expect("valid");
        assert_eq!((init.command, init.headers.get("SEQ"), init.payload.len()), (Command::Init, Some("2"), 0));
        let wrap = parse(WRAP).expect("valid");
        assert_eq!(wrap.command, Command::Wrap);
        assert_eq!(&wrap.payload[..], b"OPTIONS rtsp://hub/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        for (text, command) in [
            ("WSP/1.1 JOIN\nchannel: 7\n\n", Command::Join),
            ("WSP/1.1 GET_INFO\r\n\r\n", Command::GetInfo),
            ("WSP/1.1 SWITCH\r\nseq: 1\r\n\r\nh265", Command::Switch),
            ("WSP/1.1 init\r\n\r\n", Command::Other("init".into())),
        ] {
            assert_eq!(parse(text).expect(text).command, command);
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_malformed_until_its_head_is_whole() {
        for text in [INIT, WRAP] {
            let head = text.find("\r\n\r\n").expect("a head") + 4;
            for cut in 0..=text.len() {
                assert_eq!(parse(&text[..cut]).is_ok(), cut >= head, "{cut} of {text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_wsp_is_told() {
        for (text, wrong) in [
            ("", Malformed::StartLine("\"\"".into())),
            ("OPTIONS * RTSP/1.0\r\n\r\n", Malformed::StartLine("\"OPTIONS * RTSP/1.0\"".into())),
            ("WSP/1.0 INIT\r\n\r\n", Malformed::StartLine("\"WSP/1.0 INIT\"".into())),
            ("WSP/1.1 \r\n\r\n", Malformed::StartLine("\"WSP/1.1\"".into())),
            ("\r\n\r\n", Malformed::StartLine("\"\"".into())),
            ("WSP/1.1 INIT\r\nseq 1\r\n\r\n", Malformed::Header("\"seq 1\"".into())),
            (&format!("WSP/1.1 INIT\r\n{}\r\n", "a: b\r\n".repeat(33)), Malformed::Headers),
            (&format!("WSP/1.1 INIT\r\na: {}\r\n\r\n", "b".repeat(MAX_HEAD)), Malformed::Head),
        ] {
            assert_eq!(parse(text), Err(wrong), "{text:?}");
        }
        assert!(Request::parse(&Bytes::from(vec![0xff; 100_000])).is_err());
    }

    #[test]
    fn replies_echo_the_seq_and_cannot_be_split() {
        let request = parse("WSP/1.1 WRAP\r\nseq: 9\r\n\r\n").expect("valid");
        let reply = Reply::ok().to(&request).with("channel", "4\r\n2");
        assert_eq!(&reply.to_bytes(b"x")[..], b"WSP/1.1 200 OK\r\nseq: 9\r\nchannel: 4  2\r\n\r\nx");
        assert_eq!(&Reply::new(404, "NOT FOUND").to_bytes(b"")[..], b"WSP/1.1 404 NOT FOUND\r\n\r\n");
    }
}
