//! The pages and the player, built into the program.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use include_dir::{Dir, File, include_dir};

use crate::error;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/static");

/// Our scripts only; media and websockets from any hub, since a page may show streams of several.
const POLICY: &str = "default-src 'self'; connect-src 'self' http: https: ws: wss:; media-src 'self' blob:; \
                      img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'";

/// Everything that nothing else answers.
pub async fn page(request: HttpRequest) -> HttpResponse {
    let name = match request.path().trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    match FILES.get_file(name) {
        Some(file) => send(&request, name, file),
        None => error::not_found(request).await,
    }
}

/// `/api/`: REST for people.
pub async fn reference(request: HttpRequest) -> HttpResponse {
    let name = "reference.html";
    match FILES.get_file(name) {
        Some(file) => send(&request, name, file),
        None => error::not_found(request).await,
    }
}

/// `/api`: what the page refers to stands beside it.
pub async fn to_reference() -> HttpResponse {
    HttpResponse::MovedPermanently().insert_header((LOCATION, "/api/")).finish()
}

fn send(request: &HttpRequest, name: &str, file: &'static File<'static>) -> HttpResponse {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return error::answer(StatusCode::METHOD_NOT_ALLOWED, &format!("/{name} can only be read"));
    }
    // The contents change with the program only.
    let tag = format!("\"{}-{:x}\"", env!("CARGO_PKG_VERSION"), checksum(file.contents()));
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = HttpResponse::Ok();
    response
        .insert_header((ETAG, tag.clone()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .content_type(content_type(name));
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.body(file.contents())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `/demos` of the original led to its player pages; here the home page plays.
pub async fn to_home() -> HttpResponse {
    HttpResponse::MovedPermanently().insert_header((LOCATION, "/")).finish()
}

/// Flash players ask for it in any folder.
pub async fn crossdomain() -> HttpResponse {
    HttpResponse::Ok().content_type("application/xml").body(
        "<?xml version=\"1.0\" ?><cross-domain-policy>\n\
         \t\t\t<allow-access-from domain=\"*\" />\n\
         \t\t\t<allow-http-request-headers-from domain=\"*\" headers=\"*\"/>\n\
         \t\t</cross-domain-policy>",
    )
}
