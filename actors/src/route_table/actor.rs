//! The actor that knows the routes and which of them are pulled.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;

use super::{FILE, Match, Route, Routes};
use crate::hub::Hub;
use crate::messages::{
    DeleteRoute, FindRoute, Found, ListRoutes, Open, OpenError, PutRoute, RouteInfo, RouteList, Shutdown,
};
use crate::meter::Active;
use crate::pull::PullRoute;
use crate::pull::route::{Await, Keep, Retarget, Retire, Stop};
use crate::pull::status::{PullStatus, Snapshot};
use crate::pull::target::Target;
use crate::store::{Kept, StoreError};
use crate::supervisor::Join;

/// How often it is looked whether somebody changed the file by hand.
const LOOK: Duration = Duration::from_secs(1);

/// One per process.
#[derive(Debug)]
pub struct RouteTable {
    hub: Option<Hub>,
    routes: Kept<Routes>,
    /// By path.
    pulls: BTreeMap<String, Pull>,
    /// What ended pulls leave to their patterns.
    past: HashMap<String, Snapshot>,
    started: SystemTime,
    /// Threads of the pulls, started when they are needed.
    arbiters: Vec<(ArbiterHandle, Active)>,
    next: usize,
    closing: bool,
    /// What was wrong with the file when it was last looked at.
    trouble: String,
}

#[derive(Debug)]
struct Pull {
    pattern: String,
    /// The path in the case that was asked for.
    cased: String,
    target: Target,
    keep: Keep,
    /// Its route was deleted: it goes on for those who watch.
    orphan: bool,
    address: Addr<PullRoute>,
    status: Arc<PullStatus>,
}

fn keep(route: &Route) -> Keep {
    match (route.keepalive, route.is_directory()) {
        (false, _) => Keep::WhileWatched,
        (true, true) => Keep::OnceLive,
        (true, false) => Keep::Always,
    }
}

impl Pull {
    /// Leads to what was found.
    fn follow(&mut self, found: Match<'_>) {
        let Match { route, target } = found;
        let keep = keep(route);
        self.orphan = false;
        self.pattern.clone_from(&route.pattern);
        if target != self.target || keep != self.keep {
            (self.target, self.keep) = (target.clone(), keep);
            self.address.do_send(Retarget { target, keep });
        }
    }

    /// Is no longer tried when nobody watches.
    fn release(&mut self) {
        self.orphan = true;
        if self.keep != Keep::WhileWatched {
            self.keep = Keep::WhileWatched;
            self.address.do_send(Retarget { target: self.target.clone(), keep: self.keep });
        }
    }
}

impl RouteTable {
    /// A table of these routes; it begins when it is told its hub.
    pub fn new(routes: Kept<Routes>) -> Self {
        Self {
            hub: None,
            routes,
            pulls: BTreeMap::new(),
            past: HashMap::new(),
            started: SystemTime::now(),
            arbiters: Vec::new(),
            next: 0,
            closing: false,
            trouble: String::new(),
        }
    }

    /// The thread of the next pull: all cores get their share.
    fn arbiter(&mut self, hub: &Hub) -> ArbiterHandle {
        let most = std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.arbiters.len() < most {
            self.arbiters.push((Arbiter::new().handle(), hub.stats.arbiters.enter()));
        }
        self.next = (self.next + 1) % self.arbiters.len();
        self.arbiters[self.next].0.clone()
    }

    /// The pull of a path, started if need be; `cased` is the path in the case that was asked for.
    fn pull(&mut self, path: &str, cased: &str) -> Result<Addr<PullRoute>, OpenError> {
        let routes = self.routes.current();
        let found = routes.find(path, cased);
        if let Some(pull) = self.pulls.get_mut(path) {
            if pull.address.connected() {
                if pull.orphan {
                    pull.follow(found.ok_or_else(|| OpenError::NotLive(path.to_owned()))?);
                }
                return Ok(pull.address.clone());
            }
            log::error!("{path}: its pull ended without a word; a new one is started");
        }
        let hub = self.hub.clone().filter(|_| !self.closing).ok_or(OpenError::Closing)?;
        let found = found.ok_or_else(|| OpenError::NotLive(path.to_owned()))?;
        let (pattern, target, keep) = (found.route.pattern.clone(), found.target, keep(found.route));
        // Idle ones go after a minute: a crowd that tries out paths below a directory must not fill the memory.
        if self.pulls.len() >= hub.settings.max_sources {
            return Err(OpenError::Full(hub.settings.max_sources));
        }
        let status = Arc::new(PullStatus::default());
        let (name, shared, to) = (path.to_owned(), Arc::clone(&status), target.clone());
        let address =
            PullRoute::start_in_arbiter(&self.arbiter(&hub), move |_| PullRoute::new(hub, name, to, keep, shared));
        let cased = cased.to_owned();
        let pull = Pull { pattern, cased, target, keep, orphan: false, address: address.clone(), status };
        self.pulls.insert(path.to_owned(), pull);
        Ok(address)
    }

    /// The routes changed: pulls follow theirs, or a closer one, at once; those whose route is gone go on for who watches.
    fn routes_changed(&mut self) {
        let routes = self.routes.current();
        for (path, pull) in &mut self.pulls {
            match routes.find(path, &pull.cased) {
                Some(found) if found.route.pattern.len() >= pull.pattern.len() => pull.follow(found),
                _ => pull.release(),
            }
        }
        self.past.retain(|pattern, _| routes.route(pattern).is_some());
        self.pull_kept();
    }

    /// Starts what is to be connected all the time.
    fn pull_kept(&mut self) {
        let routes = self.routes.current();
        for route in routes.after("").filter(|route| route.keepalive && !route.is_directory()) {
            if let Err(error) = self.pull(&route.pattern, &route.pattern) {
                log::error!("{}: {error}", route.pattern);
            }
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let looked = self.routes.look().into_actor(self).map(|result, table, _| {
            let trouble = match result {
                Ok(false) if table.trouble.is_empty() => return,
                Ok(false) => String::new(),
                Ok(true) => {
                    log::info!("{FILE} was changed by hand: {} routes", table.routes.current().len());
                    table.routes_changed();
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            if trouble != table.trouble && !trouble.is_empty() {
                log::error!("{trouble}; the routes stay as they were");
            }
            table.trouble = trouble;
        });
        ctx.spawn(looked);
    }

    fn info(&self, pattern: &str) -> Option<RouteInfo> {
        let routes = self.routes.current();
        let route = routes.route(pattern)?;
        let past = self.past.get(&route.pattern).cloned();
        let mut status = past.unwrap_or_else(|| Snapshot::idle(self.started));
        let mut pulls = self.pulls.values().filter(|pull| pull.pattern == route.pattern).peekable();
        if pulls.peek().is_some() {
            // What went wrong with those that ended is old news.
            status.error.clear();
        }
        pulls.for_each(|pull| status.merge(&pull.status.snapshot()));
        let (pattern, url, keepalive) = (route.pattern.clone(), route.url().to_owned(), route.keepalive);
        Some(RouteInfo { pattern, url, keepalive, status })
    }
}

impl Actor for RouteTable {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK, Self::look);
    }
}

impl Handler<Join> for RouteTable {
    type Result = ();

    fn handle(&mut self, Join(hub): Join, _: &mut Self::Context) {
        self.hub = Some(hub);
        self.pull_kept();
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
        let routes = self.routes.current();
        let patterns = routes.after(&list.after).take(list.limit);
        RouteList { total: routes.len(), routes: patterns.filter_map(|route| self.info(&route.pattern)).collect() }
    }
}

impl Handler<FindRoute> for RouteTable {
    type Result = Option<RouteInfo>;

    fn handle(&mut self, find: FindRoute, _: &mut Self::Context) -> Self::Result {
        self.info(&find.pattern)
    }
}

impl Handler<PutRoute> for RouteTable {
    type Result = ResponseActFuture<Self, Result<(), StoreError>>;

    fn handle(&mut self, PutRoute(route): PutRoute, _: &mut Self::Context) -> Self::Result {
        let changed = self.routes.change(move |routes| {
            routes.put(route);
            Ok(())
        });
        Box::pin(changed.into_actor(self).map(|result, table, _| {
            table.routes_changed();
            result
        }))
    }
}

impl Handler<DeleteRoute> for RouteTable {
    type Result = ResponseActFuture<Self, Result<bool, StoreError>>;

    fn handle(&mut self, delete: DeleteRoute, _: &mut Self::Context) -> Self::Result {
        if self.routes.current().route(&delete.pattern).is_none() {
            // Nothing is written for nothing.
            return Box::pin(actix::fut::ready(Ok(false)));
        }
        let changed = self.routes.change(move |routes| Ok(routes.remove(&delete.pattern).is_some()));
        Box::pin(changed.into_actor(self).map(|result, table, _| {
            table.routes_changed();
            result
        }))
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
