//! The registry: which source is at which path. It also answers what the whole hub is doing, from shared figures, and ends
//! sources and consumers.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System as Machine};

use crate::hub::Hub;
use crate::info::SourceInfo;
use crate::messages::{
    Claim, ClaimError, EndSource, Find, Found, GetRuntime, Gone, Kick, List, Memory, Open, OpenError, Runtime,
    Shutdown, SourceList,
};
use crate::source::{End, Source};

/// Times that a pull is asked for that ends just when it is asked.
const OPENS: usize = 3;

/// The process's figures are measured this often at most.
const MEASURED: Duration = Duration::from_millis(250);

/// One per process.
#[derive(Debug)]
pub struct Supervisor {
    hub: Option<Hub>,
    sources: BTreeMap<String, Found>,
    closing: bool,
    /// `None` where the system shows no processes.
    machine: Option<Machine>,
    /// What that showed, and when.
    measured: Option<(Instant, Runtime)>,
}

/// To supervisor and route table, first of all: the hub that they are part of.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Join(pub Hub);

impl Default for Supervisor {
    fn default() -> Self {
        Self { hub: None, sources: BTreeMap::new(), closing: false, machine: Machine::new().ok(), measured: None }
    }
}

impl Supervisor {
    /// The live source at a path.
    fn live(&mut self, path: &str) -> Option<Found> {
        let found = self.sources.get(path)?;
        if is_live(path, found) {
            return Some(found.clone());
        }
        self.sources.remove(path);
        None
    }

    /// Sources that were published; a path that is only claimed has nothing to show.
    fn begun(&self) -> impl Iterator<Item = &Arc<SourceInfo>> {
        self.sources.values().map(|found| &found.info).filter(|info| info.has_begun())
    }

    fn sweep(&mut self) {
        self.sources.retain(|path, found| is_live(path, found));
    }
}

/// A source whose actor panicked never says that it ended: it is found out here.
fn is_live(path: &str, found: &Found) -> bool {
    let live = found.source.connected();
    if !live && !found.info.has_ended() {
        log::error!("{path}: its source ended without a word; its entry is removed");
    }
    live
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Handler<Join> for Supervisor {
    type Result = ();

    fn handle(&mut self, Join(hub): Join, _: &mut Self::Context) {
        self.hub = Some(hub);
    }
}

impl Handler<Claim> for Supervisor {
    type Result = Result<Found, ClaimError>;

    fn handle(&mut self, claim: Claim, _: &mut Self::Context) -> Self::Result {
        if let Some(found) = self.live(&claim.path) {
            return Ok(found);
        }
        let hub = self.hub.clone().filter(|_| !self.closing).ok_or(ClaimError::Closing)?;
        if self.sources.len() >= hub.settings.max_sources {
            self.sweep();
            if self.sources.len() >= hub.settings.max_sources {
                return Err(ClaimError::Full(hub.settings.max_sources));
            }
        }
        let info = Arc::new(SourceInfo::new(claim.path.clone()));
        let shared = Arc::clone(&info);
        let source = Source::start_in_arbiter(&claim.arbiter, move |ctx| Source::new(hub, shared, ctx));
        let found = Found { source, info };
        self.sources.insert(claim.path, found.clone());
        Ok(found)
    }
}

impl Handler<Find> for Supervisor {
    type Result = Option<Found>;

    fn handle(&mut self, find: Find, _: &mut Self::Context) -> Self::Result {
        self.live(&find.path).filter(|found| found.info.has_begun())
    }
}

impl Handler<Open> for Supervisor {
    type Result = ResponseFuture<Result<Found, OpenError>>;

    fn handle(&mut self, open: Open, _: &mut Self::Context) -> Self::Result {
        let live = self.live(&open.path);
        let routes = match (&live, &self.hub) {
            (Some(found), _) if found.info.publisher().is_some() => return Box::pin(ready(Ok(found.clone()))),
            (_, Some(hub)) if !self.closing => hub.routes.clone(),
            _ => return Box::pin(ready(Err(OpenError::Closing))),
        };
        Box::pin(async move {
            for _ in 0..OPENS {
                match routes.send(open.clone()).await {
                    Ok(Err(OpenError::Again)) => {}
                    // A source that waits for its publisher has room for viewers too.
                    Ok(Err(OpenError::NotLive(path))) => return live.ok_or(OpenError::NotLive(path)),
                    Ok(result) => return result,
                    Err(_) => return Err(OpenError::Closing),
                }
            }
            Err(OpenError::Again)
        })
    }
}

impl Handler<List> for Supervisor {
    type Result = SourceList;

    fn handle(&mut self, list: List, _: &mut Self::Context) -> SourceList {
        self.sweep();
        let after = (Bound::Excluded(list.after), Bound::Unbounded);
        let sources = self.sources.range(after).map(|(_, found)| &found.info).filter(|info| info.has_begun());
        SourceList { total: self.begun().count(), sources: sources.take(list.limit).cloned().collect() }
    }
}

impl Handler<GetRuntime> for Supervisor {
    type Result = Runtime;

    fn handle(&mut self, asked: GetRuntime, _: &mut Self::Context) -> Runtime {
        self.sweep();
        let mut runtime = Runtime {
            sources: self.begun().count(),
            consumers: self.sources.values().map(|found| found.info.consumer_count()).sum(),
            ..self.measure()
        };
        if asked.with_memory {
            runtime.memory = memory(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        }
        runtime
    }
}

impl Supervisor {
    /// The process's own figures, of now or a moment ago. The system tells them a file at a time, and with a thousand cameras
    /// there are as many: who asks again and again must not keep everybody else waiting.
    fn measure(&mut self) -> Runtime {
        if let Some((at, figures)) = &self.measured
            && at.elapsed() < MEASURED
        {
            return figures.clone();
        }
        let Some(machine) = &mut self.machine else { return Runtime::default() };
        let pid = Pid::from_u32(std::process::id());
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_tasks();
        machine.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        let figures = machine.process(pid).map_or_else(Runtime::default, |process| Runtime {
            cpu: f64::from(process.cpu_usage()),
            resident: process.memory(),
            virt: process.virtual_memory(),
            threads: process.tasks().map_or(0, |tasks| tasks.len()),
            open_files: process.open_files().unwrap_or(0),
            ..Runtime::default()
        });
        self.measured = Some((Instant::now(), figures.clone()));
        figures
    }
}

/// Of the text of `/proc/self/status` (proc(5)).
fn memory(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory { resident: field("VmRSS")?, peak: field("VmHWM")?, anonymous: field("RssAnon")? })
}

impl Handler<EndSource> for Supervisor {
    type Result = bool;

    fn handle(&mut self, end: EndSource, _: &mut Self::Context) -> bool {
        // Out of the list now: a script that asks right after must not see it.
        match self.sources.remove(&end.path) {
            Some(found) => {
                found.source.do_send(End { reason: end.reason });
                true
            }
            None => false,
        }
    }
}

impl Handler<Kick> for Supervisor {
    type Result = bool;

    fn handle(&mut self, kick: Kick, _: &mut Self::Context) -> bool {
        let consumer = self.live(&kick.path).and_then(|found| found.info.consumer(kick.id));
        if let Some(consumer) = &consumer {
            consumer.link.kill("ended by the administrator");
        }
        consumer.is_some()
    }
}

impl Handler<Gone> for Supervisor {
    type Result = ();

    fn handle(&mut self, gone: Gone, _: &mut Self::Context) {
        // A newer source may be at the path by now.
        if self.sources.get(&gone.info.path).is_some_and(|found| Arc::ptr_eq(&found.info, &gone.info)) {
            self.sources.remove(&gone.info.path);
        }
    }
}

impl Handler<Shutdown> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        self.closing = true;
        if let Some(hub) = &self.hub {
            hub.routes.do_send(Shutdown);
        }
        for (_, found) in std::mem::take(&mut self.sources) {
            found.source.do_send(End { reason: "the hub is shutting down".into() });
        }
    }
}
