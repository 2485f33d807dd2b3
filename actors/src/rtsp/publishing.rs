//! The receiving side of an RTSP session that publishes: RTP receivers, their reports, and what goes to the source.

use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use actix::{Addr, Arbiter};
use bytes::Bytes;
use ipchub_media::Track;
use ipchub_media::rtp::receiver::{Order, Receiver};
use ipchub_media::rtp::rtcp::{self, Rtcp};
use ipchub_media::rtp::{Packet, packet};
use ipchub_media::rtsp::session::TrackTransport;

use super::resting::Resting;
use super::udp::UdpRoute;
use crate::info::{Reception, SourceInfo};
use crate::messages::{Claim, Found, Media, MediaItem, OfTrack, Publish};
use crate::meter::Stats;
use crate::source::Source;
use crate::supervisor::Supervisor;
use crate::trouble::Trouble;

/// Tries to publish to a source that is just ending.
const CLAIMS: usize = 3;

/// One published path.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) id: u64,
    pub(super) path: String,
    pub(super) source: Addr<Source>,
    pub(super) tracks: Vec<Receiving>,
    pub(super) ssrc: u32,
    stats: Arc<Stats>,
    trouble: Trouble,
    items: Vec<MediaItem>,
    bytes: u64,
    info: Arc<SourceInfo>,
    /// `None`: it is not read by this session alone, or not as plain TCP.
    resting: Option<Resting>,
}

/// One track.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) receiver: Receiver,
    pub(super) transport: TrackTransport,
    pub(super) route: Option<UdpRoute>,
}

impl Publishing {
    pub(super) fn new(id: u64, path: String, found: &Found, stats: Arc<Stats>) -> Self {
        Self {
            id,
            path,
            source: found.source.clone(),
            tracks: Vec::new(),
            ssrc: super::udp::random_u64() as u32,
            stats,
            trouble: Trouble::default(),
            items: Vec::new(),
            bytes: 0,
            info: Arc::clone(&found.info),
            resting: None,
        }
    }

    /// The session may read seldom while nobody watches.
    pub(super) fn may_rest(&mut self, resting: Resting) {
        self.resting = Some(resting);
    }

    /// So many bytes were read, and whether these were the last that had come. True: nothing is read for a while.
    pub(super) fn read(&mut self, bytes: usize, drained: bool) -> bool {
        let Some(resting) = &mut self.resting else { return false };
        if drained {
            return resting.after_read(bytes, Instant::now(), &self.info.audience);
        }
        resting.more_is_there(bytes);
        false
    }

    /// Ready when the connection may be read.
    pub(super) fn poll_rested(&mut self, task: &mut Task<'_>) -> Poll<()> {
        self.resting.as_mut().map_or(Poll::Ready(()), |resting| resting.poll(&self.info.audience, task))
    }

    pub(super) fn add_track(&mut self, track: &Track, transport: TrackTransport, route: Option<UdpRoute>) {
        let order = if matches!(transport, TrackTransport::Udp { .. }) { Order::Mixed } else { Order::Kept };
        let receiver = Receiver::new(track.payload_type, track.clock_rate, order);
        self.tracks.push(Receiving { receiver, transport, route });
    }

    /// Takes one packet of a track; `place` says whose it is.
    pub(super) fn take(&mut self, track: usize, is_rtcp: bool, bytes: Bytes, now: Duration, place: &dyn Display) {
        self.bytes += bytes.len() as u64;
        let Some(receiving) = self.tracks.get_mut(track) else { return };
        let result: Result<(), Box<dyn Display>> = if is_rtcp {
            rtcp::parse(&bytes).map_err(|error| Box::new(error) as _).map(|parts| {
                for part in parts {
                    if let Rtcp::SenderReport(report) = part {
                        receiving.receiver.sender_report(report, now);
                        self.items.push(MediaItem::Report { track, report });
                    }
                }
            })
        } else {
            let receiver = &mut receiving.receiver;
            match Packet::parse(bytes) {
                Ok(packet) => {
                    receiver.set_prompt(self.resting.as_ref().is_none_or(Resting::is_awake));
                    let mut out = OfTrack { track, items: &mut self.items };
                    receiver.push(packet, now, &mut out).map_err(|error| Box::new(error) as _)
                }
                // Some publishers send RTCP where RTP belongs (RFC 5761 allows it where it was agreed).
                Err(packet::PacketError::Truncated { len, .. }) if len < packet::HEADER_LEN => {
                    Err(Box::new(format!("{len} bytes are no RTP packet")) as _)
                }
                Err(error) => Err(Box::new(error) as _),
            }
        };
        if let Err(error) = result {
            self.stats.bad_packets.add(1);
            let place = format!("{place}, {}, track {track}", self.path);
            self.trouble.warn(&place, &*error);
        }
    }

    /// Tells of something that could not be used.
    pub(super) fn warn(&mut self, place: &dyn Display, what: &dyn Display) {
        self.stats.bad_packets.add(1);
        self.trouble.warn(place, what);
    }

    /// What was taken since the last call, as one message.
    pub(super) fn media(&mut self, now: Duration) -> Option<Media> {
        if self.items.is_empty() && self.bytes == 0 {
            return None;
        }
        self.info.set_reception(self.id, self.reception());
        // The next read probably brings as much.
        let next = Vec::with_capacity(self.items.len());
        let (items, bytes) = (std::mem::replace(&mut self.items, next), std::mem::take(&mut self.bytes));
        Some(Media { publisher: self.id, arrival: now, bytes, items })
    }

    fn reception(&self) -> Reception {
        Reception::of(self.tracks.iter().map(|track| &track.receiver))
    }

    /// A receiver report for each track that has had packets.
    pub(super) fn reports(&mut self, now: Duration) -> Vec<(&Receiving, Bytes)> {
        let ssrc = self.ssrc;
        self.tracks
            .iter_mut()
            .filter_map(|receiving| {
                let block = receiving.receiver.report_block(now)?;
                Some((&*receiving, rtcp::receiver_report(ssrc, &block, "ipchub")))
            })
            .collect()
    }
}

/// Finds or makes the source of a path and publishes to it. A source that ends between the two is made anew.
pub(crate) async fn claim_and_publish(
    supervisor: Addr<Supervisor>,
    path: String,
    publish: Publish,
) -> Result<Found, String> {
    for _ in 0..CLAIMS {
        let claim = Claim { path: path.clone(), arbiter: Arbiter::current() };
        let found = match supervisor.send(claim).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => break,
        };
        if found.source.send(publish.clone()).await.is_ok() {
            return Ok(found);
        }
    }
    Err("the hub is shutting down".into())
}
