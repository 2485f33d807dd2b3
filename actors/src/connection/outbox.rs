//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::Carrier;

/// What is still to be written to one connection: shared bytes, never copies of media.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Bytes>,
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

    /// Writes what is taken now. `Ok(true)`: nothing is left, neither here nor in the connection's own buffers.
    pub fn flush<C: Carrier>(&mut self, carrier: &mut C) -> io::Result<bool> {
        while !self.queue.is_empty() {
            match carrier.try_write_queue(&self.queue) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // An opening needs room for hundreds of entries, live media for none.
        self.queue.shrink_to(0);
        carrier.try_flush()
    }

    /// Writes everything, waiting for the peer where it must.
    pub fn poll_flush<C: Carrier>(&mut self, carrier: &mut C, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.flush(carrier)? {
            ready!(carrier.poll_writable(cx))?;
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
