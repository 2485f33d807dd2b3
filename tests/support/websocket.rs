//! A websocket client (RFC 6455) with just what a viewer needs, strict about what it receives.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::http::Answer;

/// A message or control frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Binary(Vec<u8>),
    Text(String),
    Pong(Vec<u8>),
    Close { code: u16, reason: String },
}

/// An open websocket.
pub struct WebSocket<S = TcpStream> {
    input: BufReader<S>,
}

/// A sample key and its answer (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl WebSocket {
    /// Upgrades; an answer other than 101 is an error with its status.
    pub fn open(address: SocketAddr, path: &str) -> io::Result<Self> {
        Self::open_with(address, path, "Upgrade")
    }

    /// As [`WebSocket::open`] with that `Connection` header.
    pub fn open_with(address: SocketAddr, path: &str, connection: &str) -> io::Result<Self> {
        Self::handshake(super::http::connect(address), path, connection, "")
    }

    /// As [`WebSocket::open`], offering a subprotocol; the hub must choose it.
    pub fn speak(address: SocketAddr, path: &str, protocol: &str) -> io::Result<Self> {
        Self::handshake(super::http::connect(address), path, "Upgrade", protocol)
    }
}

impl<S: Read + Write> WebSocket<S> {
    /// Upgrades a connection.
    pub fn over(stream: S, path: &str, connection: &str) -> io::Result<Self> {
        Self::handshake(stream, path, connection, "")
    }

    fn handshake(stream: S, path: &str, connection: &str, protocol: &str) -> io::Result<Self> {
        let mut headers = vec![
            ("Connection", connection),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        if !protocol.is_empty() {
            headers.push(("Sec-WebSocket-Protocol", protocol));
        }
        let answer = Answer::over(stream, "GET", path, "HTTP/1.1", &headers)?;
        if answer.status != 101 {
            return Err(io::Error::other(format!("status {}", answer.status)));
        }
        let accept = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"));
        assert_eq!(accept.map(|(_, value)| value.as_str()), Some(ACCEPT));
        let chosen = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"));
        let expected = protocol.split(", ").last().filter(|protocol| !protocol.is_empty());
        assert_eq!(chosen.map(|(_, value)| value.as_str()), expected, "the subprotocol");
        Ok(Self { input: answer.into_input() })
    }

    /// The socket.
    pub fn stream(&self) -> &S {
        self.input.get_ref()
    }

    /// The next message. Only whole, unmasked binary messages and control frames are right here.
    pub fn read(&mut self) -> io::Result<Message> {
        let [first, second] = self.take()?;
        assert_eq!(first & 0xf0, 0x80, "a single final frame without extension, got {first:#04x}");
        assert_eq!(second & 0x80, 0, "a server's frames are not masked");
        let len = match second {
            126 => u64::from(u16::from_be_bytes(self.take()?)),
            127 => u64::from_be_bytes(self.take()?),
            short => u64::from(short),
        };
        assert!(second < 126 || len > if second == 126 { 125 } else { 65_535 }, "{len} in a longer form than needed");
        let mut data = vec![0; usize::try_from(len).expect("a length that fits memory")];
        self.input.read_exact(&mut data)?;
        Ok(match first & 0x0f {
            BINARY => Message::Binary(data),
            TEXT => Message::Text(String::from_utf8(data).expect("text is UTF-8")),
            PONG => Message::Pong(data),
            CLOSE => {
                let (code, reason) =
                    data.split_first_chunk().map_or((1005, &[][..]), |(c, r)| (u16::from_be_bytes(*c), r));
                Message::Close { code, reason: String::from_utf8_lossy(reason).into_owned() }
            }
            opcode => panic!("unexpected websocket opcode {opcode}"),
        })
    }

    /// Asks for a pong.
    pub fn ping(&mut self, data: &[u8]) -> io::Result<()> {
        self.send(PING, data)
    }

    /// Says that it leaves.
    pub fn close(&mut self) -> io::Result<()> {
        self.send(CLOSE, &1000_u16.to_be_bytes())
    }

    /// A whole message.
    pub fn send(&mut self, opcode: u8, data: &[u8]) -> io::Result<()> {
        self.frame(0x80 | opcode, data)
    }

    /// One frame; `first` holds its kind (0 continues) and, in the highest bit, whether it is the last of its message.
    pub fn frame(&mut self, first: u8, data: &[u8]) -> io::Result<()> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match u16::try_from(data.len()) {
            Ok(len @ 0..126) => frame.push(0x80 | len as u8),
            Ok(len) => frame.extend([&[0x80 | 126][..], &len.to_be_bytes()].concat()),
            Err(_) => frame.extend([&[0x80 | 127][..], &(data.len() as u64).to_be_bytes()].concat()),
        }
        frame.extend(mask);
        frame.extend(data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.input.get_mut().write_all(&frame)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
