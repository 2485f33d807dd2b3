//! Header values that have a structure: Transport, Session, Range, RTP-Info (RFC 2326, section 12).

use std::fmt;
use std::time::Duration;

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `RTP/AVP/TCP`: interleaved in the RTSP connection.
    Tcp,
    /// `RTP/AVP;unicast`: UDP to the client's ports.
    Udp,
    /// `RTP/AVP;multicast`: UDP to a group.
    Multicast,
}

/// What the packets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the server to the client; without `mode` this is meant (RFC 2326, section 12.39).
    Play,
    /// From the client to the server; some clients write `receive`.
    Record,
}

/// One alternative of a Transport header (RFC 2326, section 12.39). Pairs are RTP and RTCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// How packets travel.
    pub protocol: Protocol,
    /// Channels in the RTSP connection.
    pub interleaved: Option<(u8, u8)>,
    /// UDP ports of the client.
    pub client_port: Option<(u16, u16)>,
    /// UDP ports of the server.
    pub server_port: Option<(u16, u16)>,
    /// UDP ports of the multicast group.
    pub port: Option<(u16, u16)>,
    /// Where packets go, if not to where the request came from.
    pub destination: Option<String>,
    /// Where packets come from.
    pub source: Option<String>,
    /// Hops of a multicast packet.
    pub ttl: Option<u8>,
    /// The sender's synchronization source; one that cannot be read is left out.
    pub ssrc: Option<u32>,
    /// What the packets are for.
    pub mode: Option<Mode>,
}

/// Most alternatives that are looked at; clients send one to four.
const MAX_ALTERNATIVES: usize = 16;

impl Transport {
    /// A transport without parameters.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            interleaved: None,
            client_port: None,
            server_port: None,
            port: None,
            destination: None,
            source: None,
            ttl: None,
            ssrc: None,
            mode: None,
        }
    }

    /// The alternatives of a header value in the client's order. One of another profile (`RTP/SAVP`, `RAW/RAW/UDP`) or
    /// with channels or ports that cannot be read is left out.
    pub fn parse_list(value: &str) -> Vec<Self> {
        split_unquoted(value, ',').take(MAX_ALTERNATIVES).filter_map(Self::parse).collect()
    }

    /// One alternative.
    fn parse(text: &str) -> Option<Self> {
        let mut parameters = split_unquoted(text, ';').map(str::trim);
        let profile = parameters.next()?;
        let tcp = profile.eq_ignore_ascii_case("RTP/AVP/TCP");
        if !tcp && !profile.eq_ignore_ascii_case("RTP/AVP") && !profile.eq_ignore_ascii_case("RTP/AVP/UDP") {
            return None;
        }
        let mut unicast = None;
        let mut transport = Self::new(Protocol::Udp);
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "unicast" => unicast = Some(true),
                "multicast" => unicast = Some(false),
                "interleaved" => {
                    let (first, second) = pair(value)?;
                    transport.interleaved = Some((u8::try_from(first).ok()?, u8::try_from(second).ok()?));
                }
                "client_port" => transport.client_port = Some(pair(value)?),
                "server_port" => transport.server_port = Some(pair(value)?),
                "port" => transport.port = Some(pair(value)?),
                "destination" => transport.destination = Some(value.to_owned()),
                "source" => transport.source = Some(value.to_owned()),
                "ttl" => transport.ttl = value.parse().ok(),
                "ssrc" => transport.ssrc = u32::from_str_radix(value, 16).ok(),
                "mode" => transport.mode = mode(value),
                _ => {}
            }
        }
        transport.protocol = match unicast {
            _ if tcp => Protocol::Tcp,
            // Escam means TCP and leaves it out.
            _ if transport.interleaved.is_some() && transport.client_port.is_none() => Protocol::Tcp,
            Some(true) => Protocol::Udp,
            // RFC 2326 says multicast, but clients that name their own port forget `unicast`.
            None if transport.client_port.is_some() => Protocol::Udp,
            Some(false) | None => Protocol::Multicast,
        };
        Some(transport)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocol {
            Protocol::Tcp => "RTP/AVP/TCP;unicast",
            Protocol::Udp => "RTP/AVP;unicast",
            Protocol::Multicast => "RTP/AVP;multicast",
        })?;
        if let Some(destination) = &self.destination {
            write!(f, ";destination={destination}")?;
        }
        if let Some(source) = &self.source {
            write!(f, ";source={source}")?;
        }
        if let Some((rtp, rtcp)) = self.interleaved {
            write!(f, ";interleaved={rtp}-{rtcp}")?;
        }
        let ports = [("port", self.port), ("client_port", self.client_port), ("server_port", self.server_port)];
        for (name, ports) in ports {
            if let Some((rtp, rtcp)) = ports {
                write!(f, ";{name}={rtp}-{rtcp}")?;
            }
        }
        if let Some(ttl) = self.ttl {
            write!(f, ";ttl={ttl}")?;
        }
        if let Some(ssrc) = self.ssrc {
            write!(f, ";ssrc={ssrc:08X}")?;
        }
        match self.mode {
            Some(Mode::Play) => f.write_str(";mode=play"),
            Some(Mode::Record) => f.write_str(";mode=record"),
            None => Ok(()),
        }
    }
}

/// `a-b`, or `a` alone, which means `a` and the next.
fn pair(value: &str) -> Option<(u16, u16)> {
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: u16 = first.trim().parse().ok()?;
    let second = match second.trim() {
        "" => first.checked_add(1)?,
        second => second.parse().ok()?,
    };
    Some((first, second))
}

/// A quoted value may list several methods; who wants to record, among other things, records.
fn mode(value: &str) -> Option<Mode> {
    let mut modes = value.split(',').map(str::trim);
    let records = |mode: &str| mode.eq_ignore_ascii_case("record") || mode.eq_ignore_ascii_case("receive");
    if modes.clone().any(records) {
        return Some(Mode::Record);
    }
    modes.any(|mode| mode.eq_ignore_ascii_case("play")).then_some(Mode::Play)
}

/// Splits at a character outside of double quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// A Session header (RFC 2326, section 12.37).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId {
    /// Opaque.
    pub id: String,
    /// Silence after which the server ends the session; whole seconds. 60 s are meant if it is missing.
    pub timeout: Option<Duration>,
}

impl SessionId {
    /// Reads a header value; whatever follows the id and is no timeout is left out.
    pub fn parse(value: &str) -> Self {
        let mut parts = value.split(';').map(str::trim);
        let id = parts.next().unwrap_or_default().to_owned();
        let seconds = parts.filter_map(|part| part.split_once('=')).find_map(|(name, seconds)| {
            name.trim().eq_ignore_ascii_case("timeout").then(|| seconds.trim().parse::<u32>().ok())?
        });
        Self { id, timeout: seconds.map(|seconds| Duration::from_secs(seconds.into())) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timeout {
            Some(timeout) => write!(f, "{};timeout={}", self.id, timeout.as_secs()),
            None => f.write_str(&self.id),
        }
    }
}

/// Where to start, by normal play time (RFC 2326, section 3.6). Other units are not read: a live stream has only now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// `npt=now-`
    Now,
    /// `npt=<seconds>-[<seconds>]`
    From {
        /// From the stream's start.
        start: Duration,
        /// From the stream's start; open if `None`.
        end: Option<Duration>,
    },
}

impl Range {
    /// Reads a header value; `None` if it is no npt range.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.split(';').next()?.trim();
        let (unit, range) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("npt") {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (start.trim(), end.trim());
        if start.eq_ignore_ascii_case("now") {
            return Some(Self::Now);
        }
        // "-10" is the last ten seconds, which a live stream has not.
        let end = if end.is_empty() { None } else { Some(play_time(end)?) };
        Some(Self::From { start: play_time(start)?, end })
    }
}

/// `12.5` or `1:02:03.5`.
fn play_time(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    for part in text.split(':') {
        if !part.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("npt=now-"),
            Self::From { start, end } => {
                write!(f, "npt={:.3}-", start.as_secs_f64())?;
                end.map_or(Ok(()), |end| write!(f, "{:.3}", end.as_secs_f64()))
            }
        }
    }
}

/// The first packet after PLAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpStart {
    /// Its sequence number.
    pub sequence: u16,
    /// Its RTP time, ticks of the track's clock.
    pub timestamp: u32,
}

/// One track's part of an RTP-Info header (RFC 2326, section 12.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpInfo {
    /// The track's URL.
    pub url: String,
    /// `None` if it is not known yet. The track has its part all the same: live555, and with it VLC, goes by the order.
    pub start: Option<RtpStart>,
}

/// The value of an RTP-Info header.
pub fn rtp_info(tracks: &[RtpInfo]) -> String {
    let part = |track: &RtpInfo| match track.start {
        Some(start) => format!("url={};seq={};rtptime={}", track.url, start.sequence, start.timestamp),
        None => format!("url={}", track.url),
    };
    let parts: Vec<String> = tracks.iter().map(part).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests;
