//! The actor of one RTSP connection: it owns the socket, feeds the state machine and does what that says.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::rtsp::message::Request;
use ipchub_media::rtsp::parser::{Item, Parser};
use ipchub_media::rtsp::session::{
    Event, Offer, Publish as PublishRequest, Session, SessionConfig, StreamName, TrackTransport,
};
use ipchub_media::sdp::AddressFamily;

use super::carrier::Carrier;
use super::line::Line;
use super::listening::{Drain, Farewell, Listen};
use super::login::without_query;
use super::playing::Playing;
use super::publishing::{Publishing, claim_and_publish};
use super::resting::Resting;
use super::udp::{Datagrams, KnownBy, Wanted, random_u64};
use super::unicast::Ports;
use super::upkeep::{REPORTS, TICK};
use crate::connection::{AT_ONCE, Link, Outbox, Socket};
use crate::hub::Hub;
use crate::info::Consumer;
use crate::messages::{EndPublishing, Found, Media, Publish, Unpublish};
use crate::meter::Active;
use crate::on_wake::{OnWake, Together, every};

/// Room for one read. Packets stay slices of it until their frame leaves the GOP cache.
pub(super) const READ_BUFFER: usize = AT_ONCE;
/// A read with less room than this would cut a packet in two for nothing.
pub(super) const MIN_READ: usize = 4 << 10;
/// Messages of datagrams that may wait; more are dropped, as UDP may.
const MAILBOX: usize = 256;

/// Close code of a websocket that ends in order (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// The actor of one RTSP connection.
#[derive(Debug)]
pub struct RtspSession {
    pub(crate) hub: Hub,
    pub(super) socket: Rc<RefCell<Socket>>,
    pub(super) link: Arc<Link>,
    pub(crate) carrier: Carrier,
    pub(super) parser: Parser,
    pub(super) session: Session,
    pub(super) buffer: BytesMut,
    pub(crate) outbox: Outbox,
    pub(super) publishing: Option<Publishing>,
    /// What a publisher needs at intervals is done.
    looked_after: bool,
    pub(super) playing: Option<Playing>,
    /// Claimed from SETUP on.
    pub(super) ports: Ports,
    /// Sessions have different ones.
    number: u64,
    /// Last request or media.
    pub(super) heard: Instant,
    reason: Option<String>,
    /// Who logged in.
    pub(super) user: Option<String>,
    _counted: Arc<Active>,
}

impl RtspSession {
    /// Starts the actor on this thread, the one that accepted the connection.
    pub fn begin(hub: Hub, socket: Socket) -> Addr<Self> {
        let counted = Arc::new(hub.stats.rtsp.enter());
        socket.link().counts_as(&hub.stats.traffic.rtsp);
        Self::start_on(hub, socket, Carrier::Plain, None, counted)
    }

    pub(super) fn start_on(
        hub: Hub,
        socket: Socket,
        carrier: Carrier,
        opened: Option<(StreamName, Option<String>)>,
        counted: Arc<Active>,
    ) -> Addr<Self> {
        let (stream, user) = opened.map_or((None, None), |(stream, user)| (Some(stream), user));
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let session = Session::new(SessionConfig {
                session_id: format!("{:016x}", random_u64()),
                timeout: hub.settings.session_timeout,
                server_name: concat!("ipchub/", env!("CARGO_PKG_VERSION")).into(),
                // A page cannot take datagrams.
                multicast: hub.multicast.is_some() && stream.is_none(),
                udp_ports: hub.udp.as_ref().filter(|_| stream.is_none()).map(|udp| udp.ports()),
                address_family: if socket.link().peer.is_ipv6() { AddressFamily::V6 } else { AddressFamily::V4 },
                stream,
                offer: if let Carrier::Wsp(_) = carrier { Offer::Play } else { Offer::Both },
            });
            Self {
                link: Arc::clone(socket.link()),
                _counted: counted,
                hub,
                socket: Rc::new(RefCell::new(socket)),
                carrier,
                parser: Parser::default(),
                session,
                buffer: BytesMut::new(),
                outbox: Outbox::default(),
                publishing: None,
                looked_after: false,
                playing: None,
                ports: Ports::default(),
                number: random_u64(),
                heard: Instant::now(),
                reason: None,
                user,
            }
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.hub.started.at.elapsed()
    }

    /// Everything is said: ends once the replies are written.
    pub(super) fn end(&mut self, reason: impl Into<String>, ctx: &mut Context<Self>) {
        self.end_with(NORMAL_CLOSURE, reason, ctx);
    }

    /// The same with a close code for a websocket.
    pub(super) fn end_with(&mut self, code: u16, reason: impl Into<String>, ctx: &mut Context<Self>) {
        let reason = reason.into();
        self.end_playing();
        if let Carrier::Wsp(control) = &mut self.carrier {
            control.end(&reason);
        }
        if self.reason.is_none()
            && let Some(bye) = self.carrier.goodbye(code, &reason)
        {
            self.outbox.push(bye);
        }
        self.reason.get_or_insert(reason);
        self.unpublish();
        let farewell = Drain.then(|(), _: &mut Self, _: &mut Context<Self>| Farewell::default());
        ctx.wait(farewell.map(|(), _, ctx: &mut Context<Self>| ctx.stop()));
    }

    pub(super) fn fail(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let reason = match (self.link.killed(), error.kind()) {
            (Some(reason), _) => reason.to_owned(),
            (None, io::ErrorKind::TimedOut) => error.to_string(),
            _ => format!("connection lost: {error}"),
        };
        self.end_playing();
        match self.carrier.goodbye(NORMAL_CLOSURE, &reason) {
            // Between two messages there is room for a proper end; within one there is not.
            Some(bye) if self.link.killed().is_some() && self.outbox.is_empty() => {
                self.socket.borrow_mut().last_words(&bye)
            }
            _ => self.socket.borrow().reset_on_close(),
        }
        self.reason.get_or_insert(reason);
        ctx.stop();
    }

    /// The client says something.
    pub(crate) fn hear(&mut self) {
        self.heard = Instant::now();
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(super) fn machine(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn ports(&mut self) -> &mut Ports {
        &mut self.ports
    }

    pub(super) fn consumer(&self) -> Option<&Arc<Consumer>> {
        self.playing.as_ref().map(Playing::consumer)
    }

    /// What sending a chunk needs.
    pub(super) fn sending(&mut self) -> Option<(&mut Outbox, &RefCell<Socket>, &Line)> {
        let Self { outbox, socket, playing, .. } = self;
        playing.as_ref().and_then(Playing::line).map(|line| (outbox, &**socket, &**line))
    }

    /// Nothing that comes wakes it up until it reads again.
    pub(super) fn detach(&self) -> io::Result<()> {
        self.socket.borrow_mut().detach()
    }

    pub(super) fn socket(&self) -> &Rc<RefCell<Socket>> {
        &self.socket
    }

    /// Hears nothing until what waits is written.
    pub(super) fn send_later(&mut self, ctx: &mut Context<Self>) {
        self.set_clear(false);
        ctx.wait(Drain.map(|(), session: &mut Self, _| session.set_clear(true)));
    }

    fn set_clear(&self, clear: bool) {
        if let Some(playing) = &self.playing {
            playing.set_clear(clear);
        }
    }

    pub(super) fn set_playing(&mut self, playing: Playing) {
        if let Err(error) = self.socket.borrow().limit_unsent(self.hub.settings.viewer_unsent) {
            log::debug!("{}: no limit of unsent bytes: {error}", self.link.peer);
        }
        self.playing = Some(playing);
    }

    pub(super) fn end_playing(&mut self) {
        self.playing = None;
        if let Carrier::Wsp(control) = &mut self.carrier {
            control.pause();
        }
    }

    fn unpublish(&mut self) {
        if let Some(publishing) = self.publishing.take() {
            let reason = self.reason.clone().unwrap_or_else(|| "connection closed".into());
            let reason = format!("publisher {} left: {reason}", self.link.peer);
            publishing.source.do_send(Unpublish { id: publishing.id, reason, comes_back: false });
        }
    }

    /// Cuts what was read into requests and packets and acts on them; stops where an answer must be waited for.
    pub(super) fn process(&mut self, ctx: &mut Context<Self>) {
        // Asked with each wake-up; mostly all of it was done when it was read.
        let has_nothing = self.buffer.is_empty() && self.outbox.is_empty() && self.publishing.is_some();
        if has_nothing && matches!(self.carrier, Carrier::Plain) {
            return;
        }
        let at = Instant::now();
        let now = at.saturating_duration_since(self.hub.started.at);
        while !ctx.waiting() && ctx.state().alive() {
            match self.next_item(ctx) {
                Ok(Some(Item::Interleaved { channel, data })) => {
                    self.heard = at;
                    self.interleaved(channel, data, now);
                }
                Ok(Some(Item::Request(request))) => {
                    self.forward(ctx);
                    self.request(request, ctx);
                }
                Ok(Some(Item::Response(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    self.forward(ctx);
                    log::warn!("{}: malformed RTSP: {error}", self.link.peer);
                    let mut events = Vec::new();
                    self.session.malformed(error, &mut events);
                    self.act(events, ctx);
                }
            }
        }
        self.forward(ctx);
        if !ctx.waiting() {
            self.flush(ctx);
        }
    }

    fn interleaved(&mut self, channel: u8, data: Bytes, now: Duration) {
        let Some(publishing) = &mut self.publishing else { return };
        let peer = self.link.peer;
        match self.session.track_of_channel(channel) {
            Some((track, rtcp)) => publishing.take(track, rtcp, data, now, &peer),
            None => publishing.warn(&peer, &format!("{} bytes on channel {channel}, which no SETUP named", data.len())),
        }
    }

    fn request(&mut self, request: Request, ctx: &mut Context<Self>) {
        self.heard = Instant::now();
        log::debug!("{}: {:?} {}", self.link.peer, request.method, without_query(&request.uri));
        let mut events = Vec::new();
        let delay = self.step(request, &mut events);
        if !delay.is_zero() {
            // A failed login; nothing more is read before its answer.
            return ctx.wait(actix_rt::time::sleep(delay).into_actor(self).map(|(), session, ctx| {
                session.act(events, ctx);
                session.flush(ctx);
            }));
        }
        self.act(events, ctx);
        self.claim_ports(ctx);
        self.follow_tracks();
    }

    pub(super) fn act(&mut self, events: Vec<Event>, ctx: &mut Context<Self>) {
        for event in events {
            match event {
                Event::Reply(bytes) => {
                    if let Some(reply) = self.carrier.reply(bytes) {
                        self.outbox.push(reply);
                    }
                }
                Event::Publish(request) => self.publish(request, ctx),
                Event::Describe(request) => self.describe(request, ctx),
                Event::Play(request) => self.play(request, ctx),
                Event::Group => self.lease_group(ctx),
                Event::Pause => self.end_playing(),
                Event::End(reason) => self.end(reason.to_string(), ctx),
            }
        }
    }

    pub(super) fn flush(&mut self, ctx: &mut Context<Self>) {
        let flushed = self.outbox.flush(&mut *self.socket.borrow_mut());
        match flushed {
            Ok(true) => self.set_clear(true),
            // A client that does not read its replies gets no more of them.
            Ok(false) => self.send_later(ctx),
            Err(error) => self.fail(&error, ctx),
        }
    }

    /// Gives what was received to the source. A source that is busy slows the publisher down, through TCP.
    fn forward(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let Some(publishing) = &mut self.publishing else { return };
        let Some(media) = publishing.media(now) else { return };
        match publishing.source.try_send(media) {
            Ok(()) => {}
            Err(SendError::Full(media)) => {
                let source = publishing.source.clone();
                self.forward_later(source, media, ctx);
            }
            Err(SendError::Closed(_)) => self.end("the source ended", ctx),
        }
    }

    fn forward_later(&mut self, source: Addr<crate::source::Source>, media: Media, ctx: &mut Context<Self>) {
        let sent = async move { source.send(media).await };
        ctx.wait(sent.into_actor(self).map(|result, session, ctx| {
            if result.is_err() {
                session.end("the source ended", ctx);
            }
        }));
    }

    fn publish(&mut self, request: PublishRequest, ctx: &mut Context<Self>) {
        if let Some(events) = self.refuse_publish(&request.path) {
            return self.act(events, ctx);
        }
        let id = self.hub.publisher_id();
        let claim = claim_and_publish(
            self.hub.supervisor.clone(),
            request.path.clone(),
            Publish {
                id,
                addr: self.link.peer.to_string(),
                tracks: request.tracks.clone(),
                publisher: ctx.address().recipient(),
            },
        );
        ctx.wait(claim.into_actor(self).map(move |found, session, ctx| {
            let result = found.map(|found| session.start_publishing(id, request, &found, ctx));
            let mut events = Vec::new();
            session.session.answer_publish(result.map_err(|reason| (503, reason)), &mut events);
            session.act(events, ctx);
            session.flush(ctx);
        }));
    }

    fn start_publishing(&mut self, id: u64, request: PublishRequest, found: &Found, ctx: &mut Context<Self>) {
        let PublishRequest { path, tracks, transports, user_agent, notes } = request;
        for note in notes {
            log::info!("{path}: the SDP of {} ({user_agent:?}): {note}", self.link.peer);
        }
        let mut publishing = Publishing::new(id, path, found, Arc::clone(&self.hub.stats));
        let datagrams = ctx.address().recipient::<Datagrams>();
        for (index, (track, transport)) in tracks.iter().zip(transports).enumerate() {
            let route = match (&transport, &self.hub.udp) {
                (TrackTransport::Udp { client_rtp, client_rtcp }, Some(udp)) => {
                    let (ports, known_by) = ((*client_rtp, *client_rtcp), KnownBy::PayloadType(track.payload_type));
                    let wanted = Wanted { session: self.number, track: index, ports, known_by };
                    Some(udp.register(self.link.peer.ip(), wanted, &datagrams))
                }
                _ => None,
            };
            publishing.add_track(track, transport, route);
        }
        if matches!(self.carrier, Carrier::Plain) && !self.link.is_secure() {
            publishing.may_rest(Resting::new(Instant::now(), self.hub.started.at));
        }
        self.publishing = Some(publishing);
        // A client may publish again and again.
        if !std::mem::replace(&mut self.looked_after, true) {
            let tick = TICK.min(self.hub.settings.publisher_timeout / 4);
            ctx.spawn(OnWake::new(Together::new(vec![every(tick, Self::check_silence), every(REPORTS, Self::report)])));
        }
        // The client's TCP connection now carries 2 Mbit/s or more: read it in larger pieces.
        self.buffer.reserve(READ_BUFFER);
    }
}

impl Actor for RtspSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        log::debug!("{}: RTSP connection", self.link.peer);
        // Players are many and may be silent for long: a timer of each that strikes every second would show.
        let settings = &self.hub.settings;
        let tick = match self.carrier {
            Carrier::Wsp(_) => settings.sniff_timeout.min(settings.session_timeout),
            Carrier::Plain | Carrier::Websocket(_) => settings.session_timeout,
        };
        ctx.spawn(OnWake::new(Together::new(vec![Box::pin(Listen), every(tick / 4, Self::check_silence)])));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.unpublish();
        log::info!(
            "{}: RTSP connection ended after {:.1} s, {} bytes received, {} sent: {}",
            self.link.peer,
            self.link.since.elapsed().as_secs_f64(),
            self.link.meter.bytes_in(),
            self.link.meter.bytes_out(),
            self.reason.as_deref().unwrap_or("ended"),
        );
    }
}

impl Handler<Datagrams> for RtspSession {
    type Result = ();

    fn handle(&mut self, message: Datagrams, ctx: &mut Self::Context) {
        self.heard = Instant::now();
        let (now, peer) = (self.now(), self.link.peer);
        self.link.received_elsewhere(message.datagrams.iter().map(Bytes::len).sum());
        if let Some(publishing) = &mut self.publishing {
            for datagram in message.datagrams {
                publishing.take(message.track, message.rtcp, datagram, now, &peer);
            }
        } else if message.rtcp {
            self.hear_reports(&message.datagrams);
        }
        self.forward(ctx);
    }
}

impl Handler<EndPublishing> for RtspSession {
    type Result = ();

    fn handle(&mut self, end: EndPublishing, ctx: &mut Self::Context) {
        // RTSP has no way to tell a publisher but a request of ours, which few publishers read: the TEARDOWN of RFC 2326
        // section 10.7 may come from either side. Then the connection closes.
        self.publishing = None;
        self.tell_end(&end.reason, ctx);
    }
}
