//! What segments are written in.

use bytes::{Bytes, BytesMut};

use crate::fmp4::{self, Error, Sample};
use crate::frame::{Codec, Kind, Parameters, Track};
use crate::output::Mux;
use crate::ts;

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Fragmented MP4, with parts.
    Fmp4,
    /// MPEG-TS, for players that know whole segments only.
    Ts,
}

impl Format {
    /// What the names of segments end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Fmp4 => "m4s",
            Self::Ts => "ts",
        }
    }

    /// Media type of segments and parts.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Fmp4 => "video/mp4",
            Self::Ts => "video/mp2t",
        }
    }

    /// Why a track is not in it.
    pub(super) fn refusal(self, track: &Track) -> Option<String> {
        match self {
            Self::Fmp4 => fmp4::refusal(track),
            Self::Ts => ts::refusal(track),
        }
    }

    /// Whether its playlists list parts.
    pub fn has_parts(self) -> bool {
        self == Self::Fmp4
    }
}

/// What a decoder must have before the segments that follow it, and what the multivariant playlist says of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    /// Its number among the init sections.
    pub number: u64,
    /// Its bytes; empty for a container that needs none.
    pub bytes: Bytes,
    /// RFC 6381 names.
    pub codecs: String,
    /// Pixels.
    pub resolution: Option<(u32, u32)>,
    /// Pictures a second as the stream declares them.
    pub frame_rate: Option<f64>,
}

/// Writes the parts of one source.
#[derive(Debug, Clone)]
pub(super) enum Container {
    Fmp4(fmp4::Muxer),
    Ts(Box<Ts>),
}

/// A transport stream; its counters go on from segment to segment.
#[derive(Debug, Clone)]
pub(super) struct Ts {
    muxer: ts::Muxer,
    tracks: Vec<Track>,
    /// A segment begins: the tables come first.
    begins: bool,
}

impl Ts {
    fn new(tracks: &[Track], with_video: bool) -> Option<Self> {
        let mut muxer = ts::Muxer::new(tracks);
        if !with_video {
            muxer.leave_out_video();
        }
        muxer.ready().then(|| Self { muxer, tracks: tracks.to_vec(), begins: true })
    }

    fn carried(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().enumerate().filter(|(index, _)| self.muxer.carries(*index)).map(|(_, track)| track)
    }

    /// There is one, or it would not be ready.
    fn leading(&self) -> Option<&Track> {
        self.tracks.iter().enumerate().find(|(index, _)| self.muxer.leads(*index)).map(|(_, track)| track)
    }

    fn is_followed_by(&self, other: &Self) -> bool {
        let same =
            |a: &Track, b: &Track| (a.codec, a.clock_rate, &a.parameters) == (b.codec, b.clock_rate, &b.parameters);
        self.carried().count() == other.carried().count()
            && self.carried().zip(other.carried()).all(|(a, b)| same(a, b))
    }

    fn codecs(&self) -> String {
        let names: Vec<_> = self.carried().filter_map(codec_string).collect();
        names.join(",")
    }

    fn part(&mut self, samples: &[Sample]) -> Bytes {
        let size = samples.iter().map(|sample| self.muxer.size(&sample.frame)).sum::<usize>();
        let mut out = BytesMut::with_capacity(size + 2 * ts::PACKET);
        if std::mem::take(&mut self.begins) {
            self.muxer.begin_segment(&mut out);
        }
        for sample in samples {
            // What cannot be written was left out with its reason before.
            self.muxer.write(&sample.frame, &mut out);
        }
        out.freeze()
    }
}

/// RFC 6381; MP3 is object type 34 of ISO 14496-3.
fn codec_string(track: &Track) -> Option<String> {
    match (&track.parameters, track.codec) {
        (Some(parameters), _) => Some(parameters.codec_string()),
        (None, Codec::Mp3) => Some("mp4a.40.34".into()),
        _ => None,
    }
}

impl Container {
    /// `None`: there is nothing that it can carry, or the parameter sets are not known yet.
    pub(super) fn new(format: Format, tracks: &[Track]) -> Option<Self> {
        match format {
            Format::Fmp4 => fmp4::Muxer::new(tracks).map(Self::Fmp4),
            Format::Ts => Ts::new(tracks, true).map(|ts| Self::Ts(Box::new(ts))),
        }
    }

    /// As `new`, for the sound alone.
    pub(super) fn without_video(format: Format, tracks: &[Track]) -> Option<Self> {
        match format {
            Format::Fmp4 => fmp4::Muxer::without_video(tracks).map(Self::Fmp4),
            Format::Ts => Ts::new(tracks, false).map(|ts| Self::Ts(Box::new(ts))),
        }
        .filter(|container| !container.has_video())
    }

    pub(super) fn has_video(&self) -> bool {
        match self {
            Self::Fmp4(muxer) => muxer.leading().kind == Kind::Video,
            Self::Ts(ts) => ts.leading().is_some_and(|track| track.kind == Kind::Video),
        }
    }

    pub(super) fn carries(&self, track: usize) -> bool {
        match self {
            Self::Fmp4(muxer) => muxer.carries(track),
            Self::Ts(ts) => ts.muxer.carries(track),
        }
    }

    pub(super) fn leads(&self, track: usize) -> bool {
        match self {
            Self::Fmp4(muxer) => muxer.leads(track),
            Self::Ts(ts) => ts.muxer.leads(track),
        }
    }

    /// Whether segments of the other may follow those of this one without a discontinuity.
    pub(super) fn is_followed_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fmp4(muxer), Self::Fmp4(other)) => muxer.same_init(other),
            (Self::Ts(ts), Self::Ts(other)) => ts.is_followed_by(other),
            (Self::Fmp4(_), Self::Ts(_)) | (Self::Ts(_), Self::Fmp4(_)) => false,
        }
    }

    /// Ticks a second of what leads.
    pub(super) fn leading_rate(&self) -> u32 {
        match self {
            Self::Fmp4(muxer) => muxer.leading().clock_rate,
            Self::Ts(ts) => ts.leading().map_or(90_000, |track| track.clock_rate),
        }
    }

    fn leading_parameters(&self) -> Option<&Parameters> {
        match self {
            Self::Fmp4(muxer) => muxer.leading().parameters.as_ref(),
            Self::Ts(ts) => ts.leading().and_then(|track| track.parameters.as_ref()),
        }
    }

    /// How long a frame of what leads is in seconds, if it says so.
    pub(super) fn frame_seconds(&self) -> Option<f64> {
        match self.leading_parameters() {
            Some(Parameters::Aac(config)) => Some(f64::from(config.frame_length) / f64::from(config.sample_rate)),
            parameters => frame_rate(parameters).map(|rate| 1.0 / rate),
        }
    }

    pub(super) fn init(&self, number: u64) -> Result<Init, Error> {
        let parameters = self.leading_parameters();
        let resolution = parameters.and_then(Parameters::size);
        let (bytes, codecs) = match self {
            Self::Fmp4(muxer) => (muxer.init()?, muxer.codecs()),
            Self::Ts(ts) => (Bytes::new(), ts.codecs()),
        };
        Ok(Init { number, bytes, codecs, resolution, frame_rate: frame_rate(parameters) })
    }

    /// The next part is the first of a segment.
    pub(super) fn begin_segment(&mut self) {
        if let Self::Ts(ts) = self {
            ts.begins = true;
        }
    }

    pub(super) fn part(&mut self, sequence: u32, samples: &[Sample]) -> Result<Bytes, Error> {
        match self {
            Self::Fmp4(muxer) => muxer.fragment(sequence, samples),
            Self::Ts(ts) => Ok(ts.part(samples)),
        }
    }
}

/// Within what cameras have; others declare nonsense.
fn frame_rate(parameters: Option<&Parameters>) -> Option<f64> {
    parameters.and_then(Parameters::frame_rate).filter(|rate| (1.0..=240.0).contains(rate))
}
