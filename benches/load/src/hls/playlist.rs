//! What a player needs to know of a playlist (RFC 8216bis, section 4).

use anyhow::{Context, Result};

/// A segment's number and a part's in it; a whole segment stands at its part 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) part: u64,
}

/// A part, or a segment that is listed without its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) place: Place,
    pub(super) uri: String,
    /// It begins with a key frame.
    pub(super) independent: bool,
}

/// A media playlist.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Playlist {
    pub(super) pieces: Vec<Piece>,
    pub(super) map: Option<String>,
    /// Seconds.
    pub(super) target: f64,
    pub(super) blocks: bool,
    /// Behind its last piece.
    pub(super) end: Place,
    pub(super) ended: bool,
}

/// The address of the first variant of a multivariant playlist.
pub(super) fn variant(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("#EXT-X-STREAM-INF"));
    lines.find(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Playlist {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut playlist = Self {
            pieces: Vec::new(),
            map: None,
            target: 2.0,
            blocks: false,
            end: Place { segment: 0, part: 0 },
            ended: false,
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let at = &mut playlist.end;
            match tag {
                "#EXT-X-MEDIA-SEQUENCE" => at.segment = value.parse().with_context(|| line.to_owned())?,
                "#EXT-X-TARGETDURATION" => playlist.target = value.parse().with_context(|| line.to_owned())?,
                "#EXT-X-SERVER-CONTROL" => playlist.blocks = attribute(value, "CAN-BLOCK-RELOAD") == Some("YES"),
                "#EXT-X-MAP" => playlist.map = attribute(value, "URI").map(str::to_owned),
                "#EXT-X-ENDLIST" => playlist.ended = true,
                "#EXT-X-PART" => {
                    let uri = attribute(value, "URI").with_context(|| line.to_owned())?.to_owned();
                    let independent = attribute(value, "INDEPENDENT") == Some("YES");
                    playlist.pieces.push(Piece { place: *at, uri, independent });
                    at.part += 1;
                }
                _ if line.starts_with('#') => {}
                _ => {
                    if at.part == 0 {
                        playlist.pieces.push(Piece { place: *at, uri: line.to_owned(), independent: true });
                    }
                    *at = Place { segment: at.segment + 1, part: 0 };
                }
            }
        }
        Ok(playlist)
    }
}

/// A value of an attribute list (section 4.2), without its quotes.
fn attribute<'a>(mut list: &'a str, name: &str) -> Option<&'a str> {
    while let Some((key, rest)) = list.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if key.trim() == name {
            return Some(value);
        }
        list = rest.trim_start_matches(',');
    }
    None
}
