//! RTSP connections: thin shells around the state machine in `ipchub_media::rtsp::session`.

mod login;
pub mod multicast;
mod playing;
mod publishing;
pub mod session;
pub mod udp;
mod unicast;
