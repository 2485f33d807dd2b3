//! Figures without messages: atomics that a connection writes and whoever asks reads. Guards count, so that the figures are
//! exact however a connection ends, a panic included.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

    /// Both, beyond what they were.
    fn since(&self, from: (u64, u64)) -> (u64, u64) {
        (self.bytes_in().saturating_sub(from.0), self.bytes_out().saturating_sub(from.1))
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

/// Bytes of one protocol, over all its connections since the start. A connection's bytes are counted by its own meter;
/// they are added up when somebody asks, and once more when it ends.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Flows>);

#[derive(Debug, Default)]
struct Flows {
    next: u64,
    /// Of meters that are followed no more.
    settled: (u64, u64),
    /// With what the meter showed when it was first followed.
    live: BTreeMap<u64, (Arc<Meter>, (u64, u64))>,
}

impl Traffic {
    fn lock(&self) -> MutexGuard<'_, Flows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what the meter shows from now on, until the guard is dropped.
    pub(crate) fn follow(self: &Arc<Self>, meter: &Arc<Meter>, from: (u64, u64)) -> Followed {
        let mut flows = self.lock();
        flows.next += 1;
        let id = flows.next;
        flows.live.insert(id, (Arc::clone(meter), from));
        Followed { traffic: Arc::clone(self), id }
    }

    /// Bytes in and out.
    pub fn bytes(&self) -> (u64, u64) {
        let flows = self.lock();
        flows.live.values().map(|(meter, from)| meter.since(*from)).fold(flows.settled, sum)
    }
}

fn sum(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0 + b.0, a.1 + b.1)
}

/// A meter whose bytes are of a protocol.
#[derive(Debug)]
pub(crate) struct Followed {
    traffic: Arc<Traffic>,
    id: u64,
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut flows = self.traffic.lock();
        if let Some((meter, from)) = flows.live.remove(&self.id) {
            flows.settled = sum(flows.settled, meter.since(from));
        }
    }
}

/// Bytes by protocol.
#[derive(Debug, Default)]
pub struct Protocols {
    /// RTSP connections, with their datagrams.
    pub rtsp: Arc<Traffic>,
    /// FLV viewers, from their first byte of FLV on.
    pub flv: Arc<Traffic>,
    /// Playlists and media of HLS. Their connections are of HTTP too.
    pub hls: Arc<Traffic>,
    /// MPEG-TS viewers, from their first byte of it on.
    pub ts: Arc<Traffic>,
    /// Viewers of fragmented MP4, from their first byte of it on.
    pub fmp4: Arc<Traffic>,
    /// WSP connections.
    pub wsp: Arc<Traffic>,
    /// REST, pages, and the beginning of what is taken over by a viewer. A connection of HTTP/2 is counted whole, with the
    /// viewers on its streams, who are also in their own protocol's.
    pub http: Arc<Traffic>,
    /// RTP and RTCP of cameras that are pulled.
    pub pulled: Tally,
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
    /// Players of HLS.
    pub hls: Arc<Counter>,
    /// MPEG-TS viewers, over websocket and HTTP.
    pub ts: Arc<Counter>,
    /// Viewers of fragmented MP4, over websocket and HTTP.
    pub fmp4: Arc<Counter>,
    /// WSP sessions: a control connection and what joined it.
    pub wsp: Arc<Counter>,
    /// Connections to cameras, those that are being made included.
    pub pulls: Arc<Counter>,
    /// Source actors.
    pub sources: Arc<Counter>,
    /// Actors of paths that are pulled, or were within a minute.
    pub pulled_paths: Arc<Counter>,
    /// Threads that run actors.
    pub arbiters: Arc<Counter>,
    /// Bytes by protocol.
    pub traffic: Protocols,
    /// Connections closed because `limits.connections` was reached.
    pub refused_limit: Tally,
    /// Connections closed because their first bytes were of no known protocol, or did not come in time.
    pub refused_protocol: Tally,
    /// Chunks that a viewer did not get because it was behind.
    pub dropped_chunks: Tally,
    /// Times that a viewer fell behind: its mailbox was full.
    pub fell_behind: Tally,
    /// Times that a viewer's mailbox was full when something was offered to it.
    pub full_mailboxes: Tally,
    /// Viewers closed because they took no byte for `write_timeout`.
    pub write_timeouts: Tally,
    /// RTP packets that publishers sent and the hub could not use.
    pub bad_packets: Tally,
    /// Datagrams that the hub's own sockets did not take.
    pub unsent_datagrams: Tally,
    /// UDP datagrams from nobody who publishes or plays.
    pub stray_datagrams: Tally,
}
