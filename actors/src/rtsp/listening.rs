//! What the actor of an RTSP connection waits for at its socket.

use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll};

use actix::prelude::*;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::session::{MIN_READ, READ_BUFFER, RtspSession};
use crate::connection::AT_ONCE;

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
