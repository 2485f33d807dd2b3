//! HLS over HTTP: playlists and what they list. Each player is a session, whose id and token stand in the addresses that its
//! playlists give it: players keep no cookies and send no headers of their own.

pub(crate) mod answer;

use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::Right;
use ipchub_actors::hls::{Handle, Session};
use ipchub_actors::messages::{Find, Found, Open};
use ipchub_media::hls::{Format, Piece, Uris};
use ipchub_media::{Output, output};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;

use crate::access;
use crate::connection;
use crate::error::ApiError;
use answer::Cache;

/// Characters of an id in an address.
const MAX_SESSION: usize = 64;
/// What may not stand in a playlist's quoted address; what is encoded already stays.
const ADDRESS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');
/// What a query's value may have besides letters and digits.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query of an address of HLS. What is not known here is passed over.
#[derive(Debug, Default, Deserialize)]
struct HlsQuery {
    session: Option<String>,
    token: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "_HLS_msn")]
    msn: Option<String>,
    #[serde(rename = "_HLS_part")]
    part: Option<String>,
    #[serde(rename = "_HLS_skip")]
    skip: Option<String>,
}

impl HlsQuery {
    fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        match web::Query::<Self>::from_query(request.query_string()) {
            Ok(query) => Ok(query.into_inner()),
            Err(error) => Err(ApiError::Body(format!("the query cannot be read: {error}"))),
        }
    }

    /// The id of the player; `None` where it has none yet.
    fn session(&self) -> Result<Option<&str>, ApiError> {
        let plain = |id: &str| id.len() <= MAX_SESSION && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match self.session.as_deref() {
            None | Some("") => Ok(None),
            Some(id) if plain(id) => Ok(Some(id)),
            Some(_) => Err(ApiError::Parameter("session", "it is no id of a player: begin with <path>.m3u8".into())),
        }
    }

    /// The container: fragmented MP4, or with `type=ts` MPEG-TS.
    fn format(&self) -> Result<Format, ApiError> {
        match self.kind.as_deref() {
            None | Some("" | "fmp4") => Ok(Format::Fmp4),
            Some("ts") => Ok(Format::Ts),
            Some(other) => Err(ApiError::Parameter("type", format!("{other:?} is not ts or fmp4"))),
        }
    }

    /// Segment, and part of it, that a reload waits for (draft-pantos-hls-rfc8216bis, section 6.2.5.2).
    fn awaited(&self) -> Result<Option<(u64, Option<usize>)>, ApiError> {
        fn number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, ApiError> {
            let plain = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|_| plain);
            number.ok_or_else(|| ApiError::Parameter(name, format!("{text:?} is no whole number")))
        }
        let part = self.part.as_deref().map(|text| number("_HLS_part", text)).transpose()?;
        match (&self.msn, part) {
            (Some(msn), part) => Ok(Some((number("_HLS_msn", msn)?, part))),
            (None, Some(_)) => Err(ApiError::Parameter("_HLS_part", "it needs _HLS_msn beside it".into())),
            (None, None) => Ok(None),
        }
    }

    fn skip(&self) -> Result<bool, ApiError> {
        match self.skip.as_deref() {
            None | Some("") => Ok(false),
            // v2 asks for skipped date ranges too, of which there are none.
            Some("YES" | "v2") => Ok(true),
            Some(other) => Err(ApiError::Parameter("_HLS_skip", format!("{other:?} is not YES or v2"))),
        }
    }

    /// What stands behind the addresses in this player's playlists.
    fn suffix(&self, session: &str) -> String {
        let mut suffix = format!("?session={session}");
        if let Some(token) = self.token.as_deref().filter(|token| !token.is_empty()) {
            suffix.push_str("&token=");
            suffix.extend(utf8_percent_encode(token, VALUE));
        }
        suffix
    }
}

/// The last name of the request's path as the client wrote it, for addresses relative to it: `./door` of `/room/door.m3u8`.
fn relative_stem(request: &HttpRequest) -> String {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let stem = &name[..name.len().saturating_sub(".m3u8".len())];
    // What has a colon would be taken for a scheme.
    format!("./{}", utf8_percent_encode(stem, ADDRESS))
}

/// `<path>.m3u8`: without a session the multivariant playlist, with one the media playlist.
pub(crate) async fn playlist(
    request: &HttpRequest,
    hub: &Hub,
    path: String,
    original_path: String,
) -> Result<HttpResponse, ApiError> {
    let query = HlsQuery::of(request);
    let player = query.as_ref().ok().and_then(|query| Some((query.session().ok()??, query.format().ok()?)));
    let token = let_in(request, hub, &path, player).await?;
    let query = query?;
    let (session, awaited, skip, format) = (query.session()?, query.awaited()?, query.skip()?, query.format()?);
    let found = hub.supervisor.send(Open { path: path.clone(), original_path }).await??;
    let description = found.info.description();
    let tracks = &description.tracks;
    let plan = match format {
        Format::Fmp4 => output::hls_plan(tracks),
        Format::Ts => Output::Ts.plan(tracks),
    };
    if let Some(reason) = plan.refusal() {
        return Err(ApiError::NotFound(format!("{path} cannot be sent as HLS: {reason}")));
    }
    let handle = Handle::of(hub, &found, format);
    let stem = relative_stem(request);
    let Some(id) = session else {
        let kind = if format == Format::Ts { "&type=ts" } else { "" };
        let uri = format!("{stem}.m3u8{}{kind}", query.suffix(&Handle::new_session()));
        let text = handle.content().await?.multivariant_playlist(&uri);
        let text = text.ok_or_else(|| ApiError::Unavailable(format!("{path} has no picture and no sound yet")))?;
        // It names a player.
        return Ok(answer::playlist(request, None, text, Cache::Never));
    };
    let session = handle.session(id, peer(request)?)?;
    token.inspect(|token| session.let_in_by(token));
    let now = match awaited {
        Some((number, part)) => handle.reached(&session, number, part).await?,
        None if needs_two_segments(request) => handle.two_segments(&session).await?,
        None => handle.content().await?,
    };
    let (folder, suffix) = (format!("{stem}/"), query.suffix(id));
    let text = now.media_playlist(Uris { folder: &folder, query: &suffix }, skip);
    let cache = match awaited {
        // What was waited for does not change; only what comes after it is added.
        Some(_) => Cache::Seconds(now.target_duration),
        None => Cache::Revalidate,
    };
    Ok(answer::playlist(request, Some(&session), text, cache))
}

/// `<path>/<piece>`: an init section, a segment or a part.
pub(crate) async fn piece(
    request: &HttpRequest,
    hub: &Hub,
    path: &str,
    (piece, format): (Piece, Format),
) -> Result<HttpResponse, ApiError> {
    let query = HlsQuery::of(request);
    let player = query.as_ref().ok().and_then(|query| Some((query.session().ok()??, format)));
    let token = let_in(request, hub, path, player).await?;
    let query = query?;
    let missing = || ApiError::NotFound(format!("{path} has no {} now", piece.name(format)));
    let id = match (query.session()?, format) {
        (Some(id), _) => id.to_owned(),
        // Old players and scripts put addresses of segments together themselves: all of one address are one player.
        (None, Format::Ts) => address_session(peer(request)?),
        (None, Format::Fmp4) => {
            let problem = format!("it is missing: addresses stand in the playlist {path}.m3u8");
            return Err(ApiError::Parameter("session", problem));
        }
    };
    let found: Option<Found> = hub.supervisor.send(Find { path: path.to_owned() }).await?;
    let handle = found.and_then(|found| found.info.live_hls(format)).ok_or_else(missing)?;
    let session = handle.session(&id, peer(request)?)?;
    token.inspect(|token| session.let_in_by(token));
    let body = match piece {
        Piece::Init(number) => handle.content().await?.init(number).map(|init| init.bytes.clone()),
        Piece::Segment(number) => Some(handle.segment(number).await?),
        Piece::Part(number, part) => Some(handle.part(&session, number, part).await?),
    };
    let body = body.ok_or_else(missing)?;
    let cache = if hub.gate.auth { Cache::Private } else { Cache::Forever };
    let tag = format!("\"{}\"", piece.name(format));
    Ok(answer::media(request, session, body, answer::Meta { media_type: format.media_type(), tag, cache }))
}

/// Lets a player in by its right, and gives the token that has it. One that plays goes on when that expires, as every other
/// connection does; what its user may is asked each time.
async fn let_in(
    request: &HttpRequest,
    hub: &Hub,
    path: &str,
    player: Option<(&str, Format)>,
) -> Result<Option<String>, ApiError> {
    let token = access::token(request.query_string(), request.headers());
    let refused = match access::may_watch(request, hub, path) {
        Ok(()) => return Ok(token),
        Err(refused @ ApiError::Unauthorized(_)) => refused,
        Err(error) => return Err(error),
    };
    let (Some((id, format)), Some(token)) = (player, token) else { return Err(refused) };
    let Ok(user) = hub.gate.late_token(&token) else { return Err(refused) };
    hub.gate.may(&user, Right::Pull, path)?;
    let found: Option<Found> = hub.supervisor.send(Find { path: path.to_owned() }).await?;
    let session = found.and_then(|found| found.info.live_hls(format)).and_then(|handle| handle.live_session(id));
    match session {
        Some(session) if session.was_let_in_by(&token) => Ok(Some(token)),
        _ => Err(refused),
    }
}

/// GStreamer finds no place in the second playlist that it reads if the first had one segment (it looks for all but the first
/// in the other: `gst_hls_media_playlist_sync_to_playlist` of 1.22 and later), and hangs.
fn needs_two_segments(request: &HttpRequest) -> bool {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("GStreamer"))
}

fn peer(request: &HttpRequest) -> Result<std::net::SocketAddr, ApiError> {
    let peer = connection::link(request).map(|link| link.peer).or(request.peer_addr());
    peer.ok_or_else(|| ApiError::Unavailable("this connection has no other end".into()))
}

fn address_session(peer: std::net::SocketAddr) -> String {
    let digits = peer.ip().to_string().replace(|c: char| !c.is_ascii_alphanumeric(), "x");
    format!("from{digits}")
}

type SharedSession = Arc<Session>;

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn query(text: &str) -> Result<HlsQuery, ApiError> {
        HlsQuery::of(&TestRequest::with_uri(&format!("/x.m3u8?{text}")).to_http_request())
    }

    #[test]
    fn what_a_reload_waits_for() {
        let awaited = |text: &str| query(text).and_then(|query| query.awaited());
        assert_eq!(awaited(""), Ok(None));
        assert_eq!(awaited("_HLS_msn=7"), Ok(Some((7, None))));
        assert_eq!(awaited("_HLS_msn=7&_HLS_part=2"), Ok(Some((7, Some(2)))));
        for wrong in [
            "_HLS_part=2",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=%2B1",
            "_HLS_msn=1&_HLS_part=x",
            "_HLS_msn=99999999999999999999",
        ] {
            assert!(matches!(awaited(wrong), Err(ApiError::Parameter(..))), "{wrong}");
        }
        assert!(matches!(query("_HLS_msn=1&_HLS_msn=2"), Err(ApiError::Body(_))));
        assert!(query("_HLS_skip=maybe").is_ok_and(|query| query.skip().is_err()));
    }

    #[test]
    fn addresses_carry_session_and_token() {
        let query = query("token=a%26b%20%2Fc").expect("a query");
        assert_eq!(query.suffix("5f"), "?session=5f&token=a%26b%20%2Fc");
        for (wrong, long) in [("a b", 1), ("..", 1), ("a", 65), ("\u{e9}", 1)] {
            let query = HlsQuery { session: Some(wrong.repeat(long)), ..HlsQuery::default() };
            assert!(query.session().is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_relative() {
        let stem = |uri: &str| relative_stem(&TestRequest::with_uri(uri).to_http_request());
        assert_eq!(stem("/streams/Room/Door.M3U8?x=/y"), "./Door");
        assert_eq!(stem("/streams/caf%C3%A9%20.m3u8"), "./caf%C3%A9%20");
        assert_eq!(stem("/streams/a:b.m3u8"), "./a:b");
    }
}
