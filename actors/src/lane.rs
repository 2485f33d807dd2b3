//! A lane is one output format of one source: a muxer, the chunks since the last key frame, and its viewers.
//!
//! Each frame is muxed once; every viewer gets the same bytes. A viewer whose mailbox is full is behind: it gets nothing
//! until the next key frame, so that it never sees a broken picture and never holds up anybody.

mod cache;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::flv::{Muxer, Options};
use ipchub_media::{Frame, Parameters, Track};

use crate::hub::Hub;
use crate::info::Consumer;
use crate::messages::{EndViewing, Opening};
use crate::meter::Stats;
use cache::Cache;

/// Muxed bytes for every viewer of a lane: whole tags.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Chunk {
    /// The bytes, shared.
    pub bytes: Bytes,
}

/// FLV for the viewers that want it in one way.
#[derive(Debug)]
pub(crate) struct FlvLane {
    options: Options,
    muxer: Option<Muxer>,
    /// While sound goes alone: what takes over again with the next picture.
    with_video: Option<Muxer>,
    /// What comes next follows a key frame.
    running: bool,
    gop: Cache,
    /// Counts changes of the sequence headers.
    headers: u32,
    sequence_headers: Bytes,
    /// A sequence header must go out before the next key frame.
    changed: bool,
    /// So must the metadata, which told of no video.
    retell: bool,
    viewers: HashMap<u32, Viewer>,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct Viewer {
    consumer: Arc<Consumer>,
    chunks: Recipient<Chunk>,
    end: Recipient<EndViewing>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Has had nothing: needs the head and a key frame.
    New,
    /// Has had everything so far.
    Current,
    /// Has missed something; had the sequence headers of that count.
    Behind { headers: u32 },
}

impl FlvLane {
    pub(crate) fn new(tracks: &[Track], options: Options, hub: &Hub) -> Self {
        Self {
            options,
            muxer: Muxer::new(tracks, options),
            with_video: None,
            running: false,
            gop: Cache::new(&hub.settings),
            headers: 0,
            sequence_headers: Bytes::new(),
            changed: true,
            retell: false,
            viewers: HashMap::new(),
            stats: Arc::clone(&hub.stats),
        }
    }

    /// A new publisher's tracks: viewers stay, and go on at its first key frame.
    pub(crate) fn retune(&mut self, tracks: &[Track]) {
        self.muxer = Muxer::new(tracks, self.options);
        // Whoever had sound alone is told of the picture, if there is one now.
        self.retell |= self.with_video.take().is_some();
        self.changed = true;
        self.clear();
    }

    /// Forgets the cached chunks: what comes next does not follow them.
    pub(crate) fn clear(&mut self) {
        self.gop.clear();
        self.running = false;
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.state == State::Current) {
            viewer.state = State::Behind { headers: self.headers };
        }
    }

    pub(crate) fn set_parameters(&mut self, track: usize, parameters: &Parameters) {
        if let Some(muxer) = &mut self.muxer {
            self.changed |= muxer.set_parameters(track, parameters);
        }
        if let Some(muxer) = &mut self.with_video {
            muxer.set_parameters(track, parameters);
        }
    }

    /// No picture comes: from now on sound goes alone, to those who wait for a picture too. The next key frame of the video
    /// ends that: it comes with metadata and sequence headers of both.
    pub(crate) fn leave_out_video(&mut self) {
        if self.with_video.is_some() {
            return;
        }
        if let Some(sound) = self.muxer.as_ref().and_then(Muxer::without_video) {
            self.with_video = self.muxer.replace(sound);
            self.gop.clear();
        }
    }

    fn take_video_back(&mut self, frame: &Frame) {
        let picture = |muxer: &mut Muxer| frame.key && muxer.leads(frame.track) && muxer.ready();
        if let Some(muxer) = self.with_video.take_if(picture) {
            self.muxer = Some(muxer);
            (self.changed, self.retell) = (true, true);
        }
    }

    /// Muxes a frame and sends it to every viewer that is not behind.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.take_video_back(frame);
        let Some(muxer) = self.muxer.as_ref().filter(|muxer| muxer.carries(frame.track) && muxer.ready()) else {
            return;
        };
        let start = frame.key && muxer.leads(frame.track);
        if !self.running && !start {
            return;
        }
        let timestamp = muxer.timestamp(frame).unwrap_or(0);
        // New sequence headers go out with a key frame, or at once where they are the audio's (they do not touch the picture).
        let headers = self.changed && (start || !muxer.leads(frame.track));
        let mut out = BytesMut::with_capacity(frame.units.len() + Muxer::overhead(frame));
        if !muxer.write(frame, &mut out) {
            return;
        }
        let bytes = out.freeze();
        if headers {
            self.changed = false;
            self.headers = self.headers.wrapping_add(1);
            let mut out = BytesMut::with_capacity(256);
            if std::mem::take(&mut self.retell) {
                muxer.metadata(&mut out);
            }
            muxer.sequence_headers(timestamp, &mut out);
            self.sequence_headers = out.freeze();
        }
        if start {
            self.gop.begin(muxer.head(timestamp));
            self.running = true;
        }
        self.fan_out(&bytes, start, headers);
        if headers && !start {
            self.gop.push(self.sequence_headers.clone());
        }
        self.gop.push(bytes);
    }

    fn fan_out(&mut self, bytes: &Bytes, start: bool, headers: bool) {
        let (now, head, sequence_headers) = (self.headers, self.gop.head(), &self.sequence_headers);
        // One chunk holds the headers and the frame, so that none can come without the other.
        let mut joined: [Option<Bytes>; 2] = [None, None];
        let mut with = |first: &Bytes, slot: usize| {
            joined[slot].get_or_insert_with(|| [first.clone(), bytes.clone()].concat().into()).clone()
        };
        let mut gone = Vec::new();
        for (id, viewer) in &mut self.viewers {
            let chunk = match viewer.state {
                State::Current if headers => with(sequence_headers, 1),
                State::Current => bytes.clone(),
                State::New if start => with(head, 0),
                State::Behind { headers: had } if start && had != now => with(sequence_headers, 1),
                State::Behind { .. } if start => bytes.clone(),
                State::New => continue,
                State::Behind { .. } => {
                    viewer.consumer.missed_chunk(&self.stats);
                    continue;
                }
            };
            let len = chunk.len() as u64;
            match viewer.chunks.try_send(Chunk { bytes: chunk }) {
                Ok(()) => {
                    viewer.state = State::Current;
                    viewer.consumer.offered.fetch_add(len, Relaxed);
                }
                Err(SendError::Full(_)) => {
                    self.stats.full_mailboxes.add(1);
                    if viewer.state == State::Current {
                        let before = if headers { now.wrapping_sub(1) } else { now };
                        viewer.state = State::Behind { headers: before };
                        self.stats.fell_behind.add(1);
                    }
                    viewer.consumer.missed_chunk(&self.stats);
                }
                Err(SendError::Closed(_)) => gone.push(*id),
            }
        }
        for id in gone {
            self.viewers.remove(&id);
        }
    }

    /// Takes a viewer in. Its opening ends where the next chunk begins.
    pub(crate) fn subscribe(
        &mut self,
        consumer: Arc<Consumer>,
        chunks: Recipient<Chunk>,
        end: Recipient<EndViewing>,
    ) -> Opening {
        let opening = Opening { parts: self.gop.parts() };
        let mut state = State::New;
        if !opening.parts.is_empty() {
            state = State::Current;
            consumer.offered.fetch_add(opening.parts.iter().map(|part| part.len() as u64).sum(), Relaxed);
        }
        self.viewers.insert(consumer.id, Viewer { consumer, chunks, end, state });
        opening
    }

    /// Lets a viewer go, if it is of this lane.
    pub(crate) fn unsubscribe(&mut self, id: u32) {
        self.viewers.remove(&id);
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.viewers.is_empty()
    }

    /// Tells all viewers that the source ended.
    pub(crate) fn end(&mut self, reason: &str) {
        for (_, viewer) in self.viewers.drain() {
            viewer.end.do_send(EndViewing { reason: reason.to_owned() });
        }
    }
}
