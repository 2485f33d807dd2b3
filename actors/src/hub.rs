//! What every actor is given: settings, counters and the supervisor's address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use actix::Addr;
use ipchub_media::rtsp::auth::Ways;

use crate::accounts::{Accounts, Gate};
use crate::connection::Link;
use crate::hls::Spool;
use crate::info::{Consumer, PacketType};
use crate::meter::Stats;
use crate::route_table::RouteTable;
use crate::rtsp::multicast::groups::{Groups, Range};
use crate::rtsp::udp::UdpPorts;
use crate::supervisor::Supervisor;
use crate::wsp::channels::Channels;

/// Limits and times, from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections of every kind at once.
    pub max_connections: usize,
    /// Sources at once.
    pub max_sources: usize,
    /// A connection whose socket takes no byte for this long is closed.
    pub write_timeout: Duration,
    /// A connection must show its protocol within this.
    pub sniff_timeout: Duration,
    /// Viewers of a publisher that vanished wait this long for the next.
    pub publisher_grace: Duration,
    /// A publisher that sends nothing for this long has vanished.
    pub publisher_timeout: Duration,
    /// A viewer waits at most this long for a pulled source, and a connection to a camera may take this long.
    pub pull_timeout: Duration,
    /// A pulled source that nobody watches is closed after this.
    pub pull_idle: Duration,
    /// A camera that sends nothing, or no video, for this long is connected anew.
    pub pull_stall: Duration,
    /// An RTSP session without request and without media ends after this; told to the client in `Session: ;timeout=`.
    pub session_timeout: Duration,
    /// Bytes of one access unit at most.
    pub max_access_unit: usize,
    /// Bytes of the cached GOP of one source at most.
    pub max_gop_bytes: usize,
    /// Frames of the cached GOP of one source at most.
    pub max_gop_frames: usize,
    /// Chunks that wait in a viewer's mailbox at most.
    pub viewer_queue: usize,
    /// Groups and ports for multicast; `None`: it is off.
    pub multicast: Option<Range>,
    /// How RTSP clients may log in.
    pub rtsp_login: Ways,
    /// HLS.
    pub hls: crate::hls::Settings,
    /// Unsent bytes in the kernel for one viewer at most (`TCP_NOTSENT_LOWAT`).
    pub viewer_unsent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_sources: 2_000,
            write_timeout: Duration::from_secs(10),
            sniff_timeout: Duration::from_secs(10),
            publisher_grace: Duration::from_secs(10),
            publisher_timeout: Duration::from_secs(30),
            pull_timeout: Duration::from_secs(10),
            pull_idle: Duration::from_secs(300),
            pull_stall: Duration::from_secs(10),
            session_timeout: Duration::from_secs(60),
            max_access_unit: 8 << 20,
            max_gop_bytes: 16 << 20,
            max_gop_frames: 3_000,
            viewer_queue: 128,
            multicast: None,
            rtsp_login: Ways { digest: true, basic: true },
            hls: crate::hls::Settings::default(),
            viewer_unsent: 256 << 10,
        }
    }
}

/// Shared by all actors and handlers; a clone is a few counters.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Limits and times.
    pub settings: Arc<Settings>,
    /// The hub's counters.
    pub stats: Arc<Stats>,
    /// The registry.
    pub supervisor: Addr<Supervisor>,
    /// The routes.
    pub routes: Addr<RouteTable>,
    /// The users.
    pub accounts: Addr<Accounts>,
    /// Who may do what.
    pub gate: Arc<Gate>,
    /// The UDP ports for RTP and RTCP, if they are open.
    pub udp: Option<Arc<UdpPorts>>,
    /// Channels of WSP.
    pub channels: Arc<Channels>,
    /// The multicast groups, if they are on.
    pub multicast: Option<Arc<Groups>>,
    /// The folder for segments of HLS, if there is one.
    pub(crate) spool: Option<Arc<Spool>>,
    /// When the hub started.
    pub started: Started,
    ids: Arc<Ids>,
}

/// What the data folder holds.
#[derive(Debug)]
pub struct Tables {
    /// The routes.
    pub routes: Addr<RouteTable>,
    /// The users.
    pub accounts: Addr<Accounts>,
    /// Who may do what.
    pub gate: Arc<Gate>,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    /// By the wall clock.
    pub on: SystemTime,
    /// By the monotonic clock.
    pub at: Instant,
}

impl Started {
    /// Now.
    pub fn now() -> Self {
        Self { on: SystemTime::now(), at: Instant::now() }
    }
}

#[derive(Debug, Default)]
struct Ids {
    consumers: AtomicU32,
    publishers: AtomicU64,
}

impl Hub {
    /// A hub of that supervisor and those tables. The UDP ports are opened before, the listener after.
    pub fn new(
        settings: Arc<Settings>,
        stats: Arc<Stats>,
        supervisor: Addr<Supervisor>,
        tables: Tables,
        udp: Option<Arc<UdpPorts>>,
    ) -> Self {
        let Tables { routes, accounts, gate } = tables;
        let multicast = settings.multicast.clone().map(|range| Arc::new(Groups::new(range)));
        let spool = settings.hls.open_folder();
        let (channels, started, ids) = (Arc::default(), Started::now(), Arc::default());
        Self { multicast, spool, settings, stats, supervisor, routes, accounts, gate, udp, channels, started, ids }
    }

    /// A new consumer's number: the kind in the upper two bits, a sequence number below, as scripts of the original know it.
    pub fn consumer_id(&self, kind: PacketType) -> u32 {
        let sequence = self.ids.consumers.fetch_add(1, Relaxed).wrapping_add(1) & 0x3fff_ffff;
        kind.number() << 30 | sequence
    }

    /// A new consumer of RTP, connected as `extra` says.
    pub(crate) fn rtp_consumer(&self, extra: &str, link: &Arc<Link>) -> Arc<Consumer> {
        Arc::new(Consumer::new(self.consumer_id(PacketType::Rtp), PacketType::Rtp, extra.to_owned(), Arc::clone(link)))
    }

    /// A new publisher's number.
    pub fn publisher_id(&self) -> u64 {
        self.ids.publishers.fetch_add(1, Relaxed) + 1
    }
}
