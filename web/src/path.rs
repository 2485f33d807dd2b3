//! What a URL below `/streams/` asks for.

use ipchub_media::path::with_case;

/// An output of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `<path>.flv`
    Flv {
        /// Canonical path of the stream.
        path: String,
        /// The same in the case that was asked for.
        original: String,
    },
    /// `crossdomain.xml` in any folder, for Flash players.
    CrossDomain,
    /// A path without a format that the hub has.
    Unknown,
}

/// Reads what comes after `/streams` in a URL, still percent-encoded.
pub fn asked(rest: &str) -> Asked {
    let original = with_case(rest);
    let path = original.to_lowercase();
    if path.ends_with("/crossdomain.xml") {
        return Asked::CrossDomain;
    }
    match path.strip_suffix(".flv") {
        Some(stem) if stem.len() > 1 && !stem.ends_with('/') => {
            // The format is ASCII, so it is as long in any case.
            let original = original[..original.len() - ".flv".len()].to_owned();
            Asked::Flv { path: stem.to_owned(), original }
        }
        _ => Asked::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let flv = |path: &str| Asked::Flv { path: path.to_lowercase(), original: path.into() };
        for (rest, expected) in [
            ("/room/door.flv", flv("/room/door")),
            ("/Room/DOOR.FLV", flv("/Room/DOOR")),
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
