//! A lane is one output format of one source: a muxer, the chunks since the last key frame, and its viewers.
//!
//! Each frame is muxed once; every viewer gets the same bytes. A viewer whose mailbox is full is behind: it gets nothing
//! until the next key frame, so that it never sees a broken picture and never holds up anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::flv::{Muxer, Options};
use ipchub_media::{Frame, Parameters, Track};

use crate::info::Consumer;
use crate::messages::{EndViewing, Opening};
use crate::meter::Stats;

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
    /// The chunks since the last key frame; their sequence headers are not in them.
    gop: Vec<Bytes>,
    /// FLV header, metadata and sequence headers at the time of that key frame.
    head: Bytes,
    /// Counts changes of the sequence headers.
    headers: u32,
    sequence_headers: Bytes,
    /// A sequence header must go out before the next key frame.
    changed: bool,
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
    pub(crate) fn new(tracks: &[Track], options: Options, stats: Arc<Stats>) -> Self {
        Self {
            options,
            muxer: Muxer::new(tracks, options),
            gop: Vec::new(),
            head: Bytes::new(),
            headers: 0,
            sequence_headers: Bytes::new(),
            changed: true,
            viewers: HashMap::new(),
            stats,
        }
    }

    /// A new publisher's tracks: viewers stay, and go on at its first key frame.
    pub(crate) fn retune(&mut self, tracks: &[Track]) {
        self.muxer = Muxer::new(tracks, self.options);
        self.changed = true;
        self.clear();
    }

    /// Forgets the cached chunks: what comes next does not follow them.
    pub(crate) fn clear(&mut self) {
        self.gop.clear();
        self.head = Bytes::new();
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.state == State::Current) {
            viewer.state = State::Behind { headers: self.headers };
        }
    }

    pub(crate) fn set_parameters(&mut self, track: usize, parameters: &Parameters) {
        if let Some(muxer) = &mut self.muxer {
            self.changed |= muxer.set_parameters(track, parameters);
        }
    }

    /// Muxes a frame and sends it to every viewer that is not behind.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        let Some(muxer) = self.muxer.as_ref().filter(|muxer| muxer.carries(frame.track) && muxer.ready()) else {
            return;
        };
        let start = frame.key && muxer.leads(frame.track);
        if self.gop.is_empty() && !start {
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
            muxer.sequence_headers(timestamp, &mut out);
            self.sequence_headers = out.freeze();
        }
        if start {
            self.head = muxer.head(timestamp);
            self.gop.clear();
        }
        self.fan_out(&bytes, start, headers);
        if headers && !start {
            self.gop.push(self.sequence_headers.clone());
        }
        self.gop.push(bytes);
    }

    fn fan_out(&mut self, bytes: &Bytes, start: bool, headers: bool) {
        let (now, head, sequence_headers) = (self.headers, &self.head, &self.sequence_headers);
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
        let mut opening = Opening::default();
        let mut state = State::New;
        if !self.gop.is_empty() {
            opening.parts.reserve_exact(self.gop.len() + 1);
            opening.parts.push(self.head.clone());
            opening.parts.extend(self.gop.iter().cloned());
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
