//! The standard set: each figure that the hub is held to, a few rounds over, each run beside the limit of the same round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::Stream;
use crate::callers::Callers;
use crate::hub::Hub;
use crate::limit::Limit;
use crate::measure::{self, Plan};
use crate::outcome::Outcome;
use crate::publish::Publishing;
use crate::results;
use crate::target::Transport;

/// The stream of nearly all runs.
const STREAM: Stream = Stream { bitrate: 2e6, fps: 25.0, gop: 50 };
/// As large in frames, a fifth as often: so many viewers of [`STREAM`] are beyond two cores.
const SLOW: Stream = Stream { bitrate: 4e5, fps: 5.0, gop: 10 };
/// Of sources that are only there to be listed.
const QUIET: Stream = Stream { bitrate: 5e4, fps: 2.0, gop: 4 };
/// How many of them.
const LISTED: usize = 1000;
/// Connections of scripts that ask without a pause.
const CALLERS: usize = 8;
/// Joins a second, and for how many viewers: five seconds of them.
const JOINS: (f64, usize) = (200.0, 1000);
const PATH: &str = "/load/{i}";
const LISTED_PATH: &str = "/listed/{i}";
/// Between runs: what the last one left in the kernel settles.
const PAUSE: Duration = Duration::from_millis(300);

/// Options of `hub-load standard`.
#[derive(Debug, Args)]
pub(crate) struct Standard {
    /// The hub's program.
    #[arg(long, default_value = "target/release/ipchub")]
    hub: PathBuf,
    /// Settings of the hub: IPCHUB_WORKERS=1
    #[arg(long)]
    setting: Vec<String>,
    /// Times that everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only runs whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Where to write the table, Markdown.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where to write all figures, JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Limit,
    Hub,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Play(Transport),
    Join(Transport),
    Ingest,
    /// Play websocket-flv on a hub with [`LISTED`] sources more, of which scripts ask this.
    Beside(Option<&'static str>),
}

/// One run of the set.
#[derive(Debug, Clone, Copy)]
struct Run {
    name: &'static str,
    who: Who,
    how: How,
    streams: usize,
    viewers: usize,
    stream: Stream,
    /// Seconds of the window, and of a hub without viewers before it.
    window: (u64, u64),
}

impl Run {
    fn times(&self, plan: Plan) -> Plan {
        let (window, baseline) = self.window;
        Plan { window: Duration::from_secs(window), baseline: Duration::from_secs(baseline), ..plan }
    }
}

const fn play(name: &'static str, who: Who, transport: Transport, viewers: usize) -> Run {
    Run { name, who, how: How::Play(transport), streams: 1, viewers, stream: STREAM, window: (6, 1) }
}

const fn beside(name: &'static str, call: Option<&'static str>) -> Run {
    Run { how: How::Beside(call), ..play(name, Who::Hub, Transport::WsFlv, 200) }
}

/// In this order, a limit right before what is compared with it.
const RUNS: [Run; 23] = [
    play("limit flv 200", Who::Limit, Transport::HttpFlv, 200),
    play("ws-flv 200", Who::Hub, Transport::WsFlv, 200),
    play("http-flv 200", Who::Hub, Transport::HttpFlv, 200),
    play("limit rtsp-tcp 200", Who::Limit, Transport::RtspTcp, 200),
    play("rtsp-tcp 200", Who::Hub, Transport::RtspTcp, 200),
    play("limit rtsp-udp 200", Who::Limit, Transport::RtspUdp, 200),
    play("rtsp-udp 200", Who::Hub, Transport::RtspUdp, 200),
    play("limit flv 2000", Who::Limit, Transport::HttpFlv, 2000),
    play("ws-flv 2000", Who::Hub, Transport::WsFlv, 2000),
    // Caches of the machine hold what a hundred connections need, not what thousands do: the limit tells what that alone costs.
    // So few cost little, so what is burnt without viewers must be known as well.
    Run { stream: SLOW, window: (20, 10), ..play("limit flv 100 at 5 fps", Who::Limit, Transport::HttpFlv, 100) },
    Run { stream: SLOW, window: (20, 10), ..play("ws-flv 100 at 5 fps", Who::Hub, Transport::WsFlv, 100) },
    Run { stream: SLOW, ..play("limit flv 4000 at 5 fps", Who::Limit, Transport::HttpFlv, 4000) },
    Run { stream: SLOW, ..play("ws-flv 4000 at 5 fps", Who::Hub, Transport::WsFlv, 4000) },
    play("ws-flv 1x1000", Who::Hub, Transport::WsFlv, 1000),
    Run { streams: 20, ..play("ws-flv 20x50", Who::Hub, Transport::WsFlv, 1000) },
    Run { how: How::Join(Transport::WsFlv), ..play("ws-flv joins", Who::Hub, Transport::WsFlv, JOINS.1) },
    Run { streams: 10, ..play("hls 10x30", Who::Hub, Transport::Hls, 300) },
    Run { how: How::Ingest, streams: 200, ..play("limit ingest 200", Who::Limit, Transport::WsFlv, 0) },
    Run { how: How::Ingest, streams: 200, ..play("ingest 200", Who::Hub, Transport::WsFlv, 0) },
    beside("1000 sources", None),
    beside("1000 sources, GET /runtime", Some("/api/v1/runtime")),
    beside("1000 sources, GET /streams", Some("/api/v1/streams")),
    beside("1000 sources, GET /streams, all", Some("/api/v1/streams?page_size=1000")),
];

/// Every run's outcomes, by name, one a round.
pub(crate) type Outcomes = BTreeMap<&'static str, Vec<Outcome>>;

/// Measures everything and writes the results.
pub(crate) fn run(options: &Standard) -> Result<()> {
    let start = Instant::now();
    let mut outcomes = Outcomes::new();
    for round in 1..=options.rounds.max(1) {
        let wanted = |run: &&Run| options.only.as_ref().is_none_or(|part| run.name.contains(part.as_str()));
        for run in RUNS.iter().filter(wanted) {
            let outcome = once(run, options).with_context(|| format!("round {round}, {}", run.name))?;
            println!("round {round}, {:.0} s\n{outcome}", start.elapsed().as_secs_f64());
            outcomes.entry(run.name).or_default().push(outcome);
            std::thread::sleep(PAUSE);
        }
    }
    let names: Vec<_> = RUNS.iter().map(|run| run.name).collect();
    let text = results::markdown(&names, &outcomes, options.rounds);
    println!("{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&outcomes)? + "\n")
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The plan of viewers of the limit.
pub(crate) fn limit_plan(limit: &Limit, transport: Transport, viewers: usize) -> Plan {
    let url = transport.url(limit.address, "/limit");
    let udp = transport == Transport::RtspUdp;
    Plan { udp, pid: Some(limit.pid()), ..Plan::new("limit", url, viewers) }
}

fn once(run: &Run, options: &Standard) -> Result<Outcome> {
    let outcome = match run.who {
        Who::Limit => {
            let limit = Limit::start(&run.stream)?;
            match run.how {
                How::Play(transport) | How::Join(transport) => {
                    measure::play(&run.times(limit_plan(&limit, transport, run.viewers)))?
                }
                How::Ingest => ingest(run, limit.address, limit.pid())?,
                How::Beside(_) => bail!("a bare loop has no REST"),
            }
        }
        Who::Hub => {
            let hub = Hub::start(&options.hub, &options.setting)?;
            match run.how {
                How::Ingest => ingest(run, hub.address, hub.pid())?,
                How::Play(transport) => watched(run, &hub, transport, measure::play)?,
                How::Join(transport) => watched(run, &hub, transport, measure::join)?,
                How::Beside(call) => beside_calls(run, &hub, call)?,
            }
        }
    };
    Ok(Outcome { name: run.name.to_owned(), ..outcome })
}

fn watched(run: &Run, hub: &Hub, transport: Transport, measure: fn(&Plan) -> Result<Outcome>) -> Result<Outcome> {
    let clip = run.stream.clip();
    let push = Transport::RtspTcp.url(hub.address, PATH);
    let publishing = Publishing::start(&push, run.streams, clip.clone())?;
    // Every stream has begun, and one has a whole GOP to open with.
    std::thread::sleep(Duration::from_secs_f64(clip.gop_seconds() + 0.5));
    let mut plan = run.times(Plan::new(run.name, transport.url(hub.address, PATH), run.viewers));
    plan.streams = run.streams;
    plan.udp = transport == Transport::RtspUdp;
    plan.pid = Some(hub.pid());
    if let How::Join(_) = run.how {
        plan.rate = JOINS.0;
    }
    let outcome = measure(&plan)?;
    publishing.finish()?;
    Ok(outcome)
}

fn beside_calls(run: &Run, hub: &Hub, call: Option<&str>) -> Result<Outcome> {
    let push = Transport::RtspTcp.url(hub.address, LISTED_PATH);
    let listed = Publishing::start(&push, LISTED, QUIET.clip())?;
    let callers = call.map(|path| Callers::start(hub.address, path, CALLERS)).transpose()?;
    let outcome = watched(run, hub, Transport::WsFlv, measure::play)?;
    if let Some(callers) = callers {
        println!("{}: {:.0} calls/s", run.name, callers.finish()?);
    }
    listed.finish()?;
    Ok(outcome)
}

fn ingest(run: &Run, address: std::net::SocketAddr, pid: u32) -> Result<Outcome> {
    let push = Transport::RtspTcp.url(address, PATH);
    let publishing = Publishing::start(&push, run.streams, run.stream.clip())?;
    // Streams begin one after the other, spread over a GOP.
    std::thread::sleep(Duration::from_secs_f64(run.stream.clip().gop_seconds()));
    // The hub reads publishers that nobody watches seldom, once it has known them for three seconds.
    let settle = Duration::from_secs(4);
    let plan = Plan { pid: Some(pid), settle, ..Plan::new(run.name, push, 0) };
    let outcome = measure::ingest(&plan, &publishing)?;
    publishing.finish()?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_runs_that_are_measured() {
        let names: Vec<_> = RUNS.iter().map(|run| run.name).collect();
        for name in results::names() {
            assert!(names.contains(&name), "{name}");
        }
    }
}
