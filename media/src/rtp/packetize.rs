//! From frames to RTP packets: H.264 (RFC 6184, mode 1), H.265 (RFC 7798) and AAC (RFC 3640, AAC-hbr, a frame a packet).

use bytes::{BufMut, Bytes, BytesMut};

use super::Packet;
use super::depacketize::{H264_FU_A, H265_FU};
use crate::{Codec, Units};

/// Payload bytes that leave room for headers in an Ethernet frame, also within a tunnel.
pub const MAX_PAYLOAD: usize = 1400;

/// What a packet must hold at least: the headers of a fragment and something of it.
const MIN_PAYLOAD: usize = 16;

/// Largest frame that AAC-hbr can describe, in bytes: 13 bits.
const MAX_AAC_FRAME: usize = (1 << 13) - 1;

/// Makes the packets of one track. Sequence numbers start at 0.
#[derive(Debug, Clone)]
pub struct Packetizer {
    format: Format,
    payload_type: u8,
    ssrc: u32,
    max_payload: usize,
    sequence: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    H264,
    H265,
    Aac,
}

impl Packetizer {
    /// `None` for another codec than H.264, H.265 and AAC. `max_payload` is in bytes, at least 16, see [`MAX_PAYLOAD`].
    pub fn new(codec: Codec, payload_type: u8, ssrc: u32, max_payload: usize) -> Option<Self> {
        let format = match codec {
            Codec::H264 => Format::H264,
            Codec::H265 => Format::H265,
            Codec::Aac => Format::Aac,
            _ => return None,
        };
        Some(Self { format, payload_type, ssrc, max_payload: max_payload.max(MIN_PAYLOAD), sequence: 0 })
    }

    /// Appends the packets of one access unit; the last one has the marker. Empty units are left out, and AAC frames above
    /// 8191 bytes, which AAC-hbr has no number for.
    pub fn packetize(&mut self, units: &Units, timestamp: u32, out: &mut Vec<Packet>) {
        let first = out.len();
        for unit in units.iter().filter(|unit| !unit.is_empty()) {
            let unit = unit.to_bytes();
            match self.format {
                Format::H264 => self.nal(&unit, 1, timestamp, out),
                Format::H265 => self.nal(&unit, 2, timestamp, out),
                Format::Aac => self.aac(&unit, timestamp, out),
            }
        }
        if let Some(last) = out[first..].last_mut() {
            last.marker = true;
        }
    }

    fn nal(&mut self, nal: &Bytes, header: usize, timestamp: u32, out: &mut Vec<Packet>) {
        if nal.len() <= self.max_payload || nal.len() <= header {
            return self.packet(nal.clone(), timestamp, out);
        }
        let (head, body) = nal.split_at(header);
        let room = self.max_payload - header - 1;
        let count = body.len().div_ceil(room);
        for (i, part) in body.chunks(room).enumerate() {
            let ends = u8::from(i == 0) << 7 | u8::from(i + 1 == count) << 6;
            let mut payload = BytesMut::with_capacity(header + 1 + part.len());
            if let [h0, h1] = *head {
                payload.put_slice(&[h0 & 0x81 | H265_FU << 1, h1, ends | h0 >> 1 & 0x3f]);
            } else {
                payload.put_slice(&[head[0] & 0xe0 | H264_FU_A, ends | head[0] & 0x1f]);
            }
            payload.put_slice(part);
            self.packet(payload.freeze(), timestamp, out);
        }
    }

    /// Each frame, or each part of one, with its own AU header: 13 bits of size, 3 of index.
    fn aac(&mut self, frame: &Bytes, timestamp: u32, out: &mut Vec<Packet>) {
        if frame.len() > MAX_AAC_FRAME {
            return;
        }
        let size = (frame.len() as u16) << 3;
        for part in frame.chunks(self.max_payload - 4) {
            let mut payload = BytesMut::with_capacity(4 + part.len());
            payload.put_u16(16);
            payload.put_u16(size);
            payload.put_slice(part);
            self.packet(payload.freeze(), timestamp, out);
        }
    }

    fn packet(&mut self, payload: Bytes, timestamp: u32, out: &mut Vec<Packet>) {
        out.push(Packet {
            marker: false,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            payload,
        });
        self.sequence = self.sequence.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;
