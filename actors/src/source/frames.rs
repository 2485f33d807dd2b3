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
    stats: Arc<Stats>,
}

impl FrameLane {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { consumers: HashMap::new(), leading: None, stats }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.consumers.is_empty()
    }

    /// A new publisher's tracks.
    pub(super) fn retune(&mut self, tracks: &[Track], leading: Option<usize>) {
        self.leading = leading;
        for consumer in self.consumers.values_mut() {
            consumer.behind = consumer.items.try_send(FrameItem::Retune(tracks.to_vec())).is_err();
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
        let start = frame.key && self.leading.is_none_or(|leading| leading == frame.track);
        for consumer in self.consumers.values_mut() {
            if consumer.behind {
                if !start {
                    continue;
                }
                let tracks = tracks.clone().cloned().collect();
                consumer.behind = consumer.items.try_send(FrameItem::Retune(tracks)).is_err();
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
        FramesOpening { tracks: self.plain_tracks(), frames: self.gop.frames().cloned().collect() }
    }
}
