//! Streams and consumers as REST shows them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ipchub_actors::info::{AudioInfo, Consumer, Description, GroupInfo, Loss, Reception, SourceInfo, VideoInfo};
use ipchub_media::Kind;
use ipchub_media::output::{self, Plan};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::SHORT;
use crate::api::format;

#[derive(Serialize, ToSchema)]
#[schema(as = StreamPage)]
pub(super) struct Page {
    /// Of all pages.
    #[schema(example = 1)]
    pub(super) total: usize,
    /// Where the next page begins; empty on the last one.
    #[schema(example = "")]
    pub(super) next_page_token: String,
    #[schema(value_type = Vec<Stream>)]
    pub(super) streams: Streams,
}

/// The streams of a page. Each is looked at when it is written: a thousand of them need no more memory than their text.
pub(super) struct Streams {
    pub(super) sources: Vec<Arc<SourceInfo>>,
    pub(super) consumers: bool,
}

impl Serialize for Streams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.sources.len()))?;
        for (n, info) in self.sources.iter().enumerate() {
            if n > 0 && n.is_multiple_of(SHORT) {
                // Only a long page comes so far. Whoever has media to send on this core goes first.
                std::thread::yield_now();
            }
            list.serialize_element(&stream(info, self.consumers))?;
        }
        list.end()
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Stream {
    /// RFC 3339.
    #[schema(example = "2030-01-02T15:04:05.123456789+01:00")]
    start_on: String,
    #[schema(example = "/room/door")]
    path: String,
    /// Where it comes from. Never a password.
    #[schema(example = "192.0.2.7:50000")]
    addr: String,
    /// KiB received.
    #[schema(example = 7168)]
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    video: Option<Video>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    audio: Option<Audio>,
    /// How many consumers there are.
    #[schema(example = 1)]
    cc: usize,
    /// The consumers, with `c=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cs: Option<Vec<Viewer>>,
    outputs: Outputs,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reception: Option<Packets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    multicast: Option<Group>,
}

/// What each output makes of the source's tracks.
#[derive(Serialize, ToSchema)]
struct Outputs {
    flv: Carried,
    hls: Carried,
    ts: Carried,
    fmp4: Carried,
}

impl Outputs {
    fn of(Description { tracks, lack, .. }: &Description) -> Self {
        let mut plans = output::plans(tracks);
        if let Some(lack) = lack {
            let video = tracks.iter().filter(|track| track.kind == Kind::Video);
            for track in video {
                plans.iter_mut().for_each(|plan| plan.leave_out(&track.codec_name(), &lack.to_string()));
            }
        }
        let of = |name| plans.iter().find(|plan| plan.name == name).map(Carried::from).unwrap_or_default();
        Self { flv: of("flv"), hls: of("hls"), ts: of("ts"), fmp4: of("fmp4") }
    }
}

/// What an output carries, and what it leaves out.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Output)]
struct Carried {
    /// Codecs of the tracks that are in it. None: there is no such output of this source.
    #[schema(example = json!(["H264", "AAC"]))]
    carries: Vec<String>,
    /// The others. FLV takes G.711 when asked with `?audio=all`.
    leaves_out: Vec<LeftOut>,
}

#[derive(Serialize, ToSchema)]
struct LeftOut {
    #[schema(example = "PCMA")]
    codec: String,
    #[schema(example = "players of TS know no PCMA")]
    reason: String,
}

impl From<&Plan> for Carried {
    fn from(plan: &Plan) -> Self {
        let left_out = plan.left_out.iter().cloned();
        Self {
            carries: plan.carried.clone(),
            leaves_out: left_out.map(|left| LeftOut { codec: left.track, reason: left.reason }).collect(),
        }
    }
}

/// The source's multicast group, while it has members.
#[derive(Serialize, ToSchema)]
#[schema(as = Multicast)]
struct Group {
    #[schema(value_type = String, format = Ipv4, example = "239.255.6.7")]
    group: Ipv4Addr,
    /// Sessions that watch by it.
    #[schema(example = 2)]
    members: usize,
    /// KiB that were sent to it: once for all members.
    #[schema(example = 7168)]
    outbytes: u64,
}

impl From<&GroupInfo> for Group {
    fn from(info: &GroupInfo) -> Self {
        let outbytes = info.link.meter.bytes_out() / 1024;
        Self { group: info.group, members: info.members.load(Relaxed), outbytes }
    }
}

/// RTP packets of the publisher.
#[derive(Serialize, ToSchema)]
#[schema(as = Reception)]
struct Packets {
    /// Taken.
    #[schema(example = 7000)]
    received: u64,
    /// That never came.
    #[schema(example = 3)]
    lost: u64,
    /// That came twice or too late, or were of another stream.
    #[schema(example = 0)]
    ignored: u64,
    /// Interarrival jitter (RFC 3550) of the worst track.
    #[serde(serialize_with = "format::number")]
    #[schema(example = 0.4)]
    jitter_ms: f64,
}

impl From<Reception> for Packets {
    fn from(reception: Reception) -> Self {
        let Reception { received, lost, ignored, jitter } = reception;
        Self { received, lost, ignored, jitter_ms: milliseconds(jitter) }
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_nothing(value: &f64) -> bool {
    *value == 0.0
}

#[derive(Serialize, ToSchema)]
struct Video {
    #[schema(example = "H264")]
    codec: String,
    /// Of the picture; left out while unknown, as all that follows.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 1920)]
    width: u32,
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 1080)]
    height: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(example = true)]
    fixedframerate: bool,
    /// Frames a second: as the stream says, else as measured.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    #[schema(example = 25)]
    framerate: f64,
    /// kbit/s, measured.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    #[schema(example = 2048.5)]
    datarate: f64,
    /// Hz
    #[schema(example = 90000)]
    clockrate: u32,
}

impl From<&VideoInfo> for Video {
    fn from(info: &VideoInfo) -> Self {
        Self {
            codec: info.codec.clone(),
            width: info.width,
            height: info.height,
            fixedframerate: info.fixed_frame_rate,
            framerate: info.frame_rate,
            datarate: info.data_rate,
            clockrate: info.clock_rate,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Audio {
    #[schema(example = "AAC")]
    codec: String,
    /// Hz
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 48000)]
    samplerate: u32,
    /// Bits.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 16)]
    samplesize: u32,
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 2)]
    channels: u32,
    /// kbit/s, measured.
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    #[schema(example = 128)]
    datarate: f64,
}

impl From<&AudioInfo> for Audio {
    fn from(info: &AudioInfo) -> Self {
        Self {
            codec: info.codec.clone(),
            samplerate: info.sample_rate,
            samplesize: info.sample_size,
            channels: info.channels,
            datarate: info.data_rate,
        }
    }
}

/// A consumer.
#[derive(Serialize, ToSchema)]
#[schema(as = Consumer)]
struct Viewer {
    /// `cid` of the call that ends it.
    #[schema(example = 1073741825, format = Int64)]
    id: u32,
    /// RFC 3339.
    #[schema(example = "2030-01-02T15:04:05.123456789+01:00")]
    start_on: String,
    /// `FLV`, `TS`, `FMP4`, `HLS` or `RTP`.
    #[schema(example = "FLV")]
    packet_type: &'static str,
    /// How it is connected.
    #[schema(example = "net=websocket-flv,192.0.2.9:50000")]
    extra: String,
    flow: Flow,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    loss: Option<Missing>,
}

/// RTP packets that a viewer over UDP misses, as it reports.
#[derive(Serialize, ToSchema)]
#[schema(as = Loss)]
struct Missing {
    /// Since it began; less than 0 if the network doubled some.
    #[schema(example = 12)]
    packets: i64,
    /// Of the packets since its report before: 0 to 1.
    #[serde(serialize_with = "format::number")]
    #[schema(example = 0.002)]
    fraction: f64,
    /// Interarrival jitter (RFC 3550) of the worst track.
    #[serde(serialize_with = "format::number")]
    #[schema(example = 0.4)]
    jitter_ms: f64,
    /// The hub's own socket did not take them.
    #[schema(example = 0)]
    unsent: u64,
}

impl Missing {
    /// `None`: nothing is known.
    fn of(consumer: &Consumer) -> Option<Self> {
        let (loss, unsent) = (consumer.loss(), consumer.unsent.load(Relaxed));
        if loss.is_none() && unsent == 0 {
            return None;
        }
        let Loss { packets, fraction, jitter } = loss.unwrap_or_default();
        let fraction = (fraction * 1000.0).round() / 1000.0;
        Some(Self { packets, fraction, jitter_ms: milliseconds(jitter), unsent })
    }
}

#[derive(Serialize, ToSchema)]
struct Flow {
    /// KiB that the source offered.
    #[schema(example = 7168)]
    inbytes: u64,
    /// KiB that the connection took.
    #[schema(example = 7160)]
    outbytes: u64,
}

impl From<&Consumer> for Viewer {
    fn from(consumer: &Consumer) -> Self {
        Self {
            id: consumer.id,
            start_on: format::time(consumer.started.on),
            packet_type: consumer.packet_type.name(),
            extra: consumer.extra.clone(),
            flow: Flow {
                inbytes: consumer.offered.load(Relaxed) / 1024,
                outbytes: consumer.link.meter.bytes_out() / 1024,
            },
            loss: Missing::of(consumer),
        }
    }
}

/// What is known of a source now.
pub(super) fn stream(info: &SourceInfo, with_consumers: bool) -> Stream {
    let description = info.description();
    let viewers = || info.consumers().iter().map(|consumer| Viewer::from(&**consumer)).collect::<Vec<_>>();
    let cs = with_consumers.then(viewers);
    Stream {
        start_on: format::time(info.started.on),
        path: info.path.clone(),
        addr: description.addr.clone(),
        size: info.bytes.load(Relaxed) / 1024,
        video: description.video.as_ref().map(Video::from),
        audio: description.audio.as_ref().map(Audio::from),
        outputs: Outputs::of(&description),
        cc: cs.as_ref().map_or_else(|| info.consumer_count(), Vec::len),
        cs,
        reception: info.reception().map(Packets::from),
        multicast: info.multicast().map(|group| Group::from(&*group)),
    }
}
