//! DESCRIBE: which stream is meant and what it is made of.

use super::announce::check_length;
use super::events::{Describe, Described, Event, SessionConfig, StreamName};
use super::play::Playback;
use super::state::State;
use super::{Answer, Refusal, refusal};
use crate::path;
use crate::rtsp::headers::{Mode, Transport};
use crate::rtsp::message::{Headers, Request, Response, quoted};
use crate::sdp;

/// A question about a stream that waits for the shell's answer.
#[derive(Debug)]
pub(super) struct Describing {
    pub(super) cseq: u64,
    path: String,
    base: String,
    /// The SETUP that came without DESCRIBE and goes on once the stream is known (RFC 2326, appendix C.3, allows clients
    /// to know a stream from elsewhere).
    setup: Option<Request>,
}

impl Describing {
    /// The question that a DESCRIBE request asks.
    pub(super) fn read(request: &Request, cseq: u64, config: &SessionConfig) -> Result<(Self, Describe), Refusal> {
        check_accept(&request.headers)?;
        let (_, query) = path::of_uri(&request.uri);
        let StreamName { path, original_path } = stream_name(&request.uri, config)?;
        let describing = Self { cseq, path: path.clone(), base: base(&request.uri), setup: None };
        Ok((describing, Describe { path, original_path, query: query.map(str::to_owned) }))
    }

    /// The question that a SETUP request asks if nothing came before it.
    pub(super) fn read_setup(request: Request, cseq: u64, config: &SessionConfig) -> Result<(Self, Describe), Refusal> {
        let header = transport(&request)?;
        let alternatives = Transport::parse_list(header);
        if alternatives.is_empty() {
            return Err(refusal(461, format!("Transport {} is not offered here.", quoted(header))));
        }
        if alternatives.iter().any(|asked| asked.mode == Some(Mode::Record)) {
            return Err(refusal(455, "SETUP with mode=record is not possible before ANNOUNCE."));
        }
        let TrackUrl { stream, query, .. } = TrackUrl::read(&request.uri);
        let StreamName { path, original_path } = stream_name(stream, config)?;
        let query = query.map(str::to_owned);
        let base = base(stream);
        Ok((Self { cseq, path: path.clone(), base, setup: Some(request) }, Describe { path, original_path, query }))
    }

    /// Goes on with what the shell found.
    pub(super) fn answered(
        self,
        described: Described,
        config: &SessionConfig,
        out: &mut Vec<Event>,
    ) -> (State, Option<Answer>) {
        let playback = Playback::new(self.path, self.base, described);
        match self.setup {
            Some(request) => State::Described(playback).step(request, self.cseq, config, out),
            None => {
                let answer = playback.description(config);
                (State::Described(playback), Some(Ok(answer)))
            }
        }
    }
}

/// The stream that is meant: the carrier's, or the request's.
fn stream_name(uri: &str, config: &SessionConfig) -> Result<StreamName, Refusal> {
    if let Some(stream) = &config.stream {
        return Ok(stream.clone());
    }
    let (path, _) = path::of_uri(uri);
    check_length(&path)?;
    Ok(StreamName { path, original_path: path::of_uri_with_case(uri) })
}

impl Playback {
    /// The reply to DESCRIBE.
    pub(super) fn description(&self, config: &SessionConfig) -> Response {
        let sdp = sdp::write(&self.path, &self.described.tracks, config.address_family);
        let mut response = Response::new(200)
            .with("Content-Type", "application/sdp")
            // The slash makes it a directory: `trackID=0` is resolved below it.
            .with("Content-Base", format!("{}/", self.base));
        response.body = sdp.into();
        response
    }
}

/// The Transport header of a SETUP.
pub(super) fn transport(request: &Request) -> Result<&str, Refusal> {
    request.headers.get("Transport").ok_or(refusal(400, "The Transport header is missing."))
}

/// SDP is all there is (RFC 2326, section 12.1).
pub(super) fn check_accept(headers: &Headers) -> Result<(), Refusal> {
    let is_sdp = |media_type: &str| {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        ["application/sdp", "application/*", "*/*"].iter().any(|sdp| name.eq_ignore_ascii_case(sdp))
    };
    let mut accepts = headers.all("Accept").filter(|value| !value.trim().is_empty()).peekable();
    match accepts.peek().copied() {
        None => Ok(()),
        Some(_) if accepts.flat_map(|value| value.split(',')).any(is_sdp) => Ok(()),
        Some(first) => Err(refusal(406, format!("Accept is {}, application/sdp is offered.", quoted(first)))),
    }
}

/// A URL of a player's SETUP, cut at the control that the hub's descriptions give: `trackID=n`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TrackUrl<'a> {
    /// What stands before the control, without the query.
    pub(super) stream: &'a str,
    pub(super) query: Option<&'a str>,
    /// `None` if there is no such control.
    pub(super) track: Option<usize>,
}

impl<'a> TrackUrl<'a> {
    /// The control is the last segment of the path, or of the query, where ffmpeg puts it if it was given no Content-Base.
    pub(super) fn read(uri: &'a str) -> Self {
        let (head, query) = path::split_query(uri.trim());
        let (stream, track) = cut_control(head);
        match (track, query.map(cut_control)) {
            (None, Some((query, track))) => Self { stream, query: Some(query), track },
            _ => Self { stream, query, track },
        }
    }
}

fn cut_control(text: &str) -> (&str, Option<usize>) {
    let trimmed = text.trim_end_matches('/');
    let (before, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    // Some clients write %3D for the equals sign, or letters of another case.
    let track = path::canonical(last).strip_prefix("/trackid=").and_then(track_number);
    if track.is_some() { (before, track) } else { (text, None) }
}

fn track_number(digits: &str) -> Option<usize> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The URL of a stream for Content-Base and RTP-Info: without query, trailing slash and the client's password; what would
/// end a URL within a header is escaped.
pub(super) fn base(uri: &str) -> String {
    let (url, _) = path::split_query(uri.trim());
    let url = url.trim_end_matches('/');
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let (authority, local) = match scheme {
        "" => ("", rest),
        _ => rest.split_at(rest.find('/').unwrap_or(rest.len())),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut out = String::with_capacity(url.len());
    for c in [scheme, host, local].into_iter().flat_map(str::chars) {
        escape(c, &mut out);
    }
    out
}

fn escape(c: char, out: &mut String) {
    let plain = c.is_ascii_graphic() && !matches!(c, ',' | ';' | '"' | '<' | '>' | '\\');
    if plain {
        return out.push(c);
    }
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        out.push_str(&format!("%{byte:02X}"));
    }
}
