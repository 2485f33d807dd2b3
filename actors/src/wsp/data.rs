//! The data connection: an RTP viewer on a websocket. Its first message joins a channel; what plays there is the business of
//! the channel's control connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::rtsp::session::{self as machine, TrackTransport};
use ipchub_media::websocket::{self, Message as Frame, Opcode};
use ipchub_media::wsp::{self, Command, Reply};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::channels::{JoinError, Joinable, Owner};
use super::control::DataJoined;
use crate::connection::{Link, Outbox, Socket};
use crate::hub::Hub;
use crate::messages::{EndViewing, Found, RtpOpening};
use crate::rtp_lane::{Form, RtpChunk, RtpPackets};
use crate::rtsp::carrier::Inbox;
use crate::rtsp::playing::{Playing, send_now};

/// A data connection says JOIN, and a close frame at the end.
const MAX_MESSAGE: usize = 4 << 10;

/// To a data connection: send this stream, once `begin` says so.
pub(crate) struct StartMedia {
    pub(crate) found: Found,
    pub(crate) play: machine::Play,
    pub(crate) begin: oneshot::Receiver<()>,
}

type Started = Result<Vec<Option<machine::RtpStart>>, (u16, String)>;

impl Message for StartMedia {
    type Result = Started;
}

/// To a data connection: send nothing more for now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopMedia;

/// To a data connection that plays: its tracks are these now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetTracks(pub(crate) Vec<Option<TrackTransport>>);

/// The actor of one data connection.
#[derive(Debug)]
pub struct DataConnection {
    hub: Hub,
    socket: Socket,
    link: Arc<Link>,
    inbox: Inbox,
    outbox: Outbox,
    owner: Owner,
    joined: Option<(u64, Joinable)>,
    playing: Option<Playing>,
    reason: Option<String>,
}

impl DataConnection {
    /// Starts the actor on this thread, the one that accepted the connection.
    pub fn begin(hub: Hub, socket: Socket, owner: Owner) -> Addr<Self> {
        socket.link().counts_as(&hub.stats.traffic.wsp);
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(hub.settings.viewer_queue);
            let link = Arc::clone(socket.link());
            if let Err(error) = socket.limit_unsent(hub.settings.viewer_unsent) {
                log::debug!("{}: no limit of unsent bytes: {error}", link.peer);
            }
            let inbox = Inbox::new(MAX_MESSAGE);
            let outbox = Outbox::default();
            Self { hub, socket, link, inbox, outbox, owner, joined: None, playing: None, reason: None }
        })
    }

    fn process(&mut self, ctx: &mut Context<Self>) {
        while !ctx.waiting() && ctx.state().alive() {
            match self.inbox.next() {
                Ok(None) => break,
                Ok(Some(Frame::Data(bytes))) => self.message(bytes.freeze(), ctx),
                Ok(Some(Frame::Ping(payload))) => self.outbox.push(websocket::message(Opcode::Pong, &payload)),
                Ok(Some(Frame::Pong)) => {}
                Ok(Some(Frame::Close)) => self.end(1000, "the client closed the websocket", ctx),
                Err(fault) => self.end(fault.close_code(), &fault.to_string(), ctx),
            }
        }
        if !ctx.waiting() {
            self.flush(ctx);
        }
    }

    fn message(&mut self, message: Bytes, ctx: &mut Context<Self>) {
        // RTCP of the player's own, or nonsense; what plays is said on the control connection.
        if self.joined.is_some() && !message.starts_with(b"WSP/") {
            return;
        }
        let request = match wsp::Request::parse(&message) {
            Ok(request) => request,
            Err(error) => return self.refuse(Reply::new(400, format!("malformed WSP: {error}")), ctx),
        };
        let channel = request.headers.get("channel").map(str::parse::<u64>);
        let refusal = match (&request.command, channel) {
            (Command::Join, Some(Ok(id))) if request.payload.is_empty() && self.joined.is_none() => {
                match self.hub.channels.join(id, &self.owner) {
                    Ok(joinable) => return self.join(id, joinable, Reply::ok().to(&request), ctx),
                    Err(JoinError::Unknown) => Reply::new(404, "NOT FOUND"),
                    Err(error @ JoinError::Joined) => Reply::new(409, error.to_string()),
                }
            }
            (Command::Join, _) if self.joined.is_some() => Reply::new(409, "this connection has joined its channel"),
            (Command::Join, Some(_)) if request.payload.is_empty() => Reply::new(404, "NOT FOUND"),
            (Command::Join, None) => Reply::new(400, "JOIN has no channel"),
            (Command::Join, _) => Reply::new(400, "JOIN has no payload"),
            _ => Reply::new(405, "expected JOIN"),
        };
        self.refuse(refusal.to(&request), ctx);
    }

    fn refuse(&mut self, reply: Reply, ctx: &mut Context<Self>) {
        self.outbox.push(websocket::message(Opcode::Text, &reply.to_bytes(b"")));
        self.end(1008, "it did not join a channel", ctx);
    }

    fn join(&mut self, id: u64, joinable: Joinable, reply: Reply, ctx: &mut Context<Self>) {
        let told = joinable.session.send(DataJoined { address: ctx.address(), link: Arc::clone(&self.link) });
        self.joined = Some((id, joinable));
        // The reply says that PLAY is possible: first it must be.
        ctx.wait(told.into_actor(self).map(move |told, data, ctx| match told {
            Ok(()) => {
                data.outbox.push(websocket::message(Opcode::Text, &reply.to_bytes(b"")));
                data.flush(ctx);
            }
            Err(_) => data.end(1000, "the control connection is lost", ctx),
        }));
    }

    fn begin_media(&mut self, opening: RtpOpening, ctx: &mut Context<Self>) {
        for chunk in opening.chunks {
            self.send_chunk(&chunk, ctx);
        }
    }

    fn send_chunk(&mut self, chunk: &RtpPackets, ctx: &mut Context<Self>) {
        let Some(playing) = &self.playing else { return };
        let Some(TrackTransport::Interleaved { rtp, rtcp }) = playing.transport(chunk.track) else { return };
        let bytes = chunk.websocket_on_channel(if chunk.rtcp { rtcp } else { rtp });
        match send_now(&mut self.outbox, &mut self.socket, &bytes, 0) {
            Ok(true) => {}
            Ok(false) => ctx.wait(Drain),
            Err(error) => self.fail(&error, ctx),
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        match self.outbox.flush(&mut self.socket) {
            Ok(true) => {}
            Ok(false) => ctx.wait(Drain),
            Err(error) => self.fail(&error, ctx),
        }
    }

    /// Says goodbye, and ends once that is written.
    fn end(&mut self, code: u16, reason: &str, ctx: &mut Context<Self>) {
        if self.reason.is_some() {
            return;
        }
        self.reason = Some(reason.to_owned());
        self.playing = None;
        self.outbox.push(websocket::close(code, reason));
        ctx.wait(Drain.map(|(), _: &mut Self, ctx: &mut Context<Self>| ctx.stop()));
    }

    fn fail(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let reason = match (self.link.killed(), error.kind()) {
            (Some(reason), _) if self.outbox.is_empty() => {
                let reason = reason.to_owned();
                self.socket.last_words(&websocket::close(1000, &reason));
                reason
            }
            (killed, kind) => {
                if killed.is_none() && kind == io::ErrorKind::TimedOut {
                    self.hub.stats.write_timeouts.add(1);
                }
                self.socket.reset_on_close();
                killed.map_or_else(|| error.to_string(), str::to_owned)
            }
        };
        self.reason.get_or_insert(reason);
        ctx.stop();
    }
}

impl Actor for DataConnection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Listen);
        let within = self.hub.settings.sniff_timeout;
        ctx.run_later(within, move |data, ctx| {
            if data.joined.is_none() {
                data.end(1008, &format!("no JOIN within {} s", within.as_secs_f64()), ctx);
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.playing = None;
        let reason = self.reason.as_deref().unwrap_or("ended");
        if let Some((id, _)) = &self.joined {
            self.hub.channels.lose(*id, reason);
        }
        log::info!(
            "{}: WSP data connection of {} ended after {:.1} s, {} bytes sent: {reason}",
            self.link.peer,
            self.owner.path,
            self.link.since.elapsed().as_secs_f64(),
            self.link.meter.bytes_out(),
        );
    }
}

impl Handler<StartMedia> for DataConnection {
    type Result = AtomicResponse<Self, Started>;

    fn handle(&mut self, start: StartMedia, ctx: &mut Self::Context) -> Self::Result {
        let StartMedia { found, play, begin } = start;
        let consumer = self.hub.rtp_consumer("wsp", &self.link);
        let mut playing = Playing::new(play, consumer, found);
        let actor = (ctx.address().recipient(), ctx.address().recipient());
        let opening = playing.subscribe(&self.hub, Form::Websocket, actor, None);
        AtomicResponse::new(Box::pin(opening.into_actor(self).map(move |opening, data, ctx| {
            let Ok(opening) = opening else {
                return Err((404, "The stream is not live any more.".into()));
            };
            let starts = opening.starts.iter().map(|start| Some((*start).into())).collect();
            data.playing = Some(playing);
            ctx.wait(begin.into_actor(data).map(|_, data: &mut Self, ctx| data.begin_media(opening, ctx)));
            Ok(starts)
        })))
    }
}

impl Handler<StopMedia> for DataConnection {
    type Result = ();

    fn handle(&mut self, _: StopMedia, _: &mut Self::Context) {
        self.playing = None;
    }
}

impl Handler<SetTracks> for DataConnection {
    type Result = ();

    fn handle(&mut self, SetTracks(tracks): SetTracks, _: &mut Self::Context) {
        if let Some(playing) = &mut self.playing {
            playing.set_transports(&tracks);
        }
    }
}

impl Handler<RtpChunk> for DataConnection {
    type Result = ();

    fn handle(&mut self, chunk: RtpChunk, ctx: &mut Self::Context) {
        if self.playing.as_ref().is_some_and(|playing| playing.consumer().id == chunk.consumer) {
            self.send_chunk(&chunk.packets, ctx);
        }
    }
}

impl Handler<EndViewing> for DataConnection {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        self.end(1000, &end.reason, ctx);
    }
}

/// Writes what is left, while the actor hears nothing else.
struct Drain;

impl ActorFuture<DataConnection> for Drain {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        data: &mut DataConnection,
        ctx: &mut Context<DataConnection>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        match data.outbox.poll_flush(&mut data.socket, task) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                data.fail(&error, ctx);
                Poll::Ready(())
            }
        }
    }
}

/// Hears what the player sends, and its end.
struct Listen;

impl ActorFuture<DataConnection> for Listen {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        data: &mut DataConnection,
        ctx: &mut Context<DataConnection>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        // What was read before an answer had to be waited for.
        data.process(ctx);
        loop {
            if ctx.waiting() || !ctx.state().alive() {
                // Polled again when the wait is over.
                return Poll::Pending;
            }
            data.inbox.buffer.reserve(1024);
            let read = pin!(data.socket.read_buf(&mut data.inbox.buffer)).poll(task);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    data.end(1000, "the client closed the connection", ctx);
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(_)) => data.process(ctx),
                Poll::Ready(Err(error)) => {
                    data.fail(&error, ctx);
                    return Poll::Ready(());
                }
            }
        }
    }
}
