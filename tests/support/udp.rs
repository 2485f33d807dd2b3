//! RTSP over UDP, packet by packet.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::SOON;
use super::hub::Hub;
use super::rtsp::{Reply, Rtsp};

/// A player of the first track.
pub struct UdpPlayer {
    pub rtsp: Rtsp,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    /// The hub's ports.
    pub server: [SocketAddr; 2],
    pub ssrc: u32,
}

/// One RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub sequence: u16,
    /// NAL unit type.
    pub kind: u8,
}

impl UdpPlayer {
    /// Set up and not yet playing. `announced`: other ports than it has, as behind a NAT.
    pub fn prepare(hub: &Hub, path: &str, announced: Option<(u16, u16)>) -> Self {
        let ip = hub.address().ip();
        let [rtp, rtcp] = [(); 2].map(|()| socket(ip));
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        let (first, second) = announced.unwrap_or((port(&rtp), port(&rtcp)));
        let mut rtsp = Rtsp::connect(hub, path);
        assert_eq!(rtsp.request("DESCRIBE", None, &[], "").status, 200);
        let transport = format!("RTP/AVP;unicast;client_port={first}-{second}");
        let url = hub.url("rtsp", &format!("{path}/trackID=0"));
        let reply = rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let value = |name: &str| parameter(&reply, name).unwrap_or_else(|| panic!("{name} in {reply:?}"));
        let (a, b) = value("server_port=").split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a pair");
        let server = [a, b].map(|port| SocketAddr::new(ip, port.parse().expect("a port")));
        let ssrc = u32::from_str_radix(&value("ssrc="), 16).expect("an SSRC");
        Self { rtsp, rtp, rtcp, server, ssrc }
    }

    /// Set up and playing.
    pub fn play(hub: &Hub, path: &str) -> Self {
        let mut player = Self::prepare(hub, path, None);
        assert_eq!(player.rtsp.request("PLAY", None, &[], "").status, 200);
        player
    }

    /// The next packet, if one comes in time.
    pub fn next(&self, within: Duration) -> Option<Seen> {
        self.rtp.set_read_timeout(Some(within)).expect("a timeout");
        let mut buffer = [0; 2000];
        let length = self.rtp.recv(&mut buffer).ok()?;
        assert!(length > 12 && buffer[0] == 0x80, "{:?}", &buffer[..length]);
        Some(Seen { sequence: u16::from_be_bytes([buffer[2], buffer[3]]), kind: buffer[12] & 0x1f })
    }

    /// That many packets; none may be missing.
    pub fn take(&self, count: usize) -> Vec<Seen> {
        let seen: Vec<_> = (0..count).map(|_| self.next(SOON).expect("packets come")).collect();
        for pair in seen.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "a packet is missing");
        }
        seen
    }

    /// What players send first, from the socket that is to be heard (RTP of no stream, an empty report).
    pub fn punch(&self) {
        self.rtp.send_to(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], self.server[0]).expect("it is sent");
        self.rtcp.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 0], self.server[1]).expect("it is sent");
    }

    /// A receiver report.
    pub fn report(&self, fraction: u8, lost: u32, jitter: u32) {
        let report = report(self.ssrc, fraction, lost, jitter);
        self.rtcp.send_to(&report, self.server[1]).expect("it is sent");
    }

    /// Waits for a sender report of the hub.
    pub fn sender_report(&self) -> bool {
        let until = Instant::now() + SOON;
        let mut buffer = [0; 2000];
        while Instant::now() < until {
            self.rtcp.set_read_timeout(Some(SOON)).expect("a timeout");
            let Ok(length) = self.rtcp.recv(&mut buffer) else { return false };
            if length >= 28 && buffer[1] == 200 && buffer[4..8] == self.ssrc.to_be_bytes() {
                return true;
            }
        }
        false
    }
}

/// A parameter of the Transport header of a reply.
pub fn parameter(reply: &Reply, name: &str) -> Option<String> {
    reply.header("Transport")?.split(';').find_map(|part| part.strip_prefix(name)).map(str::to_owned)
}

/// A receiver report with one block (RFC 3550, section 6.4.2).
pub fn report(ssrc: u32, fraction: u8, lost: u32, jitter: u32) -> Vec<u8> {
    let mut out = vec![0x81, 201, 0, 7, 0xab, 0xcd, 0xef, 0x01];
    out.extend(ssrc.to_be_bytes());
    out.extend((u32::from(fraction) << 24 | lost & 0xff_ffff).to_be_bytes());
    out.extend([0; 4]);
    out.extend(jitter.to_be_bytes());
    out.extend([0; 8]);
    out
}

/// A free port of an address.
pub fn socket(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).expect("a port");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    socket
}
