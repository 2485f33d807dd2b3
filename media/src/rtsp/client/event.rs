//! What a client is told, and what it says.

use bytes::Bytes;

use super::login::Credentials;
use crate::rtsp::message::Method;
use crate::rtsp::parser::ParseError;
use crate::sdp::SdpError;

/// How media is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// TCP, and UDP from a server that refuses it.
    Any,
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
}

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Config {
    /// Absolute, without user and password.
    pub url: String,
    /// Some cameras refuse clients without a name, or stay silent.
    pub user_agent: String,
    /// Sent only when the server asks, and in clear only if it takes nothing better.
    pub credentials: Option<Credentials>,
    /// How media is asked for.
    pub wanted: Wanted,
    /// Whether to begin with OPTIONS.
    pub options: bool,
}

/// What the owner has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Send these bytes.
    Send(Bytes),
    /// Open an even UDP port and the next for this track, then call [`super::Client::bound`]. Ports opened for the same track
    /// before are of no use any more.
    Bind(usize),
    /// The server will send this track from these ports, if it told them: packets sent there open the way through a NAT.
    Remote {
        /// Index of the track.
        track: usize,
        /// Another address than the connection's.
        source: Option<std::net::IpAddr>,
        /// RTP and RTCP.
        ports: Option<(u16, u16)>,
    },
    /// Media comes; [`super::Client::tracks`] are complete.
    Playing,
    /// A packet that came in the connection.
    Packet {
        /// Index of the track.
        track: usize,
        /// It is RTCP.
        rtcp: bool,
        /// A slice of what was read.
        data: Bytes,
    },
    /// A packet on a channel of nobody.
    Stray {
        /// Of the packet.
        channel: u8,
        /// Its bytes.
        len: usize,
    },
    /// Ask there instead; nothing more comes here.
    Redirect(String),
    /// All is said; close the connection.
    Closed,
}

/// Why the session is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no RTSP.
    #[error("{0}")]
    Malformed(#[from] ParseError),
    /// User and password are missing or wrong, or what is asked for is forbidden.
    #[error("{method}: {status}, {reason}")]
    Login {
        /// Of the request.
        method: Method,
        /// 401 or 403.
        status: u16,
        /// In words.
        reason: String,
    },
    /// Another answer than 200.
    #[error("the answer to {method} is {status} {reason}")]
    Refused {
        /// Of the request.
        method: Method,
        /// As the server said.
        status: u16,
        /// As the server said, shortened and quoted.
        reason: String,
    },
    /// The description cannot be used.
    #[error("{0}")]
    Description(#[from] SdpError),
    /// It describes nothing that can be played.
    #[error("it describes neither video nor audio")]
    NoTracks,
    /// The server ends the session.
    #[error("it ended the session by {0}")]
    Ended(Method),
    /// Out of its time.
    #[error("{0} is not possible now")]
    State(&'static str),
}
