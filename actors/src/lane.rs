//! A lane is one output format of one source: a muxer, the chunks since the last key frame, and its viewers.
//!
//! Each frame is muxed once; every viewer gets the same bytes, by the [branch](crate::branch) on its thread.

mod cache;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::{Frame, Mux, Output, Parameters, Track};

use crate::branch::{Branch, Branches, Choice, State, Step};
use crate::hub::Hub;
use crate::info::Consumer;
use crate::messages::Opening;
use cache::Cache;

/// Ways of framing that have a place in each chunk.
pub const FRAMINGS: usize = 2;

/// Muxed bytes for every viewer of a lane: one or more whole frames.
#[derive(Debug, Clone)]
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
    branches: Branches<MuxStep>,
}

/// A chunk as a viewer's actor hears it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ChunkMessage {
    /// The chunk.
    pub chunk: Chunk,
    /// Bytes of it that went out already, as the viewer frames it.
    pub written: usize,
}

/// A frame for the viewers of a lane, and what goes before it for those that need that.
#[derive(Debug)]
pub struct MuxStep {
    plain: Chunk,
    /// It begins with a key frame.
    start: bool,
    /// Headers go with it.
    changed: bool,
    headers: u32,
    /// For a new viewer.
    head: Bytes,
    /// The newest headers.
    current_headers: Bytes,
    /// For those who have missed something.
    resumption: Bytes,
    /// One chunk holds what goes before and the frame, so that none can come without the other.
    joined: [OnceLock<Chunk>; 4],
}

impl MuxStep {
    fn with(&self, slot: usize, first: &[&Bytes]) -> Choice<'_, Chunk> {
        if first.iter().all(|part| part.is_empty()) {
            return Choice::Piece(&self.plain);
        }
        let join = || {
            let parts = first.iter().copied().chain([self.plain.bytes()]);
            Chunk::new(parts.flat_map(|part| part.iter().copied()).collect())
        };
        Choice::Piece(self.joined[slot].get_or_init(join))
    }
}

impl Step for MuxStep {
    type Piece = Chunk;
    type Message = ChunkMessage;

    fn choose(&self, state: State) -> Choice<'_, Chunk> {
        match state {
            State::Current if self.changed => self.with(0, &[&self.current_headers]),
            State::Current => Choice::Piece(&self.plain),
            State::New if self.start => self.with(1, &[&self.head]),
            State::Behind { headers } if self.start && headers != self.headers => {
                self.with(2, &[&self.current_headers, &self.resumption])
            }
            State::Behind { .. } if self.start => self.with(3, &[&self.resumption]),
            State::New => Choice::Nothing,
            State::Behind { .. } => Choice::Missed,
        }
    }

    fn taken(&self, _: State) -> State {
        State::Current
    }

    fn message(chunk: &Chunk, _: u32, written: usize) -> ChunkMessage {
        ChunkMessage { chunk: chunk.clone(), written }
    }

    fn len(chunk: &Chunk) -> u64 {
        chunk.bytes().len() as u64
    }
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
            branches: Branches::new(Arc::clone(&hub.stats)),
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
        self.branches.break_off();
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
        let resumption = if start { muxer.resumption(frame) } else { Bytes::new() };
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
        if !self.branches.is_empty() {
            let step = MuxStep {
                plain: Chunk::new(bytes.clone()),
                start,
                changed: headers.is_some(),
                headers: self.headers,
                head: if start { self.gop.head().clone() } else { Bytes::new() },
                current_headers: self.current_headers.clone(),
                resumption,
                joined: Default::default(),
            };
            self.branches.send(self.headers, step);
        }
        self.gop.push(bytes);
    }

    /// Takes a viewer in that entered a branch. Its opening ends where the next chunk begins.
    pub(crate) fn subscribe(&mut self, consumer: &Consumer, branch: Addr<Branch<MuxStep>>) -> Opening {
        let opening = Opening { parts: self.gop.parts() };
        let mut state = State::New;
        if !opening.parts.is_empty() {
            state = State::Current;
            consumer.offered.fetch_add(opening.parts.iter().map(|part| part.len() as u64).sum(), Relaxed);
        }
        self.branches.admit(consumer.id, branch, state, self.headers);
        opening
    }

    /// Lets a viewer go, if it is of this lane.
    pub(crate) fn unsubscribe(&mut self, id: u32) {
        self.branches.leave(id);
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.branches.is_empty()
    }

    /// Tells all viewers that the source ended.
    pub(crate) fn end(&mut self, reason: &str) {
        self.branches.end(reason);
    }
}
