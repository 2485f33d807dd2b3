//! Writes frames as FLV tags: one tag an access unit.

mod output;

use bytes::{BufMut, Bytes, BytesMut};

use super::amf0::{self, Value};
use super::tag;
use crate::frame::{Codec, Frame, Kind, Parameters, Track};
use crate::output::has_parameters;

/// FLV time of the timeline's 0, in milliseconds: decode times before it (reordered frames, audio that arrived first) stay
/// above zero.
const LEAD_MS: i64 = 1000;

const AVC: u8 = 7;
const LEGACY_HEVC: u8 = 12;
const HVC1: u32 = u32::from_be_bytes(*b"hvc1");

/// How H.265 is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Hevc {
    /// FourCC `hvc1` (Enhanced RTMP v1): what ffmpeg 6.1 and mpegts.js 1.8 and newer read.
    #[default]
    Enhanced,
    /// Codec id 12: the older, never standardized form.
    Legacy,
}

/// What a viewer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Options {
    /// How H.265 is written.
    pub hevc: Hevc,
    /// Audio that browsers cannot play (G.711) too.
    pub all_audio: bool,
}

impl Options {
    /// The same answer for every choice that makes no difference for these tracks, so that viewers share one output.
    pub fn normalized(self, tracks: &[Track]) -> Self {
        let has = |codecs: &[Codec]| tracks.iter().any(|track| codecs.contains(&track.codec));
        Self {
            hevc: if has(&[Codec::H265]) { self.hevc } else { Hevc::Enhanced },
            all_audio: self.all_audio && has(&[Codec::Pcma, Codec::Pcmu]),
        }
    }
}

/// Why a track is not in the output.
pub fn refusal(track: &Track, options: Options) -> Option<String> {
    let name = track.codec_name();
    match track.codec {
        Codec::H264 | Codec::H265 | Codec::Aac => None,
        Codec::Mp3 if matches!(track.clock_rate, 90_000) => None,
        Codec::Pcma | Codec::Pcmu if options.all_audio && track.clock_rate == 8000 => None,
        Codec::Pcma | Codec::Pcmu => Some(format!("{name} is not played by browsers (?audio=all sends it)")),
        _ => Some(format!("FLV has no place for {name}")),
    }
}

/// Writes one source's frames. It holds the parameter sets, so that it can begin for a new viewer at any key frame.
#[derive(Debug, Clone)]
pub struct Muxer {
    options: Options,
    video: Option<Output>,
    audio: Option<Output>,
    /// The video while sound goes alone.
    absent: Option<Output>,
    /// Viewers were told of no video: the next headers have metadata.
    retell: bool,
}

#[derive(Debug, Clone)]
struct Output {
    index: usize,
    track: Track,
}

impl Output {
    fn ready(&self) -> bool {
        has_parameters(&self.track)
    }

    fn ms(&self, ticks: i64) -> i64 {
        (i128::from(ticks) * 1000).div_euclid(i128::from(self.track.clock_rate)) as i64 + LEAD_MS
    }
}

impl Muxer {
    /// For the first video and the first audio track that FLV can carry. `None`: there is neither.
    pub fn new(tracks: &[Track], options: Options) -> Option<Self> {
        let muxer = Self::of(tracks, options);
        (muxer.video.is_some() || muxer.audio.is_some()).then_some(muxer)
    }

    /// As [`Muxer::new`], or one that carries nothing.
    pub(crate) fn of(tracks: &[Track], options: Options) -> Self {
        let first = |kind| {
            tracks
                .iter()
                .enumerate()
                .find(|(_, track)| track.kind == kind && refusal(track, options).is_none())
                .map(|(index, track)| Output { index, track: track.clone() })
        };
        Self { options, video: first(Kind::Video), audio: first(Kind::Audio), absent: None, retell: false }
    }

    /// Whether frames of that track are written.
    pub fn carries(&self, track: usize) -> bool {
        [&self.video, &self.audio].into_iter().flatten().any(|output| output.index == track)
    }

    /// Whether key frames of that track are where a viewer can begin: the video's, or the audio's if there is no video.
    pub fn leads(&self, track: usize) -> bool {
        self.video.as_ref().or(self.audio.as_ref()).is_some_and(|output| output.index == track)
    }

    /// Notes new parameter sets. Returns whether a sequence header must be written before the next frame.
    pub fn set_parameters(&mut self, track: usize, parameters: &Parameters) -> bool {
        if let Some(absent) = self.absent.as_mut().filter(|absent| absent.index == track) {
            absent.track.parameters = Some(parameters.clone());
            return false;
        }
        let output = [&mut self.video, &mut self.audio].into_iter().flatten().find(|output| output.index == track);
        match output {
            Some(output) if output.track.parameters.as_ref() != Some(parameters) => {
                output.track.parameters = Some(parameters.clone());
                true
            }
            _ => false,
        }
    }

    /// Whether what leads has its parameter sets, so that [`Muxer::head`] can be written.
    pub fn ready(&self) -> bool {
        self.video.as_ref().or(self.audio.as_ref()).is_some_and(Output::ready)
    }

    /// A frame's FLV time: decode time in milliseconds, or `None` if its track is not carried.
    pub fn timestamp(&self, frame: &Frame) -> Option<i64> {
        self.output(frame.track).map(|output| output.ms(frame.dts))
    }

    fn output(&self, track: usize) -> Option<&Output> {
        [&self.video, &self.audio].into_iter().flatten().find(|output| output.index == track)
    }

    /// What every viewer gets first: file header, `onMetaData`, and the sequence headers shortly before `timestamp`
    /// milliseconds.
    pub fn head(&self, timestamp: i64) -> Bytes {
        let mut out = BytesMut::with_capacity(1024);
        let ready = |output: &Option<Output>| output.as_ref().is_some_and(Output::ready);
        let flags = u8::from(ready(&self.video)) | u8::from(ready(&self.audio)) << 2;
        out.put_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
        self.metadata(&mut out);
        // Before the audio that belongs to the key frame but was heard a little earlier.
        self.sequence_headers((timestamp - LEAD_MS).max(0), &mut out);
        out.freeze()
    }

    /// `onMetaData` of all tracks whose parameter sets are known. It is at 0: ffmpeg takes a later one for subtitles.
    fn metadata(&self, out: &mut BytesMut) {
        let at = begin_tag(out, tag::SCRIPT, 0);
        amf0::write_script(out, "onMetaData", &self.values());
        end_tag(out, at);
    }

    /// The sequence headers of all tracks whose parameter sets are known.
    pub fn sequence_headers(&self, timestamp: i64, out: &mut BytesMut) {
        for output in [&self.video, &self.audio].into_iter().flatten() {
            match &output.track.parameters {
                Some(Parameters::H264(parameters)) => {
                    let at = begin_tag(out, tag::VIDEO, timestamp);
                    out.put_slice(&[0x10 | AVC, 0, 0, 0, 0]);
                    out.put_slice(&parameters.avcc());
                    end_tag(out, at);
                }
                Some(Parameters::H265(parameters)) => {
                    let at = begin_tag(out, tag::VIDEO, timestamp);
                    match self.options.hevc {
                        Hevc::Legacy => out.put_slice(&[0x10 | LEGACY_HEVC, 0, 0, 0, 0]),
                        // IsExHeader, key frame, PacketTypeSequenceStart
                        Hevc::Enhanced => {
                            out.put_u8(0x90);
                            out.put_u32(HVC1);
                        }
                    }
                    out.put_slice(&parameters.hvcc());
                    end_tag(out, at);
                }
                Some(Parameters::Aac(config)) => {
                    let at = begin_tag(out, tag::AUDIO, timestamp);
                    out.put_slice(&[0xaf, 0]);
                    out.put_slice(&config.raw);
                    end_tag(out, at);
                }
                // Not carried.
                Some(Parameters::Av1(_)) | None => {}
            }
        }
    }

    fn values(&self) -> Vec<(&'static str, Value<'static>)> {
        let mut values = vec![("creator", Value::String("ipchub stream media server"))];
        if let Some(audio) = self.audio.as_ref().filter(|audio| audio.ready()) {
            let (id, rate, channels) = match (&audio.track.codec, &audio.track.parameters) {
                (_, Some(Parameters::Aac(config))) => (10, config.output_sample_rate, config.channels),
                (Codec::Mp3, _) => (2, 44_100, audio.track.channels.max(1)),
                (Codec::Pcma, _) => (7, 8000, audio.track.channels.max(1)),
                _ => (8, 8000, audio.track.channels.max(1)),
            };
            values.extend([
                ("audiocodecid", Value::Number(f64::from(id))),
                ("audiosamplerate", Value::Number(f64::from(rate))),
                ("audiosamplesize", Value::Number(16.0)),
                ("stereo", Value::Boolean(channels > 1)),
            ]);
        }
        let size = match self.video.as_ref().and_then(|video| video.track.parameters.as_ref()) {
            Some(Parameters::H264(p)) => Some((f64::from(AVC), p.width, p.height, p.frame_rate())),
            Some(Parameters::H265(p)) => {
                let id = if self.options.hevc == Hevc::Legacy { f64::from(LEGACY_HEVC) } else { f64::from(HVC1) };
                Some((id, p.width, p.height, p.frame_rate()))
            }
            _ => None,
        };
        if let Some((id, width, height, frame_rate)) = size {
            values.push(("videocodecid", Value::Number(id)));
            values.extend(frame_rate.map(|rate| ("framerate", Value::Number(rate))));
            values.push(("width", Value::Number(f64::from(width))));
            values.push(("height", Value::Number(f64::from(height))));
        }
        values
    }

    /// Bytes that [`Muxer::write`] adds at most to those of the frame's units.
    pub fn overhead(frame: &Frame) -> usize {
        tag::HEADER_LEN + 4 + 8 + 4 * frame.units.count()
    }

    /// Writes one frame as one tag. Returns false, and writes nothing, if its track is not carried or not ready.
    pub fn write(&self, frame: &Frame, out: &mut BytesMut) -> bool {
        let Some(output) = self.output(frame.track).filter(|output| output.ready()) else { return false };
        let timestamp = output.ms(frame.dts);
        match output.track.codec {
            Codec::H264 | Codec::H265 => {
                let at = begin_tag(out, tag::VIDEO, timestamp);
                // SI24: wider differences do not occur with a reorder depth of at most 16 frames.
                let composition = (output.ms(frame.pts) - timestamp).clamp(-0x80_0000, 0x7f_ffff) as u32;
                let kind: u8 = if frame.key { 0x10 } else { 0x20 };
                let [_, c0, c1, c2] = composition.to_be_bytes();
                match (output.track.codec, self.options.hevc) {
                    (Codec::H264, _) => out.put_slice(&[kind | AVC, 1, c0, c1, c2]),
                    (_, Hevc::Legacy) => out.put_slice(&[kind | LEGACY_HEVC, 1, c0, c1, c2]),
                    (_, Hevc::Enhanced) => {
                        out.put_u8(0x80 | kind | 1); // PacketTypeCodedFrames
                        out.put_u32(HVC1);
                        out.put_slice(&[c0, c1, c2]);
                    }
                }
                for unit in frame.units.iter() {
                    out.put_u32(unit.len() as u32);
                    unit.write_to(out);
                }
                end_tag(out, at);
            }
            codec => {
                let at = begin_tag(out, tag::AUDIO, timestamp);
                match codec {
                    Codec::Aac => out.put_slice(&[0xaf, 1]),
                    Codec::Mp3 => out.put_u8(0x2f),
                    Codec::Pcma => out.put_u8(0x72 | u8::from(output.track.channels > 1)),
                    _ => out.put_u8(0x82 | u8::from(output.track.channels > 1)),
                }
                for unit in frame.units.iter() {
                    unit.write_to(out);
                }
                end_tag(out, at);
            }
        }
        true
    }
}

/// FLV has 32 bits for milliseconds: after 49 days they start again at 0.
fn begin_tag(out: &mut BytesMut, kind: u8, timestamp: i64) -> usize {
    let at = out.len();
    let [t3, t0, t1, t2] = (timestamp.max(0) as u32).to_be_bytes();
    out.put_slice(&[kind, 0, 0, 0, t0, t1, t2, t3, 0, 0, 0]);
    at
}

fn end_tag(out: &mut BytesMut, at: usize) {
    let size = out.len() - at;
    let [_, s0, s1, s2] = ((size - tag::HEADER_LEN) as u32).to_be_bytes();
    out[at + 1..at + 4].copy_from_slice(&[s0, s1, s2]);
    out.put_u32(size as u32);
}

#[cfg(test)]
mod tests;
