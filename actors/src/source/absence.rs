//! Whether the video that a publisher announced does not come, or has nothing that a viewer can begin with, so that its sound
//! must not wait for it.

use ipchub_media::Frame;

use crate::info::Lack;

/// Sound heard without the first picture before it goes alone, in nanoseconds. Encoders send pictures within a second or two
/// after their first sound, and a GOP of two seconds more may be cut at its beginning; viewers hear nothing meanwhile.
const FIRST: i64 = 4_000_000_000;
/// The same once there was a picture: more than the interval of cameras that send a picture every few seconds. Viewers go on
/// hearing the sound meanwhile, only those who come after the cached GOP was given up would wait.
const LATER: i64 = 30_000_000_000;
/// Pictures without the first key frame before they are given up, in nanoseconds. Cameras send one every 10 s at most unless
/// somebody set them otherwise, and who joins them late may miss the beginning of one.
const KEYLESS: i64 = 12_000_000_000;
/// Most that one frame counts: in a pause of the whole stream nothing is heard or seen.
const LONGEST_STEP: i64 = 500_000_000;

/// Watches the frames of one publisher.
#[derive(Debug)]
pub(super) struct Absence {
    /// The track that viewers begin with.
    video: Option<usize>,
    /// A viewer could begin.
    seen: bool,
    /// Pictures came, and none that a viewer can begin with.
    keyless: bool,
    absent: bool,
    /// The latest time of any frame that counts.
    last: Option<i64>,
    /// Nanoseconds of sound since the last picture; of anything as long as no viewer could begin.
    heard: i64,
}

impl Absence {
    pub(super) fn new(video: Option<usize>) -> Self {
        Self { video, seen: false, keyless: false, absent: false, last: None, heard: 0 }
    }

    pub(super) fn video(&self) -> Option<usize> {
        self.video
    }

    pub(super) fn is_absent(&self) -> bool {
        self.absent
    }

    /// Takes the next frame of any track; `start`: a viewer can begin with it if it is the video's. Tells what is missing, once,
    /// when it was waited for too long; a start of the video makes all as it was.
    pub(super) fn begins_with(&mut self, frame: &Frame, start: bool, clock_rate: u32) -> Option<Lack> {
        let video = self.video?;
        let is_picture = frame.track == video;
        if is_picture && (start || self.seen) {
            (self.seen, self.last, self.heard) = (true, None, 0);
            self.absent &= !start;
            return None;
        }
        self.keyless |= is_picture;
        let now = (i128::from(frame.dts) * 1_000_000_000 / i128::from(clock_rate)) as i64;
        let before = *self.last.get_or_insert(now);
        // Several tracks are heard at the same time.
        self.last = Some(before.max(now));
        self.heard += (now - before).clamp(0, LONGEST_STEP);
        let (limit, lack) = match (self.seen, self.keyless) {
            (true, _) => (LATER, Lack::Video),
            (false, true) => (KEYLESS, Lack::KeyFrame),
            (false, false) => (FIRST, Lack::Video),
        };
        let begins = !self.absent && self.heard >= limit;
        self.absent |= begins;
        begins.then_some(lack)
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
        tracks
            .filter(|(track, ms)| absence.begins_with(&frame(*track, *ms, true), true, 1000) == Some(Lack::Video))
            .map(|(_, ms)| ms)
            .collect()
    }

    #[test]
    fn sound_waits_for_the_first_picture_and_longer_for_later_ones() {
        let mut absence = Absence::new(Some(VIDEO));
        assert_eq!(listen(&mut absence, 0, 20_000), [4000]);
        assert!(absence.is_absent());
        assert_eq!(absence.begins_with(&frame(VIDEO, 20_000, false), false, 1000), None);
        assert!(absence.is_absent(), "viewers cannot begin with that picture");
        assert_eq!(absence.begins_with(&frame(VIDEO, 20_040, true), true, 1000), None);
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

    #[test]
    fn pictures_that_nobody_can_begin_with() {
        for tracks in [&[VIDEO][..], &[1, VIDEO]] {
            let mut absence = Absence::new(Some(VIDEO));
            let frames = (0..20_000).step_by(40).flat_map(|ms| tracks.iter().map(move |track| (*track, ms)));
            let told: Vec<_> = frames
                .filter_map(|(track, ms)| Some((ms, absence.begins_with(&frame(track, ms, false), false, 1000)?)))
                .collect();
            assert_eq!(told, [(12_000, Lack::KeyFrame)]);
            assert_eq!(absence.begins_with(&frame(VIDEO, 20_000, true), true, 1000), None);
            assert!(!absence.is_absent());
            // From now on pictures of any kind are enough.
            for ms in (20_040..80_000).step_by(40) {
                assert_eq!(absence.begins_with(&frame(VIDEO, ms, false), false, 1000), None);
            }
        }
    }
}
