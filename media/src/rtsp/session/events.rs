//! What session and shell say to each other.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use crate::frame::Track;
use crate::rtsp::parser::ParseError;
use crate::sdp::AddressFamily;

/// What a session must be told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Random, of letters and digits: whoever knows it may speak for the session.
    pub session_id: String,
    /// Silence after which the shell ends the session; told to the client in whole seconds.
    pub timeout: Duration,
    /// For the `Server` header: `ipchub/x.y`.
    pub server_name: String,
    /// The server's RTP and RTCP ports; `None`: UDP is refused with 461.
    pub udp_ports: Option<(u16, u16)>,
    /// Whether multicast is offered: then the shell answers [`Event::Group`]. Over IPv4 only.
    pub multicast: bool,
    /// That of the client's address: which unspecified address descriptions show.
    pub address_family: AddressFamily,
    /// The stream that the carrier's own URL names, a websocket's; of the requests' URLs only the control matters then.
    pub stream: Option<StreamName>,
    /// What the session can be used for.
    pub offer: Offer,
}

/// A stream that is known before any request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName {
    /// Canonical, see [`crate::path::canonical`], and more than `/`.
    pub path: String,
    /// The same in the case that was asked for, see [`crate::path::with_case`].
    pub original_path: String,
}

/// What a session can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Playing and publishing.
    Both,
    /// Playing: ANNOUNCE and RECORD are answered with 501.
    Play,
}

/// What the shell must do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Write these bytes, a whole response.
    Reply(Bytes),
    /// Decide on this publication and call [`Session::answer_publish`](super::Session::answer_publish).
    Publish(Publish),
    /// Look for this stream and call [`Session::answer_describe`](super::Session::answer_describe).
    Describe(Describe),
    /// Find the multicast group of the described stream and call [`Session::answer_group`](super::Session::answer_group).
    Group,
    /// Start sending to where the transports say, after an earlier [`Event::Pause`] too, and call
    /// [`Session::answer_play`](super::Session::answer_play).
    Play(Play),
    /// Stop sending; the reply follows. [`Event::Play`] may come again.
    Pause,
    /// Close the connection once the replies so far are written.
    End(EndReason),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The client asked for it.
    Teardown,
    /// The client sent bytes that are no RTSP.
    Malformed(ParseError),
    /// The hub ended it, see [`Session::teardown`](super::Session::teardown).
    Told(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Teardown => f.write_str("TEARDOWN"),
            Self::Malformed(error) => write!(f, "malformed RTSP: {error}"),
            Self::Told(reason) => f.write_str(reason),
        }
    }
}

/// A client wants to publish a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Canonical, see [`crate::path::canonical`].
    pub path: String,
    /// The announced tracks that were set up, in the order of the SDP.
    pub tracks: Vec<Track>,
    /// How each of `tracks` comes, at the same index.
    pub transports: Vec<TrackTransport>,
    /// The client's `User-Agent`, shortened; empty if it has none.
    pub user_agent: String,
    /// What is odd in the SDP; for the log.
    pub notes: Vec<String>,
}

/// A client wants to know what a stream is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Describe {
    /// Canonical, see [`crate::path::canonical`]; `/` if the URL had none.
    pub path: String,
    /// The same in the case that was asked for, see [`crate::path::with_case`].
    pub original_path: String,
    /// Of the URL, without the `?`.
    pub query: Option<String>,
}

/// What a stream is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The source's tracks, with their parameters as far as they are known now.
    pub tracks: Vec<Track>,
    /// The synchronization source of each of `tracks`, at the same index, for the replies to SETUP.
    pub ssrcs: Vec<u32>,
}

/// Where a stream goes by multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub address: Ipv4Addr,
    /// Who sends.
    pub source: Ipv4Addr,
    /// RTP of the first track; its RTCP has the next port, and so on with each track.
    pub first_port: u16,
    /// Hops.
    pub ttl: u8,
}

impl Group {
    /// RTP and RTCP port of a track.
    pub fn ports(&self, track: usize) -> Option<(u16, u16)> {
        let rtp = u16::try_from(track).ok()?.checked_mul(2)?.checked_add(self.first_port)?;
        Some((rtp, rtp.checked_add(1)?))
    }
}

/// A client wants to be sent a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// That of [`Describe`].
    pub path: String,
    /// Index: track of [`Described`]; `None`: not wanted. All that are wanted go the same way: interleaved or over UDP.
    /// They may differ from those of the [`Play`] before a pause: ffmpeg goes from UDP to TCP so.
    pub transports: Vec<Option<TrackTransport>>,
}

/// How the packets of one track travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackTransport {
    /// In the RTSP connection.
    Interleaved {
        /// Channel of RTP.
        rtp: u8,
        /// Channel of RTCP.
        rtcp: u8,
    },
    /// Over UDP, between the server's ports and the address that the RTSP connection has.
    Udp {
        /// The client's port of RTP.
        client_rtp: u16,
        /// The client's port of RTCP.
        client_rtcp: u16,
    },
    /// To a multicast group that all of its members share.
    Multicast,
}

impl TrackTransport {
    /// Whether a channel carries this track's RTCP (`true`) or RTP; `None` if neither.
    pub(super) fn carries(self, channel: u8) -> Option<bool> {
        match self {
            Self::Interleaved { rtp, .. } if rtp == channel => Some(false),
            Self::Interleaved { rtcp, .. } if rtcp == channel => Some(true),
            _ => None,
        }
    }

    /// Whether both go the same way.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}
