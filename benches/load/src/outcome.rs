//! The figures of one run, as JSON and as lines. README.md says what each means.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::procfs::Process;
use crate::stats::{Spread, rounded};

/// One run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) transport: String,
    pub(crate) viewers: usize,
    /// Viewers that got a key frame.
    pub(crate) ready: usize,
    pub(crate) window_s: f64,
    /// What the viewers got in the window, or what was pushed.
    pub(crate) bytes: u64,
    pub(crate) mbit_per_s: f64,
    /// What the viewer with the fewest bytes got, as a share of the median.
    pub(crate) least_viewer: f64,
    pub(crate) latency_ms: Spread,
    pub(crate) first_byte_ms: Spread,
    pub(crate) first_key_ms: Spread,
    pub(crate) frames: Frames,
    /// How many viewers ended early for which reason.
    pub(crate) errors: BTreeMap<String, usize>,
    pub(crate) server: Option<Server>,
    pub(crate) machine: Machine,
}

/// Frames of the sampled viewers in the window.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Frames {
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) gaps: u64,
    pub(crate) broken: u64,
    pub(crate) unstamped: u64,
    pub(crate) foreign: u64,
    pub(crate) packets_lost: u64,
    pub(crate) longest_wait_ms: f64,
}

/// The server's process in the window. 1 GB = 10^9 bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Server {
    pub(crate) cpu_ms: f64,
    pub(crate) user_ms: f64,
    pub(crate) system_ms: f64,
    pub(crate) cpu_ms_per_gb: f64,
    /// Less what it burnt without viewers.
    pub(crate) net_ms_per_gb: f64,
    pub(crate) switches_per_s: f64,
    pub(crate) involuntary_per_s: f64,
    pub(crate) threads: usize,
    pub(crate) pss_before_kib: u64,
    pub(crate) pss_steady_kib: u64,
    pub(crate) pss_kib_per_viewer: f64,
}

/// Cores that others used in the window.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) hub_load_cores: f64,
    /// Neither the server nor hub-load: a run with much of it was disturbed.
    pub(crate) other_cores: f64,
}

impl Server {
    /// Of a window of `seconds` in which `bytes` were delivered.
    pub(crate) fn new(now: &Process, then: &Process, seconds: f64, bytes: u64) -> Self {
        let cpu_ms = now.cpu_ms_since(then);
        let [voluntary, involuntary] = now.switches_since(then);
        let per_gb = rounded(cpu_ms / (bytes.max(1) as f64 / 1e9));
        Self {
            cpu_ms: rounded(cpu_ms),
            user_ms: rounded(now.user_ms - then.user_ms),
            system_ms: rounded(now.system_ms - then.system_ms),
            cpu_ms_per_gb: per_gb,
            net_ms_per_gb: per_gb,
            switches_per_s: rounded((voluntary + involuntary) as f64 / seconds),
            involuntary_per_s: rounded(involuntary as f64 / seconds),
            threads: now.thread_count(),
            pss_before_kib: then.pss_kib,
            pss_steady_kib: now.pss_kib,
            pss_kib_per_viewer: 0.0,
        }
    }

    /// Takes off what it burns without viewers.
    pub(crate) fn take_off(&mut self, idle_ms: f64, bytes: u64) {
        self.net_ms_per_gb = rounded((self.cpu_ms - idle_ms) / (bytes.max(1) as f64 / 1e9));
    }

    /// `before`: without viewers.
    pub(crate) fn memory(&mut self, before: &Process, now: &Process, viewers: usize) {
        self.pss_before_kib = before.pss_kib;
        self.pss_kib_per_viewer = rounded((now.pss_kib as f64 - before.pss_kib as f64) / viewers as f64);
    }
}

impl Outcome {
    /// Everything that makes the figures worthless, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self.errors.iter().map(|(error, count)| format!("{count} viewers: {error}")).collect();
        let Frames { lost, broken, unstamped, foreign, .. } = self.frames;
        let counts =
            [(lost, "lost"), (broken, "broken"), (unstamped, "without a stamp"), (foreign, "of another stream")];
        faults.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} frames {what}")));
        faults
    }
}

/// A value that may not be there, for people.
pub(crate) fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, transport, viewers, ready, .. } = self;
        writeln!(f, "{name}: {transport}, {ready} of {viewers} viewers, {} s", self.window_s)?;
        writeln!(f, "  delivered    {} Mbit/s, least viewer {} of the median", self.mbit_per_s, self.least_viewer)?;
        let spread = |spread: &Spread| {
            let [p50, p95, p99, max] = [spread.p50, spread.p95, spread.p99, spread.max].map(shown);
            format!("p50 {p50}  p95 {p95}  p99 {p99}  max {max} ms  of {}", spread.n)
        };
        writeln!(f, "  latency      {}", spread(&self.latency_ms))?;
        writeln!(f, "  first key    {}", spread(&self.first_key_ms))?;
        let frames = &self.frames;
        writeln!(
            f,
            "  frames       {} received, {} lost in {} gaps, {} packets lost, longest wait {} ms",
            frames.received, frames.lost, frames.gaps, frames.packets_lost, frames.longest_wait_ms
        )?;
        if let Some(server) = &self.server {
            writeln!(
                f,
                "  server CPU   {} ms ({} user, {} system), {} ms/GB, {} net",
                server.cpu_ms, server.user_ms, server.system_ms, server.cpu_ms_per_gb, server.net_ms_per_gb
            )?;
            writeln!(
                f,
                "  switches     {}/s, {} involuntary, {} threads",
                server.switches_per_s, server.involuntary_per_s, server.threads
            )?;
            writeln!(
                f,
                "  memory       {} KiB before, {} steady, {} KiB a viewer",
                server.pss_before_kib, server.pss_steady_kib, server.pss_kib_per_viewer
            )?;
        }
        let Machine { hub_load_cores, other_cores } = self.machine;
        writeln!(f, "  other cores  hub-load {hub_load_cores}, the rest {other_cores}")?;
        for fault in self.faults() {
            writeln!(f, "  FAULT        {fault}")?;
        }
        Ok(())
    }
}
