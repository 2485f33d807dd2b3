//! What files hold: tracks, and samples of them with a place and a time. [`crate::mp4`] and [`crate::flv::clip`] find them.

use bytes::Bytes;

use crate::codec::{aac, h264, h265};
use crate::{Codec, Kind, Parameters, Track, Units};

/// RTP clock of every video format.
pub const VIDEO_CLOCK: u32 = 90_000;
/// Payload type of the first track; the next ones follow (RFC 3551, section 6: 96 to 127 are free to use).
const FIRST_PAYLOAD_TYPE: u8 = 96;
/// Tracks taken of one file: what a player can be offered, a video and its languages.
pub const MAX_TRACKS: usize = 16;

/// One frame of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Index of its track.
    pub track: usize,
    /// Where it stands in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u32,
    /// When to decode it, in nanoseconds; 0 is where the clip's presentation begins.
    pub dts: i64,
    /// When to show it, in nanoseconds.
    pub pts: i64,
    /// How long it lasts, in nanoseconds; 0: not known.
    pub duration: i64,
    /// A decoder can start here.
    pub key: bool,
}

/// How a track's samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// NAL units, each after its length in that many bytes: 1 to 4.
    Lengths(u8),
    /// One raw frame.
    Raw,
}

/// A track of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipTrack {
    /// As a publisher describes it.
    pub track: Track,
    /// How its samples are written.
    pub framing: Framing,
}

/// A NAL unit that goes past its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a NAL unit at byte {at} goes past the end of its frame of {len} bytes")]
pub struct FramingError {
    /// Where its length stands, from the frame's start.
    pub at: usize,
    /// Bytes of the frame.
    pub len: usize,
}

impl ClipTrack {
    /// The track of an `AVCDecoderConfigurationRecord`.
    ///
    /// # Errors
    /// What is wrong with its parameter sets.
    pub fn h264(record: &Bytes) -> Result<Self, crate::codec::Error> {
        let (parameters, lengths) = h264::Parameters::from_avcc(record)?;
        Ok(video(Codec::H264, "H264", "packetization-mode=1", parameters.map(Parameters::H264), lengths))
    }

    /// The track of an `HEVCDecoderConfigurationRecord`.
    ///
    /// # Errors
    /// What is wrong with its parameter sets.
    pub fn h265(record: &Bytes) -> Result<Self, crate::codec::Error> {
        let (parameters, lengths) = h265::Parameters::from_hvcc(record)?;
        Ok(video(Codec::H265, "H265", "", parameters.map(Parameters::H265), lengths))
    }

    /// The track of an `AudioSpecificConfig`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn aac(config: Bytes) -> Result<Self, crate::codec::Error> {
        let config = aac::Config::parse(config)?;
        let track = Track {
            kind: Kind::Audio,
            codec: Codec::Aac,
            encoding: "mpeg4-generic".into(),
            payload_type: FIRST_PAYLOAD_TYPE,
            clock_rate: config.sample_rate,
            channels: config.channels,
            fmtp: "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3".into(),
            control: String::new(),
            parameters: Some(Parameters::Aac(config)),
        };
        Ok(Self { track, framing: Framing::Raw })
    }

    /// Its place among the tracks of the file decides on its payload type.
    pub fn at(mut self, index: usize) -> Self {
        self.track.payload_type = FIRST_PAYLOAD_TYPE + index.min(MAX_TRACKS) as u8;
        self
    }

    /// The units of a sample. Before those of a key frame come the parameter sets, as cameras send them.
    ///
    /// # Errors
    /// If a NAL unit goes past the sample's end.
    pub fn units(&self, sample: &Bytes, key: bool) -> Result<Units, FramingError> {
        let Framing::Lengths(size) = self.framing else { return Ok(Units::single(sample.clone())) };
        let size = usize::from(size);
        let mut units = Units::new();
        match &self.track.parameters {
            Some(Parameters::H264(sets)) if key => {
                [&sets.sps].into_iter().chain(&sets.pps).for_each(|set| units.push(set.clone()));
            }
            Some(Parameters::H265(sets)) if key => {
                [&sets.vps, &sets.sps].into_iter().chain(&sets.pps).for_each(|set| units.push(set.clone()));
            }
            _ => {}
        }
        let mut at = 0;
        while at < sample.len() {
            let error = FramingError { at, len: sample.len() };
            let start = at + size;
            let digits = sample.get(at..start).ok_or(error)?;
            let len = digits.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            let end = start.checked_add(len).filter(|end| *end <= sample.len()).ok_or(error)?;
            units.push(sample.slice(start..end));
            at = end;
        }
        Ok(units)
    }
}

fn video(codec: Codec, encoding: &str, fmtp: &str, parameters: Option<Parameters>, lengths: u8) -> ClipTrack {
    let track = Track {
        kind: Kind::Video,
        codec,
        encoding: encoding.into(),
        payload_type: FIRST_PAYLOAD_TYPE,
        clock_rate: VIDEO_CLOCK,
        channels: 0,
        fmtp: fmtp.into(),
        control: String::new(),
        parameters,
    };
    ClipTrack { track, framing: Framing::Lengths(lengths) }
}

/// Audio that runs on for less than this behind the last picture is the encoder's padding and not played: the pictures go on
/// without a pause. An AAC frame of 8 kHz lasts 128 ms.
const PADDING: i64 = 250_000_000;
/// A loop that is shorter has nothing to show and would keep a core busy.
const SHORTEST: i64 = 10_000_000;

/// Where a clip begins and ends, to be played again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Nanoseconds from one beginning to the next.
    pub length: i64,
    /// The earliest decode time.
    pub first: i64,
    /// When the sound begins that is played.
    pub sound: i64,
}

/// Measures a clip while its samples go by.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// First decode time, and the end of the last sample.
    video: Option<(i64, i64)>,
    /// First time that is played, and the end of the last sample.
    audio: Option<(i64, i64)>,
}

impl Measure {
    /// Takes one sample of a track of that kind into account.
    pub fn add(&mut self, kind: Kind, sample: &Sample) {
        // Decode times count: pictures are shown later than that by a constant.
        let (seen, at) = match kind {
            Kind::Video => (&mut self.video, sample.dts),
            _ => (&mut self.audio, sample.pts.max(0)),
        };
        let end = at.saturating_add(sample.duration);
        let (first, last) = seen.get_or_insert((at, end));
        (*first, *last) = ((*first).min(at), (*last).max(end));
    }

    /// The length is the pictures', or the sound's where that goes on for much longer. `None`: the clip is too short.
    pub fn extent(&self) -> Option<Extent> {
        // Where they begin does not count: the next round's first picture follows the last one at once.
        let video = self.video.map(|(first, end)| end.saturating_sub(first));
        let audio = self.audio.map(|(_, end)| end);
        let length = match (video, audio) {
            (Some(video), Some(audio)) if audio.saturating_sub(video) > PADDING => audio,
            (Some(video), _) => video,
            (None, audio) => audio?,
        };
        let first = [self.video, self.audio].into_iter().flatten().map(|(first, _)| first).min()?;
        let sound = self.audio.map_or(0, |(first, _)| first);
        (length >= SHORTEST).then_some(Extent { length, first, sound })
    }
}

impl Extent {
    /// Whether a frame of audio is played: not what an encoder put before the beginning, nor what would run into the next
    /// round by more than half of it.
    pub fn holds_audio(&self, sample: &Sample) -> bool {
        let middle = sample.pts + sample.duration / 2 - self.sound;
        (0..self.length).contains(&middle)
    }
}
