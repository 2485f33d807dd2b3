//! FLV (Adobe "Video File Format Specification" 10.1, annex E) and its enhanced form for H.265 (Veovera "Enhanced RTMP" v1).

pub mod amf0;
pub mod clip;
pub mod demux;
pub mod mux;

pub use mux::{Hevc, Muxer, Options};

/// Tag types (annex E.4.1).
pub mod tag {
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Script data: `onMetaData`.
    pub const SCRIPT: u8 = 18;
    /// Bytes before a tag's data.
    pub const HEADER_LEN: usize = 11;
}

/// The file header's length, with the first PreviousTagSize.
pub const FILE_HEADER_LEN: usize = 13;
