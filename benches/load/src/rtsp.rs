//! The client's side of RTSP (RFC 2326) as far as a load needs it: play, and publish by TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use ipchub_media::Kind;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::depacketize::Depacketizer;
use ipchub_media::rtsp::message::Response;
use ipchub_media::rtsp::parser::{Item, Parser};
use ipchub_media::sdp::Description;

use crate::clip::Clip;
use crate::target::{Target, Transport};
use crate::watch::Watch;

/// A publisher's server must answer within this.
const ANSWER: Duration = Duration::from_secs(10);
/// Pairs of ports that are tried for UDP.
const PORT_TRIES: usize = 1000;
/// Kernel's buffer of a UDP player: it is read in batches. The system may allow less.
const UDP_BUFFER: usize = 4 << 20;

/// Writes requests and remembers what they need from earlier answers.
#[derive(Debug)]
pub(crate) struct Requests {
    cseq: u32,
    session: String,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { cseq: 0, session: String::new() }
    }

    /// `headers`: whole lines.
    pub(crate) fn write(&mut self, method: &str, uri: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        let mut head = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: hub-load\r\n{headers}", self.cseq);
        if !self.session.is_empty() {
            head += &format!("Session: {}\r\n", self.session);
        }
        if !body.is_empty() {
            head += &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", body.len());
        }
        head + "\r\n" + body
    }

    fn answered(&mut self, response: &Response) -> Result<()> {
        ensure!(response.status == 200, "RTSP {} {}", response.status, response.reason);
        if let Some(session) = response.headers.get("Session") {
            self.session = session.split(';').next().unwrap_or_default().trim().to_owned();
        }
        Ok(())
    }
}

/// A track of a player over UDP.
#[derive(Debug)]
pub(crate) struct UdpTrack {
    pub(crate) rtp: mio::net::UdpSocket,
    /// Held, so that the server's reports are not answered by ICMP.
    _rtcp: UdpSocket,
    /// It is the video that is watched.
    pub(crate) video: bool,
}

/// A player: DESCRIBE, SETUP of each track, PLAY; then RTP.
#[derive(Debug)]
pub(crate) struct Play {
    requests: Requests,
    base: String,
    udp: bool,
    /// Of each track: what SETUP goes to, and whether it is the video that is watched.
    tracks: Vec<(String, bool)>,
    /// Requests answered so far.
    answered: usize,
    parser: Parser,
    buffer: BytesMut,
    video: Video,
    pub(crate) streaming: bool,
    pub(crate) udp_tracks: Vec<UdpTrack>,
}

/// The watched track's packets.
#[derive(Debug, Default)]
struct Video {
    channel: Option<u8>,
    depacketizer: Option<Depacketizer>,
    next: Option<u16>,
    lost: u64,
}

impl Play {
    pub(crate) fn new(target: &Target, out: &mut Vec<u8>) -> Self {
        let mut requests = Requests::new();
        out.extend(requests.write("DESCRIBE", &target.url, "Accept: application/sdp\r\n", "").into_bytes());
        Self {
            requests,
            base: target.url.clone(),
            udp: target.transport == Transport::RtspUdp,
            tracks: Vec::new(),
            answered: 0,
            parser: Parser::new(),
            buffer: BytesMut::new(),
            video: Video::default(),
            streaming: false,
            udp_tracks: Vec::new(),
        }
    }

    /// Bytes of the connection, cut anywhere.
    pub(crate) fn received(&mut self, bytes: &[u8], now: u64, watch: &mut Watch, out: &mut Vec<u8>) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        while let Some(item) = self.parser.next(&mut self.buffer)? {
            match item {
                Item::Interleaved { channel, data } if self.video.channel == Some(channel) => {
                    self.video.packet(data, now, watch);
                }
                Item::Response(response) if !self.streaming => self.response(&response, out)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A datagram of the watched track.
    pub(crate) fn datagram(&mut self, bytes: &[u8], now: u64, watch: &mut Watch) {
        self.video.packet(Bytes::copy_from_slice(bytes), now, watch);
    }

    /// Packets missing of the watched track, by sequence number.
    pub(crate) fn packets_lost(&self) -> u64 {
        self.video.lost
    }

    pub(crate) fn keep_alive(&mut self) -> String {
        self.requests.write("OPTIONS", &self.base, "", "")
    }

    pub(crate) fn teardown(&mut self) -> String {
        self.requests.write("TEARDOWN", &self.base, "", "")
    }

    fn response(&mut self, response: &Response, out: &mut Vec<u8>) -> Result<()> {
        self.requests.answered(response)?;
        if self.answered == 0 {
            self.described(response)?;
        } else if let Some((_, true)) = self.tracks.get(self.answered - 1)
            && !self.udp
        {
            let transport = response.headers.get("Transport").unwrap_or_default();
            let channels = transport.split(';').find_map(|part| part.trim().strip_prefix("interleaved="));
            let first = channels.and_then(|channels| channels.split('-').next()?.parse().ok());
            self.video.channel = Some(first.with_context(|| format!("no channels in Transport: {transport}"))?);
        }
        self.answered += 1;
        let next = self.tracks.get(self.answered - 1).cloned();
        let request = match next {
            Some((control, video)) => {
                let transport = self.transport(self.answered - 1, video)?;
                self.requests.write("SETUP", &control, &transport, "")
            }
            None if self.answered == self.tracks.len() + 1 => {
                self.requests.write("PLAY", &self.base, "Range: npt=0.000-\r\n", "")
            }
            None => {
                self.streaming = true;
                return Ok(());
            }
        };
        out.extend(request.into_bytes());
        Ok(())
    }

    fn described(&mut self, response: &Response) -> Result<()> {
        if let Some(base) = response.headers.get("Content-Base") {
            self.base = base.to_owned();
        }
        let tracks = Description::parse(&response.body)?.tracks;
        let video = tracks.iter().position(|track| track.kind == Kind::Video).context("no video in the SDP")?;
        self.video.depacketizer = Some(Depacketizer::new(&tracks[video]).context("the video cannot be unpacked")?);
        let base = self.base.trim_end_matches('/');
        self.tracks = tracks
            .iter()
            .enumerate()
            .map(|(i, track)| match track.control.as_str() {
                "" | "*" => (self.base.clone(), i == video),
                control if control.contains("://") => (control.to_owned(), i == video),
                control => (format!("{base}/{}", control.trim_start_matches('/')), i == video),
            })
            .collect();
        Ok(())
    }

    fn transport(&mut self, track: usize, video: bool) -> Result<String> {
        if !self.udp {
            return Ok(format!("Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n", 2 * track, 2 * track + 1));
        }
        let (rtp, rtcp) = port_pair()?;
        let port = rtp.local_addr()?.port();
        self.udp_tracks.push(UdpTrack { rtp: mio::net::UdpSocket::from_std(rtp), _rtcp: rtcp, video });
        Ok(format!("Transport: RTP/AVP;unicast;client_port={port}-{}\r\n", port + 1))
    }
}

impl Video {
    fn packet(&mut self, bytes: Bytes, now: u64, watch: &mut Watch) {
        let (Ok(packet), Some(depacketizer)) = (Packet::parse(bytes), &mut self.depacketizer) else { return };
        let missing = self.next.map_or(0, |next| packet.sequence.wrapping_sub(next));
        if missing > 0x8000 {
            return; // late or twice
        }
        self.next = Some(packet.sequence.wrapping_add(1));
        if watch.record {
            self.lost += u64::from(missing);
        }
        let mut units = Vec::new();
        // What cannot be unpacked shows as a lost frame.
        let _ = depacketizer.push(&packet, missing > 0, &mut units);
        for unit in units.iter().flat_map(|access_unit| access_unit.units.iter()) {
            watch.nal(&unit.to_bytes(), now);
        }
    }
}

/// Two neighbouring ports, the first even (RFC 3550, section 11).
fn port_pair() -> Result<(UdpSocket, UdpSocket)> {
    for _ in 0..PORT_TRIES {
        let rtp = UdpSocket::bind(("0.0.0.0", 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind(("0.0.0.0", port + 1))
        {
            rtp.set_nonblocking(true)?;
            socket2::SockRef::from(&rtp).set_recv_buffer_size(UDP_BUFFER)?;
            return Ok((rtp, rtcp));
        }
    }
    bail!("no free pair of UDP ports")
}

/// Opens a publisher's session; packets then go on channel 0 of the connection.
pub(crate) fn publish(target: &Target) -> Result<TcpStream> {
    let mut connection = connect(target.address)?;
    let mut requests = Requests::new();
    let (mut parser, mut buffer) = (Parser::new(), BytesMut::new());
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n";
    let track = format!("{}/streamid=0", target.url.trim_end_matches('/'));
    for (method, uri, headers, body) in [
        ("ANNOUNCE", &target.url, "", Clip::sdp()),
        ("SETUP", &track, transport, String::new()),
        ("RECORD", &target.url, "Range: npt=0.000-\r\n", String::new()),
    ] {
        connection.write_all(requests.write(method, uri, headers, &body).as_bytes())?;
        let response = loop {
            if let Some(item) = parser.next(&mut buffer)? {
                match item {
                    Item::Response(response) => break response,
                    _ => continue,
                }
            }
            let mut bytes = [0; 4096];
            let n = connection.read(&mut bytes).with_context(|| format!("waiting for the answer to {method}"))?;
            ensure!(n > 0, "the server closed the connection at {method}");
            buffer.extend_from_slice(&bytes[..n]);
        };
        requests.answered(&response).with_context(|| method.to_owned())?;
    }
    connection.set_nonblocking(true)?;
    Ok(connection)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connection =
        TcpStream::connect_timeout(&address, ANSWER).with_context(|| format!("connecting to {address}"))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(ANSWER))?;
    Ok(connection)
}
