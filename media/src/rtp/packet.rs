//! The RTP packet (RFC 3550, section 5.1). Only the header is read; the payload stays a slice of what came in.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Length of the fixed RTP header.
pub const HEADER_LEN: usize = 12;

/// One RTP packet: its header fields and its payload without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Last packet of a frame, for video formats (RFC 3550, section 5.1; each payload format says more).
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Counts packets, modulo 2^16.
    pub sequence: u16,
    /// Ticks of the track's clock, modulo 2^32, from a random start.
    pub timestamp: u32,
    /// The stream's synchronization source.
    pub ssrc: u32,
    /// Without header, extension, contributing sources and padding.
    pub payload: Bytes,
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Fewer bytes than the header, its extension or its padding say.
    #[error("RTP packet of {len} bytes ends within its {part} (needs {needs})")]
    Truncated {
        /// Bytes there are.
        len: usize,
        /// Bytes there must be.
        needs: usize,
        /// Which part it is.
        part: &'static str,
    },
    /// Another version than 2.
    #[error("RTP version {0} at byte 0, expected 2")]
    Version(u8),
    /// A padding length of 0.
    #[error("RTP padding bit is set, but the last byte says 0 bytes of padding")]
    Padding,
}

impl Packet {
    /// Reads one packet out of exactly its bytes.
    pub fn parse(mut bytes: Bytes) -> Result<Self, PacketError> {
        let len = bytes.len();
        let short = |needs, part| PacketError::Truncated { len, needs, part };
        let [b0, b1, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] =
            *bytes.first_chunk::<HEADER_LEN>().ok_or(short(HEADER_LEN, "header"))?;
        if b0 >> 6 != 2 {
            return Err(PacketError::Version(b0 >> 6));
        }
        let mut start = HEADER_LEN + 4 * usize::from(b0 & 0x0f);
        if b0 & 0x10 != 0 {
            let extension = bytes.get(start..start + 4).ok_or(short(start + 4, "header extension"))?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        if start > len {
            return Err(short(start, "header extension"));
        }
        let mut end = len;
        if b0 & 0x20 != 0 {
            let padding = usize::from(bytes[len - 1]);
            if padding == 0 {
                return Err(PacketError::Padding);
            }
            end = len.checked_sub(padding).filter(|end| *end >= start).ok_or(short(start + padding, "padding"))?;
        }
        // Narrowed, not sliced: a slice of its own would be one more owner of the buffer to count, and one less at once.
        bytes.truncate(end);
        bytes.advance(start);
        Ok(Self {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            payload: bytes,
        })
    }

    /// Writes the packet with a plain 12-byte header.
    pub fn write_to(&self, out: &mut BytesMut) {
        out.put_u8(0x80);
        out.put_u8(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(self.ssrc);
        out.put_slice(&self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Packet, PacketError> {
        Packet::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn what_is_written_reads_back() {
        let packet = Packet {
            marker: true,
            payload_type: 96,
            sequence: 65535,
            timestamp: 0xfffffff0,
            ssrc: 7,
            payload: Bytes::from_static(b"payload"),
        };
        let mut out = BytesMut::new();
        packet.write_to(&mut out);
        assert_eq!(Packet::parse(out.freeze()), Ok(packet));
    }

    #[test]
    fn extension_contributors_and_padding_are_left_out() {
        // V=2 P X CC=1, one CSRC, an extension of one word, payload "ab", two bytes of padding
        let bytes = [
            &[0xb1, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..],
            &[9, 9, 9, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4],
            b"ab",
            &[0, 2],
        ]
        .concat();
        let packet = parse(&bytes).expect("valid");
        assert_eq!((&packet.payload[..], packet.sequence, packet.marker), (&b"ab"[..], 1, false));
        // Cut anywhere before the payload it is an error, never a panic.
        for cut in 0..bytes.len() {
            let _ = parse(&bytes[..cut]);
        }
        for cut in 0..24 {
            assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn lies_are_told() {
        assert_eq!(parse(&[0x40; 12]), Err(PacketError::Version(1)));
        assert_eq!(parse(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(PacketError::Padding));
        assert!(matches!(parse(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200]), Err(PacketError::Truncated { .. })));
    }
}
