//! What segments are written in.

use bytes::Bytes;

use crate::fmp4::{self, Error, Sample};
use crate::frame::{Parameters, Track};

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Fragmented MP4, with parts.
    Fmp4,
}

impl Format {
    /// What the names of segments end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Fmp4 => "m4s",
        }
    }

    /// Media type of segments and parts.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Fmp4 => "video/mp4",
        }
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
}

impl Container {
    /// `None`: there is nothing that it can carry, or the parameter sets are not known yet.
    pub(super) fn new(format: Format, tracks: &[Track]) -> Option<Self> {
        match format {
            Format::Fmp4 => fmp4::Muxer::new(tracks).map(Self::Fmp4),
        }
    }

    pub(super) fn carries(&self, track: usize) -> bool {
        let Self::Fmp4(muxer) = self;
        muxer.carries(track)
    }

    pub(super) fn leads(&self, track: usize) -> bool {
        let Self::Fmp4(muxer) = self;
        muxer.leads(track)
    }

    /// Whether segments of the other may follow those of this one without a discontinuity.
    pub(super) fn is_followed_by(&self, other: &Self) -> bool {
        let (Self::Fmp4(muxer), Self::Fmp4(other)) = (self, other);
        muxer.same_init(other)
    }

    /// Ticks a second of what leads.
    pub(super) fn leading_rate(&self) -> u32 {
        let Self::Fmp4(muxer) = self;
        muxer.leading().clock_rate
    }

    /// How long a frame of what leads is in seconds, if it says so.
    pub(super) fn frame_seconds(&self) -> Option<f64> {
        let Self::Fmp4(muxer) = self;
        match &muxer.leading().parameters {
            Some(Parameters::Aac(config)) => Some(f64::from(config.frame_length) / f64::from(config.sample_rate)),
            parameters => frame_rate(parameters.as_ref()).map(|rate| 1.0 / rate),
        }
    }

    pub(super) fn init(&self, number: u64) -> Result<Init, Error> {
        let Self::Fmp4(muxer) = self;
        let parameters = muxer.leading().parameters.as_ref();
        let resolution = match parameters {
            Some(Parameters::H264(parameters)) => Some((parameters.width, parameters.height)),
            Some(Parameters::H265(parameters)) => Some((parameters.width, parameters.height)),
            _ => None,
        };
        let (bytes, codecs) = (muxer.init()?, muxer.codecs());
        Ok(Init { number, bytes, codecs, resolution, frame_rate: frame_rate(parameters) })
    }

    pub(super) fn part(&self, sequence: u32, samples: &[Sample]) -> Result<Bytes, Error> {
        let Self::Fmp4(muxer) = self;
        muxer.fragment(sequence, samples)
    }
}

/// Within what cameras have; others declare nonsense.
fn frame_rate(parameters: Option<&Parameters>) -> Option<f64> {
    let rate = match parameters {
        Some(Parameters::H264(parameters)) => parameters.frame_rate(),
        Some(Parameters::H265(parameters)) => parameters.frame_rate(),
        _ => None,
    };
    rate.filter(|rate| (1.0..=240.0).contains(rate))
}
