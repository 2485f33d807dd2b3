//! What a URL below `/streams/` asks for.

use ipchub_media::path::canonical;

/// An output of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `<path>.flv`
    Flv {
        /// Canonical path of the stream.
        path: String,
    },
    /// `crossdomain.xml` in any folder, for Flash players.
    CrossDomain,
    /// A path without a format that the hub has.
    Unknown,
}

/// Reads what comes after `/streams` in a URL, still percent-encoded.
pub fn asked(rest: &str) -> Asked {
    let path = canonical(rest);
    if path.ends_with("/crossdomain.xml") {
        return Asked::CrossDomain;
    }
    match path.strip_suffix(".flv") {
        Some(stem) if stem.len() > 1 && !stem.ends_with('/') => Asked::Flv { path: stem.to_owned() },
        _ => Asked::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let flv = |path: &str| Asked::Flv { path: path.into() };
        for (rest, expected) in [
            ("/room/door.flv", flv("/room/door")),
            ("/Room/DOOR.FLV", flv("/room/door")),
            ("/room//./door.flv", flv("/room/door")),
            ("/room/../door.flv", flv("/door")),
            ("/room/door.main.flv", flv("/room/door.main")),
            ("/caf%C3%A9/1.flv", flv("/café/1")),
            ("/room/door", Asked::Unknown),
            ("/room/door.mp3", Asked::Unknown),
            ("/.flv", Asked::Unknown),
            ("/room/.flv", Asked::Unknown),
            ("", Asked::Unknown),
            ("/room/crossdomain.xml", Asked::CrossDomain),
            ("/crossdomain.xml", Asked::CrossDomain),
        ] {
            assert_eq!(asked(rest), expected, "{rest}");
        }
    }
}
