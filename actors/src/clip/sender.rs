//! Makes packets of a clip's frames.

use ipchub_media::clip::ClipTrack;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::packetize::{MAX_PAYLOAD, Packetizer};
use ipchub_media::rtp::rtcp::SenderReport;

use super::ClipFrame;
use crate::rtsp::udp::random_u64;

/// The wall clock that the clip began at, as its reports say. Only differences between tracks count.
const BEGAN: u64 = 1 << 32;

const NANOS: i128 = 1_000_000_000;

/// Sends the tracks of a clip.
#[derive(Debug)]
pub(crate) struct Sender {
    tracks: Vec<Sending>,
}

#[derive(Debug)]
struct Sending {
    packetizer: Packetizer,
    ssrc: u32,
    clock_rate: u32,
}

impl Sender {
    pub(crate) fn new(tracks: &[ClipTrack]) -> Self {
        let sending = |clip: &ClipTrack| {
            let (track, ssrc) = (&clip.track, random_u64() as u32);
            let packetizer = Packetizer::new(track.codec, track.payload_type, ssrc, MAX_PAYLOAD);
            let packetizer = packetizer.expect("clips have H.264, H.265 and AAC only");
            Sending { packetizer, ssrc, clock_rate: track.clock_rate }
        };
        Self { tracks: tracks.iter().map(sending).collect() }
    }

    /// Appends the packets of a frame.
    pub(crate) fn packets(&mut self, frame: &ClipFrame, out: &mut Vec<Packet>) {
        let (Some(track), Ok(units)) = (self.tracks.get_mut(frame.track), &frame.units) else { return };
        let rate = i128::from(track.clock_rate);
        // To the nearest: containers' clocks are seldom multiples of RTP's.
        let ticks = (i128::from(frame.pts) * rate + NANOS / 2).div_euclid(NANOS);
        track.packetizer.packetize(units, ticks as u32, out);
    }

    /// What places the tracks beside each other: each one's time at the beginning.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (usize, SenderReport)> {
        self.tracks.iter().map(|track| SenderReport { ssrc: track.ssrc, ntp: BEGAN, rtp: 0 }).enumerate()
    }
}
