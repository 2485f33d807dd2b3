//! WSP: RTSP through two websockets of a page. The control connection is an RTSP session ([`crate::rtsp::session`]) whose
//! requests come wrapped; the data connection is the viewer, so that media crosses no actor that does not write it.
//!
//! ```text
//! control: INIT ----> a channel is made, bound to its path and user
//! data:                 JOIN channel ----> RtspSession hears of the data connection
//! control: WRAP DESCRIBE, SETUP, PLAY ---> the data connection subscribes to the source's RTP lane
//! ```
//!
//! Whichever of the two is lost ends the other. A control connection that nobody joins within `timeouts.sniff` ends, and so
//! does a data connection that does not join.

pub mod channels;
pub(crate) mod control;
pub mod data;
