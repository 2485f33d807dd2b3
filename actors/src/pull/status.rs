//! What a route is doing, shared with whoever lists it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What a pull is doing, the most alive last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum PullState {
    /// Nobody wants it.
    Idle,
    /// It failed and is tried again later.
    Waiting,
    Connecting,
    Live,
}

impl PullState {
    /// As REST shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Live => "live",
        }
    }
}

/// A moment's picture of one pull, or of all of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is doing.
    pub state: PullState,
    /// Since when.
    pub since: SystemTime,
    /// What went wrong last, in words; empty after a minute without trouble. Never a password.
    pub error: String,
    /// How often it was tried again.
    pub retries: u64,
    /// Bytes of RTP and RTCP received.
    pub bytes: u64,
}

impl Snapshot {
    /// Of a route that nobody has asked for.
    pub fn idle(since: SystemTime) -> Self {
        Self { state: PullState::Idle, since, error: String::new(), retries: 0, bytes: 0 }
    }

    /// Both together: counts are added, the more alive state and the newer error count.
    pub fn merge(&mut self, other: &Snapshot) {
        self.retries += other.retries;
        self.bytes += other.bytes;
        if !other.error.is_empty() && (self.error.is_empty() || other.since >= self.since) {
            self.error.clone_from(&other.error);
        }
        if other.state > self.state || other.state == self.state && other.since > self.since {
            (self.state, self.since) = (other.state, other.since);
        }
    }
}

/// Written by one pull.
#[derive(Debug)]
pub struct PullStatus {
    shown: Mutex<(PullState, SystemTime, String)>,
    retries: AtomicU64,
    bytes: AtomicU64,
}

impl Default for PullStatus {
    fn default() -> Self {
        Self {
            shown: Mutex::new((PullState::Idle, SystemTime::now(), String::new())),
            retries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }
}

impl PullStatus {
    fn lock(&self) -> MutexGuard<'_, (PullState, SystemTime, String)> {
        // Every write is an assignment: the value stays whole even if a holder panicked.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is doing now.
    pub fn snapshot(&self) -> Snapshot {
        let (state, since, error) = self.lock().clone();
        Snapshot { state, since, error, retries: self.retries.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    pub(super) fn set(&self, state: PullState) {
        let mut shown = self.lock();
        if shown.0 != state {
            (shown.0, shown.1) = (state, SystemTime::now());
        }
    }

    pub(super) fn set_error(&self, error: &str) {
        self.lock().2 = error.to_owned();
    }

    pub(super) fn error(&self) -> String {
        self.lock().2.clone()
    }

    pub(super) fn add_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
}
