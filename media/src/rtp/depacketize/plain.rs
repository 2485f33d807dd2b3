//! Audio formats in which a packet is a frame: G.711 and G.722 (RFC 3551), Opus (RFC 7587), MPEG audio (RFC 2250), whose
//! frames may also come in several packets.

use bytes::{Bytes, BytesMut};

use super::{AccessUnit, Error};
use crate::codec::mp3;
use crate::rtp::Packet;
use crate::{Codec, Track, Units};

/// Length of the MPEG audio header (RFC 2250, section 3.5).
const MPEG_HEADER: usize = 4;

#[derive(Debug)]
pub(super) struct Depacketizer {
    mpeg: bool,
    /// A frame of MPEG audio that comes in several packets: its time, its length, what has come of it.
    open: Option<(u32, usize, BytesMut)>,
    pub(super) dropped: u64,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Option<Self> {
        let mpeg = match track.codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus => false,
            // RFC 5219 puts other descriptors before its frames and interleaves them.
            Codec::Mp3 if !track.encoding.eq_ignore_ascii_case("mpa-robust") => true,
            _ => return None,
        };
        Some(Self { mpeg, open: None, dropped: 0 })
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        if packet.payload.is_empty() {
            return Ok(()); // kept alive by padding
        }
        let frame = if self.mpeg { self.mpeg(packet, lost)? } else { Some(packet.payload.clone()) };
        if let Some(frame) = frame {
            let units = Units::single(frame);
            out.push(AccessUnit { timestamp: packet.timestamp, key: true, units, parameters: None });
        }
        Ok(())
    }

    fn mpeg(&mut self, packet: &Packet, lost: bool) -> Result<Option<Bytes>, Error> {
        let payload = &packet.payload;
        if payload.len() <= MPEG_HEADER {
            return Err(Error::Truncated { what: "MPEG audio header", at: 0 });
        }
        let offset = usize::from(u16::from_be_bytes([payload[2], payload[3]]));
        let body = payload.slice(MPEG_HEADER..);
        let open = self.open.take();
        if offset == 0 {
            self.dropped += u64::from(open.is_some());
            // Several frames in one packet are whole.
            if let Some(len) = mp3::frame_len(&body).filter(|len| *len > body.len()) {
                self.open = Some((packet.timestamp, len, BytesMut::from(body)));
                return Ok(None);
            }
            return Ok(Some(body));
        }
        match open {
            Some((timestamp, len, mut bytes))
                if !lost && timestamp == packet.timestamp && bytes.len() == offset && offset + body.len() <= len =>
            {
                bytes.extend_from_slice(&body);
                if bytes.len() == len {
                    return Ok(Some(bytes.freeze()));
                }
                self.open = Some((timestamp, len, bytes));
                Ok(None)
            }
            open => {
                self.dropped += u64::from(open.is_some());
                // Behind lost packets it is no wonder.
                if lost { Ok(None) } else { Err(Error::NoStart { kind: 0, at: 2 }) }
            }
        }
    }
}
