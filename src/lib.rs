//! A standalone live media hub: cameras and encoders push by RTSP, pages watch by websocket-flv and http-flv, scripts ask
//! over REST; all through one port.
//!
//! [`Running::start`] is the whole program without its command line; port 0 lets the system choose.

pub mod cli;
pub mod config;
mod listener;
pub mod log;
pub mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::log::{info, warn};
use actix::prelude::*;
use actix_server::ServerHandle;
use anyhow::{Context as _, Result};
use ipchub_actors::accounts::{self, Accounts, Gate};
use ipchub_actors::demo::DemoPublisher;
use ipchub_actors::hub::Tables;
use ipchub_actors::messages::{GetRuntime, Shutdown};
use ipchub_actors::meter::{Active, Stats};
use ipchub_actors::route_table::{self, RouteTable, Routes};
use ipchub_actors::rtsp::udp::UdpPorts;
use ipchub_actors::store::Kept;
use ipchub_actors::supervisor::{Join, Supervisor};
use ipchub_actors::{Hub, Settings};
use tokio::signal::unix::{SignalKind, signal};

use config::Config;
use tls::Certificate;

/// How long viewers and publishers have to take their proper end.
const END_WITHIN: Duration = Duration::from_secs(3);

/// See `demo/make-clip.sh`.
static DEMO_CLIP: &[u8] = include_bytes!("../demo/clock.flv");
const DEMO_PATH: &str = "/demo/clock";

/// A running hub.
#[derive(Debug)]
pub struct Running {
    hub: Hub,
    server: ServerHandle,
    address: SocketAddr,
    /// This thread is one of the arbiters.
    _counted: Active,
}

/// The routes of the data folder.
fn routes(config: &Config) -> Result<Kept<Routes>> {
    let file = Path::new(&config.data_dir).join(route_table::FILE);
    Kept::open(config.routes_provider()?.store(file)).context("reading the routes")
}

/// Reads everything that a start would read, and changes nothing.
pub fn check(config: &Config) -> Result<()> {
    routes(config)?;
    accounts::open(&config.accounts()?).context("reading the users")?;
    tls::check(config)
}

impl Running {
    /// Opens the ports and starts everything. Must be called within an actix system.
    pub async fn start(config: &Config) -> Result<Self> {
        let settings: Arc<Settings> = Arc::new(config.settings()?);
        let routes = routes(config)?;
        let certificate = Certificate::load(config)?;
        let gate = Arc::new(Gate::open(&config.accounts()?).context("reading the users")?);
        let stats = Arc::new(Stats::default());
        let udp = match u16::try_from(config.rtsp.udp_port) {
            Err(_) => None,
            Ok(port) => {
                let ports = UdpPorts::bind(port).with_context(|| {
                    format!("opening the UDP ports {port} and {} (rtsp.udp_port)", u32::from(port) + 1)
                })?;
                Some(Arc::new(ports))
            }
        };
        let listener = listener::bind(config)?;
        let address = listener.local_addr()?;
        let supervisor = Supervisor::default().start();
        let counted = stats.arbiters.enter();
        let count = routes.current().len();
        let accounts = Accounts::new(Arc::clone(&gate)).start();
        let tables = Tables { routes: RouteTable::new(routes).start(), accounts, gate };
        let hub = Hub::new(settings, Arc::clone(&stats), supervisor, tables, udp.clone());
        hub.supervisor.do_send(Join(hub.clone()));
        hub.routes.do_send(Join(hub.clone()));
        if let Some(udp) = &udp {
            udp.run(&stats);
        }
        let server = listener::serve(listener, config.workers, &hub, certificate.clone())?;
        info!("ipchub {} listening on {address}", env!("CARGO_PKG_VERSION"));
        if certificate.is_some() {
            info!("TLS on the same port, with the certificate {}", config.tls.cert);
        }
        if let Some(udp) = &udp {
            let (rtp, rtcp) = udp.ports();
            info!("RTP and RTCP over UDP on ports {rtp} and {rtcp}");
        }
        if count > 0 {
            info!("{count} routes from {}", Path::new(&config.data_dir).display());
        }
        if config.demo {
            DemoPublisher::new(hub.clone(), DEMO_PATH, DEMO_CLIP)?.start();
            info!("the demo clip is at {DEMO_PATH}: open http://localhost:{}/#{DEMO_PATH}", address.port());
        }
        Ok(Self { hub, server, address, _counted: counted })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends everything in order: no new connections, a proper end for publishers and viewers, then the rest.
    pub async fn stop(self) {
        self.server.pause().await;
        let _ = self.hub.supervisor.send(Shutdown).await;
        let until = Instant::now() + END_WITHIN;
        let stats = &self.hub.stats;
        let active = || {
            stats.rtsp.active()
                + stats.wsp.active()
                + stats.flv.active()
                + stats.ts.active()
                + stats.fmp4.active()
                + stats.pulls.active()
        };
        while active() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Ok(runtime) = self.hub.supervisor.send(GetRuntime { with_memory: false }).await
            && runtime.consumers > 0
        {
            warn!("{} viewers did not take their end in time", runtime.consumers);
        }
        self.server.stop(false).await;
    }
}

/// Runs until SIGTERM or SIGINT; a second one ends at once.
pub fn run(config: Config) -> Result<()> {
    System::new().block_on(async move {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = Running::start(&config).await?;
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: ending"),
            _ = interrupt.recv() => info!("SIGINT: ending"),
        }
        tokio::select! {
            () = running.stop() => info!("ended"),
            _ = terminate.recv() => warn!("second SIGTERM: ended at once"),
            _ = interrupt.recv() => warn!("second SIGINT: ended at once"),
        }
        Ok(())
    })
}
