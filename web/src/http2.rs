//! HTTP/2 (RFC 9113), which browsers speak under TLS: any number of streams on one connection.
//!
//! `actix-http` has a dispatcher too. Ours sets the limits that it leaves open, and gives a viewer's stream away as
//! [`crate::connection`] gives away a socket: media goes from the viewer's actor to `h2` without a body between them, which
//! nobody would poll while its peer does not read.

pub(crate) mod stream;

use std::cell::OnceCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{Payload, Request, Response, ResponseHead};
use actix_service::Service;
use actix_web::HttpMessage;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue, HttpDate, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, Version};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use ipchub_actors::Settings;
use ipchub_actors::connection::{Link, Socket};
use tokio::time::timeout;

use crate::{HEAD_TIMEOUT, KEEP_ALIVE, Requests};
use stream::{H2Stream, TakeStream};

/// Streams at once on a connection: a wall of players, and what its page asks beside them.
const MAX_STREAMS: u32 = 100;
/// Of a request's header list: a URL with a long token fits.
const MAX_HEADERS: u32 = 16 << 10;
/// What a client may send before it is read. Bodies are small.
const WINDOW: u32 = 64 << 10;
/// A connection that ends has this long to finish.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer's body that are asked room for at once.
const BODY_PART: usize = 16 << 10;

/// What the streams of a connection share.
struct Shared {
    requests: Rc<Requests>,
    link: Arc<Link>,
    settings: Arc<Settings>,
    /// What broke the connection. `h2` tells its streams of a broken pipe whatever a write failed with.
    broke: OnceCell<(io::ErrorKind, String)>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(socket: Socket, requests: Rc<Requests>, settings: Arc<Settings>) {
    let peer = socket.link().peer;
    // Any of its streams may become a viewer, and all share the kernel's buffer.
    if let Err(error) = socket.limit_unsent(settings.viewer_unsent) {
        log::debug!("{peer}: no limit of unsent bytes: {error}");
    }
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buffer_size(settings.viewer_unsent as usize);
    let shared = Rc::new(Shared { requests, link: Arc::clone(socket.link()), settings, broke: OnceCell::new() });
    let Ok(Ok(mut connection)) = timeout(HEAD_TIMEOUT, builder.handshake::<_, Bytes>(socket)).await else { return };
    loop {
        match timeout(KEEP_ALIVE, connection.accept()).await {
            Ok(Some(Ok((request, respond)))) => {
                actix_web::rt::spawn(answer(request, respond, Rc::clone(&shared)));
            }
            Ok(Some(Err(error))) => {
                if let Some(error) = error.get_io() {
                    // Before the streams are woken: that is when the connection is dropped.
                    let _ = shared.broke.set((error.kind(), error.to_string()));
                }
                return log::debug!("{peer}: HTTP/2: {error}");
            }
            Ok(None) => return,
            // Each stream holds what is shared.
            Err(_) if Rc::strong_count(&shared) > 1 => {}
            Err(_) => break,
        }
    }
    connection.graceful_shutdown();
    let _ = timeout(CLOSE_WITHIN, poll_fn(|cx| connection.poll_closed(cx))).await;
}

/// Answers one request. Errors are those of a peer that left.
async fn answer(request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Rc<Shared>) {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let mut request = Request::with_payload(payload(body));
    let parts = request.head_mut();
    parts.uri = head.uri;
    parts.method = head.method;
    parts.version = Version::HTTP_2;
    parts.headers = head.headers.into();
    parts.peer_addr = Some(shared.link.peer);
    request.extensions_mut().insert(Arc::clone(&shared.link));
    let call = shared.requests.call(request);
    let answer = tokio::select! {
        answer = call => answer,
        // The peer does not want it any more.
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    let mut response: Response<BoxBody> = match answer {
        Ok(response) => response.into(),
        Err(error) => error.into(),
    };
    let live = response.extensions_mut().remove::<TakeStream>();
    let (response, body) = response.into_parts();
    let size = body.size();
    let end = is_head || (live.is_none() && size.is_eof());
    let length = if live.is_some() { BodySize::Stream } else { size };
    let Ok(stream) = respond.send_response(head_of(response.head(), length), end) else { return };
    match live {
        _ if end => {}
        Some(TakeStream(take)) => take(H2Stream::new(stream, shared)),
        None => send(stream, body, shared.settings.write_timeout).await,
    }
}

/// A request's body as `actix-web` reads it.
fn payload(mut body: RecvStream) -> Payload {
    let parts = futures_util::stream::poll_fn(move |cx| {
        body.poll_data(cx).map(|part| {
            let part = part?.and_then(|part| {
                body.flow_control().release_capacity(part.len())?;
                Ok(part)
            });
            Some(part.map_err(PayloadError::from))
        })
    });
    Payload::Stream { payload: Box::pin(parts) }
}

fn head_of(from: &ResponseHead, size: BodySize) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = from.status;
    let headers = response.headers_mut();
    for (name, value) in from.headers.iter() {
        // Of HTTP/1.1 only (RFC 9113, section 8.2.2).
        if ![CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name) && name.as_str() != "keep-alive" {
            headers.append(name, value.clone());
        }
    }
    match size {
        BodySize::Sized(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        BodySize::None | BodySize::Stream => {}
    }
    if let Ok(now) = HeaderValue::from_str(&HttpDate::from(SystemTime::now()).to_string()) {
        headers.entry(DATE).or_insert(now);
    }
    response
}

/// Sends an ordinary answer. A peer that takes nothing of it for `limit` loses its stream.
async fn send(mut stream: SendStream<Bytes>, body: BoxBody, limit: Duration) {
    let mut body = pin!(body);
    while let Some(part) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        let Ok(mut part) = part else { return stream.send_reset(Reason::INTERNAL_ERROR) };
        while !part.is_empty() {
            stream.reserve_capacity(part.len().min(BODY_PART));
            let room = match timeout(limit, poll_fn(|cx| stream.poll_capacity(cx))).await {
                Ok(Some(Ok(room))) => room.min(part.len()),
                Ok(_) => return,
                Err(_) => return stream.send_reset(Reason::CANCEL),
            };
            if room > 0 && stream.send_data(part.split_to(room), false).is_err() {
                return;
            }
        }
    }
    // It fails where the peer left.
    let _ = stream.send_data(Bytes::new(), true);
}
