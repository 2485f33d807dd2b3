//! Two viewers of each kind for two seconds: does everything come, whole and from the right stream?

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Stream;
use crate::hub::Hub;
use crate::measure::{self, Plan};
use crate::outcome::Outcome;
use crate::publish::Publishing;
use crate::target::Transport;

const TRANSPORTS: [Transport; 5] =
    [Transport::WsFlv, Transport::HttpFlv, Transport::RtspTcp, Transport::RtspUdp, Transport::Hls];
const VIEWERS: usize = 2;
const WINDOW: Duration = Duration::from_secs(2);
/// A busy machine may take long to start everything.
const TIMEOUT: Duration = Duration::from_secs(20);
const STREAM: Stream = Stream { bitrate: 5e5, fps: 25.0, gop: 25 };
const PATH: &str = "/load/{i}";

/// Starts the hub, one stream and all viewers at once. An error: something was missing.
pub(crate) fn run(program: &Path) -> Result<()> {
    let hub = Hub::start(program, &[])?;
    let push = Transport::RtspTcp.url(hub.address, PATH);
    let publishing = Publishing::start(&push, 1, STREAM.clip())?;
    let runs = TRANSPORTS.map(|transport| {
        let mut plan = Plan::new(transport.name(), transport.url(hub.address, PATH), VIEWERS);
        plan.udp = transport == Transport::RtspUdp;
        plan.pid = Some(hub.pid());
        plan.sample = 1;
        plan.baseline = Duration::ZERO;
        plan.settle = Duration::ZERO;
        plan.window = WINDOW;
        plan.timeout = TIMEOUT;
        std::thread::spawn(move || measure::play(&plan))
    });
    for run in runs {
        let Ok(outcome) = run.join() else { bail!("a run panicked") };
        let outcome = outcome?;
        print!("{outcome}");
        whole(&outcome).with_context(|| outcome.name.clone())?;
    }
    let published = publishing.finish()?;
    ensure!(published.left_out == 0, "{} frames were not taken by the hub", published.left_out);
    Ok(())
}

fn whole(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.faults().is_empty(), "{}", outcome.faults().join(", "));
    ensure!(outcome.ready == VIEWERS, "{} of {VIEWERS} viewers got a key frame", outcome.ready);
    ensure!(outcome.frames.received > 0 && outcome.bytes > 0, "no frame came");
    ensure!(outcome.frames.packets_lost == 0, "{} packets lost", outcome.frames.packets_lost);
    ensure!(outcome.server.as_ref().is_some_and(|server| server.pss_steady_kib > 0), "nothing known of the server");
    Ok(())
}
