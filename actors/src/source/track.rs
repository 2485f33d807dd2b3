//! One track of a source: from packets to access units with decode times, and what REST shows of it.

use std::time::Duration;

use ipchub_media::output;
use ipchub_media::rtp::depacketize::Depacketizer;
use ipchub_media::timeline::DecodeTimes;
use ipchub_media::{Kind, Parameters, Track};

use super::rate::Rate;
use crate::info::{AudioInfo, SourceInfo, VideoInfo};

/// Assumed where a stream does not say how many frames it has a second.
const USUAL_FRAME_RATE: f64 = 25.0;
/// A declared frame rate is shown if the measured one differs from it by no more than this share.
const DECLARED_RATE_TOLERANCE: f64 = 0.1;

#[derive(Debug)]
pub(super) struct SourceTrack {
    pub(super) track: Track,
    /// `None`: the codec is carried as RTP only.
    pub(super) depacketizer: Option<Depacketizer>,
    pub(super) rate: Rate,
    times: DecodeTimes,
    last: Option<i64>,
    /// RTP time and timeline's time of the latest packet.
    pub(super) placed: Option<(u32, i64)>,
    measuring: bool,
}

impl SourceTrack {
    /// `after`: decode times must be above this many nanoseconds of the timeline.
    pub(super) fn new(track: Track, max_access_unit: usize, after: Option<i64>) -> Self {
        let depacketizer = Depacketizer::new(&track).map(|d| d.with_max_access_unit(max_access_unit));
        let (depth, frame_ticks) = reorder(&track);
        let mut times = match track.kind {
            Kind::Audio => DecodeTimes::in_order(),
            _ => DecodeTimes::new(depth, frame_ticks),
        };
        if let Some(nanos) = after {
            times.stay_above((i128::from(nanos) * i128::from(track.clock_rate) / 1_000_000_000) as i64 + 1);
        }
        Self { track, depacketizer, rate: Rate::default(), times, last: None, placed: None, measuring: false }
    }

    pub(super) fn set_parameters(&mut self, parameters: &Parameters) {
        let before = reorder(&self.track);
        self.track.parameters = Some(parameters.clone());
        let now = reorder(&self.track);
        if before != now {
            self.times.restart(now.0, now.1);
        }
    }

    /// Of a track that sender reports have moved by so much.
    pub(super) fn decode_time(&mut self, pts: i64, moved: i64) -> i64 {
        self.times.moved_to(moved);
        let dts = self.times.next(pts);
        self.last = Some(dts);
        dts
    }

    /// The last decode time in nanoseconds.
    pub(super) fn end_nanos(&self) -> Option<i64> {
        self.last.map(|ticks| (i128::from(ticks) * 1_000_000_000 / i128::from(self.track.clock_rate)) as i64)
    }

    pub(super) fn measure(&mut self, info: &SourceInfo, period: Duration) {
        let measured = self.rate.take(period);
        // The first period began before the track did.
        if !std::mem::replace(&mut self.measuring, true) {
            return;
        }
        let kind = self.track.kind;
        let declared = self.track.parameters.as_ref().and_then(Parameters::frame_rate);
        info.describe(|description| match kind {
            Kind::Video => {
                if let Some(video) = &mut description.video {
                    video.data_rate = measured.data_rate;
                    // Cameras often declare another rate than they send.
                    let close = |rate: &f64| (rate - measured.frame_rate).abs() <= rate * DECLARED_RATE_TOLERANCE;
                    video.frame_rate = declared.filter(close).unwrap_or(measured.frame_rate);
                }
            }
            Kind::Audio => {
                if let Some(audio) = &mut description.audio {
                    audio.data_rate = measured.data_rate;
                }
            }
            Kind::Other => {}
        });
    }
}

/// Reorder depth, if the stream says it, and a frame's length in ticks.
fn reorder(track: &Track) -> (Option<u8>, i64) {
    let (depth, rate) = match &track.parameters {
        Some(Parameters::H264(p)) => (p.reorder, p.frame_rate()),
        Some(Parameters::H265(p)) => (p.reorder, p.frame_rate()),
        // What is shown of AV1 comes in its order.
        Some(Parameters::Av1(p)) => (Some(0), p.frame_rate()),
        _ => (Some(0), None),
    };
    let rate = rate.filter(|rate| (1.0..=1000.0).contains(rate)).unwrap_or(USUAL_FRAME_RATE);
    (depth, (f64::from(track.clock_rate) / rate) as i64)
}

/// One line on what is left out of which output, and why.
pub(super) fn log_left_out(path: &str, tracks: &[Track]) {
    let plans = output::plans(tracks);
    let left_out = plans.iter().flat_map(|plan| plan.left_out.iter().map(|left| (plan.name, left)));
    let words: Vec<_> = left_out
        .map(|(name, left)| format!("{} is not in {}: {}", left.track, name.to_uppercase(), left.reason))
        .collect();
    if !words.is_empty() {
        log::info!("{path}: {}", words.join("; "));
    }
}

/// Writes what is known of the tracks into the source's description; measured rates stay.
pub(super) fn describe(info: &SourceInfo, tracks: &[&Track]) {
    let first = |kind| tracks.iter().copied().find(|track| track.kind == kind);
    info.describe(|description| {
        description.tracks = tracks.iter().copied().cloned().collect();
        description.video = first(Kind::Video).map(|track| {
            let before = description.video.take();
            let parameters = track.parameters.as_ref();
            let (width, height) = parameters.and_then(Parameters::size).unwrap_or((0, 0));
            let rate = parameters.and_then(Parameters::frame_rate);
            let fixed = matches!(parameters, Some(Parameters::H264(p)) if p.fixed_frame_rate);
            VideoInfo {
                codec: track.name().to_owned(),
                width,
                height,
                fixed_frame_rate: fixed,
                frame_rate: rate.or(before.as_ref().map(|b| b.frame_rate)).unwrap_or(0.0),
                data_rate: before.map_or(0.0, |b| b.data_rate),
                clock_rate: track.clock_rate,
            }
        });
        description.audio = first(Kind::Audio).map(|track| {
            let before = description.audio.take();
            let (sample_rate, channels) = match &track.parameters {
                Some(Parameters::Aac(config)) => (config.output_sample_rate, u32::from(config.channels)),
                _ => (track.clock_rate, u32::from(track.channels.max(1))),
            };
            AudioInfo {
                codec: track.name().to_owned(),
                sample_rate,
                sample_size: 16,
                channels,
                data_rate: before.map_or(0.0, |b| b.data_rate),
            }
        });
    });
}
