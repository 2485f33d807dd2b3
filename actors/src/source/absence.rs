//! Whether the video that a publisher announced does not come, so that its sound must not wait for it.

use ipchub_media::Frame;

/// Sound heard without the first picture before it goes alone, in nanoseconds. Encoders send pictures within a second or two
/// after their first sound, and a GOP of two seconds more may be cut at its beginning; viewers hear nothing meanwhile.
const FIRST: i64 = 4_000_000_000;
/// The same once there was a picture: more than the interval of cameras that send a picture every few seconds. Viewers go on
/// hearing the sound meanwhile, only those who come after the cached GOP was given up would wait.
const LATER: i64 = 30_000_000_000;
/// Most that one frame of sound counts: in a pause of the whole stream nothing is heard.
const LONGEST_STEP: i64 = 500_000_000;

/// Watches the frames of one publisher.
#[derive(Debug)]
pub(super) struct Absence {
    /// The track that viewers begin with.
    video: Option<usize>,
    seen: bool,
    absent: bool,
    /// The latest time of any sound since the last picture.
    last: Option<i64>,
    /// Nanoseconds of sound since the last picture.
    heard: i64,
}

impl Absence {
    pub(super) fn new(video: Option<usize>) -> Self {
        Self { video, seen: false, absent: false, last: None, heard: 0 }
    }

    pub(super) fn video(&self) -> Option<usize> {
        self.video
    }

    pub(super) fn is_absent(&self) -> bool {
        self.absent
    }

    /// Takes the next frame of any track. True once, when there was sound without a picture for too long; a key frame of the
    /// video makes all as it was.
    pub(super) fn begins_with(&mut self, frame: &Frame, clock_rate: u32) -> bool {
        let Some(video) = self.video else { return false };
        if frame.track == video {
            (self.seen, self.last, self.heard) = (true, None, 0);
            self.absent &= !frame.key;
            return false;
        }
        let now = (i128::from(frame.dts) * 1_000_000_000 / i128::from(clock_rate)) as i64;
        let before = *self.last.get_or_insert(now);
        // Several tracks of sound are heard at the same time.
        self.last = Some(before.max(now));
        self.heard += (now - before).clamp(0, LONGEST_STEP);
        let begins = !self.absent && self.heard >= if self.seen { LATER } else { FIRST };
        self.absent |= begins;
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipchub_media::Units;

    const VIDEO: usize = 0;

    fn frame(track: usize, ms: i64, key: bool) -> Frame {
        Frame { track, pts: ms, dts: ms, key, units: Units::new() }
    }

    /// When sound from `from` to `to` ms begins to be alone.
    fn listen(absence: &mut Absence, from: i64, to: i64) -> Vec<i64> {
        let tracks = (from..to).step_by(20).flat_map(|ms| [(1, ms), (2, ms)]);
        tracks.filter(|(track, ms)| absence.begins_with(&frame(*track, *ms, true), 1000)).map(|(_, ms)| ms).collect()
    }

    #[test]
    fn sound_waits_for_the_first_picture_and_longer_for_later_ones() {
        let mut absence = Absence::new(Some(VIDEO));
        assert_eq!(listen(&mut absence, 0, 20_000), [4000]);
        assert!(absence.is_absent());
        assert!(!absence.begins_with(&frame(VIDEO, 20_000, false), 1000));
        assert!(absence.is_absent(), "viewers cannot begin with that picture");
        assert!(!absence.begins_with(&frame(VIDEO, 20_040, true), 1000));
        assert!(!absence.is_absent());
        assert_eq!(listen(&mut absence, 20_040, 60_000), [50_040]);
    }

    #[test]
    fn pauses_of_all_and_streams_of_sound_do_not_count() {
        let mut absence = Absence::new(Some(VIDEO));
        assert!(listen(&mut absence, 0, 2_000).is_empty());
        assert!(listen(&mut absence, 100_000, 101_000).is_empty());
        let mut absence = Absence::new(None);
        assert!(listen(&mut absence, 0, 20_000).is_empty());
    }
}
