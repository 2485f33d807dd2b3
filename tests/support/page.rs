//! What a page's player does: RTSP over a websocket, alone or in WSP.

use std::collections::VecDeque;
use std::io;

use super::hub::Hub;
use super::rtsp::Reply;
use super::websocket::{BINARY, Message, TEXT, WebSocket};

/// A player's connection or connections.
pub struct Page {
    way: Way,
    url: String,
    cseq: u32,
    session: Option<String>,
    /// Came before an answer that was waited for.
    packets: VecDeque<(u8, Vec<u8>)>,
    /// What requests are sent as.
    pub opcode: u8,
}

enum Way {
    Rtsp(WebSocket),
    Wsp { control: WebSocket, data: WebSocket, seq: u32 },
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl Page {
    /// RTSP over a websocket about `path`.
    pub fn rtsp(hub: &Hub, path: &str) -> Self {
        let socket = WebSocket::speak(hub.address(), &format!("/streams{path}"), "rtsp").expect("a websocket");
        Self::new(Way::Rtsp(socket), hub, path)
    }

    /// WSP about `path`, joined.
    pub fn wsp(hub: &Hub, path: &str) -> Self {
        let (mut control, channel) = init(hub, path);
        let mut data = open(hub, path, "data");
        let reply = ask(&mut data, &format!("WSP/1.1 JOIN\r\nchannel: {channel}\r\nseq: 3\r\n\r\n"));
        assert!(reply.starts_with("WSP/1.1 200 OK\r\n") && reply.contains("seq: 3\r\n"), "{reply}");
        let info = ask(&mut control, "WSP/1.1 GET_INFO\r\nproto: rtsp\r\nseq: 4\r\n\r\n");
        assert!(info.starts_with("WSP/1.1 200 OK\r\n") && info.contains("\r\nseq: 4\r\n"), "{info}");
        Self::new(Way::Wsp { control, data, seq: 10 }, hub, path)
    }

    fn new(way: Way, hub: &Hub, path: &str) -> Self {
        let url = hub.url("rtsp", path.split('?').next().unwrap_or(path));
        Self { way, url, cseq: 0, session: None, packets: VecDeque::new(), opcode: TEXT }
    }

    /// Whether it speaks WSP.
    pub fn is_wsp(&self) -> bool {
        matches!(self.way, Way::Wsp { .. })
    }

    /// The websocket of the requests.
    pub fn control(&mut self) -> &mut WebSocket {
        match &mut self.way {
            Way::Rtsp(socket) | Way::Wsp { control: socket, .. } => socket,
        }
    }

    /// The websocket of the packets.
    pub fn data(&mut self) -> &mut WebSocket {
        match &mut self.way {
            Way::Rtsp(socket) | Way::Wsp { data: socket, .. } => socket,
        }
    }

    /// DESCRIBE, SETUP of so many tracks on the usual channels, PLAY; gives the answer to PLAY and the description.
    pub fn play(&mut self, tracks: usize) -> (Reply, String) {
        let described = self.request("DESCRIBE", "", &[("Accept", "application/sdp")], "");
        assert_eq!(described.status, 200, "{described:?}");
        for track in 0..tracks {
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1);
            let reply = self.request("SETUP", &format!("/trackID={track}"), &[("Transport", &transport)], "");
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        let reply = self.request("PLAY", "", &[], "");
        assert_eq!(reply.status, 200, "{reply:?}");
        (reply, described.body)
    }

    /// A request with a right CSeq and Session; waits for its answer. `suffix` goes behind the URL.
    pub fn request(&mut self, method: &str, suffix: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let text = self.text_of(method, suffix, headers, body);
        self.send(&text);
        self.reply()
    }

    /// The text of a request.
    pub fn text_of(&mut self, method: &str, suffix: &str, headers: &[(&str, &str)], body: &str) -> String {
        self.cseq += 1;
        let mut text = format!("{method} {}{suffix} RTSP/1.0\r\nCSeq: {}\r\n", self.url, self.cseq);
        if let Some(session) = &self.session {
            text.push_str(&format!("Session: {session}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        format!("{text}\r\n{body}")
    }

    /// Sends a request's text as the way wants it.
    pub fn send(&mut self, text: &str) {
        let opcode = self.opcode;
        let message = match &mut self.way {
            Way::Rtsp(_) => text.to_owned(),
            Way::Wsp { seq, .. } => {
                *seq += 1;
                format!("WSP/1.1 WRAP\r\ncontentLength: {}\r\nseq: {seq}\r\n\r\n{text}", text.len())
            }
        };
        self.control().send(opcode, message.as_bytes()).expect("the connection takes a request");
    }

    /// The next answer.
    pub fn reply(&mut self) -> Reply {
        let text = loop {
            match &mut self.way {
                Way::Rtsp(socket) => match socket.read().expect("an answer") {
                    Message::Binary(data) if data[0] == b'$' => self.packets.push_back(packet(data)),
                    Message::Binary(data) => break String::from_utf8(data).expect("RTSP is text"),
                    other => panic!("{other:?} instead of an answer"),
                },
                Way::Wsp { control, seq, .. } => match control.read().expect("an answer") {
                    Message::Text(text) => {
                        let (head, payload) = text.split_once("\r\n\r\n").expect("WSP");
                        assert!(head.starts_with("WSP/1.1 200 OK\r\n"), "{head}");
                        assert!(head.contains(&format!("\r\nseq: {seq}")) && head.contains("\r\nchannel: "), "{head}");
                        break payload.to_owned();
                    }
                    other => panic!("{other:?} instead of an answer"),
                },
            }
        };
        let reply = parse(&text);
        if let Some(session) = reply.header("session") {
            self.session = session.split(';').next().map(str::to_owned);
        }
        reply
    }

    /// The next packet: channel and bytes. An error once the hub has closed the websocket.
    pub fn packet(&mut self) -> Result<(u8, Vec<u8>), Closed> {
        if let Some(packet) = self.packets.pop_front() {
            return Ok(packet);
        }
        match self.data().read().unwrap_or_else(|error| panic!("the websocket broke: {error}")) {
            Message::Binary(data) if data[0] == b'$' => Ok(packet(data)),
            Message::Close { code, reason } => Err(Closed { code, reason }),
            other => panic!("{other:?} instead of a packet"),
        }
    }

    /// Reads on until the hub closes the websocket of the packets.
    pub fn wait_closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.packet() {
                return closed;
            }
        }
    }
}

/// A websocket of a subprotocol.
pub fn open(hub: &Hub, path: &str, protocol: &str) -> WebSocket {
    WebSocket::speak(hub.address(), &format!("/streams{path}"), protocol).expect("a websocket")
}

/// A control connection and its channel.
pub fn init(hub: &Hub, path: &str) -> (WebSocket, String) {
    let mut control = open(hub, path, "control");
    let reply = ask(&mut control, "WSP/1.1 INIT\r\nproto: rtsp\r\nhost: x\r\nport: 1\r\nclient: y\r\nseq: 1\r\n\r\n");
    assert!(reply.starts_with("WSP/1.1 200 OK\r\n") && reply.contains("seq: 1\r\n"), "{reply}");
    let channel = reply.lines().find_map(|line| line.strip_prefix("channel: ")).expect("a channel").to_owned();
    assert!(channel.parse::<u64>().is_ok_and(|id| id < 1 << 53), "{channel}");
    (control, channel)
}

/// Sends a WSP message and gives the answer.
pub fn ask(socket: &mut WebSocket, message: &str) -> String {
    socket.send(TEXT, message.as_bytes()).expect("the connection takes a message");
    match socket.read() {
        Ok(Message::Text(text)) => text,
        other => panic!("{other:?} instead of an answer to {message:?}"),
    }
}

/// What a websocket ends with.
pub fn close_of(socket: &mut WebSocket) -> io::Result<Closed> {
    loop {
        if let Message::Close { code, reason } = socket.read()? {
            return Ok(Closed { code, reason });
        }
    }
}

fn packet(data: Vec<u8>) -> (u8, Vec<u8>) {
    let len = usize::from(u16::from_be_bytes([data[2], data[3]]));
    assert_eq!(data.len(), 4 + len, "one packet a message");
    (data[1], data[4..].to_vec())
}

fn parse(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("RTSP/1.0 ")?.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {text:?}"));
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
    Reply { status, headers: headers.collect(), body: body.to_owned() }
}

/// Sends RTSP bytes to be published as one message.
pub fn push(socket: &mut WebSocket, channel: u8, data: &[u8]) -> io::Result<()> {
    let len = u16::try_from(data.len()).expect("at most 65535 bytes fit");
    socket.send(BINARY, &[&[b'$', channel][..], &len.to_be_bytes(), data].concat())
}
