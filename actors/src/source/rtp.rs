//! The source's side of RTP viewers: relaying, descriptions, reports.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::depacketize::AccessUnit;
use ipchub_media::rtp::receiver::Received;
use ipchub_media::rtp::rtcp::{self, SenderReport};
use ipchub_media::{Codec, Track};
use tokio::sync::oneshot;

use super::Source;
use super::relay::{Relay, RtpUnit};
use crate::messages::{DescribeTracks, Described, RtpOpening, SubscribeRtp};
use crate::rtp_lane::RtpLane;

/// How often sender reports go out (RFC 3550, section 6.2).
pub(super) const REPORTS: Duration = Duration::from_secs(5);
/// How long a description waits for parameter sets that are only in the stream: longer than most cameras' GOP.
const DESCRIBE_WAIT: Duration = Duration::from_secs(5);
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

impl Source {
    /// Numbers a packet as the hub's own, and gives viewers what is complete.
    pub(super) fn relay(&mut self, track: usize, received: Received, pts: i64, ended: &[AccessUnit]) {
        let Self { relays, absence, rtp_gop, rtp_lane, .. } = self;
        let Some(relay) = relays.get_mut(track) else { return };
        let mut give = |unit: RtpUnit, packets: &mut Vec<Packet>| {
            if absence.video() == Some(unit.track) {
                if unit.key {
                    // Viewers begin with pictures again, if they did not.
                    rtp_gop.set_leading(Some(unit.track));
                } else if absence.is_absent() {
                    // Nobody has what it refers to.
                    return;
                }
            }
            if let Some(lane) = rtp_lane {
                lane.unit(&unit, packets, rtp_gop.starts(&unit));
            }
            rtp_gop.push(unit, packets);
            if rtp_gop.is_empty()
                && let Some(lane) = rtp_lane
            {
                // Its bound is the lane's too.
                lane.forget();
            }
        };
        match ended {
            [] => relay.take(track, received, pts, &[], &mut give),
            [unit] => relay.take(track, received, pts, &[(unit.timestamp, unit.key)], &mut give),
            several => {
                let ended: Vec<_> = several.iter().map(|unit| (unit.timestamp, unit.key)).collect();
                relay.take(track, received, pts, &ended, &mut give);
            }
        }
    }

    /// A new publisher: viewers go on if its tracks are of the same kinds, else their description is void and they end.
    pub(super) fn retune_rtp(&mut self, before: &[Track], now: &[Track]) {
        self.rtp_gop.clear();
        let same = self.relays.len() == now.len()
            && before.len() == now.len()
            && before.iter().zip(now).all(|(a, b)| (a.codec, a.clock_rate, a.kind) == (b.codec, b.clock_rate, b.kind));
        if !same {
            if let Some(mut lane) = self.rtp_lane.take() {
                lane.end("the publisher's tracks are other ones now", &self.relays);
            }
            let max_bytes = self.hub.settings.max_access_unit;
            self.relays = now.iter().map(|track| Relay::new(track, max_bytes)).collect();
        } else {
            for (relay, track) in self.relays.iter_mut().zip(now) {
                relay.restart(track.parameters.as_ref());
            }
            if let Some(lane) = &mut self.rtp_lane {
                lane.clear();
            }
        }
        self.answer_describing(false);
    }

    /// Answers those who wait for a description, if it is complete or must do.
    pub(super) fn answer_describing(&mut self, anyway: bool) {
        if self.describing.is_empty() || self.tracks.is_empty() || !(anyway || self.is_described()) {
            return;
        }
        let described =
            Described { tracks: self.plain_tracks(), ssrcs: self.relays.iter().map(|relay| relay.ssrc).collect() };
        for waiting in self.describing.drain(..) {
            // Who has left meanwhile needs no answer.
            let _ = waiting.send(described.clone());
        }
    }

    fn is_described(&self) -> bool {
        self.tracks.iter().all(|track| {
            track.track.parameters.is_some() || !matches!(track.track.codec, Codec::H264 | Codec::H265 | Codec::Aac)
        })
    }

    /// The sender reports that are true now. All tracks of a source share one timeline, so any moment of it will do.
    fn reports(&self) -> Vec<(usize, Bytes)> {
        let Some(start) = self.timeline.start() else { return Vec::new() };
        let now = self.hub.started.at.elapsed();
        let wall = self.hub.started.on + now;
        let Ok(wall) = wall.duration_since(std::time::UNIX_EPOCH) else { return Vec::new() };
        let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
        let ntp = (wall.as_secs() + NTP_TO_UNIX) << 32 | fraction;
        let here = now.saturating_sub(start).as_nanos();
        let tracks = self.relays.iter().zip(&self.tracks).enumerate();
        tracks
            .map(|(n, (relay, track))| {
                let ticks = (here * u128::from(track.track.clock_rate) / 1_000_000_000) as i64;
                let report = SenderReport { ssrc: relay.ssrc, ntp, rtp: relay.rtp_time(ticks) };
                (n, rtcp::sender_report(&report, relay.packets, relay.octets, "ipchub"))
            })
            .collect()
    }

    pub(super) fn report(&mut self) {
        if self.rtp_lane.is_none() || self.publisher.is_none() {
            return;
        }
        for (track, bytes) in self.reports() {
            if let Some(lane) = &mut self.rtp_lane {
                lane.report(track, &bytes);
            }
        }
    }
}

impl Handler<DescribeTracks> for Source {
    type Result = ResponseFuture<Option<Described>>;

    fn handle(&mut self, _: DescribeTracks, ctx: &mut Self::Context) -> Self::Result {
        let (answer, described) = oneshot::channel();
        self.describing.push(answer);
        self.answer_describing(false);
        if !self.describing.is_empty() {
            ctx.run_later(DESCRIBE_WAIT, |source, _| source.answer_describing(true));
        }
        Box::pin(async move { described.await.ok() })
    }
}

impl Handler<SubscribeRtp> for Source {
    type Result = MessageResult<SubscribeRtp>;

    fn handle(&mut self, subscribe: SubscribeRtp, _: &mut Self::Context) -> Self::Result {
        self.info.audience.set(true);
        let reports = self.reports();
        let here =
            self.timeline.start().map_or(0, |start| self.hub.started.at.elapsed().saturating_sub(start).as_nanos());
        let starts = self
            .relays
            .iter()
            .zip(&self.tracks)
            .map(|(relay, track)| relay.next((here * u128::from(track.track.clock_rate) / 1_000_000_000) as i64))
            .collect();
        let (gop, stats) = (&self.rtp_gop, &self.hub.stats);
        let lane = self.rtp_lane.get_or_insert_with(|| {
            let mut lane = RtpLane::new(Arc::clone(stats));
            lane.fill(gop.units());
            lane
        });
        let opening: RtpOpening = lane.subscribe(subscribe, &reports, starts);
        MessageResult(opening)
    }
}
