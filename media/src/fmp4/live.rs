//! Fragmented MP4 as an endless stream: the init section, then a fragment a frame.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{Muxer, Sample};
use crate::frame::{Frame, Parameters, Track};
use crate::output::Mux;

/// A frame's length until a second one tells it, in parts of a second.
const USUAL_FRAME: u32 = 25;
/// A longer step is a pause, not a frame's length, in seconds.
const MAX_STEP: u32 = 1;

/// Writes one source's frames as they come. A fragment's decode time counts; how long its frame lasts is taken from the
/// frame before it, since waiting for the next one would cost a frame's time.
#[derive(Debug)]
pub(crate) struct Live {
    tracks: Vec<Track>,
    muxer: Option<Muxer>,
    init: Bytes,
    sequence: u32,
    /// Of each track: decode time of the last frame, ticks from the one before.
    steps: BTreeMap<usize, (i64, u32)>,
}

impl Live {
    pub(crate) fn new(tracks: &[Track]) -> Self {
        let mut live =
            Self { tracks: Vec::new(), muxer: None, init: Bytes::new(), sequence: 0, steps: BTreeMap::new() };
        live.retune(tracks);
        live
    }

    /// Answers whether the init section is another.
    fn renew(&mut self) -> bool {
        let made = Muxer::new(&self.tracks).and_then(|muxer| Some((muxer.init().ok()?, muxer)));
        let Some((init, muxer)) = made else { return false };
        self.muxer = Some(muxer);
        let changed = self.init != init;
        self.init = init;
        changed
    }

    fn duration(&mut self, frame: &Frame) -> u32 {
        let Some(track) = self.tracks.get(frame.track) else { return 1 };
        let usual = match &track.parameters {
            Some(Parameters::Aac(config)) => config.ticks(1, track.clock_rate),
            _ => track.clock_rate / USUAL_FRAME,
        };
        let known = self.steps.get(&frame.track);
        let step = known.and_then(|(last, _)| u32::try_from(frame.dts - last).ok());
        let plausible = step.filter(|step| (1..=track.clock_rate.saturating_mul(MAX_STEP)).contains(step));
        let duration = plausible.or(known.map(|(_, step)| *step)).unwrap_or(usual).max(1);
        self.steps.insert(frame.track, (frame.dts, duration));
        duration
    }
}

impl Mux for Live {
    fn retune(&mut self, tracks: &[Track]) {
        self.tracks = tracks.to_vec();
        self.muxer = None;
        self.steps.clear();
        self.renew();
    }

    fn set_parameters(&mut self, track: usize, parameters: &Parameters) -> bool {
        let Some(track) = self.tracks.get_mut(track) else { return false };
        track.parameters = Some(parameters.clone());
        self.renew()
    }

    fn carries(&self, track: usize) -> bool {
        self.muxer.as_ref().is_some_and(|muxer| muxer.carries(track))
    }

    fn leads(&self, track: usize) -> bool {
        self.muxer.as_ref().is_some_and(|muxer| muxer.leads(track))
    }

    fn ready(&self) -> bool {
        self.muxer.is_some()
    }

    fn head(&self, _: &Frame) -> Bytes {
        self.init.clone()
    }

    fn headers(&self, _: &Frame) -> Bytes {
        self.init.clone()
    }

    fn resumption(&self, _: &Frame) -> Bytes {
        Bytes::new()
    }

    /// A fragment comes in a buffer of its own.
    fn size(&self, _: &Frame) -> usize {
        0
    }

    fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> bool {
        let duration = self.duration(frame);
        let Some(muxer) = self.muxer.as_ref().filter(|muxer| muxer.carries(frame.track)) else { return false };
        self.sequence = self.sequence.wrapping_add(1);
        // The frame's slices are shared, not copied.
        let sample = Sample { frame: frame.clone(), duration };
        let Ok(fragment) = muxer.fragment(self.sequence, &[sample]) else { return false };
        out.unsplit(BytesMut::from(fragment));
        true
    }
}
