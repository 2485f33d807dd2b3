//! What a viewer saw of the video: its first key frame, latencies, gaps.

use crate::stamp::Stamp;

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;

/// Follows the NAL units of one stream. A frame counts when its slice is whole.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Of the SEI whose slice has not come yet.
    pending: Option<Stamp>,
    last: Option<u32>,
    /// The stream asked for.
    stream: u16,
    /// Latencies and gaps count now: the steady window.
    pub(crate) record: bool,
    /// Wall clock in microseconds when the first key frame was whole.
    pub(crate) key_us: Option<u64>,
    pub(crate) seen: Seen,
}

/// Counted while [`Watch::record`] is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Microseconds from just before the publisher's write to the read that completed the slice.
    pub(crate) latencies: Vec<u64>,
    /// Frame numbers that were left out.
    pub(crate) lost: u64,
    /// How often that happened.
    pub(crate) gaps: u64,
    /// Gaps after which the first frame was no key frame: a broken picture.
    pub(crate) broken: u64,
    /// Frames without a stamp.
    pub(crate) unstamped: u64,
    /// Frames of another stream than the one asked for.
    pub(crate) foreign: u64,
    /// Microseconds between the frames before and behind the longest wait for one.
    pub(crate) longest_wait: u64,
    last_at: Option<u64>,
}

impl Watch {
    /// Of the viewer that asked for this stream.
    pub(crate) fn new(stream: u16) -> Self {
        Self { stream, ..Self::default() }
    }

    /// A whole NAL unit came at wall clock `now`, in microseconds.
    pub(crate) fn nal(&mut self, nal: &[u8], now: u64) {
        match nal.first().map(|first| first & 0x1f) {
            Some(SEI) => self.pending = Stamp::find(nal).or(self.pending),
            Some(kind @ (SLICE | IDR)) => {
                if kind == IDR {
                    self.key_us.get_or_insert(now);
                }
                match self.pending.take() {
                    Some(stamp) => self.frame(stamp, kind == IDR, now),
                    None if self.record => self.seen.unstamped += 1,
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn frame(&mut self, stamp: Stamp, key: bool, now: u64) {
        let missing = self.last.map_or(0, |last| stamp.frame.saturating_sub(last.saturating_add(1)));
        self.last = Some(stamp.frame);
        if !self.record {
            return;
        }
        let seen = &mut self.seen;
        seen.lost += u64::from(missing);
        seen.gaps += u64::from(missing > 0);
        seen.broken += u64::from(missing > 0 && !key);
        seen.foreign += u64::from(stamp.stream != self.stream);
        seen.latencies.push(now.saturating_sub(stamp.micros));
        if let Some(last) = seen.last_at.replace(now) {
            seen.longest_wait = seen.longest_wait.max(now.saturating_sub(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_latencies_and_foreign_streams_are_counted() {
        let mut watch = Watch { stream: 1, ..Watch::default() };
        let mut frame = |frame: u32, stream: u16, slice: u8, record: bool| {
            watch.record = record;
            let micros = 1_000_000 + u64::from(frame) * 40_000;
            watch.nal(&Stamp { micros, frame, stream }.sei(), micros + 500);
            watch.nal(&[slice, 0x80], micros + 700);
            watch.key_us
        };
        assert_eq!(frame(5, 1, 0x41, false), None);
        assert_eq!(frame(6, 1, 0x65, true), Some(1_240_700));
        frame(7, 1, 0x41, true);
        frame(10, 1, 0x41, true); // 8 and 9 are missing, and this is no key frame
        frame(12, 2, 0x65, true);
        watch.nal(&[0x41, 0x80], 0);
        let seen = &watch.seen;
        assert_eq!((seen.lost, seen.gaps, seen.broken, seen.foreign, seen.unstamped), (3, 2, 1, 1, 1));
        assert_eq!(seen.latencies, [700; 4]);
        assert_eq!(seen.longest_wait, 120_000);
    }
}
