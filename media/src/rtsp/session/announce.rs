//! ANNOUNCE: what the stream is called and what its tracks are.

use super::events::{Publish, SessionConfig, TrackTransport};
use super::{Refusal, refusal};
use crate::frame::Track;
use crate::path;
use crate::rtsp::message::{Request, quoted};
use crate::sdp::Description;

/// Longest stream path in bytes: it is a key of the registry and stands in every list and log line.
pub const MAX_PATH: usize = 1024;

/// Longest `User-Agent` that is kept, in characters; it is shown, not understood.
const MAX_USER_AGENT: usize = 200;

pub(super) fn check_length(path: &str) -> Result<(), Refusal> {
    if path.len() > MAX_PATH {
        return Err(refusal(414, format!("The path has {} bytes, expected at most {MAX_PATH}.", path.len())));
    }
    Ok(())
}

/// What ANNOUNCE said and SETUP added to it.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) path: String,
    /// Path of the URL that the client has for the stream: what its controls are relative to.
    pub(super) base: String,
    pub(super) tracks: Vec<Track>,
    /// Index: track.
    pub(super) transports: Vec<Option<TrackTransport>>,
    user_agent: String,
    notes: Vec<String>,
}

impl Announced {
    /// What an ANNOUNCE request says of its stream.
    pub(super) fn read(request: &Request, config: &SessionConfig) -> Result<Self, Refusal> {
        let content_type = request.headers.get("Content-Type").unwrap_or_default();
        if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/sdp") {
            return Err(refusal(415, format!("Content-Type is {}, expected application/sdp.", quoted(content_type))));
        }
        let (base, _) = path::of_uri(&request.uri);
        let path = config.stream.as_ref().map_or_else(|| base.clone(), |stream| stream.path.clone());
        // "*" is the server as a whole (RFC 2326, section 6.1), no stream.
        if path == "/" || path == "/*" {
            return Err(refusal(400, "The URL has no path; it names the stream."));
        }
        check_length(&path)?;
        let description = Description::parse(&request.body).map_err(|error| refusal(400, format!("{error}.")))?;
        let user_agent = request.headers.get("User-Agent").unwrap_or_default();
        Ok(Self {
            path,
            base,
            transports: vec![None; description.tracks.len()],
            tracks: description.tracks,
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect(),
            notes: description.notes,
        })
    }

    /// Leaves out the tracks that were not set up: nothing will come for them.
    pub(super) fn into_publish(self) -> Publish {
        let set_up = self.tracks.into_iter().zip(self.transports);
        let (tracks, transports) =
            set_up.filter_map(|(track, transport)| transport.map(|transport| (track, transport))).unzip();
        Publish { path: self.path, tracks, transports, user_agent: self.user_agent, notes: self.notes }
    }
}
