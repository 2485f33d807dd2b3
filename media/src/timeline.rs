//! One continuous time for everything that a source sends.
//!
//! A camera's 32-bit RTP time wraps, jumps when its clock is set, and starts anew when it reconnects. Viewers get none of
//! that: a [`Timeline`] turns it into `i64` ticks of each track's clock, from 0 at the source's first packet.
//!
//! - Within a publisher the camera's own clock counts, so that its drift against the hub's makes no jumps.
//! - Tracks are placed by their arrival at first and by RTCP sender reports as soon as both tracks have one
//!   (RFC 3550, section 6.4.1).
//! - A step that neither reordering nor a pause explains is taken out: time goes on as the hub's clock did.
//! - A new publisher goes on where the hub's clock stands.

use std::collections::BinaryHeap;
use std::{cmp::Reverse, time::Duration};

use crate::rtp::rtcp::SenderReport;

/// How far time may go back within a stream: B-frames and late packets stay well below it.
const MAX_BACK: i64 = NANOS;
/// How far time may run ahead of the hub's clock in one step: a camera that pauses sending may send on with a correct time.
const MAX_AHEAD: i64 = 10 * NANOS;
/// Sender reports that would move a track further than this lie, or their tracks do not share a clock.
const MAX_ALIGNMENT: i64 = 10 * NANOS;
/// Below this, tracks stay as they are: cheap cameras' reports scatter by this much, and every step is heard.
const ALIGNMENT_STEP: i64 = 20_000_000;
/// Frames of reordering at most (H.264 and H.265 allow 16).
const MAX_REORDER: usize = 16;

const NANOS: i64 = 1_000_000_000;

fn to_nanos(ticks: i64, rate: u32) -> i64 {
    (i128::from(ticks) * i128::from(NANOS) / i128::from(rate)) as i64
}

fn to_ticks(nanos: i64, rate: u32) -> i64 {
    // To the nearest: whole frames must not come out a tick short.
    (i128::from(nanos) * i128::from(rate) + i128::from(NANOS / 2)).div_euclid(i128::from(NANOS)) as i64
}

/// The clocks of one source's tracks.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Arrival of the source's first packet: 0 of the timeline.
    start: Option<Duration>,
    tracks: Vec<Clock>,
    /// Wall clock of the publisher at 0 of the timeline, in nanoseconds, and the track that gave it.
    anchor: Option<(i128, usize)>,
    /// The latest time given out, in nanoseconds.
    end: i64,
    /// How far this publisher runs ahead of the hub's clock, because the one before did.
    lead: Option<i64>,
    jumps: u64,
}

#[derive(Debug)]
struct Clock {
    rate: u32,
    last: Option<Last>,
    /// What is added to unwrapped RTP time.
    offset: i64,
    report: Option<SenderReport>,
    /// A correction that only one report has asked for so far, in ticks.
    asked: Option<i64>,
    aligned: bool,
    /// Ticks by which reports have moved the track so far.
    moved: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    rtp: u32,
    unwrapped: i64,
    arrival: Duration,
}

impl Timeline {
    /// Before the first publisher.
    pub fn new() -> Self {
        Self::default()
    }

    /// A publisher with tracks of these clock rates begins or takes over.
    pub fn publisher(&mut self, clock_rates: impl IntoIterator<Item = u32>) {
        self.anchor = None;
        self.lead = None;
        self.tracks = clock_rates
            .into_iter()
            .map(|rate| {
                let (last, offset, report, asked, aligned, moved) = Default::default();
                Clock { rate: rate.max(1), last, offset, report, asked, aligned, moved }
            })
            .collect();
    }

    /// When 0 of the timeline was, by the clock that arrivals are given in.
    pub fn start(&self) -> Option<Duration> {
        self.start
    }

    /// How many jumps were taken out.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// By how many ticks sender reports have moved a track since its publisher began: times from now on are so much later than
    /// those given out before, or earlier.
    pub fn moved(&self, track: usize) -> i64 {
        self.tracks.get(track).map_or(0, |clock| clock.moved)
    }

    /// The timeline's time of a packet of `track` that arrived at `now` (any monotonic clock), in ticks of the track's clock.
    pub fn time(&mut self, track: usize, rtp: u32, now: Duration) -> Option<i64> {
        let start = *self.start.get_or_insert(now);
        let here = i64::try_from(now.saturating_sub(start).as_nanos()).unwrap_or(i64::MAX);
        let lead = *self.lead.get_or_insert((self.end - here).max(0));
        let time = self.time_on(track, rtp, now, here + lead)?;
        let rate = self.tracks.get(track)?.rate;
        self.end = self.end.max(to_nanos(time, rate));
        Some(time)
    }

    fn time_on(&mut self, track: usize, rtp: u32, now: Duration, here: i64) -> Option<i64> {
        let anchor = self.anchor;
        let clock = self.tracks.get_mut(track)?;
        let Some(last) = clock.last else {
            let unwrapped = i64::from(rtp);
            clock.last = Some(Last { rtp, unwrapped, arrival: now });
            clock.offset = to_ticks(here, clock.rate) - unwrapped;
            self.align(track, anchor);
            return self.tracks.get(track).map(|clock| unwrapped + clock.offset);
        };
        let step = i64::from(rtp.wrapping_sub(last.rtp) as i32);
        let elapsed = i64::try_from(now.saturating_sub(last.arrival).as_nanos()).unwrap_or(i64::MAX);
        let unwrapped = last.unwrapped + step;
        let step_nanos = to_nanos(step, clock.rate);
        // A large step that only makes up for a pause in the delivery is none.
        let ahead = to_nanos(unwrapped + clock.offset, clock.rate) - here;
        if step_nanos < -MAX_BACK || step_nanos > elapsed.saturating_add(MAX_AHEAD) && ahead > MAX_AHEAD {
            self.jumps += 1;
            // The report belongs to the time before the jump.
            clock.report = None;
            clock.asked = None;
            clock.offset += to_ticks(elapsed, clock.rate).max(1) - step;
        }
        clock.last = Some(Last { rtp, unwrapped, arrival: now });
        Some(unwrapped + clock.offset)
    }

    /// A sender report of `track`.
    pub fn sender_report(&mut self, track: usize, report: SenderReport) {
        let Some(clock) = self.tracks.get_mut(track) else { return };
        clock.report = Some(report);
        let anchor = self.anchor;
        self.align(track, anchor);
    }

    /// Places `track` by its report, or takes it as the track that others are placed by.
    fn align(&mut self, track: usize, anchor: Option<(i128, usize)>) {
        let Some(clock) = self.tracks.get_mut(track) else { return };
        let (Some(report), Some(last)) = (clock.report, clock.last) else { return };
        let at = last.unwrapped + i64::from(report.rtp.wrapping_sub(last.rtp) as i32) + clock.offset;
        match anchor {
            Some((origin, reference)) if reference != track => {
                let wanted = to_ticks(
                    (report.ntp_nanos() - origin).clamp(i64::MIN as i128, i64::MAX as i128) as i64,
                    clock.rate,
                );
                let correction = wanted.saturating_sub(at);
                let size = to_nanos(correction.clamp(-1 << 40, 1 << 40), clock.rate).abs();
                if size > MAX_ALIGNMENT {
                    return;
                }
                if !clock.aligned {
                    clock.aligned = true;
                    clock.shift(correction);
                } else if size <= ALIGNMENT_STEP {
                    clock.asked = None;
                } else if let Some(asked) = clock.asked.take()
                    && to_nanos(asked - correction, clock.rate).abs() <= ALIGNMENT_STEP
                {
                    // Two reports agree. One alone may stand between the steps of two tracks' wall clocks.
                    clock.shift(correction);
                } else {
                    clock.asked = Some(correction);
                }
            }
            _ => self.anchor = Some((report.ntp_nanos() - i128::from(to_nanos(at, clock.rate)), track)),
        }
    }
}

impl Clock {
    fn shift(&mut self, ticks: i64) {
        self.offset += ticks;
        self.moved += ticks;
    }
}

/// Makes decode times for a stream whose frames come in decode order with presentation times only.
///
/// With a reorder depth of `n` a frame's decode time is the `n+1`-largest presentation time seen so far: no frame is waited
/// for. Where the depth is not known it is found: a frame that would be shown before an earlier one was decoded raises it. Where
/// a track is moved that is no reordering, see [`DecodeTimes::moved_to`].
#[derive(Debug)]
pub struct DecodeTimes {
    depth: usize,
    /// The `depth + 1` largest presentation times, the smallest on top.
    largest: BinaryHeap<Reverse<i64>>,
    frame_ticks: i64,
    first: Option<(i64, usize)>,
    /// The last one as it came of the presentation times.
    natural: Option<i64>,
    /// The last one that was given out.
    last: Option<i64>,
    /// Of the track, so far.
    moved: i64,
    /// Frames are shown in the order in which they come, whatever their times say.
    in_order: bool,
}

impl DecodeTimes {
    /// `depth`: frames of reordering, if the stream says; `frame_ticks`: a frame's length, for the first frames of a
    /// reordered stream.
    pub fn new(depth: Option<u8>, frame_ticks: i64) -> Self {
        let depth = usize::from(depth.unwrap_or(0)).min(MAX_REORDER);
        let (largest, first, natural, last, moved, in_order) = Default::default();
        Self { depth, largest, frame_ticks, first, natural, last, moved, in_order }
    }

    /// For sound, which is never reordered: a time that goes back is held up.
    pub fn in_order() -> Self {
        Self { in_order: true, ..Self::new(Some(0), 1) }
    }

    /// Tells by how much the track has been moved so far, see [`Timeline::moved`]. What came before is moved as well, so that a
    /// step back is not taken for reordering, which would keep decode times behind for good.
    pub fn moved_to(&mut self, moved: i64) {
        let step = moved - std::mem::replace(&mut self.moved, moved);
        if step == 0 {
            return;
        }
        self.largest = self.largest.drain().map(|Reverse(pts)| Reverse(pts + step)).collect();
        self.first = self.first.map(|(pts, seen)| (pts + step, seen));
        self.natural = self.natural.map(|dts| dts + step);
    }

    /// A new publisher or new parameter sets: what is known of the order is void, time still goes on.
    pub fn restart(&mut self, depth: Option<u8>, frame_ticks: i64) {
        *self = Self { last: self.last, moved: self.moved, in_order: self.in_order, ..Self::new(depth, frame_ticks) };
    }

    /// From now on decode times are above `ticks`: those of another stream came before.
    pub fn stay_above(&mut self, ticks: i64) {
        self.last = Some(self.last.map_or(ticks, |last| last.max(ticks)));
    }

    /// The decode time of the next frame in decode order. Always above the one before.
    pub fn next(&mut self, pts: i64) -> i64 {
        let is_early = self.natural.is_some_and(|natural| pts < natural);
        if is_early && !self.in_order && self.depth < MAX_REORDER {
            self.depth += 1;
        }
        self.largest.push(Reverse(pts));
        let seen = &mut self.first.get_or_insert((pts, 0)).1;
        *seen += 1;
        let dts = if self.largest.len() <= self.depth {
            let (first, seen) = self.first.unwrap_or((pts, 1));
            first - (self.depth + 1 - seen.min(self.depth)) as i64 * self.frame_ticks
        } else {
            while self.largest.len() > self.depth + 1 {
                self.largest.pop();
            }
            self.largest.peek().map_or(pts, |smallest| smallest.0)
        };
        self.natural = Some(dts);
        let dts = self.last.map_or(dts, |last| dts.max(last + 1));
        self.last = Some(dts);
        dts
    }
}

#[cfg(test)]
mod tests;
