//! The outputs that viewers of a live source can take, and what each can carry. Each is written by a [`Mux`], once for all its
//! viewers.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};

use crate::frame::{Codec, Frame, Kind, Parameters, Track};
use crate::{flv, fmp4, ts};

/// What a viewer takes. Viewers with the same value share one muxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// FLV, with these options.
    Flv(flv::Options),
    /// MPEG-TS.
    Ts,
    /// Fragmented MP4, a fragment a frame.
    Fmp4,
}

impl Output {
    /// As it is called in REST and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flv(_) => "flv",
            Self::Ts => "ts",
            Self::Fmp4 => "fmp4",
        }
    }

    /// Its media type, with the codecs where the format has such a parameter and they are known.
    pub fn media_type(self, tracks: &[Track]) -> String {
        match self {
            Self::Flv(_) => "video/x-flv".into(),
            Self::Ts => "video/mp2t".into(),
            Self::Fmp4 => fmp4::media_type(tracks),
        }
    }

    /// The same answer for every choice that makes no difference for these tracks, so that viewers share one muxer.
    pub fn normalized(self, tracks: &[Track]) -> Self {
        match self {
            Self::Flv(options) => Self::Flv(options.normalized(tracks)),
            Self::Ts | Self::Fmp4 => self,
        }
    }

    /// Why a track is not in it.
    pub fn refusal(self, track: &Track) -> Option<String> {
        match self {
            Self::Flv(options) => flv::mux::refusal(track, options),
            Self::Ts => ts::refusal(track),
            Self::Fmp4 => fmp4::refusal(track),
        }
    }

    /// Writes these tracks.
    pub fn muxer(self, tracks: &[Track]) -> Box<dyn Mux> {
        match self {
            Self::Flv(options) => Box::new(flv::Muxer::of(tracks, options)),
            Self::Ts => Box::new(ts::Muxer::new(tracks)),
            Self::Fmp4 => Box::new(fmp4::Live::new(tracks)),
        }
    }

    /// What becomes of each track.
    pub fn plan(self, tracks: &[Track]) -> Plan {
        Plan::new(self.name(), tracks, |track| self.refusal(track))
    }
}

impl Plan {
    /// What becomes of each track in an output of that name.
    fn new(name: &'static str, tracks: &[Track], refusal: impl Fn(&Track) -> Option<String>) -> Self {
        let output = name;
        let mut plan = Self { name, carried: Vec::new(), left_out: Vec::new() };
        let mut taken = Vec::new();
        for track in tracks {
            let name = track.codec_name();
            let reason = match refusal(track) {
                Some(reason) => Some(reason),
                None if taken.contains(&track.kind) => {
                    Some(format!("it is not the first {} that {output} can carry", kind(track.kind)))
                }
                None => {
                    taken.push(track.kind);
                    None
                }
            };
            match reason {
                Some(reason) => plan.left_out.push(LeftOut { track: name, reason }),
                None => plan.carried.push(name),
            }
        }
        plan
    }

    /// Takes a codec out of what is carried, with the reason.
    pub fn leave_out(&mut self, codec: &str, reason: &str) {
        let before = self.carried.len();
        self.carried.retain(|carried| carried != codec);
        if self.carried.len() < before {
            self.left_out.push(LeftOut { track: codec.to_owned(), reason: reason.to_owned() });
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Video => "video track",
        Kind::Audio => "audio track",
        Kind::Other => "track of data",
    }
}

/// What each output makes of these tracks, FLV as it is sent where nothing else is asked for.
pub fn plans(tracks: &[Track]) -> Vec<Plan> {
    let lanes = [Output::Flv(flv::Options::default()), Output::Ts, Output::Fmp4].map(|output| output.plan(tracks));
    lanes.into_iter().chain([hls_plan(tracks)]).collect()
}

/// What HLS makes of these tracks.
pub fn hls_plan(tracks: &[Track]) -> Plan {
    Plan::new("hls", tracks, fmp4::refusal)
}

/// What one output makes of a source's tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The output's, see [`Output::name`].
    pub name: &'static str,
    /// Codecs of the tracks that are in it.
    pub carried: Vec<String>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// A track that is not in an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its codec.
    pub track: String,
    /// In words.
    pub reason: String,
}

impl Plan {
    /// Why there is no such output at all, if there is none.
    pub fn refusal(&self) -> Option<String> {
        let reasons = self.left_out.iter().map(|left| left.reason.as_str()).collect::<Vec<_>>();
        (self.carried.is_empty() && !reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// Writes one source's frames in one format, for any number of viewers that begin at any key frame.
pub trait Mux: Debug {
    /// A new publisher's tracks.
    fn retune(&mut self, tracks: &[Track]);
    /// Notes new parameter sets. Returns whether [`Mux::headers`] must go out before the next key frame.
    fn set_parameters(&mut self, track: usize, parameters: &Parameters) -> bool;
    /// No video comes: its sound is written alone until [`Mux::take_video_back`]. False: nothing changes, or the format cannot.
    fn leave_out_video(&mut self) -> bool {
        false
    }
    /// Ends that if `frame`, which is written next, is one that the video can begin with. Returns whether [`Mux::headers`]
    /// must go out before it.
    fn take_video_back(&mut self, _frame: &Frame) -> bool {
        false
    }
    /// Whether frames of that track are written.
    fn carries(&self, track: usize) -> bool;
    /// Whether key frames of that track are where a viewer can begin: the video's, or the audio's if there is no video.
    fn leads(&self, track: usize) -> bool;
    /// Whether what leads has its parameter sets.
    fn ready(&self) -> bool;
    /// What a viewer gets first, right before `frame`, which is written next. May be empty.
    fn head(&self, frame: &Frame) -> Bytes;
    /// What tells a viewer of changed parameter sets, right before `frame`. Empty where the frames do so themselves.
    fn headers(&self, frame: &Frame) -> Bytes;
    /// What a viewer gets that has missed something and goes on with `frame`, which is written next. May be empty.
    fn resumption(&self, frame: &Frame) -> Bytes;
    /// Bytes of a frame when it is written, at most.
    fn size(&self, frame: &Frame) -> usize;
    /// Appends a frame. False: nothing is written, its track is not carried or not ready.
    fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> bool;
}

/// Whether a decoder knows what it must before the track's first frame.
pub(crate) fn has_parameters(track: &Track) -> bool {
    match track.codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac => track.parameters.is_some(),
        _ => true,
    }
}
