//! RTP and RTCP (RFC 3550) and the payload formats that carry H.264, H.265, AAC and plain audio.

pub mod depacketize;
pub mod packet;
pub mod packetize;
pub mod receiver;
pub mod rtcp;

pub use packet::Packet;
