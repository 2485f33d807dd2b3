//! Cuts frames into parts and segments.
//!
//! How long a frame is tells the next one of its track, so the newest frame of each track is held back. A part ends where
//! another frame would make it too long, a segment at the key frame that is nearest to `fragment`.

mod absence;
mod part_length;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::container::{Container, Format, Init};
use super::presentation::{Part, Presentation, Segment};
use super::wall::Wall;
use crate::fmp4::{Error, Sample};
use crate::frame::{Frame, Kind, Track};

/// A longer pause of what leads is a discontinuity: players would wait for it. Slow cameras send a picture a second.
const MAX_PAUSE: f64 = 3.0;
/// Seconds of a segment at least: their numbers must not outrun the clock, see [`Config::first`].
const MIN_SEGMENT: f64 = 1.0;
/// Seconds of the rest of the first GOP, which is a segment of its own unless it is shorter. Sound comes behind the picture by some
/// frames: hls.js finds no place in a segment that lasts no longer than that, and plays on only when that left the playlist.
const MIN_REST: f64 = 0.5;
/// A segment without a key frame is cut after as many times `fragment`: cameras with endless GOPs exist, and what is being
/// made lies in memory.
const MAX_STRETCH: f64 = 5.0;
/// Complete segments that are kept after they left the playlist: for players that read an older one.
const KEPT_UNLISTED: usize = 2;
/// A frame's length until a second one tells it, in parts of a second.
const USUAL_FRAME: u32 = 25;

/// How to cut.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The container.
    pub format: Format,
    /// Length of parts, about.
    pub part: Duration,
    /// Segments are about this long, in whole GOPs.
    pub fragment: Duration,
    /// Segments in a playlist.
    pub window: usize,
    /// Bytes of all segments in memory at most; older ones are given up before.
    pub max_bytes: usize,
    /// Number of the first segment and of the first init section. Taken from a clock in seconds it makes the numbers of a later run higher than all before.
    pub first: u64,
    /// Discontinuities before the first segment. A low number: hls.js makes an array as long.
    pub discontinuities: u64,
}

#[derive(Debug)]
struct Held {
    frame: Frame,
    /// Ticks that the frame before it lasted.
    usual: u32,
}

/// What is being made of the part.
#[derive(Debug, Default)]
struct Draft {
    samples: Vec<Sample>,
    /// Decode time of its first frame of what leads.
    begin: i64,
    bytes: usize,
    independent: bool,
}

/// Cuts the frames of one source.
#[derive(Debug)]
pub struct Segmenter {
    config: Config,
    tracks: Vec<Track>,
    /// The container is for the sound alone.
    video_is_absent: bool,
    container: Option<Container>,
    /// What takes its place at the next key frame.
    next_container: Option<Container>,
    inits: u64,
    init: Option<Arc<Init>>,
    /// The newest frame of each track.
    held: BTreeMap<usize, Held>,
    draft: Draft,
    segment: Option<Segment>,
    /// Decode time of its first frame.
    begin: i64,
    /// Decode time of the last key frame of what leads.
    last_key: i64,
    /// Part length in ticks of what leads; 0 until two frames have told how long those are.
    part_ticks: i64,
    /// How long frames were that came before, in ticks.
    cached_step: Option<u32>,
    segments: VecDeque<Arc<Segment>>,
    next: u64,
    fragments: u32,
    discontinuity: bool,
    discontinuities: u64,
    part_target: Duration,
    target_duration: u64,
    /// Frames of what leads, and their ticks, since the init section began.
    pictures: (u32, i64),
    wall: Wall,
    /// It is given what was there before.
    opening: bool,
}

impl Segmenter {
    /// For these tracks.
    pub fn new(config: Config, tracks: &[Track]) -> Self {
        let mut segmenter = Self {
            config,
            tracks: Vec::new(),
            video_is_absent: false,
            container: None,
            next_container: None,
            inits: config.first,
            init: None,
            held: BTreeMap::new(),
            draft: Draft::default(),
            segment: None,
            begin: 0,
            last_key: 0,
            part_ticks: 0,
            cached_step: None,
            segments: VecDeque::new(),
            next: config.first,
            fragments: 0,
            discontinuity: false,
            discontinuities: config.discontinuities,
            part_target: Duration::ZERO,
            target_duration: (config.fragment.as_secs_f64().ceil() as u64).max(1),
            pictures: (0, 0),
            wall: Wall::default(),
            opening: false,
        };
        segmenter.retune(tracks);
        segmenter
    }

    /// Other tracks, or the same after a gap: what comes does not follow what was.
    pub fn retune(&mut self, tracks: &[Track]) {
        self.break_off();
        self.tracks = tracks.to_vec();
        self.video_is_absent = false;
        self.container = self.container_of_now();
        self.next_container = None;
        self.init = None;
    }

    /// Parameter sets are known, or changed: they count from the next key frame on.
    pub fn set_parameters(&mut self, tracks: &[Track]) {
        self.tracks = tracks.to_vec();
        let Some(next) = self.container_of_now() else { return };
        match &self.container {
            Some(container) if container.is_followed_by(&next) => self.next_container = None,
            Some(_) => self.next_container = Some(next),
            None => self.container = Some(next),
        }
    }

    /// Takes the frames that were there before, the newest of which came about `now`, since 1970.
    ///
    /// # Errors
    /// As for [`Segmenter::frame`].
    pub fn open(&mut self, frames: impl IntoIterator<Item = Frame>, now: Duration) -> Result<(), Error> {
        let frames: Vec<_> = frames.into_iter().collect();
        if let Some(container) = &self.container
            && let Some(newest) = frames.iter().rfind(|frame| container.leads(frame.track))
        {
            self.wall.note(nanos(newest.dts, container.leading_rate()), now);
        }
        self.cached_step = self.usual_step(&frames);
        self.opening = true;
        let taken = frames.into_iter().try_for_each(|frame| self.take(frame).map(drop));
        self.opening = false;
        self.cached_step = None;
        taken?;
        let leading = self.container.as_ref().and_then(|container| {
            self.held.values().map(|held| &held.frame).find(|frame| container.leads(frame.track))
        });
        match leading.map(|frame| (frame.dts, frame.key)) {
            Some((dts, key)) if self.segments.is_empty() && self.is_lead(dts) => self.end_first(dts, key),
            _ => Ok(()),
        }
    }

    /// Whether a player that begins with all before that can show something until the next part comes. hls.js loads part by part
    /// from then on if that is in a complete segment, and no part after it.
    fn is_lead(&self, dts: i64) -> bool {
        self.part_ticks > 0 && (dts - self.begin) * 2 >= self.part_ticks * 3
    }

    /// Ends the first segment of all early: a player that knows no parts has something to play then. What follows begins
    /// in the middle of a GOP, and ends with it, or with the next one if that is a moment away.
    fn end_first(&mut self, dts: i64, key: bool) -> Result<(), Error> {
        self.end_part(dts)?;
        self.end_segment();
        if self.segment.is_none() { self.begin_segment(dts, key) } else { Ok(()) }
    }

    /// Takes a frame that is there at `now`, since 1970. Answers whether there is something new to fetch.
    ///
    /// # Errors
    /// If a part could not be written; what was to be in it is given up.
    pub fn frame(&mut self, frame: Frame, now: Duration) -> Result<bool, Error> {
        let Some(container) = &self.container else { return Ok(false) };
        if frame.key && container.leads(frame.track) {
            self.wall.note(nanos(frame.dts, container.leading_rate()), now);
        }
        self.take(frame)
    }

    fn take(&mut self, frame: Frame) -> Result<bool, Error> {
        if self.takes_video_back(&frame)? {
            return Ok(true);
        }
        let Some(container) = self.container.as_ref().filter(|container| container.carries(frame.track)) else {
            return Ok(false);
        };
        let (leads, rate) = (container.leads(frame.track), container.leading_rate());
        if self.segment.is_none() {
            if leads && frame.key {
                self.begin(frame)?;
            }
            return Ok(false);
        }
        let (track, dts, key) = (frame.track, frame.dts, frame.key);
        let pause = self.held.get(&track).map_or(0, |held| dts - held.frame.dts);
        if leads && !(0.0..=MAX_PAUSE).contains(&(pause as f64 / f64::from(rate))) {
            self.break_off();
            if key {
                self.begin(frame)?;
            }
            return Ok(true);
        }
        self.hold(frame, leads);
        if leads {
            return self.cut(track, dts, key);
        }
        // Sound goes on, and no picture comes that would end the part.
        let is_full = self.draft.bytes >= self.config.max_bytes / 2;
        if is_full {
            self.break_off();
        }
        Ok(is_full)
    }

    /// Keeps the newest frame of a track; it tells how long the one before it is, which goes into the part.
    fn hold(&mut self, frame: Frame, leads: bool) {
        let Some(held) = self.held.get_mut(&frame.track) else {
            let usual = (self.container.as_ref().map_or(90_000, Container::leading_rate) / USUAL_FRAME).max(1);
            self.held.insert(frame.track, Held { frame, usual });
            return;
        };
        // Audio with a hole, or that goes back: the next frame's own time says where that belongs.
        let step = u32::try_from(frame.dts - held.frame.dts).ok().filter(|step| *step > 0);
        held.usual = step.unwrap_or(held.usual);
        let sample = Sample { duration: held.usual, frame: std::mem::replace(&mut held.frame, frame) };
        let duration = sample.duration;
        self.draft.push(sample, leads);
        if leads {
            self.pictures.0 += 1;
            self.pictures.1 += i64::from(duration);
            if self.part_ticks == 0 {
                self.choose_part(self.cached_step.unwrap_or(duration));
            }
        }
    }

    /// Ends the part, and the segment, before a frame of what leads, which is held.
    fn cut(&mut self, track: usize, dts: i64, key: bool) -> Result<bool, Error> {
        let rate = self.container.as_ref().map_or(90_000, Container::leading_rate);
        let seconds = |ticks: i64| ticks as f64 / f64::from(rate);
        let (part, segment) = (dts - self.draft.begin, dts - self.begin);
        let step = self.held.get(&track).map_or(0, |held| i64::from(held.usual));
        let fragment = self.config.fragment.as_secs_f64();
        if key && self.next_container.is_some() {
            let frame = self.held.remove(&track).map(|held| held.frame);
            self.end(dts);
            return frame.map_or(Ok(()), |frame| self.begin(frame)).map(|()| true);
        }
        let bytes = self.segment.as_ref().map_or(0, |segment| segment.len) + self.draft.bytes;
        let is_whole = self.segment.as_ref().is_none_or(|segment| segment.independent);
        let gop = if key { dts - std::mem::replace(&mut self.last_key, dts) } else { 0 };
        // As near to `fragment` as whole GOPs allow. Half a frame early is early enough: cameras' clocks jitter.
        let long = seconds(segment + gop / 2 + step / 2) >= fragment && seconds(segment + step / 2) >= MIN_SEGMENT;
        let rest = !is_whole && seconds(segment + step / 2) >= MIN_REST;
        let due = key && (rest || long);
        if due || seconds(segment) >= fragment * MAX_STRETCH || bytes >= self.config.max_bytes / 2 {
            self.end_part(dts)?;
            self.end_segment();
            self.begin_segment(dts, key)?;
            return Ok(true);
        }
        // Clocks of a millisecond make frames of 33 and 34 ms: an eighth of a frame more is no part too long.
        if part + step > self.part_ticks + step / 8 {
            if self.segments.is_empty() && !self.opening && self.is_lead(dts) {
                return self.end_first(dts, key).map(|()| true);
            }
            self.end_part(dts)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Begins anew with a key frame of what leads.
    fn begin(&mut self, frame: Frame) -> Result<(), Error> {
        if let Some(next) = self.next_container.take() {
            self.container = Some(next);
            self.init = None;
        }
        if !self.container.as_ref().is_some_and(|container| container.leads(frame.track)) {
            return Ok(());
        }
        self.part_ticks = 0;
        self.held.clear();
        self.last_key = frame.dts;
        self.begin_segment(frame.dts, frame.key)?;
        self.hold(frame, true);
        Ok(())
    }

    fn begin_segment(&mut self, dts: i64, key: bool) -> Result<(), Error> {
        let Some(container) = &mut self.container else { return Ok(()) };
        container.begin_segment();
        let init = match &self.init {
            Some(init) => Arc::clone(init),
            None => {
                let init = Arc::new(container.init(self.inits)?);
                self.inits += 1;
                self.pictures = (0, 0);
                Arc::clone(self.init.insert(init))
            }
        };
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let date = self.wall.of(nanos(dts, container.leading_rate()));
        self.begin = dts;
        self.draft.begin = dts;
        self.segment = Some(Segment {
            number: self.next,
            date,
            duration: Duration::ZERO,
            parts: Vec::new(),
            len: 0,
            body: None,
            independent: key,
            discontinuity,
            init,
        });
        Ok(())
    }

    fn end_part(&mut self, end: i64) -> Result<(), Error> {
        let draft = std::mem::replace(&mut self.draft, Draft { begin: end, ..Draft::default() });
        let (Some(container), Some(segment)) = (&mut self.container, &mut self.segment) else { return Ok(()) };
        if draft.samples.is_empty() {
            return Ok(());
        }
        self.fragments = self.fragments.wrapping_add(1);
        let bytes = container.part(self.fragments, &draft.samples)?;
        let duration = ticks(end - draft.begin, container.leading_rate());
        segment.len += bytes.len();
        segment.duration += duration;
        segment.parts.push(Part { duration, independent: draft.independent, bytes });
        self.part_target = self.part_target.max(duration);
        self.target_duration = self.target_duration.max(segment.duration.as_secs_f64().round() as u64);
        Ok(())
    }

    fn end_segment(&mut self) {
        let Some(mut segment) = self.segment.take_if(|segment| !segment.parts.is_empty()) else { return };
        // One buffer from now on: parts are slices of it.
        let parts: Vec<_> = segment.parts.iter().map(|part| part.bytes.clone()).collect();
        let body = Bytes::from(parts.concat());
        let mut at = 0;
        for part in &mut segment.parts {
            let len = part.bytes.len();
            part.bytes = body.slice(at..at + len);
            at += len;
        }
        segment.body = Some(body);
        self.segments.push_back(Arc::new(segment));
        self.next += 1;
        while self.segments.len() > 1
            && (self.segments.len() > self.config.window + KEPT_UNLISTED || self.in_memory() > self.config.max_bytes)
        {
            let gone = self.segments.pop_front();
            self.discontinuities += u64::from(gone.is_some_and(|gone| gone.discontinuity));
        }
    }

    fn in_memory(&self) -> usize {
        self.segments.iter().filter(|segment| segment.body.is_some()).map(|segment| segment.len).sum()
    }

    /// Ends what is being made; what comes next does not follow it.
    pub fn break_off(&mut self) {
        let Some(container) = &self.container else { return };
        let last = self.held.values().find(|held| container.leads(held.frame.track));
        let end = last.map_or(self.draft.begin, |held| held.frame.dts + i64::from(held.usual));
        self.end(end);
    }

    /// Ends what is being made at that time of what leads, with what is held.
    fn end(&mut self, end: i64) {
        let Some(container) = self.container.as_ref().filter(|_| self.segment.is_some()) else { return };
        for (track, held) in std::mem::take(&mut self.held) {
            self.draft.push(Sample { frame: held.frame, duration: held.usual }, container.leads(track));
        }
        self.forget_after(end);
        // What cannot be written is lost, as what follows would have been.
        let _ = self.end_part(end);
        self.end_segment();
        self.segment = None;
        self.discontinuity = true;
    }

    /// The segment is kept elsewhere from now on: memory need not have it. Its parts stay while a playlist lists them.
    pub fn release(&mut self, number: u64) {
        let Some(first) = self.segments.front().map(|segment| segment.number) else { return };
        let place = number.checked_sub(first).and_then(|n| usize::try_from(n).ok());
        if let Some(segment) = place.and_then(|place| self.segments.get_mut(place)) {
            let segment = Arc::make_mut(segment);
            segment.body = None;
            for part in &mut segment.parts {
                part.bytes = Bytes::new();
            }
        }
    }

    /// What can be fetched now.
    pub fn presentation(&self) -> Presentation {
        let rate = self.container.as_ref().map_or(0, Container::leading_rate);
        let (pictures, ticks) = self.pictures;
        Presentation {
            format: self.config.format,
            part_target: self.part_target,
            target_duration: self.target_duration,
            window: self.config.window,
            segments: self.segments.clone(),
            open: self.segment.clone(),
            next: self.next,
            discontinuities: self.discontinuities,
            init: self.init.clone(),
            frame_rate: (ticks > 0).then(|| f64::from(pictures) * f64::from(rate) / ticks as f64),
            ended: false,
        }
    }
}

impl Draft {
    fn push(&mut self, sample: Sample, leads: bool) {
        self.independent |= leads && sample.frame.key;
        // Tiny frames need memory too.
        self.bytes += sample.frame.units.len() + size_of::<Sample>();
        self.samples.push(sample);
    }
}

fn nanos(ticks: i64, rate: u32) -> i128 {
    i128::from(ticks) * 1_000_000_000 / i128::from(rate)
}

fn ticks(ticks: i64, rate: u32) -> Duration {
    Duration::from_nanos(nanos(ticks.max(0), rate).clamp(0, i128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests;
