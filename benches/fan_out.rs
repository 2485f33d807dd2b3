//! What a frame costs for each viewer, up to its socket and without it: source, lane, branch and viewer as they run in the hub,
//! and connections that take everything at once.
#![allow(missing_docs)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipchub_actors::Hub;
use ipchub_actors::accounts::{self, Accounts, Gate};
use ipchub_actors::connection::{Carrier, Link, Socket};
use ipchub_actors::hub::{Settings, Tables};
use ipchub_actors::messages::{Claim, EndPublishing, Found, Media, MediaItem, Publish};
use ipchub_actors::meter::{Counter, Stats};
use ipchub_actors::route_table::RouteTable;
use ipchub_actors::store::{Kept, Provider};
use ipchub_actors::supervisor::{Join, Supervisor};
use ipchub_actors::viewer::{Framing, MAX_HEAD, Start, Viewer};
use ipchub_media::flv::Options;
use ipchub_media::rtp::packetize::Packetizer;
use ipchub_media::rtp::receiver::Received;
use ipchub_media::sdp::Description;
use ipchub_media::{Codec, Output, Units};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const PATH: &str = "/bench";
const FRAME: usize = 10_000;
/// Frames from key frame to key frame.
const GOP: u32 = 50;
/// A frame that has not reached everybody by then never will.
const DEADLINE: Duration = Duration::from_secs(10);
const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LACtkEPnnwEQAAAwABAAADADIPEiZI,aMuDyyA=\r\n";

/// A connection whose peer takes everything.
#[derive(Debug)]
struct Sink {
    link: Arc<Link>,
    /// Chunks that all of them took.
    chunks: Rc<Cell<u64>>,
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Carrier for Sink {
    fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn limit_unsent(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn try_write_chunk(&mut self, chunk: &Bytes) -> io::Result<usize> {
        self.chunks.set(self.chunks.get() + 1);
        Ok(chunk.len())
    }

    fn try_write_queue(&mut self, queue: &VecDeque<Bytes>) -> io::Result<usize> {
        self.chunks.set(self.chunks.get() + queue.len() as u64);
        Ok(queue.iter().map(Bytes::len).sum())
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn last_words(&mut self, _: &[u8]) {}

    fn finish(&mut self) {}

    fn reset_on_close(&mut self) {}
}

/// As it is.
#[derive(Debug)]
struct Plain;

impl Framing for Plain {
    const NAME: &'static str = "plain";
    const WAY: Option<usize> = None;
    const TAIL: &'static [u8] = b"";

    fn head(_: usize, _: &mut [u8; MAX_HEAD]) -> usize {
        0
    }

    fn received(&mut self, _: &[u8], _: &mut Vec<Bytes>) -> Result<(), String> {
        Ok(())
    }

    fn goodbye(&self, _: &str) -> Bytes {
        Bytes::new()
    }
}

struct Publisher;

impl Actor for Publisher {
    type Context = actix::Context<Self>;
}

impl Handler<EndPublishing> for Publisher {
    type Result = ();

    fn handle(&mut self, _: EndPublishing, _: &mut Self::Context) {}
}

/// A source, its publisher and its viewers, on this thread.
struct Stage {
    found: Found,
    packetizer: Packetizer,
    frames: u32,
    chunks: Rc<Cell<u64>>,
    viewers: u64,
    _publisher: Addr<Publisher>,
}

fn hub() -> Hub {
    let config =
        accounts::Config { folder: ".".into(), provider: Provider::Memory, auth_secret: String::new(), auth: false };
    let gate = Arc::new(Gate::open(&config).expect("nothing is read"));
    let routes = Kept::open(Provider::Memory.store("routes".into())).expect("nothing is read");
    let tables =
        Tables { routes: RouteTable::new(routes).start(), accounts: Accounts::new(Arc::clone(&gate)).start(), gate };
    let supervisor = Supervisor::default().start();
    let hub = Hub::new(Arc::new(Settings::default()), Arc::new(Stats::default()), supervisor, tables, None);
    hub.supervisor.do_send(Join(hub.clone()));
    hub
}

/// Every connection has a link, which only a socket makes.
async fn link() -> Arc<Link> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let (stream, _) = tokio::join!(TcpStream::connect(address), listener.accept());
    let counter = Arc::new(Counter::default());
    let socket = Socket::new(stream.expect("it listens"), Duration::from_secs(1), counter.enter()).expect("a socket");
    Arc::clone(socket.link())
}

impl Stage {
    async fn new(viewers: u64) -> Self {
        let hub = hub();
        let claim = Claim { path: PATH.into(), arbiter: Arbiter::current() };
        let found = hub.supervisor.send(claim).await.expect("it runs").expect("there is room");
        let tracks = Description::parse(SDP.as_bytes()).expect("valid").tracks;
        let publisher = Publisher.start();
        let publish = Publish { id: 1, addr: "bench".into(), tracks, publisher: publisher.clone().recipient() };
        found.source.send(publish).await.expect("it runs");
        let packetizer = Packetizer::new(Codec::H264, 96, 1, 1400).expect("H.264");
        let chunks = Rc::new(Cell::new(0));
        let (link, output) = (link().await, Output::Flv(Options::default()));
        for _ in 0..viewers {
            let socket = Sink { link: Arc::new(link.of_stream()), chunks: Rc::clone(&chunks) };
            Viewer::begin(Start { hub: hub.clone(), found: found.clone(), socket, output, framing: Plain });
        }
        let mut stage = Self { found, packetizer, frames: 0, chunks, viewers, _publisher: publisher };
        // All have subscribed when a frame reaches each of them.
        let begin = Instant::now();
        loop {
            let before = stage.chunks.get();
            stage.send().await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            if stage.chunks.get() >= before + viewers && stage.frames > GOP {
                return stage;
            }
            assert!(begin.elapsed() < DEADLINE, "{} chunks for {viewers} viewers", stage.chunks.get() - before);
        }
    }

    /// The next frame; true key frames come as often as from a camera.
    async fn send(&mut self) {
        let mut data = vec![0x5a; FRAME];
        data[0] = if self.frames.is_multiple_of(GOP) { 0x65 } else { 0x41 };
        data[1] = 0x88;
        let mut packets = Vec::new();
        let time = self.frames.wrapping_mul(3600);
        self.packetizer.packetize(&Units::single(data.into()), time, &mut packets);
        let packet = |packet| MediaItem::Packet { track: 0, received: Received { packet, lost: false } };
        let items = packets.into_iter().map(packet).collect();
        let arrival = Duration::from_millis(u64::from(self.frames) * 40);
        self.frames += 1;
        self.found.source.send(Media { publisher: 1, arrival, bytes: FRAME as u64, items }).await.expect("it runs");
    }

    /// Until every viewer has so many frames.
    async fn run(&mut self, frames: u64) -> Duration {
        let (begin, before) = (Instant::now(), self.chunks.get());
        for n in 1..=frames {
            self.send().await;
            while self.chunks.get() < before + n * self.viewers {
                tokio::task::yield_now().await;
                assert!(begin.elapsed() < DEADLINE + Duration::from_secs(frames), "a frame did not reach everybody");
            }
        }
        begin.elapsed()
    }
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("a frame to its viewers");
    for viewers in [1, 100, 1000] {
        group.throughput(Throughput::Elements(viewers));
        group.bench_with_input(BenchmarkId::from_parameter(viewers), &viewers, |b, viewers| {
            b.iter_custom(|frames| System::new().block_on(async { Stage::new(*viewers).await.run(frames).await }));
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
