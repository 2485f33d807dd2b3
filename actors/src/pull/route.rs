//! The actor that pulls one path.
//!
//! ```text
//!            wanted                  first packet, published
//!   Idle ────────────► Connecting ───────────────────────────► Live
//!    ▲ ▲                 │  ▲                                   │ │
//!    │ └──────────────┐  │  │ its time has come, still wanted   │ │
//!    │  nobody wants  │  ▼  │                                   │ │
//!    │  it any more   Waiting ◄─────────── broken, stalled ─────┘ │
//!    └──────────────────── nobody watched for pull.idle ──────────┘
//! ```
//!
//! It is wanted by `keepalive`, by whoever waits for its answer, and by the viewers of its source. The source keeps them
//! while this actor says that it comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;

use super::backoff::{Backoff, LONGEST};
use super::feed::{Feed, Opened, PullError};
use super::ingest::Ingest;
use super::status::{PullState, PullStatus};
use super::target::Target;
use crate::hub::Hub;
use crate::messages::{EndPublishing, Find, Found, OpenError, Publish};
use crate::meter::Active;
use crate::rtsp::publishing::claim_and_publish;

mod live;
mod retarget;

pub(crate) use retarget::Retarget;

/// How often stalls and viewers are looked after.
const TICK: Duration = Duration::from_secs(1);
/// How often receiver reports are sent (RFC 3550, section 6.2).
const REPORTS: Duration = Duration::from_secs(5);
/// An idle route is forgotten after this, and its back-off with it.
const FORGET: Duration = Duration::from_secs(60);

/// Pulls one path for as long as it is wanted.
#[derive(Debug)]
pub struct PullRoute {
    hub: Hub,
    path: String,
    target: Target,
    keep: Keep,
    status: Arc<PullStatus>,
    state: State,
    backoff: Backoff,
    waiting: Vec<Waiting>,
    /// What it published to last; its viewers want it back.
    found: Option<Found>,
    /// As which publisher it closed last: the source may not have heard of it when the next connection begins.
    closed: Option<u64>,
    /// When somebody wanted it last.
    wanted: Instant,
    /// Since it was idle.
    tried: bool,
    /// It was live once.
    proven: bool,
    _counted: Active,
}

/// When a pull is connected though nobody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Never for long.
    WhileWatched,
    /// From the first success on: below a directory with `keepalive` anybody can ask for anything, and only what is there
    /// may be tried for ever.
    OnceLive,
    /// From the hub's start on.
    Always,
}

type Waiting = oneshot::Sender<Result<Found, OpenError>>;

#[derive(Debug)]
enum State {
    Idle,
    Connecting(SpawnHandle),
    Live(Box<Live>),
    Waiting { until: Instant, timer: SpawnHandle },
}

#[derive(Debug)]
struct Live {
    id: u64,
    feed: Feed,
    ingest: Ingest,
    found: Found,
    since: Instant,
    counted: Active,
}

/// How an attempt ended well.
enum Connected {
    /// It publishes.
    Ours { id: u64, opened: Box<Opened>, found: Found, counted: Active },
    /// Somebody else publishes there.
    Theirs(Found),
}

/// To a pull: its source, as soon as it is live.
#[derive(Debug, Message)]
#[rtype(result = "Result<Found, OpenError>")]
pub(crate) struct Await;

/// To a pull: end for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop {
    pub(crate) reason: String,
}

/// To the route table: this pull is idle and may be forgotten.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire {
    pub(crate) path: String,
}

impl PullRoute {
    /// A pull of `target` as `path`, still idle.
    pub fn new(hub: Hub, path: String, target: Target, keep: Keep, status: Arc<PullStatus>) -> Self {
        let counted = hub.stats.pulled_paths.enter();
        Self {
            hub,
            path,
            target,
            keep,
            status,
            state: State::Idle,
            backoff: Backoff::default(),
            waiting: Vec::new(),
            found: None,
            closed: None,
            wanted: Instant::now(),
            tried: false,
            proven: false,
            _counted: counted,
        }
    }

    fn is_kept(&self) -> bool {
        self.keep == Keep::Always || self.keep == Keep::OnceLive && self.proven
    }

    /// Viewers of the source that it published to.
    fn viewers(&self) -> usize {
        let found = self.found.as_ref().filter(|found| found.source.connected());
        found.map_or(0, |found| found.info.consumer_count())
    }

    fn is_wanted(&mut self) -> bool {
        self.waiting.retain(|waiting| !waiting.is_closed());
        self.is_kept() || !self.waiting.is_empty() || self.viewers() > 0
    }

    fn set(&mut self, state: State) {
        self.status.set(match &state {
            State::Idle => PullState::Idle,
            State::Connecting(_) => PullState::Connecting,
            State::Live(_) => PullState::Live,
            State::Waiting { .. } => PullState::Waiting,
        });
        self.state = state;
    }

    fn answer(&mut self, result: &Result<Found, OpenError>) {
        for waiting in self.waiting.drain(..) {
            // It may have left.
            let _ = waiting.send(result.clone());
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.tried, true) {
            self.status.add_retry();
        }
        log::debug!("{}: connecting to {}", self.path, self.target.address());
        let (hub, path, target) = (self.hub.clone(), self.path.clone(), self.target.clone());
        let (tried, closed) = (target.clone(), self.closed);
        let publisher = ctx.address().recipient();
        let attempt = async move {
            let there = hub.supervisor.send(Find { path: path.clone() }).await.ok().flatten();
            let another = |id| Some(id) != closed;
            if let Some(found) = there.filter(|found| found.info.publisher().is_some_and(another)) {
                return Ok(Connected::Theirs(found));
            }
            let counted = hub.stats.pulls.enter();
            let addr = target.address();
            let opened = Feed::open(target, hub.settings.pull_timeout).await?;
            let id = hub.publisher_id();
            let tracks = opened.tracks.iter().map(|fed| fed.track.clone()).collect();
            let publish = Publish { id, addr, tracks, publisher };
            let found = claim_and_publish(hub.supervisor.clone(), path, publish).await.map_err(PullError::Failed)?;
            Ok(Connected::Ours { id, opened: Box::new(opened), found, counted })
        };
        let handle = ctx.spawn(attempt.into_actor(self).map(move |result, route, ctx| {
            match result {
                Ok(Connected::Ours { id, opened, found, counted }) => route.begin(id, *opened, found, counted, ctx),
                Ok(Connected::Theirs(found)) => route.give_way(found, ctx),
                Err(error) => route.failed(&error, ctx),
            }
            if route.target != tried {
                route.switch(ctx);
            }
        }));
        self.set(State::Connecting(handle));
    }

    fn begin(&mut self, id: u64, opened: Opened, found: Found, counted: Active, ctx: &mut Context<Self>) {
        let Opened { feed, tracks, notes } = opened;
        let place = format!("{}, pulled from {}", self.path, self.target.address());
        for note in notes {
            log::info!("{place}: {note}");
        }
        let ingest = Ingest::new(place, &tracks, Arc::clone(&self.hub.stats));
        self.found = Some(found.clone());
        self.proven = true;
        self.wanted = Instant::now();
        self.answer(&Ok(found.clone()));
        self.set(State::Live(Box::new(Live { id, feed, ingest, found, since: Instant::now(), counted })));
        ctx.spawn(live::Listen { id });
    }

    /// Somebody else publishes at the path: viewers get that, and the route waits for its turn.
    fn give_way(&mut self, found: Found, ctx: &mut Context<Self>) {
        self.answer(&Ok(found));
        self.stand_aside("another publisher has the path", ctx);
    }

    fn failed(&mut self, error: &PullError, ctx: &mut Context<Self>) {
        let text = error.to_string();
        log::warn!("{}: cannot be pulled from {}: {text}", self.path, self.target.address());
        let wait = match error {
            PullError::Login(_) => LONGEST,
            _ => self.backoff.next(),
        };
        self.status.set_error(&text);
        self.answer(&Err(match error {
            PullError::TimedOut { .. } => OpenError::TimedOut(text),
            _ => OpenError::Failed(text),
        }));
        self.wait(wait, ctx);
    }

    /// Also when nobody wants it: then it is the next viewer that may not be too early.
    fn wait(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(wait, |route, ctx| {
            if route.is_wanted() {
                route.connect(ctx);
            } else {
                route.idle();
            }
        });
        self.set(State::Waiting { until: Instant::now() + wait, timer });
    }

    fn idle(&mut self) {
        self.found = None;
        self.tried = false;
        self.wanted = Instant::now();
        self.set(State::Idle);
    }

    /// The path is another publisher's now, or the administrator ended it.
    fn stand_aside(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.found = None;
        if self.is_kept() {
            self.status.set_error(reason);
            self.wait(LONGEST, ctx);
        } else {
            self.idle();
        }
    }

    fn stop(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.answer(&Err(OpenError::Again));
        self.close(reason, false);
        self.set(State::Idle);
        ctx.stop();
    }
}

impl Actor for PullRoute {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK.min(self.hub.settings.pull_stall / 4), Self::tick);
        ctx.run_interval(REPORTS, |route, _| route.report());
        if self.is_kept() {
            self.connect(ctx);
        }
    }
}

impl Handler<Await> for PullRoute {
    type Result = ResponseFuture<Result<Found, OpenError>>;

    fn handle(&mut self, _: Await, ctx: &mut Self::Context) -> Self::Result {
        let limit = self.hub.settings.pull_timeout;
        self.wanted = Instant::now();
        match &self.state {
            State::Live(live) => return Box::pin(std::future::ready(Ok(live.found.clone()))),
            // It would wait for nothing.
            State::Waiting { until, .. } if *until > Instant::now() + limit => {
                return Box::pin(std::future::ready(Err(OpenError::Failed(self.status.error()))));
            }
            State::Idle => self.connect(ctx),
            State::Waiting { .. } | State::Connecting(_) => {}
        }
        let (waiting, answer) = oneshot::channel();
        self.waiting.push(waiting);
        let status = Arc::clone(&self.status);
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(OpenError::Again),
                Err(_) => Err(OpenError::TimedOut(match status.error() {
                    error if error.is_empty() => format!("nothing came within {} s", limit.as_secs_f64()),
                    error => error,
                })),
            }
        })
    }
}

impl Handler<EndPublishing> for PullRoute {
    type Result = ();

    fn handle(&mut self, end: EndPublishing, ctx: &mut Self::Context) {
        match &self.state {
            State::Live(_) => {
                log::info!("{}: no longer pulled: {}", self.path, end.reason);
                self.close(&end.reason, false);
                self.stand_aside(&end.reason, ctx);
            }
            // The source that it would have come back to ended.
            State::Waiting { timer: handle, .. } | State::Connecting(handle) => {
                let handle = *handle;
                self.found = None;
                if !self.is_wanted() {
                    ctx.cancel_future(handle);
                    self.idle();
                }
            }
            State::Idle => {}
        }
    }
}

impl Handler<Stop> for PullRoute {
    type Result = ();

    fn handle(&mut self, stop: Stop, ctx: &mut Self::Context) {
        self.stop(&stop.reason, ctx);
    }
}
