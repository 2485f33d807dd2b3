//! One run: viewers join, a steady window is measured, everything is told in one [`Outcome`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::engine::{self, Job, Phase, Report, Setup, Shared};
use crate::outcome::{Frames, Machine, Outcome, Server};
use crate::procfs::{Process, busy_seconds, ensure_files};
use crate::publish::Publishing;
use crate::stats::{Spread, rounded};
use crate::target::Target;

/// Between looks whether all viewers have their key frame.
const LOOK: Duration = Duration::from_millis(10);
/// Most viewers of one run, so that connections from one address do not run out of ports.
const MAX_VIEWERS: usize = 25_000;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// `{i}` is the stream's number; viewer `n` plays stream `n` modulo `streams`.
    pub(crate) url: String,
    pub(crate) streams: usize,
    pub(crate) udp: bool,
    pub(crate) viewers: usize,
    /// Viewers that join in a second.
    pub(crate) rate: f64,
    /// Every how many-th viewer parses everything; 0: so that about ten do.
    pub(crate) sample: usize,
    /// The server's process; without it nothing is told of its cost.
    pub(crate) pid: Option<u32>,
    /// What the server burns without viewers is measured for this long and taken off as `net`.
    pub(crate) baseline: Duration,
    /// Between the last viewer's key frame and the window.
    pub(crate) settle: Duration,
    pub(crate) window: Duration,
    pub(crate) nap: Duration,
    pub(crate) timeout: Duration,
}

impl Plan {
    /// The defaults of the command line.
    pub(crate) fn new(name: &str, url: String, viewers: usize) -> Self {
        Self {
            name: name.to_owned(),
            url,
            streams: 1,
            udp: false,
            viewers,
            rate: 500.0,
            sample: 0,
            pid: None,
            baseline: Duration::from_secs(1),
            settle: Duration::from_secs(1),
            window: Duration::from_secs(6),
            nap: Duration::from_millis(5),
            timeout: Duration::from_secs(10),
        }
    }

    fn setup(&self, leave: bool) -> Result<Setup> {
        ensure!((1..=MAX_VIEWERS).contains(&self.viewers), "1 to {MAX_VIEWERS} viewers, not {}", self.viewers);
        ensure!(self.rate > 0.0, "a rate of joins above 0, not {}", self.rate);
        ensure_files(self.viewers * if self.udp { 3 } else { 1 } + 64)?;
        let streams = 0..self.streams.max(1);
        let targets = streams.map(|i| Target::new(&self.url, i, self.udp)).collect::<Result<Vec<_>>>()?;
        Ok(Setup { targets, nap: self.nap, timeout: self.timeout, leave })
    }

    fn jobs(&self, all_sampled: bool) -> Vec<Job> {
        let every = if self.sample > 0 { self.sample } else { self.viewers.div_ceil(10) };
        let job = |id| Job {
            id,
            at: Duration::from_secs_f64(id as f64 / self.rate),
            sampled: all_sampled || id % every == 0,
        };
        (0..self.viewers).map(job).collect()
    }

    fn process(&self) -> Result<Option<Process>> {
        self.pid.map(Process::read).transpose()
    }

    fn outcome(&self, transport: &str) -> Outcome {
        Outcome {
            name: self.name.clone(),
            transport: transport.to_owned(),
            viewers: self.viewers,
            ..Outcome::default()
        }
    }
}

/// The viewers at work: the sampled ones in one thread, the rest in another.
struct Session {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Vec<Report>>>>,
}

impl Session {
    fn start(setup: &Setup, jobs: Vec<Job>) -> Self {
        let shared = Shared::new(jobs.len());
        let (sampled, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.sampled);
        let groups = [sampled, rest].into_iter().filter(|jobs| !jobs.is_empty());
        let threads = groups.map(|jobs| engine::spawn(setup.clone(), Arc::clone(&shared), jobs)).collect();
        Self { shared, threads }
    }

    /// Until all viewers have a key frame or have failed.
    fn wait_ready(&self, viewers: usize, at_most: Duration) {
        let start = Instant::now();
        while self.shared.ready.load(Relaxed) + self.shared.failed.load(Relaxed) < viewers && start.elapsed() < at_most
        {
            sleep(LOOK);
        }
    }

    fn finish(self) -> Result<Vec<Report>> {
        self.shared.enter(Phase::Over);
        let mut reports = Vec::new();
        for thread in self.threads {
            match thread.join() {
                Ok(result) => reports.extend(result?),
                Err(_) => bail!("a thread of viewers panicked"),
            }
        }
        Ok(reports)
    }
}

/// What is read before and after a window.
struct Moment {
    at: Instant,
    server: Option<Process>,
    own: Process,
    busy: f64,
}

impl Moment {
    fn now(plan: &Plan) -> Result<Self> {
        let own = Process::read(std::process::id())?;
        Ok(Self { at: Instant::now(), server: plan.process()?, own, busy: busy_seconds() })
    }

    fn machine_since(&self, before: &Self) -> Machine {
        let seconds = (self.at - before.at).as_secs_f64();
        let busy = (self.busy - before.busy) / seconds;
        let own = self.own.cpu_ms_since(&before.own) / 1e3 / seconds;
        let server = match (&self.server, &before.server) {
            (Some(now), Some(then)) => now.cpu_ms_since(then) / 1e3 / seconds,
            _ => 0.0,
        };
        Machine { hub_load_cores: rounded(own), other_cores: rounded((busy - own - server).max(0.0)) }
    }
}

/// Viewers join and stay; the steady window is measured.
pub(crate) fn play(plan: &Plan) -> Result<Outcome> {
    let setup = plan.setup(false)?;
    let mut outcome = plan.outcome(setup.targets[0].transport.name());
    let before = plan.process()?;
    let idle = match &before {
        Some(before) if !plan.baseline.is_zero() => {
            let start = Instant::now();
            sleep(plan.baseline);
            let now = plan.process()?.unwrap_or_default();
            now.cpu_ms_since(before) / start.elapsed().as_secs_f64()
        }
        _ => 0.0,
    };
    let session = Session::start(&setup, plan.jobs(false));
    let joining = Duration::from_secs_f64(plan.viewers as f64 / plan.rate);
    session.wait_ready(plan.viewers, joining + plan.timeout + Duration::from_secs(1));
    sleep(plan.settle);
    outcome.ready = session.shared.ready.load(Relaxed);

    session.shared.enter(Phase::Steady);
    let first = Moment::now(plan)?;
    let bytes_before = session.shared.bytes();
    sleep(plan.window);
    let bytes_after = session.shared.bytes();
    let last = Moment::now(plan)?;
    let reports = session.finish()?;

    let mut bytes: Vec<u64> = bytes_after.iter().zip(&bytes_before).map(|(after, before)| after - before).collect();
    bytes.sort_unstable();
    outcome.window_s = rounded((last.at - first.at).as_secs_f64());
    outcome.bytes = bytes.iter().sum();
    outcome.mbit_per_s = rounded(outcome.bytes as f64 * 8e-6 / (last.at - first.at).as_secs_f64());
    let median = bytes[bytes.len() / 2].max(1);
    outcome.least_viewer = rounded(bytes[0] as f64 / median as f64);
    tell_viewers(&mut outcome, &reports);
    outcome.machine = last.machine_since(&first);
    if let (Some(before), Some(then), Some(now)) = (before, first.server, last.server) {
        let mut server = Server::new(&now, &then, outcome.window_s, outcome.bytes);
        server.take_off(idle * outcome.window_s, outcome.bytes);
        server.memory(&before, &now, plan.viewers);
        outcome.server = Some(server);
    }
    Ok(outcome)
}

/// Viewers join at a rate, and leave at their first key frame.
pub(crate) fn join(plan: &Plan) -> Result<Outcome> {
    let setup = plan.setup(true)?;
    let mut outcome = plan.outcome(setup.targets[0].transport.name());
    let first = Moment::now(plan)?;
    let session = Session::start(&setup, plan.jobs(true));
    let joining = Duration::from_secs_f64(plan.viewers as f64 / plan.rate);
    session.wait_ready(plan.viewers, joining + plan.timeout + Duration::from_secs(1));
    outcome.ready = session.shared.ready.load(Relaxed);
    outcome.bytes = session.shared.bytes().iter().sum();
    let last = Moment::now(plan)?;
    let reports = session.finish()?;
    outcome.window_s = rounded((last.at - first.at).as_secs_f64());
    tell_viewers(&mut outcome, &reports);
    outcome.machine = last.machine_since(&first);
    if let (Some(then), Some(now)) = (first.server, last.server) {
        outcome.server = Some(Server::new(&now, &then, outcome.window_s, outcome.bytes));
    }
    Ok(outcome)
}

/// Nobody watches: what receiving costs, for each byte that was pushed.
pub(crate) fn ingest(plan: &Plan, publishing: &Publishing) -> Result<Outcome> {
    let mut outcome = plan.outcome("rtsp push");
    sleep(plan.settle);
    let (first, sent) = (Moment::now(plan)?, publishing.sent());
    sleep(plan.window);
    let (last, sent_after) = (Moment::now(plan)?, publishing.sent());
    ensure!(!publishing.has_failed(), "the server ended a stream");
    outcome.window_s = rounded((last.at - first.at).as_secs_f64());
    outcome.bytes = sent_after - sent;
    outcome.mbit_per_s = rounded(outcome.bytes as f64 * 8e-6 / outcome.window_s);
    outcome.machine = last.machine_since(&first);
    if let (Some(then), Some(now)) = (first.server, last.server) {
        outcome.server = Some(Server::new(&now, &then, outcome.window_s, outcome.bytes));
    }
    Ok(outcome)
}

fn tell_viewers(outcome: &mut Outcome, reports: &[Report]) {
    let all = |value: fn(&Report) -> Option<u64>| Spread::of_micros(reports.iter().filter_map(value).collect());
    outcome.first_byte_ms = all(|report| report.first_byte);
    outcome.first_key_ms = all(|report| report.first_key);
    outcome.latency_ms =
        Spread::of_micros(reports.iter().flat_map(|report| report.seen.latencies.iter().copied()).collect());
    let sum = |value: fn(&Report) -> u64| reports.iter().map(value).sum::<u64>();
    outcome.frames = Frames {
        received: sum(|report| report.seen.latencies.len() as u64),
        lost: sum(|report| report.seen.lost),
        gaps: sum(|report| report.seen.gaps),
        broken: sum(|report| report.seen.broken),
        unstamped: sum(|report| report.seen.unstamped),
        foreign: sum(|report| report.seen.foreign),
        packets_lost: sum(|report| report.packets_lost),
        longest_wait_ms: reports.iter().map(|report| report.seen.longest_wait).max().unwrap_or(0) as f64 / 1e3,
    };
    let mut errors = BTreeMap::<String, usize>::new();
    for error in reports.iter().filter_map(|report| report.error.as_ref()) {
        *errors.entry(error.clone()).or_default() += 1;
    }
    outcome.errors = errors;
}
