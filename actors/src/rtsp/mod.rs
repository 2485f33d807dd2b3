//! RTSP connections: thin shells around the state machine in `ipchub_media::rtsp::session`.

pub(crate) mod carrier;
mod line;
mod listening;
mod login;
pub mod multicast;
pub(crate) mod playing;
pub(crate) mod publishing;
mod resting;
pub mod session;
pub mod udp;
mod unicast;
mod upkeep;
