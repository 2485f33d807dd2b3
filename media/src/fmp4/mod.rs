//! Fragmented MP4 (ISO 14496-12, section 8.8; what HLS asks of it: RFC 8216bis, section 3.3): an init section that says what
//! the tracks are, and fragments of frames. Boxes are written by `mp4-atom`.
//!
//! Times are those of the tracks' own clocks; the timeline's 0 is at [`LEAD`].

mod fragment;
mod init;
mod live;
mod still;

use bytes::Bytes;

use crate::frame::{Codec, Frame, Kind, Parameters, Track};
pub(crate) use live::Live;
pub use still::{Still, still};

/// Seconds from the output's 0 to the timeline's: what decodes before 0 (reordered frames, audio that came first) stays
/// above zero.
pub const LEAD: i64 = 1;

/// Why something cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The parameter sets, or none, of that codec.
    #[error("no sample entry can be written for {0}")]
    Entry(&'static str),
    /// A box has no room for a value.
    #[error("{0}")]
    Box(String),
}

impl From<mp4_atom::Error> for Error {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Box(error.to_string())
    }
}

/// A frame and how long it lasts.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The frame.
    pub frame: Frame,
    /// Ticks of its track's clock until the next frame of the track is decoded.
    pub duration: u32,
}

/// Why a track is not in the output.
pub fn refusal(track: &Track) -> Option<String> {
    let name = track.name();
    match track.codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus => None,
        Codec::Pcma | Codec::Pcmu | Codec::G722 => Some(format!("players know no {name} in MP4")),
        // What Chromium says of `mp4a.6B`, `mp4a.69` and `mp4a.40.34`. With a sound that it refuses the picture would go too.
        Codec::Mp3 => Some("browsers play no MP3 in MP4 (TS has it, also in HLS: ?type=ts)".into()),
        _ => Some(format!("the hub writes no {name} into MP4")),
    }
}

/// Media type of what is written of these tracks, with their RFC 6381 names once all are known that it needs.
pub fn media_type(tracks: &[Track]) -> String {
    match Muxer::new(tracks) {
        Some(muxer) => format!("video/mp4; codecs=\"{}\"", muxer.codecs()),
        None => "video/mp4".into(),
    }
}

/// Writes one source's frames. It holds no frame and no state between fragments but the parameter sets.
#[derive(Debug, Clone)]
pub struct Muxer {
    outputs: Vec<Output>,
}

#[derive(Debug, Clone)]
struct Output {
    /// Index of the track in its source.
    index: usize,
    /// `track_ID`
    id: u32,
    track: Track,
}

impl Output {
    fn ready(&self) -> bool {
        self.track.codec == Codec::Opus || self.track.parameters.is_some()
    }

    fn codec_string(&self) -> String {
        self.track.parameters.as_ref().map_or_else(|| "opus".into(), Parameters::codec_string)
    }
}

/// The first track of a kind that MP4 can carry.
fn first(tracks: &[Track], kind: Kind) -> Option<Output> {
    let fits = |track: &Track| track.kind == kind && refusal(track).is_none();
    let (index, track) = tracks.iter().enumerate().find(|(_, track)| fits(track))?;
    let id = if kind == Kind::Video { 1 } else { 2 };
    Some(Output { index, id, track: track.clone() })
}

impl Muxer {
    /// For the first video and the first audio track that MP4 can carry. `None`: there is neither, or what leads is not
    /// [ready](Muxer::ready). Audio whose configuration is not known yet is left out.
    pub fn new(tracks: &[Track]) -> Option<Self> {
        Self::of(first(tracks, Kind::Video), first(tracks, Kind::Audio))
    }

    /// As [`Muxer::new`], for the audio track alone.
    pub fn without_video(tracks: &[Track]) -> Option<Self> {
        Self::of(None, first(tracks, Kind::Audio))
    }

    fn of(video: Option<Output>, audio: Option<Output>) -> Option<Self> {
        if !video.as_ref().or(audio.as_ref())?.ready() {
            return None;
        }
        Some(Self { outputs: video.into_iter().chain(audio).filter(Output::ready).collect() })
    }

    fn output(&self, track: usize) -> Option<&Output> {
        self.outputs.iter().find(|output| output.index == track)
    }

    /// Whether frames of that track are written.
    pub fn carries(&self, track: usize) -> bool {
        self.output(track).is_some()
    }

    /// Whether key frames of that track are where a player can begin: the video's, or the audio's if there is no video.
    pub fn leads(&self, track: usize) -> bool {
        self.outputs.first().is_some_and(|output| output.index == track)
    }

    /// The track that leads.
    pub fn leading(&self) -> &Track {
        &self.outputs.first().expect("a muxer has an output").track
    }

    /// RFC 6381 names of what is written, for `CODECS` and media types.
    pub fn codecs(&self) -> String {
        self.outputs.iter().map(Output::codec_string).collect::<Vec<_>>().join(",")
    }

    /// Whether the same init section serves both.
    pub fn same_init(&self, other: &Self) -> bool {
        let same = |a: &Output, b: &Output| {
            let (x, y) = (&a.track, &b.track);
            (a.id, x.codec, x.clock_rate, x.channels, &x.parameters)
                == (b.id, y.codec, y.clock_rate, y.channels, &y.parameters)
        };
        self.outputs.len() == other.outputs.len() && self.outputs.iter().zip(&other.outputs).all(|(a, b)| same(a, b))
    }

    /// `ftyp` and `moov`.
    ///
    /// # Errors
    /// If a track's parameter sets have no place in a sample entry.
    pub fn init(&self) -> Result<Bytes, Error> {
        init::section(&self.outputs)
    }

    /// `moof` and `mdat` of frames in any order of tracks, each track's in decode order. Frames of other tracks are passed
    /// over.
    ///
    /// # Errors
    /// If the fragment is 2 GiB or longer.
    pub fn fragment(&self, sequence: u32, samples: &[Sample]) -> Result<Bytes, Error> {
        fragment::write(&self.outputs, sequence, samples)
    }
}

#[cfg(test)]
mod tests;
