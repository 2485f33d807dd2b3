//! The sending side of an RTSP session that plays: it is a viewer of its source's RTP lane.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use ipchub_media::rtsp::session::{self as machine, TrackTransport};

use super::session::RtspSession;
use super::udp::{Datagrams, UdpRoute};
use crate::hub::Started;
use crate::info::{Consumer, PacketType, Registered};
use crate::messages::{
    DescribeTracks, EndViewing, Find, Found, Open, OpenError, RtpOpening, SubscribeRtp, Unsubscribe,
};
use crate::rtp_lane::{RtpChunk, on_channel};
use crate::supervisor::Supervisor;

/// One path that is watched.
#[derive(Debug)]
pub(super) struct Playing {
    path: String,
    consumer: Arc<Consumer>,
    found: Found,
    transports: Vec<Option<TrackTransport>>,
    routes: Vec<Option<UdpRoute>>,
    _registered: Registered,
}

/// Why a path cannot be played, as an RTSP status and words.
type Refusal = (u16, String);

impl Playing {
    pub(super) fn is_udp(&self) -> bool {
        self.routes.iter().any(Option::is_some)
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.found.source.do_send(Unsubscribe { id: self.consumer.id });
        log::info!(
            "{}: {} watched by {} for {:.1} s, {} chunks dropped",
            self.path,
            self.consumer.link.peer,
            &self.consumer.extra["net=".len()..],
            self.consumer.started.at.elapsed().as_secs_f64(),
            self.consumer.dropped.load(Relaxed),
        );
    }
}

impl RtspSession {
    /// Answers a description once the source has told what it sends.
    pub(super) fn describe(&mut self, request: machine::Describe, ctx: &mut Context<Self>) {
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
            session.flush(ctx);
        }));
    }

    /// Becomes a viewer, answers PLAY, and sends what the source has cached.
    pub(super) fn play(&mut self, request: machine::Play, ctx: &mut Context<Self>) {
        let supervisor = self.hub.supervisor.clone();
        let path = request.path.clone();
        let found = async move { find(&supervisor, path).await };
        ctx.wait(found.into_actor(self).map(move |found, session, ctx| match found {
            Ok(found) => session.subscribe(found, request, ctx),
            Err(refusal) => session.answer_play(Err(refusal), ctx),
        }));
    }

    fn subscribe(&mut self, found: Found, request: machine::Play, ctx: &mut Context<Self>) {
        let datagrams = ctx.address().recipient::<Datagrams>();
        let route = |(track, transport): (usize, &Option<TrackTransport>)| match (transport, &self.hub.udp) {
            (Some(TrackTransport::Udp { client_rtp, client_rtcp }), Some(udp)) => {
                Some(udp.register(self.link().peer.ip(), (*client_rtp, *client_rtcp), track, &datagrams))
            }
            _ => None,
        };
        let routes: Vec<_> = request.transports.iter().enumerate().map(route).collect();
        let udp = routes.iter().any(Option::is_some);
        let consumer = Arc::new(Consumer {
            id: self.hub.consumer_id(PacketType::Rtp),
            started: Started::now(),
            packet_type: PacketType::Rtp,
            extra: if udp { "net=rtsp-udp" } else { "net=rtsp-tcp" }.into(),
            link: Arc::clone(self.link()),
            offered: 0.into(),
            dropped: 0.into(),
        });
        let registered = found.info.add_consumer(Arc::clone(&consumer));
        ctx.set_mailbox_capacity(self.hub.settings.viewer_queue);
        let subscribe = SubscribeRtp {
            consumer: Arc::clone(&consumer),
            udp,
            chunks: ctx.address().recipient(),
            end: ctx.address().recipient(),
        };
        let opening = found.source.send(subscribe);
        let playing = Playing {
            path: request.path,
            consumer,
            found,
            transports: request.transports,
            routes,
            _registered: registered,
        };
        ctx.wait(opening.into_actor(self).map(move |opening, session, ctx| match opening {
            Ok(opening) => session.start_playing(playing, opening, ctx),
            Err(_) => session.answer_play(Err((404, format!("{} is not live any more.", playing.path))), ctx),
        }));
    }

    fn start_playing(&mut self, playing: Playing, opening: RtpOpening, ctx: &mut Context<Self>) {
        log::info!("{}: {} watches by {}", playing.path, self.link().peer, &playing.consumer.extra["net=".len()..]);
        let starts = playing.transports.iter().zip(&opening.starts).map(|(transport, start)| {
            let start = machine::RtpStart { sequence: start.sequence, timestamp: start.timestamp };
            transport.as_ref().map(|_| start)
        });
        let starts = starts.collect();
        self.set_playing(playing);
        self.answer_play(Ok(starts), ctx);
        for chunk in opening.chunks {
            self.send_chunk(&chunk, ctx);
        }
    }

    fn answer_play(&mut self, result: Result<Vec<Option<machine::RtpStart>>, Refusal>, ctx: &mut Context<Self>) {
        let mut events = Vec::new();
        self.machine().answer_play(result, &mut events);
        self.act(events, ctx);
        self.flush(ctx);
    }

    fn send_chunk(&mut self, chunk: &RtpChunk, ctx: &mut Context<Self>) {
        let Some((outbox, socket, playing)) = self.sending() else { return };
        match playing.transports.get(chunk.track).and_then(Option::as_ref) {
            None => {}
            Some(TrackTransport::Interleaved { rtp, rtcp }) => {
                let bytes = on_channel(&chunk.interleaved, if chunk.rtcp { *rtcp } else { *rtp });
                if !outbox.is_empty() {
                    return outbox.push(bytes);
                }
                match socket.try_write_vectored(&[IoSlice::new(&bytes)]) {
                    Ok(written) if written == bytes.len() => {}
                    Ok(written) => self.send_later(bytes.slice(written..), ctx),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.send_later(bytes, ctx),
                    Err(error) => self.fail(&error, ctx),
                }
            }
            Some(TrackTransport::Udp { .. }) => {
                let Some(Some(route)) = playing.routes.get(chunk.track) else { return };
                let Some(packed) = &chunk.datagrams else { return };
                let sent = route.send(chunk.rtcp, packed);
                playing.consumer.link.sent_elsewhere(sent);
            }
        }
    }
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
        if self.sending().is_some_and(|(.., playing)| playing.consumer.id == chunk.consumer) {
            self.send_chunk(&chunk, ctx);
        }
    }
}

impl Handler<EndViewing> for RtspSession {
    type Result = ();

    fn handle(&mut self, end: EndViewing, ctx: &mut Self::Context) {
        self.end_playing();
        let mut events = Vec::new();
        self.machine().teardown(&end.reason, &mut events);
        self.act(events, ctx);
    }
}
