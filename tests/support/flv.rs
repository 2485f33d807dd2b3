//! Reads FLV strictly: every length, back pointer and order of tags is checked.

/// Kinds of tags.
pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const SCRIPT: u8 = 18;

/// Audio formats and video codecs as FLV numbers them.
pub const AAC: u8 = 10;
pub const PCMA: u8 = 7;
pub const AVC: u8 = 7;
pub const HEVC: u8 = 12;

/// Bytes of a tag that are kept if its whole data is not.
const HEAD: usize = 16;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub kind: u8,
    /// Decode time in milliseconds.
    pub time: u32,
    /// Length of its data.
    pub len: usize,
    /// Its data, or the first bytes of it.
    pub data: Vec<u8>,
}

/// What a video tag is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Video {
    pub codec: VideoCodec,
    pub key: bool,
    pub sequence_header: bool,
    /// Presentation time minus decode time, in milliseconds.
    pub composition: i32,
    /// Where the codec's own data begins.
    pub payload: usize,
}

/// How the codec is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    Id(u8),
    FourCc([u8; 4]),
}

fn signed24(bytes: &[u8]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], 0]) >> 8
}

impl Tag {
    /// Reads the video header; `None` for other tags.
    pub fn video(&self) -> Option<Video> {
        if self.kind != VIDEO {
            return None;
        }
        let first = self.data[0];
        let key = first >> 4 & 7 == 1;
        if first & 0x80 == 0 {
            let (codec, packet) = (VideoCodec::Id(first & 15), self.data[1]);
            let composition = signed24(&self.data[2..5]);
            return Some(Video { codec, key, sequence_header: packet == 0, composition, payload: 5 });
        }
        let codec = VideoCodec::FourCc(self.data[1..5].try_into().expect("four bytes"));
        // Packet types of Enhanced RTMP: 0 sequence start, 1 coded frames, 3 coded frames without composition time.
        let (composition, payload) = match first & 15 {
            1 => (signed24(&self.data[5..8]), 8),
            0 | 3 => (0, 5),
            other => panic!("enhanced FLV packet type {other}"),
        };
        Some(Video { codec, key, sequence_header: first & 15 == 0, composition, payload })
    }

    /// A picture, not a sequence header.
    pub fn is_picture(&self) -> bool {
        self.video().is_some_and(|video| !video.sequence_header)
    }

    /// A picture that decoding can start with.
    pub fn is_key(&self) -> bool {
        self.video().is_some_and(|video| !video.sequence_header && video.key)
    }

    /// A video sequence header.
    pub fn is_video_header(&self) -> bool {
        self.video().is_some_and(|video| video.sequence_header)
    }

    /// An AAC configuration.
    pub fn is_audio_header(&self) -> bool {
        self.kind == AUDIO && self.data[0] >> 4 == AAC && self.data[1] == 0
    }

    /// Sound, not a sequence header.
    pub fn is_sound(&self) -> bool {
        self.kind == AUDIO && !self.is_audio_header()
    }

    /// Presentation time in milliseconds.
    pub fn pts(&self) -> i64 {
        i64::from(self.time) + self.video().map_or(0, |video| i64::from(video.composition))
    }
}

/// Cuts a stream into tags as it comes.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
    began: bool,
    /// Bit 0: video, bit 2: audio.
    pub flags: u8,
    /// Bytes up to the end of the last whole tag.
    pub whole: usize,
}

impl Reader {
    /// Takes the next bytes; whole tags are added to `tags`, with all of their data or the first bytes of it.
    pub fn push(&mut self, bytes: &[u8], all: bool, tags: &mut Vec<Tag>) -> Result<(), String> {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        if !self.began {
            let Some(header) = self.pending.first_chunk::<13>() else { return Ok(()) };
            let [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0] = *header else {
                return Err(format!("not an FLV header: {header:02x?}"));
            };
            (self.began, self.flags, at) = (true, flags, header.len());
        }
        while let Some(head) = self.pending[at..].first_chunk::<11>() {
            let [kind, l0, l1, l2, t0, t1, t2, t3, 0, 0, 0] = *head else {
                return Err(format!("tag with a stream id: {head:02x?}"));
            };
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let data = at + head.len();
            let Some(back) = self.pending[data..].get(len..len + 4) else { break };
            if u32::from_be_bytes(back.try_into().expect("four bytes")) as usize != len + head.len() {
                return Err(format!("tag of {len} bytes with a back pointer {back:02x?}"));
            }
            if !matches!(kind, AUDIO | VIDEO | SCRIPT) || len == 0 {
                return Err(format!("tag of kind {kind} with {len} bytes"));
            }
            let keep = if all { len } else { len.min(HEAD) };
            let time = u32::from_be_bytes([t3, t0, t1, t2]);
            tags.push(Tag { kind, time, len, data: self.pending[data..data + keep].to_vec() });
            at = data + len + 4;
        }
        self.pending.drain(..at);
        self.whole += at;
        Ok(())
    }

    /// Nothing of an unfinished tag is there.
    pub fn is_at_boundary(&self) -> bool {
        self.pending.is_empty()
    }
}

/// What holds for every stream that a viewer gets: metadata first, each track's header before its frames, a key frame first,
/// and decode times that never go back.
pub fn check(tags: &[Tag]) {
    assert_eq!(tags.first().map(|tag| tag.kind), Some(SCRIPT), "metadata comes first");
    let mut last = [0; 2];
    let mut headers = [false; 2];
    let mut pictures = 0;
    for (n, tag) in tags.iter().enumerate() {
        let track = match tag.kind {
            VIDEO => 0,
            AUDIO => 1,
            _ => continue,
        };
        headers[track] |=
            tag.is_video_header() || tag.is_audio_header() || tag.kind == AUDIO && tag.data[0] >> 4 != AAC;
        assert!(headers[track], "tag {n} comes before its track's sequence header: {:02x?}", &tag.data[..2]);
        // A sequence header has no time of its own: players take it when it comes.
        if tag.is_video_header() || tag.is_audio_header() {
            continue;
        }
        assert!(tag.time >= last[track], "tag {n}: the decode time goes back from {} to {} ms", last[track], tag.time);
        last[track] = tag.time;
        if tag.is_picture() {
            assert!(pictures > 0 || tag.is_key(), "the first picture is no key frame");
            pictures += 1;
        }
    }
}

/// Decode times of the pictures.
pub fn picture_times(tags: &[Tag]) -> Vec<u32> {
    tags.iter().filter(|tag| tag.is_picture()).map(|tag| tag.time).collect()
}

/// Panics if a picture is missing: two of them are further apart than one and a half of `interval` milliseconds.
pub fn check_no_gap(tags: &[Tag], interval: u32) {
    for pair in picture_times(tags).windows(2) {
        let step = pair[1] - pair[0];
        assert!(step * 2 <= interval * 3, "pictures at {} and {} ms: at least one is missing", pair[0], pair[1]);
    }
}

/// Width and height that `onMetaData` tells.
pub fn metadata_size(tags: &[Tag]) -> Option<(f64, f64)> {
    let script = tags.iter().find(|tag| tag.kind == SCRIPT)?;
    let value = |name: &str| {
        let key = [&(name.len() as u16).to_be_bytes(), name.as_bytes(), &[0]].concat();
        let at = script.data.windows(key.len()).position(|window| window == key)? + key.len();
        script.data[at..].first_chunk().map(|bytes| f64::from_be_bytes(*bytes))
    };
    Some((value("width")?, value("height")?))
}

/// Turns a recording's H.265 into a byte stream with start codes: parameter sets of the `hvcC`, then all NAL units.
pub fn hevc_byte_stream(tags: &[Tag]) -> Vec<u8> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let mut out = Vec::new();
    for tag in tags {
        let Some(video) = tag.video() else { continue };
        let data = &tag.data[video.payload..];
        let mut at = 0;
        if !video.sequence_header {
            while at < data.len() {
                let len = u32::from_be_bytes(data[at..at + 4].try_into().expect("four bytes")) as usize;
                out.extend(START);
                out.extend(&data[at + 4..at + 4 + len]);
                at += 4 + len;
            }
            continue;
        }
        // ISO 14496-15, section 8.3.3.1: 22 bytes of profile, then arrays of NAL units with 16-bit counts and lengths.
        assert_eq!(data[0], 1, "configurationVersion of the hvcC");
        at = 23;
        for _ in 0..data[22] {
            let count = u16::from_be_bytes([data[at + 1], data[at + 2]]);
            at += 3;
            for _ in 0..count {
                let len = usize::from(u16::from_be_bytes([data[at], data[at + 1]]));
                out.extend(START);
                out.extend(&data[at + 2..at + 2 + len]);
                at += 2 + len;
            }
        }
        assert_eq!(at, data.len(), "nothing follows the arrays of the hvcC");
    }
    out
}
