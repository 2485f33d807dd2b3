//! What a URL below `/streams/` asks for.

use ipchub_media::hls::{self, Piece};
use ipchub_media::path::with_case;
use ipchub_media::rtsp::session::{MAX_PATH, StreamName};

/// An output of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A live output: `<path>.flv`, `<path>.ts`, `<path>.mp4`
    Live {
        /// Canonical path of the stream.
        path: String,
        /// The same in the case that was asked for.
        original: String,
        /// Which output.
        format: Format,
    },
    /// `<path>.m3u8`: the playlists of HLS.
    Hls {
        /// Canonical path of the stream.
        path: String,
        /// The same in the case that was asked for.
        original: String,
    },
    /// `<path>/<piece>`: what a playlist of HLS lists.
    HlsPiece {
        /// Canonical path of the stream.
        path: String,
        /// Which.
        piece: Piece,
        /// Its container.
        format: hls::Format,
    },
    /// `crossdomain.xml` in any folder, for Flash players.
    CrossDomain,
    /// A path without a format that the hub has.
    Unknown,
}

/// A format that live media is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Flv,
    Ts,
    Fmp4,
}

impl Format {
    const ALL: [Self; 3] = [Self::Flv, Self::Ts, Self::Fmp4];

    fn extension(self) -> &'static str {
        match self {
            Self::Flv => ".flv",
            Self::Ts => ".ts",
            Self::Fmp4 => ".mp4",
        }
    }
}

/// The stream that a websocket of RTSP or WSP is about, whatever output its URL names: of `/room/door.h264` that very path, of
/// `/room/door.flv` the path `/room/door`. `None` if the URL names none.
pub fn stream(rest: &str) -> Option<StreamName> {
    /// Outputs of a stream, which players put behind its path.
    const OUTPUTS: [&str; 3] = [".flv", ".m3u8", ".ts"];
    let mut original_path = with_case(rest);
    if let Some(output) = OUTPUTS.iter().find(|output| original_path.to_lowercase().ends_with(*output)) {
        original_path.truncate(original_path.len() - output.len());
    }
    let path = original_path.to_lowercase();
    (path.len() > 1 && path.len() <= MAX_PATH && !path.ends_with('/')).then_some(StreamName { path, original_path })
}

/// Reads what comes after `/streams` in a URL, still percent-encoded.
pub fn asked(rest: &str) -> Asked {
    let original = with_case(rest);
    let path = original.to_lowercase();
    if path.ends_with("/crossdomain.xml") {
        return Asked::CrossDomain;
    }
    // A format is ASCII, so it is as long in any case.
    let stream = |extension: &str| {
        let stem = path.strip_suffix(extension).filter(|stem| stem.len() > 1 && !stem.ends_with('/'))?;
        Some((stem.to_owned(), original[..original.len() - extension.len()].to_owned()))
    };
    let piece = || {
        let (stream, name) = path.rsplit_once('/').filter(|(stream, _)| stream.len() > 1)?;
        let (piece, format) = Piece::parse(name)?;
        Some(Asked::HlsPiece { path: stream.to_owned(), piece, format })
    };
    if let Some(piece) = piece() {
        return piece;
    }
    let live = Format::ALL.into_iter().find_map(|format| Some((stream(format.extension())?, format)));
    if let Some(((path, original), format)) = live {
        return Asked::Live { path, original, format };
    }
    if let Some((path, original)) = stream(".m3u8") {
        return Asked::Hls { path, original };
    }
    Asked::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_websockets() {
        for (rest, expected) in [
            ("/room/door", Some("/room/door")),
            ("/Room/Door.h264", Some("/Room/Door.h264")),
            ("/room/door.FLV", Some("/room/door")),
            ("/room/door.m3u8", Some("/room/door")),
            ("/room/1.ts", Some("/room/1")),
            ("/room/./x//door.flv.flv", Some("/room/x/door.flv")),
            ("/caf%C3%A9/1.2.3", Some("/café/1.2.3")),
            ("/", None),
            ("", None),
            ("/.flv", None),
            ("/room/", None),
        ] {
            assert_eq!(stream(rest).map(|name| name.original_path).as_deref(), expected, "{rest}");
        }
        assert_eq!(stream("/Room/Door.h264").map(|name| name.path).as_deref(), Some("/room/door.h264"));
        assert_eq!(stream(&format!("/{}", "x".repeat(MAX_PATH))), None);
    }

    #[test]
    fn urls() {
        let live = |path: &str, format| Asked::Live { path: path.to_lowercase(), original: path.into(), format };
        let (flv, ts) = (|path: &str| live(path, Format::Flv), |path: &str| live(path, Format::Ts));
        let piece = |path: &str, piece| Asked::HlsPiece { path: path.into(), piece, format: hls::Format::Fmp4 };
        for (rest, expected) in [
            ("/room/door.flv", flv("/room/door")),
            ("/Room/DOOR.FLV", flv("/Room/DOOR")),
            ("/room//./door.flv", flv("/room/door")),
            ("/room/../door.flv", flv("/door")),
            ("/room/door.main.flv", flv("/room/door.main")),
            ("/caf%C3%A9/1.flv", flv("/café/1")),
            ("/Room/DOOR.Ts", ts("/Room/DOOR")),
            ("/room/door.flv.ts", ts("/room/door.flv")),
            ("/Room/x.mp4", live("/Room/x", Format::Fmp4)),
            ("/room/.ts", Asked::Unknown),
            ("/room/door", Asked::Unknown),
            ("/room/door.mp3", Asked::Unknown),
            ("/.flv", Asked::Unknown),
            ("/room/.flv", Asked::Unknown),
            ("", Asked::Unknown),
            ("/Room/Door.M3U8", Asked::Hls { path: "/room/door".into(), original: "/Room/Door".into() }),
            ("/.m3u8", Asked::Unknown),
            ("/Room/Door/7.2.m4s", piece("/room/door", Piece::Part(7, 2))),
            ("/room/door/7.m4s", piece("/room/door", Piece::Segment(7))),
            ("/room/init3.m4s", piece("/room", Piece::Init(3))),
            ("/7.m4s", Asked::Unknown),
            ("/room/door/7.ts", ts("/room/door/7")),
            (
                "/Room/door/1793500800.ts",
                Asked::HlsPiece {
                    path: "/room/door".into(),
                    piece: Piece::Segment(1_793_500_800),
                    format: hls::Format::Ts,
                },
            ),
            ("/1793500800.ts", ts("/1793500800")),
            ("/room/x.m4s", Asked::Unknown),
            ("/room/crossdomain.xml", Asked::CrossDomain),
            ("/crossdomain.xml", Asked::CrossDomain),
        ] {
            assert_eq!(asked(rest), expected, "{rest}");
        }
    }
}
