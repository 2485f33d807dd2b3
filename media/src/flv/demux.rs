//! Reads the tags of an FLV file, for clips that the hub itself plays.

use bytes::Bytes;

use super::{FILE_HEADER_LEN, tag};

/// One tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// [`tag::AUDIO`], [`tag::VIDEO`] or [`tag::SCRIPT`].
    pub kind: u8,
    /// Milliseconds: decode time for video.
    pub timestamp: u32,
    /// Without tag header and PreviousTagSize.
    pub data: Bytes,
}

/// Why bytes are no FLV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DemuxError {
    /// It does not begin with an FLV header.
    #[error("no FLV header at byte 0")]
    Header,
    /// A tag goes past the end.
    #[error("FLV tag at byte {at} goes past the end of the file")]
    Truncated {
        /// Offset of the tag.
        at: usize,
    },
}

/// All tags of a whole file, as slices of it.
pub fn tags(file: &Bytes) -> Result<Vec<Tag>, DemuxError> {
    if file.len() < FILE_HEADER_LEN || !file.starts_with(b"FLV\x01") {
        return Err(DemuxError::Header);
    }
    let mut out = Vec::new();
    let mut at = FILE_HEADER_LEN;
    while at < file.len() {
        let error = DemuxError::Truncated { at };
        let [kind, s0, s1, s2, t0, t1, t2, t3] = *file[at..].first_chunk::<8>().ok_or(error)?;
        let size = u32::from_be_bytes([0, s0, s1, s2]) as usize;
        let start = at + tag::HEADER_LEN;
        if start + size > file.len() {
            return Err(error);
        }
        out.push(Tag {
            kind: kind & 0x1f,
            timestamp: u32::from_be_bytes([t3, t0, t1, t2]),
            data: file.slice(start..start + size),
        });
        at = start + size + 4;
    }
    Ok(out)
}
