//! TLS on an accepted connection. `rustls` does no I/O; what it encrypts goes to the kernel from here, and no further than the
//! kernel takes it, so that a peer that does not read is noticed as on a plain connection.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::{Io, Socket};

/// Encrypted bytes that wait for the kernel at most: four full records, and most frames in one go.
const MAX_HELD: usize = 64 << 10;
/// A record's plaintext at most (RFC 8446, section 5.1): what one read can give.
const MAX_PLAINTEXT: usize = 16 << 10;
/// Reads in a row that bring no data (tickets, key updates, empty records) before others get their turn.
const MAX_ROUNDS: usize = 16;

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// What the client said is wrong, or is not spoken here.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The connection broke, or the client left.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
pub(super) struct Tls {
    tcp: TcpStream,
    session: ServerConnection,
    /// The beginning of the client's hello, read to find out that it is one.
    early: Bytes,
}

impl Tls {
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Gives the kernel what it takes: how much that was, and whether it was all.
    pub(super) fn flush(&mut self) -> (usize, io::Result<bool>) {
        let mut sum = 0;
        while self.session.wants_write() {
            match self.session.write_tls(&mut Kernel(&self.tcp)) {
                Ok(0) => return (sum, Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => sum += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (sum, Ok(false)),
                Err(error) => return (sum, Err(error)),
            }
        }
        (sum, Ok(true))
    }

    /// Encrypts as much as may be held.
    pub(super) fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.writer().write_vectored(slices)
    }

    pub(super) fn last_words(&mut self, bytes: &[u8]) -> usize {
        // The connection is closed next in any case.
        let _ = self.session.writer().write(bytes);
        self.session.send_close_notify();
        self.flush().0
    }

    pub(super) fn close_notify(&mut self) {
        self.session.send_close_notify();
    }

    /// Reads once from the kernel; 0 at the end. `Ok(Err)`: what came is no right TLS.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Result<usize, rustls::Error>>> {
        let read = loop {
            if !self.early.is_empty() {
                self.session.read_tls(&mut (&mut self.early).reader())?;
                break 0;
            }
            match self.session.read_tls(&mut Kernel(&self.tcp)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.tcp.poll_read_ready(cx))?,
                read => break read?,
            }
        };
        Poll::Ready(Ok(match self.session.process_new_packets() {
            Ok(_) => Ok(read),
            Err(error) => {
                // The alert that tells the peer why.
                let _ = self.flush();
                Err(error)
            }
        }))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        // So that the peer can tell the end from a connection that was cut.
        self.session.send_close_notify();
        let _ = self.flush();
    }
}

impl Socket {
    /// Answers a client's hello, whose beginning was pushed back. What comes then is pushed back and read decrypted.
    ///
    /// Takes as long as the client likes: to be called with a time limit.
    pub async fn accept_tls(mut self, config: Arc<ServerConfig>) -> Result<Self, HandshakeError> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(MAX_HELD));
        let Io::Plain(tcp) = self.io else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "TLS within TLS").into());
        };
        self.io = Io::Tls(Box::new(Tls { tcp, session, early: std::mem::take(&mut self.pushed_back) }));
        poll_fn(|cx| self.poll_handshake(cx)).await?;
        self.link.secure.store(true, Ordering::Relaxed);
        Ok(self)
    }

    /// Whether client and hub agreed on that protocol (ALPN, RFC 7301).
    pub fn speaks(&self, protocol: &[u8]) -> bool {
        match &self.io {
            Io::Plain(_) | Io::Detached(_) => false,
            Io::Tls(tls) => tls.session.alpn_protocol() == Some(protocol),
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        loop {
            while !self.try_flush()? {
                ready!(self.io.tcp()?.poll_write_ready(cx))?;
            }
            let Io::Tls(tls) = &mut self.io else { return Poll::Ready(Ok(())) };
            if !tls.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let early = !tls.early.is_empty();
            let read = ready!(tls.poll_fill(cx))??;
            self.link.meter.received(read);
            if read == 0 && !early {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }

    pub(super) fn poll_decrypt(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Io::Tls(tls) = &mut self.io else { return Poll::Ready(Ok(())) };
        for _ in 0..MAX_ROUNDS {
            let room = buf.remaining().min(MAX_PLAINTEXT);
            match tls.session.reader().read(buf.initialize_unfilled_to(room)) {
                Ok(n) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Cut without a word of TLS, as many clients do: an end like any other here, since requests and media tell
                // their own ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            let read = ready!(tls.poll_fill(cx))?;
            let read = read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.link.meter.received(read);
            // Answers of TLS itself; what the kernel does not take now goes with the next write.
            let (written, result) = tls.flush();
            self.link.meter.sent(written);
            result?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The socket as `rustls` wants it.
struct Kernel<'a>(&'a TcpStream);

impl Read for Kernel<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Kernel<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
