//! H.265 (RFC 7798): single NAL units, aggregation packets and fragmentation units.

use bytes::Bytes;

use super::assembler::Assembler;
use super::format::{Class, Format};
use super::{AccessUnit, Error, cut_sized};
use crate::codec::{self, fmtp_value, h265};
use crate::rtp::Packet;
use crate::{Parameters, Track};

/// Packet types beyond the NAL unit types (section 4.4).
const AP: u8 = 48;
pub(in crate::rtp) const FU: u8 = 49;
const PACI: u8 = 50;

#[derive(Debug)]
pub(super) struct Depacketizer {
    pub(super) assembler: Assembler<H265>,
    /// Packets carry decoding order numbers (section 4.4.1). They are skipped: the hub relies on the order of the packets.
    numbered: bool,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Self {
        let known = match &track.parameters {
            Some(Parameters::H265(known)) => Some(known.clone()),
            _ => h265::Parameters::from_fmtp(&track.fmtp).and_then(Result::ok),
        };
        let max_diff = fmtp_value(&track.fmtp, "sprop-max-don-diff").and_then(|v| v.parse::<u16>().ok());
        let format = H265 { known, vps: None, sps: None, pps: None };
        Self { assembler: Assembler::new(format, track), numbered: max_diff.is_some_and(|diff| diff > 0) }
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        let begun = self.assembler.begin_packet(packet.timestamp, lost, out);
        let read = self.read(&packet.payload);
        self.assembler.end_packet(packet.marker, out);
        read.and(begun)
    }

    fn read(&mut self, payload: &Bytes) -> Result<(), Error> {
        let Some(&first) = payload.first() else { return Ok(()) };
        if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) {
            return self.assembler.unit(payload.clone(), 0);
        }
        match h265::nal_type(first) {
            0..=47 if self.numbered => {
                let Some((head, body)) = payload.split_at_checked(2).filter(|(_, body)| body.len() > 2) else {
                    return Err(Error::Truncated { what: "NAL unit with DONL", at: 0 });
                };
                let body = payload.slice_ref(&body[2..]);
                self.assembler.fragment(head, (true, true), body, 0)
            }
            0..=47 => self.assembler.unit(payload.clone(), 0),
            AP => self.aggregate(payload),
            FU => self.fragment(payload),
            kind => {
                let what = if kind == PACI { "PACI" } else { "reserved packet" };
                Err(Error::NotSupported { what, kind, at: 0 })
            }
        }
    }

    fn aggregate(&mut self, payload: &Bytes) -> Result<(), Error> {
        let mut at = 2;
        let mut result = Ok(());
        let mut number = 2; // DONL before the first unit, DOND before the others
        while at < payload.len() {
            if self.numbered {
                at += number;
                number = 1;
            }
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
        let cut = Error::Truncated { what: "FU header", at: 0 };
        let [h0, h1, header, ..] = **payload else {
            self.assembler.damage();
            return Err(cut);
        };
        let start = header & 0x80 != 0;
        let at = if self.numbered && start { 5 } else { 3 };
        if payload.len() < at {
            self.assembler.damage();
            return Err(cut);
        }
        let head = [h0 & 0x81 | (header & 0x3f) << 1, h1];
        self.assembler.fragment(&head, (start, header & 0x40 != 0), payload.slice(at..), 2)
    }
}

/// The parameter sets of a stream.
#[derive(Debug)]
pub(super) struct H265 {
    known: Option<h265::Parameters>,
    /// What came before there was one of each.
    vps: Option<Bytes>,
    sps: Option<Bytes>,
    pps: Option<Bytes>,
}

impl Format for H265 {
    const HEADER: usize = 2;

    fn kind(first: u8) -> u8 {
        h265::nal_type(first)
    }

    fn class(head: &[u8], body: &[u8]) -> Option<Class> {
        let kind = h265::nal_type(head[0]);
        let layer = (head[0] & 1) << 5 | head.get(1).map_or(0, |b| b >> 3);
        if layer > 0 && kind < AP {
            return Some(Class::Unwanted); // scalable and multiview layers that a plain decoder skips
        }
        // first_slice_segment_in_pic_flag
        let first = body.first().is_some_and(|b| b & 0x80 != 0);
        let leading = matches!(kind, h265::RASL_N | h265::RASL_R);
        Some(match kind {
            ..=h265::RASL_R => Class::Slice { key: false, first, leading },
            h265::FIRST_IRAP..=h265::CRA => Class::Slice { key: true, first, leading },
            h265::VPS | h265::SPS | h265::PPS => Class::ParameterSet,
            h265::AUD..=h265::FILLER => Class::Unwanted,
            h265::PREFIX_SEI => Class::Sei { recovery_point: false },
            h265::SUFFIX_SEI => Class::Suffix,
            41..=47 => Class::Unwanted,
            _ => return None,
        })
    }

    fn remember(&mut self, nal: Bytes) -> Result<bool, codec::Error> {
        let kind = nal.first().map_or(h265::PPS, |b| h265::nal_type(*b));
        if let Some(known) = &mut self.known {
            if kind == h265::PPS {
                return known.add_pps(nal);
            }
            let nal = codec::strip(nal);
            let (is, was) = if kind == h265::SPS { (&nal, &known.sps) } else { (&nal, &known.vps) };
            if is == was {
                return Ok(false);
            }
            if kind == h265::SPS {
                *known = known.with_sps(nal)?;
            } else {
                known.vps = nal;
            }
            return Ok(true);
        }
        *(match kind {
            h265::VPS => &mut self.vps,
            h265::SPS => &mut self.sps,
            _ => &mut self.pps,
        }) = Some(nal);
        if let (Some(vps), Some(sps), Some(pps)) = (&self.vps, &self.sps, &self.pps) {
            // One of them is broken: start over, or a good one would never be looked at.
            let made = h265::Parameters::new(vps.clone(), sps.clone(), pps.clone());
            (self.vps, self.sps, self.pps) = (None, None, None);
            self.known = Some(made?);
        }
        Ok(true)
    }

    fn parameters(&self) -> Option<Parameters> {
        self.known.clone().map(Parameters::H265)
    }
}
