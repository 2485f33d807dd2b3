//! Writing: the hub's own description of a stream for its players.

use std::fmt::Write;

use super::fmtp::fmtp;
use crate::frame::{Codec, Kind, Track};

/// Which unspecified address `c=` and `o=` show. Nothing of the publisher's addresses is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// `IN IP4 0.0.0.0`
    V4,
    /// `IN IP6 ::`
    V6,
}

/// The description of `tracks`, with controls `trackID=0`, `trackID=1` and so on, relative to the stream's URL
/// (RFC 2326, appendix C.1.1). Parameter sets are those that the tracks have now, whatever the publisher announced. Control
/// characters in the publisher's words become spaces.
pub fn write(name: &str, tracks: &[Track], family: AddressFamily) -> String {
    let address = match family {
        AddressFamily::V4 => "IN IP4 0.0.0.0",
        AddressFamily::V6 => "IN IP6 ::",
    };
    // RFC 8866, section 5.3: a session without a name is called "-".
    let name = if name.trim().is_empty() { "-".to_owned() } else { clean(name) };
    let mut out =
        format!("v=0\r\no=- 0 0 {address}\r\ns={name}\r\nc={address}\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n");
    for (index, track) in tracks.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write_track(&mut out, index, track);
    }
    out
}

fn write_track(out: &mut String, index: usize, track: &Track) -> std::fmt::Result {
    let kind = match track.kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Other => "application",
    };
    let payload_type = track.payload_type;
    write!(out, "m={kind} 0 RTP/AVP {payload_type}\r\n")?;
    let encoding = encoding_name(track);
    if !encoding.is_empty() {
        write!(out, "a=rtpmap:{payload_type} {encoding}/{}", track.clock_rate)?;
        if track.kind == Kind::Audio && track.channels > 0 {
            write!(out, "/{}", track.channels)?;
        }
        out.push_str("\r\n");
    }
    let fmtp = fmtp(track);
    if !fmtp.is_empty() {
        write!(out, "a=fmtp:{payload_type} {}\r\n", clean(&fmtp))?;
    }
    write!(out, "a=control:trackID={index}\r\n")
}

/// A static payload type has no encoding name of its own: players are told one all the same. So are they of a track that
/// never had a description.
fn encoding_name(track: &Track) -> String {
    // Players know H264 in upper case and H265 not as HEVC.
    if !track.encoding.is_empty() && !matches!(track.codec, Codec::H264 | Codec::H265) {
        return clean(&track.encoding);
    }
    match track.codec {
        Codec::Other => String::new(),
        Codec::Mp3 => "MPA".to_owned(),
        Codec::Aac => "MPEG4-GENERIC".to_owned(),
        Codec::Opus => "opus".to_owned(),
        codec => codec.name().to_owned(),
    }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
