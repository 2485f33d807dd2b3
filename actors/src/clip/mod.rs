//! Plays a clip again and again with times that go on for ever: files of routes, and the demo that is in the binary.
//!
//! [`Reader`] gives the frames, [`Sender`] makes packets of them, as a camera would send them. Both block for as long as a read
//! takes: files are read off the actors' threads.

mod flv;
mod medium;
mod sender;

use std::io;
use std::time::{Duration, Instant};

use ipchub_media::clip::{ClipTrack, Extent, Measure, Sample};
use ipchub_media::flv::demux::DemuxError;
use ipchub_media::mp4::boxes::{Head, MAX_HEAD};
use ipchub_media::mp4::{self, MAX_INDEX, Movie, Position};
use ipchub_media::rtp::depacketize::MAX_ACCESS_UNIT;
use ipchub_media::{Kind, Units};

use flv::Walk;
pub(crate) use medium::Medium;
pub(crate) use sender::Sender;

/// Boxes passed over before the index of an MP4: a file has a handful, a recorder's may have a few at each pause.
const MAX_BOXES: usize = 1000;
/// How often the deadline is looked at, in samples.
const PACE: usize = 1024;

/// Why a clip cannot be played. Its name is for the caller to add.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ClipError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is {0}, not a file")]
    NoFile(&'static str),
    #[error("it lies outside of the route's folder")]
    Outside,
    #[error("{0:?} in the path is not allowed: no hidden files, no '..', no slashes or backslashes in a name")]
    Name(String),
    #[error("it is empty")]
    Empty,
    #[error("it is neither MP4 nor FLV")]
    Format,
    #[error("{0}")]
    Mp4(#[from] mp4::Error),
    #[error("the MP4 has no index (moov): it is cut off, or was never finished")]
    NoIndex,
    #[error("the MP4's index at byte {at} has {len} bytes, at most {MAX_INDEX} are read")]
    LargeIndex { at: u64, len: u64 },
    #[error("{0}")]
    Flv(#[from] DemuxError),
    #[error("the parameters of the FLV change at byte {at}")]
    Changing { at: u64 },
    #[error("{what}: {source}")]
    Parameters { what: &'static str, source: ipchub_media::codec::Error },
    #[error("it has no H.264, H.265 or AAC that can be played{0}")]
    Nothing(String),
    #[error("it is too short to be played")]
    TooShort,
    #[error("it is cut off: the frame at byte {at} goes past its end at byte {end}")]
    CutOff { at: u64, end: u64 },
    #[error("it was changed while it was played")]
    Changed,
    #[error("its index could not be read in time")]
    Slow,
}

/// A frame that is to be sent.
#[derive(Debug)]
pub(crate) struct ClipFrame {
    pub(crate) track: usize,
    /// When, after the first frame of the first round.
    pub(crate) due: Duration,
    /// When it is shown, in nanoseconds from the first round's beginning.
    pub(crate) pts: i64,
    /// What is sent, or why it cannot be.
    pub(crate) units: Result<Units, String>,
    /// Bytes read.
    pub(crate) len: usize,
}

/// Reads a clip's frames in the order of their decode times, round after round.
#[derive(Debug)]
pub(crate) struct Reader {
    medium: Medium,
    index: Index,
    tracks: Vec<ClipTrack>,
    /// What of the file is not played.
    notes: Vec<String>,
    extent: Extent,
    round: i64,
}

#[derive(Debug)]
enum Index {
    Mp4 { movie: Movie, position: Position },
    Flv(Walk),
}

impl Index {
    fn next(&mut self, medium: &Medium) -> Result<Option<Sample>, ClipError> {
        match self {
            Self::Mp4 { movie, position } => Ok(movie.next(position)?),
            Self::Flv(walk) => walk.next(medium),
        }
    }

    fn rewind(&mut self) {
        match self {
            Self::Mp4 { movie, position } => *position = movie.begin(),
            Self::Flv(walk) => walk.rewind(),
        }
    }
}

impl Reader {
    /// Reads the index and looks whether all of the clip is there.
    pub(crate) fn open(medium: Medium, deadline: Instant) -> Result<Self, ClipError> {
        let start = medium.peek(0, 32)?;
        if start.is_empty() {
            return Err(ClipError::Empty);
        }
        let (index, tracks, notes) = if start.starts_with(b"FLV") {
            let opened = Walk::open(&medium, &start, deadline)?;
            (Index::Flv(opened.walk), opened.tracks, opened.notes)
        } else if mp4::is_mp4(&start) {
            let movie = movie(&medium)?;
            let (tracks, notes) = (movie.tracks().cloned().collect(), movie.notes.clone());
            (Index::Mp4 { position: movie.begin(), movie }, tracks, notes)
        } else {
            return Err(ClipError::Format);
        };
        let extent = Extent { length: 0, first: 0, sound: 0 };
        let mut reader = Self { medium, index, tracks, notes, extent, round: 0 };
        reader.measure(deadline)?;
        Ok(reader)
    }

    fn measure(&mut self, deadline: Instant) -> Result<(), ClipError> {
        let mut measure = Measure::default();
        let mut count = 0_usize;
        while let Some(sample) = self.index.next(&self.medium)? {
            let end = self.medium.len();
            if sample.offset.checked_add(sample.len.into()).is_none_or(|needs| needs > end) {
                return Err(ClipError::CutOff { at: sample.offset, end });
            }
            if sample.len > 0 {
                measure.add(self.kind(&sample), &sample);
            }
            count += 1;
            if count.is_multiple_of(PACE) && Instant::now() > deadline {
                return Err(ClipError::Slow);
            }
        }
        self.index.rewind();
        if self.tracks.is_empty() || count == 0 {
            let notes = self.notes.join("; ");
            return Err(ClipError::Nothing(if notes.is_empty() { notes } else { format!(": {notes}") }));
        }
        self.extent = measure.extent().ok_or(ClipError::TooShort)?;
        Ok(())
    }

    fn kind(&self, sample: &Sample) -> Kind {
        self.tracks.get(sample.track).map_or(Kind::Other, |track| track.track.kind)
    }

    pub(crate) fn tracks(&self) -> &[ClipTrack] {
        &self.tracks
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The next frame. After the last one comes the first of the next round.
    pub(crate) fn next(&mut self) -> Result<ClipFrame, ClipError> {
        let mut rewound = false;
        loop {
            let Some(sample) = self.index.next(&self.medium)? else {
                // A round without a frame: the file was emptied.
                if std::mem::replace(&mut rewound, true) {
                    return Err(ClipError::Changed);
                }
                self.medium.check()?;
                self.index.rewind();
                self.round += 1;
                continue;
            };
            let plays = self.kind(&sample) == Kind::Video || self.extent.holds_audio(&sample);
            if sample.len > 0 && plays {
                return self.frame(&sample);
            }
        }
    }

    fn frame(&self, sample: &Sample) -> Result<ClipFrame, ClipError> {
        let start = self.extent.length.saturating_mul(self.round);
        let due = start.saturating_add(sample.dts.saturating_sub(self.extent.first));
        let len = sample.len as usize;
        let units = match self.tracks.get(sample.track) {
            _ if len > MAX_ACCESS_UNIT => {
                Err(format!("the frame at byte {} has {len} bytes, at most {MAX_ACCESS_UNIT} are sent", sample.offset))
            }
            Some(track) => {
                let units = track.units(&self.medium.read(sample.offset, len)?, sample.key);
                units.map_err(|error| format!("the frame at byte {}: {error}", sample.offset))
            }
            None => Err("a frame of no track".into()),
        };
        Ok(ClipFrame {
            track: sample.track,
            due: Duration::from_nanos(u64::try_from(due).unwrap_or(0)),
            pts: start.saturating_add(sample.pts),
            units,
            len,
        })
    }

    /// Whether the clip is still the one that was opened.
    pub(crate) fn check(&self) -> Result<(), ClipError> {
        self.medium.check()
    }
}

/// Finds the index of an MP4 and reads it.
fn movie(medium: &Medium) -> Result<Movie, ClipError> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        let room = medium.len().saturating_sub(at);
        if room == 0 {
            return Err(ClipError::NoIndex);
        }
        let head = Head::parse(&medium.peek(at, MAX_HEAD)?, at, room)?;
        match &head.kind.0 {
            b"moov" if head.len > MAX_INDEX => return Err(ClipError::LargeIndex { at, len: head.len }),
            b"moov" => {
                let body = at + head.head;
                let moov = medium.read(body, (head.len - head.head) as usize)?;
                return Ok(Movie::parse(moov, body)?);
            }
            b"moof" => return Err(mp4::Error::Fragmented.into()),
            _ => at += head.len,
        }
    }
    Err(ClipError::NoIndex)
}

#[cfg(test)]
mod tests;
