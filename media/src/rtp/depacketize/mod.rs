//! From RTP payloads to access units: H.264 (RFC 6184), H.265 (RFC 7798), AV1, AAC (RFC 3640,
//! RFC 6416) and plain audio.
//!
//! Packets come in order, with a note where some are missing. What leaves is whole: a picture with a hole is dropped, and so
//! are the pictures after it up to the next key frame. An error says what is wrong at which byte of the payload, and the
//! next packet is read as if nothing had been.

mod aac;
mod assembler;
mod av1;
mod format;
mod h264;
mod h265;
mod latm;
mod plain;

use bytes::Bytes;

pub(super) use h264::FU_A as H264_FU_A;
pub(super) use h265::FU as H265_FU;

use super::Packet;
use crate::{Codec, Parameters, Track, Units, codec};

/// Bytes of an access unit unless [`Depacketizer::with_max_access_unit`] says otherwise. A key frame of an 8K camera has
/// 2 to 6 MiB; H.264 level 5.2 allows about 14 MiB.
pub const MAX_ACCESS_UNIT: usize = 16 << 20;

/// NAL units of an access unit. A picture of 4K has at most 600 slices (level 5.2); SEI and padding do not fill the rest.
pub const MAX_UNITS: usize = 4096;

/// Packets an access unit is made of: [`MAX_ACCESS_UNIT`] in the smallest fragments that make sense (256 bytes).
pub const MAX_PIECES: usize = 65_536;

/// One access unit of video or one audio frame, with its RTP time.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// RTP time, in ticks of the track's clock, modulo 2^32.
    pub timestamp: u32,
    /// A decoder can start here. Always true for audio.
    pub key: bool,
    /// NAL units without parameter sets, delimiters and filler; one temporal unit of AV1; one raw frame for audio.
    pub units: Units,
    /// The parameters, if they became known or changed; they hold from this access unit on.
    pub parameters: Option<Parameters>,
}

/// What is wrong with a packet. Positions are bytes from the start of its payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The payload ends where more must follow.
    #[error("{what} at byte {at} of the payload goes beyond its end")]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A packet type the standard knows and the hub does not read, or a reserved one.
    #[error("{what} (type {kind}) at byte {at} of the payload is not supported")]
    NotSupported {
        /// What it is.
        what: &'static str,
        /// Its type.
        kind: u8,
        /// Where it stands.
        at: usize,
    },
    /// A value that may not stand there.
    #[error("invalid {what} at byte {at} of the payload")]
    Invalid {
        /// What it is.
        what: &'static str,
        /// Where it stands.
        at: usize,
    },
    /// A fragment whose beginning never came, although no packet is missing. Said once per access unit.
    #[error("fragment of type {kind} at byte {at} of the payload without a first fragment")]
    NoStart {
        /// NAL unit type; 0 for audio.
        kind: u8,
        /// Where it stands.
        at: usize,
    },
    /// Something new begins before the last fragment came, although no packet is missing.
    #[error("NAL unit of type {kind} has no last fragment before byte {at} of the payload")]
    NoEnd {
        /// Type of the unfinished NAL unit; 0 for audio.
        kind: u8,
        /// Where something new begins.
        at: usize,
    },
    /// The access unit is dropped. Said once per access unit.
    #[error("access unit has more than {limit} {of}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// What is counted.
        of: &'static str,
    },
    /// A parameter set within the stream; the ones before it stay in force.
    #[error("at byte {at} of the payload: {source}")]
    Parameters {
        /// Where the NAL unit begins.
        at: usize,
        /// What is wrong with it.
        source: codec::Error,
    },
}

/// Makes access units of the packets of one track.
#[derive(Debug)]
pub struct Depacketizer {
    format: Format,
}

#[derive(Debug)]
enum Format {
    H264(Box<h264::Depacketizer>),
    H265(Box<h265::Depacketizer>),
    Av1(Box<av1::Depacketizer>),
    Aac(Box<aac::Depacketizer>),
    Latm(Box<latm::Depacketizer>),
    Plain(plain::Depacketizer),
}

impl Depacketizer {
    /// `None`: the codec is only relayed as RTP. The track's parameters, or else those of its fmtp, are where the stream
    /// starts from; broken ones in the fmtp are left out, since most streams repeat them.
    pub fn new(track: &Track) -> Option<Self> {
        let format = match track.codec {
            Codec::H264 => Format::H264(Box::new(h264::Depacketizer::new(track))),
            Codec::H265 => Format::H265(Box::new(h265::Depacketizer::new(track))),
            Codec::Av1 => Format::Av1(Box::new(av1::Depacketizer::new(track))),
            Codec::Aac if track.is_latm() => Format::Latm(Box::new(latm::Depacketizer::new(track))),
            Codec::Aac => Format::Aac(Box::new(aac::Depacketizer::new(track))),
            _ => Format::Plain(plain::Depacketizer::new(track)?),
        };
        Some(Self { format })
    }

    /// Changes [`MAX_ACCESS_UNIT`] for video; audio frames have a limit of their own.
    #[must_use]
    pub fn with_max_access_unit(mut self, bytes: usize) -> Self {
        match &mut self.format {
            Format::H264(h264) => h264.assembler.max_access_unit = bytes,
            Format::H265(h265) => h265.assembler.max_access_unit = bytes,
            Format::Av1(av1) => av1.max_access_unit = bytes,
            Format::Aac(_) | Format::Latm(_) | Format::Plain(_) => {}
        }
        self
    }

    /// Reads a packet and pushes every access unit that is complete now. `lost`: packets are missing right before it.
    ///
    /// # Errors
    /// What is wrong with the packet, see [`Error`]. What could be read of it was; go on with the next one.
    pub fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        match &mut self.format {
            Format::H264(h264) => h264.push(packet, lost, out),
            Format::H265(h265) => h265.push(packet, lost, out),
            Format::Av1(av1) => av1.push(packet, lost, out),
            Format::Aac(aac) => aac.push(packet, lost, out),
            Format::Latm(latm) => latm.push(packet, lost, out),
            Format::Plain(plain) => plain.push(packet, lost, out),
        }
    }

    /// The parameters as far as they are known now; a change may still be waiting for its key frame.
    pub fn parameters(&self) -> Option<Parameters> {
        match &self.format {
            Format::H264(h264) => h264.assembler.parameters(),
            Format::H265(h265) => h265.assembler.parameters(),
            Format::Av1(av1) => av1.parameters(),
            Format::Aac(aac) => aac.parameters(),
            Format::Latm(latm) => latm.parameters(),
            Format::Plain(_) => None,
        }
    }

    /// Access units given up: damaged, too large, or in need of one that was.
    pub fn dropped(&self) -> u64 {
        match &self.format {
            Format::H264(h264) => h264.assembler.dropped,
            Format::H265(h265) => h265.assembler.dropped,
            Format::Av1(av1) => av1.dropped,
            Format::Aac(aac) => aac.dropped,
            Format::Latm(latm) => latm.dropped,
            Format::Plain(plain) => plain.dropped,
        }
    }
}

/// Two bytes of length and that many bytes of a NAL unit, as they stand in aggregation packets.
fn cut_sized(payload: &Bytes, at: &mut usize) -> Result<Bytes, Error> {
    let cut = Error::Truncated { what: "aggregated NAL unit", at: *at };
    let Some([hi, lo]) = payload.get(*at..*at + 2).and_then(|b| b.first_chunk()) else { return Err(cut) };
    let start = *at + 2;
    let end = start + usize::from(u16::from_be_bytes([*hi, *lo]));
    if end > payload.len() {
        return Err(cut);
    }
    *at = end;
    Ok(payload.slice(start..end))
}

#[cfg(test)]
mod tests;
