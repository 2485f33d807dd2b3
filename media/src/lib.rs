//! Wire formats and codecs of the hub, without sockets, threads, clocks or actors: bytes and time go in, values come out.
//!
//! A packet's way through this crate:
//! 1. [`rtsp`] cuts interleaved packets and requests out of a connection's bytes; [`sdp`] says what the tracks are.
//! 2. [`rtp::packet`] reads the header, [`rtp::receiver`] puts packets in order and counts what is missing.
//! 3. [`rtp::depacketize`] makes access units, [`timeline`] gives them times on the source's one timeline: a [`Frame`].
//! 4. A muxer ([`flv`], [`ts`]) writes each frame once; [`output`] says which there are and what each can carry.
//!
//! Files are read by [`mp4`] and [`flv::clip`], which find the samples of a [`clip`]; [`rtp::packetize`] makes packets of them.
//!
//! Every parser answers "not yet complete" and "invalid" differently, and every limit stands beside its code with its reason.

pub mod clip;
pub mod codec;
pub mod flv;
pub mod fmp4;
pub mod frame;
pub mod hls;
pub mod mp4;
pub mod output;
pub mod parameters;
pub mod path;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod sniff;
pub mod timeline;
pub mod ts;
pub mod websocket;
pub mod wsp;

pub use frame::{Codec, Frame, Kind, Parameters, Track, Units};
pub use output::{Mux, Output};
