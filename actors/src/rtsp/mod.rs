//! RTSP connections: thin shells around the state machine in `ipchub_media::rtsp::session`.

mod login;
mod playing;
mod publishing;
pub mod session;
pub mod udp;
