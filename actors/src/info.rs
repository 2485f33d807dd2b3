//! What is known of sources and consumers, shared with whoever lists them. Reading it sends no message to a source.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipchub_media::rtp::receiver::Receiver;
use ipchub_media::{Track, hls};

use crate::audience::Audience;
use crate::connection::Link;
use crate::hls::Handle;
use crate::hub::Started;
use crate::meter::Stats;
use crate::rtsp::udp::Sent;
use crate::source::snapshot::Snapshot;

/// What a consumer is sent; its number's upper two bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PacketType {
    Rtp,
    Flv,
    Ts,
    Hls,
    Fmp4,
}

impl PacketType {
    /// In a consumer's number. There are two bits for it; sequence numbers keep consumers of the last two apart.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Rtp => 0,
            Self::Flv => 1,
            Self::Ts => 2,
            Self::Hls | Self::Fmp4 => 3,
        }
    }

    /// As REST shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtp => "RTP",
            Self::Flv => "FLV",
            Self::Ts => "TS",
            Self::Hls => "HLS",
            Self::Fmp4 => "FMP4",
        }
    }
}

/// One consumer, from its subscription to its end.
#[derive(Debug)]
pub struct Consumer {
    /// Unique among the hub's consumers.
    pub id: u32,
    /// When it subscribed.
    pub started: Started,
    /// What it is sent.
    pub packet_type: PacketType,
    /// How it is connected, e.g. `net=websocket-flv,192.0.2.7:50000`.
    pub extra: String,
    /// Its connection.
    pub link: Arc<Link>,
    /// Bytes that its source offered it.
    pub offered: AtomicU64,
    /// Chunks it did not get because it was behind.
    pub dropped: AtomicU64,
    /// Datagrams that it did not get because the hub's socket was full.
    pub unsent: AtomicU64,
    /// What it says of loss on its way.
    loss: Mutex<Option<Loss>>,
}

/// How a viewer's packets arrive, from its last receiver reports (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    /// Lost since the viewer began; less than 0 if the network doubled some.
    pub packets: i64,
    /// Of the packets since the report before, 0 to 1; that of the worst track.
    pub fraction: f64,
    /// That of the worst track.
    pub jitter: Duration,
}

/// A source's multicast group while it has members.
#[derive(Debug)]
pub struct GroupInfo {
    /// Its address.
    pub group: Ipv4Addr,
    /// Sessions that watch by it.
    pub members: AtomicUsize,
    /// Counts what is sent to it: once for all members.
    pub link: Arc<Link>,
}

/// How a publisher's RTP packets arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reception {
    /// Packets taken.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came twice or too late, or were of another stream.
    pub ignored: u64,
    /// That of the worst track.
    pub jitter: Duration,
}

impl Reception {
    /// Of all tracks of a publisher.
    pub(crate) fn of<'a>(tracks: impl Iterator<Item = &'a Receiver>) -> Self {
        tracks.fold(Self::default(), |sum, track| {
            let totals = track.totals();
            Self {
                received: sum.received + totals.received,
                lost: sum.lost + totals.lost,
                ignored: sum.ignored + totals.ignored,
                jitter: sum.jitter.max(track.jitter()),
            }
        })
    }
}

impl Consumer {
    /// How it is connected, for the log.
    pub fn way(&self) -> &str {
        self.extra.strip_prefix("net=").unwrap_or(&self.extra)
    }

    /// One that begins now.
    pub(crate) fn new(id: u32, packet_type: PacketType, extra: String, link: Arc<Link>) -> Self {
        let (offered, dropped, unsent, loss) = Default::default();
        Self { id, started: Started::now(), packet_type, extra, link, offered, dropped, unsent, loss }
    }

    /// Its last word on loss.
    pub fn loss(&self) -> Option<Loss> {
        *lock(&self.loss)
    }

    pub(crate) fn set_loss(&self, loss: Loss) {
        *lock(&self.loss) = Some(loss);
    }

    /// Counts what became of datagrams.
    pub(crate) fn sent_datagrams(&self, sent: Sent, stats: &Stats) {
        self.link.sent_elsewhere(sent.bytes);
        if sent.lost > 0 {
            self.unsent.fetch_add(sent.lost as u64, Relaxed);
            stats.unsent_datagrams.add(sent.lost as u64);
        }
    }

    /// Counts a chunk that it did not get.
    pub(crate) fn missed_chunk(&self, stats: &Stats) {
        self.dropped.fetch_add(1, Relaxed);
        stats.dropped_chunks.add(1);
    }
}

/// The video as REST shows it. Zero means unknown.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct VideoInfo {
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub fixed_frame_rate: bool,
    /// Frames a second: as the stream says, else as measured.
    pub frame_rate: f64,
    /// kbit/s, measured.
    pub data_rate: f64,
    pub clock_rate: u32,
}

/// The audio as REST shows it. Zero means unknown.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct AudioInfo {
    pub codec: String,
    /// Hz
    pub sample_rate: u32,
    /// bits
    pub sample_size: u32,
    pub channels: u32,
    /// kbit/s, measured.
    pub data_rate: f64,
}

/// What changes about a source while it lives.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Where its media comes from: the publisher's address. Never a password.
    pub addr: String,
    /// The first video track.
    pub video: Option<VideoInfo>,
    /// The first audio track.
    pub audio: Option<AudioInfo>,
    /// All tracks, with parameter sets as far as they are known.
    pub tracks: Vec<Track>,
    /// What viewers wait for in vain now.
    pub lack: Option<Lack>,
}

/// Why no viewer gets the video that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// No picture comes.
    #[error("it is announced, and no picture of it comes")]
    Video,
    /// Pictures come, and no key frame whose parameter sets are known.
    #[error(
        "none of its pictures is a key frame with known parameter sets, so nobody can begin: see the camera's I-frame interval"
    )]
    KeyFrame,
}

/// One source.
#[derive(Debug)]
pub struct SourceInfo {
    /// Canonical path.
    pub path: String,
    /// When it began.
    pub started: Started,
    /// Bytes of media that publishers sent.
    pub bytes: AtomicU64,
    /// 0: none.
    publisher: AtomicU64,
    begun: AtomicBool,
    ended: AtomicBool,
    description: Mutex<Arc<Description>>,
    reception: Mutex<Option<Reception>>,
    multicast: Mutex<Option<Arc<GroupInfo>>>,
    consumers: Mutex<BTreeMap<u32, Arc<Consumer>>>,
    hls: Mutex<BTreeMap<hls::Format, Arc<Handle>>>,
    /// Held while one is made.
    pub(crate) snapshot: tokio::sync::Mutex<Option<Arc<Snapshot>>>,
    /// Whether anybody watches.
    pub(crate) audience: Audience,
    /// Discontinuities of all its HLS so far.
    pub(crate) hls_discontinuities: AtomicU64,
}

/// The values stay whole even if a holder panicked: every write below is a single assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SourceInfo {
    /// A source that begins now.
    pub fn new(path: String) -> Self {
        Self {
            path,
            started: Started::now(),
            bytes: AtomicU64::new(0),
            publisher: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            description: Mutex::default(),
            reception: Mutex::default(),
            multicast: Mutex::default(),
            consumers: Mutex::default(),
            hls: Mutex::default(),
            snapshot: tokio::sync::Mutex::default(),
            audience: Audience::default(),
            hls_discontinuities: AtomicU64::new(0),
        }
    }

    /// The number of who publishes now.
    pub fn publisher(&self) -> Option<u64> {
        Some(self.publisher.load(Relaxed)).filter(|id| *id != 0)
    }

    /// Whether anybody has published yet: a path is claimed some time before. Who sees this sees the publisher's description.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Acquire)
    }

    /// Its actor has ended in order, and the supervisor hears of it; it may have something else to hear first.
    pub(crate) fn set_ended(&self) {
        self.ended.store(true, Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    pub(crate) fn set_publisher(&self, id: Option<u64>) {
        self.publisher.store(id.unwrap_or(0), Relaxed);
        self.begun.fetch_or(id.is_some(), Release);
        *lock(&self.reception) = None;
    }

    /// How the packets of who publishes now arrive; `None` if that is not known.
    pub fn reception(&self) -> Option<Reception> {
        *lock(&self.reception)
    }

    /// Its multicast group, while it has members.
    pub fn multicast(&self) -> Option<Arc<GroupInfo>> {
        lock(&self.multicast).clone()
    }

    pub(crate) fn set_multicast(&self, group: Arc<GroupInfo>) {
        *lock(&self.multicast) = Some(group);
    }

    pub(crate) fn end_multicast(&self, group: &Arc<GroupInfo>) {
        // The next one may have begun already.
        lock(&self.multicast).take_if(|current| Arc::ptr_eq(current, group));
    }

    /// Its HLS, if somebody watches by it.
    pub fn live_hls(&self, format: hls::Format) -> Option<Arc<Handle>> {
        lock(&self.hls).get(&format).cloned().filter(|handle| handle.is_alive())
    }

    /// Its HLS in a container, begun if nobody watches by it yet.
    pub(crate) fn hls(&self, format: hls::Format, begin: impl FnOnce() -> Arc<Handle>) -> Arc<Handle> {
        let mut hls = lock(&self.hls);
        let live = hls.remove(&format).filter(|handle| handle.is_alive()).unwrap_or_else(begin);
        Arc::clone(hls.entry(format).or_insert(live))
    }

    pub(crate) fn end_hls(&self, format: hls::Format, handle: &Arc<Handle>) {
        lock(&self.hls).retain(|kind, current| *kind != format || !Arc::ptr_eq(current, handle));
    }

    /// The next who asks gets a newer one. One that is being made now is new enough.
    pub(crate) fn forget_snapshot(&self) {
        if let Ok(mut kept) = self.snapshot.try_lock() {
            *kept = None;
        }
    }

    /// Told by a publisher; of another than the current it is passed over.
    pub(crate) fn set_reception(&self, publisher: u64, reception: Reception) {
        if self.publisher() == Some(publisher) {
            *lock(&self.reception) = Some(reception);
        }
    }

    /// What is known now.
    pub fn description(&self) -> Arc<Description> {
        Arc::clone(&lock(&self.description))
    }

    pub(crate) fn describe(&self, change: impl FnOnce(&mut Description)) {
        change(Arc::make_mut(&mut lock(&self.description)));
    }

    /// Its consumers by number.
    pub fn consumers(&self) -> Vec<Arc<Consumer>> {
        lock(&self.consumers).values().cloned().collect()
    }

    /// How many consumers it has.
    pub fn consumer_count(&self) -> usize {
        lock(&self.consumers).len()
    }

    /// One consumer.
    pub fn consumer(&self, id: u32) -> Option<Arc<Consumer>> {
        lock(&self.consumers).get(&id).cloned()
    }

    pub(crate) fn add_consumer(self: &Arc<Self>, consumer: Arc<Consumer>) -> Registered {
        let id = consumer.id;
        lock(&self.consumers).insert(id, consumer);
        Registered { info: Arc::clone(self), id }
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

/// Takes the consumer out of its source's list when dropped.
#[derive(Debug)]
pub struct Registered {
    info: Arc<SourceInfo>,
    id: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.info.consumers).remove(&self.id);
    }
}
