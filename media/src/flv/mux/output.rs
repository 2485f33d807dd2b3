//! The muxer as one of the outputs of a source.

use bytes::{Bytes, BytesMut};

use super::Muxer;
use crate::frame::{Frame, Parameters, Track};
use crate::output::Mux;

impl Mux for Muxer {
    fn retune(&mut self, tracks: &[Track]) {
        // Whoever had sound alone is told of the picture, if there is one now.
        let retell = self.retell || self.absent.is_some();
        *self = Self { retell, ..Self::of(tracks, self.options) };
    }

    fn set_parameters(&mut self, track: usize, parameters: &Parameters) -> bool {
        Self::set_parameters(self, track, parameters)
    }

    fn leave_out_video(&mut self) -> bool {
        self.absent = self.absent.take().or_else(|| self.video.take_if(|_| self.audio.is_some()));
        self.absent.is_some()
    }

    fn take_video_back(&mut self, frame: &Frame) -> bool {
        let video = self.absent.take_if(|absent| frame.key && absent.index == frame.track && absent.ready());
        self.retell |= video.is_some();
        let is_back = video.is_some();
        self.video = video.or_else(|| self.video.take());
        is_back
    }

    fn carries(&self, track: usize) -> bool {
        Self::carries(self, track)
    }

    fn leads(&self, track: usize) -> bool {
        Self::leads(self, track)
    }

    fn ready(&self) -> bool {
        Self::ready(self)
    }

    fn head(&self, frame: &Frame) -> Bytes {
        Self::head(self, self.timestamp(frame).unwrap_or(0))
    }

    fn headers(&self, frame: &Frame) -> Bytes {
        let mut out = BytesMut::with_capacity(if self.retell { 1024 } else { 256 });
        if self.retell {
            self.metadata(&mut out);
        }
        self.sequence_headers(self.timestamp(frame).unwrap_or(0), &mut out);
        out.freeze()
    }

    fn resumption(&self, _: &Frame) -> Bytes {
        Bytes::new()
    }

    fn size(&self, frame: &Frame) -> usize {
        frame.units.len() + Self::overhead(frame)
    }

    fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> bool {
        // What leads came behind the headers.
        self.retell &= !self.leads(frame.track);
        Self::write(self, frame, out)
    }
}
