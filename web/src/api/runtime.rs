//! `/runtime`: what the hub is doing now. Open to anyone. Nothing here is measured before somebody asks; counters are kept
//! anyway.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::messages::{self, GetRuntime};
use ipchub_actors::meter::{Counter, Stats, Traffic};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::format;
use super::openapi::Failure;
use crate::error::ApiError;

/// The query of `/runtime`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RuntimeQuery {
    /// `1`: with `extra`.
    #[param(value_type = String, required = false, example = "1")]
    extra: Option<String>,
}

/// What the hub is doing.
#[derive(Serialize, ToSchema)]
struct Runtime {
    /// RFC 3339.
    #[schema(example = "2030-01-02T15:04:05.123456789+01:00")]
    on: String,
    proc: Process,
    streams: Streams,
    rtsp: Connections,
    flv: Connections,
    wsp: Connections,
    /// MPEG-TS viewers.
    ts: Connections,
    /// Players of HLS.
    hls: Connections,
    /// Viewers of fragmented MP4.
    fmp4: Connections,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    extra: Option<Extra>,
}

/// The process.
#[derive(Serialize, ToSchema)]
struct Process {
    /// Percent of one core.
    #[serde(serialize_with = "format::number")]
    #[schema(example = 12.5)]
    cpu: f64,
    /// Resident memory, KiB.
    #[schema(example = 30720)]
    r#priv: u64,
    /// Virtual memory, KiB.
    #[schema(example = 256000)]
    virt: u64,
    /// Seconds.
    #[schema(example = 3600)]
    uptime: u64,
}

#[derive(Serialize, ToSchema)]
struct Streams {
    #[schema(example = 4)]
    sources: usize,
    #[schema(example = 20)]
    consumers: usize,
}

#[derive(Serialize, ToSchema)]
struct Connections {
    /// Since the start.
    #[schema(example = 120)]
    total: u64,
    /// Now.
    #[schema(example = 20)]
    active: usize,
}

impl From<&Counter> for Connections {
    fn from(counter: &Counter) -> Self {
        Self { total: counter.total(), active: counter.active() }
    }
}

/// What people ask for who look after a hub.
#[derive(Serialize, ToSchema)]
struct Extra {
    /// Of the process.
    #[schema(example = 12)]
    threads: usize,
    #[schema(example = 60)]
    open_files: usize,
    connections: Connections,
    pulls: Connections,
    refused: Refused,
    viewers: Viewers,
    publishers: Publishers,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    memory: Option<Memory>,
    /// Threads that run actors.
    #[schema(example = 6)]
    arbiters: usize,
    actors: Actors,
    mailboxes: Mailboxes,
    /// Bytes over all connections since the start.
    bytes: Protocols,
}

#[derive(Serialize, ToSchema)]
struct Refused {
    /// Connections, because `limits.connections` was reached.
    #[schema(example = 0)]
    limit: u64,
    /// Connections whose first bytes were of no known protocol.
    #[schema(example = 3)]
    protocol: u64,
}

#[derive(Serialize, ToSchema)]
struct Viewers {
    /// Times that one was behind.
    #[schema(example = 2)]
    fell_behind: u64,
    /// Chunks that they did not get.
    #[schema(example = 75)]
    dropped_chunks: u64,
    /// Closed because they took no byte for `timeouts.write`.
    #[schema(example = 0)]
    write_timeouts: u64,
    /// Datagrams that the hub's own sockets did not take.
    #[schema(example = 0)]
    unsent_datagrams: u64,
}

#[derive(Serialize, ToSchema)]
struct Publishers {
    /// RTP packets that were of no use.
    #[schema(example = 0)]
    bad_packets: u64,
    /// Datagrams from nobody who publishes or plays.
    #[schema(example = 0)]
    stray_datagrams: u64,
}

/// KiB, as the kernel counts them. The allocator's own figures are not known here: what it holds and does not use is in
/// `anonymous`.
#[derive(Serialize, ToSchema)]
struct Memory {
    /// In RAM (`VmRSS`).
    #[schema(example = 30720)]
    resident: u64,
    /// The most that was ever in RAM (`VmHWM`).
    #[schema(example = 40960)]
    peak: u64,
    /// Of `resident`: heap and stacks (`RssAnon`).
    #[schema(example = 18432)]
    anonymous: u64,
}

/// How many live.
#[derive(Serialize, ToSchema)]
struct Actors {
    #[schema(example = 4)]
    sources: usize,
    /// By FLV, over HTTP and websockets.
    #[schema(example = 18)]
    viewers: usize,
    /// RTSP connections: publishers and players.
    #[schema(example = 4)]
    rtsp_sessions: usize,
    /// Paths that are pulled, or were within a minute.
    #[schema(example = 2)]
    pulls: usize,
}

/// Messages of media that were not taken because a mailbox was full.
#[derive(Serialize, ToSchema)]
struct Mailboxes {
    /// Of viewers and players: they are behind.
    #[schema(example = 2)]
    viewers_full: u64,
}

#[derive(Serialize, ToSchema)]
struct Protocols {
    /// With its datagrams.
    rtsp: Bytes,
    flv: Bytes,
    wsp: Bytes,
    ts: Bytes,
    /// Counted in `http` too.
    hls: Bytes,
    fmp4: Bytes,
    /// REST and pages. Connections of HTTP/2 are counted whole, with the viewers on them, who are in their output's as well.
    http: Bytes,
    /// RTP and RTCP of cameras.
    pulls: Bytes,
}

#[derive(Serialize, ToSchema)]
struct Bytes {
    /// Received.
    #[schema(example = 7340032)]
    r#in: u64,
    /// Sent.
    #[schema(example = 73400320)]
    out: u64,
}

impl From<&Traffic> for Bytes {
    fn from(traffic: &Traffic) -> Self {
        let (r#in, out) = traffic.bytes();
        Self { r#in, out }
    }
}

fn extra(figures: &messages::Runtime, stats: &Stats) -> Extra {
    let traffic = &stats.traffic;
    Extra {
        threads: figures.threads,
        open_files: figures.open_files,
        connections: (&*stats.connections).into(),
        pulls: (&*stats.pulls).into(),
        refused: Refused { limit: stats.refused_limit.get(), protocol: stats.refused_protocol.get() },
        viewers: Viewers {
            fell_behind: stats.fell_behind.get(),
            dropped_chunks: stats.dropped_chunks.get(),
            write_timeouts: stats.write_timeouts.get(),
            unsent_datagrams: stats.unsent_datagrams.get(),
        },
        publishers: Publishers { bad_packets: stats.bad_packets.get(), stray_datagrams: stats.stray_datagrams.get() },
        memory: figures.memory.map(|memory| Memory {
            resident: memory.resident,
            peak: memory.peak,
            anonymous: memory.anonymous,
        }),
        arbiters: stats.arbiters.active(),
        actors: Actors {
            sources: stats.sources.active(),
            viewers: stats.flv.active() + stats.ts.active() + stats.fmp4.active(),
            rtsp_sessions: stats.rtsp.active(),
            pulls: stats.pulled_paths.active(),
        },
        mailboxes: Mailboxes { viewers_full: stats.full_mailboxes.get() },
        bytes: Protocols {
            rtsp: (&*traffic.rtsp).into(),
            flv: (&*traffic.flv).into(),
            wsp: (&*traffic.wsp).into(),
            ts: (&*traffic.ts).into(),
            hls: (&*traffic.hls).into(),
            fmp4: (&*traffic.fmp4).into(),
            http: (&*traffic.http).into(),
            pulls: Bytes { r#in: traffic.pulled.get(), out: 0 },
        },
    }
}

/// What the hub is doing
#[utoipa::path(get, path = "/runtime", tag = "server", security(()), params(RuntimeQuery),
    responses((status = 200, description = "Figures of this moment.", body = Runtime), Failure<503>))]
pub async fn runtime(query: web::Query<RuntimeQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let with_extra = query.extra.as_deref() == Some("1");
    let figures = hub.supervisor.send(GetRuntime { with_memory: with_extra }).await?;
    let stats = &hub.stats;
    Ok(HttpResponse::Ok().json(Runtime {
        on: format::time(SystemTime::now()),
        proc: Process {
            cpu: (figures.cpu * 10.0).round() / 10.0,
            r#priv: figures.resident / 1024,
            virt: figures.virt / 1024,
            uptime: hub.started.at.elapsed().as_secs(),
        },
        streams: Streams { sources: figures.sources, consumers: figures.consumers },
        rtsp: (&*stats.rtsp).into(),
        flv: (&*stats.flv).into(),
        wsp: (&*stats.wsp).into(),
        ts: (&*stats.ts).into(),
        hls: (&*stats.hls).into(),
        fmp4: (&*stats.fmp4).into(),
        extra: with_extra.then(|| extra(&figures, stats)),
    }))
}
