//! The one neutral unit in the middle: every publisher's media becomes [`Frame`]s of [`Track`]s, every output is made
//! from them. Nothing converts one wire format into another directly.

use bytes::{BufMut, Bytes, BytesMut};

pub use crate::parameters::Parameters;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `m=video`
    Video,
    /// `m=audio`
    Audio,
    /// `m=application` and the rest: metadata, relayed to RTSP players only.
    Other,
}

/// A codec as the hub names it. What it has no name for is still carried as RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the codecs' own
pub enum Codec {
    H264,
    H265,
    Av1,
    Vp8,
    Vp9,
    Jpeg,
    /// In either framing, that of RFC 3640 or LATM (RFC 6416), see [`Track::is_latm`].
    Aac,
    Pcmu,
    Pcma,
    G722,
    G726,
    Opus,
    Mp3,
    L16,
    /// Known by its SDP encoding name only.
    Other,
}

impl Codec {
    /// The codec of an SDP `a=rtpmap` encoding name, in any case.
    pub fn from_encoding_name(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "H264" => Self::H264,
            "H265" | "HEVC" => Self::H265,
            "AV1" => Self::Av1,
            "VP8" => Self::Vp8,
            "VP9" => Self::Vp9,
            "JPEG" => Self::Jpeg,
            "MPEG4-GENERIC" | "MP4A-LATM" => Self::Aac,
            "PCMU" => Self::Pcmu,
            "PCMA" => Self::Pcma,
            "G722" => Self::G722,
            "G726-16" | "G726-24" | "G726-32" | "G726-40" => Self::G726,
            "OPUS" => Self::Opus,
            "MPA" | "MPA-ROBUST" => Self::Mp3,
            "L16" => Self::L16,
            _ => Self::Other,
        }
    }

    /// The name that REST and logs show.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Jpeg => "JPEG",
            Self::Aac => "AAC",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::G726 => "G726",
            Self::Opus => "OPUS",
            Self::Mp3 => "MP3",
            Self::L16 => "L16",
            Self::Other => "other",
        }
    }
}

/// One elementary stream of a source, as its publisher described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Video, audio or other.
    pub kind: Kind,
    /// The codec; [`Codec::Other`] where the hub knows only its name.
    pub codec: Codec,
    /// The encoding name as the SDP spelled it, e.g. `mpeg4-generic`; empty for a static payload type without `a=rtpmap`.
    pub encoding: String,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Ticks a second of RTP time; never 0.
    pub clock_rate: u32,
    /// Audio channels, 0 if unknown or not audio.
    pub channels: u8,
    /// The raw value of `a=fmtp` after the payload type; empty if there was none.
    pub fmtp: String,
    /// The `a=control` value, as the publisher wrote it; empty if there was none.
    pub control: String,
    /// Parameter sets, as far as the SDP gave them or the stream has shown them.
    pub parameters: Option<Parameters>,
}

impl Track {
    /// Its RTP has AAC in LATM framing (RFC 6416); its frames are as any AAC's.
    pub fn is_latm(&self) -> bool {
        self.codec == Codec::Aac && self.encoding.eq_ignore_ascii_case("MP4A-LATM")
    }

    /// As [`Track::name`], or the payload type if nothing else is known: for words to people.
    pub fn codec_name(&self) -> String {
        match self.name() {
            "" => format!("payload type {} without a=rtpmap", self.payload_type),
            name => name.to_owned(),
        }
    }

    /// The codec's name, or what the publisher calls it.
    pub fn name(&self) -> &str {
        if self.codec == Codec::Other { &self.encoding } else { self.codec.name() }
    }
}

/// One access unit of video or one audio frame, with its times.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Index of the track in its source.
    pub track: usize,
    /// When to show it: ticks of the track's clock on the source's timeline.
    pub pts: i64,
    /// When to decode it: same units, never above `pts`; never goes back.
    pub dts: i64,
    /// A decoder can start here. Always true for audio.
    pub key: bool,
    /// NAL units without start codes or lengths for H.264 and H.265; for AV1 one unit, the OBUs of the frame with their sizes;
    /// for other codecs one unit, the raw frame.
    pub units: Units,
}

/// One piece of a frame that a decoder sees as a whole (a NAL unit, an audio frame), as slices of the packets it came in.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Bytes that stood in no packet as such: the NAL unit header rebuilt from a fragment's.
    head: [u8; 2],
    head_len: u8,
    pieces: u32,
    len: u32,
}

/// The units of one frame. They keep the packets' buffers alive and copy nothing until a muxer writes them out.
#[derive(Debug, Clone, Default)]
pub struct Units {
    pieces: Vec<Bytes>,
    units: Vec<Unit>,
    len: usize,
}

/// One unit of [`Units`].
#[derive(Debug, Clone, Copy)]
pub struct UnitRef<'a> {
    unit: &'a Unit,
    pieces: &'a [Bytes],
}

impl Units {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet, with room for so many units in so many pieces.
    pub fn with_capacity(units: usize, pieces: usize) -> Self {
        Self { pieces: Vec::with_capacity(pieces), units: Vec::with_capacity(units), len: 0 }
    }

    /// How many units and pieces there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.units.len(), self.pieces.len())
    }

    /// One unit that is whole in one buffer.
    pub fn single(unit: Bytes) -> Self {
        let mut units = Self::new();
        units.push(unit);
        units
    }

    /// Adds a unit that is whole in one buffer.
    pub fn push(&mut self, unit: Bytes) {
        self.begin(&[]);
        self.extend(unit);
    }

    /// Starts a unit whose first bytes (at most two) stood in no packet as such.
    pub fn begin(&mut self, head: &[u8]) {
        debug_assert!(head.len() <= 2, "a NAL unit header has at most two bytes");
        let n = head.len().min(2);
        let mut bytes = [0; 2];
        bytes[..n].copy_from_slice(&head[..n]);
        self.units.push(Unit { head: bytes, head_len: n as u8, pieces: 0, len: n as u32 });
        self.len += n;
    }

    /// Adds bytes to the unit started last; does nothing if none was.
    pub fn extend(&mut self, piece: Bytes) {
        if let Some(unit) = self.units.last_mut()
            && !piece.is_empty()
        {
            unit.pieces += 1;
            unit.len += piece.len() as u32;
            self.len += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Adds all units of others.
    pub fn append(&mut self, mut others: Self) {
        self.pieces.append(&mut others.pieces);
        self.units.append(&mut others.units);
        self.len += others.len;
    }

    /// Takes back the unit started last, for instance when its end was lost.
    pub fn abandon_last(&mut self) {
        if let Some(unit) = self.units.pop() {
            self.pieces.truncate(self.pieces.len() - unit.pieces as usize);
            self.len -= unit.len as usize;
        }
    }

    /// Number of units.
    pub fn count(&self) -> usize {
        self.units.len()
    }

    /// True if there is no unit.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Bytes of all units together.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The units in order.
    pub fn iter(&self) -> impl Iterator<Item = UnitRef<'_>> {
        let mut at = 0;
        self.units.iter().map(move |unit| {
            let pieces = &self.pieces[at..at + unit.pieces as usize];
            at += unit.pieces as usize;
            UnitRef { unit, pieces }
        })
    }
}

impl UnitRef<'_> {
    /// Bytes.
    pub fn len(&self) -> usize {
        self.unit.len as usize
    }

    /// True if it has no byte.
    pub fn is_empty(&self) -> bool {
        self.unit.len == 0
    }

    /// The first byte: a NAL unit's header.
    pub fn first(&self) -> Option<u8> {
        if self.unit.head_len > 0 {
            Some(self.unit.head[0])
        } else {
            self.pieces.first().and_then(|p| p.first().copied())
        }
    }

    /// The unit's bytes in order, as they lie in memory.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let head = &self.unit.head[..usize::from(self.unit.head_len)];
        std::iter::once(head).chain(self.pieces.iter().map(|piece| &piece[..]))
    }

    /// The slices that it is made of, without bytes that stood in no packet.
    pub fn slices(&self) -> &[Bytes] {
        self.pieces
    }

    /// Appends the unit's bytes.
    pub fn write_to(&self, out: &mut BytesMut) {
        self.pieces().for_each(|piece| out.put_slice(piece));
    }

    /// The unit in one buffer: shared if it lies in one piece, copied if not.
    pub fn to_bytes(&self) -> Bytes {
        if let (0, [piece]) = (self.unit.head_len, self.pieces) {
            return piece.clone();
        }
        let mut out = BytesMut::with_capacity(self.len());
        self.write_to(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_keep_their_bytes_apart() {
        let mut units = Units::new();
        units.push(Bytes::from_static(b"abc"));
        units.begin(b"x");
        units.extend(Bytes::from_static(b"yz"));
        units.extend(Bytes::from_static(b"!"));
        units.begin(b"l");
        units.abandon_last();
        let all: Vec<_> = units.iter().map(|u| u.to_bytes()).collect();
        assert_eq!(all, [Bytes::from_static(b"abc"), Bytes::from_static(b"xyz!")]);
        assert_eq!((units.count(), units.len()), (2, 7));
        assert_eq!(units.iter().nth(1).and_then(|u| u.first()), Some(b'x'));
    }
}
