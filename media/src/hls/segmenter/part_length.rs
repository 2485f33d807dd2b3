//! How long parts are.

use std::time::Duration;

use super::{Frame, Segmenter};

/// A declared frame rate counts if frames differ from it by no more than this share.
const DECLARED_TOLERANCE: f64 = 0.1;

impl Segmenter {
    /// The median: the first steps of a stream with B-frames are guessed.
    pub(super) fn usual_step(&self, frames: &[Frame]) -> Option<u32> {
        let container = self.container.as_ref()?;
        let times: Vec<_> = frames.iter().filter(|frame| container.leads(frame.track)).map(|frame| frame.dts).collect();
        let mut steps: Vec<_> = times.windows(2).filter_map(|pair| u32::try_from(pair[1] - pair[0]).ok()).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied()
    }

    /// Parts have whole frames, so that all are as long as they are said to be (RFC 8216bis, section 4.4.4.9: all but the last
    /// of a segment have 85 percent of the target at least).
    pub(super) fn choose_part(&mut self, step: u32) {
        let Some(container) = &self.container else { return };
        let rate = f64::from(container.leading_rate());
        let seen = f64::from(step) / rate;
        // What is declared is more exact than clocks of a millisecond, but often not true.
        let close = |declared: &f64| (declared - seen).abs() <= seen * DECLARED_TOLERANCE;
        let frame = container.frame_seconds().filter(close).unwrap_or(seen);
        let part = (self.config.part.as_secs_f64() / frame).round().max(1.0) * frame;
        self.part_ticks = (part * rate).ceil() as i64;
        self.part_target = self.part_target.max(Duration::from_secs_f64(part));
    }
}
