//! The SPS, read by the `h264-reader` crate through a reader that is more patient than the standard.

use bytes::Bytes;
use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet, SpsError};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, Integer, Primitive};

use super::{FieldSyntax, Parameters, SPS, nal_type};
use crate::codec::{Error, bits, plausible_size};

/// `level_idc` that no standard knows: `h264-reader` then checks the size against the highest level only. Cameras declare
/// levels far below what they send.
const UNKNOWN_LEVEL: u8 = 255;

/// Reads a stripped SPS of at least two bytes; the result has no PPS yet.
pub(super) fn parse(sps: Bytes) -> Result<Parameters, Error> {
    if nal_type(sps[0]) != SPS {
        return Err(Error::WrongType { expected: "SPS", found: nal_type(sps[0]) });
    }
    let mut rbsp = bits::unescape(&sps[1..]);
    let bit = rbsp.len() * 8;
    let [profile, constraints, level, ..] = rbsp.as_mut_slice() else {
        return Err(Error::Truncated { what: "SPS", bit });
    };
    let (profile, intra_only) = (*profile, *constraints & 0x10 != 0);
    *level = UNKNOWN_LEVEL;

    // The parts that cameras get wrong stand at the end: the bitstream restriction (fewer frames of buffer than references)
    // and the VUI altogether. Nothing else depends on them, so read on without them.
    let read = read(&rbsp, None)
        .or_else(|first| read(&rbsp, Some("bitstream_restriction_flag")).map_err(|_| first))
        .or_else(|first| read(&rbsp, Some("vui_parameters_present_flag")).map_err(|_| first))?;
    let invalid = Error::Invalid { what: "SPS", field: "picture size or cropping", bit };
    let (width, height) = read.pixel_dimensions().map_err(|_| invalid.clone())?;
    if !plausible_size(width, height) {
        return Err(invalid);
    }
    let chroma_format = read.chroma_info.chroma_format.to_u32();
    if chroma_format > 3 {
        return Err(Error::Invalid { what: "SPS", field: "chroma_format_idc", bit });
    }
    let vui = read.vui_parameters.as_ref();
    let timing = vui.and_then(|v| v.timing_info.as_ref());
    let declared = vui.and_then(|v| v.bitstream_restrictions.as_ref()).map(|b| b.max_num_reorder_frames.min(16) as u8);
    let in_order = matches!(read.pic_order_cnt, PicOrderCntType::TypeTwo)
        || profile == 66
        || (intra_only && matches!(profile, 44 | 86 | 100 | 110 | 122 | 244));
    Ok(Parameters {
        sps,
        pps: Vec::new(),
        width,
        height,
        timing: timing.map(|t| (t.time_scale, t.num_units_in_tick)).filter(|(scale, units)| *scale > 0 && *units > 0),
        fixed_frame_rate: timing.is_some_and(|t| t.fixed_frame_rate_flag),
        reorder: if in_order { Some(0) } else { declared },
        chroma_format: chroma_format as u8,
        fields: matches!(read.frame_mbs_flags, FrameMbsFlags::Fields { .. }).then_some(FieldSyntax {
            frame_num_bits: read.log2_max_frame_num_minus4 + 4,
            separate_planes: read.chroma_info.separate_colour_plane_flag,
        }),
        bit_depth: (8 + read.chroma_info.bit_depth_luma_minus8, 8 + read.chroma_info.bit_depth_chroma_minus8),
    })
}

fn read(rbsp: &[u8], absent: Option<&'static str>) -> Result<SeqParameterSet, Error> {
    let mut reader = Patient { inner: BitReader::new(rbsp), absent, field: "profile_idc", bit: 0 };
    SeqParameterSet::from_bits(&mut reader).map_err(|e| match e {
        SpsError::RbspReaderError(BitReaderError::ReaderError(..)) => {
            Error::Truncated { what: "SPS", bit: rbsp.len() * 8 }
        }
        _ => Error::Invalid { what: "SPS", field: reader.field, bit: reader.bit },
    })
}

/// Reads on where the standard would not: says 0 for one flag if told so, and takes any bytes after the end (cameras pad).
struct Patient<'a> {
    inner: BitReader<&'a [u8]>,
    absent: Option<&'static str>,
    field: &'static str,
    bit: usize,
}

impl Patient<'_> {
    fn at(&mut self, field: &'static str, bits: usize) {
        self.field = field;
        self.bit += bits;
    }
}

impl BitRead for &mut Patient<'_> {
    fn read_ue(&mut self, name: &'static str) -> Result<u32, BitReaderError> {
        let value = self.inner.read_ue(name)?;
        self.at(name, 2 * value.saturating_add(1).ilog2() as usize + 1);
        Ok(value)
    }

    fn read_se(&mut self, name: &'static str) -> Result<i32, BitReaderError> {
        let value = self.inner.read_se(name)?;
        let code = 2 * u64::from(value.unsigned_abs()) + u64::from(value <= 0);
        self.at(name, 2 * code.max(1).ilog2() as usize + 1);
        Ok(value)
    }

    fn read_bit(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        let value = self.inner.read_bit(name)?;
        self.at(name, 1);
        Ok(value && self.absent != Some(name))
    }

    fn read<const BITS: u32, I: Integer>(&mut self, name: &'static str) -> Result<I, BitReaderError> {
        self.at(name, BITS as usize);
        self.inner.read::<BITS, I>(name)
    }

    fn read_var<I: Integer>(&mut self, bit_count: u32, name: &'static str) -> Result<I, BitReaderError> {
        self.at(name, bit_count as usize);
        self.inner.read_var(bit_count, name)
    }

    fn read_to<V: Primitive>(&mut self, name: &'static str) -> Result<V, BitReaderError> {
        self.at(name, 8 * size_of::<V>());
        self.inner.read_to(name)
    }

    fn skip(&mut self, bit_count: u32, name: &'static str) -> Result<(), BitReaderError> {
        self.at(name, bit_count as usize);
        self.inner.skip(bit_count, name)
    }

    fn byte_aligned(&self) -> bool {
        self.inner.byte_aligned()
    }

    fn has_more_rbsp_data(&mut self, name: &'static str) -> Result<bool, BitReaderError> {
        self.inner.has_more_rbsp_data(name)
    }

    fn finish_rbsp(self) -> Result<(), BitReaderError> {
        Ok(())
    }

    fn finish_sei_payload(self) -> Result<(), BitReaderError> {
        Ok(())
    }
}
