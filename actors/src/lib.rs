//! The actors of the hub. Every source, viewer and publisher is one; media travels between them as messages with bounded
//! mailboxes; no actor waits inside a handler.
//!
//! | actor | one per | owns | hears |
//! |---|---|---|---|
//! | [`supervisor::Supervisor`] | process | which source is at which path | [`messages::Claim`], [`messages::Find`], listing, kick, shutdown |
//! | [`source::Source`] | live path | tracks, timeline, last GOP, lanes | [`messages::Publish`], [`messages::Media`], [`messages::Subscribe`], [`messages::SubscribeRtp`] |
//! | [`rtsp::session::RtspSession`] | RTSP connection | its socket, request state, RTP receivers | its socket, UDP packets, [`rtp_lane::RtpChunk`] when it plays, stop |
//! | [`wsp::data::DataConnection`] | WSP data connection | its socket, what is not yet written | [`rtp_lane::RtpChunk`], start and stop from its control connection, end |
//! | [`branch::Branch`] | thread with viewers of a source | which viewers of which lane are here | the lane's steps, end |
//! | [`viewer::Viewer`] | viewer connection | its socket, what is not yet written | [`lane::ChunkMessage`], end |
//! | [`hls::HlsMuxer`] | source that is watched by HLS | its segments | [`messages::FrameItem`], end |
//! | [`accounts::Accounts`] | process | the users, ended tokens | logins, changes of users |
//! | [`route_table::RouteTable`] | process | the routes, which of them are pulled | [`messages::Open`], listing, shutdown |
//! | [`pull::PullRoute`] | pulled path | the connection to its camera, back-off, idle timer | its camera, who waits for it, stop |
//! | [`demo::DemoPublisher`] | process, with `--demo` | the clip | its clock |
//!
//! This crate knows no HTTP: how a chunk is framed for a viewer is a [`viewer::Framing`] that the web crate brings.

pub mod accounts;
mod audience;
pub mod branch;
pub mod clip;
pub mod connection;
pub mod demo;
pub mod hls;
pub mod hub;
pub mod info;
pub mod lane;
pub mod messages;
pub mod meter;
mod on_wake;
pub mod pull;
pub mod route_table;
pub mod rtp_lane;
pub mod rtsp;
pub mod source;
pub mod store;
pub mod supervisor;
pub mod trouble;
pub mod viewer;
pub mod wsp;

pub use hub::{Hub, Settings};
