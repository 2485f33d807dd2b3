//! An RTSP publisher that does exactly what it is told, wrong or right.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::http;
use super::hub::Hub;

/// One video track without parameter sets: they come in the stream.
pub const H264_SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n\
                            m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
                            a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n";

/// 640x480, as a camera sends them.
pub const SPS: &str = "674d401eeca05017fcb808800000030080000019078b16cb";
pub const PPS: &str = "68ebe3cb20";

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A connection.
pub struct Rtsp {
    input: BufReader<TcpStream>,
    url: String,
    cseq: u32,
    session: Option<String>,
    sequence: u16,
}

impl Rtsp {
    /// Connects; requests without a URL are about `path`.
    pub fn connect(hub: &Hub, path: &str) -> Self {
        let input = BufReader::new(http::connect(hub.address()));
        Self { input, url: hub.url("rtsp", path), cseq: 0, session: None, sequence: 0 }
    }

    /// A connection that has announced and set up `H264_SDP` on channels 0 and 1, and records.
    pub fn publish(hub: &Hub, path: &str) -> Self {
        let mut rtsp = Self::connect(hub, path);
        assert_eq!(rtsp.announce(H264_SDP).status, 200);
        let url = format!("{}/streamid=0", rtsp.url);
        let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")];
        assert_eq!(rtsp.request("SETUP", Some(&url), &transport, "").status, 200);
        assert_eq!(rtsp.request("RECORD", None, &[], "").status, 200);
        rtsp
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    /// The address that the hub sees.
    pub fn local_address(&self) -> String {
        self.stream().local_addr().expect("it is connected").to_string()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.get_mut().write_all(bytes)
    }

    /// ANNOUNCE with that description.
    pub fn announce(&mut self, sdp: &str) -> Reply {
        self.request("ANNOUNCE", None, &[("Content-Type", "application/sdp")], sdp)
    }

    /// Sends a request with a right CSeq and Session and waits for its answer.
    pub fn request(&mut self, method: &str, url: Option<&str>, headers: &[(&str, &str)], body: &str) -> Reply {
        self.cseq += 1;
        let mut text = format!("{method} {} RTSP/1.0\r\nCSeq: {}\r\n", url.unwrap_or(&self.url), self.cseq);
        if let Some(session) = &self.session {
            text.push_str(&format!("Session: {session}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(format!("{text}\r\n{body}").as_bytes()).unwrap_or_else(|error| panic!("sending {method}: {error}"));
        let reply = self.reply().unwrap_or_else(|error| panic!("answer to {method}: {error}"));
        assert_eq!(reply.header("CSeq"), Some(self.cseq.to_string().as_str()), "the answer to {method}: {reply:?}");
        if let Some(session) = reply.header("session") {
            self.session = session.split(';').next().map(str::to_owned);
        }
        reply
    }

    /// The next answer; packets and requests of the hub before it are passed over.
    pub fn reply(&mut self) -> io::Result<Reply> {
        loop {
            if self.input.fill_buf()?.first() == Some(&b'$') {
                let mut head = [0; 4];
                self.input.read_exact(&mut head)?;
                let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
                self.input.read_exact(&mut data)?;
                continue;
            }
            let start = self.line()?;
            let mut headers = Vec::new();
            loop {
                let line = self.line()?;
                let Some((name, value)) = line.split_once(':') else { break };
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
            self.input.read_exact(&mut body)?;
            let Some(status) = start.strip_prefix("RTSP/1.0 ") else { continue };
            let status = status.split(' ').next().and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| io::Error::other(format!("status line {start:?}")))?;
            return Ok(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() });
        }
    }

    /// The next interleaved packet: channel and bytes. Answers and requests of the hub before it are passed over; `None`: the
    /// hub closed the connection.
    pub fn next_packet(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            match self.input.fill_buf()?.first() {
                None => return Ok(None),
                Some(b'$') => {
                    let mut head = [0; 4];
                    self.input.read_exact(&mut head)?;
                    let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
                    self.input.read_exact(&mut data)?;
                    return Ok(Some((head[1], data)));
                }
                Some(_) => while !self.line()?.is_empty() {},
            }
        }
    }

    /// Whether what comes next is an answer, not a packet.
    pub fn is_reply_next(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.first() == Some(&b'R'))
    }

    /// A connection that plays `path`, its video on channels 0 and 1; with the answer to PLAY.
    pub fn play(hub: &Hub, path: &str) -> (Self, Reply) {
        let mut rtsp = Self::connect(hub, path);
        assert_eq!(rtsp.request("DESCRIBE", None, &[("Accept", "application/sdp")], "").status, 200);
        let url = format!("{}/trackID=0", rtsp.url);
        let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")];
        assert_eq!(rtsp.request("SETUP", Some(&url), &transport, "").status, 200);
        let reply = rtsp.request("PLAY", None, &[("Range", "npt=0.000-")], "");
        assert_eq!(reply.status, 200);
        (rtsp, reply)
    }

    /// Reads until the hub closes; everything that came.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        match self.input.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// An interleaved packet (RFC 2326, section 10.12).
    pub fn interleaved(&mut self, channel: u8, data: &[u8]) -> io::Result<()> {
        let len = u16::try_from(data.len()).expect("at most 65535 bytes fit");
        let framed = [&[b'$', channel][..], &len.to_be_bytes(), data].concat();
        self.send(&framed)
    }

    /// The next RTP packet of the video, on channel 0.
    pub fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let packet = rtp(96, self.sequence, timestamp, marker, payload);
        self.interleaved(0, &packet)
    }

    /// Parameter sets and a key frame of one small slice that nobody can decode, but the hub can forward.
    pub fn key_frame(&mut self, timestamp: u32) -> io::Result<()> {
        self.packet(timestamp, false, &hex(SPS))?;
        self.packet(timestamp, false, &hex(PPS))?;
        self.packet(timestamp, true, &[0x65, 0x88, 0x84, 0x00, 0x10])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the hub closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }
}

/// An RTP packet (RFC 3550, section 5.1).
pub fn rtp(payload_type: u8, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type | u8::from(marker) << 7];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(0x1234_5678_u32.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Bytes from their hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<_> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    nibbles.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
