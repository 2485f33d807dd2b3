//! Walks over the tags of an FLV clip. It has no index: heads of tags are read one after the other.

use std::time::Instant;

use bytes::Bytes;
use ipchub_media::clip::{ClipTrack, Sample};
use ipchub_media::codec;
use ipchub_media::flv::clip::{Content, PEEK, Unknown, content};
use ipchub_media::flv::demux::{self, DemuxError, TagHead};
use ipchub_media::flv::tag;
use ipchub_media::{Kind, Parameters};

use super::{ClipError, Medium, PACE};

const NANOS_PER_MS: i64 = 1_000_000;
const NANOS: i64 = 1_000_000_000;
/// Milliseconds that a sound may be off its count of samples: FLV rounds times, some muxers twice.
const ROUNDING: i64 = 3;
/// Bytes of a sequence header at most: parameter sets have some hundred.
const MAX_CONFIG: u32 = 256 * 1024;

/// Where a walk is.
#[derive(Debug)]
pub(super) struct Walk {
    first: u64,
    at: u64,
    /// Milliseconds of the first frame.
    origin: i64,
    video: Option<usize>,
    audio: Option<Audio>,
    /// Decode time of the last picture, in nanoseconds.
    picture: Option<i64>,
    /// Time in nanoseconds that the count of sounds began at, and the count.
    sounds: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Audio {
    track: usize,
    samples: i64,
    rate: i64,
}

/// An FLV clip that can be walked.
pub(super) struct Opened {
    pub(super) walk: Walk,
    pub(super) tracks: Vec<ClipTrack>,
    pub(super) notes: Vec<String>,
}

/// What the first look at a file found.
#[derive(Default)]
struct Found {
    /// The sequence headers as they stand there.
    video: Option<(Bytes, ClipTrack)>,
    audio: Option<(Bytes, ClipTrack)>,
    unknown: Vec<Unknown>,
    /// Milliseconds of the earliest picture and sound.
    times: [Option<i64>; 2],
}

impl Walk {
    /// Looks at every tag's head once: for the sequence headers, and whether the last tag is whole.
    pub(super) fn open(medium: &Medium, start: &[u8], deadline: Instant) -> Result<Opened, ClipError> {
        let first = demux::begin(start)?;
        let (mut found, mut at, mut count) = (Found::default(), first, 0_usize);
        while let Some(tag) = Tag::read(medium, at)? {
            found.look(medium, &tag)?;
            at = tag.next;
            count += 1;
            if count.is_multiple_of(PACE) && Instant::now() > deadline {
                return Err(ClipError::Slow);
            }
        }
        let [pictures, sounds] = found.times;
        let mut notes: Vec<_> = found.unknown.iter().map(|unknown| format!("{unknown} is left out")).collect();
        let (mut tracks, mut video, mut audio, mut times) = (Vec::new(), None, None, Vec::new());
        for (header, time) in [(found.video, pictures), (found.audio, sounds)] {
            let (Some((_, track)), Some(time)) = (header, time) else { continue };
            let index = tracks.len();
            match (&track.track.kind, &track.track.parameters) {
                (Kind::Audio, Some(Parameters::Aac(config))) => {
                    let (samples, rate) = (config.frame_length.into(), config.sample_rate.into());
                    audio = Some(Audio { track: index, samples, rate });
                }
                _ => video = Some(index),
            }
            times.push(time);
            tracks.push(track.at(index));
        }
        if pictures.is_some() && video.is_none() {
            notes.push("pictures without a sequence header are left out".into());
        }
        if sounds.is_some() && audio.is_none() {
            notes.push("AAC without a sequence header is left out".into());
        }
        let origin = times.into_iter().min().unwrap_or(0);
        let walk = Self { first, at: first, origin, video, audio, picture: None, sounds: None };
        Ok(Opened { walk, tracks, notes })
    }

    pub(super) fn rewind(&mut self) {
        (self.at, self.picture, self.sounds) = (self.first, None, None);
    }

    pub(super) fn next(&mut self, medium: &Medium) -> Result<Option<Sample>, ClipError> {
        while let Some(tag) = Tag::read(medium, self.at)? {
            self.at = tag.next;
            let ms = i64::from(tag.head.timestamp) - self.origin;
            match (tag.content, self.video, self.audio) {
                (Content::Picture { skip, composition, key }, Some(track), _) => {
                    let dts = ms * NANOS_PER_MS;
                    let duration = self.picture.replace(dts).map_or(0, |before| (dts - before).max(0));
                    let pts = dts + i64::from(composition) * NANOS_PER_MS;
                    let (offset, len) = tag.body(skip);
                    return Ok(Some(Sample { track, offset, len, dts, pts, duration, key }));
                }
                (Content::Sound(skip), _, Some(audio)) => {
                    let dts = self.sound_time(ms, audio);
                    let (offset, len) = tag.body(skip);
                    let duration = audio.samples * NANOS / audio.rate;
                    return Ok(Some(Sample { track: audio.track, offset, len, dts, pts: dts, duration, key: true }));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// By the count of samples for as long as the file's milliseconds agree.
    fn sound_time(&mut self, ms: i64, audio: Audio) -> i64 {
        let (base, count) = self.sounds.unwrap_or((ms * NANOS_PER_MS, 0));
        let counted = base + (i128::from(count * audio.samples) * i128::from(NANOS) / i128::from(audio.rate)) as i64;
        let agrees = (counted - ms * NANOS_PER_MS).abs() <= ROUNDING * NANOS_PER_MS;
        let (base, count, time) =
            if agrees { (base, count, counted) } else { (ms * NANOS_PER_MS, 0, ms * NANOS_PER_MS) };
        self.sounds = Some((base, count + 1));
        time
    }
}

impl Found {
    fn look(&mut self, medium: &Medium, tag: &Tag) -> Result<(), ClipError> {
        let time = Some(i64::from(tag.head.timestamp));
        let earlier = |known: &mut Option<i64>| {
            *known = if known.is_some() { (*known).min(time) } else { time };
            Ok(())
        };
        match tag.content {
            Content::H264Config(skip) => take(&mut self.video, medium, tag, (skip, "avcC"), ClipTrack::h264),
            Content::H265Config(skip) => take(&mut self.video, medium, tag, (skip, "hvcC"), ClipTrack::h265),
            Content::AacConfig(skip) => take(&mut self.audio, medium, tag, (skip, "AudioSpecificConfig"), |config| {
                ClipTrack::aac(config.clone())
            }),
            Content::Picture { .. } => earlier(&mut self.times[0]),
            Content::Sound(_) => earlier(&mut self.times[1]),
            Content::Unknown(unknown) => {
                if !self.unknown.contains(&unknown) && self.unknown.len() < 4 {
                    self.unknown.push(unknown);
                }
                Ok(())
            }
            Content::Nothing => Ok(()),
        }
    }
}

/// Takes a sequence header in, or checks that it is the one that is known.
fn take(
    known: &mut Option<(Bytes, ClipTrack)>,
    medium: &Medium,
    tag: &Tag,
    (skip, what): (u32, &'static str),
    read: impl FnOnce(&Bytes) -> Result<ClipTrack, codec::Error>,
) -> Result<(), ClipError> {
    let (at, len) = tag.body(skip);
    let header = medium.read(at, len.min(MAX_CONFIG) as usize)?;
    match known {
        Some((before, _)) if *before != header => Err(ClipError::Changing { at }),
        Some(_) => Ok(()),
        None => {
            let track = read(&header).map_err(|source| ClipError::Parameters { what, source })?;
            *known = Some((header, track));
            Ok(())
        }
    }
}

/// One tag of the file.
struct Tag {
    head: TagHead,
    content: Content,
    /// Where its data stands.
    data: u64,
    next: u64,
}

impl Tag {
    /// The tag at byte `at`, or `None` at the end of the file.
    fn read(medium: &Medium, at: u64) -> Result<Option<Self>, ClipError> {
        if at >= medium.len() {
            return Ok(None);
        }
        let bytes = medium.peek(at, tag::HEADER_LEN + PEEK)?;
        let head = TagHead::parse(&bytes).ok_or(DemuxError::Truncated { at })?;
        let data = at + tag::HEADER_LEN as u64;
        let end = data + u64::from(head.size);
        if end > medium.len() {
            return Err(DemuxError::Truncated { at }.into());
        }
        let first = &bytes[tag::HEADER_LEN..bytes.len().min(tag::HEADER_LEN + head.size as usize)];
        Ok(Some(Self { head, content: content(&head, first), data, next: end + 4 }))
    }

    /// Where its data is from byte `skip` on, and how much.
    fn body(&self, skip: u32) -> (u64, u32) {
        (self.data + u64::from(skip), self.head.size.saturating_sub(skip))
    }
}
