//! The players of one source. A session is what requests have in common that carry the same id; it begins with its first
//! request and ends when there is none for `hls.idle`, or when it is kicked.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::HlsError;
use crate::connection::Link;
use crate::hub::Hub;
use crate::info::{Consumer, PacketType, Registered, SourceInfo};
use crate::meter::Active;

/// Requests of one session that wait at once. A player waits for a playlist and a part; two of each are in flight when it
/// changes its mind.
pub(super) const MAX_WAITING: usize = 8;
/// Ids of kicked sessions that are remembered. Whoever is forgotten may begin again, as any viewer may.
const MAX_KICKED: usize = 1024;

/// A player.
#[derive(Debug)]
pub struct Session {
    consumer: Arc<Consumer>,
    /// Milliseconds after `begin` of its last request.
    touched: AtomicU64,
    begin: Instant,
    waiting: AtomicUsize,
    /// Of the token that let it in last, under a key of its own: enough to know it again. 0: none.
    token: AtomicU64,
    key: RandomState,
    /// Told when it is kicked.
    pub(super) gone: Notify,
}

/// Counts a request as waiting.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Session);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.0.touch();
    }
}

impl Session {
    /// Notes that it asks for something.
    fn touch(&self) {
        self.touched.store(self.begin.elapsed().as_millis() as u64, Relaxed);
    }

    /// Notes the token that lets it in.
    pub fn let_in_by(&self, token: &str) {
        self.token.store(self.mark(token), Relaxed);
    }

    /// Whether that token let it in.
    pub fn was_let_in_by(&self, token: &str) -> bool {
        self.token.load(Relaxed) == self.mark(token)
    }

    fn mark(&self, token: &str) -> u64 {
        self.key.hash_one(token).max(1)
    }

    /// Bytes that are offered to it.
    pub fn offer(&self, bytes: usize) {
        self.consumer.offered.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes that its connection took. False: it is kicked.
    pub fn sent(&self, bytes: usize) -> bool {
        self.consumer.link.sent_elsewhere(bytes);
        self.consumer.link.killed().is_none()
    }

    pub(super) fn wait(&self) -> Result<Waiting<'_>, HlsError> {
        let below = |waiting| (waiting < MAX_WAITING).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, below).map_err(|_| HlsError::Waiting)?;
        Ok(Waiting(self))
    }

    fn is_idle(&self, limit: Duration) -> bool {
        let idle = self.begin.elapsed().saturating_sub(Duration::from_millis(self.touched.load(Relaxed)));
        idle > limit && self.waiting.load(Relaxed) == 0
    }
}

/// A session, and what makes it count.
#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    _registered: Registered,
    _counted: Active,
}

/// The sessions of one source.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    live: HashMap<String, Entry>,
    kicked: VecDeque<String>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of that id, which begins if there is none.
    pub(super) fn session(
        &self,
        id: &str,
        hub: &Hub,
        info: &Arc<SourceInfo>,
        peer: SocketAddr,
    ) -> Result<Arc<Session>, HlsError> {
        let mut table = self.lock();
        if let Some(entry) = table.live.get(id) {
            if entry.session.consumer.link.killed().is_some() {
                return Err(HlsError::Kicked);
            }
            entry.session.touch();
            return Ok(Arc::clone(&entry.session));
        }
        if table.kicked.iter().any(|kicked| kicked == id) {
            return Err(HlsError::Kicked);
        }
        // As many players as connections: one that plays needs one.
        let counted = hub.stats.hls.enter_below(hub.settings.max_connections).ok_or(HlsError::Full)?;
        let link = Arc::new(Link::new(peer));
        link.counts_as(&hub.stats.traffic.hls);
        let extra = format!("net=hls,{peer}");
        let consumer = Arc::new(Consumer::new(hub.consumer_id(PacketType::Hls), PacketType::Hls, extra, link));
        log::info!("{}: {peer} watches by hls", info.path);
        let session = Arc::new(Session {
            consumer: Arc::clone(&consumer),
            touched: AtomicU64::new(0),
            begin: Instant::now(),
            waiting: AtomicUsize::new(0),
            token: AtomicU64::new(0),
            key: RandomState::new(),
            gone: Notify::new(),
        });
        let entry =
            Entry { session: Arc::clone(&session), _registered: info.add_consumer(consumer), _counted: counted };
        table.live.insert(id.to_owned(), entry);
        Ok(session)
    }

    /// The session of that id, if it goes on.
    pub(super) fn live(&self, id: &str) -> Option<Arc<Session>> {
        let session = self.lock().live.get(id).map(|entry| Arc::clone(&entry.session));
        session.filter(|session| session.consumer.link.killed().is_none())
    }

    /// Ends sessions that are kicked or idle.
    pub(super) fn sweep(&self, idle: Duration, path: &str) {
        let mut table = self.lock();
        let Table { live, kicked } = &mut *table;
        live.retain(|id, Entry { session, .. }| {
            let killed = session.consumer.link.killed();
            if killed.is_none() && !session.is_idle(idle) {
                return true;
            }
            if killed.is_some() {
                kicked.truncate(MAX_KICKED - 1);
                kicked.push_front(id.clone());
            }
            say_goodbye(session, path, killed.unwrap_or("no request"));
            false
        });
    }

    /// Whether somebody watches.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().live.is_empty()
    }

    /// Ends all.
    pub(super) fn end(&self, reason: &str, path: &str) {
        for (_, Entry { session, .. }) in self.lock().live.drain() {
            say_goodbye(&session, path, reason);
        }
    }
}

fn say_goodbye(session: &Session, path: &str, reason: &str) {
    session.gone.notify_waiters();
    let consumer = &session.consumer;
    let (watched, bytes) = (consumer.started.at.elapsed().as_secs_f64(), consumer.link.meter.bytes_out());
    log::info!("{path}: {} watched by hls for {watched:.1} s, {bytes} bytes sent: {reason}", consumer.link.peer);
}
