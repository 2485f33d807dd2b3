//! The synthetic stream: H.264 whose headers are right and whose picture data is noise. Servers do not decode, so it is as
//! good as a camera's, and the same on every machine.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ipchub_media::Units;

use crate::stamp::Stamp;

/// 1280x720, High profile, frames never reordered.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xb2, 0x00, 0xa0, 0x0b, 0x76, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00,
    0x06, 0x51, 0xe3, 0x06, 0x49,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xc3, 0xcb, 0x22, 0xc0];
/// NAL unit header and the begin of the slice header: first macroblock 0, IDR or P.
const IDR: [u8; 3] = [0x65, 0x88, 0x84];
const INTER: [u8; 3] = [0x41, 0x9a, 0x21];
/// A camera's key frame is several times as large as the frames between.
const KEY_WEIGHT: f64 = 5.0;
/// Ticks a second of RTP time.
const CLOCK: f64 = 90_000.0;

/// What every publisher and the limit send.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    key: Bytes,
    inter: Bytes,
    gop: u32,
    fps: f64,
}

impl Clip {
    /// `bitrate` in bits a second, `gop` in frames; both are made at least what one frame needs.
    pub(crate) fn new(bitrate: f64, fps: f64, gop: u32) -> Self {
        let gop = gop.max(1);
        let inter = bitrate / 8.0 / fps * f64::from(gop) / (f64::from(gop - 1) + KEY_WEIGHT);
        let slice = |head: [u8; 3], bytes: f64| -> Bytes {
            let mut state = 0x2545_f491_4f6c_dd1d_u64;
            let noise = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                1 + (state % 255) as u8 // never 0: no start code
            });
            head.into_iter().chain(noise.take((bytes as usize).max(16))).collect()
        };
        Self { key: slice(IDR, inter * KEY_WEIGHT), inter: slice(INTER, inter), gop, fps }
    }

    /// Access unit number `n`.
    pub(crate) fn units(&self, n: u32, stamp: Stamp) -> Units {
        let mut units = Units::new();
        if self.is_key(n) {
            units.push(Bytes::from_static(SPS));
            units.push(Bytes::from_static(PPS));
        }
        units.push(stamp.sei().into());
        units.push(if self.is_key(n) { self.key.clone() } else { self.inter.clone() });
        units
    }

    pub(crate) fn is_key(&self, n: u32) -> bool {
        n.is_multiple_of(self.gop)
    }

    /// Seconds from the first frame to frame `n`.
    pub(crate) fn seconds(&self, n: u32) -> f64 {
        f64::from(n) / self.fps
    }

    /// Seconds from key frame to key frame.
    pub(crate) fn gop_seconds(&self) -> f64 {
        f64::from(self.gop) / self.fps
    }

    /// RTP time of frame `n`.
    pub(crate) fn ticks(&self, n: u32) -> u32 {
        (self.seconds(n) * CLOCK).round() as u64 as u32
    }

    /// What a publisher announces.
    pub(crate) fn sdp() -> String {
        let mut sdp = String::from("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=hub-load\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n");
        let (sps, pps) = (STANDARD.encode(SPS), STANDARD.encode(PPS));
        // Writing to a string does not fail.
        let _ = write!(
            sdp,
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sps},{pps}\r\na=control:streamid=0\r\n"
        );
        sdp
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipchub_media::sdp::Description;

    #[test]
    fn a_clip_has_the_bit_rate_asked_for() {
        let clip = Clip::new(2e6, 25.0, 50);
        let bytes: usize = (0..50).map(|n| clip.units(n, Stamp { micros: 0, frame: n, stream: 0 }).len()).sum();
        let bitrate = bytes as f64 * 8.0 / clip.gop_seconds();
        // The stamps and parameter sets are on top.
        assert!((2e6..2.02e6).contains(&bitrate), "{bitrate}");
        assert!(clip.is_key(0) && !clip.is_key(1) && clip.is_key(50));
        assert_eq!(clip.ticks(25), 90_000);
    }

    #[test]
    fn its_description_has_parameter_sets() {
        let tracks = Description::parse(Clip::sdp().as_bytes()).expect("an SDP").tracks;
        assert!(tracks[0].parameters.is_some());
    }
}
