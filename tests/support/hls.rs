//! A player of HLS that only reads: playlists by m3u8-rs, and what they list.

use m3u8_rs::{MasterPlaylist, MediaPlaylist};

use super::http::{self, Response};
use super::hub::Hub;

/// One session.
pub struct Session<'a> {
    hub: &'a Hub,
    /// Path and query of the media playlist.
    pub playlist: String,
}

/// The multivariant playlist of a stream; `query` with its `?`.
pub fn multivariant(hub: &Hub, path: &str, query: &str) -> MasterPlaylist {
    let answer = http::get(hub.address(), &format!("/streams{path}.m3u8{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let (rest, playlist) = m3u8_rs::parse_master_playlist(&answer.body).expect("a multivariant playlist");
    assert!(rest.is_empty() && playlist.variants.len() == 1, "{}", answer.text());
    playlist
}

impl<'a> Session<'a> {
    pub fn begin(hub: &'a Hub, path: &str) -> Self {
        Self::begin_with(hub, path, "")
    }

    pub fn begin_with(hub: &'a Hub, path: &str, query: &str) -> Self {
        let uri = &multivariant(hub, path, query).variants[0].uri;
        Self { hub, playlist: resolve(&format!("/streams{path}.m3u8"), uri) }
    }

    /// The media playlist with more in its query: `&_HLS_msn=7`.
    pub fn ask(&self, more: &str) -> Response {
        http::get(self.hub.address(), &format!("{}{more}", self.playlist))
    }

    /// The text of the media playlist.
    pub fn text(&self, more: &str) -> String {
        let answer = self.ask(more);
        assert_eq!(answer.status, 200, "{more}: {}", answer.text());
        answer.text()
    }

    /// As m3u8-rs reads it.
    pub fn media(&self, more: &str) -> MediaPlaylist {
        parse(&self.text(more))
    }

    /// Path and query of what a playlist lists.
    pub fn address(&self, uri: &str) -> String {
        resolve(&self.playlist, uri)
    }

    pub fn fetch(&self, uri: &str) -> Response {
        self.fetch_with(uri, &[])
    }

    pub fn fetch_with(&self, uri: &str, headers: &[(&str, &str)]) -> Response {
        http::request(self.hub.address(), "GET", &self.address(uri), headers)
    }

    /// The number of the segment that comes next.
    pub fn next(&self) -> u64 {
        let media = self.media("");
        media.media_sequence + media.segments.iter().filter(|segment| !segment.uri.is_empty()).count() as u64
    }
}

pub fn parse(text: &str) -> MediaPlaylist {
    // m3u8-rs knows segments only: what follows the last one would be half of one to it.
    let end =
        text.rfind("#EXT-X-PROGRAM-DATE-TIME").filter(|at| !text[*at..].contains("#EXTINF")).unwrap_or(text.len());
    let end =
        text[..end].rfind("\n#EXTINF").and_then(|at| Some(at + 1 + text[at + 1..].match_indices('\n').nth(1)?.0 + 1));
    m3u8_rs::parse_media_playlist(&text.as_bytes()[..end.unwrap_or(text.len())]).expect("a media playlist").1
}

/// Values of an attribute of all lines with that tag.
pub fn attributes(text: &str, tag: &str, name: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(tag)?.strip_prefix(':'));
    let value = |line: &str| {
        let mut parts = line.split(',').filter_map(|part| part.split_once('='));
        parts.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    lines.filter_map(value).collect()
}

/// Seconds.
pub fn seconds(texts: &[String]) -> Vec<f64> {
    texts.iter().map(|text| text.parse().expect("seconds")).collect()
}

fn resolve(base: &str, uri: &str) -> String {
    let base = url::Url::parse("http://hub").and_then(|root| root.join(base)).expect("a path");
    let found = base.join(uri).expect("a relative address");
    format!("{}?{}", found.path(), found.query().unwrap_or_default())
}
