//! `AudioSpecificConfig` of AAC (ISO 14496-3, section 1.6.2.1) and the ADTS header (section 1.A.2.2).

use bytes::Bytes;

use super::bits::Bits;
use super::{Error, fmtp_value};

/// Sample rates by `samplingFrequencyIndex` (table 1.18).
const RATES: [u32; 13] = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// Bytes of a configuration. A program config element with a full comment has about 330.
const MAX_CONFIG: usize = 1024;

/// Object types of spectral band replication, parametric stereo and the escape to larger ones.
const SBR: u32 = 5;
const PS: u32 = 29;
const ESCAPE: u32 = 31;

/// A decoder's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The `AudioSpecificConfig` as it came.
    pub raw: Bytes,
    /// The audio object type that stands first: 2 AAC-LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u8,
    /// The object type that a decoder of all of it must know, however that is signalled: 5 where SBR is declared, 29 with PS,
    /// else as [`Self::object_type`].
    pub full_type: u8,
    /// Samples a second of the core coder; half of [`Self::output_sample_rate`] in HE-AAC.
    pub sample_rate: u32,
    /// Samples a second after decoding, as far as the configuration says.
    pub output_sample_rate: u32,
    /// Channels after decoding, 1 or more.
    pub channels: u8,
    /// Samples of the core coder a frame and channel: 1024 or 960; 512 or 480 for low delay types.
    pub frame_length: u16,
}

impl Config {
    /// Reads an `AudioSpecificConfig`.
    ///
    /// # Errors
    /// If it ends too early or has a sample rate or channel configuration that is not defined.
    pub fn parse(raw: Bytes) -> Result<Self, Error> {
        const WHAT: &str = "AudioSpecificConfig";
        if raw.len() > MAX_CONFIG {
            return Err(Error::TooLong { what: WHAT, len: raw.len() });
        }
        let mut bits = Bits::new(&raw, WHAT);
        let object_type = object_type(&mut bits)?;
        let sample_rate = sample_rate(&mut bits)?;
        let layout = bits.read(4)?;
        let mut channels = channels(layout).ok_or(bits.invalid("channelConfiguration"))?;
        let (mut core, mut output_sample_rate) = (object_type, sample_rate);
        if matches!(object_type, SBR | PS) {
            output_sample_rate = self::sample_rate(&mut bits)?;
            core = self::object_type(&mut bits)?;
        }
        let mut full_type = object_type;
        let short = bits.flag()?; // frameLengthFlag, first in GASpecificConfig and ELDSpecificConfig
        if layout == 0 {
            // Section 4.4.1: program_config_element
            skip_core_coder(&mut bits)?;
            channels = program_channels(&mut bits)?;
        } else if let Ok(Some((rate, ps))) = extension(bits.clone(), core) {
            output_sample_rate = rate;
            full_type = if ps { PS } else { full_type.max(SBR) };
        }
        if full_type == PS && channels == 1 {
            channels = 2;
        }
        let frame_length = match (core, short) {
            (23 | 39, false) => 512,
            (23 | 39, true) => 480,
            (_, false) => 1024,
            (_, true) => 960,
        };
        let (object_type, full_type) = (object_type as u8, full_type as u8);
        Ok(Self { object_type, full_type, sample_rate, output_sample_rate, channels, frame_length, raw })
    }

    /// Reads `config` (RFC 3640, section 4.1), hexadecimal; `None` if there is none or it is empty.
    pub fn from_fmtp(fmtp: &str) -> Option<Result<Self, Error>> {
        let text = fmtp_value(fmtp, "config").filter(|text| !text.is_empty())?;
        Some(hex(text).ok_or(Error::Text { parameter: "config", encoding: "hexadecimal" }).and_then(Self::parse))
    }

    /// The configuration that an ADTS header stands for.
    ///
    /// # Errors
    /// As for [`Config::parse`], for instance if the sample rate index is reserved.
    pub fn from_adts(header: &Adts) -> Result<Self, Error> {
        let (object, rate, channels) = (header.object_type, header.rate_index, header.channel_config);
        Self::parse(Bytes::copy_from_slice(&[object << 3 | rate >> 1, rate << 7 | channels << 3]))
    }

    /// The fixed part of an ADTS header for frames of this configuration. `None`: ADTS cannot say it. It knows the object types
    /// 1 to 4 with 1024 samples a frame, listed sample rates, and layouts without a program config element; SBR and PS are
    /// found in the frames by the decoder (ISO 14496-3, section 1.6.5.2, implicit signalling).
    pub fn adts(&self) -> Option<AdtsHeader> {
        let mut bits = Bits::new(&self.raw, "AudioSpecificConfig");
        let first = object_type(&mut bits).ok()?;
        let rate = sample_rate(&mut bits).ok()?;
        let layout = bits.read(4).ok()?;
        let mut core = first;
        if matches!(first, SBR | PS) {
            self::sample_rate(&mut bits).ok()?;
            core = object_type(&mut bits).ok()?;
        }
        let index = RATES.iter().position(|known| *known == rate)? as u8;
        ((1..=4).contains(&core) && (1..=7).contains(&layout) && self.frame_length == 1024).then_some(AdtsHeader {
            profile: core as u8 - 1,
            rate_index: index,
            channel_config: layout as u8,
        })
    }

    /// RTP ticks of so many frames. The clock is the sample rate, or the doubled one with HE-AAC.
    pub(crate) fn ticks(&self, frames: u32, clock_rate: u32) -> u32 {
        let samples = u64::from(frames) * u64::from(self.frame_length);
        (samples * u64::from(clock_rate) / u64::from(self.sample_rate.max(1))) as u32
    }

    /// As in RFC 6381: `mp4a.40.2`. HE-AAC is named as such also where its configuration begins with the core's: a player that
    /// sets its output up by the name would play at half the rate.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.full_type)
    }
}

/// Reads over an `AudioSpecificConfig` whose length nothing says, with the extension that older decoders pass over.
///
/// # Errors
/// If it ends too early, or has an object type or a program config element whose length is not known here.
pub(crate) fn skip_config(bits: &mut Bits<'_>) -> Result<(), Error> {
    let first = object_type(bits)?;
    sample_rate(bits)?;
    if bits.read(4)? == 0 {
        return Err(bits.invalid("channelConfiguration"));
    }
    let mut core = first;
    if matches!(first, SBR | PS) {
        sample_rate(bits)?;
        core = object_type(bits)?;
    }
    if !matches!(core, 1..=4) {
        return Err(bits.invalid("audioObjectType"));
    }
    bits.skip(1)?; // frameLengthFlag
    if skip_core_coder(bits)? {
        bits.skip(1)?; // extensionFlag3
    }
    // What follows in a StreamMuxConfig is a frameLengthType that is reserved if it looks like this.
    let mut next = bits.clone();
    if next.read(11) == Ok(0x2b7) && object_type(&mut next)? == SBR {
        if next.flag()? {
            sample_rate(&mut next)?;
            let mut more = next.clone();
            if more.read(11) == Ok(0x548) {
                more.skip(1)?;
                next = more;
            }
        }
        *bits = next;
    }
    Ok(())
}

/// What an ADTS header says (ISO 14496-3, section 1.A.2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adts {
    /// Audio object type, 1 to 4.
    pub object_type: u8,
    /// Index of the sample rate, 0 to 15.
    pub rate_index: u8,
    /// Channel configuration, 0 to 7.
    pub channel_config: u8,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_len: usize,
    /// Bytes of header and frame.
    pub frame_len: usize,
}

impl Adts {
    /// Reads the header at the start of `bytes`; `None` if there is none, or if it claims less than itself.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [0xff, b1, b2, b3, b4, b5, _, ..] = *bytes else { return None };
        if b1 & 0xf6 != 0xf0 {
            return None;
        }
        let header_len = if b1 & 1 != 0 { 7 } else { 9 };
        let frame_len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        (frame_len > header_len).then_some(Self {
            object_type: (b2 >> 6) + 1,
            rate_index: b2 >> 2 & 15,
            channel_config: (b2 & 1) << 2 | b3 >> 6,
            header_len,
            frame_len,
        })
    }
}

/// What ADTS headers of one stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdtsHeader {
    /// The core's audio object type less 1.
    profile: u8,
    rate_index: u8,
    channel_config: u8,
}

impl AdtsHeader {
    /// Bytes of a header without checksum.
    pub const LEN: usize = 7;
    /// Bytes of header and frame at most: the header has 13 bits for them.
    const MAX_FRAME: usize = 0x1fff;

    /// The header of a frame of `len` bytes; `None` if it is too long.
    pub fn of_frame(self, len: usize) -> Option<[u8; Self::LEN]> {
        let whole = len.checked_add(Self::LEN).filter(|whole| *whole <= Self::MAX_FRAME)?;
        let Self { profile, rate_index, channel_config } = self;
        Some([
            0xff,
            0xf1,
            profile << 6 | rate_index << 2 | channel_config >> 2,
            channel_config << 6 | (whole >> 11) as u8,
            (whole >> 3) as u8,
            (whole << 5) as u8 | 0x1f, // buffer fullness: variable rate
            0xfc,
        ])
    }
}

fn object_type(bits: &mut Bits<'_>) -> Result<u32, Error> {
    match bits.read(5)? {
        0 => Err(bits.invalid("audioObjectType")),
        ESCAPE => Ok(32 + bits.read(6)?),
        value => Ok(value),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let rate = match bits.read(4)? {
        15 => bits.read(24)?,
        index => RATES.get(index as usize).copied().unwrap_or(0),
    };
    if rate == 0 { Err(bits.invalid("samplingFrequencyIndex")) } else { Ok(rate) }
}

/// Table 1.19; 0 stands for "see the program config element".
fn channels(configuration: u32) -> Option<u8> {
    match configuration {
        0..=6 => Some(configuration as u8),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        _ => None,
    }
}

/// The rest of `GASpecificConfig` up to where a program config element or an extension may stand.
fn skip_core_coder(bits: &mut Bits<'_>) -> Result<bool, Error> {
    if bits.flag()? {
        bits.skip(14)?; // coreCoderDelay
    }
    bits.flag() // extensionFlag
}

/// SBR and PS declared behind a configuration that older decoders understand (section 1.6.5): the sample rate they bring,
/// and whether there is PS.
fn extension(mut bits: Bits<'_>, core: u32) -> Result<Option<(u32, bool)>, Error> {
    if !matches!(core, 1..=4) || skip_core_coder(&mut bits)? || bits.left() < 16 {
        return Ok(None);
    }
    if bits.read(11)? != 0x2b7 || object_type(&mut bits)? != SBR || !bits.flag()? {
        return Ok(None);
    }
    let rate = sample_rate(&mut bits)?;
    let ps = bits.left() >= 12 && bits.read(11)? == 0x548 && bits.flag()?;
    Ok(Some((rate, ps)))
}

/// Counts the channels of a `program_config_element` (section 4.4.1.1).
fn program_channels(bits: &mut Bits<'_>) -> Result<u8, Error> {
    bits.skip(4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let elements = bits.read(4)? + bits.read(4)? + bits.read(4)?;
    let low = bits.read(2)?;
    bits.skip(3 + 4)?; // associated data, coupling channels
    for len in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(len)?; // mixdowns
        }
    }
    let mut channels = low;
    for _ in 0..elements {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    if channels == 0 { Err(bits.invalid("program_config_element")) } else { Ok(channels as u8) }
}

/// Bytes of hexadecimal digits, at most what a configuration has.
pub(super) fn hex(text: &str) -> Option<Bytes> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * MAX_CONFIG {
        return None;
    }
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests;
