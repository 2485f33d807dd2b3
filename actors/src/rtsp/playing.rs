//! The sending side of an RTSP session that plays: it is a viewer of its source's RTP lane.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::rtsp::session::{self as machine, TrackTransport};

use super::carrier::Carrier;
use super::line::{Line, Way};
use super::multicast::groups::Lease;
use super::multicast::{Member, Membership, join};
use super::session::RtspSession;
use crate::accounts::Right;
use crate::branch::{self, Direct, Entry};
use crate::connection::{Outbox, Socket};
use crate::hub::Hub;
use crate::info::{Consumer, Registered};
use crate::messages::{
    DescribeTracks, EndViewing, Find, Found, Open, OpenError, RtpOpening, SubscribeRtp, Unsubscribe,
};
use crate::rtp_lane::{Form, RtpChunk, RtpPackets, RtpStep};
use crate::source::Source;
use crate::supervisor::Supervisor;

/// One path that is watched.
#[derive(Debug)]
pub(crate) struct Playing {
    path: String,
    /// That of `consumer`, whose memory its source writes to at each chunk.
    id: u32,
    consumer: Arc<Consumer>,
    found: Found,
    transports: Vec<Option<TrackTransport>>,
    /// Its place in the source's multicast group, if it watches so; then the group's sender is the source's viewer.
    membership: Option<Membership>,
    /// Its place among the viewers on this thread; none in a group.
    entry: Option<Entry<RtpStep>>,
    line: Option<Rc<Line>>,
    _registered: Registered,
}

/// Why a path cannot be played, as an RTSP status and words.
type Refusal = (u16, String);

impl Playing {
    /// Becomes one of the source's consumers.
    pub(crate) fn new(request: machine::Play, consumer: Arc<Consumer>, found: Found) -> Self {
        let machine::Play { path, transports } = request;
        log::info!("{path}: {} watches by {}", consumer.link.peer, consumer.way());
        let _registered = found.info.add_consumer(Arc::clone(&consumer));
        Self {
            path,
            id: consumer.id,
            consumer,
            found,
            transports,
            membership: None,
            entry: None,
            line: None,
            _registered,
        }
    }

    /// How a track goes, if it was set up.
    pub(crate) fn transport(&self, track: usize) -> Option<TrackTransport> {
        self.transports.get(track).copied().flatten()
    }

    /// Media does not come on the RTSP connection.
    pub(super) fn is_udp(&self) -> bool {
        goes_by_udp(&self.transports)
    }

    pub(crate) fn consumer(&self) -> &Arc<Consumer> {
        &self.consumer
    }

    /// A track was given up.
    pub(crate) fn set_transports(&mut self, transports: &[Option<TrackTransport>]) {
        self.transports.clear();
        self.transports.extend_from_slice(transports);
    }

    pub(super) fn line(&self) -> Option<&Rc<Line>> {
        self.line.as_ref()
    }

    /// Enters the branch of the source on this thread, and asks the source for what it has cached.
    pub(crate) fn subscribe(
        &mut self,
        hub: &Hub,
        form: Form,
        (chunks, end): (Recipient<RtpChunk>, Recipient<EndViewing>),
        line: Option<Rc<Line>>,
    ) -> Request<Source, SubscribeRtp> {
        let direct = line.clone().map(|line| line as Rc<dyn Direct<Arc<RtpPackets>>>);
        let member = branch::Member { consumer: Arc::clone(&self.consumer), chunks, end, direct };
        let entry = branch::enter(hub, &self.found.info, member);
        let subscribe = SubscribeRtp { consumer: Arc::clone(&self.consumer), form, branch: entry.branch() };
        (self.entry, self.line) = (Some(entry), line);
        self.found.source.send(subscribe)
    }

    /// Whether the branch may write past the actor: nothing waits for the socket.
    pub(super) fn set_clear(&self, clear: bool) {
        if let Some(line) = &self.line {
            line.gate.set_clear(clear);
        }
    }

    fn heard(&self) {
        if let Some(line) = &self.line {
            line.gate.heard();
        }
    }
}

fn goes_by_udp(transports: &[Option<TrackTransport>]) -> bool {
    transports.iter().flatten().any(|transport| !matches!(transport, TrackTransport::Interleaved { .. }))
}

impl Drop for Playing {
    fn drop(&mut self) {
        if self.membership.is_none() {
            self.found.source.do_send(Unsubscribe { id: self.consumer.id });
        }
        log::info!(
            "{}: {} watched by {} for {:.1} s, {} chunks dropped",
            self.path,
            self.consumer.link.peer,
            self.consumer.way(),
            self.consumer.started.at.elapsed().as_secs_f64(),
            self.consumer.dropped.load(Relaxed),
        );
    }
}

impl RtspSession {
    /// Answers a description once the source has told what it sends.
    pub(super) fn describe(&mut self, request: machine::Describe, ctx: &mut Context<Self>) {
        // Before anything is pulled.
        if let Err(refusal) = self.may(Right::Pull, &request.path) {
            let mut events = Vec::new();
            self.machine().answer_describe(Err(refusal), &mut events);
            return self.act(events, ctx);
        }
        let supervisor = self.hub.supervisor.clone();
        let described = async move {
            let found = open(&supervisor, request).await?;
            match found.source.send(DescribeTracks).await {
                Ok(Some(described)) => Ok(described),
                _ => Err((404, format!("{} is not live any more.", found.info.path))),
            }
        };
        ctx.wait(described.into_actor(self).map(|result: Result<_, Refusal>, session, ctx| {
            let result = result.map(|d| machine::Described { tracks: d.tracks, ssrcs: d.ssrcs });
            let mut events = Vec::new();
            session.machine().answer_describe(result, &mut events);
            session.act(events, ctx);
            session.claim_ports(ctx);
            session.flush(ctx);
        }));
    }

    /// Becomes a viewer, answers PLAY, and sends what the source has cached.
    pub(super) fn play(&mut self, request: machine::Play, ctx: &mut Context<Self>) {
        if let Err(refusal) = self.may(Right::Pull, &request.path) {
            return self.answer_play(Err(refusal), ctx);
        }
        let supervisor = self.hub.supervisor.clone();
        let path = request.path.clone();
        let found = async move { find(&supervisor, path).await };
        ctx.wait(found.into_actor(self).map(move |found, session, ctx| match found {
            Ok(found) => session.subscribe(found, request, ctx),
            Err(refusal) => session.answer_play(Err(refusal), ctx),
        }));
    }

    fn subscribe(&mut self, found: Found, request: machine::Play, ctx: &mut Context<Self>) {
        if let Carrier::Wsp(_) = self.carrier {
            return self.play_on_data(found, request, ctx);
        }
        let udp = goes_by_udp(&request.transports);
        self.ports().reopen();
        let lease = self.ports().lease.clone();
        let extra = match (&lease, udp) {
            (Some(lease), _) => format!("net=rtsp-multicast,{}", lease.group().address),
            (None, true) => "net=rtsp-udp".into(),
            (None, false) => "net=rtsp-tcp".into(),
        };
        let form = match self.carrier {
            Carrier::Plain if udp => Form::Datagrams,
            Carrier::Plain => Form::Interleaved,
            Carrier::Websocket(_) | Carrier::Wsp(_) => Form::Websocket,
        };
        let consumer = self.hub.rtp_consumer(&extra, self.link());
        ctx.set_mailbox_capacity(self.hub.settings.viewer_queue);
        if let Some(lease) = lease {
            let playing = Playing::new(request, consumer, found);
            return self.join_group(lease, playing, ctx);
        }
        let ways = self.ports().ways(&request.transports);
        let line = Line::new(self.socket(), ways, form == Form::Websocket, &consumer, &self.hub.stats);
        let mut playing = Playing::new(request, consumer, found);
        let actor = (ctx.address().recipient(), ctx.address().recipient());
        let opening = playing.subscribe(&self.hub, form, actor, Some(line));
        ctx.wait(opening.into_actor(self).map(move |opening, session, ctx| match opening {
            Ok(opening) => {
                let RtpOpening { chunks, starts } = opening;
                session.start_playing(playing, starts.into_iter().map(|start| Some(start.into())).collect(), ctx);
                chunks.iter().for_each(|chunk| session.send_chunk(chunk, 0, ctx));
            }
            Err(_) => session.answer_play(Err((404, format!("{} is not live any more.", playing.path))), ctx),
        }));
    }

    fn join_group(&mut self, lease: Arc<Lease>, mut playing: Playing, ctx: &mut Context<Self>) {
        let ssrcs = self.machine().described().map(|described| described.ssrcs.clone()).unwrap_or_default();
        let member = Member {
            consumer: Arc::clone(&playing.consumer),
            reports: ctx.address().recipient(),
            end: ctx.address().recipient(),
        };
        let joined = join(self.hub.clone(), playing.found.clone(), lease, ssrcs, member);
        ctx.wait(joined.into_actor(self).map(move |joined, session, ctx| match joined {
            Ok((membership, starts)) => {
                playing.membership = Some(membership);
                session.start_playing(playing, starts, ctx);
            }
            Err(refusal) => session.answer_play(Err(refusal), ctx),
        }));
    }

    fn start_playing(&mut self, playing: Playing, starts: Vec<Option<machine::RtpStart>>, ctx: &mut Context<Self>) {
        self.set_playing(playing);
        self.answer_play(Ok(starts), ctx);
    }

    pub(crate) fn answer_play(
        &mut self,
        result: Result<Vec<Option<machine::RtpStart>>, Refusal>,
        ctx: &mut Context<Self>,
    ) {
        let mut events = Vec::new();
        self.machine().answer_play(result, &mut events);
        self.act(events, ctx);
        self.flush(ctx);
    }

    /// `written` bytes of it went out already.
    fn send_chunk(&mut self, chunk: &RtpPackets, written: usize, ctx: &mut Context<Self>) {
        let over_websocket = matches!(self.carrier, Carrier::Websocket(_));
        let Some((outbox, socket, line)) = self.sending() else { return };
        let sent = match &*line.way(chunk.track) {
            Way::None => return,
            Way::Interleaved { rtp, rtcp } => {
                let bytes = chunk.on_channel(if chunk.rtcp { *rtcp } else { *rtp }, over_websocket);
                send_now(outbox, &mut socket.borrow_mut(), &bytes, written)
            }
            Way::Udp(route) => return line.send(route, chunk),
        };
        match sent {
            Ok(true) => {}
            Ok(false) => self.send_later(ctx),
            Err(error) => self.fail(&error, ctx),
        }
    }
}

/// Writes shared bytes from `from` on in one call if nothing waits before them; what the kernel does not take waits. True: all was written
/// or waits behind what is being waited for already.
pub(crate) fn send_now(outbox: &mut Outbox, socket: &mut Socket, bytes: &Bytes, from: usize) -> io::Result<bool> {
    if !outbox.is_empty() {
        outbox.push(bytes.slice(from..));
        return Ok(true);
    }
    let mut written = from;
    if from < bytes.len() {
        written += match socket.try_write(&bytes[from..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
    }
    if written < bytes.len() {
        outbox.push(bytes.slice(written..));
        return Ok(false);
    }
    // Under TLS some of what was taken may still wait for the kernel.
    socket.try_flush()
}

/// The source at a path, pulled first if a route leads there.
async fn open(supervisor: &Addr<Supervisor>, request: machine::Describe) -> Result<Found, Refusal> {
    let machine::Describe { path, original_path, .. } = request;
    match supervisor.send(Open { path, original_path }).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err((status(&error), format!("{error}."))),
        Err(_) => Err((503, "The hub is shutting down.".into())),
    }
}

/// RTSP has the statuses of HTTP for this (RFC 7826, section 17.5).
fn status(error: &OpenError) -> u16 {
    match error {
        OpenError::NotLive(_) | OpenError::Again => 404,
        OpenError::Failed(_) => 502,
        OpenError::TimedOut(_) => 504,
        OpenError::Full(_) | OpenError::Closing => 503,
    }
}

/// The live source at a path, for a player.
async fn find(supervisor: &Addr<Supervisor>, path: String) -> Result<Found, Refusal> {
    match supervisor.send(Find { path: path.clone() }).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err((404, format!("{path} is not live."))),
        Err(_) => Err((503, "The hub is shutting down.".into())),
    }
}

impl Handler<RtpChunk> for RtspSession {
    type Result = ();

    fn handle(&mut self, chunk: RtpChunk, ctx: &mut Self::Context) {
        if let Some(playing) = self.playing.as_ref().filter(|playing| playing.id == chunk.consumer) {
            playing.heard();
            self.send_chunk(&chunk.packets, chunk.written, ctx);
        }
    }
}

impl Handler<EndViewing> for RtspSession {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        self.end_playing();
        self.tell_end(&end.reason, ctx);
    }
}
