//! What the assembler must know of a codec.

use bytes::Bytes;

use crate::{Parameters, codec};

/// What a NAL unit is to the assembler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Slice {
        /// Of a picture a decoder can start at.
        key: bool,
        /// The picture's first.
        first: bool,
        /// Needs pictures before the key frame it follows.
        leading: bool,
    },
    ParameterSet,
    /// With a recovery point: a decoder can start here as well.
    Sei {
        recovery_point: bool,
    },
    /// Behind the slices it belongs to.
    Suffix,
    /// Of no use in a container.
    Unwanted,
}

/// A codec's part: its NAL unit header and its parameter sets.
pub(super) trait Format: std::fmt::Debug {
    /// Bytes of the NAL unit header.
    const HEADER: usize;
    /// `nal_unit_type` of the first byte.
    fn kind(first: u8) -> u8;
    /// `head` is the header, `body` what follows; `None` for types that cannot stand here.
    fn class(head: &[u8], body: &[u8]) -> Option<Class>;
    /// Remembers a parameter set; answers whether it is news.
    fn remember(&mut self, nal: Bytes) -> Result<bool, codec::Error>;
    fn parameters(&self) -> Option<Parameters>;
    /// For a picture's first slice: which field it is of, if it is of one.
    fn field(&self, _head: &[u8], _body: &[u8]) -> Option<Field> {
        None
    }
}

/// One of the two fields of an interlaced frame that is coded as two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) bottom: bool,
    pub(super) frame_num: u32,
}

impl Field {
    /// Whether both make a frame (ITU-T H.264, section 3.30): the fields of a pair differ in parity and share a number.
    pub(super) fn pairs_with(self, other: Self) -> bool {
        self.bottom != other.bottom && self.frame_num == other.frame_num
    }
}
