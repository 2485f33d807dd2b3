//! The viewers of a branch, on its thread.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;

use super::{Branch, Choice, Member, Sent, State, Step, ToBranch, Written};
use crate::hub::Hub;
use crate::info::SourceInfo;
use crate::messages::EndViewing;
use crate::meter::Stats;

/// Viewers that are served before others on the thread have their turn: half a millisecond or so.
const TURN: usize = 64;

thread_local! {
    /// This thread's branches, by kind of step and by source.
    static BRANCHES: RefCell<HashMap<(TypeId, usize), Box<dyn Any>>> = RefCell::default();
}

/// The viewers of one source and kind of step on this thread.
pub(super) struct Room<S: Step> {
    /// Keeps it while there is a branch, so that its place in memory names it.
    source: Arc<SourceInfo>,
    stats: Arc<Stats>,
    /// Not yet in a lane.
    waiting: RefCell<Vec<Member<S>>>,
    parts: RefCell<Vec<Part<S>>>,
}

/// The viewers of one lane.
struct Part<S: Step> {
    lane: u64,
    /// The last step that came, and the count of headers with it.
    number: u64,
    headers: u32,
    /// Empty where one left: those after it keep their places until the next step.
    slots: Vec<Option<Slot<S>>>,
}

struct Slot<S: Step> {
    member: Member<S>,
    state: State,
}

/// A viewer's place in a branch; given up when dropped.
pub(crate) struct Entry<S: Step> {
    id: u32,
    room: Rc<Room<S>>,
    address: Addr<Branch<S>>,
}

/// Enters the branch of that source on this thread. Nothing comes before a lane admits the viewer.
pub(crate) fn enter<S: Step>(hub: &Hub, source: &Arc<SourceInfo>, member: Member<S>) -> Entry<S> {
    let key = key::<S>(source);
    let known = BRANCHES.with_borrow(|branches| {
        let known = branches.get(&key).and_then(|any| any.downcast_ref::<(Rc<Room<S>>, Addr<Branch<S>>)>());
        known.cloned()
    });
    let (room, address) = known.unwrap_or_else(|| {
        let room = Rc::new(Room {
            source: Arc::clone(source),
            stats: Arc::clone(&hub.stats),
            waiting: RefCell::default(),
            parts: RefCell::default(),
        });
        let branch = Branch { room: Rc::clone(&room) };
        let address = Branch::create(|ctx| {
            ctx.set_mailbox_capacity(hub.settings.viewer_queue);
            branch
        });
        let entry: Box<dyn Any> = Box::new((Rc::clone(&room), address.clone()));
        BRANCHES.with_borrow_mut(|branches| branches.insert(key, entry));
        (room, address)
    });
    let id = member.consumer.id;
    room.waiting.borrow_mut().push(member);
    Entry { id, room, address }
}

fn key<S: Step>(source: &Arc<SourceInfo>) -> (TypeId, usize) {
    (TypeId::of::<S>(), Arc::as_ptr(source) as usize)
}

impl<S: Step> Entry<S> {
    /// The branch.
    pub(crate) fn branch(&self) -> Addr<Branch<S>> {
        self.address.clone()
    }
}

impl<S: Step> std::fmt::Debug for Entry<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish()
    }
}

impl<S: Step> Drop for Entry<S> {
    fn drop(&mut self) {
        self.room.leave(self.id);
        if self.room.is_empty() {
            let key = key::<S>(&self.room.source);
            // What was removed is dropped when the map is free again.
            let branch = BRANCHES.try_with(|branches| branches.borrow_mut().remove(&key));
            drop(branch);
            self.address.do_send(ToBranch::Stop);
        }
    }
}

impl<S: Step> Room<S> {
    fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
            && self.parts.borrow().iter().all(|part| part.slots.iter().all(Option::is_none))
    }

    fn leave(&self, id: u32) {
        self.waiting.borrow_mut().retain(|member| member.consumer.id != id);
        for part in self.parts.borrow_mut().iter_mut() {
            part.slots.iter_mut().for_each(|slot| drop(slot.take_if(|slot| slot.member.consumer.id == id)));
        }
    }

    pub(super) fn admit(&self, id: u32, lane: u64, number: u64, state: State, headers: u32) {
        let mut waiting = self.waiting.borrow_mut();
        // It may have left meanwhile.
        let Some(place) = waiting.iter().position(|member| member.consumer.id == id) else { return };
        let slot = Some(Slot { member: waiting.swap_remove(place), state });
        let mut parts = self.parts.borrow_mut();
        match parts.iter_mut().find(|part| part.lane == lane) {
            Some(part) => {
                part.miss_until(number, &self.stats);
                part.headers = headers;
                part.slots.push(slot);
            }
            None => parts.push(Part { lane, number, headers, slots: vec![slot] }),
        }
    }

    pub(super) fn end(&self, lane: u64, reason: &str) {
        let mut parts = self.parts.borrow_mut();
        if let Some(place) = parts.iter().position(|part| part.lane == lane) {
            for slot in parts.swap_remove(place).slots.into_iter().flatten() {
                slot.member.end.do_send(EndViewing { reason: reason.to_owned() });
            }
        }
    }

    /// Hands a step to the next viewers, from the first on if `from` is none. Answers where to go on, if there are more.
    pub(super) fn serve(&self, sent: &Sent<S>, from: Option<usize>) -> Option<usize> {
        let mut parts = self.parts.borrow_mut();
        if from.is_none() {
            parts.retain_mut(|part| {
                part.slots.retain(Option::is_some);
                !part.slots.is_empty()
            });
        }
        let part = parts.iter_mut().find(|part| part.lane == sent.lane)?;
        let from = from.unwrap_or_else(|| {
            part.move_on(sent, &self.stats);
            0
        });
        let until = part.slots.len().min(from + TURN);
        // A write leaves little in the caches of what the next viewer's needs. Looked at one after the other, without anything in
        // between, they are fetched from memory side by side.
        black_box(part.slots[from..until].iter().flatten().filter(|slot| slot.peek()).count());
        for place in &mut part.slots[from..until] {
            if let Some(slot) = place
                && !slot.give(sent, &self.stats)
            {
                *place = None;
            }
        }
        (until < part.slots.len()).then_some(until)
    }
}

impl<S: Step> Part<S> {
    /// Comes to a step; the viewers fall behind if there is a gap before it.
    fn move_on(&mut self, sent: &Sent<S>, stats: &Stats) {
        self.miss_until(sent.number - 1, stats);
        if !sent.follows {
            self.fall_behind();
        }
        (self.number, self.headers) = (sent.number, sent.headers);
    }

    /// The steps up to that one found the branch's mailbox full.
    fn miss_until(&mut self, number: u64, stats: &Stats) {
        let missed = number.saturating_sub(self.number);
        if missed == 0 {
            return;
        }
        stats.fell_behind.add(self.fall_behind());
        for slot in self.slots.iter().flatten().filter(|slot| slot.state != State::New) {
            (0..missed).for_each(|_| slot.member.consumer.missed_chunk(stats));
        }
        self.number = number;
    }

    /// How many had had everything.
    fn fall_behind(&mut self) -> u64 {
        let behind = State::Behind { headers: self.headers };
        let current = self.slots.iter_mut().flatten().filter(|slot| slot.state == State::Current);
        current.map(|slot| slot.state = behind).count() as u64
    }
}

impl<S: Step> Slot<S> {
    /// Whether a piece could be written now.
    fn peek(&self) -> bool {
        let Member { consumer, direct, .. } = &self.member;
        // Not `&&`, which would wait for the first.
        (consumer.offered.load(Relaxed) > 0) & direct.as_ref().is_some_and(|direct| direct.peek())
    }

    /// Gives a viewer its piece. False if it is gone.
    fn give(&mut self, sent: &Sent<S>, stats: &Stats) -> bool {
        let Self { member, state } = self;
        let piece = match sent.step.choose(*state) {
            Choice::Piece(piece) => piece,
            Choice::Nothing => return true,
            Choice::Missed => {
                member.consumer.missed_chunk(stats);
                return true;
            }
        };
        let written = member.direct.as_ref().map_or(Written::Nothing, |direct| direct.write(piece));
        let message = |written| S::message(piece, member.consumer.id, written);
        let result = match written {
            Written::All => Ok(()),
            Written::Part(written) => {
                // Nothing waits in the mailbox, and half a chunk must not be lost.
                member.chunks.do_send(message(written));
                Ok(())
            }
            Written::Nothing => member.chunks.try_send(message(0)),
        };
        match result {
            Ok(()) => {
                if let (Some(direct), Written::Part(_) | Written::Nothing) = (&member.direct, written) {
                    direct.queued();
                }
                *state = sent.step.taken(*state);
                member.consumer.offered.fetch_add(S::len(piece), Relaxed);
            }
            Err(SendError::Full(_)) => {
                stats.full_mailboxes.add(1);
                if *state == State::Current {
                    // With headers that it does not get it has those before.
                    *state = State::Behind { headers: sent.headers_before };
                    stats.fell_behind.add(1);
                }
                member.consumer.missed_chunk(stats);
            }
            Err(SendError::Closed(_)) => return false,
        }
        true
    }
}
