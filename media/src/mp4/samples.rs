//! The tables of a track (ISO 14496-12, section 8.6 and 8.7): how long each sample lasts, where it is, how large.

use bytes::Bytes;

use super::boxes::{Boxed, FourCc};
use super::{Error, MAX_SAMPLES};
use crate::clip::Sample;

/// Times beyond this, in ticks, are taken for nonsense; a year at 1 MHz is a tenth of it.
const MAX_TICKS: i64 = 1 << 48;
/// Sums of a few of these do not overflow: 36 years.
const MAX_NANOS: i64 = 1 << 60;

/// The tables, as they stand in the file.
#[derive(Debug, Clone)]
pub(super) struct Table {
    timescale: u32,
    /// Added to every time, in ticks.
    shift: i64,
    count: u32,
    /// `stts`: count, ticks.
    durations: Bytes,
    /// `ctts`: count, ticks; may be empty.
    compositions: Bytes,
    /// `stsc`: first chunk (from 1), samples a chunk, description.
    runs: Bytes,
    /// `stco` or `co64`.
    chunks: Bytes,
    /// Bytes of an entry of `chunks`.
    chunk_size: usize,
    /// `stsz`: of all samples, or 0.
    size: u32,
    /// `stsz`: of each.
    sizes: Bytes,
    /// `stss`: numbers from 1; `None`: all are key frames.
    keys: Option<Bytes>,
}

/// Where a walk over a track's samples is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    number: u32,
    time: i64,
    duration: Entry,
    composition: Entry,
    run: u32,
    chunk: u32,
    in_chunk: u32,
    /// Bytes of the chunk before this sample.
    offset: u64,
    key: u32,
}

/// A place in a table of runs.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    index: u32,
    used: u32,
}

impl Entry {
    /// The value for the next sample in a table of count and value. Empty runs are passed over; each is passed once.
    fn next(&mut self, table: &Bytes) -> Option<u32> {
        loop {
            let (count, value) = (word(table, self.index, 8, 0)?, word(table, self.index, 8, 4)?);
            if self.used < count {
                self.used += 1;
                return Some(value);
            }
            *self = Self { index: self.index + 1, used: 0 };
        }
    }
}

/// A number in entry `index` of a table whose entries have `size` bytes.
fn word(table: &Bytes, index: u32, size: usize, at: usize) -> Option<u32> {
    let start = (index as usize).checked_mul(size)? + at;
    table.get(start..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

impl Cursor {
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn time(&self) -> i64 {
        self.time
    }
}

impl Table {
    pub(super) fn read(tables: &Boxed, timescale: u32, shift: i64) -> Result<Self, Error> {
        let sizes = match tables.find(b"stsz")? {
            Some(sizes) => sizes,
            None if tables.find(b"stz2")?.is_some() => {
                return Err(Error::Invalid {
                    what: FourCc(*b"stz2"),
                    at: tables.at,
                    field: "size table (stsz is read)",
                });
            }
            None => return Err(Error::Missing { what: FourCc(*b"stsz"), within: tables.kind, at: tables.at }),
        };
        let (size, count) = (sizes.u32(4)?, sizes.u32(8)?);
        if count > MAX_SAMPLES {
            return Err(Error::TooMany { what: sizes.kind, at: sizes.at, count });
        }
        let each = if size == 0 { sizes.entries(8, 4)? } else { Bytes::new() };
        let table = |kind: &[u8; 4], size| tables.find(kind)?.map(|found| found.entries(4, size)).transpose();
        let needed = |kind: &[u8; 4], size| tables.child(kind)?.entries(4, size);
        let (chunks, chunk_size) = match table(b"co64", 8)? {
            Some(chunks) => (chunks, 8),
            None => (needed(b"stco", 4)?, 4),
        };
        Ok(Self {
            timescale,
            shift: shift.clamp(-MAX_TICKS, MAX_TICKS),
            count,
            durations: needed(b"stts", 8)?,
            compositions: table(b"ctts", 8)?.unwrap_or_default(),
            runs: needed(b"stsc", 12)?,
            chunks,
            chunk_size,
            size,
            sizes: each,
            keys: table(b"stss", 4)?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn nanos(&self, ticks: i64) -> i64 {
        let nanos = (i128::from(ticks) * 1_000_000_000).div_euclid(i128::from(self.timescale));
        nanos.clamp(i128::from(-MAX_NANOS), i128::from(MAX_NANOS)) as i64
    }

    /// When sample `number` is decoded, in nanoseconds, if it has `time` ticks; `None` behind the last one.
    pub(super) fn next_time(&self, number: u32, time: i64) -> Option<i64> {
        (number < self.count).then(|| self.nanos(time + self.shift))
    }

    /// The sample at the cursor, which goes on to the next one. `None`: the tables do not tell it.
    pub(super) fn sample(&self, cursor: &mut Cursor, track: usize) -> Option<Sample> {
        let number = cursor.number;
        let len = if self.size == 0 { word(&self.sizes, number, 4, 0)? } else { self.size };
        let offset = self.place(cursor, len)?;
        // The duration of the last ones may be left out; so may compositions.
        let ticks = i64::from(cursor.duration.next(&self.durations).unwrap_or(0));
        // Signed in version 1; version 0 has no values that large.
        let composition = i64::from(cursor.composition.next(&self.compositions).unwrap_or(0) as i32);
        let dts = cursor.time + self.shift;
        cursor.time = Some(cursor.time + ticks).filter(|time| *time < MAX_TICKS)?;
        cursor.number += 1;
        let key = match &self.keys {
            None => true,
            Some(keys) => {
                let key = word(keys, cursor.key, 4, 0) == Some(cursor.number);
                cursor.key += u32::from(key);
                key
            }
        };
        let (end, pts) = (self.nanos(dts + ticks), self.nanos(dts + composition));
        let dts = self.nanos(dts);
        Some(Sample { track, offset, len, dts, pts, duration: end - dts, key })
    }

    /// Where the sample at the cursor stands.
    fn place(&self, cursor: &mut Cursor, len: u32) -> Option<u64> {
        // Runs say how many samples a chunk has from some chunk on.
        let mut samples = word(&self.runs, cursor.run, 12, 4)?;
        while cursor.in_chunk >= samples {
            (cursor.chunk, cursor.in_chunk, cursor.offset) = (cursor.chunk.checked_add(1)?, 0, 0);
            // Chunks that there are: this ends.
            self.chunk(cursor.chunk)?;
            if word(&self.runs, cursor.run + 1, 12, 0) == Some(cursor.chunk + 1) {
                cursor.run += 1;
            }
            samples = word(&self.runs, cursor.run, 12, 4)?;
        }
        let offset = self.chunk(cursor.chunk)?.checked_add(cursor.offset)?;
        cursor.offset += u64::from(len);
        cursor.in_chunk += 1;
        Some(offset)
    }

    fn chunk(&self, index: u32) -> Option<u64> {
        if self.chunk_size == 4 {
            return word(&self.chunks, index, 4, 0).map(u64::from);
        }
        Some(u64::from(word(&self.chunks, index, 8, 0)?) << 32 | u64::from(word(&self.chunks, index, 8, 4)?))
    }
}
