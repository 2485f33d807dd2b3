//! MP4 and QuickTime files (ISO 14496-12, -14 and -15), as far as playing H.264, H.265 and AAC from one file needs it.
//!
//! Only the index (`moov`) is in memory, as it came: its tables are walked, not unpacked. What else the file holds is the
//! reader's business, which asks [`boxes::Head`] from box to box until it has the index.

pub mod boxes;
mod entry;
mod samples;

use bytes::Bytes;

use crate::Kind;
use crate::clip::{ClipTrack, MAX_TRACKS, Sample};
use boxes::{Boxed, FourCc};
use samples::{Cursor, Table};

/// Bytes of an index at most: about six hours of video and audio.
pub const MAX_INDEX: u64 = 32 << 20;
/// Samples of a track at most: a day of AAC has four million.
pub const MAX_SAMPLES: u32 = 10_000_000;

/// Why a file cannot be played. Positions are bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A box goes past the end of the file or of the box around it.
    #[error("the box {what} at byte {at} is cut off")]
    Truncated {
        /// Its kind.
        what: FourCc,
        /// Where its body or its head stands.
        at: u64,
    },
    /// A box that is shorter than its own head.
    #[error("the box {what} at byte {at} claims {len} bytes")]
    Length {
        /// Its kind.
        what: FourCc,
        /// Where it stands.
        at: u64,
        /// What it says.
        len: u64,
    },
    /// A box that must be there.
    #[error("the box {within} at byte {at} has no {what}")]
    Missing {
        /// The kind that is missing.
        what: FourCc,
        /// The kind of the box around it.
        within: FourCc,
        /// Where that one's body stands.
        at: u64,
    },
    /// A value that makes no sense.
    #[error("the box {what} at byte {at} has an invalid {field}")]
    Invalid {
        /// Its kind.
        what: FourCc,
        /// Where its body stands.
        at: u64,
        /// What is invalid.
        field: &'static str,
    },
    /// More than [`MAX_SAMPLES`].
    #[error("the box {what} at byte {at} counts {count} samples, more than {MAX_SAMPLES}")]
    TooMany {
        /// Its kind.
        what: FourCc,
        /// Where its body stands.
        at: u64,
        /// As it says.
        count: u32,
    },
    /// Its samples are described in pieces all over the file.
    #[error("a fragmented MP4 cannot be played; ffmpeg -i IN -c copy OUT.mp4 makes a plain one")]
    Fragmented,
    /// A sample that begins or ends outside of what a file can have, or whose place no table tells.
    #[error("sample {number} of track {track} has no place in the file")]
    Place {
        /// Index of the track.
        track: usize,
        /// From 0.
        number: u32,
    },
}

/// The index of a file.
#[derive(Debug, Clone)]
pub struct Movie {
    tracks: Vec<Indexed>,
    /// What of the file is not played, and why.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Indexed {
    clip: ClipTrack,
    table: Table,
}

impl Movie {
    /// Reads the body of a `moov` box that stands at byte `at` of the file: the first video and all audio tracks that the hub
    /// knows. Others are left out with a note.
    ///
    /// # Errors
    /// What is wrong with the index, and where.
    pub fn parse(moov: Bytes, at: u64) -> Result<Self, Error> {
        let moov = Boxed { kind: FourCc(*b"moov"), at, body: moov };
        if moov.find(b"mvex")?.is_some() {
            return Err(Error::Fragmented);
        }
        let header = moov.child(b"mvhd")?;
        let timescale = header.u32(if header.u32(0)? >> 24 == 1 { 20 } else { 12 })?;
        let mut movie = Self { tracks: Vec::new(), notes: Vec::new() };
        for (number, found) in moov.children(0).filter(is_track).enumerate() {
            let left_out = match track(&found?, timescale)? {
                Ok(_) if movie.tracks.len() >= MAX_TRACKS => "the file has too many tracks".to_owned(),
                Ok(track) if track.clip.track.kind == Kind::Video && movie.has_video() => {
                    "it is a second video".to_owned()
                }
                Ok(track) => {
                    let index = movie.tracks.len();
                    movie.tracks.push(Indexed { clip: track.clip.at(index), table: track.table });
                    continue;
                }
                Err(reason) => reason,
            };
            if movie.notes.len() < MAX_TRACKS {
                movie.notes.push(format!("track {} is left out: {left_out}", number + 1));
            }
        }
        Ok(movie)
    }

    fn has_video(&self) -> bool {
        self.tracks.iter().any(|track| track.clip.track.kind == Kind::Video)
    }

    /// The tracks that are played.
    pub fn tracks(&self) -> impl Iterator<Item = &ClipTrack> {
        self.tracks.iter().map(|track| &track.clip)
    }

    /// From the first sample on.
    pub fn begin(&self) -> Position {
        Position { cursors: self.tracks.iter().map(|track| (Cursor::default(), track.table.next_time(0, 0))).collect() }
    }

    /// The next sample in the order of decode times, or `None` at the end.
    ///
    /// # Errors
    /// If the tables do not tell where it is.
    pub fn next(&self, position: &mut Position) -> Result<Option<Sample>, Error> {
        let due = position.cursors.iter().enumerate().filter_map(|(n, (_, time))| Some(((*time)?, n)));
        let Some((_, track)) = due.min() else { return Ok(None) };
        let (Some((cursor, time)), Some(indexed)) = (position.cursors.get_mut(track), self.tracks.get(track)) else {
            return Ok(None);
        };
        let number = cursor.number();
        let sample = indexed.table.sample(cursor, track).ok_or(Error::Place { track, number })?;
        *time = indexed.table.next_time(cursor.number(), cursor.time());
        Ok(Some(sample))
    }
}

/// How far a film was read: per track, and the decode time of its next sample in nanoseconds.
#[derive(Debug, Clone)]
pub struct Position {
    cursors: Vec<(Cursor, Option<i64>)>,
}

fn is_track(found: &Result<Boxed, Error>) -> bool {
    !matches!(found, Ok(found) if found.kind.0 != *b"trak")
}

/// The track, or why it is left out.
type Taken = Result<Indexed, String>;

fn track(trak: &Boxed, movie_timescale: u32) -> Result<Taken, Error> {
    let media = trak.child(b"mdia")?;
    let (header, handler) = (media.child(b"mdhd")?, media.child(b"hdlr")?);
    let kind = handler.u32(8)?.to_be_bytes();
    if !matches!(&kind, b"vide" | b"soun") {
        return Ok(Err(format!("it is of kind {}", FourCc(kind))));
    }
    let timescale = header.u32(if header.u32(0)? >> 24 == 1 { 20 } else { 12 })?;
    if timescale == 0 {
        return Err(Error::Invalid { what: header.kind, at: header.at, field: "timescale" });
    }
    let tables = media.child(b"minf")?.child(b"stbl")?;
    let clip = match entry::read(&tables.child(b"stsd")?)? {
        Ok(clip) => clip,
        Err(reason) => return Ok(Err(reason)),
    };
    let shift = shift(trak, timescale, movie_timescale)?;
    let table = Table::read(&tables, timescale, shift)?;
    if table.is_empty() {
        return Ok(Err("it has no samples".into()));
    }
    Ok(Ok(Indexed { clip, table }))
}

/// What the edit list adds to a track's times, in its ticks: a pause before the first edit, less where that begins. Later
/// edits are not followed.
fn shift(trak: &Boxed, timescale: u32, movie_timescale: u32) -> Result<i64, Error> {
    let Some(list) = trak.find(b"edts")?.map(|edits| edits.find(b"elst")).transpose()?.flatten() else { return Ok(0) };
    let long = list.u32(0)? >> 24 == 1;
    let size = if long { 20 } else { 12 };
    list.entries(4, size)?;
    let mut pause: i64 = 0;
    for n in 0..list.u32(4)? as usize {
        let at = 8 + n * size;
        let (duration, start) = if long {
            (list.u64(at)?, list.u64(at + 8)? as i64)
        } else {
            (u64::from(list.u32(at)?), i64::from(list.u32(at + 4)? as i32))
        };
        if start >= 0 {
            return Ok(pause.saturating_sub(start));
        }
        let ticks = u128::from(duration) * u128::from(timescale) / u128::from(movie_timescale.max(1));
        pause = pause.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
    }
    Ok(pause)
}

/// Whether the first bytes of a file are those of an MP4 or QuickTime file: a box that may come first.
pub fn is_mp4(start: &[u8]) -> bool {
    let kinds = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"];
    start.get(4..8).is_some_and(|kind| kinds.iter().any(|known| *known == kind))
}

#[cfg(test)]
mod tests;
