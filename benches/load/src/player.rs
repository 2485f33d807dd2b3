//! A viewer's side of its protocol: what to send, and what the bytes mean. The engine owns the connection.

use anyhow::{Result, ensure};

use crate::hls::Hls;
use crate::rtsp::{Play, UdpTrack};
use crate::target::{Target, Transport};
use crate::unframe::{Flv, Framing};
use crate::watch::Watch;

/// Longest head of an HTTP answer.
const MAX_HEAD: usize = 64 << 10;
/// An unasked pong keeps a websocket from looking idle.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// One viewer.
#[derive(Debug)]
pub(crate) struct Player {
    wire: Wire,
    /// To be sent to the server.
    pub(crate) out: Vec<u8>,
    pub(crate) watch: Watch,
}

#[derive(Debug)]
enum Wire {
    Head { websocket: bool, bytes: Vec<u8> },
    Flv { websocket: bool, framing: Framing, flv: Flv },
    Rtsp(Box<Play>),
    Hls(Box<Hls>),
}

impl Player {
    pub(crate) fn new(target: &Target, stream: u16) -> Result<Self> {
        let mut out = Vec::new();
        let websocket = target.transport == Transport::WsFlv;
        let wire = match target.transport {
            Transport::RtspTcp | Transport::RtspUdp => Wire::Rtsp(Box::new(Play::new(target, &mut out))),
            Transport::WsFlv | Transport::HttpFlv => {
                out.extend(http_request(target, websocket).into_bytes());
                Wire::Head { websocket, bytes: Vec::new() }
            }
            Transport::Hls => Wire::Hls(Box::new(Hls::new(target, &mut out)?)),
        };
        Ok(Self { wire, out, watch: Watch::new(stream) })
    }

    /// Bytes of the TCP connection, cut anywhere.
    pub(crate) fn received(&mut self, bytes: &[u8], now: u64) -> Result<()> {
        match &mut self.wire {
            Wire::Rtsp(play) => play.received(bytes, now, &mut self.watch, &mut self.out),
            Wire::Hls(hls) => hls.received(bytes, now, &mut self.watch, &mut self.out),
            Wire::Flv { framing, flv, .. } => {
                framing.push(bytes, &mut self.out, &mut flv.bytes)?;
                flv.drain(|nal| self.watch.nal(nal, now))
            }
            Wire::Head { websocket, bytes: head } => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else {
                    ensure!(head.len() < MAX_HEAD, "an HTTP head of more than {MAX_HEAD} bytes");
                    return Ok(());
                };
                let framing = framing_of(&String::from_utf8_lossy(&head[..end]), *websocket)?;
                let rest = head.split_off(end + 4);
                self.wire = Wire::Flv { websocket: *websocket, framing, flv: Flv::default() };
                self.received(&rest, now)
            }
        }
    }

    /// A datagram of the video.
    pub(crate) fn datagram(&mut self, bytes: &[u8], now: u64) {
        if let Wire::Rtsp(play) = &mut self.wire {
            play.datagram(bytes, now, &mut self.watch);
        }
    }

    /// Media follows: the answer was right, or PLAY was answered.
    pub(crate) fn is_streaming(&self) -> bool {
        match &self.wire {
            Wire::Head { .. } => false,
            Wire::Flv { .. } => true,
            Wire::Rtsp(play) => play.streaming,
            Wire::Hls(hls) => hls.is_streaming(),
        }
    }

    /// Media comes without being asked for, so that it may be counted unread.
    pub(crate) fn is_pushed(&self) -> bool {
        !matches!(self.wire, Wire::Hls(_))
    }

    /// Does what it is time for.
    pub(crate) fn tick(&mut self, now: u64) -> Result<()> {
        match &mut self.wire {
            Wire::Hls(hls) => hls.tick(now, &mut self.out),
            _ => Ok(()),
        }
    }

    pub(crate) fn udp_tracks(&mut self) -> &mut [UdpTrack] {
        match &mut self.wire {
            Wire::Rtsp(play) => &mut play.udp_tracks,
            _ => &mut [],
        }
    }

    /// Missing RTP packets while frames were recorded.
    pub(crate) fn packets_lost(&self) -> u64 {
        match &self.wire {
            Wire::Rtsp(play) => play.packets_lost(),
            _ => 0,
        }
    }

    /// Asks to be kept.
    pub(crate) fn keep_alive(&mut self) {
        match &mut self.wire {
            Wire::Rtsp(play) if play.streaming => self.out.extend(play.keep_alive().into_bytes()),
            Wire::Flv { websocket: true, .. } => self.out.extend(PONG),
            _ => {}
        }
    }

    /// Says good-bye where the protocol has a word for it.
    pub(crate) fn teardown(&mut self) {
        if let Wire::Rtsp(play) = &mut self.wire
            && play.streaming
        {
            self.out.extend(play.teardown().into_bytes());
        }
    }
}

fn http_request(target: &Target, websocket: bool) -> String {
    let Target { path, host, .. } = target;
    let upgrade = match websocket {
        true => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: aHViLWxvYWQtaGFuZHNoYQ==\r\n"
        }
        false => "Accept: */*\r\n",
    };
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hub-load\r\n{upgrade}\r\n")
}

fn framing_of(head: &str, websocket: bool) -> Result<Framing> {
    let status = head.split(' ').nth(1).unwrap_or_default();
    let expected = if websocket { "101" } else { "200" };
    ensure!(status == expected, "HTTP {status}, expected {expected}");
    let chunked = head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.to_ascii_lowercase().contains("chunked")
    });
    Ok(match (websocket, chunked) {
        (true, _) => Framing::websocket(),
        (false, true) => Framing::chunked(),
        (false, false) => Framing::Raw,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_tells_the_framing() {
        assert!(matches!(framing_of("HTTP/1.1 101 Switching Protocols\r\n", true), Ok(Framing::Websocket { .. })));
        assert!(matches!(
            framing_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", false),
            Ok(Framing::Chunked { .. })
        ));
        assert!(matches!(framing_of("HTTP/1.1 200 OK\r\nServer: x", false), Ok(Framing::Raw)));
        let error = framing_of("HTTP/1.1 404 Not Found", false).expect_err("refused").to_string();
        assert!(error.contains("404"), "{error}");
    }
}
