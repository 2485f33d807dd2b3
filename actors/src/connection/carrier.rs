//! What a viewer's bytes travel on: a socket of its own, or one of several streams on a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::{Link, Socket};

/// Slices given to the kernel in one call. More than a frame ever needs; an opening takes several calls.
const MAX_SLICES: usize = 32;

/// Writes never wait: what is not taken now is an error of kind `WouldBlock`, and [`Carrier::poll_writable`] tells when to go
/// on. Reading gives what the viewer says, and its end.
pub trait Carrier: AsyncRead + Unpin + 'static {
    /// Its public side.
    fn link(&self) -> &Arc<Link>;
    /// Whether something may be written now, as far as it is known without asking the system. It looks at what a write looks at.
    fn peek(&self) -> bool {
        self.link().peek()
    }
    /// Bounds what is kept unsent, so that a viewer that is behind is known to be.
    fn limit_unsent(&mut self, bytes: u32) -> io::Result<()>;
    /// Writes what is taken now of a chunk; returns how many bytes of it.
    fn try_write_chunk(&mut self, chunk: &Bytes) -> io::Result<usize>;
    /// Writes what is taken now of the beginning of a queue that is not empty; returns how many bytes of it.
    fn try_write_queue(&mut self, queue: &VecDeque<Bytes>) -> io::Result<usize>;
    /// True if nothing of what was written is kept back.
    fn try_flush(&mut self) -> io::Result<bool>;
    /// Waits until something is taken again; an error once nothing was for `write_timeout`, or when killed.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Writes what is taken now of the last bytes, even when killed, and ends in order.
    fn last_words(&mut self, bytes: &[u8]);
    /// Everything was written: ends in order when dropped.
    fn finish(&mut self);
    /// Ends with a reset when dropped: what is still unsent is given up at once.
    fn reset_on_close(&mut self);
}

impl Carrier for Socket {
    fn link(&self) -> &Arc<Link> {
        Socket::link(self)
    }

    fn peek(&self) -> bool {
        Socket::peek(self)
    }

    fn limit_unsent(&mut self, bytes: u32) -> io::Result<()> {
        Socket::limit_unsent(self, bytes)
    }

    fn try_write_chunk(&mut self, chunk: &Bytes) -> io::Result<usize> {
        self.try_write(chunk)
    }

    fn try_write_queue(&mut self, queue: &VecDeque<Bytes>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut n = 0;
        for (slice, bytes) in slices.iter_mut().zip(queue) {
            *slice = IoSlice::new(bytes);
            n += 1;
        }
        self.try_write_vectored(&slices[..n])
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        Socket::try_flush(self)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_writable(self, cx)
    }

    fn last_words(&mut self, bytes: &[u8]) {
        Socket::last_words(self, bytes);
    }

    fn finish(&mut self) {
        // Closing is the end.
    }

    fn reset_on_close(&mut self) {
        Socket::reset_on_close(self);
    }
}
