//! What H.264 and H.265 have in common: NAL units become access units.
//!
//! An access unit leaves at its marker bit, without waiting for the next packet. Cameras that set the bit wrongly:
//! - On parameter sets or SEI: an access unit ends only when it has a slice. What has none yet joins the next slice, even
//!   one with another timestamp (TP-Link TC70, Reolink Duo 2).
//! - Within a fragmented NAL unit: the marker is not heeded.
//! - On every slice of a picture: seen when a slice that is not its picture's first comes with the timestamp of an access
//!   unit that has left. From then on this stream's access units end when the timestamp changes: a frame interval later.
//! - Never: the timestamp ends the access unit.
//!
//! The two fields of an interlaced frame are two pictures in H.264, with one timestamp or two and a marker each. Containers
//! have a frame in a sample, so the first field waits for the second, and goes alone when something else comes.

use bytes::{Bytes, BytesMut};

use super::format::{Class, Field, Format};
use super::{AccessUnit, Error, MAX_ACCESS_UNIT, MAX_PIECES, MAX_UNITS};
use crate::codec::split_annex_b;
use crate::{Parameters, Track, Units};

/// Units and pieces that there is room for from the start. The pictures after a key frame are smaller, and kept as long.
const MAX_ROOM: usize = 64;

/// A NAL unit that comes in several packets.
#[derive(Debug)]
enum Fragment {
    /// The last unit of the access unit.
    Slice { kind: u8 },
    /// Anything else is small, or holds slices behind start codes; it is read when it is whole.
    Other { kind: u8, bytes: BytesMut },
}

#[derive(Debug, Default)]
struct Building {
    timestamp: u32,
    units: Units,
    pieces: usize,
    key: bool,
    leading: bool,
    has_slice: bool,
    damaged: bool,
    /// Packets before it are missing: its first slice must be its picture's first.
    uncertain: bool,
    /// It has this field only.
    field: Option<Field>,
}

impl Building {
    /// Becomes the second field of a frame.
    fn follow(&mut self, mut first: Building) {
        first.units.append(std::mem::take(&mut self.units));
        first.pieces += self.pieces;
        first.key |= self.key;
        first.field = None;
        *self = first;
    }
}

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// No key frame has come yet; what comes leaves all the same, for streams that declare none.
    Start,
    Running,
    /// Something is missing: nothing leaves before the next key frame.
    Lost,
}

/// Collects the NAL units of one stream.
#[derive(Debug)]
pub(super) struct Assembler<F> {
    pub(super) format: F,
    pub(super) max_access_unit: usize,
    pub(super) dropped: u64,
    building: Option<Building>,
    /// A first field that waits for the second.
    parked: Option<Building>,
    fragment: Option<Fragment>,
    /// Timestamp of the access unit that left last.
    left: Option<u32>,
    /// Markers stand on every slice.
    wait_for_timestamp: bool,
    sync: Sync,
    /// The last key frame came after a gap: its leading pictures need what is missing.
    skip_leading: bool,
    /// Packets before the next access unit are missing.
    uncertain: bool,
    /// The parameters are not what was reported.
    news: bool,
    /// Units and pieces of the access unit before: the next one is probably of their kind.
    usual: (usize, usize),
}

impl<F: Format> Assembler<F> {
    pub(super) fn new(format: F, track: &Track) -> Self {
        Self {
            news: format.parameters() != track.parameters,
            format,
            max_access_unit: MAX_ACCESS_UNIT,
            dropped: 0,
            building: None,
            parked: None,
            fragment: None,
            left: None,
            wait_for_timestamp: false,
            sync: Sync::Start,
            skip_leading: false,
            uncertain: false,
            usual: (0, 0),
        }
    }

    pub(super) fn parameters(&self) -> Option<Parameters> {
        self.format.parameters()
    }

    /// To be called before the units of a packet.
    pub(super) fn begin_packet(&mut self, timestamp: u32, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        let mut result = Ok(());
        if lost {
            self.release(out);
            self.abandon_fragment();
            self.sync = Sync::Lost;
            self.uncertain = true;
            if let Some(building) = &mut self.building {
                building.uncertain = true;
                building.damaged |= building.has_slice;
            }
        }
        if let Some(building) = &mut self.building
            && building.timestamp != timestamp
        {
            if building.has_slice || building.damaged {
                if let Some(kind) = self.abandon_fragment() {
                    result = Err(Error::NoEnd { kind, at: 0 });
                }
                self.finish(out);
            } else {
                building.timestamp = timestamp;
            }
        }
        let (uncertain, (units, pieces)) = (self.uncertain, self.usual);
        self.building.get_or_insert_with(|| {
            let units = Units::with_capacity(units, pieces);
            Building { timestamp, units, uncertain, ..Building::default() }
        });
        result
    }

    /// To be called after the units of a packet.
    pub(super) fn end_packet(&mut self, marker: bool, out: &mut Vec<AccessUnit>) {
        let complete = self.building.as_ref().is_some_and(|b| b.has_slice || b.damaged);
        if complete {
            // Had this been the second field, they would be together now.
            self.release(out);
        }
        if marker && complete && self.fragment.is_none() && !self.wait_for_timestamp {
            self.finish(out);
        }
    }

    /// A whole NAL unit at byte `at` of the payload; or several behind start codes, which some cameras put into one packet.
    pub(super) fn unit(&mut self, nal: Bytes, at: usize) -> Result<(), Error> {
        if let Some(open) = self.abandon_fragment() {
            self.one_or_more(nal, at)?;
            return Err(Error::NoEnd { kind: open, at });
        }
        self.one_or_more(nal, at)
    }

    /// Slices are not searched for start codes unless the payload begins with one: that would read every byte of a stream.
    fn one_or_more(&mut self, nal: Bytes, at: usize) -> Result<(), Error> {
        let slice = nal.get(..F::HEADER).is_some_and(|h| matches!(F::class(h, &[]), Some(Class::Slice { .. })));
        if slice && !nal.starts_with(&[0, 0, 1]) && !nal.starts_with(&[0, 0, 0, 1]) {
            return self.one(nal, at);
        }
        let mut result = Ok(());
        for unit in split_annex_b(&nal) {
            let at = at + (unit.as_ptr() as usize).saturating_sub(nal.as_ptr() as usize);
            result = result.and(self.one(unit, at));
        }
        result
    }

    fn one(&mut self, nal: Bytes, at: usize) -> Result<(), Error> {
        let Some((head, body)) = nal.split_at_checked(F::HEADER).filter(|(_, body)| !body.is_empty()) else {
            // Delimiters and ends of sequences may have no body in H.265.
            let unwanted = nal.get(..F::HEADER).is_some_and(|head| F::class(head, &[]) == Some(Class::Unwanted));
            return if unwanted { Ok(()) } else { Err(Error::Truncated { what: "NAL unit", at }) };
        };
        match self.classify(head, body, at)? {
            class @ Class::Slice { .. } => {
                if self.slice(class, head, body) {
                    self.keep(Some(nal), 1)?;
                }
            }
            Class::ParameterSet => match self.format.remember(nal) {
                Ok(news) => self.news |= news,
                Err(source) => return Err(Error::Parameters { at, source }),
            },
            Class::Sei { recovery_point } => {
                if let Some(building) = &mut self.building {
                    building.key |= recovery_point;
                }
                self.keep(Some(nal), 1)?;
            }
            Class::Suffix => {
                if self.building.as_ref().is_some_and(|b| b.has_slice) {
                    self.keep(Some(nal), 1)?;
                }
            }
            Class::Unwanted => {}
        }
        Ok(())
    }

    /// A part of a NAL unit with the header `head`, which stood in no packet as such.
    pub(super) fn fragment(&mut self, head: &[u8], ends: (bool, bool), body: Bytes, at: usize) -> Result<(), Error> {
        let (start, end) = ends;
        let kind = F::kind(head[0]);
        let mut result = Ok(());
        if start {
            if let Some(open) = self.abandon_fragment() {
                result = Err(Error::NoEnd { kind: open, at });
            }
            self.begin_fragment(head, kind, body, at)?;
        } else {
            match &mut self.fragment {
                Some(Fragment::Slice { kind: open }) if *open == kind => self.keep(Some(body), 0)?,
                Some(Fragment::Other { kind: open, bytes }) if *open == kind => {
                    if bytes.len() + body.len() > self.max_access_unit {
                        return self.give_up(self.max_access_unit, "bytes");
                    }
                    bytes.extend_from_slice(&body);
                }
                _ => return self.no_start(kind, at),
            }
        }
        if end && let Some(Fragment::Other { bytes, .. }) = self.fragment.take() {
            result = result.and(self.one_or_more(bytes.freeze(), at));
        }
        result
    }

    fn begin_fragment(&mut self, head: &[u8], kind: u8, body: Bytes, at: usize) -> Result<(), Error> {
        let class = self.classify(head, &body, at)?;
        if let Class::Slice { .. } = class {
            self.fragment = Some(Fragment::Slice { kind });
            if self.slice(class, head, &body) {
                self.keep(None, 1)?;
                if let Some(building) = &mut self.building {
                    building.units.begin(head);
                }
                self.keep(Some(body), 0)?;
            }
        } else {
            let mut bytes = BytesMut::with_capacity(head.len() + body.len());
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(&body);
            self.fragment = Some(Fragment::Other { kind, bytes });
        }
        Ok(())
    }

    fn classify(&mut self, head: &[u8], body: &[u8], at: usize) -> Result<Class, Error> {
        if head[0] & 0x80 != 0 {
            self.damage();
            return Err(Error::Invalid { what: "NAL unit header (forbidden bit)", at });
        }
        F::class(head, body).ok_or(Error::NotSupported { what: "NAL unit", kind: F::kind(head[0]), at })
    }

    /// Notes a slice of the access unit; false if it does not belong to it or the access unit is given up.
    fn slice(&mut self, class: Class, head: &[u8], body: &[u8]) -> bool {
        let (Class::Slice { key, first, leading }, Some(building)) = (class, &mut self.building) else { return false };
        if first && !building.damaged {
            let field = self.format.field(head, body);
            let pairs = |half: &Building| half.field.zip(field).is_some_and(|(one, other)| one.pairs_with(other));
            if building.has_slice && pairs(building) {
                building.field = None;
            } else if !building.has_slice {
                building.field = field;
                if let Some(first) = self.parked.take_if(|parked| pairs(parked)) {
                    building.follow(first);
                }
            }
        }
        if !building.has_slice && !first {
            let left = self.parked.as_ref().map(|parked| parked.timestamp).or(self.left);
            if left == Some(building.timestamp) && !building.uncertain && !self.wait_for_timestamp {
                self.wait_for_timestamp = true;
                self.sync = Sync::Lost; // what left was half a picture
            }
            building.damaged = true;
        }
        building.has_slice = true;
        building.key |= key;
        building.leading |= leading;
        building.uncertain = false;
        self.uncertain = false;
        !building.damaged
    }

    /// Adds a unit, or bytes to the last one, within the limits.
    fn keep(&mut self, bytes: Option<Bytes>, units: usize) -> Result<(), Error> {
        let Some(building) = self.building.as_mut().filter(|b| !b.damaged) else { return Ok(()) };
        let len = bytes.as_ref().map_or(0, Bytes::len);
        let excess = if building.units.len() + len > self.max_access_unit {
            Some((self.max_access_unit, "bytes"))
        } else if building.units.count() + units > MAX_UNITS {
            Some((MAX_UNITS, "NAL units"))
        } else if building.pieces >= MAX_PIECES {
            Some((MAX_PIECES, "pieces"))
        } else {
            None
        };
        if let Some((limit, of)) = excess {
            return self.give_up(limit, of);
        }
        building.pieces += 1;
        match bytes {
            Some(bytes) if units > 0 => building.units.push(bytes),
            Some(bytes) => building.units.extend(bytes),
            None => {}
        }
        Ok(())
    }

    fn give_up(&mut self, limit: usize, of: &'static str) -> Result<(), Error> {
        if let Some(Fragment::Other { .. }) = self.fragment {
            self.fragment = None;
        }
        match &mut self.building {
            Some(building) if !building.damaged => {
                building.damaged = true;
                building.units = Units::new(); // the memory is not needed until the access unit ends
                Err(Error::TooLarge { limit, of })
            }
            _ => Ok(()),
        }
    }

    fn no_start(&mut self, kind: u8, at: usize) -> Result<(), Error> {
        let Some(building) = &mut self.building else { return Ok(()) };
        // Behind lost packets it is no wonder, and in a damaged access unit it has been said.
        let known = building.damaged || building.uncertain;
        building.damaged = true;
        if known { Ok(()) } else { Err(Error::NoStart { kind, at }) }
    }

    /// Takes back an unfinished fragment; without a slice of its own the picture is damaged.
    fn abandon_fragment(&mut self) -> Option<u8> {
        let kind = match self.fragment.take()? {
            Fragment::Other { kind, .. } => kind,
            Fragment::Slice { kind } => {
                if let Some(building) = &mut self.building {
                    building.damaged = true;
                }
                kind
            }
        };
        Some(kind)
    }

    /// A picture with a hole that shows only in what the packet says.
    pub(super) fn damage(&mut self) {
        if let Some(building) = &mut self.building {
            building.damaged = true;
        }
    }

    fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        self.abandon_fragment();
        let Some(building) = self.building.take() else { return };
        self.release(out);
        if building.field.is_some() && !building.damaged {
            self.parked = Some(building);
            return;
        }
        self.leave(building, out);
    }

    /// Lets a first field go alone.
    fn release(&mut self, out: &mut Vec<AccessUnit>) {
        if let Some(parked) = self.parked.take() {
            self.leave(parked, out);
        }
    }

    fn leave(&mut self, building: Building, out: &mut Vec<AccessUnit>) {
        self.left = Some(building.timestamp);
        let (units, pieces) = building.units.counts();
        self.usual = (units.min(MAX_ROOM), pieces.next_power_of_two().min(MAX_ROOM));
        if building.damaged {
            self.sync = Sync::Lost;
            self.dropped += 1;
            return;
        }
        let reports = building.key || self.sync == Sync::Start;
        if building.key {
            self.skip_leading = self.sync != Sync::Running;
            self.sync = Sync::Running;
        } else if self.sync == Sync::Lost || self.skip_leading && building.leading {
            self.dropped += 1;
            return;
        }
        let parameters = if self.news && reports { self.format.parameters() } else { None };
        self.news &= parameters.is_none();
        out.push(AccessUnit { timestamp: building.timestamp, key: building.key, units: building.units, parameters });
    }
}
