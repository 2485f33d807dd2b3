//! A lane is one output format of one source: a muxer, the chunks since the last key frame, and its viewers.
//!
//! Each frame is muxed once; every viewer gets the same bytes. A viewer whose mailbox is full is behind: it gets nothing
//! until the next key frame, so that it never sees a broken picture and never holds up anybody.

mod cache;

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::{Frame, Mux, Output, Parameters, Track};

use crate::hub::Hub;
use crate::info::Consumer;
use crate::messages::{EndViewing, Opening};
use crate::meter::Stats;
use cache::Cache;

/// Ways of framing that have a place in each chunk.
pub const FRAMINGS: usize = 2;

/// Muxed bytes for every viewer of a lane: one or more whole frames.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Chunk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: Bytes,
    framed: [OnceLock<Bytes>; FRAMINGS],
}

impl Chunk {
    fn new(bytes: Bytes) -> Self {
        Self(Arc::new(Shared { bytes, framed: Default::default() }))
    }

    /// As they are.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// As they go out in one way of framing. They are framed for the first viewer that wants it so, so that each viewer's
    /// write is one piece: for the kernel that is less work than several.
    pub fn framed(&self, way: usize, frame: impl FnOnce(&Bytes) -> Bytes) -> &Bytes {
        self.0.framed[way].get_or_init(|| frame(&self.0.bytes))
    }
}

/// One output for the viewers that want it in one way.
#[derive(Debug)]
pub(crate) struct Lane {
    muxer: Box<dyn Mux>,
    gop: Cache,
    /// What comes next follows a key frame.
    running: bool,
    /// Counts changes of the headers.
    headers: u32,
    current_headers: Bytes,
    /// Headers must go out before the next key frame.
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

/// What goes before a chunk for the viewers that need it.
struct Before {
    /// It begins with a key frame.
    start: bool,
    /// Headers that changed.
    headers: Option<Bytes>,
    /// For those who have missed something.
    resumption: Bytes,
}

impl Lane {
    pub(crate) fn new(tracks: &[Track], output: Output, hub: &Hub) -> Self {
        Self {
            muxer: output.muxer(tracks),
            gop: Cache::new(&hub.settings),
            running: false,
            headers: 0,
            current_headers: Bytes::new(),
            changed: true,
            viewers: HashMap::new(),
            stats: Arc::clone(&hub.stats),
        }
    }

    /// A new publisher's tracks: viewers stay, and go on at its first key frame.
    pub(crate) fn retune(&mut self, tracks: &[Track]) {
        self.muxer.retune(tracks);
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
        self.changed |= self.muxer.set_parameters(track, parameters);
    }

    /// No picture comes: from now on sound goes alone where the format can have it so, to those who wait for a picture too.
    /// The next key frame of the video ends that, with new headers.
    pub(crate) fn leave_out_video(&mut self) {
        if self.muxer.leave_out_video() {
            self.gop.clear();
        }
    }

    /// Muxes a frame and sends it to every viewer that is not behind.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        let muxer = &mut self.muxer;
        self.changed |= muxer.take_video_back(frame);
        if !muxer.carries(frame.track) || !muxer.ready() {
            return;
        }
        let start = frame.key && muxer.leads(frame.track);
        if !self.running && !start {
            return;
        }
        // New headers go out with a key frame, or at once where they are the audio's (they do not touch the picture).
        let headers = (self.changed && (start || !muxer.leads(frame.track))).then(|| muxer.headers(frame));
        let head = start.then(|| muxer.head(frame));
        let resumes = start && self.viewers.values().any(|viewer| matches!(viewer.state, State::Behind { .. }));
        let resumption = if resumes { muxer.resumption(frame) } else { Bytes::new() };
        let mut out = BytesMut::with_capacity(muxer.size(frame));
        if !muxer.write(frame, &mut out) {
            return;
        }
        let bytes = out.freeze();
        if let Some(headers) = &headers {
            self.changed = false;
            self.headers = self.headers.wrapping_add(1);
            self.current_headers = headers.clone();
        }
        if let Some(head) = head {
            self.gop.begin(head);
            self.running = true;
        }
        if let Some(headers) = headers.as_ref().filter(|headers| !start && !headers.is_empty()) {
            self.gop.push(headers.clone());
        }
        if !self.viewers.is_empty() {
            self.fan_out(&bytes, &Before { start, headers, resumption });
        }
        self.gop.push(bytes);
    }

    fn fan_out(&mut self, bytes: &Bytes, before: &Before) {
        let Before { start, headers, resumption } = before;
        let (now, head, current) = (self.headers, self.gop.head(), &self.current_headers);
        // One chunk holds what goes before and the frame, so that none can come without the other.
        let mut joined: [Option<Chunk>; 4] = Default::default();
        let plain = Chunk::new(bytes.clone());
        let mut with = |slot: usize, first: &[&Bytes]| {
            if first.iter().all(|part| part.is_empty()) {
                return plain.clone();
            }
            let join = || Chunk::new(first.iter().chain([&bytes]).flat_map(|part| part.iter().copied()).collect());
            joined[slot].get_or_insert_with(join).clone()
        };
        let mut gone = Vec::new();
        for (id, viewer) in &mut self.viewers {
            let chunk = match viewer.state {
                State::Current if headers.is_some() => with(0, &[current]),
                State::Current => plain.clone(),
                State::New if *start => with(1, &[head]),
                State::Behind { headers: had } if *start && had != now => with(2, &[current, resumption]),
                State::Behind { .. } if *start => with(3, &[resumption]),
                State::New => continue,
                State::Behind { .. } => {
                    viewer.consumer.missed_chunk(&self.stats);
                    continue;
                }
            };
            let len = chunk.bytes().len() as u64;
            match viewer.chunks.try_send(chunk) {
                Ok(()) => {
                    viewer.state = State::Current;
                    viewer.consumer.offered.fetch_add(len, Relaxed);
                }
                Err(SendError::Full(_)) => {
                    self.stats.full_mailboxes.add(1);
                    if viewer.state == State::Current {
                        let had = if headers.is_some() { now.wrapping_sub(1) } else { now };
                        viewer.state = State::Behind { headers: had };
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
