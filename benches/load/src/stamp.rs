//! The stamp that every access unit carries: when it was sent, its number and its stream, in an SEI message
//! `user_data_unregistered` (H.264, D.1.6).

use std::time::{SystemTime, UNIX_EPOCH};

/// Marks our messages; no byte is zero, so that none needs emulation prevention.
const UUID: &[u8; 16] = b"hub-load-stamp-1";
const MICROS: usize = 10;
const FRAME: usize = 5;
const STREAM: usize = 3;
const LEN: usize = UUID.len() + MICROS + FRAME + STREAM;
const USER_DATA_UNREGISTERED: u8 = 5;

/// Microseconds of the wall clock. Publisher and players are one process, so it is one clock.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// What one access unit says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Wall clock just before it was written, see [`now_us`].
    pub(crate) micros: u64,
    /// Counts from 0; gaps are lost frames.
    pub(crate) frame: u32,
    /// Which of the published streams.
    pub(crate) stream: u16,
}

impl Stamp {
    /// A whole SEI NAL unit. Numbers are seven bits a byte with the high bit set: nothing in it looks like a start code.
    pub(crate) fn sei(self) -> Vec<u8> {
        let mut nal = Vec::with_capacity(4 + LEN);
        nal.extend([6, USER_DATA_UNREGISTERED, LEN as u8]);
        nal.extend(UUID);
        for (value, bytes) in [(self.micros, MICROS), (self.frame.into(), FRAME), (self.stream.into(), STREAM)] {
            nal.extend((0..bytes).map(|i| 0x80 | (value >> (7 * i)) as u8));
        }
        nal.push(0x80); // rbsp_trailing_bits
        nal
    }

    /// Finds the stamp in an SEI NAL unit, also behind other messages; `None`: it has none.
    pub(crate) fn find(nal: &[u8]) -> Option<Self> {
        let at = nal.windows(UUID.len()).position(|window| window == UUID)? + UUID.len();
        let numbers = nal.get(at..at + LEN - UUID.len())?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        let (micros, rest) = numbers.split_at(MICROS);
        let (frame, stream) = rest.split_at(FRAME);
        Some(Self { micros: number(micros), frame: number(frame) as u32, stream: number(stream) as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_and_needs_no_escaping() {
        let most = Stamp { micros: u64::MAX >> 1, frame: u32::MAX, stream: u16::MAX };
        for stamp in [Stamp { micros: 1_795_454_281_000_256, frame: 70_000, stream: 300 }, most] {
            let sei = stamp.sei();
            assert!(!sei.contains(&0), "a zero byte could form a start code");
            assert_eq!(Stamp::find(&sei), Some(stamp));
            let behind_another = [&[6, 5, 2, 1, 1][..], &sei[1..]].concat();
            assert_eq!(Stamp::find(&behind_another), Some(stamp));
            for cut in 0..sei.len() - 1 {
                assert_eq!(Stamp::find(&sei[..cut]), None, "cut at {cut}");
            }
        }
    }
}
