//! What the tags of an FLV file mean to somebody who plays it: H.264, H.265 (also in the form of Enhanced RTMP) and AAC.

use super::demux::TagHead;
use super::tag;

/// Bytes of a tag's data that tell what it is.
pub const PEEK: usize = 8;

/// What a tag holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// An `AVCDecoderConfigurationRecord`, from that byte of the data on.
    H264Config(u32),
    /// An `HEVCDecoderConfigurationRecord`.
    H265Config(u32),
    /// An `AudioSpecificConfig`.
    AacConfig(u32),
    /// A picture.
    Picture {
        /// Where it begins in the data.
        skip: u32,
        /// Milliseconds from decoding to showing it.
        composition: i32,
        /// A decoder can start here.
        key: bool,
    },
    /// A frame of AAC, from that byte on.
    Sound(u32),
    /// Nothing to play: metadata, the end of a sequence.
    Nothing,
    /// A codec that the hub does not play from files.
    Unknown(Unknown),
}

/// A codec that is not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// By its number in the tag (annex E.4.3.1).
    Video(u8),
    /// By its name in Enhanced RTMP.
    FourCc([u8; 4]),
    /// By its number in the tag (annex E.4.2.1).
    Audio(u8),
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Video(id) => write!(f, "video of codec {id}"),
            Self::FourCc(name) => write!(f, "{}", name.escape_ascii()),
            Self::Audio(id) => write!(f, "audio of format {id}"),
        }
    }
}

/// What a tag holds, by its head and the first [`PEEK`] bytes of its data (or all, if it has fewer).
pub fn content(head: &TagHead, data: &[u8]) -> Content {
    match (head.kind, data) {
        (tag::VIDEO, [first, rest @ ..]) if first & 0x80 != 0 => enhanced(*first, rest),
        (tag::VIDEO, [first, kind, c0, c1, c2, ..]) => {
            let codec = first & 0x0f;
            match (codec, kind) {
                (7, 0) => Content::H264Config(5),
                (12, 0) => Content::H265Config(5),
                (7 | 12, 1) => Content::Picture { skip: 5, composition: signed([*c0, *c1, *c2]), key: first >> 4 == 1 },
                (7 | 12, _) => Content::Nothing,
                _ => Content::Unknown(Unknown::Video(codec)),
            }
        }
        (tag::AUDIO, [first, kind, _, ..]) if first >> 4 == 10 => match kind {
            0 => Content::AacConfig(2),
            _ => Content::Sound(2),
        },
        (tag::AUDIO, [first, ..]) if first >> 4 != 10 => Content::Unknown(Unknown::Audio(first >> 4)),
        _ => Content::Nothing,
    }
}

/// Enhanced RTMP: packet type and FourCC.
fn enhanced(first: u8, rest: &[u8]) -> Content {
    let (key, kind) = (first >> 4 & 7 == 1, first & 0x0f);
    let Some((name, rest)) = rest.split_first_chunk::<4>() else { return Content::Nothing };
    match (name, kind) {
        (b"avc1", 0) => Content::H264Config(5),
        (b"hvc1", 0) => Content::H265Config(5),
        (b"avc1" | b"hvc1", 1) => match rest.first_chunk::<3>() {
            Some(bytes) => Content::Picture { skip: 8, composition: signed(*bytes), key },
            None => Content::Nothing,
        },
        (b"avc1" | b"hvc1", 3) => Content::Picture { skip: 5, composition: 0, key },
        (b"avc1" | b"hvc1", _) => Content::Nothing,
        _ => Content::Unknown(Unknown::FourCc(*name)),
    }
}

/// SI24
fn signed([b0, b1, b2]: [u8; 3]) -> i32 {
    i32::from_be_bytes([b0, b1, b2, 0]) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: u8, data: &[u8]) -> Content {
        content(&TagHead { kind, timestamp: 0, size: data.len() as u32 }, data)
    }

    #[test]
    fn tags_are_told_apart() {
        let picture = |skip, composition, key| Content::Picture { skip, composition, key };
        assert_eq!(of(tag::VIDEO, &[0x17, 0, 0, 0, 0, 1]), Content::H264Config(5));
        assert_eq!(of(tag::VIDEO, &[0x17, 1, 0, 0, 80, 1]), picture(5, 80, true));
        assert_eq!(of(tag::VIDEO, &[0x27, 1, 0xff, 0xff, 0xfe, 1]), picture(5, -2, false));
        assert_eq!(of(tag::VIDEO, &[0x17, 2, 0, 0, 0]), Content::Nothing);
        assert_eq!(of(tag::VIDEO, &[0x1c, 0, 0, 0, 0, 1]), Content::H265Config(5));
        assert_eq!(of(tag::VIDEO, &[0x12, 0, 0, 0, 0, 1]), Content::Unknown(Unknown::Video(2)));
        assert_eq!(of(tag::VIDEO, b"\x90hvc1\x01\x02\x03"), Content::H265Config(5));
        assert_eq!(of(tag::VIDEO, b"\xa1hvc1\x00\x00\x28"), picture(8, 40, false));
        assert_eq!(of(tag::VIDEO, b"\x93hvc1\x00\x00\x28"), picture(5, 0, true));
        assert_eq!(of(tag::VIDEO, b"\x90av01\0\0\0"), Content::Unknown(Unknown::FourCc(*b"av01")));
        assert_eq!(of(tag::AUDIO, &[0xaf, 0, 0x12, 0x10]), Content::AacConfig(2));
        assert_eq!(of(tag::AUDIO, &[0xaf, 1, 9, 9]), Content::Sound(2));
        assert_eq!(of(tag::AUDIO, &[0x2f, 1, 9]), Content::Unknown(Unknown::Audio(2)));
        assert_eq!(of(tag::SCRIPT, b"\x02\x00\x0aonMeta"), Content::Nothing);
    }

    #[test]
    fn cut_tags_hold_nothing() {
        for whole in [&[0x17, 1, 0, 0, 80][..], b"\xa1hvc1\x00\x00\x28", &[0xaf, 0, 0x12]] {
            let kind = if whole[0] == 0xaf { tag::AUDIO } else { tag::VIDEO };
            assert_ne!(of(kind, whole), Content::Nothing);
            (0..whole.len()).for_each(|cut| assert_eq!(of(kind, &whole[..cut]), Content::Nothing, "{cut}"));
        }
    }
}
