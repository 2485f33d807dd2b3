//! MPEG transport stream (ISO 13818-1 = ITU-T H.222.0) of one program: H.264 or H.265 as Annex B, AAC as ADTS, MPEG audio.

mod mux;
mod packets;
mod psi;

pub use mux::Muxer;

use crate::frame::{Codec, Parameters, Track};

/// Bytes of every packet.
pub const PACKET: usize = 188;

/// Why a track is not in the output.
pub fn refusal(track: &Track) -> Option<String> {
    let name = track.codec_name();
    match (track.codec, &track.parameters) {
        (Codec::H264 | Codec::H265, _) => None,
        (Codec::Aac, Some(Parameters::Aac(config))) if config.adts().is_none() => {
            Some(format!("TS carries AAC as ADTS, which has no words for {}", config.codec_string()))
        }
        (Codec::Aac, _) => None,
        (Codec::Mp3, _) if track.clock_rate == 90_000 => None,
        _ => Some(format!("players of TS know no {name}")),
    }
}

#[cfg(test)]
mod tests;
