//! Figures without messages: atomics that a connection writes and whoever asks reads. Guards count, so that the figures are
//! exact however a connection ends, a panic included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Bytes through one connection.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Meter {
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes received from the peer.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes that the peer's socket took.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }
}

/// How many there were and are of something.
#[derive(Debug, Default)]
pub struct Counter {
    total: AtomicU64,
    active: AtomicUsize,
}

impl Counter {
    /// Counts one until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Active {
        self.total.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        Active(Arc::clone(self))
    }

    /// As [`Counter::enter`], but refused when `limit` are active.
    pub fn enter_below(self: &Arc<Self>, limit: usize) -> Option<Active> {
        self.active.fetch_update(Relaxed, Relaxed, |active| (active < limit).then_some(active + 1)).ok()?;
        self.total.fetch_add(1, Relaxed);
        Some(Active(Arc::clone(self)))
    }

    /// Since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Now.
    pub fn active(&self) -> usize {
        self.active.load(Relaxed)
    }
}

/// One that is counted as active.
#[derive(Debug)]
pub struct Active(Arc<Counter>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The hub's own counters.
#[derive(Debug, Default)]
pub struct Stats {
    /// Accepted connections of every kind.
    pub connections: Arc<Counter>,
    /// RTSP connections, over websockets too.
    pub rtsp: Arc<Counter>,
    /// FLV viewers, over websocket and HTTP.
    pub flv: Arc<Counter>,
    /// WSP sessions: a control connection and what joined it.
    pub wsp: Arc<Counter>,
    /// Connections to cameras, those that are being made included.
    pub pulls: Arc<Counter>,
    /// Connections closed because `limits.connections` was reached.
    pub refused_limit: Tally,
    /// Connections closed because their first bytes were of no known protocol, or did not come in time.
    pub refused_protocol: Tally,
    /// Chunks that a viewer did not get because it was behind.
    pub dropped_chunks: Tally,
    /// Times that a viewer fell behind: its mailbox was full.
    pub fell_behind: Tally,
    /// Viewers closed because they took no byte for `write_timeout`.
    pub write_timeouts: Tally,
    /// RTP packets that publishers sent and the hub could not use.
    pub bad_packets: Tally,
    /// Datagrams that the hub's own sockets did not take.
    pub unsent_datagrams: Tally,
    /// UDP datagrams from nobody who publishes or plays.
    pub stray_datagrams: Tally,
}
