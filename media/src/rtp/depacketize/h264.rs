//! H.264 (RFC 6184): single NAL units, STAP-A and FU-A, that is packetization modes 0 and 1.

use bytes::Bytes;

use super::assembler::Assembler;
use super::format::{Class, Field, Format};
use super::{AccessUnit, Error, cut_sized};
use crate::codec::bits::{self, Bits};
use crate::codec::{self, h264};
use crate::rtp::Packet;
use crate::{Parameters, Track};

/// Packet types beyond the NAL unit types (section 5.2).
const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const MTAP16: u8 = 26;
const MTAP24: u8 = 27;
pub(in crate::rtp) const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// Bytes in which a slice header has said its field: three Exp-Golomb codes of at most 63 bits, and 20 bits.
const SLICE_HEADER: usize = 32;

/// SEI payload type of the recovery point (ITU-T H.264, section D.1.8).
const RECOVERY_POINT: u32 = 6;

#[derive(Debug)]
pub(super) struct Depacketizer {
    pub(super) assembler: Assembler<H264>,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Self {
        let known = match &track.parameters {
            Some(Parameters::H264(known)) => Some(known.clone()),
            _ => h264::Parameters::from_fmtp(&track.fmtp).and_then(Result::ok),
        };
        let format = H264 { known, sps: None, pps: None };
        Self { assembler: Assembler::new(format, track) }
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        let begun = self.assembler.begin_packet(packet.timestamp, lost, out);
        let read = self.read(&packet.payload);
        self.assembler.end_packet(packet.marker, out);
        read.and(begun)
    }

    fn read(&mut self, payload: &Bytes) -> Result<(), Error> {
        let Some(&first) = payload.first() else { return Ok(()) };
        let not_supported = |what| Err(Error::NotSupported { what, kind: h264::nal_type(first), at: 0 });
        match h264::nal_type(first) {
            0 if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) => {
                self.assembler.unit(payload.clone(), 0)
            }
            1..=23 => self.assembler.unit(payload.clone(), 0),
            STAP_A => self.aggregate(payload),
            FU_A => self.fragment(payload),
            STAP_B => not_supported("STAP-B"),
            MTAP16 | MTAP24 => not_supported("MTAP"),
            FU_B => not_supported("FU-B"),
            _ => not_supported("reserved packet"),
        }
    }

    fn aggregate(&mut self, payload: &Bytes) -> Result<(), Error> {
        let mut at = 1;
        let mut result = Ok(());
        while at < payload.len() {
            let start = at + 2;
            match cut_sized(payload, &mut at) {
                Ok(nal) => result = result.and(self.assembler.unit(nal, start)),
                Err(e) => {
                    self.assembler.damage();
                    return result.and(Err(e));
                }
            }
        }
        result
    }

    fn fragment(&mut self, payload: &Bytes) -> Result<(), Error> {
        let [indicator, header, ..] = **payload else {
            self.assembler.damage();
            return Err(Error::Truncated { what: "FU-A header", at: 0 });
        };
        let head = indicator & 0xe0 | header & 0x1f;
        self.assembler.fragment(&[head], (header & 0x80 != 0, header & 0x40 != 0), payload.slice(2..), 1)
    }
}

/// The parameter sets of a stream.
#[derive(Debug)]
pub(super) struct H264 {
    known: Option<h264::Parameters>,
    /// What came before there was one of each.
    sps: Option<Bytes>,
    pps: Option<Bytes>,
}

impl Format for H264 {
    const HEADER: usize = 1;

    fn kind(first: u8) -> u8 {
        h264::nal_type(first)
    }

    fn class(head: &[u8], body: &[u8]) -> Option<Class> {
        // first_mb_in_slice is an Exp-Golomb code: 0 is a single 1 bit.
        let first = body.first().is_some_and(|b| b & 0x80 != 0);
        Some(match h264::nal_type(head[0]) {
            h264::SLICE..=h264::PARTITION_A => Class::Slice { key: false, first, leading: false },
            ..=h264::PARTITION_C if h264::nal_type(head[0]) > 0 => {
                Class::Slice { key: false, first: false, leading: false }
            }
            h264::IDR => Class::Slice { key: true, first, leading: false },
            h264::SEI => Class::Sei { recovery_point: has_recovery_point(body) },
            h264::SPS | h264::PPS => Class::ParameterSet,
            // Delimiters, ends and filler; layers, views and auxiliary pictures that a plain decoder skips.
            h264::AUD..=23 => Class::Unwanted,
            _ => return None,
        })
    }

    fn remember(&mut self, nal: Bytes) -> Result<bool, codec::Error> {
        let is_sps = nal.first().is_some_and(|b| h264::nal_type(*b) == h264::SPS);
        if let Some(known) = &mut self.known {
            if !is_sps {
                return known.add_pps(nal);
            }
            let nal = codec::strip(nal);
            if known.sps == nal {
                return Ok(false);
            }
            *known = known.with_sps(nal)?;
            return Ok(true);
        }
        *(if is_sps { &mut self.sps } else { &mut self.pps }) = Some(nal);
        if let (Some(sps), Some(pps)) = (&self.sps, &self.pps) {
            // One of them is broken: start over, or a good one would never be looked at.
            let made = h264::Parameters::new(sps.clone(), pps.clone());
            (self.sps, self.pps) = (None, None);
            self.known = Some(made?);
        }
        Ok(true)
    }

    fn parameters(&self) -> Option<Parameters> {
        self.known.clone().map(Parameters::H264)
    }

    /// Section 7.3.3.
    fn field(&self, _: &[u8], body: &[u8]) -> Option<Field> {
        let syntax = self.known.as_ref()?.fields?;
        let start = bits::unescape(&body[..body.len().min(SLICE_HEADER)]);
        let mut bits = Bits::new(&start, "slice header");
        for _ in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
            bits.ue().ok()?;
        }
        bits.skip(if syntax.separate_planes { 2 } else { 0 }).ok()?;
        let frame_num = bits.read(syntax.frame_num_bits.into()).ok()?;
        let is_field = bits.flag().ok()?;
        is_field.then(|| bits.flag().ok().map(|bottom| Field { bottom, frame_num })).flatten()
    }
}

/// Looks through the messages of an SEI (section 7.3.2.3.1) for a recovery point.
fn has_recovery_point(mut body: &[u8]) -> bool {
    while body.len() > 2 {
        let (Some(kind), Some(len)) = (long_number(&mut body), long_number(&mut body)) else { return false };
        if kind == RECOVERY_POINT {
            return true;
        }
        // Emulation prevention bytes make a message longer than it says. They are rare before the recovery point.
        body = body.get(len as usize..).unwrap_or_default();
    }
    false
}

fn long_number(body: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    loop {
        let (&byte, rest) = body.split_first()?;
        *body = rest;
        value = value.saturating_add(u32::from(byte));
        if byte != 0xff {
            return Some(value);
        }
    }
}
