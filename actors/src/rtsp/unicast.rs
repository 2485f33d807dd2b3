//! UDP between an RTSP session and its client: the claims on the client's ports, from SETUP on, and what a player says of its
//! packets' way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use ipchub_media::rtp::rtcp::{self, ReportBlock, Rtcp};
use ipchub_media::rtsp::session::TrackTransport;

use super::line::Way;
use super::multicast::groups::Lease;
use super::session::RtspSession;
use super::udp::{Datagrams, KnownBy, UdpRoute, Wanted};
use crate::info::Loss;

/// The claims of a session that plays; index: track.
#[derive(Debug, Default)]
pub(super) struct Ports {
    routes: Vec<Option<Rc<UdpRoute>>>,
    /// The last report of each track.
    reports: Vec<Option<ReportBlock>>,
    /// The source's multicast group, while a track goes there.
    pub(super) lease: Option<Arc<Lease>>,
}

impl Ports {
    /// How each track goes to the client. One over UDP is claimed before.
    pub(super) fn ways(&self, transports: &[Option<TrackTransport>]) -> Vec<Way> {
        let way = |(track, transport): (usize, &Option<TrackTransport>)| match transport {
            Some(TrackTransport::Interleaved { rtp, rtcp }) => Way::Interleaved { rtp: *rtp, rtcp: *rtcp },
            Some(TrackTransport::Udp { .. }) => self.routes.get(track).cloned().flatten().map_or(Way::None, Way::Udp),
            Some(TrackTransport::Multicast) | None => Way::None,
        };
        transports.iter().enumerate().map(way).collect()
    }

    /// Players send their first packet about now, to open the way through a NAT.
    pub(super) fn reopen(&self) {
        self.routes.iter().flatten().for_each(|route| route.reopen());
    }
}

impl RtspSession {
    /// Answers a SETUP for multicast.
    pub(super) fn lease_group(&mut self, ctx: &mut Context<Self>) {
        let groups = self.hub.multicast.clone();
        let machine = self.machine();
        let leased = match (groups, machine.path(), machine.described()) {
            (Some(groups), Some(path), Some(described)) => {
                let ssrc = described.ssrcs.first().copied().unwrap_or_default();
                groups.lease(path, ssrc, described.tracks.len())
            }
            _ => Err((461, "Multicast is not offered here.".into())),
        };
        let group = leased.as_ref().map(|lease| lease.group()).map_err(Clone::clone);
        self.ports().lease = leased.ok();
        let mut events = Vec::new();
        self.machine().answer_group(group, &mut events);
        self.act(events, ctx);
    }

    /// Claims the ports of the tracks that are set up to be played over UDP, and gives up others. From SETUP on: ffmpeg sends
    /// its first packets before PLAY.
    pub(super) fn claim_ports(&mut self, ctx: &mut Context<Self>) {
        let transports = self.machine().play_transports().to_vec();
        let ports = self.ports();
        ports.routes.resize_with(transports.len(), || None);
        ports.reports.resize(transports.len(), None);
        if !transports.contains(&Some(TrackTransport::Multicast)) {
            ports.lease = None;
        }
        let Some(udp) = self.hub.udp.clone() else { return };
        let announced = |track: usize| match transports.get(track) {
            Some(Some(TrackTransport::Udp { client_rtp, client_rtcp })) => Some((*client_rtp, *client_rtcp)),
            _ => None,
        };
        let ssrcs: Vec<u32> = self.machine().described().map(|d| d.ssrcs.clone()).unwrap_or_default();
        let (client, session) = (self.link().peer.ip(), self.number());
        let ports = self.ports();
        for (track, route) in ports.routes.iter_mut().enumerate() {
            let wanted = announced(track);
            if route.as_ref().map(|route| route.announced()) == wanted {
                continue;
            }
            *route = wanted.map(|ports| {
                let known_by = KnownBy::Ssrc(ssrcs.get(track).copied().unwrap_or_default());
                let to = ctx.address().recipient::<Datagrams>();
                Rc::new(udp.register(client, Wanted { session, track, ports, known_by }, &to))
            });
        }
    }

    /// Takes a player's receiver reports.
    pub(super) fn hear_reports(&mut self, datagrams: &[bytes::Bytes]) {
        let Some(described) = self.machine().described() else { return };
        let ssrcs = described.ssrcs.clone();
        let clocks: Vec<u32> = described.tracks.iter().map(|track| track.clock_rate.max(1)).collect();
        // A report that cannot be read says nothing; the next one may.
        let parts = datagrams.iter().filter_map(|bytes| rtcp::parse(bytes).ok()).flatten();
        let ports = self.ports();
        let mut heard = false;
        for part in parts {
            let Rtcp::ReportBlock(block) = part else { continue };
            let track = ssrcs.iter().position(|ssrc| *ssrc == block.ssrc);
            if let Some(last) = track.and_then(|track| ports.reports.get_mut(track)) {
                (*last, heard) = (Some(block), true);
            }
        }
        if !heard {
            return;
        }
        let loss = loss(&ports.reports, &clocks);
        if let Some(consumer) = self.consumer() {
            consumer.set_loss(loss);
        }
    }
}

fn loss(reports: &[Option<ReportBlock>], clocks: &[u32]) -> Loss {
    let known = reports.iter().zip(clocks).filter_map(|(report, clock)| Some((report.as_ref()?, *clock)));
    known.fold(Loss::default(), |sum, (report, clock)| Loss {
        packets: sum.packets + i64::from(report.lost),
        fraction: sum.fraction.max(f64::from(report.fraction_lost) / 256.0),
        jitter: sum.jitter.max(Duration::from_secs_f64(f64::from(report.jitter) / f64::from(clock))),
    })
}
