//! What a camera sends becomes what a source takes: each track's packets in order, and its sender reports.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipchub_media::Kind;
use ipchub_media::rtp::receiver::Receiver;
use ipchub_media::rtp::rtcp::{self, Rtcp};

use super::feed::{Fed, Item};
use crate::info::Reception;
use crate::messages::{Media, MediaItem, OfTrack};
use crate::meter::Stats;
use crate::rtsp::udp::random_u64;
use crate::trouble::Trouble;

/// The receiving end of one connection.
#[derive(Debug)]
pub(super) struct Ingest {
    /// Path and camera, for messages.
    place: String,
    tracks: Vec<Receiving>,
    items: Vec<MediaItem>,
    bytes: u64,
    /// Of our reports.
    ssrc: u32,
    stats: Arc<Stats>,
    trouble: Trouble,
}

#[derive(Debug)]
struct Receiving {
    kind: Kind,
    receiver: Receiver,
    ssrc: Option<u32>,
    /// Its last packet, at first the beginning.
    heard: Instant,
}

impl Ingest {
    pub(super) fn new(place: String, tracks: &[Fed], stats: Arc<Stats>) -> Self {
        let tracks = tracks
            .iter()
            .map(|Fed { track, order, ssrc }| Receiving {
                kind: track.kind,
                receiver: Receiver::new(track.payload_type, track.clock_rate, *order).with_ssrc(*ssrc),
                ssrc: None,
                heard: Instant::now(),
            })
            .collect();
        let (items, trouble) = Default::default();
        Self { place, tracks, items, bytes: 0, ssrc: random_u64() as u32, stats, trouble }
    }

    pub(super) fn take(&mut self, item: Item, now: Duration) {
        match item {
            Item::Packet { track, packet, bytes } => {
                self.bytes += bytes as u64;
                let Some(receiving) = self.tracks.get_mut(track) else { return };
                receiving.ssrc = Some(packet.ssrc);
                let result = receiving.receiver.push(packet, now, &mut OfTrack { track, items: &mut self.items });
                match result {
                    Ok(()) => receiving.heard = Instant::now(),
                    Err(error) => self.warn(&format_args!("track {track}: {error}")),
                }
            }
            Item::Rtcp { track, bytes } => {
                self.bytes += bytes.len() as u64;
                match rtcp::parse(&bytes) {
                    Ok(parts) => parts.into_iter().for_each(|part| self.report(track, part, now)),
                    Err(error) => self.warn(&format_args!("track {track}: {error}")),
                }
            }
            Item::Unusable(error) => self.warn(&error),
        }
    }

    fn report(&mut self, track: usize, part: Rtcp, now: Duration) {
        let Rtcp::SenderReport(report) = part else { return };
        let Some(receiving) = self.tracks.get_mut(track) else { return };
        // Of an earlier session, as Reolink's cameras send them on.
        if receiving.ssrc.is_some_and(|ssrc| ssrc != report.ssrc) {
            return;
        }
        receiving.receiver.sender_report(report, now);
        self.items.push(MediaItem::Report { track, report });
    }

    fn warn(&mut self, what: &dyn Display) {
        self.stats.bad_packets.add(1);
        self.trouble.warn(&self.place, what);
    }

    /// What was taken since the last call, as one message.
    pub(super) fn media(&mut self, publisher: u64, arrival: Duration) -> Option<Media> {
        if self.items.is_empty() && self.bytes == 0 {
            return None;
        }
        let (items, bytes) = (std::mem::take(&mut self.items), std::mem::take(&mut self.bytes));
        Some(Media { publisher, arrival, bytes, items })
    }

    /// How its packets arrive.
    pub(super) fn reception(&self) -> Reception {
        Reception::of(self.tracks.iter().map(|track| &track.receiver))
    }

    /// A receiver report of each track that had packets (RFC 3550, section 6.4.2).
    pub(super) fn reports(&mut self, now: Duration) -> Vec<(usize, Bytes)> {
        let ssrc = self.ssrc;
        let block = |(track, receiving): (usize, &mut Receiving)| {
            let block = receiving.receiver.report_block(now)?;
            Some((track, rtcp::receiver_report(ssrc, &block, "ipchub")))
        };
        self.tracks.iter_mut().enumerate().filter_map(block).collect()
    }

    /// What has not come for that long, if the connection is worth nothing without it: everything, or all video.
    pub(super) fn stalled(&self, limit: Duration) -> Option<String> {
        let silent = |tracks: &mut dyn Iterator<Item = &Receiving>| {
            tracks.map(|track| track.heard.elapsed()).min().is_some_and(|silent| silent > limit)
        };
        let seconds = limit.as_secs_f64();
        if silent(&mut self.tracks.iter()) {
            return Some(format!("the camera sent nothing for {seconds} s"));
        }
        silent(&mut self.tracks.iter().filter(|track| track.kind == Kind::Video))
            .then(|| format!("the camera sent no video for {seconds} s"))
    }
}
