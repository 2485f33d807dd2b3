//! Session descriptions (SDP, RFC 8866): what the tracks of a stream are.
//!
//! The `sdp-types` crate is not used: it refuses what real cameras send, such as a missing `o=`, a second `s=`, a broken
//! `c=` or spaces at the end of a line. Here only the lines that say something about tracks are read, a doubt is settled
//! by a default and written to [`Description::notes`], and only a description that cannot be used at all is an error.

mod fmtp;
mod parse;
mod write;

pub use write::{AddressFamily, write};

use crate::frame::Track;

/// Most `m=` lines. A camera has up to four; each costs the hub a receiver, a timeline and its part of every lane.
pub const MAX_TRACKS: usize = 16;
/// Longest line in bytes: three base64 parameter sets of H.265 take a few hundred.
pub const MAX_LINE: usize = 8 * 1024;

/// What a publisher says about its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// In the order of the `m=` lines; at least one, at most [`MAX_TRACKS`].
    pub tracks: Vec<Track>,
    /// The session's `a=control`; empty if there was none.
    pub control: String,
    /// The first `s=`, empty if there was none.
    pub name: String,
    /// What was wrong but could be settled by a default, one sentence each, with its line.
    pub notes: Vec<String>,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// No `m=` line that makes a track.
    #[error("SDP line {line}: the end, but no m= line with a payload type before it")]
    NoMedia {
        /// Number of the last line.
        line: usize,
    },
    /// More than [`MAX_TRACKS`] `m=` lines.
    #[error("SDP line {line}: more than {MAX_TRACKS} m= lines")]
    TooManyTracks {
        /// Number of the first that is too much, from 1.
        line: usize,
    },
    /// A line of more than [`MAX_LINE`] bytes.
    #[error("SDP line {line}: {len} bytes, expected at most {MAX_LINE}")]
    LineTooLong {
        /// Its number, from 1.
        line: usize,
        /// Its length in bytes.
        len: usize,
    },
}

impl SdpError {
    /// The number of the line, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::NoMedia { line } | Self::TooManyTracks { line } | Self::LineTooLong { line, .. } => *line,
        }
    }
}

impl Description {
    /// Reads a description. CRLF, LF, a byte order mark and text that is no UTF-8 are all taken.
    ///
    /// # Errors
    /// No track, too many of them, or a line that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        parse::parse(bytes)
    }
}

#[cfg(test)]
mod tests;
