//! The frames since the last key frame, so that a viewer has a picture at once; and that key frame, also where what follows
//! it is too much to keep.

use ipchub_media::Frame;

/// Bounded in bytes and frames: a camera with an endless GOP must not fill memory. Beyond the bound nothing is kept until the
/// next key frame; viewers then wait for that.
#[derive(Debug)]
pub(super) struct Gop {
    max_bytes: usize,
    max_frames: usize,
    /// The video track; without one, every frame is where a viewer can begin.
    leading: Option<usize>,
    frames: Vec<Frame>,
    bytes: usize,
    /// Of the video.
    key: Option<Frame>,
}

impl Gop {
    pub(super) fn new(max_bytes: usize, max_frames: usize) -> Self {
        Self { max_bytes, max_frames, leading: None, frames: Vec::new(), bytes: 0, key: None }
    }

    pub(super) fn set_leading(&mut self, track: Option<usize>) {
        self.leading = track;
    }

    /// Nothing that came before counts any more.
    pub(super) fn clear(&mut self) {
        self.restart();
        self.key = None;
    }

    fn restart(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, frame: Frame) {
        let start = frame.key && self.leading.is_none_or(|leading| leading == frame.track);
        if start {
            self.restart();
            self.key = self.leading.map(|_| frame.clone());
        } else if self.frames.is_empty() {
            return;
        }
        if self.bytes + frame.units.len() > self.max_bytes || self.frames.len() >= self.max_frames {
            self.restart();
            self.frames.shrink_to(0);
            return;
        }
        self.bytes += frame.units.len();
        self.frames.push(frame);
    }

    /// The video's last key frame.
    pub(super) fn key(&self) -> Option<&Frame> {
        self.key.as_ref()
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ipchub_media::Units;

    fn frame(track: usize, key: bool) -> Frame {
        Frame { track, pts: 0, dts: 0, key, units: Units::single(Bytes::from_static(&[0; 100])) }
    }

    #[test]
    fn a_gop_begins_at_the_videos_key_frame() {
        let mut gop = Gop::new(10_000, 100);
        gop.set_leading(Some(0));
        for (track, key) in [(1, true), (0, false), (0, true), (1, true), (0, false)] {
            gop.push(frame(track, key));
        }
        assert_eq!(gop.frames().count(), 3);
        gop.push(frame(0, true));
        assert_eq!(gop.frames().count(), 1);
        gop.clear();
        assert!(gop.key().is_none());
    }

    #[test]
    fn sound_alone_has_no_picture() {
        let mut gop = Gop::new(10_000, 100);
        gop.push(frame(0, true));
        assert!(gop.key().is_none() && gop.frames().count() == 1);
    }

    #[test]
    fn an_endless_gop_is_given_up() {
        for (max_bytes, max_frames) in [(1_000, 100_000), (1 << 30, 10)] {
            let mut gop = Gop::new(max_bytes, max_frames);
            gop.set_leading(Some(0));
            gop.push(frame(0, true));
            for _ in 0..1000 {
                gop.push(frame(0, false));
                assert!(gop.frames().count() <= 10);
            }
            assert_eq!(gop.frames().count(), 0);
            assert!(gop.key().is_some_and(|frame| frame.key && frame.track == 0));
            gop.push(frame(0, true));
            assert_eq!(gop.frames().count(), 1);
        }
    }
}
