//! One live path: what its publisher sends becomes frames on one timeline, the last GOP is kept, and each lane that somebody
//! uses gets every frame.

mod absence;
mod frames;
mod gop;
mod rate;
pub(crate) mod relay;
mod rtp;
pub mod snapshot;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use ipchub_media::rtp::depacketize::AccessUnit;
use ipchub_media::timeline::Timeline;
use ipchub_media::{Codec, Frame, Kind, Output, Track};
use tokio::sync::oneshot;

use crate::hub::Hub;
use crate::info::{Lack, SourceInfo};
use crate::lane::Lane;
use crate::messages::{
    Described, EndPublishing, Gone, Media, MediaItem, Opening, Publish, Subscribe, SubscribeError, Unpublish,
    Unsubscribe,
};
use crate::meter::Active;
use crate::on_wake::{OnWake, Together, every};
use crate::rtp_lane::RtpLane;
use crate::trouble::Trouble;
use absence::Absence;
use frames::FrameLane;
use gop::Gop;
use relay::{Relay, RtpGop};
use track::SourceTrack;

/// How often measured rates are written into the source's description; a snapshot is kept as long.
const MEASURE: Duration = Duration::from_secs(2);
/// Messages that wait for a source at most; each holds what one read of a publisher's socket gave.
const MAILBOX: usize = 64;

/// The actor of one live path.
#[derive(Debug)]
pub struct Source {
    hub: Hub,
    info: Arc<SourceInfo>,
    publisher: Option<Publisher>,
    tracks: Vec<SourceTrack>,
    timeline: Timeline,
    gop: Gop,
    absence: Absence,
    lanes: BTreeMap<Output, Lane>,
    frame_lane: FrameLane,
    /// One a track, for as long as publishers bring the same kinds of tracks.
    relays: Vec<Relay>,
    rtp_gop: RtpGop,
    rtp_lane: Option<RtpLane>,
    /// Who waits for parameter sets to be known.
    describing: Vec<oneshot::Sender<Described>>,
    /// Runs while there is no publisher and none has said that it comes back.
    grace: Option<SpawnHandle>,
    /// A publisher that comes back by itself for as long as its actor lives.
    absent: Option<Recipient<EndPublishing>>,
    trouble: Trouble,
    units: Vec<AccessUnit>,
    _counted: Active,
}

#[derive(Debug)]
struct Publisher {
    id: u64,
    addr: String,
    recipient: Recipient<EndPublishing>,
}

/// To a source: end, with everyone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct End {
    pub(crate) reason: String,
}

impl Source {
    pub(crate) fn new(hub: Hub, info: Arc<SourceInfo>, ctx: &mut Context<Self>) -> Self {
        ctx.set_mailbox_capacity(MAILBOX);
        let max_gop_bytes = hub.settings.max_gop_bytes;
        let gop = Gop::new(max_gop_bytes, hub.settings.max_gop_frames);
        let counted = hub.stats.sources.enter();
        let frame_lane = FrameLane::new(Arc::clone(&hub.stats));
        Self {
            hub,
            info,
            publisher: None,
            tracks: Vec::new(),
            timeline: Timeline::new(),
            gop,
            absence: Absence::new(None),
            lanes: BTreeMap::new(),
            frame_lane,
            relays: Vec::new(),
            rtp_gop: RtpGop::new(max_gop_bytes),
            rtp_lane: None,
            describing: Vec::new(),
            grace: None,
            absent: None,
            trouble: Trouble::default(),
            units: Vec::new(),
            _counted: counted,
        }
    }

    fn has_viewers(&self) -> bool {
        !self.lanes.is_empty() || !self.frame_lane.is_unused() || self.rtp_lane.is_some()
    }

    fn plain_tracks(&self) -> Vec<Track> {
        self.tracks.iter().map(|track| track.track.clone()).collect()
    }

    fn wait_for_publisher(&mut self, ctx: &mut Context<Self>) {
        let grace = self.hub.settings.publisher_grace;
        self.grace = Some(ctx.run_later(grace, |source, ctx| source.end("its publisher did not come back", ctx)));
    }

    fn end(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let publisher = self.publisher.take().map(|publisher| publisher.recipient);
        for publisher in publisher.into_iter().chain(self.absent.take()) {
            publisher.do_send(EndPublishing { reason: reason.to_owned() });
        }
        self.info.set_publisher(None);
        for lane in self.lanes.values_mut() {
            lane.end(reason);
        }
        self.lanes.clear();
        self.frame_lane.end(reason);
        if let Some(mut lane) = self.rtp_lane.take() {
            lane.end(reason, &self.relays);
        }
        log::info!(
            "{}: source ended after {:.1} s, {} bytes received: {reason}",
            self.info.path,
            self.info.started.at.elapsed().as_secs_f64(),
            self.info.bytes.load(std::sync::atomic::Ordering::Relaxed),
        );
        ctx.stop();
    }

    fn packet(&mut self, track: usize, received: ipchub_media::rtp::receiver::Received, arrival: Duration) {
        let Some(state) = self.tracks.get_mut(track) else { return };
        let mut units = std::mem::take(&mut self.units);
        if let Some(depacketizer) = &mut state.depacketizer
            && let Err(error) = depacketizer.push(&received.packet, received.lost, &mut units)
        {
            self.hub.stats.bad_packets.add(1);
            let sequence = received.packet.sequence;
            let place = format!("{}, track {track}, RTP sequence number {sequence}", self.info.path);
            self.trouble.warn(&place, &error);
        }
        let timestamp = received.packet.timestamp;
        let before = state.placed;
        let pts = match before {
            // All packets of an access unit have one time, also if a sender report moved the track between them.
            Some((placed, pts)) if placed == timestamp => pts,
            _ => match self.timeline.time(track, timestamp, arrival) {
                Some(pts) => pts,
                None => return,
            },
        };
        state.placed = Some((timestamp, pts));
        self.relay(track, received, pts, &units);
        for unit in units.drain(..) {
            // An access unit that ended with an earlier packet has that packet's time: a jump may lie between them.
            let (near, pts) = match before {
                Some((earlier, at)) if unit.timestamp != timestamp && unit.timestamp == earlier => (earlier, at),
                _ => (timestamp, pts),
            };
            let pts = pts + i64::from(unit.timestamp.wrapping_sub(near) as i32);
            self.unit(track, unit, pts);
        }
        self.units = units;
    }

    fn unit(&mut self, track: usize, unit: AccessUnit, pts: i64) {
        let Some(state) = self.tracks.get_mut(track) else { return };
        if let Some(parameters) = unit.parameters {
            state.set_parameters(&parameters);
            for lane in self.lanes.values_mut() {
                lane.set_parameters(track, &parameters);
            }
            let tracks: Vec<_> = self.tracks.iter().map(|track| &track.track).collect();
            self.frame_lane.set_parameters(tracks.iter().copied());
            track::describe(&self.info, &tracks);
            self.answer_describing(false);
        }
        let Some(state) = self.tracks.get_mut(track) else { return };
        let dts = state.decode_time(pts, self.timeline.moved(track));
        // A sender report that moved the track back, or more reordering than was declared: shown as soon as it is decoded.
        let pts = pts.max(dts);
        state.rate.add(unit.units.len());
        let frame = Frame { track, pts, dts, key: unit.key, units: unit.units };
        self.watch_absence(&frame);
        for lane in self.lanes.values_mut() {
            lane.frame(&frame);
        }
        self.frame_lane.frame(&frame, self.tracks.iter().map(|track| &track.track));
        self.gop.push(frame);
    }

    fn watch_absence(&mut self, frame: &Frame) {
        let Some(SourceTrack { track, .. }) = self.tracks.get(frame.track) else { return };
        let told = track.parameters.is_some() || !matches!(track.codec, Codec::H264 | Codec::H265 | Codec::Av1);
        let before = self.absence.is_absent();
        if let Some(lack) = self.absence.begins_with(frame, frame.key && told, track.clock_rate) {
            self.go_on_without_video(lack);
        } else if before && !self.absence.is_absent() {
            log::info!("{}: the video has come", self.info.path);
            self.info.describe(|description| description.lack = None);
        }
    }

    fn go_on_without_video(&mut self, lack: Lack) {
        let has_sound = self.tracks.iter().any(|track| track.track.kind == Kind::Audio);
        let until = if has_sound { "viewers get the sound alone until it does" } else { "viewers wait until it does" };
        let what = match lack {
            Lack::Video => "no video comes",
            Lack::KeyFrame => "the video has no key frame that comes with known parameter sets",
        };
        log::warn!("{}: {what}, {until}", self.info.path);
        self.info.describe(|description| description.lack = Some(lack));
        for lane in self.lanes.values_mut() {
            lane.leave_out_video();
        }
        self.frame_lane.leave_out_video();
        self.rtp_gop.set_leading(None);
    }

    /// The lane for viewers that want it so, made from the cached GOP if nobody used it before.
    fn lane(&mut self, output: Output) -> &mut Lane {
        let tracks = self.plain_tracks();
        self.lanes.entry(output).or_insert_with(|| {
            let mut lane = Lane::new(&tracks, output, &self.hub);
            for frame in self.gop.frames() {
                lane.frame(frame);
            }
            if self.absence.is_absent() {
                lane.leave_out_video();
            }
            lane
        })
    }
}

impl Actor for Source {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Whoever claimed the path publishes next; if it does not, nobody waits for it for ever.
        self.wait_for_publisher(ctx);
        let reports = every(rtp::REPORTS, |source: &mut Self, _| source.report());
        let measure = every(MEASURE, |source: &mut Self, ctx| {
            if source.absent.as_ref().is_some_and(|publisher| !publisher.connected()) {
                source.absent = None;
                source.wait_for_publisher(ctx);
            }
            let info = Arc::clone(&source.info);
            info.forget_snapshot();
            source.info.audience.set(source.has_viewers());
            for track in &mut source.tracks {
                track.measure(&info, MEASURE);
            }
        });
        ctx.spawn(OnWake::new(Together::new(vec![reports, measure])));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.info.set_ended();
        self.hub.supervisor.do_send(Gone { info: Arc::clone(&self.info) });
    }
}

impl Handler<Publish> for Source {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) {
        if let Some(grace) = self.grace.take() {
            ctx.cancel_future(grace);
        }
        let absent = self.absent.take();
        let Publish { id, addr, tracks, publisher } = publish;
        let path = &self.info.path;
        if let Some(absent) = absent.filter(|absent| *absent != publisher) {
            absent.do_send(EndPublishing { reason: format!("{addr} took over {path}") });
        }
        if let Some(before) = self.publisher.take() {
            log::info!("{path}: {addr} takes over from {}", before.addr);
            before.recipient.do_send(EndPublishing { reason: format!("{addr} took over {path}") });
        }
        let names: Vec<_> = tracks.iter().map(|track| format!("{:?} {}", track.kind, track.codec_name())).collect();
        log::info!("{path}: published by {addr}: {}", names.join(", "));
        track::log_left_out(path, &tracks);
        self.gop.clear();
        self.info.forget_snapshot();
        let ends: BTreeMap<_, _> = self.tracks.iter().map(|t| (kind_order(t.track.kind), t.end_nanos())).collect();
        self.timeline.publisher(tracks.iter().map(|track| track.clock_rate));
        let before = self.plain_tracks();
        self.tracks = tracks
            .into_iter()
            .map(|track| {
                let end = ends.get(&kind_order(track.kind)).copied().flatten();
                SourceTrack::new(track, self.hub.settings.max_access_unit, end)
            })
            .collect();
        let leads =
            self.tracks.iter().position(|track| track.track.kind == Kind::Video && track.depacketizer.is_some());
        self.absence = Absence::new(leads);
        self.gop.set_leading(leads);
        self.rtp_gop.set_leading(leads);
        let plain = self.plain_tracks();
        self.retune_rtp(&before, &plain);
        for lane in self.lanes.values_mut() {
            lane.retune(&plain);
        }
        self.frame_lane.retune(&plain, leads);
        track::describe(&self.info, &plain.iter().collect::<Vec<_>>());
        self.info.describe(|description| {
            description.addr.clone_from(&addr);
            description.lack = None;
        });
        self.info.set_publisher(Some(id));
        self.publisher = Some(Publisher { id, addr, recipient: publisher });
    }
}

fn kind_order(kind: Kind) -> u8 {
    match kind {
        Kind::Video => 0,
        Kind::Audio => 1,
        Kind::Other => 2,
    }
}

impl Handler<Media> for Source {
    type Result = ();

    fn handle(&mut self, media: Media, _: &mut Self::Context) {
        if self.publisher.as_ref().is_none_or(|publisher| publisher.id != media.publisher) {
            return;
        }
        self.info.add_bytes(media.bytes);
        for item in media.items {
            match item {
                MediaItem::Packet { track, received } => self.packet(track, received, media.arrival),
                MediaItem::Report { track, report } => self.timeline.sender_report(track, report),
            }
        }
    }
}

impl Handler<Unpublish> for Source {
    type Result = ();

    fn handle(&mut self, gone: Unpublish, ctx: &mut Self::Context) {
        if self.publisher.as_ref().is_none_or(|publisher| publisher.id != gone.id) {
            return;
        }
        let publisher = self.publisher.take().map(|publisher| publisher.recipient);
        self.info.set_publisher(None);
        self.gop.clear();
        self.info.forget_snapshot();
        for lane in self.lanes.values_mut() {
            lane.clear();
        }
        self.rtp_gop.clear();
        if let Some(lane) = &mut self.rtp_lane {
            lane.clear();
        }
        if !self.has_viewers() {
            return self.end(&gone.reason, ctx);
        }
        self.info.describe(|description| description.addr.clear());
        if gone.comes_back {
            log::info!("{}: {}; its viewers wait until it is back", self.info.path, gone.reason);
            self.absent = publisher;
        } else {
            let grace = self.hub.settings.publisher_grace.as_secs_f64();
            log::info!("{}: {}; its viewers wait {grace} s for the next publisher", self.info.path, gone.reason);
            self.wait_for_publisher(ctx);
        }
    }
}

impl Handler<Subscribe> for Source {
    type Result = Result<Opening, SubscribeError>;

    fn handle(&mut self, subscribe: Subscribe, _: &mut Self::Context) -> Self::Result {
        let plain = self.plain_tracks();
        if let Some(reason) = subscribe.output.plan(&plain).refusal() {
            return Err(SubscribeError::NotCarried(reason));
        }
        let output = subscribe.output.normalized(&plain);
        self.info.audience.set(true);
        Ok(self.lane(output).subscribe(&subscribe.consumer, subscribe.branch))
    }
}

impl Handler<Unsubscribe> for Source {
    type Result = ();

    fn handle(&mut self, gone: Unsubscribe, ctx: &mut Self::Context) {
        // A lane lives while somebody uses it. It may have found out before that this viewer's mailbox is closed.
        self.lanes.retain(|_, lane| {
            lane.unsubscribe(gone.id);
            !lane.is_unused()
        });
        self.frame_lane.unsubscribe(gone.id);
        if let Some(lane) = &mut self.rtp_lane {
            lane.unsubscribe(gone.id);
        }
        self.rtp_lane.take_if(|lane| lane.is_unused());
        if !self.has_viewers() && self.publisher.is_none() {
            self.end("its publisher is gone and so is its last viewer", ctx);
        }
    }
}

impl Handler<End> for Source {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        self.end(&end.reason, ctx);
    }
}
