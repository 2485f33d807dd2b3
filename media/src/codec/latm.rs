//! `StreamMuxConfig` of LATM (ISO 14496-3, section 1.7.3): how AAC frames lie in what RFC 6416 sends. One program with one
//! layer, which is all that is sent over RTP.

use bytes::Bytes;

use super::bits::Bits;
use super::{Error, aac, fmtp_value};

/// How frames are multiplexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMux {
    /// The decoder's configuration.
    pub config: aac::Config,
    /// Frames in an `AudioMuxElement`, 1 to 64.
    pub frames: u8,
    /// Bits behind the frames that belong to something else.
    pub(crate) other_bits: u32,
}

impl StreamMux {
    /// Reads `config` of `a=fmtp`; `None` if it comes in the stream (`cpresent=1`). Who leaves `cpresent` out and gives a
    /// configuration means `cpresent=0`: a stream with its own needs none here.
    pub fn from_fmtp(fmtp: &str) -> Option<Result<Self, Error>> {
        if fmtp_value(fmtp, "cpresent") == Some("1") {
            return None;
        }
        let text = fmtp_value(fmtp, "config").filter(|text| !text.is_empty())?;
        let bytes = aac::hex(text).ok_or(Error::Text { parameter: "config", encoding: "hexadecimal" });
        Some(bytes.and_then(|bytes| Self::read(&mut Bits::new(&bytes, "StreamMuxConfig"))))
    }

    /// Reads one; `bits` stands behind it then.
    ///
    /// # Errors
    /// If it ends too early, or has what the hub does not support: several programs, layers or time bases, object types other
    /// than AAC Main, LC, SSR and LTP (with or without SBR and PS).
    pub(crate) fn read(bits: &mut Bits<'_>) -> Result<Self, Error> {
        let version = bits.flag()?;
        if version && bits.flag()? {
            return Err(bits.invalid("audioMuxVersionA"));
        }
        if version {
            value(bits)?; // taraBufferFullness
        }
        if !bits.flag()? {
            return Err(bits.invalid("allStreamsSameTimeFraming"));
        }
        let frames = bits.read(6)? as u8 + 1;
        if bits.read(4)? != 0 || bits.read(3)? != 0 {
            return Err(bits.invalid("numProgram or numLayer"));
        }
        let config = if version {
            let len = value(bits)?;
            if len as usize > bits.left() {
                return Err(bits.invalid("ascLen"));
            }
            config(bits, len as usize)?
        } else {
            let mut end = bits.clone();
            aac::skip_config(&mut end)?;
            let len = end.position() - bits.position();
            config(bits, len)?
        };
        if bits.read(3)? != 0 {
            return Err(bits.invalid("frameLengthType"));
        }
        bits.skip(8)?; // latmBufferFullness
        let mut other_bits = 0u32;
        if bits.flag()? {
            if version {
                other_bits = value(bits)?;
            } else {
                loop {
                    let more = bits.flag()?;
                    other_bits = other_bits.checked_mul(256).ok_or(bits.invalid("otherDataLenBits"))? + bits.read(8)?;
                    if !more {
                        break;
                    }
                }
            }
        }
        if bits.flag()? {
            bits.skip(8)?; // crcCheckSum
        }
        Ok(Self { config, frames, other_bits })
    }
}

/// `LatmGetValue`
fn value(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let bytes = bits.read(2)? + 1;
    bits.read(8 * bytes)
}

/// The next `len` bits as an `AudioSpecificConfig` of whole bytes.
fn config(bits: &mut Bits<'_>, len: usize) -> Result<aac::Config, Error> {
    aac::Config::parse(copy(bits, len)?)
}

/// The next `len` bits, wherever they begin.
pub(crate) fn copy(bits: &mut Bits<'_>, len: usize) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(len.div_ceil(8).min(bits.left() / 8 + 1));
    for at in (0..len).step_by(8) {
        let count = (len - at).min(8) as u32;
        out.push((bits.read(count)? << (8 - count)) as u8);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From ffmpeg: AAC-LC, 44100 Hz, mono, one frame an element.
    const FFMPEG: &str = "profile-level-id=1;cpresent=0;config=400024103FC0";

    #[test]
    fn a_configuration_of_the_description() {
        let mux = StreamMux::from_fmtp(FFMPEG).expect("there").expect("valid");
        let config = &mux.config;
        assert_eq!((config.object_type, config.sample_rate, config.channels, mux.frames), (2, 44_100, 1, 1));
        assert_eq!(config.raw[..], [0x12, 0x08]);
        assert_eq!(StreamMux::from_fmtp("cpresent=1;config=400024103FC0"), None);
        assert_eq!(StreamMux::from_fmtp("cpresent=0"), None);
    }

    #[test]
    fn what_is_cut_or_not_supported_is_told() {
        let whole = [0x40, 0x00, 0x24, 0x10, 0x3f, 0xc0];
        for end in 0..whole.len() {
            let cut = StreamMux::read(&mut Bits::new(&whole[..end], "StreamMuxConfig"));
            assert!(matches!(cut, Err(Error::Truncated { .. })), "{end} bytes: {cut:?}");
        }
        for (at, mask) in [(0, 0x40), (1, 0x80), (1, 0x01)] {
            let mut other = whole;
            other[at] ^= mask;
            assert!(StreamMux::read(&mut Bits::new(&other, "StreamMuxConfig")).is_err(), "bit {mask:#x} of byte {at}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 33) as u8
                })
                .collect();
            let _ = StreamMux::read(&mut Bits::new(&bytes, "StreamMuxConfig"));
        }
    }
}
