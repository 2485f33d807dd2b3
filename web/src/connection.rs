//! A connection that `actix-web` can give away.
//!
//! A viewer's handler answers with [`HandOver`] as the body. When the head has been written, the socket is moved out of the
//! HTTP dispatcher to whoever is to write the media; the dispatcher sees an aborted connection and is freed.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::{Error, HttpMessage, HttpRequest};
use bytes::Bytes;
use ipchub_actors::connection::{Link, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection that a request came on, of whatever version: who the peer is, and whether it is under TLS.
pub fn link(request: &HttpRequest) -> Option<Arc<Link>> {
    // HTTP/1 knows it for the connection, HTTP/2 for each request.
    request.conn_data::<Arc<Link>>().cloned().or_else(|| request.extensions().get::<Arc<Link>>().cloned())
}

type Next = Box<dyn FnOnce(Socket)>;

/// Where the socket is until it is given away.
pub struct Slot {
    socket: RefCell<Option<Socket>>,
    next: RefCell<Option<Next>>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The stream that the HTTP dispatcher reads and writes.
#[derive(Debug)]
pub struct HttpStream(Rc<Slot>);

impl HttpStream {
    /// Wraps an accepted connection.
    pub fn new(socket: Socket) -> Self {
        Self(Rc::new(Slot { socket: RefCell::new(Some(socket)), next: RefCell::new(None) }))
    }

    pub(crate) fn slot(&self) -> &Rc<Slot> {
        &self.0
    }

    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.0.socket.borrow().as_ref().map(|socket| Arc::clone(socket.link()))
    }

    fn with<T>(&self, act: impl FnOnce(Pin<&mut Socket>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.0.socket.borrow_mut().as_mut() {
            Some(socket) => act(Pin::new(socket)),
            None => Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "given to a viewer"))),
        }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_read(cx, buf))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|socket| socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|socket| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The dispatcher flushes when it has written all it had: after a [`HandOver`] began, that is the head.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(next) = self.0.next.borrow_mut().take() {
            if let Some(socket) = self.0.socket.borrow_mut().take() {
                next(socket);
            }
            // To find out that the connection is gone.
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        self.with(|socket| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.socket.borrow_mut().as_mut() {
            Some(socket) => Pin::new(socket).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A body that never comes through HTTP: once the head is out, the connection's socket goes to `next`.
pub struct HandOver {
    slot: Rc<Slot>,
    next: Option<Next>,
}

impl HandOver {
    /// `next` gets the socket.
    pub fn new(slot: Rc<Slot>, next: impl FnOnce(Socket) + 'static) -> Self {
        Self { slot, next: Some(Box::new(next)) }
    }
}

impl MessageBody for HandOver {
    type Error = Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    /// Polled first when the head stands in the dispatcher's buffer, before it is flushed.
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(next) = self.next.take() {
            *self.slot.next.borrow_mut() = Some(next);
        }
        Poll::Pending
    }
}
