//! A single picture as a file that ends.

use bytes::{Bytes, BytesMut};

use super::{Error, LEAD, Muxer, Sample};
use crate::frame::{Frame, Track};

/// One picture: an init section and one fragment, shown from 0 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The whole file.
    pub bytes: Bytes,
    /// RFC 6381 name of its codec.
    pub codec: String,
}

/// The file of a key frame of a video track. It lasts a second, whatever follows the picture in its stream.
///
/// # Errors
/// If MP4 cannot carry the track, or its parameter sets are not known.
pub fn still(track: &Track, key: &Frame) -> Result<Still, Error> {
    let muxer = Muxer::new(std::slice::from_ref(track)).ok_or(Error::Entry(track.codec.name()))?;
    // At the file's 0: players and thumbnailers show what is there.
    let begin = -LEAD * i64::from(track.clock_rate);
    let frame = Frame { track: 0, pts: begin, dts: begin, ..key.clone() };
    let init = muxer.init()?;
    let fragment = muxer.fragment(1, &[Sample { frame, duration: track.clock_rate }])?;
    let mut bytes = BytesMut::with_capacity(init.len() + fragment.len());
    bytes.extend_from_slice(&init);
    bytes.extend_from_slice(&fragment);
    Ok(Still { bytes: bytes.freeze(), codec: muxer.codecs() })
}
