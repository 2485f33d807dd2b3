//! What a decoder must know before the first frame, per codec: parameter sets read, kept and written for containers.

pub mod aac;
pub mod av1;
pub(crate) mod bits;
pub mod h264;
pub mod h265;
pub mod latm;
pub(crate) mod mp3;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use bits::Bits;

/// Picture parameter sets kept per stream. Real encoders send one to four; the standards allow 256 (H.264) and 64 (H.265),
/// which nobody uses and a peer could fill memory with.
pub const MAX_PPS: usize = 8;

/// Bytes of one parameter set: containers count them in 16 bits (ISO 14496-15).
pub const MAX_PARAMETER_SET: usize = 65_535;

/// Why parameters cannot be used. Positions are bits, counted after the NAL unit header and without emulation prevention.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends within a field.
    #[error("{what} ends too early, at bit {bit}")]
    Truncated {
        /// Which parameter set.
        what: &'static str,
        /// Its length in bits.
        bit: usize,
    },
    /// A value that the standard does not allow or the hub does not support.
    #[error("{what} has an invalid {field} before bit {bit}")]
    Invalid {
        /// Which parameter set.
        what: &'static str,
        /// The field's name in the standard.
        field: &'static str,
        /// Where reading stopped.
        bit: usize,
    },
    /// A NAL unit of another type.
    #[error("NAL unit of type {found} is no {expected}")]
    WrongType {
        /// What it should be.
        expected: &'static str,
        /// The type in its header.
        found: u8,
    },
    /// Nothing where a parameter set should be.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Longer than [`MAX_PARAMETER_SET`].
    #[error("{what} of {len} bytes is longer than {MAX_PARAMETER_SET}")]
    TooLong {
        /// Which parameter set.
        what: &'static str,
        /// Bytes.
        len: usize,
    },
    /// A value of `a=fmtp` that cannot be decoded.
    #[error("fmtp {parameter} is not valid {encoding}")]
    Text {
        /// The parameter's name.
        parameter: &'static str,
        /// base64 or hexadecimal.
        encoding: &'static str,
    },
}

/// The value of one parameter of `a=fmtp`: names in any case, quotes and blanks around values taken off.
pub(crate) fn fmtp_value<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// Decodes the NAL units of an sprop parameter. Padding may be missing, commas too many, and one value may hold
/// several units with Annex-B start codes (cameras that put what their encoder gave them into the SDP).
pub(crate) fn sprop(value: &str, parameter: &'static str) -> Result<Vec<Bytes>, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let mut units = Vec::new();
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bytes = LENIENT.decode(part).map_err(|_| Error::Text { parameter, encoding: "base64" })?;
        units.extend(split_annex_b(&bytes.into()));
    }
    Ok(units)
}

/// Units cut out of one buffer. An access unit has fewer; a buffer of nothing but start codes would fill memory with slices.
const MAX_CUT: usize = 4096;

/// Cuts bytes at Annex-B start codes (00 00 01); zeros around them belong to no unit. Bytes without a start code are one unit.
/// At most [`MAX_CUT`] units; the last one holds the rest.
pub(crate) fn split_annex_b(bytes: &Bytes) -> Vec<Bytes> {
    let mut units = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut keep = |from: usize, to: usize| {
        let unit = strip(bytes.slice(from..to));
        if !unit.is_empty() {
            units.push(unit);
        }
    };
    for _ in 1..MAX_CUT {
        let Some(found) = bytes[at..].windows(3).position(|w| w == [0, 0, 1]) else { break };
        keep(start, at + found);
        at += found + 3;
        start = at;
    }
    keep(start, bytes.len());
    units
}

/// Takes a start code before and zeros after a NAL unit off.
pub(crate) fn strip(nal: Bytes) -> Bytes {
    let zeros = nal.iter().take_while(|b| **b == 0).count();
    let start = if zeros >= 2 && nal.get(zeros) == Some(&1) { zeros + 1 } else { 0 };
    let end = nal.iter().rposition(|b| *b != 0).map_or(start, |last| (last + 1).max(start));
    nal.slice(start..end)
}

/// Two bytes of length and that many bytes, as they stand in the records of containers.
fn cut_sized(record: &Bytes, at: &mut usize, what: &'static str) -> Result<Bytes, Error> {
    let short = Error::Truncated { what, bit: 8 * record.len() };
    let Some(len) = record.get(*at..).and_then(|rest| rest.first_chunk()) else { return Err(short) };
    let start = *at + 2;
    let end = start + usize::from(u16::from_be_bytes(*len));
    if end > record.len() {
        return Err(short);
    }
    *at = end;
    Ok(record.slice(start..end))
}

/// Checks what every parameter set must have: a type, a length within bounds and something behind its header.
fn checked(nal: Bytes, header: usize, what: &'static str) -> Result<Bytes, Error> {
    let nal = strip(nal);
    match nal.len() {
        0 => Err(Error::Missing(what)),
        len if len <= header => Err(Error::Truncated { what, bit: 0 }),
        len if len > MAX_PARAMETER_SET => Err(Error::TooLong { what, len }),
        _ => Ok(nal),
    }
}

/// Puts a checked PPS into the list: in place of the one with its id, or in place of the oldest if there are [`MAX_PPS`].
/// Answers whether the list changed.
fn insert_pps(list: &mut Vec<Bytes>, header: usize, max_id: u32, pps: Bytes) -> Result<bool, Error> {
    let id = pps_id(&pps, header, max_id)?;
    let old = list.iter().position(|known| pps_id(known, header, max_id) == Ok(id));
    match old {
        Some(i) if list[i] == pps => return Ok(false),
        Some(i) => list[i] = pps,
        None => {
            if list.len() >= MAX_PPS {
                list.remove(0);
            }
            list.push(pps);
        }
    }
    Ok(true)
}

/// `pic_parameter_set_id` comes first in both codecs. Its code needs at most 17 bits, so 8 bytes are enough of the unit.
fn pps_id(pps: &[u8], header: usize, max_id: u32) -> Result<u32, Error> {
    let start = bits::unescape(&pps[header.min(pps.len())..pps.len().min(header + 8)]);
    Bits::new(&start, "PPS").ue_to(max_id, "pic_parameter_set_id")
}

/// A width and height that a decoder may be asked for: neither 0 nor beyond what the highest levels allow.
fn plausible_size(width: u32, height: u32) -> bool {
    const MAX_SIDE: u32 = 16_888; // H.264 level 6.2: sqrt(8 * MaxFS) macroblocks; H.265 level 6.2 has the same
    (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fmtp_values_are_found_in_any_form() {
        let fmtp = "packetization-mode=1; Sprop-Parameter-Sets=\"Zw==,aA==\" ;profile-level-id=42;flag";
        assert_eq!(fmtp_value(fmtp, "sprop-parameter-sets"), Some("Zw==,aA=="));
        assert_eq!(fmtp_value(fmtp, "flag"), None);
        assert_eq!(fmtp_value("", "config"), None);
    }

    #[test]
    fn annex_b_is_cut_and_stripped() {
        let cut =
            |b: &'static [u8]| split_annex_b(&Bytes::from_static(b)).iter().map(|u| u.to_vec()).collect::<Vec<_>>();
        assert_eq!(cut(b"\0\0\0\x01ab\0\0\x01c\0\0\0\x01d\0\0"), [b"ab".to_vec(), b"c".to_vec(), b"d".to_vec()]);
        assert_eq!(cut(b"ab"), [b"ab".to_vec()]);
        assert!(cut(b"\0\0\x01\0\0\0").is_empty());
        assert!(cut(b"").is_empty());
        assert_eq!(&strip(Bytes::from_static(b"\0\0\0\0\x01a\0"))[..], b"a");
        assert!(strip(Bytes::from_static(b"\0\0\x01")).is_empty());
    }

    #[test]
    fn pps_are_kept_per_id_and_bounded() {
        let mut list = Vec::new();
        let pps = |id: u8, rest: u8| Bytes::copy_from_slice(&[0x68, id, rest]);
        // ids 0, 1, 2 as Exp-Golomb: 1, 010, 011
        assert_eq!(insert_pps(&mut list, 1, 255, pps(0x80, 1)), Ok(true));
        assert_eq!(insert_pps(&mut list, 1, 255, pps(0x40, 1)), Ok(true));
        assert_eq!(insert_pps(&mut list, 1, 255, pps(0x80, 1)), Ok(false));
        assert_eq!(insert_pps(&mut list, 1, 255, pps(0x80, 2)), Ok(true));
        assert_eq!(list, [pps(0x80, 2), pps(0x40, 1)]);
        for id in 3..=14u8 {
            let code = if id < 7 { (id + 1) << 3 } else { (id + 1) << 1 };
            insert_pps(&mut list, 1, 255, pps(code, 1)).expect("valid id");
        }
        assert_eq!(list.len(), MAX_PPS);
        assert!(insert_pps(&mut list, 1, 255, pps(0, 0)).is_err());
    }
}
