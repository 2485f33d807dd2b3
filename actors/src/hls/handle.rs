//! What requests use: the newest snapshot, waiting for a newer one, sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipchub_media::hls::presentation::Lookup;
use ipchub_media::hls::{Format, Presentation};
use tokio::sync::watch;

use super::HlsMuxer;
use super::sessions::{Session, Sessions};
use super::spool::Kept;
use crate::accounts;
use crate::hub::Hub;
use crate::info::SourceInfo;
use crate::messages::Found;
use crate::meter::Counter;

/// A blocking reload is answered within as many target durations (RFC 8216bis, section 6.2.5.2).
const BLOCKS: u32 = 3;
/// Requests that wait for the first part at once: each may wait long, and anybody may send them.
const MAX_OPENING: usize = 256;

/// Why a request of a player cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum HlsError {
    #[error("the stream has ended")]
    Ended,
    #[error("this player was ended by the administrator")]
    Kicked,
    #[error("the hub has its players (limits.connections)")]
    Full,
    #[error("too many requests of this player wait already")]
    Waiting,
    #[error("it is too far ahead: the newest segment is {newest}")]
    TooFar { newest: u64 },
    #[error("there is no such segment, or not any more")]
    Missing,
    #[error("no {0} came within {n} s", n = .1.as_secs_f64())]
    TimedOut(&'static str, Duration),
}

/// The HLS of one source, shared by its actor and by requests.
#[derive(Debug)]
pub struct Handle {
    hub: Hub,
    pub(super) format: Format,
    info: Weak<SourceInfo>,
    /// The actor owns the sender: if that is gone, so is the actor.
    moments: watch::Receiver<Option<Arc<Presentation>>>,
    pub(super) sessions: Sessions,
    /// Milliseconds after `begin` of the last request.
    touched: AtomicU64,
    begin: Instant,
    /// Requests that wait for the first part.
    opening: Arc<Counter>,
    /// Segments that lie in the folder, by number.
    pub(super) kept: Mutex<BTreeMap<u64, Arc<Kept>>>,
}

type Moment = Option<Arc<Presentation>>;

impl Handle {
    /// The HLS of a source in a container; begins if nobody watched it so before.
    pub fn of(hub: &Hub, found: &Found, format: Format) -> Arc<Self> {
        let handle = found.info.hls(format, || {
            let (publisher, moments) = watch::channel(None);
            let handle = Arc::new(Self {
                hub: hub.clone(),
                format,
                info: Arc::downgrade(&found.info),
                moments,
                sessions: Sessions::default(),
                touched: AtomicU64::new(0),
                begin: Instant::now(),
                opening: Arc::default(),
                kept: Mutex::default(),
            });
            HlsMuxer::begin(hub.clone(), found.clone(), Arc::clone(&handle), publisher);
            handle
        });
        handle.touch();
        handle
    }

    /// Whether its actor works.
    pub(crate) fn is_alive(&self) -> bool {
        self.moments.has_changed().is_ok()
    }

    fn touch(&self) {
        self.touched.store(self.begin.elapsed().as_millis() as u64, Relaxed);
    }

    pub(super) fn is_idle(&self, limit: Duration) -> bool {
        let idle = self.begin.elapsed().saturating_sub(Duration::from_millis(self.touched.load(Relaxed)));
        idle > limit && self.sessions.is_empty()
    }

    /// An id for a new player; it begins with the first request that carries it.
    pub fn new_session() -> String {
        accounts::random::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The player of that id: at most 64 bytes, chosen by whoever wrote its playlist.
    ///
    /// # Errors
    /// If it was kicked, or there are too many.
    pub fn session(&self, id: &str, peer: SocketAddr) -> Result<Arc<Session>, HlsError> {
        self.touch();
        let info = self.info.upgrade().ok_or(HlsError::Ended)?;
        self.sessions.session(id, &self.hub, &info, peer)
    }

    /// The player of that id, if it plays.
    pub fn live_session(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions.live(id)
    }

    async fn until(
        &self,
        limit: Duration,
        what: &'static str,
        mut there: impl FnMut(&Presentation) -> bool,
    ) -> Result<Arc<Presentation>, HlsError> {
        let mut moments = self.moments.clone();
        let ready = moments.wait_for(|moment: &Moment| moment.as_ref().is_some_and(|now| there(now) || now.ended));
        match tokio::time::timeout(limit, ready).await {
            Ok(Ok(moment)) => moment.clone().ok_or(HlsError::Ended),
            Ok(Err(_)) => Err(HlsError::Ended),
            Err(_) => Err(HlsError::TimedOut(what, limit)),
        }
    }

    /// The newest moment, once there is something to play.
    ///
    /// # Errors
    /// If nothing comes in time, for instance no key frame.
    pub async fn content(&self) -> Result<Arc<Presentation>, HlsError> {
        if let Some(now) = self.moments.borrow().clone().filter(|now| now.has_content()) {
            return Ok(now);
        }
        let _opening = self.opening.enter_below(MAX_OPENING).ok_or(HlsError::Waiting)?;
        self.until(self.hub.settings.pull_timeout, "picture or sound", Presentation::has_content).await
    }

    /// As [`Handle::content`], and not before it has that segment, or that part of it.
    ///
    /// # Errors
    /// If it is too far ahead, does not come in time, or too many requests of the player wait.
    pub async fn reached(
        &self,
        session: &Session,
        number: u64,
        part: Option<usize>,
    ) -> Result<Arc<Presentation>, HlsError> {
        let now = self.content().await?;
        if now.ended || now.has(number, part) {
            return Ok(now);
        }
        if now.is_too_far(number) {
            return Err(HlsError::TooFar { newest: now.next.saturating_sub(1) });
        }
        self.wait(session, &now, "such segment", |now| now.has(number, part)).await
    }

    /// As [`Handle::content`], and not before there are two complete segments, if they come in time.
    ///
    /// # Errors
    /// If nothing comes in time, or too many requests of the player wait.
    pub async fn two_segments(&self, session: &Session) -> Result<Arc<Presentation>, HlsError> {
        let now = self.content().await?;
        let has_two = |now: &Presentation| now.segments.len() > 1;
        if now.ended || has_two(&now) {
            return Ok(now);
        }
        match self.wait(session, &now, "second segment", has_two).await {
            Err(HlsError::TimedOut(..)) => self.content().await,
            found => found,
        }
    }

    async fn wait(
        &self,
        session: &Session,
        now: &Presentation,
        what: &'static str,
        there: impl FnMut(&Presentation) -> bool,
    ) -> Result<Arc<Presentation>, HlsError> {
        let _waiting = session.wait()?;
        let limit = Duration::from_secs(now.target_duration) * BLOCKS;
        let found = tokio::select! {
            found = self.until(limit, what, there) => found,
            () = session.gone.notified() => Err(HlsError::Kicked),
        };
        self.touch();
        found
    }

    /// A complete segment.
    ///
    /// # Errors
    /// If there is none of that number.
    pub async fn segment(&self, number: u64) -> Result<Bytes, HlsError> {
        let now = self.content().await?;
        let segment = now.segment(number).ok_or(HlsError::Missing)?;
        if let Some(body) = &segment.body {
            return Ok(body.clone());
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        let kept = kept.ok_or(HlsError::Missing)?;
        match tokio::task::spawn_blocking(move || kept.read()).await {
            Ok(Ok(body)) => Ok(body),
            // Somebody removed it.
            _ => Err(HlsError::Missing),
        }
    }

    /// A part; of the one that is hinted at, once it is there.
    ///
    /// # Errors
    /// If there is none, or it does not come in time.
    pub async fn part(&self, session: &Session, number: u64, part: usize) -> Result<Bytes, HlsError> {
        let mut now = self.content().await?;
        let mut found = now.part(number, part);
        if found == Lookup::Next {
            now = self.wait(session, &now, "such part", |now| now.part(number, part) != Lookup::Next).await?;
            found = now.part(number, part);
        }
        match found {
            Lookup::Found(bytes) => Ok(bytes),
            _ => Err(HlsError::Missing),
        }
    }
}
