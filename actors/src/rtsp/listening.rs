//! What the actor of an RTSP connection waits for at its socket.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::session::{MIN_READ, READ_BUFFER, RtspSession};
use crate::connection::{AT_ONCE, Socket};

/// Writes what is left, while the actor hears nothing else.
pub(super) struct Drain;

impl ActorFuture<RtspSession> for Drain {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut RtspSession,
        ctx: &mut Context<RtspSession>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let flushed = session.outbox.poll_flush(&mut *session.socket.borrow_mut(), task);
        match flushed {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                session.fail(&error, ctx);
                Poll::Ready(())
            }
        }
    }
}

/// How long an ended connection waits for its client to close too: a client does within a round trip.
const FAREWELL: Duration = Duration::from_secs(1);

/// Says that nothing more comes, and passes over what the client still says, for a moment. Closed at once, a connection on which
/// something is unread or on its way is reset: that takes the last answer from a client that has not read it yet, and is an error
/// to one that is just sending a report or a frame.
#[derive(Default)]
pub(super) struct Farewell {
    said: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Farewell {
    /// Ready once the connection can be closed.
    fn poll(&mut self, socket: &mut Socket, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        // Asked first: a client that sends as fast as it is read uses up all that this task may do at a time.
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
        if patience.as_mut().poll(task).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !self.said {
            ready!(Pin::new(&mut *socket).poll_shutdown(task))?;
            self.said = true;
        }
        let mut space = [0; 2048];
        loop {
            let mut passed_over = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut *socket).poll_read(task, &mut passed_over))?;
            if passed_over.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl ActorFuture<RtspSession> for Farewell {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        session: &mut RtspSession,
        ctx: &mut Context<RtspSession>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        if !ctx.state().alive() {
            return Poll::Ready(());
        }
        let mut socket = session.socket().borrow_mut();
        // An error: there is nobody to take leave of.
        (*self).poll(&mut socket, task).map(|_| ())
    }
}

/// Reads the socket.
pub(super) struct Listen;

impl ActorFuture<RtspSession> for Listen {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut RtspSession,
        ctx: &mut Context<RtspSession>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        // What was read before an answer had to be waited for.
        session.process(ctx);
        loop {
            if ctx.waiting() || !ctx.state().alive() {
                // Polled again when the wait is over.
                return Poll::Pending;
            }
            let was_killed = session.link().killed().is_some();
            if let Some(publishing) = session.publishing.as_mut().filter(|_| !was_killed)
                && publishing.poll_rested(task).is_pending()
            {
                return Poll::Pending;
            }
            let RtspSession { socket, buffer, carrier, publishing, .. } = session;
            let buffer = carrier.inbox().map_or(buffer, |inbox| &mut inbox.buffer);
            if buffer.capacity() - buffer.len() < MIN_READ {
                buffer.reserve(if publishing.is_some() { READ_BUFFER } else { MIN_READ });
            }
            let room = (buffer.capacity() - buffer.len()).min(AT_ONCE);
            let read = pin!(socket.borrow_mut().read_buf(buffer)).poll(task);
            match read {
                Poll::Pending => {
                    // A player says little, and seldom.
                    if buffer.is_empty() && publishing.is_none() {
                        *buffer = BytesMut::new();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => {
                    session.end("the client closed the connection", ctx);
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(bytes)) => {
                    session.process(ctx);
                    let publishing = session.publishing.as_mut();
                    if publishing.is_some_and(|publishing| publishing.read(bytes, bytes < room))
                        && let Err(error) = session.detach()
                    {
                        session.fail(&error, ctx);
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(Err(error)) => {
                    session.fail(&error, ctx);
                    return Poll::Ready(());
                }
            }
        }
    }
}
