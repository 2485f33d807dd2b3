//! The socket of one accepted connection, for every protocol alike, plain or under TLS: it counts bytes, gives up on a peer that
//! takes none for `write_timeout`, and can be ended from any thread although the peer does not read.

mod carrier;
mod detached;
mod outbox;
mod tls;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::meter::{Active, Followed, Meter, Traffic};

pub use carrier::Carrier;
pub(crate) use detached::AT_ONCE;
pub use outbox::Outbox;
pub use tls::HandshakeError;
use tls::Tls;

/// What others may know and do of a connection.
#[derive(Debug)]
pub struct Link {
    /// The other end.
    pub peer: SocketAddr,
    /// Bytes in and out.
    pub meter: Arc<Meter>,
    /// When it was accepted.
    pub since: Instant,
    /// Under TLS.
    secure: AtomicBool,
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
        let (meter, kill, followed) = Default::default();
        Self { peer, meter, since: Instant::now(), secure: AtomicBool::new(false), kill, followed }
    }

    /// A link of one of several streams on this connection, with bytes and an end of its own.
    pub fn of_stream(&self) -> Self {
        Self { secure: AtomicBool::new(self.is_secure()), ..Self::new(self.peer) }
    }

    /// The connection is under TLS: what is said on it nobody else reads.
    pub fn is_secure(&self) -> bool {
        self.secure.load(Ordering::Relaxed)
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

    /// It is not killed, and has had something. Reads what each write reads.
    pub(crate) fn peek(&self) -> bool {
        !self.kill.fired.load(Ordering::Relaxed) & (self.meter.bytes_out() > 0)
    }

    /// Counts bytes that went to the peer beside the connection: datagrams.
    pub fn sent_elsewhere(&self, bytes: usize) {
        self.meter.sent(bytes);
    }

    /// An error once it is killed; before that, the task is woken when it is.
    pub fn poll_killed(&self, cx: &Context<'_>) -> io::Result<()> {
        self.kill.writer.register(cx.waker());
        self.check()
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

/// The clock of a peer that takes nothing.
#[derive(Debug)]
pub struct Stuck {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stuck {
    /// It strikes after that time.
    pub fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// The peer took something.
    pub fn clear(&mut self) {
        self.timer = None;
    }

    /// The peer takes nothing: an error once that has lasted too long.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, format!("took no byte for {} s", limit.as_secs_f64())))
    }
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<Tls>),
    /// Plain, and nothing is waited for; nothing at all once the runtime would not wait for it again.
    Detached(Option<std::net::TcpStream>),
}

impl Io {
    /// For the socket's options and addresses.
    fn options(&self) -> io::Result<SockRef<'_>> {
        match self {
            Self::Plain(tcp) => Ok(SockRef::from(tcp)),
            Self::Tls(tls) => Ok(SockRef::from(tls.tcp())),
            Self::Detached(tcp) => tcp.as_ref().map(SockRef::from).ok_or(io::ErrorKind::NotConnected.into()),
        }
    }

    /// For what waits.
    fn tcp(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::Detached(tcp) = self {
            let tcp = tcp.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Plain(TcpStream::from_std(tcp)?);
        }
        match self {
            Self::Plain(tcp) => Ok(tcp),
            Self::Tls(tls) => Ok(tls.tcp_mut()),
            Self::Detached(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// An accepted connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Socket {
    io: Io,
    /// Bytes read before it was known who should read them.
    pushed_back: Bytes,
    link: Arc<Link>,
    /// Runs while the peer takes nothing.
    stuck: Stuck,
    _slot: Active,
}

impl Socket {
    /// Wraps an accepted socket. `slot` counts it while it lives.
    pub fn new(io: TcpStream, write_timeout: Duration, slot: Active) -> io::Result<Self> {
        let peer = io.peer_addr()?;
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        io.set_nodelay(true)?;
        let link = Arc::new(Link::new(peer));
        Ok(Self { io: Io::Plain(io), pushed_back: Bytes::new(), link, stuck: Stuck::new(write_timeout), _slot: slot })
    }

    /// Its public side.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether something may be written now, as far as it is known without asking the system. It looks at what a write looks at.
    pub fn peek(&self) -> bool {
        let ready = match &self.io {
            Io::Plain(tcp) => tcp.try_io(Interest::WRITABLE, || Ok(())).is_ok(),
            Io::Tls(_) | Io::Detached(_) => true,
        };
        ready & self.link.peek()
    }

    /// The address that the peer connected to.
    pub fn local_ip(&self) -> Option<IpAddr> {
        let address = self.io.options().ok()?.local_addr().ok()?.as_socket()?;
        Some(address.ip().to_canonical())
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
        self.io.options()?.set_tcp_notsent_lowat(bytes)
    }

    /// Closes with a reset when dropped: what is still unsent is given up at once and holds no memory.
    pub fn reset_on_close(&self) {
        // The socket is closed in any case.
        let _ = self.io.options().and_then(|socket| socket.set_linger(Some(Duration::ZERO)));
    }

    /// Nothing wakes anybody up for this connection until it is written, or read without finding anything; a plain one only.
    pub fn detach(&mut self) -> io::Result<()> {
        if let Io::Plain(_) = self.io
            && let Io::Plain(tcp) = std::mem::replace(&mut self.io, Io::Detached(None))
        {
            self.io = Io::Detached(Some(tcp.into_std()?));
        }
        Ok(())
    }

    /// Writes what is taken now, without waiting. Under TLS that may be more than the kernel takes, see [`Socket::try_flush`].
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.link.check()?;
        if let Io::Tls(_) = self.io {
            return self.try_encrypt(slices);
        }
        let written = self.io.tcp()?.try_write_vectored(slices)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.wrote(written);
        Ok(written)
    }

    /// The same of one slice.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.link.check()?;
        if let Io::Tls(_) = self.io {
            return self.try_encrypt(&[IoSlice::new(bytes)]);
        }
        let written = self.io.tcp()?.try_write(bytes)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.wrote(written);
        Ok(written)
    }

    /// Gives the kernel what TLS still holds. True if nothing is left; a plain connection never holds anything.
    pub fn try_flush(&mut self) -> io::Result<bool> {
        let Io::Tls(tls) = &mut self.io else { return Ok(true) };
        let (written, result) = tls.flush();
        self.wrote(written);
        result
    }

    /// Writes what the kernel takes of the last bytes, even when killed.
    pub fn last_words(&mut self, bytes: &[u8]) {
        // The connection is closed next in any case.
        let written = match &mut self.io {
            Io::Tls(tls) => tls.last_words(bytes),
            io => io.tcp().and_then(|tcp| tcp.try_write(bytes)).unwrap_or(0),
        };
        self.link.meter.sent(written);
    }

    /// Waits until bytes are taken again; an error once the peer took none for `write_timeout`, or when killed.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.check()?;
        loop {
            let flushed = self.try_flush()?;
            match self.io.tcp()?.poll_write_ready(cx) {
                Poll::Ready(result) if flushed || result.is_err() => return Poll::Ready(result),
                // Encrypted bytes are left and the kernel takes some.
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // Only who waits leaves a waker: it keeps the memory of its task, and the one before the hand-over to
                    // a viewer is of 8 KiB.
                    self.link.poll_killed(cx)?;
                    let error = ready!(self.stuck.poll(cx));
                    self.reset_on_close();
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn try_encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // What is held is the bound: a peer that does not read is full.
        if !self.try_flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Io::Tls(tls) = &mut self.io else { return Ok(0) };
        let taken = tls.encrypt(slices)?;
        self.try_flush()?;
        Ok(taken)
    }

    fn wrote(&mut self, bytes: usize) {
        if bytes > 0 {
            self.link.meter.sent(bytes);
            self.stuck.clear();
        }
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
            if this.pushed_back.is_empty() {
                this.pushed_back = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        if let Io::Tls(_) = this.io {
            return this.poll_decrypt(cx, buf);
        }
        if let Io::Detached(Some(tcp)) = &this.io {
            let room = buf.remaining().min(AT_ONCE);
            if let Some(read) = detached::read(tcp, buf, room)? {
                if read == room {
                    // More may come as fast as it is read: who reads on takes turns with others.
                    this.io.tcp()?;
                }
                this.link.meter.received(read);
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        ready!(Pin::new(this.io.tcp()?).poll_read(cx, buf))?;
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.try_flush()? {
            ready!(self.poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Io::Tls(tls) = &mut self.io {
            tls.close_notify();
            ready!(self.as_mut().poll_flush(cx))?;
        }
        Pin::new(self.io.tcp()?).poll_shutdown(cx)
    }
}
