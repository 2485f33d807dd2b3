//! HLS (RFC 8216 and its successor draft-pantos-hls-rfc8216bis): frames in, segments, parts and the text of playlists out.
//!
//! [`segmenter`] cuts, [`presentation`] is what can be asked for at one moment, [`playlist`] is its text, [`container`] is what
//! the segments are written in, [`piece`] their names.

pub mod container;
pub mod piece;
pub mod playlist;
pub mod presentation;
pub mod segmenter;
mod wall;

pub use container::Format;
pub use piece::Piece;
pub use playlist::Uris;
pub use presentation::Presentation;
pub use segmenter::{Config, Segmenter};
