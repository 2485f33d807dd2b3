//! The sequence header of AV1 ("AV1 Bitstream & Decoding Process Specification", section 5.5), which says what a decoder must know.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::{Error, plausible_size};

const WHAT: &str = "sequence header";

/// `obu_type` of a sequence header (section 6.2.2).
pub const SEQUENCE_HEADER: u8 = 1;
/// Begins a temporal unit; neither RTP nor MP4 has it.
pub const TEMPORAL_DELIMITER: u8 = 2;
/// The head of a frame without its tiles.
pub const FRAME_HEADER: u8 = 3;
/// A frame with its tiles.
pub const FRAME: u8 = 6;
/// For decoders of large scale tiles, which nobody has.
pub const TILE_LIST: u8 = 8;
/// Nothing.
pub const PADDING: u8 = 15;

/// `obu_has_size_field`
pub const HAS_SIZE: u8 = 2;
/// `obu_extension_flag`
const HAS_EXTENSION: u8 = 4;

/// BT.709, sRGB and the identity matrix together mean RGB (section 5.5.2).
const RGB: [u32; 3] = [1, 13, 0];

/// `obu_type` of an OBU's first byte.
pub const fn obu_type(header: u8) -> u8 {
    header >> 3 & 15
}

/// Bytes of an OBU's header before its size.
pub const fn header_len(header: u8) -> usize {
    if header & HAS_EXTENSION == 0 { 1 } else { 2 }
}

/// A value in `leb128()` (section 4.10.5) and its length in bytes. `None`: it ends early, or is above 32 bits.
pub fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|value| (value as usize, n + 1));
        }
    }
    None
}

/// Writes `leb128()`.
pub fn put_leb128(mut value: usize, out: &mut BytesMut) {
    while value > 0x7f {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// A sequence header, and what containers and players are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The whole OBU, with a size field.
    pub obu: Bytes,
    /// `seq_profile`: 0 to 2.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point, which has all layers.
    pub level: u8,
    /// `seq_tier` of the same.
    pub high_tier: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// 8, 10 or 12 bits a sample.
    pub bit_depth: u8,
    /// Grey.
    pub monochrome: bool,
    /// Half as much colour in width and height.
    pub subsampling: (bool, bool),
    /// `chroma_sample_position`: 0 to 3.
    pub sample_position: u8,
    /// `(time_scale, ticks a picture)`, neither of them 0, if all pictures last as long.
    pub timing: Option<(u32, u64)>,
}

impl Config {
    /// Reads what stands in the OBU behind its header and size.
    ///
    /// # Errors
    /// If it ends early or has a value that there is not.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut bits = Bits::new(payload, WHAT);
        let profile = bits.read(3)? as u8;
        if profile > 2 {
            return Err(bits.invalid("seq_profile"));
        }
        bits.skip(1)?;
        let reduced = bits.flag()?;
        let points = if reduced { Points::reduced(&mut bits)? } else { Points::read(&mut bits)? };
        let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
        let (width, height) = (bits.read(width_bits)? + 1, bits.read(height_bits)? + 1);
        if !plausible_size(width, height) {
            return Err(bits.invalid("max_frame_width_minus_1 or max_frame_height_minus_1"));
        }
        if !reduced && bits.flag()? {
            bits.skip(4 + 3)?; // lengths of frame ids
        }
        bits.skip(3)?; // superblocks, filters within a picture
        if !reduced {
            skip_tools(&mut bits)?;
        }
        bits.skip(3)?; // super resolution, CDEF, restoration
        let color = Color::read(&mut bits, profile)?;
        let mut obu = BytesMut::with_capacity(payload.len() + 4);
        obu.put_u8(SEQUENCE_HEADER << 3 | HAS_SIZE);
        put_leb128(payload.len(), &mut obu);
        obu.put_slice(payload);
        Ok(Self {
            obu: obu.freeze(),
            profile,
            level: points.level,
            high_tier: points.high_tier,
            width,
            height,
            bit_depth: color.bit_depth,
            monochrome: color.monochrome,
            subsampling: color.subsampling,
            sample_position: color.sample_position,
            timing: points.timing,
        })
    }

    /// Pictures a second, if they are as long each.
    pub fn frame_rate(&self) -> Option<f64> {
        self.timing.map(|(scale, ticks)| f64::from(scale) / ticks as f64)
    }

    /// As in "AV1 Codec ISO Media File Format Binding", section 5: `av01.0.04M.08`.
    pub fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth)
    }
}

/// What stands of time and operating points.
#[derive(Debug)]
struct Points {
    level: u8,
    high_tier: bool,
    timing: Option<(u32, u64)>,
}

impl Points {
    /// Of a still picture.
    fn reduced(bits: &mut Bits<'_>) -> Result<Self, Error> {
        Ok(Self { level: bits.read(5)? as u8, high_tier: false, timing: None })
    }

    fn read(bits: &mut Bits<'_>) -> Result<Self, Error> {
        let (mut timing, mut delay_bits) = (None, None);
        if bits.flag()? {
            let (units, scale) = (bits.read(32)?, bits.read(32)?);
            if bits.flag()? {
                let ticks = u64::from(uvlc(bits)?) + 1;
                let ticks = u64::from(units).saturating_mul(ticks);
                timing = (scale > 0 && ticks > 0).then_some((scale, ticks));
            }
            if bits.flag()? {
                delay_bits = Some(bits.read(5)? as usize + 1);
                bits.skip(32 + 5 + 5)?;
            }
        }
        let has_display_delay = bits.flag()?;
        let (mut level, mut high_tier) = (0, false);
        for n in 0..=bits.read(5)? {
            bits.skip(12)?;
            let point = bits.read(5)? as u8;
            let tier = point > 7 && bits.flag()?;
            if n == 0 {
                (level, high_tier) = (point, tier);
            }
            if let Some(delay_bits) = delay_bits
                && bits.flag()?
            {
                bits.skip(2 * delay_bits + 1)?;
            }
            if has_display_delay && bits.flag()? {
                bits.skip(4)?;
            }
        }
        Ok(Self { level, high_tier, timing })
    }
}

/// Tools between pictures, which a still picture has none of.
fn skip_tools(bits: &mut Bits<'_>) -> Result<(), Error> {
    bits.skip(4)?;
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?;
    }
    let screen_content = bits.flag()? || bits.flag()?;
    if screen_content && !bits.flag()? {
        bits.skip(1)?;
    }
    if order_hint {
        bits.skip(3)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Color {
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    sample_position: u8,
}

impl Color {
    fn read(bits: &mut Bits<'_>, profile: u8) -> Result<Self, Error> {
        let high = bits.flag()?;
        let twelve = profile == 2 && high && bits.flag()?;
        let bit_depth = if twelve { 12 } else { 8 + 2 * u8::from(high) };
        let monochrome = profile != 1 && bits.flag()?;
        let described = if bits.flag()? { Some([bits.read(8)?, bits.read(8)?, bits.read(8)?]) } else { None };
        let mut color = Self { bit_depth, monochrome, subsampling: (true, true), sample_position: 0 };
        if monochrome {
            return Ok(color);
        }
        if described == Some(RGB) {
            color.subsampling = (false, false);
            return Ok(color);
        }
        bits.skip(1)?; // color_range
        color.subsampling = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if bit_depth == 12 => {
                let x = bits.flag()?;
                (x, x && bits.flag()?)
            }
            _ => (true, false),
        };
        if color.subsampling == (true, true) {
            color.sample_position = bits.read(2)? as u8;
        }
        Ok(color)
    }
}

/// Section 4.10.3.
fn uvlc(bits: &mut Bits<'_>) -> Result<u32, Error> {
    let mut zeros = 0;
    while !bits.flag()? {
        zeros += 1;
    }
    if zeros >= 32 {
        return Ok(u32::MAX);
    }
    Ok(bits.read(zeros)? + ((1u32 << zeros) - 1))
}

#[cfg(test)]
mod tests;
