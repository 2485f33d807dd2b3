//! The part of a lane on one thread.
//!
//! A lane sends each chunk once to every thread that has viewers of its source; the [`Branch`] there hands it on. Sockets live on
//! the thread that accepted them, so a branch writes to a viewer that keeps up at once: no mailbox, no wake-up and no poll of an
//! actor a frame and viewer. To a viewer that is busy, or whose socket did not take everything, it sends a message, and goes on
//! so until the viewer has heard all of them: its mailbox bounds what waits for it. One whose mailbox is full is behind; it gets
//! nothing until the next key frame, so that it never sees a broken picture and never holds up anybody.

mod lane_end;
mod room;

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use actix::prelude::*;

use crate::info::Consumer;
use crate::messages::EndViewing;

pub(crate) use lane_end::Branches;
use room::Room;
pub(crate) use room::{Entry, enter};

/// What a lane makes of a frame, for all its viewers.
pub trait Step: Send + Sync + 'static {
    /// What one viewer is given of it; viewers in the same state share it.
    type Piece;
    /// The same as a message to a viewer's actor.
    type Message: Message<Result = ()> + Send;

    /// What a viewer in that state is given.
    fn choose(&self, state: State) -> Choice<'_, Self::Piece>;
    /// The state of a viewer that was given it.
    fn taken(&self, state: State) -> State;
    /// The piece as a message; `written` bytes of it went out already.
    fn message(piece: &Self::Piece, consumer: u32, written: usize) -> Self::Message;
    /// Bytes, for [`Consumer::offered`].
    fn len(piece: &Self::Piece) -> u64;
}

/// Where a viewer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Has had nothing: needs the head and a key frame.
    New,
    /// Has had everything so far.
    Current,
    /// Has missed something; had the sequence headers of that count.
    Behind {
        /// Counted by the lane.
        headers: u32,
    },
}

/// What a viewer is given of a step.
#[derive(Debug)]
pub enum Choice<'a, P> {
    /// This.
    Piece(&'a P),
    /// Nothing, and it misses nothing.
    Nothing,
    /// Nothing: it is behind.
    Missed,
}

/// A viewer that can be written to without a message to its actor.
pub trait Direct<P> {
    /// Whether a piece could be written now. It looks at what a write looks at.
    fn peek(&self) -> bool;
    /// Writes what the peer takes now, if nothing waits before it.
    fn write(&self, piece: &P) -> Written;
    /// A message was sent to the actor instead: until it has heard it nothing is written past it.
    fn queued(&self);
}

/// What became of a piece that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it is written.
    All,
    /// So many bytes of it are; the actor must see to the rest, or to the error.
    Part(usize),
    /// The viewer is busy; nothing was written.
    Nothing,
}

/// Whether a viewer may be written to past its actor's mailbox.
#[derive(Debug, Default)]
pub struct Gate {
    clear: Cell<bool>,
    closed: Cell<bool>,
    queued: Cell<u32>,
}

impl Gate {
    /// Nothing waits before a new chunk, neither in the actor's outbox nor in its mailbox.
    pub fn is_clear(&self) -> bool {
        self.clear.get() && !self.closed.get() && self.queued.get() == 0
    }

    /// The actor waits for its socket (false), or does not any more.
    pub fn set_clear(&self, clear: bool) {
        self.clear.set(clear);
    }

    /// Nothing is to follow what the actor says last.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// A chunk was sent to the actor's mailbox.
    pub fn queued(&self) {
        self.queued.set(self.queued.get() + 1);
    }

    /// The actor heard it.
    pub fn heard(&self) {
        self.queued.set(self.queued.get().saturating_sub(1));
    }
}

/// A viewer of a branch.
pub struct Member<S: Step> {
    /// As REST lists it.
    pub consumer: Arc<Consumer>,
    /// The mailbox of its actor.
    pub chunks: Recipient<S::Message>,
    /// Where the end goes.
    pub end: Recipient<EndViewing>,
    /// Its socket, if it lives on this thread.
    pub direct: Option<Rc<dyn Direct<S::Piece>>>,
}

/// The actor of a branch. Its mailbox has room for as many chunks as that of a viewer: a thread that is too busy for more loses
/// chunks for all of its viewers alike.
pub struct Branch<S: Step> {
    room: Rc<Room<S>>,
}

/// To a branch, from a lane.
pub(crate) enum ToBranch<S> {
    /// The next step of a lane.
    Step(Arc<Sent<S>>),
    /// A viewer that waits here is one of that lane from the step after `number` on.
    Admit {
        /// Of the consumer.
        id: u32,
        /// The lane.
        lane: u64,
        /// Its last step so far.
        number: u64,
        /// Where the viewer stands.
        state: State,
        /// The count of the lane's headers.
        headers: u32,
    },
    /// The lane ended.
    End {
        /// The lane.
        lane: u64,
        /// Told to its viewers.
        reason: String,
    },
    /// The last viewer left.
    Stop,
}

impl<S> Message for ToBranch<S> {
    type Result = ();
}

/// A step and its place.
pub(crate) struct Sent<S> {
    lane: u64,
    /// Without gaps, but for steps that found the branch's mailbox full.
    number: u64,
    /// It goes with what was before.
    follows: bool,
    /// The lane's headers are counted: those that a viewer has with this, and without it.
    headers: u32,
    headers_before: u32,
    step: S,
}

impl<S: Step> Actor for Branch<S> {
    type Context = Context<Self>;
}

impl<S: Step> Handler<ToBranch<S>> for Branch<S> {
    type Result = ();

    fn handle(&mut self, message: ToBranch<S>, ctx: &mut Self::Context) {
        match message {
            ToBranch::Step(sent) => {
                if let Some(next) = self.room.serve(&sent, None) {
                    ctx.wait(Turns { sent, next });
                }
            }
            ToBranch::Admit { id, lane, number, state, headers } => self.room.admit(id, lane, number, state, headers),
            ToBranch::End { lane, reason } => self.room.end(lane, &reason),
            ToBranch::Stop => ctx.stop(),
        }
    }
}

/// Serves the rest of many viewers by and by: others on the thread have their turn in between.
struct Turns<S> {
    sent: Arc<Sent<S>>,
    next: usize,
}

impl<S: Step> ActorFuture<Branch<S>> for Turns<S> {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        branch: &mut Branch<S>,
        _: &mut Context<Branch<S>>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        match branch.room.serve(&self.sent, Some(self.next)) {
            None => Poll::Ready(()),
            Some(next) => {
                self.next = next;
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
