//! H.264 parameter sets (ITU-T H.264, section 7.3.2) and what is made of them for containers and players.

mod sps;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Error, checked, cut_sized, fmtp_value, insert_pps, sprop};

/// Slice of a picture that needs others.
pub const SLICE: u8 = 1;
/// First of the three data partitions of a slice.
pub const PARTITION_A: u8 = 2;
/// Last of the three data partitions of a slice.
pub const PARTITION_C: u8 = 4;
/// Slice of a picture at which a decoder starts afresh.
pub const IDR: u8 = 5;
/// Supplemental enhancement information.
pub const SEI: u8 = 6;
/// Sequence parameter set.
pub const SPS: u8 = 7;
/// Picture parameter set.
pub const PPS: u8 = 8;
/// Access unit delimiter.
pub const AUD: u8 = 9;
/// End of sequence.
pub const END_OF_SEQUENCE: u8 = 10;
/// End of stream.
pub const END_OF_STREAM: u8 = 11;
/// Filler data.
pub const FILLER: u8 = 12;

/// `nal_unit_type` of a NAL unit's first byte.
pub const fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// SPS and PPS of a stream, without start codes, and what the SPS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The sequence parameter set.
    pub sps: Bytes,
    /// The picture parameter sets, at most [`super::MAX_PPS`], one an id.
    pub pps: Vec<Bytes>,
    /// Pixels after cropping.
    pub width: u32,
    /// Pixels after cropping.
    pub height: u32,
    /// `(time_scale, num_units_in_tick)` of the VUI, neither of them 0. A frame has two ticks.
    pub timing: Option<(u32, u32)>,
    /// `fixed_frame_rate_flag`
    pub fixed_frame_rate: bool,
    /// How many frames may precede one in decoding order and follow it in output order; 0: no B-frames; `None`: not said.
    pub reorder: Option<u8>,
    /// `chroma_format_idc`: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits a sample of luma and chroma.
    pub bit_depth: (u8, u8),
    /// How a slice header says of which field it is; `None`: all pictures are frames.
    pub fields: Option<FieldSyntax>,
}

/// What a reader of slice headers must know to find the field (section 7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSyntax {
    /// Bits of `frame_num`, 4 to 16.
    pub frame_num_bits: u8,
    /// `separate_colour_plane_flag`
    pub separate_planes: bool,
}

impl Parameters {
    /// Reads an SPS; start codes before and zeros after the units are taken off.
    ///
    /// A broken VUI is no error, and the level is not held against the picture's size: cameras declare it wrongly.
    ///
    /// # Errors
    /// What is wrong with which of the two, see [`Error`].
    pub fn new(sps: Bytes, pps: Bytes) -> Result<Self, Error> {
        let sps = checked(sps, 1, "SPS")?;
        let mut parameters = sps::parse(sps)?;
        parameters.add_pps(pps)?;
        Ok(parameters)
    }

    /// Adds a PPS or puts it in place of the one with its id. Answers whether that changed anything.
    ///
    /// # Errors
    /// If it is no PPS or has no valid id; nothing changed then.
    pub fn add_pps(&mut self, pps: Bytes) -> Result<bool, Error> {
        let pps = checked(pps, 1, "PPS")?;
        if nal_type(pps[0]) != PPS {
            return Err(Error::WrongType { expected: "PPS", found: nal_type(pps[0]) });
        }
        insert_pps(&mut self.pps, 1, 255, pps)
    }

    /// The same PPS with another SPS.
    ///
    /// # Errors
    /// If the SPS cannot be read.
    pub fn with_sps(&self, sps: Bytes) -> Result<Self, Error> {
        let parameters = sps::parse(checked(sps, 1, "SPS")?)?;
        Ok(Self { pps: self.pps.clone(), ..parameters })
    }

    /// Reads `sprop-parameter-sets` (RFC 6184, section 8.1); `None` if there is none or it is empty.
    pub fn from_fmtp(fmtp: &str) -> Option<Result<Self, Error>> {
        let value = fmtp_value(fmtp, "sprop-parameter-sets")?;
        match sprop(value, "sprop-parameter-sets") {
            Ok(units) if units.is_empty() => None,
            Ok(units) => Some(Self::from_units(units)),
            Err(e) => Some(Err(e)),
        }
    }

    /// Reads an `AVCDecoderConfigurationRecord` (ISO 14496-15, section 5.3.3.1): the parameter sets, if it has any, and the
    /// bytes of a NAL unit's length.
    ///
    /// # Errors
    /// If it ends too early or its SPS or PPS cannot be read.
    pub fn from_avcc(record: &Bytes) -> Result<(Option<Self>, u8), Error> {
        const WHAT: &str = "avcC";
        let lengths = (*record.get(4).ok_or(Error::Truncated { what: WHAT, bit: 8 * record.len() })? & 3) + 1;
        let mut at = 5;
        let mut units = Vec::new();
        for mask in [0x1f, 0xff] {
            let count = record.get(at).copied().unwrap_or(0) & mask;
            at += 1;
            for _ in 0..count {
                units.push(cut_sized(record, &mut at, WHAT)?);
            }
        }
        let parameters = (!units.is_empty()).then(|| Self::from_units(units)).transpose()?;
        Ok((parameters, lengths))
    }

    /// Units of other types are left out: some cameras put an SEI between them.
    fn from_units(units: Vec<Bytes>) -> Result<Self, Error> {
        let of_type = |wanted| units.iter().filter(move |u| u.first().is_some_and(|b| nal_type(*b) == wanted)).cloned();
        let sps = of_type(SPS).next().ok_or(Error::Missing("SPS"))?;
        let first = of_type(PPS).next().ok_or(Error::Missing("PPS"))?;
        let mut parameters = Self::new(sps, first)?;
        for pps in of_type(PPS).skip(1) {
            parameters.add_pps(pps)?;
        }
        Ok(parameters)
    }

    /// Frames a second as the VUI says; not to be trusted without [`Self::fixed_frame_rate`].
    pub fn frame_rate(&self) -> Option<f64> {
        self.timing.map(|(scale, units)| f64::from(scale) / (2.0 * f64::from(units)))
    }

    /// `profile_idc`, the constraint flags and `level_idc`.
    pub fn profile_level(&self) -> [u8; 3] {
        // `checked` and the parser have seen to it that an SPS is longer; a hand-made value reads as 0.
        self.sps.get(1..4).and_then(|b| b.first_chunk()).copied().unwrap_or_default()
    }

    /// `AVCDecoderConfigurationRecord` for lengths of 4 bytes (ISO 14496-15, section 5.3.3.1).
    pub fn avcc(&self) -> Bytes {
        let [profile, constraints, level] = self.profile_level();
        let mut out =
            BytesMut::with_capacity(16 + self.sps.len() + self.pps.iter().map(|p| p.len() + 2).sum::<usize>());
        out.put_slice(&[1, profile, constraints, level, 0xfc | 3, 0xe0 | 1]);
        put_with_length(&mut out, &self.sps);
        out.put_u8(self.pps.len() as u8);
        for pps in &self.pps {
            put_with_length(&mut out, pps);
        }
        // Baseline, Main and Extended are always 4:2:0 with 8 bits and have no such bytes.
        if !matches!(profile, 66 | 77 | 88) {
            out.put_u8(0xfc | self.chroma_format);
            out.put_u8(0xf8 | self.bit_depth.0.saturating_sub(8));
            out.put_u8(0xf8 | self.bit_depth.1.saturating_sub(8));
            out.put_u8(0); // no SPS extensions
        }
        out.freeze()
    }

    /// As in RFC 6381: `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        let [profile, constraints, level] = self.profile_level();
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
    }
}

/// Parameter sets are at most [`super::MAX_PARAMETER_SET`] long.
pub(super) fn put_with_length(out: &mut BytesMut, nal: &Bytes) {
    out.put_u16(nal.len() as u16);
    out.put_slice(nal);
}

#[cfg(test)]
mod tests;
