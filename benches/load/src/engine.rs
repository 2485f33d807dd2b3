//! Drives many viewers from one thread.
//!
//! *Sampled* viewers parse everything and are read at once. The others parse up to their first key frame; from then on their
//! bytes are counted and dropped in the kernel (`MSG_TRUNC`), and their thread naps between rounds, so that reading costs
//! little and the server's writes wake nobody, as over a network.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use socket2::SockRef;

use crate::player::Player;
use crate::stamp::now_us;
use crate::target::Target;
use crate::watch::Seen;

/// The same on every kind of Linux: the length is told, the bytes are dropped uncopied.
const MSG_TRUNC: i32 = 0x20;
/// Bytes of one read.
const READ: usize = 256 << 10;
/// Between looks at timeouts.
const SWEEP: Duration = Duration::from_millis(50);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Tokens of one viewer: its connection and up to 15 tracks over UDP.
const TOKENS: usize = 16;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Joining,
    /// The window that is measured.
    Steady,
    Over,
}

/// What all viewers of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Viewer `n` plays stream `n` modulo their number.
    pub(crate) targets: Vec<Target>,
    /// Nap between rounds of those that are not sampled, in the steady window.
    pub(crate) nap: Duration,
    /// Without a key frame for this long, a viewer has failed.
    pub(crate) timeout: Duration,
    /// Leave at the first key frame.
    pub(crate) leave: bool,
}

/// A viewer to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) id: usize,
    /// After the begin of the run.
    pub(crate) at: Duration,
    pub(crate) sampled: bool,
}

/// What the threads and who measures share.
#[derive(Debug)]
pub(crate) struct Shared {
    phase: AtomicU8,
    pub(crate) ready: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    /// Bytes that each viewer got: of its connection, or RTP packets over UDP.
    bytes: Vec<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(viewers: usize) -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Joining as u8),
            ready: 0.into(),
            failed: 0.into(),
            bytes: (0..viewers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    /// Bytes of each viewer so far.
    pub(crate) fn bytes(&self) -> Vec<u64> {
        self.bytes.iter().map(|bytes| bytes.load(Relaxed)).collect()
    }
}

/// What became of one viewer. Times in microseconds from its connect.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) first_byte: Option<u64>,
    pub(crate) first_key: Option<u64>,
    pub(crate) seen: Seen,
    pub(crate) packets_lost: u64,
    /// Why it ended, unless it was there until the end or left by itself.
    pub(crate) error: Option<String>,
}

/// Starts the thread of these viewers; it ends in [`Phase::Over`].
pub(crate) fn spawn(setup: Setup, shared: Arc<Shared>, jobs: Vec<Job>) -> JoinHandle<Result<Vec<Report>>> {
    std::thread::spawn(move || {
        let naps = jobs.iter().all(|job| !job.sampled);
        let poll = Poll::new().context("epoll")?;
        let crowd = Crowd {
            registry: poll.registry().try_clone()?,
            viewers: (0..jobs.len()).map(|_| None).collect(),
            reports: Vec::with_capacity(jobs.len()),
            buffer: vec![0; READ],
            nothing: vec![MaybeUninit::uninit(); READ],
            setup,
            shared,
        };
        crowd.run(poll, jobs, naps)
    })
}

struct Crowd {
    setup: Setup,
    shared: Arc<Shared>,
    registry: Registry,
    viewers: Vec<Option<Viewer>>,
    reports: Vec<Report>,
    buffer: Vec<u8>,
    nothing: Vec<MaybeUninit<u8>>,
}

struct Viewer {
    job: Job,
    connection: TcpStream,
    player: Player,
    opened: u64,
    first_byte: Option<u64>,
    ready: bool,
    /// Only counted from now on.
    counted: bool,
    udp_registered: bool,
}

impl Crowd {
    fn run(mut self, mut poll: Poll, jobs: Vec<Job>, naps: bool) -> Result<Vec<Report>> {
        let start = Instant::now();
        let mut jobs = jobs.into_iter().enumerate().peekable();
        let mut events = Events::with_capacity(1024);
        let (mut swept, mut kept_alive, mut steady) = (start, start, false);
        while !self.shared.is(Phase::Over) {
            if self.shared.is(Phase::Steady) != steady {
                steady = !steady;
                self.viewers.iter_mut().flatten().for_each(|viewer| viewer.player.watch.record = steady);
            }
            while let Some((i, job)) = jobs.next_if(|(_, job)| job.at <= start.elapsed()) {
                self.open(i, job);
            }
            let next = jobs.peek().map_or(SWEEP, |(_, job)| job.at.saturating_sub(start.elapsed()));
            match poll.poll(&mut events, Some(next.min(SWEEP))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("epoll"),
                _ => {}
            }
            for event in &events {
                let (i, source) = (event.token().0 / TOKENS, event.token().0 % TOKENS);
                let ending = event.is_read_closed() || event.is_error();
                if let Err(error) = self.event(i, source, ending) {
                    self.close(i, Some(format!("{error:#}")));
                }
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                let keep_alive = kept_alive.elapsed() > KEEP_ALIVE;
                if keep_alive {
                    kept_alive = swept;
                }
                self.sweep(keep_alive);
            }
            if naps && steady {
                std::thread::sleep(self.setup.nap);
            }
        }
        for i in 0..self.viewers.len() {
            self.close(i, None);
        }
        Ok(self.reports)
    }

    fn open(&mut self, i: usize, job: Job) {
        let stream = job.id % self.setup.targets.len();
        let target = &self.setup.targets[stream];
        let opened = now_us();
        let connected = TcpStream::connect(target.address).and_then(|mut connection| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut connection, Token(i * TOKENS), interest)?;
            connection.set_nodelay(true)?;
            Ok(connection)
        });
        let player = Player::new(target, stream as u16);
        match connected.context("connect").and_then(|connection| Ok((connection, player?))) {
            Ok((connection, mut player)) => {
                player.watch.record = self.shared.is(Phase::Steady);
                self.viewers[i] = Some(Viewer {
                    job,
                    connection,
                    player,
                    opened,
                    first_byte: None,
                    ready: false,
                    counted: false,
                    udp_registered: false,
                });
            }
            Err(error) => {
                self.shared.failed.fetch_add(1, Relaxed);
                self.reports.push(Report { error: Some(format!("{error:#}")), ..Report::default() });
            }
        }
    }

    /// `source`: 0 for the connection, else a track over UDP. `ending`: the server said so, behind what there is to read.
    fn event(&mut self, i: usize, source: usize, ending: bool) -> Result<()> {
        let Some(viewer) = &mut self.viewers[i] else { return Ok(()) };
        let got = match (source, viewer.counted) {
            (0, false) => viewer.read(&mut self.buffer)?,
            (0, true) => viewer.count(&mut self.nothing, ending)?,
            (track, _) => viewer.datagrams(track - 1, &mut self.buffer)?,
        };
        self.shared.bytes[viewer.job.id].fetch_add(got, Relaxed);
        if !viewer.ready && viewer.player.watch.key_us.is_some() {
            viewer.ready = true;
            // Requests and answers leave a connection in a mode in which data is acknowledged late, by a timer or with the next
            // data, and over loopback that costs the server; acknowledged when it is read it costs us. Whether it ends by itself
            // depends on what the server sends first.
            let _ = SockRef::from(&viewer.connection).set_tcp_quickack(true);
            viewer.counted = !viewer.job.sampled && !self.setup.leave && viewer.player.is_pushed();
            self.shared.ready.fetch_add(1, Relaxed);
        }
        if viewer.player.is_streaming() && !viewer.udp_registered {
            viewer.udp_registered = true;
            for (track, udp) in viewer.player.udp_tracks().iter_mut().enumerate() {
                self.registry.register(&mut udp.rtp, Token(i * TOKENS + 1 + track), Interest::READABLE)?;
            }
        }
        viewer.send()
    }

    fn sweep(&mut self, keep_alive: bool) {
        let now = now_us();
        for i in 0..self.viewers.len() {
            let Some(viewer) = &mut self.viewers[i] else { continue };
            let age = Duration::from_micros(now.saturating_sub(viewer.opened));
            if viewer.ready && self.setup.leave {
                self.close(i, None);
            } else if !viewer.ready && age > self.setup.timeout {
                let what = if viewer.player.is_streaming() { "key frame" } else { "answer" };
                self.close(i, Some(format!("no {what} within {:?}", self.setup.timeout)));
            } else {
                if keep_alive {
                    viewer.player.keep_alive();
                }
                if let Err(error) = viewer.player.tick(now).and_then(|()| viewer.send()) {
                    self.close(i, Some(format!("{error:#}")));
                }
            }
        }
    }

    fn close(&mut self, i: usize, error: Option<String>) {
        let Some(mut viewer) = self.viewers[i].take() else { return };
        if error.is_some() {
            self.shared.failed.fetch_add(1, Relaxed);
        } else {
            viewer.player.teardown();
            // The connection is closed next in any case.
            let _ = viewer.send();
        }
        let since = |micros: u64| micros.saturating_sub(viewer.opened);
        self.reports.push(Report {
            first_byte: viewer.first_byte.map(since),
            first_key: viewer.player.watch.key_us.map(since),
            packets_lost: viewer.player.packets_lost(),
            seen: viewer.player.watch.seen,
            error,
        });
    }
}

impl Viewer {
    /// Reads and parses what there is; gives the number of bytes.
    fn read(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let mut sum = 0;
        loop {
            match self.connection.read(buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(n) => {
                    let now = now_us();
                    self.first_byte.get_or_insert(now);
                    self.player.received(&buffer[..n], now)?;
                    sum += n as u64;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(sum);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(if self.first_byte.is_some() { "read" } else { "connect" }),
            }
        }
    }

    /// Drops what there is; gives the number of bytes. A read that is not filled took everything.
    fn count(&mut self, nothing: &mut [MaybeUninit<u8>], ending: bool) -> Result<u64> {
        let mut sum = 0;
        loop {
            match SockRef::from(&self.connection).recv_with_flags(nothing, MSG_TRUNC) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(n) => {
                    sum += n as u64;
                    if n < nothing.len() && !ending {
                        return Ok(sum);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(sum),
                Err(error) => return Err(error).context("read"),
            }
        }
    }

    /// Reads, or counts, the datagrams of a track.
    fn datagrams(&mut self, track: usize, buffer: &mut [u8]) -> Result<u64> {
        let mut sum = 0;
        loop {
            let Some(udp) = self.player.udp_tracks().get(track) else { return Ok(sum) };
            let video = udp.video;
            let received = match self.counted {
                true => SockRef::from(&udp.rtp).recv_with_flags(&mut [], MSG_TRUNC),
                false => udp.rtp.recv(buffer),
            };
            match received {
                Ok(n) => {
                    sum += n as u64;
                    if video && !self.counted {
                        self.player.datagram(&buffer[..n], now_us());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(sum),
                Err(error) => return Err(error).context("read of a datagram"),
            }
        }
    }

    /// Sends what the protocol wants sent, as far as the kernel takes it; the next event goes on.
    fn send(&mut self) -> Result<()> {
        while !self.player.out.is_empty() {
            match self.connection.write(&self.player.out) {
                Ok(n) => drop(self.player.out.drain(..n)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(()),
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(())
    }
}
