//! H.265 parameter sets (ITU-T H.265, section 7.3.2) and what is made of them for containers and players.

mod sps;

use std::slice::from_ref;

use bytes::{BufMut, Bytes, BytesMut};

use super::h264::put_with_length;
use super::{Error, checked, cut_sized, fmtp_value, insert_pps, sprop};

/// The last type of a slice; the types above are not part of the coded picture.
pub const LAST_SLICE: u8 = 31;
/// Leading picture that needs pictures before its random access point; not used by others.
pub const RASL_N: u8 = 8;
/// Leading picture that needs pictures before its random access point.
pub const RASL_R: u8 = 9;
/// First of the types of random access pictures (BLA, IDR, CRA).
pub const FIRST_IRAP: u8 = 16;
/// Random access picture that may have leading pictures.
pub const CRA: u8 = 21;
/// Video parameter set.
pub const VPS: u8 = 32;
/// Sequence parameter set.
pub const SPS: u8 = 33;
/// Picture parameter set.
pub const PPS: u8 = 34;
/// Access unit delimiter.
pub const AUD: u8 = 35;
/// End of sequence.
pub const END_OF_SEQUENCE: u8 = 36;
/// End of bitstream.
pub const END_OF_BITSTREAM: u8 = 37;
/// Filler data.
pub const FILLER: u8 = 38;
/// Supplemental enhancement information before the slices.
pub const PREFIX_SEI: u8 = 39;
/// Supplemental enhancement information after the slices.
pub const SUFFIX_SEI: u8 = 40;

/// `nal_unit_type` of a NAL unit's first byte.
pub const fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// VPS, SPS and PPS of a stream, without start codes, and what the SPS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The video parameter set.
    pub vps: Bytes,
    /// The sequence parameter set.
    pub sps: Bytes,
    /// The picture parameter sets, at most [`super::MAX_PPS`], one an id.
    pub pps: Vec<Bytes>,
    /// Pixels within the conformance window.
    pub width: u32,
    /// Pixels within the conformance window.
    pub height: u32,
    /// `(time_scale, num_units_in_tick)` of the VUI, neither of them 0. A picture has one tick.
    pub timing: Option<(u32, u32)>,
    /// `sps_max_num_reorder_pics` of the highest sub-layer: 0: no B-frames that are shown out of order.
    pub reorder: Option<u8>,
    /// `chroma_format_idc`: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits a sample of luma and chroma.
    pub bit_depth: (u8, u8),
    /// From `general_profile_space` to `general_level_idc`, as they stand in the SPS (section 7.3.3).
    pub profile_tier_level: [u8; 12],
    /// Temporal sub-layers, 1 to 7.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`
    pub temporal_nesting: bool,
}

impl Parameters {
    /// Reads an SPS; start codes before and zeros after the units are taken off. A broken VUI is no error.
    ///
    /// # Errors
    /// What is wrong with which of the three, see [`Error`].
    pub fn new(vps: Bytes, sps: Bytes, pps: Bytes) -> Result<Self, Error> {
        let mut parameters = sps::parse(of_type(vps, VPS, "VPS")?, of_type(sps, SPS, "SPS")?)?;
        parameters.add_pps(pps)?;
        Ok(parameters)
    }

    /// Adds a PPS or puts it in place of the one with its id. Answers whether that changed anything.
    ///
    /// # Errors
    /// If it is no PPS or has no valid id; nothing changed then.
    pub fn add_pps(&mut self, pps: Bytes) -> Result<bool, Error> {
        insert_pps(&mut self.pps, 2, 63, of_type(pps, PPS, "PPS")?)
    }

    /// The same VPS and PPS with another SPS.
    ///
    /// # Errors
    /// If the SPS cannot be read.
    pub fn with_sps(&self, sps: Bytes) -> Result<Self, Error> {
        let parameters = sps::parse(self.vps.clone(), of_type(sps, SPS, "SPS")?)?;
        Ok(Self { pps: self.pps.clone(), ..parameters })
    }

    /// Reads `sprop-vps`, `sprop-sps` and `sprop-pps` (RFC 7798, section 7.1); `None` if all are absent or empty.
    pub fn from_fmtp(fmtp: &str) -> Option<Result<Self, Error>> {
        let mut units = Vec::new();
        for name in ["sprop-vps", "sprop-sps", "sprop-pps"] {
            match fmtp_value(fmtp, name).map(|value| sprop(value, name)) {
                Some(Ok(found)) => units.extend(found),
                Some(Err(e)) => return Some(Err(e)),
                None => {}
            }
        }
        (!units.is_empty()).then(|| Self::from_units(units))
    }

    /// Reads an `HEVCDecoderConfigurationRecord` (ISO 14496-15, section 8.3.3.1): the parameter sets, if it has any, and the
    /// bytes of a NAL unit's length.
    ///
    /// # Errors
    /// If it ends too early or its VPS, SPS or PPS cannot be read.
    pub fn from_hvcc(record: &Bytes) -> Result<(Option<Self>, u8), Error> {
        const WHAT: &str = "hvcC";
        let short = Error::Truncated { what: WHAT, bit: 8 * record.len() };
        let (Some(lengths), Some(arrays)) = (record.get(21), record.get(22)) else { return Err(short) };
        let mut at = 23;
        let mut units = Vec::new();
        for _ in 0..*arrays {
            let count = record.get(at + 1..at + 3).and_then(|bytes| bytes.first_chunk()).ok_or(short.clone())?;
            at += 3;
            for _ in 0..u16::from_be_bytes(*count) {
                units.push(cut_sized(record, &mut at, WHAT)?);
            }
        }
        // Some writers have an array of SEI only.
        let has_sets = units.iter().any(|unit| unit.first().is_some_and(|b| matches!(nal_type(*b), VPS | SPS | PPS)));
        let parameters = has_sets.then(|| Self::from_units(units)).transpose()?;
        Ok((parameters, (lengths & 3) + 1))
    }

    /// The types of the units count, not the parameter they came in.
    fn from_units(units: Vec<Bytes>) -> Result<Self, Error> {
        let of_type = |wanted| units.iter().filter(move |u| u.first().is_some_and(|b| nal_type(*b) == wanted)).cloned();
        let vps = of_type(VPS).next().ok_or(Error::Missing("VPS"))?;
        let sps = of_type(SPS).next().ok_or(Error::Missing("SPS"))?;
        let first = of_type(PPS).next().ok_or(Error::Missing("PPS"))?;
        let mut parameters = Self::new(vps, sps, first)?;
        for pps in of_type(PPS).skip(1) {
            parameters.add_pps(pps)?;
        }
        Ok(parameters)
    }

    /// Pictures a second as the VUI says.
    pub fn frame_rate(&self) -> Option<f64> {
        self.timing.map(|(scale, units)| f64::from(scale) / f64::from(units))
    }

    /// `HEVCDecoderConfigurationRecord` for lengths of 4 bytes (ISO 14496-15, section 8.3.3.1).
    pub fn hvcc(&self) -> Bytes {
        let sets: usize = self.pps.iter().map(|p| p.len() + 2).sum();
        let mut out = BytesMut::with_capacity(48 + self.vps.len() + self.sps.len() + sets);
        out.put_u8(1);
        out.put_slice(&self.profile_tier_level);
        out.put_u16(0xf000); // min_spatial_segmentation_idc: no claim
        out.put_u8(0xfc); // parallelismType: no claim
        out.put_u8(0xfc | self.chroma_format);
        out.put_u8(0xf8 | self.bit_depth.0.saturating_sub(8));
        out.put_u8(0xf8 | self.bit_depth.1.saturating_sub(8));
        out.put_u16(0); // avgFrameRate: no claim
        out.put_u8((self.temporal_layers & 7) << 3 | u8::from(self.temporal_nesting) << 2 | 3);
        out.put_u8(3);
        for (kind, units) in [(VPS, from_ref(&self.vps)), (SPS, from_ref(&self.sps)), (PPS, &self.pps)] {
            out.put_u8(0x80 | kind); // all of this type are here
            out.put_u16(units.len() as u16);
            for unit in units {
                put_with_length(&mut out, unit);
            }
        }
        out.freeze()
    }

    /// As in ISO 14496-15, annex E: `hvc1.1.6.L93.B0`.
    pub fn codec_string(&self) -> String {
        let [profile, c0, c1, c2, c3, constraints @ .., level] = self.profile_tier_level;
        let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
        let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
        let compatible = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let mut text = format!("hvc1.{space}{}.{compatible:X}.{tier}{level}", profile & 0x1f);
        let used = constraints.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        for byte in &constraints[..used] {
            text.push_str(&format!(".{byte:X}"));
        }
        text
    }
}

fn of_type(nal: Bytes, wanted: u8, what: &'static str) -> Result<Bytes, Error> {
    let nal = checked(nal, 2, what)?;
    let found = nal_type(nal[0]);
    if found == wanted { Ok(nal) } else { Err(Error::WrongType { expected: what, found }) }
}

#[cfg(test)]
mod tests;
