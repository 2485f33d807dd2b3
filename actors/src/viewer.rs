//! A viewer: an actor that owns its socket, or its stream of a shared connection, and writes shared chunks to it, without copying media.
//!
//! While the peer takes what it is sent, its [branch](crate::branch) writes to the socket past the actor. Otherwise the actor's
//! mailbox is the bound on how far it may fall behind: while the peer takes nothing the actor waits for the socket and hears no
//! message, the mailbox fills, and the branch skips to the next key frame for it. A peer that takes no byte for `write_timeout`
//! is closed.

use std::cell::{RefCell, RefMut};
use std::io;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as Task, Poll};

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::Output;
use tokio::io::AsyncReadExt;

use crate::branch::{self, Direct, Entry, Gate, Member, Written};
use crate::connection::{Carrier, Link, Outbox};
use crate::hub::Hub;
use crate::info::{Consumer, PacketType, Registered};
use crate::lane::{Chunk, ChunkMessage, MuxStep};
use crate::messages::{EndViewing, Found, Subscribe, Unsubscribe};
use crate::meter::Active;
use crate::on_wake::OnWake;

/// The longest [`Framing::head`].
pub const MAX_HEAD: usize = 20;
/// Parts of an opening are joined into one message of about this size: fewer messages, and none that a page waits long for.
const OPENING_MESSAGE: usize = 64 << 10;

/// How chunks are framed on a connection.
pub trait Framing: Unpin + 'static {
    /// Shown in REST before the output's name: `http` of `http-flv`.
    const NAME: &'static str;
    /// The place of chunks that are framed so, below [`FRAMINGS`]; none where they go out as they are.
    ///
    /// [`FRAMINGS`]: crate::lane::FRAMINGS
    const WAY: Option<usize>;
    /// What follows each chunk.
    const TAIL: &'static [u8];
    /// Writes what goes before a chunk of `len` bytes; returns its length.
    fn head(len: usize, out: &mut [u8; MAX_HEAD]) -> usize;
    /// What the viewer sent. What is to be answered goes to `reply`; an error ends the connection with that reason.
    fn received(&mut self, bytes: &[u8], reply: &mut Vec<Bytes>) -> Result<(), String>;
    /// The last bytes of a connection that ends in order.
    fn goodbye(&self, reason: &str) -> Bytes;
}

/// Everything that a viewer begins with.
#[derive(Debug)]
pub struct Start<F, C> {
    /// The hub.
    pub hub: Hub,
    /// The source to watch.
    pub found: Found,
    /// The connection, after its HTTP answer.
    pub socket: C,
    /// What it takes.
    pub output: Output,
    /// How chunks are framed.
    pub framing: F,
}

/// The actor of one viewer.
#[derive(Debug)]
pub struct Viewer<F: Framing, C: Carrier> {
    hub: Hub,
    found: Found,
    line: Rc<Line<F, C>>,
    link: Arc<Link>,
    output: Output,
    framing: F,
    outbox: Outbox,
    consumer: Arc<Consumer>,
    entry: Option<Entry<MuxStep>>,
    reason: Option<String>,
    _registered: Registered,
    _counted: Active,
}

/// What the actor shares with its branch.
#[derive(Debug)]
struct Line<F, C> {
    socket: RefCell<C>,
    gate: Gate,
    framing: PhantomData<F>,
}

impl<F: Framing, C: Carrier> Line<F, C> {
    /// Writes what the peer takes now of what follows the first `from` bytes of a framed chunk. `Ok(None)`: all, and nothing of it
    /// is held back under TLS. Otherwise how much of the whole is written.
    fn write(&self, bytes: &Bytes, from: usize) -> io::Result<Option<usize>> {
        let mut socket = self.socket.borrow_mut();
        let mut written = from;
        if from < bytes.len() {
            let rest;
            let chunk = if from == 0 {
                bytes
            } else {
                rest = bytes.slice(from..);
                &rest
            };
            written += match socket.try_write_chunk(chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                result => result?,
            };
        }
        if written < bytes.len() || !socket.try_flush()? {
            return Ok(Some(written));
        }
        Ok(None)
    }
}

impl<F: Framing, C: Carrier> Direct<Chunk> for Line<F, C> {
    fn peek(&self) -> bool {
        self.gate.is_clear() & self.socket.borrow().peek()
    }

    fn write(&self, chunk: &Chunk) -> Written {
        if !self.gate.is_clear() {
            return Written::Nothing;
        }
        match Line::write(self, framed::<F>(chunk), 0) {
            Ok(None) => Written::All,
            Ok(Some(written)) => Written::Part(written),
            // The actor will see it too.
            Err(_) => Written::Part(0),
        }
    }

    fn queued(&self) {
        self.gate.queued();
    }
}

/// A chunk as it goes out on a connection.
fn framed<F: Framing>(chunk: &Chunk) -> &Bytes {
    let frame = |bytes: &Bytes| {
        let mut head = [0; MAX_HEAD];
        let n = F::head(bytes.len(), &mut head);
        [&head[..n], bytes, F::TAIL].concat().into()
    };
    match F::WAY {
        Some(way) => chunk.framed(way, frame),
        None => chunk.bytes(),
    }
}

impl<F: Framing, C: Carrier> Viewer<F, C> {
    /// Starts the actor on this thread, the one that accepted the connection.
    pub fn begin(start: Start<F, C>) -> Addr<Self> {
        Self::create(|ctx| {
            let Start { hub, found, mut socket, output, framing } = start;
            ctx.set_mailbox_capacity(hub.settings.viewer_queue);
            let link = Arc::clone(socket.link());
            if let Err(error) = socket.limit_unsent(hub.settings.viewer_unsent) {
                log::debug!("{}: no limit of unsent bytes: {error}", link.peer);
            }
            let (kind, counter, traffic) = match output {
                Output::Flv(_) => (PacketType::Flv, &hub.stats.flv, &hub.stats.traffic.flv),
                Output::Ts => (PacketType::Ts, &hub.stats.ts, &hub.stats.traffic.ts),
                Output::Fmp4 => (PacketType::Fmp4, &hub.stats.fmp4, &hub.stats.traffic.fmp4),
            };
            let (id, extra) = (hub.consumer_id(kind), format!("net={}-{},{}", F::NAME, output.name(), link.peer));
            let consumer = Arc::new(Consumer::new(id, kind, extra, Arc::clone(&link)));
            let registered = found.info.add_consumer(Arc::clone(&consumer));
            let counted = counter.enter();
            link.counts_as(traffic);
            let line = Line { socket: RefCell::new(socket), gate: Gate::default(), framing: PhantomData };
            Self {
                hub,
                found,
                line: Rc::new(line),
                link,
                output,
                framing,
                outbox: Outbox::default(),
                consumer,
                entry: None,
                reason: None,
                _registered: registered,
                _counted: counted,
            }
        })
    }

    fn socket(&self) -> RefMut<'_, C> {
        self.line.socket.borrow_mut()
    }

    fn end(&mut self, reason: impl Into<String>, ctx: &mut Context<Self>) {
        self.line.gate.close();
        self.reason.get_or_insert(reason.into());
        ctx.stop();
    }

    fn fail(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        match (self.link.killed(), error.kind()) {
            (Some(reason), _) => {
                let reason = reason.to_owned();
                // Between two chunks there is room for a proper end; within one there is not.
                if self.outbox.is_empty() && self.socket().try_flush().is_ok_and(|flushed| flushed) {
                    self.socket().last_words(&self.framing.goodbye(&reason));
                } else {
                    self.socket().reset_on_close();
                }
                self.end(reason, ctx);
            }
            (None, io::ErrorKind::TimedOut) => {
                self.hub.stats.write_timeouts.add(1);
                self.socket().reset_on_close();
                self.end(error.to_string(), ctx);
            }
            _ => self.end(format!("connection lost: {error}"), ctx),
        }
    }

    fn queue(&mut self, parts: &[Bytes]) {
        let mut head = [0; MAX_HEAD];
        let n = F::head(parts.iter().map(Bytes::len).sum(), &mut head);
        self.outbox.push(Bytes::copy_from_slice(&head[..n]));
        for part in parts {
            self.outbox.push(part.clone());
        }
        self.outbox.push(Bytes::from_static(F::TAIL));
    }

    /// Writes what the kernel takes; if that is not all, hears nothing until the rest is written.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        let flushed = self.outbox.flush(&mut *self.line.socket.borrow_mut());
        match flushed {
            Ok(true) => self.line.gate.set_clear(true),
            Ok(false) => self.drain(ctx),
            Err(error) => self.fail(&error, ctx),
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        self.line.gate.set_clear(false);
        ctx.wait(Drain.map(|(), viewer: &mut Self, _| viewer.line.gate.set_clear(true)));
    }

    fn open(&mut self, parts: &[Bytes], ctx: &mut Context<Self>) {
        let mut from = 0;
        let mut size = 0;
        for (n, part) in parts.iter().enumerate() {
            size += part.len();
            if size >= OPENING_MESSAGE || n + 1 == parts.len() {
                self.queue(&parts[from..=n]);
                (from, size) = (n + 1, 0);
            }
        }
        self.flush(ctx);
    }
}

impl<F: Framing, C: Carrier> Actor for Viewer<F, C> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        log::info!("{}: {} watches by {}-{}", self.found.info.path, self.link.peer, F::NAME, self.output.name());
        let address = ctx.address();
        let direct: Rc<dyn Direct<Chunk>> = Rc::clone(&self.line) as _;
        let member = Member {
            consumer: Arc::clone(&self.consumer),
            chunks: address.clone().recipient(),
            end: address.recipient(),
            direct: Some(direct),
        };
        let entry = branch::enter(&self.hub, &self.found.info, member);
        let subscribe = Subscribe { consumer: Arc::clone(&self.consumer), output: self.output, branch: entry.branch() };
        self.entry = Some(entry);
        // No chunk is heard before the opening is on its way, and until then nothing is written past the actor.
        ctx.wait(self.found.source.send(subscribe).into_actor(self).map(|answer, viewer, ctx| match answer {
            Ok(Ok(opening)) => viewer.open(&opening.parts, ctx),
            Ok(Err(error)) => viewer.bid_farewell(&error.to_string(), ctx),
            Err(_) => viewer.bid_farewell("the stream has ended", ctx),
        }));
        ctx.spawn(OnWake::new(Listen));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.entry = None;
        self.found.source.do_send(Unsubscribe { id: self.consumer.id });
        log::info!(
            "{}: {} watched by {}-{} for {:.1} s, {} bytes sent, {} chunks dropped: {}",
            self.found.info.path,
            self.link.peer,
            F::NAME,
            self.output.name(),
            self.consumer.started.at.elapsed().as_secs_f64(),
            self.link.meter.bytes_out(),
            self.consumer.dropped.load(Relaxed),
            self.reason.as_deref().unwrap_or("ended"),
        );
    }
}

impl<F: Framing, C: Carrier> Viewer<F, C> {
    fn bid_farewell(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.reason.get_or_insert(reason.to_owned());
        self.line.gate.close();
        self.outbox.push(self.framing.goodbye(reason));
        ctx.wait(Drain.then(|(), viewer: &mut Self, ctx: &mut Context<Self>| {
            viewer.socket().finish();
            ctx.stop();
            actix::fut::ready(())
        }));
    }
}

impl<F: Framing, C: Carrier> Handler<ChunkMessage> for Viewer<F, C> {
    type Result = ();

    fn handle(&mut self, message: ChunkMessage, ctx: &mut Self::Context) {
        self.line.gate.heard();
        let bytes = framed::<F>(&message.chunk);
        match self.line.write(bytes, message.written) {
            Ok(None) => {}
            Ok(Some(written)) => {
                // Only now is anything kept: the rest of this chunk.
                self.outbox.push(bytes.slice(written..));
                self.drain(ctx);
            }
            Err(error) => self.fail(&error, ctx),
        }
    }
}

impl<F: Framing, C: Carrier> Handler<EndViewing> for Viewer<F, C> {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        self.bid_farewell(&end.reason, ctx);
    }
}

/// Writes what is left, while the actor hears nothing else.
struct Drain;

impl<F: Framing, C: Carrier> ActorFuture<Viewer<F, C>> for Drain {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        viewer: &mut Viewer<F, C>,
        ctx: &mut Context<Viewer<F, C>>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let flushed = viewer.outbox.poll_flush(&mut *viewer.line.socket.borrow_mut(), task);
        match flushed {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                viewer.fail(&error, ctx);
                Poll::Ready(())
            }
        }
    }
}

/// Hears what the viewer sends, and its end.
struct Listen;

impl<F: Framing, C: Carrier> ActorFuture<Viewer<F, C>> for Listen {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        viewer: &mut Viewer<F, C>,
        ctx: &mut Context<Viewer<F, C>>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let mut bytes = [0; 1024];
        loop {
            let read = pin!(viewer.line.socket.borrow_mut().read(&mut bytes)).poll(task);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    viewer.end("the viewer left", ctx);
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(n)) => {
                    let mut reply = Vec::new();
                    let result = viewer.framing.received(&bytes[..n], &mut reply);
                    for bytes in reply {
                        viewer.outbox.push(bytes);
                    }
                    if let Err(reason) = result {
                        viewer.bid_farewell(&reason, ctx);
                        return Poll::Ready(());
                    }
                    viewer.flush(ctx);
                    if ctx.waiting() {
                        // Polled again once the replies are written.
                        task.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(error)) => {
                    viewer.fail(&error, ctx);
                    return Poll::Ready(());
                }
            }
        }
    }
}
