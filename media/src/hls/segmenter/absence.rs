//! Sound alone while the video that was announced does not come.

use super::{Container, Error, Frame, Kind, Segmenter, nanos};

/// Sound that goes on for longer than this after the last picture of a segment is not in it, in nanoseconds: who plays the
/// segment would hear it under what comes next. Less is how far sound and picture lie apart on their way.
const MAX_AFTER: i128 = 1_000_000_000;

impl Segmenter {
    /// No video comes: the sound goes on alone, behind a discontinuity, until a key frame of the video. Nothing changes where
    /// there is no sound that can be carried, or no video is waited for.
    pub fn leave_out_video(&mut self) {
        let format = self.config.format;
        let has_sound = self.tracks.iter().any(|track| track.kind == Kind::Audio && format.refusal(track).is_none());
        let leads = self.container.as_ref().is_some_and(|container| !container.has_video());
        if !has_sound || leads {
            return;
        }
        self.break_off();
        self.video_is_absent = true;
        // None as long as its configuration is not known.
        self.container = self.container_of_now();
        self.next_container = None;
        self.init = None;
    }

    /// The container for tracks whose parameter sets changed.
    pub(super) fn container_of_now(&self) -> Option<Container> {
        match self.video_is_absent {
            true => Container::without_video(self.config.format, &self.tracks),
            false => Container::new(self.config.format, &self.tracks),
        }
    }

    /// Ends that with a frame that the video can begin with, which is taken then.
    pub(super) fn takes_video_back(&mut self, frame: &Frame) -> Result<bool, Error> {
        let is_video = self.tracks.get(frame.track).is_some_and(|track| track.kind == Kind::Video);
        if !(self.video_is_absent && frame.key && is_video) {
            return Ok(false);
        }
        let both = Container::new(self.config.format, &self.tracks).filter(|both| both.leads(frame.track));
        let Some(both) = both else { return Ok(false) };
        self.break_off();
        self.video_is_absent = false;
        self.container = Some(both);
        self.next_container = None;
        self.init = None;
        self.begin(frame.clone())?;
        Ok(true)
    }

    /// Leaves out what lies far behind the end of what leads.
    pub(super) fn forget_after(&mut self, end: i64) {
        let Some(container) = &self.container else { return };
        let end = nanos(end, container.leading_rate()) + MAX_AFTER;
        let rate = |track: usize| self.tracks.get(track).map_or(90_000, |track| track.clock_rate.max(1));
        self.draft.samples.retain(|sample| {
            let Frame { track, dts, .. } = sample.frame;
            container.leads(track) || nanos(dts, rate(track)) <= end
        });
    }
}
