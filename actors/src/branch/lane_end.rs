//! A lane's end of its branches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use actix::prelude::*;

use super::{Branch, Sent, State, Step, ToBranch};
use crate::meter::Stats;

/// Lanes of all sources have different numbers: a branch may have viewers of several lanes of its source.
static LANES: AtomicU64 = AtomicU64::new(0);

/// The branches of a lane, one for each thread that has viewers of it.
pub(crate) struct Branches<S: Step> {
    lane: u64,
    number: u64,
    headers: u32,
    /// The next step goes with what was before.
    follows: bool,
    branches: Vec<LaneBranch<S>>,
    /// Where each viewer is.
    viewers: HashMap<u32, Addr<Branch<S>>>,
    stats: Arc<Stats>,
}

struct LaneBranch<S: Step> {
    address: Addr<Branch<S>>,
    viewers: usize,
}

impl<S: Step> Branches<S> {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        let lane = LANES.fetch_add(1, Relaxed);
        Self { lane, number: 0, headers: 0, follows: true, branches: Vec::new(), viewers: HashMap::new(), stats }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    /// What comes next does not go with what was before.
    pub(crate) fn break_off(&mut self) {
        self.follows = false;
    }

    /// Sends a step to all. `headers`: the count of headers that a viewer has with it.
    pub(crate) fn send(&mut self, headers: u32, step: S) {
        self.number += 1;
        let follows = std::mem::replace(&mut self.follows, true);
        let headers_before = std::mem::replace(&mut self.headers, headers);
        let sent = Sent { lane: self.lane, number: self.number, follows, headers, headers_before, step };
        let sent = Arc::new(sent);
        let Self { branches, viewers, stats, .. } = self;
        branches.retain(|branch| match branch.address.try_send(ToBranch::Step(Arc::clone(&sent))) {
            Ok(()) => true,
            Err(SendError::Full(_)) => {
                // It sees that by the numbers.
                stats.full_mailboxes.add(1);
                true
            }
            Err(SendError::Closed(_)) => {
                viewers.retain(|_, address| *address != branch.address);
                false
            }
        });
    }

    /// A viewer that entered a branch gets all that is sent from now on.
    pub(crate) fn admit(&mut self, id: u32, address: Addr<Branch<S>>, state: State, headers: u32) {
        let (lane, number) = (self.lane, self.number);
        self.headers = headers;
        address.do_send(ToBranch::Admit { id, lane, number, state, headers });
        match self.branches.iter_mut().find(|branch| branch.address == address) {
            Some(branch) => branch.viewers += 1,
            None => self.branches.push(LaneBranch { address: address.clone(), viewers: 1 }),
        }
        self.viewers.insert(id, address);
    }

    /// A viewer left, if it is one of this lane's.
    pub(crate) fn leave(&mut self, id: u32) {
        let Some(address) = self.viewers.remove(&id) else { return };
        self.branches.retain_mut(|branch| {
            branch.viewers -= usize::from(branch.address == address);
            branch.viewers > 0
        });
    }

    /// Tells all viewers that there is nothing more.
    pub(crate) fn end(&mut self, reason: &str) {
        for branch in self.branches.drain(..) {
            branch.address.do_send(ToBranch::End { lane: self.lane, reason: reason.to_owned() });
        }
        self.viewers.clear();
    }
}

impl<S: Step> std::fmt::Debug for Branches<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Branches").field("lane", &self.lane).field("viewers", &self.viewers.len()).finish()
    }
}
