//! The actor that knows the routes and which of them are pulled.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::Arc;
use std::time::SystemTime;

use actix::prelude::*;

use super::Routes;
use crate::hub::Hub;
use crate::messages::{FindRoute, Found, ListRoutes, Open, OpenError, RouteInfo, RouteList, Shutdown};
use crate::pull::PullRoute;
use crate::pull::route::{Await, Keep, Retire, Stop};
use crate::pull::status::{PullStatus, Snapshot};
use crate::supervisor::Join;

/// One per process.
#[derive(Debug)]
pub struct RouteTable {
    hub: Option<Hub>,
    routes: Routes,
    /// By path.
    pulls: BTreeMap<String, Pull>,
    /// What ended pulls leave to their patterns.
    past: HashMap<String, Snapshot>,
    started: SystemTime,
    /// Threads of the pulls, started when they are needed.
    arbiters: Vec<ArbiterHandle>,
    next: usize,
    closing: bool,
}

#[derive(Debug)]
struct Pull {
    pattern: String,
    address: Addr<PullRoute>,
    status: Arc<PullStatus>,
}

impl RouteTable {
    /// A table of these routes; it begins when it is told its hub.
    pub fn new(routes: Routes) -> Self {
        Self {
            hub: None,
            routes,
            pulls: BTreeMap::new(),
            past: HashMap::new(),
            started: SystemTime::now(),
            arbiters: Vec::new(),
            next: 0,
            closing: false,
        }
    }

    /// The thread of the next pull: all cores get their share.
    fn arbiter(&mut self) -> ArbiterHandle {
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.arbiters.len() < most {
            self.arbiters.push(Arbiter::new().handle());
        }
        self.next = (self.next + 1) % self.arbiters.len();
        self.arbiters[self.next].clone()
    }

    /// The pull of a path, started if need be; `cased` is the path in the case that was asked for.
    fn pull(&mut self, path: &str, cased: &str) -> Result<Addr<PullRoute>, OpenError> {
        if let Some(pull) = self.pulls.get(path) {
            if pull.address.connected() {
                return Ok(pull.address.clone());
            }
            log::error!("{path}: its pull ended without a word; a new one is started");
        }
        let hub = self.hub.clone().filter(|_| !self.closing).ok_or(OpenError::Closing)?;
        let found = self.routes.find(path, cased).ok_or_else(|| OpenError::NotLive(path.to_owned()))?;
        let (pattern, target) = (found.route.pattern.clone(), found.target);
        let keep = match (found.route.keepalive, found.route.is_directory()) {
            (false, _) => Keep::WhileWatched,
            (true, true) => Keep::OnceLive,
            (true, false) => Keep::Always,
        };
        // Idle ones go after a minute: a crowd that tries out paths below a directory must not fill the memory.
        if self.pulls.len() >= hub.settings.max_sources {
            return Err(OpenError::Full(hub.settings.max_sources));
        }
        let status = Arc::new(PullStatus::default());
        let (name, shared) = (path.to_owned(), Arc::clone(&status));
        let address =
            PullRoute::start_in_arbiter(&self.arbiter(), move |_| PullRoute::new(hub, name, target, keep, shared));
        self.pulls.insert(path.to_owned(), Pull { pattern, address: address.clone(), status });
        Ok(address)
    }

    fn info(&self, pattern: &str) -> Option<RouteInfo> {
        let route = self.routes.route(pattern)?;
        let past = self.past.get(&route.pattern).cloned();
        let mut status = past.unwrap_or_else(|| Snapshot::idle(self.started));
        let mut pulls = self.pulls.values().filter(|pull| pull.pattern == route.pattern).peekable();
        if pulls.peek().is_some() {
            // What went wrong with those that ended is old news.
            status.error.clear();
        }
        pulls.for_each(|pull| status.merge(&pull.status.snapshot()));
        let (pattern, url, keepalive) = (route.pattern.clone(), route.shown_url(), route.keepalive);
        Some(RouteInfo { pattern, url, keepalive, status })
    }
}

impl Actor for RouteTable {
    type Context = Context<Self>;
}

impl Handler<Join> for RouteTable {
    type Result = ();

    fn handle(&mut self, Join(hub): Join, _: &mut Self::Context) {
        self.hub = Some(hub);
        let kept: Vec<_> = self
            .routes
            .after("")
            .filter(|route| route.keepalive && !route.is_directory())
            .map(|route| route.pattern.clone())
            .collect();
        for path in kept {
            if let Err(error) = self.pull(&path, &path) {
                log::error!("{path}: {error}");
            }
        }
    }
}

impl Handler<Open> for RouteTable {
    type Result = ResponseFuture<Result<Found, OpenError>>;

    fn handle(&mut self, open: Open, _: &mut Self::Context) -> Self::Result {
        let pull = self.pull(&open.path, &open.original_path);
        Box::pin(async move { pull?.send(Await).await.unwrap_or(Err(OpenError::Again)) })
    }
}

impl Handler<ListRoutes> for RouteTable {
    type Result = RouteList;

    fn handle(&mut self, list: ListRoutes, _: &mut Self::Context) -> RouteList {
        let patterns = self.routes.after(&list.after).take(list.limit);
        RouteList { total: self.routes.len(), routes: patterns.filter_map(|route| self.info(&route.pattern)).collect() }
    }
}

impl Handler<FindRoute> for RouteTable {
    type Result = Option<RouteInfo>;

    fn handle(&mut self, find: FindRoute, _: &mut Self::Context) -> Self::Result {
        self.info(&find.pattern)
    }
}

impl Handler<Retire> for RouteTable {
    type Result = ();

    fn handle(&mut self, retire: Retire, _: &mut Self::Context) {
        let Some(pull) = self.pulls.remove(&retire.path) else { return };
        let last = pull.status.snapshot();
        let past = self.past.entry(pull.pattern).or_insert_with(|| Snapshot::idle(self.started));
        past.merge(&last);
        // Whoever asked in between is answered that it should ask again.
        pull.address.do_send(Stop { reason: "nobody wants it".into() });
    }
}

impl Handler<Shutdown> for RouteTable {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        self.closing = true;
        for (_, pull) in std::mem::take(&mut self.pulls) {
            pull.address.do_send(Stop { reason: "the hub is shutting down".into() });
        }
    }
}
