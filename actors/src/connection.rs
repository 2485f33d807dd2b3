//! The socket of one accepted connection, for every protocol alike: it counts bytes, gives up on a peer that takes none for
//! `write_timeout`, and can be ended from any thread although the peer does not read.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::meter::{Active, Followed, Meter, Traffic};

/// What others may know and do of a connection.
#[derive(Debug)]
pub struct Link {
    /// The other end.
    pub peer: SocketAddr,
    /// Bytes in and out.
    pub meter: Arc<Meter>,
    /// When it was accepted.
    pub since: Instant,
    kill: Kill,
    /// The protocol whose bytes these are now.
    followed: Mutex<Option<Followed>>,
}

#[derive(Debug, Default)]
struct Kill {
    fired: AtomicBool,
    reason: OnceLock<String>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Link {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self { peer, meter: Arc::default(), since: Instant::now(), kill: Kill::default(), followed: Mutex::default() }
    }

    /// Its bytes are of that protocol: those of its first protocol from its beginning, those of a later one from now on.
    pub fn counts_as(&self, traffic: &Arc<Traffic>) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = followed.take().map(|_| (self.meter.bytes_in(), self.meter.bytes_out()));
        *followed = Some(traffic.follow(&self.meter, before.unwrap_or_default()));
    }

    /// Ends the connection from any thread, at once. The first reason counts.
    pub fn kill(&self, reason: impl Into<String>) {
        let _ = self.kill.reason.set(reason.into());
        self.kill.fired.store(true, Ordering::Release);
        self.kill.reader.wake();
        self.kill.writer.wake();
    }

    /// Why it was killed, if it was.
    pub fn killed(&self) -> Option<&str> {
        self.kill.fired.load(Ordering::Acquire).then(|| self.kill.reason.get().map_or("", String::as_str))
    }

    /// Whether nobody between can read it.
    pub fn is_tls(&self) -> bool {
        false
    }

    /// Counts bytes that went to the peer beside the connection: datagrams.
    pub fn sent_elsewhere(&self, bytes: usize) {
        self.meter.sent(bytes);
    }

    /// Counts bytes that came from the peer beside the connection: datagrams.
    pub(crate) fn received_elsewhere(&self, bytes: usize) {
        self.meter.received(bytes);
    }

    fn check(&self) -> io::Result<()> {
        match self.killed() {
            Some(reason) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason.to_owned())),
            None => Ok(()),
        }
    }
}

/// An accepted connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Socket {
    io: TcpStream,
    /// Bytes read before it was known who should read them.
    pushed_back: Bytes,
    link: Arc<Link>,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    _slot: Active,
}

impl Socket {
    /// Wraps an accepted socket. `slot` counts it while it lives.
    pub fn new(io: TcpStream, write_timeout: Duration, slot: Active) -> io::Result<Self> {
        let peer = io.peer_addr()?;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        io.set_nodelay(true)?;
        let link = Arc::new(Link::new(peer));
        Ok(Self { io, pushed_back: Bytes::new(), link, write_timeout, stuck: None, _slot: slot })
    }

    /// Its public side.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The address that the peer connected to.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.io.local_addr().ok().map(|addr| addr.ip().to_canonical())
    }

    /// Gives bytes back to be read again first.
    pub fn push_back(&mut self, bytes: Bytes) {
        self.pushed_back = if self.pushed_back.is_empty() {
            bytes
        } else {
            [bytes, std::mem::take(&mut self.pushed_back)].concat().into()
        };
    }

    /// Bounds what the kernel takes beyond what the peer's window allows, so that a viewer that is behind is known to be.
    pub fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        socket2::SockRef::from(&self.io).set_tcp_notsent_lowat(bytes)
    }

    /// Closes with a reset when dropped: what is still unsent is given up at once and holds no memory.
    pub fn reset_on_close(&self) {
        // The socket is closed in any case.
        let _ = socket2::SockRef::from(&self.io).set_linger(Some(Duration::ZERO));
    }

    /// Writes what the kernel takes now, without waiting.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.link.check()?;
        let written = self.io.try_write_vectored(slices)?;
        self.wrote(written)?;
        Ok(written)
    }

    /// Writes what the kernel takes of the last bytes, even when killed.
    pub fn last_words(&mut self, bytes: &[u8]) {
        // The connection is closed next in any case.
        if let Ok(written) = self.io.try_write(bytes) {
            self.link.meter.sent(written);
        }
    }

    /// Waits until the kernel takes bytes again; an error once the peer took none for `write_timeout`, or when killed.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.kill.writer.register(cx.waker());
        self.link.check()?;
        if let Poll::Ready(result) = self.io.poll_write_ready(cx) {
            return Poll::Ready(result);
        }
        self.poll_stuck(cx)
    }

    fn wrote(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.link.meter.sent(bytes);
        self.stuck = None;
        Ok(())
    }

    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.write_timeout;
        let timer = self.stuck.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("took no byte for {} s", limit.as_secs_f64()))))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.link.kill.reader.register(cx.waker());
        this.link.check()?;
        if !this.pushed_back.is_empty() {
            let n = buf.remaining().min(this.pushed_back.len());
            buf.put_slice(&this.pushed_back[..n]);
            this.pushed_back.advance(n);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.link.meter.received(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(this.poll_writable(cx))?;
            match this.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Every write goes straight to the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Slices given to the kernel in one call. More than a frame ever needs; an opening takes several calls.
const MAX_SLICES: usize = 32;

/// What is still to be written to one connection: shared bytes, never copies of media.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: std::collections::VecDeque<Bytes>,
}

impl Outbox {
    /// Adds bytes to be written after all others.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes what the kernel takes now. `Ok(true)`: nothing is left.
    pub fn flush(&mut self, socket: &mut Socket) -> io::Result<bool> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut n = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
                n += 1;
            }
            match socket.try_write_vectored(&slices[..n]) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // An opening needs room for hundreds of entries, live media for none.
        self.queue.shrink_to(0);
        Ok(true)
    }

    /// Writes everything, waiting for the peer where it must.
    pub fn poll_flush(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.flush(socket)? {
            ready!(socket.poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}
