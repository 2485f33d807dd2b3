//! `/streams`: what is live, who watches, and how to end both.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::info::{AudioInfo, Consumer, GroupInfo, Loss, Reception, SourceInfo, VideoInfo};
use ipchub_actors::messages::{EndSource, Find, Kick, List};
use ipchub_media::path::of_uri;
use serde::{Deserialize, Serialize};

use super::{format, paging};
use crate::error::ApiError;

/// The query of all calls here, as text: each call says itself what is wrong with a value.
#[derive(Debug, Deserialize)]
pub struct StreamsQuery {
    page_size: Option<String>,
    page_token: Option<String>,
    c: Option<String>,
    cid: Option<String>,
}

impl StreamsQuery {
    fn consumers(&self) -> bool {
        self.c.as_deref() == Some("1")
    }
}

#[derive(Serialize)]
struct Page {
    total: usize,
    next_page_token: String,
    streams: Vec<Stream>,
}

#[derive(Serialize)]
struct Stream {
    start_on: String,
    path: String,
    addr: String,
    /// KiB received.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<Video>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio>,
    cc: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cs: Option<Vec<Viewer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reception: Option<Packets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multicast: Option<Group>,
}

/// The source's multicast group, while it has members.
#[derive(Serialize)]
struct Group {
    group: Ipv4Addr,
    members: usize,
    /// KiB that were sent to it: once for all members.
    outbytes: u64,
}

impl From<&GroupInfo> for Group {
    fn from(info: &GroupInfo) -> Self {
        let outbytes = info.link.meter.bytes_out() / 1024;
        Self { group: info.group, members: info.members.load(Relaxed), outbytes }
    }
}

/// RTP packets of the publisher.
#[derive(Serialize)]
struct Packets {
    received: u64,
    lost: u64,
    ignored: u64,
    #[serde(serialize_with = "format::number")]
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

#[derive(Serialize)]
struct Video {
    codec: String,
    #[serde(skip_serializing_if = "is_zero")]
    width: u32,
    #[serde(skip_serializing_if = "is_zero")]
    height: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fixedframerate: bool,
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    framerate: f64,
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    datarate: f64,
    clockrate: u32,
}

impl From<VideoInfo> for Video {
    fn from(info: VideoInfo) -> Self {
        Self {
            codec: info.codec,
            width: info.width,
            height: info.height,
            fixedframerate: info.fixed_frame_rate,
            framerate: info.frame_rate,
            datarate: info.data_rate,
            clockrate: info.clock_rate,
        }
    }
}

#[derive(Serialize)]
struct Audio {
    codec: String,
    #[serde(skip_serializing_if = "is_zero")]
    samplerate: u32,
    #[serde(skip_serializing_if = "is_zero")]
    samplesize: u32,
    #[serde(skip_serializing_if = "is_zero")]
    channels: u32,
    #[serde(skip_serializing_if = "is_nothing", serialize_with = "format::number")]
    datarate: f64,
}

impl From<AudioInfo> for Audio {
    fn from(info: AudioInfo) -> Self {
        Self {
            codec: info.codec,
            samplerate: info.sample_rate,
            samplesize: info.sample_size,
            channels: info.channels,
            datarate: info.data_rate,
        }
    }
}

#[derive(Serialize)]
struct Viewer {
    id: u32,
    start_on: String,
    packet_type: &'static str,
    extra: String,
    flow: Flow,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<Missing>,
}

/// RTP packets that a viewer over UDP misses, as it reports.
#[derive(Serialize)]
struct Missing {
    packets: i64,
    #[serde(serialize_with = "format::number")]
    fraction: f64,
    #[serde(serialize_with = "format::number")]
    jitter_ms: f64,
    /// The hub's own socket did not take them.
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

#[derive(Serialize)]
struct Flow {
    /// KiB that the source offered.
    inbytes: u64,
    /// KiB that the connection took.
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

fn stream(info: &SourceInfo, with_consumers: bool) -> Stream {
    let description = info.description();
    let consumers = info.consumers();
    Stream {
        start_on: format::time(info.started.on),
        path: info.path.clone(),
        addr: description.addr,
        size: info.bytes.load(Relaxed) / 1024,
        video: description.video.map(Video::from),
        audio: description.audio.map(Audio::from),
        cc: consumers.len(),
        cs: with_consumers.then(|| consumers.iter().map(|consumer| Viewer::from(&**consumer)).collect()),
        reception: info.reception().map(Packets::from),
        multicast: info.multicast().map(|group| Group::from(&*group)),
    }
}

/// `GET /streams`
pub async fn list(query: web::Query<StreamsQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let limit = paging::size(query.page_size.as_deref())?;
    let after = query.page_token.clone().unwrap_or_default();
    // One more than asked for tells whether this is the last page.
    let mut found = hub.supervisor.send(List { after, limit: limit + 1 }).await?;
    let more = found.sources.len() > limit;
    found.sources.truncate(limit);
    let last = found.sources.last().filter(|_| more);
    Ok(HttpResponse::Ok().json(Page {
        total: found.total,
        next_page_token: last.map_or_else(String::new, |info| info.path.clone()),
        streams: found.sources.iter().map(|info| stream(info, query.consumers())).collect(),
    }))
}

/// The canonical path in a URL below `/api/v1/streams/`, and the verb after its last colon.
fn target(request: &HttpRequest) -> (String, Option<String>) {
    let rest = request.uri().path().strip_prefix("/api/v1/streams").unwrap_or_default();
    match rest.rsplit_once(':') {
        Some((path, "consumer")) => (of_uri(path).0, Some("consumer".into())),
        _ => (of_uri(rest).0, None),
    }
}

/// `GET /streams/{path}`
pub async fn show(
    request: HttpRequest,
    query: web::Query<StreamsQuery>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    let (path, _) = target(&request);
    let found = hub.supervisor.send(Find { path: path.clone() }).await?;
    let found = found.ok_or_else(|| ApiError::NotFound(format!("{path} is not live")))?;
    Ok(HttpResponse::Ok().json(stream(&found.info, query.consumers())))
}

/// `DELETE /streams/{path}` and `DELETE /streams/{path}:consumer?cid=`. What is not there is gone already: 200, as scripts of
/// the original expect.
pub async fn end(
    request: HttpRequest,
    query: web::Query<StreamsQuery>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    match target(&request) {
        (path, Some(_)) => {
            let text = query.cid.as_deref().unwrap_or_default();
            let problem = || ApiError::Parameter("cid", format!("{text:?} is no consumer's number"));
            let id = text.parse().map_err(|_| problem())?;
            hub.supervisor.send(Kick { path, id }).await?;
        }
        (path, None) => {
            let reason = "ended by the administrator".into();
            hub.supervisor.send(EndSource { path, reason }).await?;
        }
    }
    Ok(HttpResponse::Ok().finish())
}
