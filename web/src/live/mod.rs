//! Live media over HTTP: who asks for what, and the hand-over to a viewer actor.

mod http;
mod rtsp;
mod snapshot;
mod websocket;

use std::rc::Rc;

use actix_web::http::header::{CACHE_CONTROL, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, Version};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use ipchub_actors::Hub;
use ipchub_actors::connection::Socket;
use ipchub_actors::messages::{Found, Open};
use ipchub_actors::viewer::{Framing, Start, Viewer};
use ipchub_media::Output;
use ipchub_media::flv::{Hevc, Options};
use serde::Deserialize;

use crate::access;
use crate::connection::{HandOver, Slot};
use crate::error::ApiError;
use crate::hls;
use crate::http2::stream::TakeStream;
use crate::page;
use crate::path::{Asked, Format, asked};
use http::{Chunked, Plain};
use websocket::Websocket;

/// The query of a live URL. What is not known here (a token, a cache buster) is passed over.
#[derive(Debug, Default, Deserialize)]
pub struct LiveQuery {
    hevc: Option<String>,
    audio: Option<String>,
    snapshot: Option<String>,
}

impl LiveQuery {
    /// The output of a format. Options are for FLV only; elsewhere they are passed over.
    fn output(&self, format: Format) -> Result<Output, ApiError> {
        Ok(match format {
            Format::Flv => Output::Flv(self.options()?),
            Format::Ts => Output::Ts,
            Format::Fmp4 => Output::Fmp4,
        })
    }

    /// Whether the last key frame is wanted, and not the stream.
    fn snapshot(&self, format: Format) -> Result<bool, ApiError> {
        match (self.snapshot.as_deref(), format) {
            (None | Some("0"), _) => Ok(false),
            (Some("" | "1"), Format::Fmp4) => Ok(true),
            (Some("" | "1"), _) => Err(ApiError::Parameter("snapshot", "there is one of <path>.mp4 only".into())),
            (Some(other), _) => Err(ApiError::Parameter("snapshot", format!("{other:?} is not 1 or 0"))),
        }
    }

    fn options(&self) -> Result<Options, ApiError> {
        let hevc = match self.hevc.as_deref() {
            None | Some("" | "enhanced") => Hevc::Enhanced,
            Some("legacy") => Hevc::Legacy,
            Some(other) => return Err(ApiError::Parameter("hevc", format!("{other:?} is not enhanced or legacy"))),
        };
        let all_audio = match self.audio.as_deref() {
            None | Some("" | "playable") => false,
            Some("all") => true,
            Some(other) => return Err(ApiError::Parameter("audio", format!("{other:?} is not all or playable"))),
        };
        Ok(Options { hevc, all_audio })
    }
}

/// `/streams/...`
pub async fn live(
    request: HttpRequest,
    payload: web::Payload,
    query: Option<web::Query<LiveQuery>>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    drop(payload);
    if let Some(protocol) = rtsp::Protocol::asked_by(&request) {
        return protocol.open(&request, hub.get_ref().clone());
    }
    let (path, original_path, format) = match asked(request.uri().path().strip_prefix("/streams").unwrap_or_default()) {
        Asked::Live { path, original, format } => (path, original, format),
        Asked::Hls { path, original } => return hls::playlist(&request, &hub, path, original).await,
        Asked::HlsPiece { path, piece, format } => return hls::piece(&request, &hub, &path, (piece, format)).await,
        Asked::CrossDomain => return Ok(page::crossdomain().await),
        Asked::Unknown => {
            let error = format!("{} names no output: <path>.flv, <path>.ts and <path>.m3u8 are some", request.path());
            return Err(ApiError::NotFound(error));
        }
    };
    // Before anything is pulled.
    access::may_watch(&request, &hub, &path)?;
    let query = query.map(|query| query.into_inner()).unwrap_or_default();
    let output = query.output(format)?;
    if query.snapshot(format)? {
        return snapshot::answer(&request, &hub, &path).await;
    }
    let found = hub.supervisor.send(Open { path: path.clone(), original_path }).await??;
    let description = found.info.description();
    let tracks = &description.tracks;
    if let Some(reason) = output.plan(tracks).refusal() {
        let name = output.name().to_uppercase();
        return Err(ApiError::NotFound(format!("{path} cannot be sent as {name}: {reason}")));
    }
    let upgrade = request.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let hub = hub.get_ref().clone();
    if upgrade {
        let mut response =
            ws::handshake(&request).map_err(|error| ApiError::Parameter("Upgrade", error.to_string()))?;
        return watch(&request, response.take(), hub, found, output, Websocket::default());
    }
    let mut response = HttpResponse::Ok();
    response.content_type(output.media_type(tracks)).insert_header((CACHE_CONTROL, "no-store")).force_close();
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    if request.version() == Version::HTTP_2 {
        let take = move |socket| {
            Viewer::begin(Start { hub, found, socket, output, framing: Plain });
        };
        let mut response = response.finish();
        response.extensions_mut().insert(TakeStream(Box::new(take)));
        return Ok(response);
    }
    if request.version() < Version::HTTP_11 {
        return watch(&request, response, hub, found, output, Plain);
    }
    response.insert_header((TRANSFER_ENCODING, "chunked"));
    watch(&request, response, hub, found, output, Chunked)
}

/// Sends the head, then gives the connection to a viewer.
fn watch<F: Framing>(
    request: &HttpRequest,
    response: actix_web::HttpResponseBuilder,
    hub: Hub,
    found: Found,
    output: Output,
    framing: F,
) -> Result<HttpResponse, ApiError> {
    hand_over(request, response, move |socket| {
        Viewer::begin(Start { hub, found, socket, output, framing });
    })
}

/// Sends the head, then gives the connection to `next`.
fn hand_over(
    request: &HttpRequest,
    mut response: actix_web::HttpResponseBuilder,
    next: impl FnOnce(Socket) + 'static,
) -> Result<HttpResponse, ApiError> {
    let slot = request
        .conn_data::<Rc<Slot>>()
        .ok_or_else(|| ApiError::Unavailable("this connection cannot carry live media".into()))?;
    let mut response = response.body(HandOver::new(Rc::clone(slot), next));
    // The framing is that of who writes next.
    response.head_mut().no_chunking(true);
    Ok(response)
}
