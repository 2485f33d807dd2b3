//! The SPS of H.265 (section 7.3.2.2), as far as the timing in its VUI (section E.2.1).

use bytes::Bytes;

use super::Parameters;
use crate::codec::bits::{Bits, unescape};
use crate::codec::{Error, plausible_size};

/// Reads a checked SPS; the result has no PPS yet.
pub(super) fn parse(vps: Bytes, sps: Bytes) -> Result<Parameters, Error> {
    let rbsp = unescape(&sps[2..]);
    let mut bits = Bits::new(&rbsp, "SPS");
    bits.skip(4)?; // sps_video_parameter_set_id
    let sub_layers = bits.read(3)?;
    if sub_layers > 6 {
        return Err(bits.invalid("sps_max_sub_layers_minus1"));
    }
    let temporal_nesting = bits.flag()?;
    let mut profile_tier_level = [0; 12];
    for byte in &mut profile_tier_level {
        *byte = bits.read(8)? as u8;
    }
    skip_sub_layers(&mut bits, sub_layers)?;
    bits.ue_to(15, "sps_seq_parameter_set_id")?;
    let chroma_format = bits.ue_to(3, "chroma_format_idc")?;
    if chroma_format == 3 {
        bits.flag()?; // separate_colour_plane_flag
    }
    let (width, height) = size(&mut bits, chroma_format)?;
    let luma = bits.ue_to(8, "bit_depth_luma_minus8")?;
    let chroma = bits.ue_to(8, "bit_depth_chroma_minus8")?;
    let poc_lsb_bits = 4 + bits.ue_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
    let all = bits.flag()?; // sps_sub_layer_ordering_info_present_flag
    let mut reorder = 0;
    for _ in if all { 0 } else { sub_layers }..=sub_layers {
        bits.ue()?; // sps_max_dec_pic_buffering_minus1
        reorder = bits.ue_to(16, "sps_max_num_reorder_pics")?;
        bits.ue()?; // sps_max_latency_increase_plus1
    }
    // What follows is only read for the timing, and nothing of it is worth refusing a stream.
    let timing = timing(bits, poc_lsb_bits as usize).ok().flatten();
    Ok(Parameters {
        vps,
        sps,
        pps: Vec::new(),
        width,
        height,
        timing,
        reorder: Some(reorder as u8),
        chroma_format: chroma_format as u8,
        bit_depth: (8 + luma as u8, 8 + chroma as u8),
        profile_tier_level,
        temporal_layers: sub_layers as u8 + 1,
        temporal_nesting,
    })
}

/// The sub-layers' part of `profile_tier_level` (section 7.3.3).
fn skip_sub_layers(bits: &mut Bits<'_>, sub_layers: u32) -> Result<(), Error> {
    let mut skip = 0;
    for _ in 0..sub_layers {
        skip += if bits.flag()? { 88 } else { 0 };
        skip += if bits.flag()? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        skip += 2 * (8 - sub_layers as usize);
    }
    bits.skip(skip)
}

fn size(bits: &mut Bits<'_>, chroma_format: u32) -> Result<(u32, u32), Error> {
    let (width, height) = (bits.ue()?, bits.ue()?);
    let mut cropped = (Some(width), Some(height));
    if bits.flag()? {
        let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 };
        let crop = |size: u32, a: u32, b: u32, unit| size.checked_sub(a.checked_add(b)?.checked_mul(unit)?);
        cropped = (crop(width, left, right, unit_x), crop(height, top, bottom, unit_y));
    }
    match cropped {
        (Some(width), Some(height)) if plausible_size(width, height) => Ok((width, height)),
        _ => Err(bits.invalid("picture size or conformance window")),
    }
}

/// From `log2_min_luma_coding_block_size_minus3` to the VUI's timing.
fn timing(mut bits: Bits<'_>, poc_lsb_bits: usize) -> Result<Option<(u32, u32)>, Error> {
    for _ in 0..6 {
        bits.ue()?; // block sizes and transform depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(&mut bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // pcm bit depths
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_reference_sets(&mut bits)?;
    if bits.flag()? {
        let count = bits.ue_to(32, "num_long_term_ref_pics_sps")?;
        bits.skip(count as usize * (poc_lsb_bits + 1))?;
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !bits.flag()? {
        return Ok(None);
    }
    vui_timing(&mut bits)
}

fn vui_timing(bits: &mut Bits<'_>) -> Result<Option<(u32, u32)>, Error> {
    const EXTENDED_SAR: u32 = 255;
    if bits.flag()? && bits.read(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma sample locations
        bits.ue()?;
    }
    bits.skip(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?; // default display window
        }
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let (units, scale) = (bits.read(32)?, bits.read(32)?);
    // More than 1000 pictures a second are a sign that something before was misread.
    let plausible = units > 0 && scale > 0 && u64::from(scale) <= 1000 * u64::from(units);
    Ok(plausible.then_some((scale, units)))
}

/// `scaling_list_data` (section 7.3.4).
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<(), Error> {
    for size in 0..4 {
        let step = if size == 3 { 3 } else { 1 }; // 32x32 has lists for luma only
        for _ in (0..6).step_by(step) {
            if !bits.flag()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size)) + u32::from(size > 1);
            for _ in 0..coefficients {
                bits.ue()?; // signed codes have the same lengths
            }
        }
    }
    Ok(())
}

/// All `st_ref_pic_set` of the SPS (section 7.3.7).
fn skip_reference_sets(bits: &mut Bits<'_>) -> Result<(), Error> {
    let sets = bits.ue_to(64, "num_short_term_ref_pic_sets")?;
    let mut pictures = 0; // NumDeltaPocs of the set before
    for i in 0..sets {
        if i > 0 && bits.flag()? {
            bits.flag()?; // delta_rps_sign
            bits.ue()?; // abs_delta_rps_minus1
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.flag()?;
                kept += u32::from(used || bits.flag()?);
            }
            pictures = kept;
        } else {
            pictures = bits.ue_to(16, "num_negative_pics")? + bits.ue_to(16, "num_positive_pics")?;
            for _ in 0..pictures {
                bits.ue()?; // delta_poc_minus1
                bits.flag()?; // used_by_curr_pic
            }
        }
    }
    Ok(())
}
