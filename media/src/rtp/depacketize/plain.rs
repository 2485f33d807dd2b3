//! Audio formats in which a packet is a frame: G.711 and G.722 (RFC 3551), Opus (RFC 7587), MPEG audio (RFC 2250).

use super::{AccessUnit, Error};
use crate::rtp::Packet;
use crate::{Codec, Track, Units};

/// Length of the MPEG audio header (RFC 2250, section 3.5).
const MPEG_HEADER: usize = 4;

#[derive(Debug)]
pub(super) struct Depacketizer {
    header: usize,
    pub(super) dropped: u64,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Option<Self> {
        let header = match track.codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus => 0,
            // RFC 5219 puts other descriptors before its frames and interleaves them.
            Codec::Mp3 if !track.encoding.eq_ignore_ascii_case("mpa-robust") => MPEG_HEADER,
            _ => return None,
        };
        Some(Self { header, dropped: 0 })
    }

    pub(super) fn push(&mut self, packet: &Packet, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        if packet.payload.is_empty() {
            return Ok(()); // kept alive by padding
        }
        if packet.payload.len() <= self.header {
            return Err(Error::Truncated { what: "MPEG audio header", at: 0 });
        }
        if self.header > 0 && packet.payload[2..4] != [0, 0] {
            self.dropped += 1;
            return Err(Error::NotSupported { what: "fragment of an MPEG audio frame", kind: 0, at: 2 });
        }
        let units = Units::single(packet.payload.slice(self.header..));
        out.push(AccessUnit { timestamp: packet.timestamp, key: true, units, parameters: None });
        Ok(())
    }
}
