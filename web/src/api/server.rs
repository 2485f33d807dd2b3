//! `/server` and `/runtime`: open to anyone.

use std::time::SystemTime;

use actix_web::{HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::messages::GetRuntime;
use ipchub_actors::meter::Counter;
use serde::{Deserialize, Serialize};

use super::format;
use crate::error::ApiError;

#[derive(Serialize)]
struct Server {
    vendor: &'static str,
    name: &'static str,
    version: &'static str,
    os: String,
    arch: &'static str,
    start_on: String,
    duration: String,
}

/// `GET /server`
pub async fn server(hub: web::Data<Hub>) -> HttpResponse {
    // Spelled as the original does: Linux, AMD64.
    let mut os = std::env::consts::OS.to_owned();
    if let Some(first) = os.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let arch = match std::env::consts::ARCH {
        "x86_64" => "AMD64",
        "aarch64" => "ARM64",
        "x86" => "386",
        other => other,
    };
    HttpResponse::Ok().json(Server {
        vendor: "CAOHONGJU",
        name: "ipchub",
        version: env!("CARGO_PKG_VERSION"),
        os,
        arch,
        start_on: format::time(hub.started.on),
        duration: format::duration(hub.started.at.elapsed()),
    })
}

/// The query of `/runtime`.
#[derive(Debug, Deserialize)]
pub struct RuntimeQuery {
    extra: Option<String>,
}

#[derive(Serialize)]
struct Runtime {
    on: String,
    proc: Process,
    streams: Streams,
    rtsp: Connections,
    flv: Connections,
    wsp: Connections,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
}

#[derive(Serialize)]
struct Process {
    /// Percent of one core.
    #[serde(serialize_with = "format::number")]
    cpu: f64,
    /// KiB
    r#priv: u64,
    /// KiB
    virt: u64,
    /// Seconds.
    uptime: u64,
}

#[derive(Serialize)]
struct Streams {
    sources: usize,
    consumers: usize,
}

#[derive(Serialize)]
struct Connections {
    total: u64,
    active: usize,
}

impl From<&Counter> for Connections {
    fn from(counter: &Counter) -> Self {
        Self { total: counter.total(), active: counter.active() }
    }
}

#[derive(Serialize)]
struct Extra {
    threads: usize,
    open_files: usize,
    connections: Connections,
    pulls: Connections,
    refused: Refused,
    viewers: Viewers,
    publishers: Publishers,
}

#[derive(Serialize)]
struct Refused {
    limit: u64,
    protocol: u64,
}

#[derive(Serialize)]
struct Viewers {
    fell_behind: u64,
    dropped_chunks: u64,
    write_timeouts: u64,
    unsent_datagrams: u64,
}

#[derive(Serialize)]
struct Publishers {
    bad_packets: u64,
    stray_datagrams: u64,
}

/// `GET /runtime[?extra=1]`
pub async fn runtime(query: web::Query<RuntimeQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let figures = hub.supervisor.send(GetRuntime).await?;
    let stats = &hub.stats;
    let extra = (query.extra.as_deref() == Some("1")).then(|| Extra {
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
    });
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
        extra,
    }))
}
