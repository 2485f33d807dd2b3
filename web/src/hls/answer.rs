//! Answers with playlists and media: cache headers, conditional requests (RFC 9110, section 13), ranges (section 14), gzip.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName,
    IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ipchub_actors::hls::Session;

use super::SharedSession;

/// A name never comes again with other bytes: caches may keep it for an hour, which is longer than it is listed.
const KEPT: u32 = 3600;
/// A body goes to its connection in pieces of this size, so that what was taken can be counted.
const PIECE: usize = 64 << 10;
/// What is shorter is sent as it is.
const GZIP_FROM: usize = 512;

/// Who may keep an answer, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    Never,
    Revalidate,
    /// Not for others.
    Seconds(u64),
    /// For everybody.
    SharedSeconds(u64),
    Forever,
    /// As `Forever`, but not for others: they need a right.
    Private,
}

impl Cache {
    fn header(self) -> (HeaderName, String) {
        let value = match self {
            Self::Never => "no-store".to_owned(),
            Self::Revalidate => "no-cache".to_owned(),
            Self::Seconds(seconds) => format!("private, max-age={seconds}"),
            Self::SharedSeconds(seconds) => format!("public, max-age={seconds}"),
            Self::Forever => format!("public, max-age={KEPT}, immutable"),
            Self::Private => format!("private, max-age={KEPT}, immutable"),
        };
        (CACHE_CONTROL, value)
    }
}

/// What a media answer says of itself.
#[derive(Debug)]
pub(crate) struct Meta<'a> {
    pub(crate) media_type: &'a str,
    /// With its quotes.
    pub(crate) tag: String,
    pub(crate) cache: Cache,
}

/// A playlist, compressed where that is wanted.
pub(super) fn playlist(request: &HttpRequest, session: Option<&Session>, text: String, cache: Cache) -> HttpResponse {
    let tag = format!("W/\"{:016x}\"", digest(&text));
    let mut response = if cache != Cache::Never && is_known(request.headers(), &tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response.insert_header(cache.header()).insert_header((VARY, "accept-encoding"));
    if cache != Cache::Never {
        response.insert_header((ETAG, tag.clone()));
    }
    let body = if text.len() >= GZIP_FROM && takes_gzip(request.headers()) { gzip(&text) } else { None };
    response.content_type("application/vnd.apple.mpegurl");
    if body.is_some() {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    let body = body.unwrap_or_else(|| text.into());
    let response = response.body(body.clone());
    if response.status() == StatusCode::NOT_MODIFIED {
        return response.set_body(()).map_into_boxed_body();
    }
    if let Some(session) = session.filter(|_| request.method() != Method::HEAD) {
        session.offer(body.len());
        session.sent(body.len());
    }
    response
}

/// FNV-1a: tells texts of one player apart, for nobody's harm but its own.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Media of a player, or the part of it that is asked for.
pub(super) fn media(request: &HttpRequest, session: SharedSession, body: Bytes, meta: Meta<'_>) -> HttpResponse {
    match ranged(request, body, &meta) {
        (response, Some(body)) => send(request, response, session, body),
        (mut response, None) => response.finish(),
    }
}

/// Begins an answer with media or the part of it that is asked for; `None`: it has no body.
pub(crate) fn ranged(request: &HttpRequest, body: Bytes, meta: &Meta<'_>) -> (HttpResponseBuilder, Option<Bytes>) {
    let headers = request.headers();
    let begin = |status| {
        let mut response = HttpResponse::build(status);
        response.insert_header(meta.cache.header()).insert_header((ETAG, meta.tag.clone()));
        response.insert_header((ACCEPT_RANGES, "bytes"));
        response
    };
    if is_known(headers, &meta.tag) {
        return (begin(StatusCode::NOT_MODIFIED), None);
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let same = text(IF_RANGE).is_none_or(|tag| tag.trim() == meta.tag);
    let range =
        text(RANGE).filter(|_| same && request.method() == Method::GET).and_then(|text| range(text, body.len()));
    let whole = body.len();
    let (mut response, body) = match range {
        None => (begin(StatusCode::OK), body),
        Some(Some((from, to))) => {
            let mut response = begin(StatusCode::PARTIAL_CONTENT);
            response.insert_header((CONTENT_RANGE, format!("bytes {from}-{}/{whole}", to - 1)));
            (response, body.slice(from..to))
        }
        Some(None) => {
            let mut response = begin(StatusCode::RANGE_NOT_SATISFIABLE);
            response.insert_header((CONTENT_RANGE, format!("bytes */{whole}")));
            return (response, None);
        }
    };
    response.content_type(meta.media_type);
    (response, Some(body))
}

fn send(request: &HttpRequest, mut response: HttpResponseBuilder, session: SharedSession, body: Bytes) -> HttpResponse {
    if request.method() == Method::HEAD {
        return response.body(body);
    }
    session.offer(body.len());
    response.body(Counted { body, session })
}

/// `None`: there is no range that counts; `Some(None)`: there is nothing of it; from and behind its last byte otherwise.
fn range(header: &str, len: usize) -> Option<Option<(usize, usize)>> {
    let set = header.trim().strip_prefix("bytes=")?.trim();
    // Of several the whole may be sent instead (section 14.2).
    let (first, last) = set.split_once('-').filter(|_| !set.contains(','))?;
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match (first, last) {
        ("", last) => {
            let count = number(last)?.min(len);
            Some((count > 0).then_some((len - count, len)))
        }
        (first, "") => {
            let first = number(first)?;
            Some((first < len).then_some((first, len)))
        }
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            Some((first < len).then(|| (first, last.saturating_add(1).min(len))))
        }
    }
}

/// Whether the client has what it asks for.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let all = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    all.flat_map(|tags| tags.split(',')).any(|known| known.trim() == "*" || plain(known) == plain(tag))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    all.flat_map(|codings| codings.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn gzip(text: &str) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// A body that counts what its connection takes, and breaks off when its player is kicked.
struct Counted {
    body: Bytes,
    session: SharedSession,
}

impl MessageBody for Counted {
    type Error = Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.body.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.body.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.body.len().min(PIECE);
        let piece = self.body.split_to(len);
        if !self.session.sent(len) {
            return Poll::Ready(Some(Err(actix_web::error::ErrorGone("the player was ended by the administrator"))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-9", Some(Some((0, 10)))),
            ("bytes=5-", Some(Some((5, 100)))),
            ("bytes=-5", Some(Some((95, 100)))),
            ("bytes=-500", Some(Some((0, 100)))),
            ("bytes=90-500", Some(Some((90, 100)))),
            ("bytes=100-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=18446744073709551615-18446744073709551615", Some(None)),
            ("bytes=9-0", None),
            ("bytes=0-1,5-6", None),
            ("bytes=x-1", None),
            ("bytes=+1-2", None),
            ("bytes=", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(range(header, 100), expected, "{header}");
        }
        assert_eq!(range("bytes=0-", 0), Some(None));
    }

    #[test]
    fn tags_and_encodings() {
        let headers = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, actix_web::http::header::HeaderValue::from_static(value));
            headers
        };
        assert!(is_known(&headers(IF_NONE_MATCH, "\"a\", W/\"b\""), "\"b\""));
        assert!(is_known(&headers(IF_NONE_MATCH, "*"), "\"b\""));
        assert!(!is_known(&headers(IF_NONE_MATCH, "\"a\""), "\"b\""));
        assert!(takes_gzip(&headers(ACCEPT_ENCODING, "br, GZip;q=0.5")));
        assert!(!takes_gzip(&headers(ACCEPT_ENCODING, "br, gzip;q=0")));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
