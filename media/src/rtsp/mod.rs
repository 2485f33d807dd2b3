//! RTSP 1.0 (RFC 2326), sans-IO: bytes of a connection go in, items, replies and events come out.
//!
//! 1. [`parser`] cuts a connection's bytes into requests, responses and interleaved packets.
//! 2. [`session`] answers the requests of one connection and says what its owner has to do.
//! 3. [`client`] asks a server for its media and says what its owner has to do.
//! 4. [`headers`] reads and writes the headers that have a structure, [`message`] the messages around them.
//!
//! Nothing here knows what carries the bytes: a TCP or TLS socket, a websocket or WSP.
//!
//! The `rtsp-types` crate is not used: it refuses what real cameras and players send (bare LF line ends, a header line
//! without colon, spaces in a URI, text that is no UTF-8), has no limits, and reads a message from its start again whenever
//! more of it comes.

pub mod auth;
pub mod client;
pub mod headers;
pub mod message;
pub mod parser;
pub mod session;

#[cfg(test)]
mod mutation_tests;

pub use message::{Headers, Method, Request, Response};
pub use parser::{Item, ParseError, Parser};
pub use session::{
    Describe, Described, EndReason, Event, Group, Offer, Play, Publish, RtpStart, Session, SessionConfig, StreamName,
    TrackTransport,
};
