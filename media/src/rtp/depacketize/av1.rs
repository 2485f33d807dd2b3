//! AV1 ("RTP Payload Format For AV1", section 4): OBU elements, whole or in parts, become temporal units as MP4 has them, each OBU
//! with its size and without delimiters.

use bytes::{Bytes, BytesMut};

use super::{AccessUnit, Error, MAX_ACCESS_UNIT, MAX_PIECES, MAX_UNITS};
use crate::codec::av1::{self, Config};
use crate::rtp::Packet;
use crate::{Parameters, Track, Units};

/// The aggregation header (section 4.4): the first element goes on from the packet before, the last goes on in the next.
const GOES_ON: u8 = 0x80;
const IS_OPEN: u8 = 0x40;
/// How many elements there are, if not 0; the last then has no length.
const COUNT_SHIFT: u8 = 4;

/// `show_existing_frame`, `frame_type` and `show_frame` of a key frame that is shown ("AV1 Bitstream", section 5.9.2).
const FRAME_KIND: u8 = 0xf0;
const SHOWN_KEY: u8 = 0x10;

/// What may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// No key frame has come yet; what comes leaves all the same.
    Start,
    Running,
    /// Something is missing: nothing leaves before the next key frame.
    Lost,
}

#[derive(Debug, Default)]
struct Building {
    timestamp: u32,
    units: Units,
    obus: usize,
    pieces: usize,
    /// Parts of the OBU that is not complete.
    open: Vec<Bytes>,
    open_len: usize,
    /// What its first frame is, once that is there.
    key: Option<bool>,
    /// Its first OBU is a sequence header.
    whole: bool,
    damaged: bool,
}

#[derive(Debug)]
pub(super) struct Depacketizer {
    pub(super) max_access_unit: usize,
    pub(super) dropped: u64,
    config: Option<Config>,
    /// The configuration is not what was reported.
    news: bool,
    building: Option<Building>,
    sync: Sync,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Self {
        let config = match &track.parameters {
            Some(Parameters::Av1(config)) => Some(config.clone()),
            _ => None,
        };
        let max_access_unit = MAX_ACCESS_UNIT;
        Self { max_access_unit, dropped: 0, config, news: false, building: None, sync: Sync::Start }
    }

    pub(super) fn parameters(&self) -> Option<Parameters> {
        self.config.clone().map(Parameters::Av1)
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        if lost {
            self.sync = Sync::Lost;
            if let Some(building) = &mut self.building {
                building.damaged = true;
            }
        }
        if self.building.as_ref().is_some_and(|building| building.timestamp != packet.timestamp) {
            self.finish(out);
        }
        let timestamp = packet.timestamp;
        self.building.get_or_insert_with(|| Building { timestamp, ..Building::default() });
        let read = self.elements(&packet.payload, lost);
        // A sequence header that cannot be read harms nobody who relays it.
        if read.as_ref().is_err_and(|error| !matches!(error, Error::Parameters { .. })) {
            self.damage();
        }
        if packet.marker {
            self.finish(out);
        }
        read
    }

    fn elements(&mut self, payload: &Bytes, lost: bool) -> Result<(), Error> {
        let Some(&head) = payload.first() else { return Ok(()) };
        let count = usize::from(head >> COUNT_SHIFT & 3);
        let (mut at, mut n) = (1, 0);
        let mut result = Ok(());
        while at < payload.len() {
            n += 1;
            let len = match av1::leb128(&payload[at..]) {
                _ if n == count => payload.len() - at,
                Some((len, size)) => {
                    at += size;
                    len
                }
                None => return Err(Error::Invalid { what: "length of an OBU element", at }),
            };
            if len > payload.len() - at {
                return Err(Error::Truncated { what: "OBU element", at });
            }
            let element = payload.slice(at..at + len);
            let is_last = at + len == payload.len();
            let (goes_on, open) = (n == 1 && head & GOES_ON != 0, is_last && head & IS_OPEN != 0);
            result = result.and(self.element(element, (goes_on, open), lost, at));
            at += len;
        }
        result
    }

    /// A whole OBU, or a part of one.
    fn element(&mut self, bytes: Bytes, (goes_on, open): (bool, bool), lost: bool, at: usize) -> Result<(), Error> {
        let max = self.max_access_unit;
        let Some(building) = self.building.as_mut().filter(|building| !building.damaged) else { return Ok(()) };
        if goes_on == building.open.is_empty() {
            building.damaged = true;
            return match (goes_on, lost) {
                // Behind lost packets it is no wonder.
                (true, true) => Ok(()),
                (true, false) => Err(Error::NoStart { kind: 0, at }),
                (false, _) => Err(Error::NoEnd { kind: 0, at }),
            };
        }
        building.open_len += bytes.len();
        building.pieces += 1;
        let excess = if building.units.len() + building.open_len > max {
            Some((max, "bytes"))
        } else if building.pieces > MAX_PIECES {
            Some((MAX_PIECES, "pieces"))
        } else if building.obus >= MAX_UNITS {
            Some((MAX_UNITS, "OBUs"))
        } else {
            None
        };
        if let Some((limit, of)) = excess {
            return Err(Error::TooLarge { limit, of });
        }
        building.open.push(bytes);
        if open { Ok(()) } else { self.obu(at) }
    }

    /// The open OBU is complete.
    fn obu(&mut self, at: usize) -> Result<(), Error> {
        let Some(building) = &mut self.building else { return Ok(()) };
        building.open_len = 0;
        let mut bytes = Units::single(Bytes::new());
        building.open.drain(..).for_each(|piece| bytes.extend(piece));
        let Some(unit) = bytes.iter().next().filter(|unit| !unit.is_empty()) else { return Ok(()) };
        // Its header with a size, and of a frame's the byte that says of which kind it is.
        let front: Vec<u8> = unit.pieces().flatten().take(12).copied().collect();
        let header = av1::header_len(front[0]);
        let truncated = Err(Error::Truncated { what: "OBU", at });
        let Some(after) = front.get(header..) else { return truncated };
        let (body, len) = match av1::leb128(after).filter(|_| front[0] & av1::HAS_SIZE != 0) {
            Some((len, size)) => (header + size, len),
            None if front[0] & av1::HAS_SIZE != 0 => return truncated,
            None => (header, unit.len() - header),
        };
        if len > unit.len() - body {
            return truncated;
        }
        let mut result = Ok(());
        match av1::obu_type(front[0]) {
            av1::TEMPORAL_DELIMITER | av1::TILE_LIST | av1::PADDING => return Ok(()),
            av1::SEQUENCE_HEADER => {
                building.whole |= building.obus == 0;
                let payload: Vec<u8> = unit.pieces().flatten().skip(body).take(len).copied().collect();
                match Config::parse(&payload) {
                    Ok(config) if self.config.as_ref() != Some(&config) => {
                        self.config = Some(config);
                        self.news = true;
                    }
                    Ok(_) => {}
                    Err(source) => result = Err(Error::Parameters { at, source }),
                }
            }
            av1::FRAME_HEADER | av1::FRAME if building.key.is_none() => {
                building.key = Some(front.get(body).is_some_and(|byte| byte & FRAME_KIND == SHOWN_KEY));
            }
            _ => {}
        }
        let mut head = BytesMut::with_capacity(header + 5);
        head.extend_from_slice(&front[..header]);
        head[0] |= av1::HAS_SIZE;
        av1::put_leb128(len, &mut head);
        // MP4 has a temporal unit in one sample: one unit of ours.
        if building.obus == 0 {
            building.units.push(head.freeze());
        } else {
            building.units.extend(head.freeze());
        }
        building.obus += 1;
        let (mut skip, mut left) = (body, len);
        for piece in unit.slices() {
            let from = skip.min(piece.len());
            let to = (from + left).min(piece.len());
            (skip, left) = (skip - from, left - (to - from));
            building.units.extend(piece.slice(from..to));
        }
        result
    }

    fn damage(&mut self) {
        if let Some(building) = &mut self.building {
            building.damaged = true;
            // The memory is not needed until the temporal unit ends.
            (building.units, building.open) = Default::default();
        }
    }

    fn finish(&mut self, out: &mut Vec<AccessUnit>) {
        let Some(building) = self.building.take() else { return };
        let key = building.key == Some(true);
        if building.damaged || !building.open.is_empty() {
            self.sync = Sync::Lost;
            self.dropped += 1;
            return;
        }
        if building.units.is_empty() {
            return;
        }
        // Its beginning may be missing too, unless that is a sequence header.
        if self.sync == Sync::Lost && !(key && building.whole) {
            self.dropped += 1;
            return;
        }
        if key {
            self.sync = Sync::Running;
        }
        let reports = self.news && (key || self.sync == Sync::Start);
        let parameters = if reports { self.parameters() } else { None };
        self.news &= !reports;
        out.push(AccessUnit { timestamp: building.timestamp, key, units: building.units, parameters });
    }
}
