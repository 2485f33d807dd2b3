//! RTSP connections: thin shells around the state machine in `ipchub_media::rtsp::session`.

pub(crate) mod carrier;
mod listening;
pub mod multicast;
pub(crate) mod playing;
mod publishing;
pub mod session;
pub mod udp;
mod unicast;
