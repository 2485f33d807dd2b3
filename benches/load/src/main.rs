//! `hub-load`: pushes synthetic streams to a live media server, plays them many times, and tells what that cost the server
//! and how late each frame was, beside the limit: a bare loop that writes the same bytes. See README.md.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

mod callers;
mod clip;
mod engine;
mod hls;
mod hub;
mod limit;
mod measure;
mod outcome;
mod player;
mod procfs;
mod publish;
mod results;
mod rtsp;
mod smoke;
mod stamp;
mod standard;
mod stats;
mod target;
mod unframe;
mod watch;

use clip::Clip;
use limit::Limit;
use measure::Plan;
use outcome::Outcome;
use publish::Publishing;
use target::Transport;

/// Load for live media servers, and what it costs them. Point it only at servers that are yours.
#[derive(Debug, Parser)]
#[command(name = "hub-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Push streams by RTSP until the time is over.
    Publish {
        /// Where to, `{i}` is the stream's number: rtsp://127.0.0.1:1554/load/{i}
        #[arg(long)]
        url: String,
        /// How many.
        #[arg(long, default_value_t = 1)]
        streams: usize,
        /// For how long.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
        #[command(flatten)]
        stream: Stream,
    },
    /// Play with many viewers and measure a steady window.
    Play(Play),
    /// Let viewers join at a rate; each leaves at its first key frame.
    Join(Play),
    /// Push streams that nobody watches.
    Ingest {
        /// Where to, `{i}` is the stream's number.
        #[arg(long)]
        publish: String,
        /// How many streams.
        #[arg(long, default_value_t = 200)]
        streams: usize,
        /// The server's process, on this machine.
        #[arg(long)]
        pid: u32,
        /// The window.
        #[arg(long, default_value_t = 6.0)]
        seconds: f64,
        #[command(flatten)]
        stream: Stream,
        #[command(flatten)]
        output: Output,
    },
    /// Measure the limit: a bare loop, with the same viewers.
    Limit {
        #[arg(long, value_enum, default_value_t = Transport::HttpFlv)]
        transport: Transport,
        #[arg(long, default_value_t = 200)]
        viewers: usize,
        /// The window.
        #[arg(long, default_value_t = 6.0)]
        seconds: f64,
        #[command(flatten)]
        stream: Stream,
        #[command(flatten)]
        output: Output,
    },
    /// The standard set against a hub that is started for each run.
    Standard(standard::Standard),
    /// Two viewers of each kind for two seconds on a hub that is started for it: is everything whole?
    Smoke {
        /// The hub's program.
        #[arg(long, default_value = "target/release/ipchub")]
        hub: PathBuf,
    },
    /// Call REST without a pause until standard input ends, and tell how often.
    #[command(hide = true)]
    Call {
        #[arg(long)]
        address: SocketAddr,
        #[arg(long)]
        path: String,
        #[arg(long)]
        connections: usize,
    },
    /// The limit's process.
    #[command(hide = true)]
    LimitServer {
        #[command(flatten)]
        stream: Stream,
    },
}

/// What is pushed.
#[derive(Debug, Clone, Copy, Args)]
struct Stream {
    /// Bits a second of each stream.
    #[arg(long, default_value_t = 2e6, value_parser = positive)]
    bitrate: f64,
    /// Frames a second.
    #[arg(long, default_value_t = 25.0, value_parser = positive)]
    fps: f64,
    /// Frames from key frame to key frame.
    #[arg(long, default_value_t = 50)]
    gop: u32,
}

impl Stream {
    fn clip(&self) -> Clip {
        Clip::new(self.bitrate, self.fps, self.gop)
    }
}

#[derive(Debug, Args)]
struct Play {
    /// What to play, `{i}` is the stream's number: ws://HOST/a{i}.flv, http://HOST/a{i}.flv, rtsp://HOST/a{i}, http://HOST/a{i}.m3u8
    #[arg(long)]
    url: String,
    /// RTP over UDP.
    #[arg(long)]
    udp: bool,
    /// Push the streams as well, to this URL; otherwise somebody else must, with the stamps of `hub-load publish`.
    #[arg(long)]
    publish: Option<String>,
    #[arg(long, default_value_t = 1)]
    streams: usize,
    #[arg(long, default_value_t = 100)]
    viewers: usize,
    /// Viewers that join in a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// The window.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The server's process, on this machine: its CPU time and memory are told.
    #[arg(long)]
    pid: Option<u32>,
    /// Every how many-th viewer parses everything; 0: so that about ten do.
    #[arg(long, default_value_t = 0)]
    sample: usize,
    /// Milliseconds that the other viewers nap between reads in the window.
    #[arg(long, default_value_t = 5)]
    nap: u64,
    /// Seconds that a viewer may wait for its first key frame.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    #[command(flatten)]
    stream: Stream,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Output {
    /// A name for this run.
    #[arg(long, default_value = "server")]
    name: String,
    /// Write the figures here.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Output {
    /// Shows and writes; an error if the run showed nothing.
    fn tell(&self, outcome: &Outcome) -> Result<()> {
        print!("{outcome}");
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(outcome)? + "\n";
            std::fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        ensure!(
            outcome.viewers == 0 || outcome.ready > 0,
            "no viewer got a key frame: {}",
            outcome.faults().join(", ")
        );
        Ok(())
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hub-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Publish { url, streams, seconds, stream } => {
            let publishing = Publishing::start(&url, streams, stream.clip())?;
            std::thread::sleep(seconds_of(seconds)?);
            let published = publishing.finish()?;
            println!("{published:?}");
            Ok(())
        }
        Command::Play(play) => watched(&play, measure::play),
        Command::Join(play) => watched(&play, measure::join),
        Command::Ingest { publish, streams, pid, seconds, stream, output } => {
            let publishing = Publishing::start(&publish, streams, stream.clip())?;
            let plan = Plan { pid: Some(pid), window: seconds_of(seconds)?, ..Plan::new(&output.name, publish, 0) };
            let outcome = measure::ingest(&plan, &publishing)?;
            publishing.finish()?;
            output.tell(&outcome)
        }
        Command::Limit { transport, viewers, seconds, stream, output } => {
            ensure!(
                transport != Transport::Hls,
                "a bare loop of HLS would be a server of files: there is no such limit"
            );
            let limit = Limit::start(&stream)?;
            let plan = Plan { window: seconds_of(seconds)?, ..standard::limit_plan(&limit, transport, viewers) };
            output.tell(&measure::play(&plan)?)
        }
        Command::Standard(standard) => standard::run(&standard),
        Command::Smoke { hub } => smoke::run(&hub),
        Command::Call { address, path, connections } => callers::call(address, &path, connections),
        Command::LimitServer { stream } => limit::serve(&stream),
    }
}

fn watched(play: &Play, measure: fn(&Plan) -> Result<Outcome>) -> Result<()> {
    let stream = play.stream.clip();
    let publishing = play.publish.as_ref().map(|url| Publishing::start(url, play.streams, stream)).transpose()?;
    if publishing.is_some() {
        // The first frames of each stream; a server may answer 404 before.
        std::thread::sleep(Duration::from_secs_f64(play.stream.clip().gop_seconds() + 0.5));
    }
    let plan = Plan {
        streams: play.streams,
        udp: play.udp,
        rate: play.rate,
        sample: play.sample,
        pid: play.pid,
        window: seconds_of(play.seconds)?,
        nap: Duration::from_millis(play.nap),
        timeout: seconds_of(play.timeout)?,
        ..Plan::new(&play.output.name, play.url.clone(), play.viewers)
    };
    let outcome = measure(&plan)?;
    if let Some(publishing) = publishing {
        publishing.finish()?;
    }
    play.output.tell(&outcome)
}

fn seconds_of(value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("{value} seconds"))
}

fn positive(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().map_err(|error| error.to_string())?;
    if value.is_finite() && value >= 1.0 { Ok(value) } else { Err("at least 1".to_owned()) }
}
