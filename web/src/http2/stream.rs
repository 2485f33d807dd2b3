//! A viewer's stream of an HTTP/2 connection, as its actor writes to it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use ipchub_actors::connection::{Carrier, Link, Stuck};
use tokio::io::{AsyncRead, ReadBuf};

use super::Shared;

/// Put into the extensions of a response: who gets the stream once the head is on its way.
pub(crate) struct TakeStream(pub(crate) Box<dyn FnOnce(H2Stream)>);

/// Media goes into `h2`'s queue of this stream, shared and never copied, up to `limits.viewer_unsent_bytes` and as far as the
/// peer's windows go. Beyond that the viewer waits, as it does for a socket.
pub(crate) struct H2Stream {
    stream: SendStream<Bytes>,
    /// Of this stream alone: its bytes, and a kick that leaves the others on the connection alone.
    link: Arc<Link>,
    stuck: Stuck,
    finished: bool,
    /// Who hears the peer. `h2` and [`Link`] know one waker of a stream, and a writer that waits takes its place.
    reader: Option<Waker>,
    /// Keeps the connection from being taken for idle.
    shared: Rc<Shared>,
}

impl fmt::Debug for H2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Stream").field("link", &self.link).finish_non_exhaustive()
    }
}

impl H2Stream {
    pub(super) fn new(stream: SendStream<Bytes>, shared: Rc<Shared>) -> Self {
        let link = Arc::new(shared.link.of_stream());
        let stuck = Stuck::new(shared.settings.write_timeout);
        Self { stream, link, stuck, finished: false, reader: None, shared }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_killed(cx)?;
        loop {
            match self.stream.poll_capacity(cx) {
                // Told of room that is used up meanwhile.
                Poll::Ready(Some(Ok(0))) => {}
                Poll::Ready(Some(result)) => {
                    return Poll::Ready(result.map(|_| ()).map_err(|error| self.broken(error)));
                }
                Poll::Ready(None) => {
                    return Poll::Ready(Err(match self.stream.poll_reset(cx) {
                        Poll::Ready(Err(error)) => self.broken(error),
                        _ => io::Error::new(io::ErrorKind::ConnectionReset, "the viewer left"),
                    }));
                }
                Poll::Pending => return self.stuck.poll(cx).map(Err),
            }
        }
    }

    /// With the kind of what broke the connection, if that did.
    fn broken(&self, error: h2::Error) -> io::Error {
        match (self.shared.broke.get(), error.get_io()) {
            (Some((kind, what)), _) => io::Error::new(*kind, what.clone()),
            (None, Some(io)) => io::Error::new(io.kind(), io.to_string()),
            (None, None) => io::Error::new(io::ErrorKind::ConnectionReset, error),
        }
    }

    fn write<'a>(&mut self, parts: impl Iterator<Item = &'a Bytes> + Clone) -> io::Result<usize> {
        if let Some(reason) = self.link.killed() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason.to_owned()));
        }
        self.stream.reserve_capacity(parts.clone().map(Bytes::len).sum());
        let mut written = 0;
        for part in parts.filter(|part| !part.is_empty()) {
            let room = self.stream.capacity().min(part.len());
            if room > 0 {
                self.stream.send_data(part.slice(..room), false).map_err(|error| self.broken(error))?;
                written += room;
            }
            if room < part.len() {
                break;
            }
        }
        if written == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.link.sent_elsewhere(written);
        self.stuck.clear();
        Ok(written)
    }
}

impl Carrier for H2Stream {
    fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn limit_unsent(&mut self, _: u32) -> io::Result<()> {
        // Set for the whole connection when it began.
        Ok(())
    }

    fn try_write_chunk(&mut self, chunk: &Bytes) -> io::Result<usize> {
        self.write(std::iter::once(chunk))
    }

    fn try_write_queue(&mut self, queue: &VecDeque<Bytes>) -> io::Result<usize> {
        self.write(queue.iter())
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        // The connection's task writes; what it cannot is bounded.
        Ok(true)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = ready!(self.poll_room(cx));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(room)
    }

    fn last_words(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let _ = self.stream.send_data(Bytes::copy_from_slice(bytes), false);
        }
        self.finish();
    }

    fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            // It fails where the peer left.
            let _ = self.stream.send_data(Bytes::new(), true);
        }
    }

    fn reset_on_close(&mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}

/// A viewer has said all with its request; what can still be read is that it left.
impl AsyncRead for H2Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reader = Some(cx.waker().clone());
        self.link.poll_killed(cx)?;
        match self.stream.poll_reset(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => match self.broken(error) {
                // The whole connection was closed.
                error if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
                error => Poll::Ready(Err(error)),
            },
        }
    }
}
