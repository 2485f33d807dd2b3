//! Publishes the built-in clip in a loop, with a clock that goes on for ever. It sends RTP packets to its source as a camera
//! would.

use std::time::{Duration, Instant};

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::Track;
use ipchub_media::rtp::receiver::Received;

use crate::clip::{ClipError, ClipFrame, Medium, Reader, Sender};
use crate::hub::Hub;
use crate::messages::{Claim, EndPublishing, Found, Media, MediaItem, Publish};
use crate::source::Source;

/// An ended demo comes back after this.
const RESTART: Duration = Duration::from_secs(1);
/// The clip is in memory and short.
const OPENING: Duration = Duration::from_secs(10);

/// The actor that plays a clip to its path.
#[derive(Debug)]
pub struct DemoPublisher {
    hub: Hub,
    path: String,
    clip: Reader,
    next: ClipFrame,
    sender: Sender,
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    id: u64,
    source: Addr<Source>,
    start: Instant,
    /// What was due at the start.
    from: Duration,
}

impl DemoPublisher {
    /// Plays an MP4 or FLV clip of H.264 or H.265 and AAC.
    ///
    /// # Errors
    /// What is wrong with the clip.
    pub fn new(hub: Hub, path: &str, clip: &'static [u8]) -> Result<Self, ClipError> {
        let mut clip = Reader::open(Medium::Memory(Bytes::from_static(clip)), Instant::now() + OPENING)?;
        let (next, sender) = (clip.next()?, Sender::new(clip.tracks()));
        Ok(Self { hub, path: path.to_owned(), clip, next, sender, live: None })
    }

    fn publish(&mut self, ctx: &mut Context<Self>) {
        let claim = Claim { path: self.path.clone(), arbiter: Arbiter::current() };
        ctx.spawn(self.hub.supervisor.send(claim).into_actor(self).map(|found, demo, ctx| {
            if let Ok(Ok(found)) = found {
                demo.begin(found, ctx);
            }
        }));
    }

    fn begin(&mut self, found: Found, ctx: &mut Context<Self>) {
        let id = self.hub.publisher_id();
        let tracks: Vec<Track> = self.clip.tracks().iter().map(|track| track.track.clone()).collect();
        let publisher = ctx.address().recipient();
        found.source.do_send(Publish { id, addr: "demo clip".into(), tracks, publisher });
        let items = self.sender.reports().map(|(track, report)| MediaItem::Report { track, report }).collect();
        found.source.do_send(Media { publisher: id, arrival: self.hub.started.at.elapsed(), bytes: 0, items });
        self.live = Some(Live { id, source: found.source, start: Instant::now(), from: self.next.due });
        self.send_due(ctx);
    }

    /// Sends every frame that is due and comes back for the next.
    fn send_due(&mut self, ctx: &mut Context<Self>) {
        let Some(live) = &mut self.live else { return };
        let now = self.hub.started.at.elapsed();
        let elapsed = live.from + live.start.elapsed();
        let mut media = Media { publisher: live.id, arrival: now, bytes: 0, items: Vec::new() };
        let mut packets = Vec::new();
        while self.next.due <= elapsed {
            let track = self.next.track;
            self.sender.packets(&self.next, &mut packets);
            for packet in packets.drain(..) {
                media.bytes += packet.payload.len() as u64;
                media.items.push(MediaItem::Packet { track, received: Received { packet, lost: false } });
            }
            match self.clip.next() {
                Ok(next) => self.next = next,
                Err(error) => {
                    log::error!("{}: the demo clip ends: {error}", self.path);
                    return ctx.stop();
                }
            }
        }
        let wait = self.next.due - elapsed;
        // A source that is too busy for a clip misses a frame of it.
        let gone = matches!(live.source.try_send(media), Err(SendError::Closed(_)));
        if gone {
            self.live = None;
            ctx.run_later(RESTART, Self::publish);
        } else {
            ctx.run_later(wait, Self::send_due);
        }
    }
}

impl Actor for DemoPublisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish(ctx);
    }
}

impl Handler<EndPublishing> for DemoPublisher {
    type Result = ();

    /// Ended by the administrator or taken over: the clip gives way.
    fn handle(&mut self, end: EndPublishing, ctx: &mut Self::Context) {
        log::info!("{}: the demo clip ends: {}", self.path, end.reason);
        self.live = None;
        ctx.stop();
    }
}
