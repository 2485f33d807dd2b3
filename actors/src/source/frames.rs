//! Consumers that want frames, to make an output of their own: each gets every frame by `try_send`, as viewers get chunks. One
//! whose mailbox is full is behind: it gets nothing until the next key frame, and is told that there is a gap.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use ipchub_media::{Frame, Track};

use super::Source;
use crate::messages::{EndViewing, FrameItem, FramesOpening, SubscribeFrames};
use crate::meter::Stats;

#[derive(Debug)]
struct Consumer {
    items: Recipient<FrameItem>,
    end: Recipient<EndViewing>,
    behind: bool,
}

#[derive(Debug)]
pub(super) struct FrameLane {
    consumers: HashMap<u32, Consumer>,
    /// The video track; without one, every frame is where a consumer can begin.
    leading: Option<usize>,
    /// That track does not come.
    without_video: bool,
    stats: Arc<Stats>,
}

impl FrameLane {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { consumers: HashMap::new(), leading: None, without_video: false, stats }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.consumers.is_empty()
    }

    /// A new publisher's tracks.
    pub(super) fn retune(&mut self, tracks: &[Track], leading: Option<usize>) {
        (self.leading, self.without_video) = (leading, false);
        for consumer in self.consumers.values_mut() {
            consumer.behind = consumer.items.try_send(FrameItem::Retune(tracks.to_vec())).is_err();
        }
    }

    /// No video comes, see [`FrameItem::LeaveOutVideo`].
    pub(super) fn leave_out_video(&mut self) {
        self.without_video = true;
        for consumer in self.consumers.values_mut().filter(|consumer| !consumer.behind) {
            consumer.behind = consumer.items.try_send(FrameItem::LeaveOutVideo).is_err();
        }
    }

    /// Parameter sets changed.
    pub(super) fn set_parameters<'a>(&mut self, tracks: impl Iterator<Item = &'a Track> + Clone) {
        for consumer in self.consumers.values_mut().filter(|consumer| !consumer.behind) {
            let tracks = tracks.clone().cloned().collect();
            consumer.behind |= consumer.items.try_send(FrameItem::Parameters(tracks)).is_err();
        }
    }

    pub(super) fn frame<'a>(&mut self, frame: &Frame, tracks: impl Iterator<Item = &'a Track> + Clone) {
        let is_picture = self.leading == Some(frame.track);
        self.without_video &= !(is_picture && frame.key);
        let start = frame.key && (is_picture || self.leading.is_none() || self.without_video);
        for consumer in self.consumers.values_mut() {
            if consumer.behind {
                if !start {
                    continue;
                }
                let tracks = tracks.clone().cloned().collect();
                consumer.behind = consumer.items.try_send(FrameItem::Retune(tracks)).is_err()
                    || self.without_video && consumer.items.try_send(FrameItem::LeaveOutVideo).is_err();
            }
            if !consumer.behind && consumer.items.try_send(FrameItem::Frame(frame.clone())).is_err() {
                consumer.behind = true;
                self.stats.full_mailboxes.add(1);
                self.stats.fell_behind.add(1);
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, id: u32) {
        self.consumers.remove(&id);
    }

    pub(super) fn end(&mut self, reason: &str) {
        for (_, consumer) in self.consumers.drain() {
            consumer.end.do_send(EndViewing { reason: reason.to_owned() });
        }
    }
}

impl Handler<SubscribeFrames> for Source {
    type Result = FramesOpening;

    fn handle(&mut self, subscribe: SubscribeFrames, _: &mut Self::Context) -> Self::Result {
        let SubscribeFrames { id, items, end } = subscribe;
        self.info.audience.set(true);
        self.frame_lane.consumers.insert(id, Consumer { items, end, behind: false });
        let without_video = self.absence.is_absent();
        // The last GOP there was is old then.
        let frames = self.gop.frames().filter(|_| !without_video).cloned().collect();
        FramesOpening { tracks: self.plain_tracks(), frames, without_video }
    }
}
