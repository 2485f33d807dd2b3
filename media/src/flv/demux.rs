//! Reads the tags of an FLV file.

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
        at: u64,
    },
}

/// What stands before a tag's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagHead {
    /// [`tag::AUDIO`], [`tag::VIDEO`] or [`tag::SCRIPT`].
    pub kind: u8,
    /// Milliseconds: decode time for video.
    pub timestamp: u32,
    /// Bytes of the data.
    pub size: u32,
}

impl TagHead {
    /// Reads a tag's first bytes, [`tag::HEADER_LEN`] or more; `None` if there are fewer.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *bytes.first_chunk::<{ tag::HEADER_LEN }>()?;
        let (size, timestamp) = (u32::from_be_bytes([0, s0, s1, s2]), u32::from_be_bytes([t3, t0, t1, t2]));
        Some(Self { kind: kind & 0x1f, timestamp, size })
    }
}

/// Where the first tag stands.
///
/// # Errors
/// If the first bytes of the file, [`FILE_HEADER_LEN`] or more, are not those of FLV.
pub fn begin(start: &[u8]) -> Result<u64, DemuxError> {
    match *start.first_chunk::<FILE_HEADER_LEN>().ok_or(DemuxError::Header)? {
        [b'F', b'L', b'V', 1, _, o0, o1, o2, o3, ..] => {
            // The header's own length, and the first PreviousTagSize.
            Ok(u64::from(u32::from_be_bytes([o0, o1, o2, o3]).max(9)) + 4)
        }
        _ => Err(DemuxError::Header),
    }
}

/// All tags of a whole file, as slices of it.
///
/// # Errors
/// If it is no FLV file or is cut off.
pub fn tags(file: &Bytes) -> Result<Vec<Tag>, DemuxError> {
    let mut out = Vec::new();
    let mut at = usize::try_from(begin(file)?).unwrap_or(usize::MAX);
    while at < file.len() {
        let cut = DemuxError::Truncated { at: at as u64 };
        let head = TagHead::parse(&file[at..]).ok_or(cut)?;
        let start = at + tag::HEADER_LEN;
        let end = start + head.size as usize;
        if end > file.len() {
            return Err(cut);
        }
        out.push(Tag { kind: head.kind, timestamp: head.timestamp, data: file.slice(start..end) });
        at = end + 4;
    }
    Ok(out)
}
