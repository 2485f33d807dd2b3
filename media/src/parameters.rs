//! What a decoder must know before the first frame, whatever the codec.

use crate::codec::{aac, av1, h264, h265};

/// Parameter sets of a track, as far as its codec has some.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Parameters {
    H264(h264::Parameters),
    H265(h265::Parameters),
    Av1(av1::Config),
    Aac(aac::Config),
}

impl Parameters {
    /// RFC 6381 name.
    pub fn codec_string(&self) -> String {
        match self {
            Self::H264(parameters) => parameters.codec_string(),
            Self::H265(parameters) => parameters.codec_string(),
            Self::Av1(config) => config.codec_string(),
            Self::Aac(config) => config.codec_string(),
        }
    }

    /// Width and height of the picture in pixels.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self {
            Self::H264(parameters) => Some((parameters.width, parameters.height)),
            Self::H265(parameters) => Some((parameters.width, parameters.height)),
            Self::Av1(config) => Some((config.width, config.height)),
            Self::Aac(_) => None,
        }
    }

    /// Pictures a second, if the stream says so; cameras often declare another rate than they send.
    pub fn frame_rate(&self) -> Option<f64> {
        match self {
            Self::H264(parameters) => parameters.frame_rate(),
            Self::H265(parameters) => parameters.frame_rate(),
            Self::Av1(config) => config.frame_rate(),
            Self::Aac(_) => None,
        }
    }
}
