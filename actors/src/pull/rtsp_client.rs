//! The shell of the RTSP client ([`ipchub_media::rtsp::client`]): connections, TLS, UDP ports, time and redirects.
//!
//! Packets stay slices of the read buffer, as in a push. All steps from the connection to the first packet have one limit
//! in time together: a viewer waits for all of them.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use ipchub_media::rtp::Packet;
use ipchub_media::rtsp::client::{Client, Error, Event};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::feed::Item;
use super::target::Target;
use super::tls;
use super::udp::Ports;

/// How long a camera may take to answer a TEARDOWN.
const TEARDOWN: Duration = Duration::from_secs(2);
/// Room for one read. Packets stay slices of it until their frame leaves the GOP cache.
const READ_BUFFER: usize = 64 << 10;
/// A read with less room than this would cut a packet in two for nothing.
const MIN_READ: usize = 4 << 10;
/// Requests and reports that wait to be sent: a camera that takes none of them is not there any more.
const MAX_UNSENT: usize = 32 << 10;
/// Datagrams read in a row from one port.
const DATAGRAMS: usize = 64;

mod opening;

pub(super) use opening::open;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A camera's connection, from the first request to the last.
pub(super) struct Camera {
    target: Target,
    stream: Box<dyn Duplex>,
    local: SocketAddr,
    peer: SocketAddr,
    client: Client,
    buffer: BytesMut,
    datagrams: BytesMut,
    unsent: BytesMut,
    events: Vec<Event>,
    items: VecDeque<Item>,
    /// By track.
    ports: Vec<Option<Ports>>,
    playing: bool,
    begun: Instant,
    timer: Pin<Box<Sleep>>,
    /// Of whoever reads: a report that is to be sent wakes it.
    reader: Option<Waker>,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("target", &self.target).field("client", &self.client).finish_non_exhaustive()
    }
}

/// Why a connection gives nothing more.
#[derive(Debug)]
enum Failure {
    Session(Error),
    /// The connection broke.
    Lost(String),
    Redirected(String),
    Closed,
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Lost(reason) | Self::Other(reason) => f.write_str(reason),
            Self::Redirected(_) => f.write_str("the camera redirects while it plays"),
            Self::Closed => f.write_str("the session is closed"),
        }
    }
}

impl Camera {
    async fn connect(target: &Target, client: Client) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Other(format!("no connection to {}: {error}", target.address()));
        let name = target.url().host_str().unwrap_or_default();
        // An IPv6 address stands in brackets in a URL only.
        let host = name.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, target.port())).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (local, peer) = (stream.local_addr().map_err(failed)?, stream.peer_addr().map_err(failed)?);
        let stream: Box<dyn Duplex> = match target.is_encrypted() {
            true => Box::new(tls::encrypt(stream, host, target.trust()).await.map_err(Failure::Other)?),
            false => Box::new(stream),
        };
        let mut camera = Self {
            target: target.clone(),
            stream,
            local,
            peer,
            client,
            buffer: BytesMut::with_capacity(MIN_READ),
            datagrams: BytesMut::new(),
            unsent: BytesMut::new(),
            events: Vec::new(),
            items: VecDeque::new(),
            ports: Vec::new(),
            playing: false,
            begun: Instant::now(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            reader: None,
        };
        camera.client.start(Duration::ZERO, &mut camera.events);
        camera.act()?;
        Ok(camera)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits for the first packet, and keeps it.
    fn poll_first(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match std::task::ready!(self.poll_item(task)) {
                Ok(item @ Item::Packet { .. }) => {
                    self.items.push_front(item);
                    return Poll::Ready(Ok(()));
                }
                Ok(_) => {}
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }

    /// The next thing that it sends, or why there is no more.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Item, String>> {
        self.poll_item(task).map_err(|failure| opening::reason(&failure, &self.target))
    }

    fn poll_item(&mut self, task: &mut Context<'_>) -> Poll<Result<Item, Failure>> {
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(task.waker())) {
            self.reader = Some(task.waker().clone());
        }
        loop {
            if let Some(item) = self.items.pop_front() {
                return Poll::Ready(Ok(item));
            }
            self.poll_timer(task)?;
            self.poll_send(task)?;
            self.poll_datagrams(task);
            if !self.items.is_empty() {
                continue;
            }
            if self.poll_read(task)?.is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_timer(&mut self, task: &mut Context<'_>) -> Result<(), Failure> {
        while let Some(due) = self.client.wake() {
            let due = tokio::time::Instant::from_std(self.begun + due);
            if self.timer.deadline() != due {
                self.timer.as_mut().reset(due);
            }
            if self.timer.as_mut().poll(task).is_pending() {
                break;
            }
            let now = self.now();
            self.client.wake_up(now, &mut self.events);
            self.act()?;
        }
        Ok(())
    }

    fn poll_send(&mut self, task: &mut Context<'_>) -> Result<(), Failure> {
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(task, &self.unsent) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(sent)) => self.unsent.advance(sent),
                Poll::Ready(Err(error)) => return Err(lost(&error)),
            }
        }
        // TLS keeps records until it is told.
        match Pin::new(&mut self.stream).poll_flush(task) {
            Poll::Ready(Err(error)) => Err(lost(&error)),
            _ => Ok(()),
        }
    }

    fn poll_datagrams(&mut self, task: &mut Context<'_>) {
        let Self { ports, datagrams, items, .. } = self;
        for (track, ports) in ports.iter_mut().enumerate() {
            if let Some(ports) = ports {
                ports.poll(task, datagrams, DATAGRAMS, &mut |rtcp, data| items.push_back(read(track, rtcp, data)));
            }
        }
    }

    fn poll_read(&mut self, task: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        if self.buffer.capacity() - self.buffer.len() < MIN_READ {
            self.buffer.reserve(if self.playing { READ_BUFFER } else { MIN_READ });
        }
        let Self { stream, buffer, .. } = self;
        match pin!(stream.read_buf(buffer)).poll(task) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => return Err(Failure::Lost("the camera closed the connection".into())),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Err(lost(&error)),
        }
        let now = self.now();
        let result = self.client.read(&mut self.buffer, now, &mut self.events);
        self.act()?;
        result.map(Poll::Ready).map_err(Failure::Session)
    }

    /// Carries out what the client said.
    fn act(&mut self) -> Result<(), Failure> {
        let mut at = 0;
        while let Some(event) = self.events.get_mut(at) {
            let event = std::mem::replace(event, Event::Closed);
            at += 1;
            match event {
                Event::Send(bytes) => self.send(&bytes)?,
                Event::Packet { track, rtcp, data } => self.items.push_back(read(track, rtcp, data)),
                Event::Stray { channel, len } => {
                    let text = format!("{len} bytes on channel {channel}, which no SETUP named");
                    self.items.push_back(Item::Unusable(text));
                }
                Event::Bind(track) => self.bind(track)?,
                Event::Remote { track, source, ports } => {
                    if let Some(Some(own)) = self.ports.get_mut(track) {
                        own.set_remote(self.peer, source, ports);
                    }
                }
                Event::Playing => {
                    self.playing = true;
                    self.ports.iter().flatten().for_each(Ports::open_way);
                }
                Event::Redirect(to) => return Err(Failure::Redirected(to)),
                Event::Closed => return Err(Failure::Closed),
            }
        }
        self.events.clear();
        Ok(())
    }

    fn bind(&mut self, track: usize) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::Other(format!("no UDP ports: {error}"));
        let ports = Ports::open(self.local, self.peer).map_err(failed)?;
        let numbers = ports.numbers().map_err(failed)?;
        if self.ports.len() <= track {
            self.ports.resize_with(track + 1, || None);
        }
        self.ports[track] = Some(ports);
        let now = self.now();
        self.client.bound(numbers, now, &mut self.events).map_err(Failure::Session)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.unsent.len() > MAX_UNSENT {
            return Err(Failure::Lost("the camera takes no requests".into()));
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends a receiver report of a track.
    pub(super) fn report(&mut self, track: usize, report: &[u8]) {
        match (self.client.frame(track, report), self.ports.get(track)) {
            // A report is worth nothing later: it goes only where nothing waits.
            (Some(framed), _) if self.unsent.is_empty() => self.unsent.extend_from_slice(&framed),
            (None, Some(Some(ports))) => ports.send_rtcp(report),
            _ => {}
        }
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    /// Says TEARDOWN and waits for the answer, for two seconds at most.
    pub(super) async fn close(mut self) {
        let now = self.now();
        self.client.close(now, &mut self.events);
        if self.act().is_err() {
            return;
        }
        // Media that is still on its way is passed over until the answer comes or the connection ends.
        let closed = std::future::poll_fn(|task| {
            while std::task::ready!(self.poll_item(task)).is_ok() {}
            Poll::Ready(())
        });
        let _ = tokio::time::timeout(TEARDOWN, closed).await;
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::Lost(format!("connection lost: {error}"))
}

fn read(track: usize, rtcp: bool, data: Bytes) -> Item {
    let bytes = data.len();
    match rtcp {
        true => Item::Rtcp { track, bytes: data },
        false => match Packet::parse(data) {
            Ok(packet) => Item::Packet { track, packet, bytes },
            Err(error) => Item::Unusable(format!("track {track}: {error}")),
        },
    }
}
