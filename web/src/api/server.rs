//! `/server`: open to anyone.

use actix_web::{HttpResponse, web};
use ipchub_actors::Hub;
use serde::Serialize;
use utoipa::ToSchema;

use super::format;

/// What the hub is.
#[derive(Serialize, ToSchema)]
struct Server {
    #[schema(example = "CAOHONGJU")]
    vendor: &'static str,
    #[schema(example = "ipchub")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    #[schema(example = "Linux")]
    os: String,
    #[schema(example = "AMD64")]
    arch: &'static str,
    /// RFC 3339.
    #[schema(example = "2030-01-02T15:04:05.123456789+01:00")]
    start_on: String,
    /// For how long it runs.
    #[schema(example = "1h2m3.5s")]
    duration: String,
}

/// What the hub is
#[utoipa::path(get, path = "/server", tag = "server", security(()),
    responses((status = 200, description = "Name, version and machine.", body = Server)))]
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
