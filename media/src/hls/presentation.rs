//! What can be asked for at one moment: segments, parts, init sections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Format;
use super::container::Init;

/// A piece of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Of the track that leads.
    pub duration: Duration,
    /// A decoder can start within it.
    pub independent: bool,
    /// Shared with the whole segment once that is complete.
    pub bytes: Bytes,
}

/// A segment, complete or being made.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub number: u64,
    /// Since 1970, of its first frame.
    pub date: Duration,
    /// So far.
    pub duration: Duration,
    /// In order.
    pub parts: Vec<Part>,
    /// Bytes of all parts.
    pub len: usize,
    /// All parts; `None` while it is being made, and when it is kept elsewhere.
    pub body: Option<Bytes>,
    /// It begins with a key frame.
    pub independent: bool,
    /// It does not follow the one before.
    pub discontinuity: bool,
    /// What must be decoded with it.
    pub init: Arc<Init>,
}

/// Whether a part is there.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// It is.
    Found(Bytes),
    /// It is the next that will be.
    Next,
    /// It is gone, or too far ahead.
    Missing,
}

/// One moment of a source.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// The container.
    pub format: Format,
    /// How long a part is meant to be, and the longest so far.
    pub part_target: Duration,
    /// Whole seconds of the longest segment so far.
    pub target_duration: u64,
    /// Segments that playlists list.
    pub window: usize,
    /// Complete ones; those before the window are not listed, but still there for players that read an older playlist.
    pub segments: VecDeque<Arc<Segment>>,
    /// What is being made.
    pub open: Option<Segment>,
    /// The number of the segment that is being made, or comes next.
    pub next: u64,
    /// Discontinuities before the first kept segment.
    pub discontinuities: u64,
    /// Of what comes next.
    pub init: Option<Arc<Init>>,
    /// Pictures a second as they come.
    pub frame_rate: Option<f64>,
    /// Nothing will come any more.
    pub ended: bool,
}

/// Targets that a blocking reload may be ahead (RFC 8216bis, section 6.2.5.2: more than two segments is an error).
const AHEAD: u64 = 2;

impl Presentation {
    /// Segments that are listed.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.segments.iter().skip(self.unlisted())
    }

    /// How many kept segments are before the window.
    pub(super) fn unlisted(&self) -> usize {
        self.segments.len().saturating_sub(self.window)
    }

    /// Whether something can be played, by players that know no parts too.
    pub fn has_content(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The number of parts of the segment that is being made.
    fn open_parts(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.parts.len())
    }

    /// Whether a playlist has that segment, or that part of it (RFC 8216bis, section 6.2.5.2). A part beyond the last of a
    /// complete segment is the first of the next.
    pub fn has(&self, number: u64, part: Option<usize>) -> bool {
        match part {
            None => number < self.next,
            Some(part) if number == self.next => part < self.open_parts(),
            Some(part) if number + 1 == self.next => {
                let parts = self.segments.back().map_or(0, |segment| segment.parts.len());
                part < parts || self.open_parts() > 0
            }
            Some(_) => number < self.next,
        }
    }

    /// Whether that is so far ahead that a player cannot mean it.
    pub fn is_too_far(&self, number: u64) -> bool {
        number > self.next.saturating_add(AHEAD)
    }

    /// A complete segment.
    pub fn segment(&self, number: u64) -> Option<&Arc<Segment>> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// A part.
    pub fn part(&self, number: u64, part: usize) -> Lookup {
        let found = match self.open.as_ref().filter(|open| open.number == number) {
            Some(open) => open.parts.get(part),
            None => self.segment(number).and_then(|segment| segment.parts.get(part)),
        };
        // Of a segment that is kept elsewhere the parts are gone.
        let found = found.filter(|part| !part.bytes.is_empty());
        match found {
            Some(part) => Lookup::Found(part.bytes.clone()),
            None if self.hinted() == (number, part) && !self.ended => Lookup::Next,
            None => Lookup::Missing,
        }
    }

    /// The part that comes next, which playlists hint at. The last of a segment is followed by the first of the next one,
    /// so it may never be.
    pub fn hinted(&self) -> (u64, usize) {
        (self.next, self.open_parts())
    }

    /// An init section, by its number.
    pub fn init(&self, number: u64) -> Option<&Arc<Init>> {
        let kept = self.segments.iter().map(|segment| &segment.init).chain(&self.init);
        kept.chain(self.open.as_ref().map(|open| &open.init)).find(|init| init.number == number)
    }

    /// Discontinuities before what comes next, if that does not follow what is here.
    pub fn next_discontinuity(&self) -> u64 {
        let all = self.segments.iter().map(|segment| &**segment).chain(&self.open);
        self.discontinuities + all.filter(|segment| segment.discontinuity).count() as u64 + 1
    }

    /// Bits a second: of the segment that needs most, and of all together.
    pub fn bandwidth(&self) -> (u64, u64) {
        let all = || self.segments.iter().map(|segment| &**segment).chain(&self.open);
        let rate = |bytes: usize, time: Duration| {
            if time.is_zero() { 0 } else { (bytes as f64 * 8.0 / time.as_secs_f64()).ceil() as u64 }
        };
        // A short beginning with its key frame says little.
        let long = all().filter(|segment| self.segments.is_empty() || segment.duration >= self.part_target * 3);
        let peak = long.map(|segment| rate(segment.len, segment.duration)).max().unwrap_or(0);
        let average = rate(all().map(|segment| segment.len).sum(), all().map(|segment| segment.duration).sum());
        (peak.max(average), average)
    }
}
