//! The frames of the limit, each in the form that every kind of viewer gets, made once.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use ipchub_media::flv::{Muxer, Options};
use ipchub_media::rtp::packet::HEADER_LEN;
use ipchub_media::rtp::packetize::{MAX_PAYLOAD, Packetizer};
use ipchub_media::sdp::Description;
use ipchub_media::{Codec, Frame};
use mio::net::UdpSocket;
use quinn_udp::{Transmit, UdpSocketState};

use crate::clip::Clip;
use crate::stamp::{Stamp, now_us};

/// Most datagrams of one system call.
const MAX_SEGMENTS: usize = 64;

/// Makes one frame after the other.
#[derive(Debug)]
pub(super) struct Feed {
    clip: Clip,
    muxer: Muxer,
    packetizer: Packetizer,
    next: u32,
}

/// One frame in every form.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) key: bool,
    pub(super) flv: Bytes,
    pub(super) interleaved: Bytes,
    pub(super) datagrams: Vec<Batch>,
}

/// Datagrams of one length, but for the last, which may be shorter: what one system call can send.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: BytesMut,
    segment: usize,
    count: usize,
}

impl Feed {
    pub(super) fn new(clip: Clip) -> Result<Self> {
        let tracks = Description::parse(Clip::sdp().as_bytes())?.tracks;
        Ok(Self {
            clip,
            muxer: Muxer::new(&tracks, Options::default()).context("FLV carries H.264")?,
            packetizer: Packetizer::new(Codec::H264, 96, 1, MAX_PAYLOAD).context("H.264 has a packetizer")?,
            next: 0,
        })
    }

    /// What FLV begins with.
    pub(super) fn flv_head(&self) -> Bytes {
        self.muxer.head(0)
    }

    /// When the next frame is due, in seconds from the first.
    pub(super) fn due(&self) -> f64 {
        self.clip.seconds(self.next)
    }

    pub(super) fn make(&mut self) -> Chunk {
        let n = self.next;
        self.next += 1;
        let units = self.clip.units(n, Stamp { micros: now_us(), frame: n, stream: 0 });
        let (key, ticks) = (self.clip.is_key(n), self.clip.ticks(n));
        let mut packets = Vec::with_capacity(48);
        self.packetizer.packetize(&units, ticks, &mut packets);
        let mut interleaved = BytesMut::with_capacity(units.len() + packets.len() * 32);
        let mut datagrams: Vec<Batch> = Vec::new();
        for packet in &packets {
            interleaved.put_slice(&[b'$', 0]);
            interleaved.put_u16((HEADER_LEN + packet.payload.len()) as u16);
            let at = interleaved.len();
            packet.write_to(&mut interleaved);
            Batch::add(&mut datagrams, &interleaved[at..]);
        }
        let frame = Frame { track: 0, pts: ticks.into(), dts: ticks.into(), key, units };
        let mut flv = BytesMut::with_capacity(frame.units.len() + Muxer::overhead(&frame));
        self.muxer.write(&frame, &mut flv);
        Chunk { key, flv: flv.freeze(), interleaved: interleaved.freeze(), datagrams }
    }
}

impl Batch {
    fn add(batches: &mut Vec<Self>, packet: &[u8]) {
        match batches.last_mut() {
            Some(last)
                if packet.len() <= last.segment
                    && last.count < MAX_SEGMENTS
                    && last.bytes.len() == last.segment * last.count =>
            {
                last.bytes.put_slice(packet);
                last.count += 1;
            }
            _ => batches.push(Self { bytes: packet.into(), segment: packet.len(), count: 1 }),
        }
    }

    /// One system call (`sendmsg` with `UDP_SEGMENT`) for all datagrams. What the kernel has no room for is lost, as on a network.
    pub(super) fn send(&self, socket: &UdpSocket, state: &UdpSocketState, destination: SocketAddr) {
        let segment_size = (self.count > 1).then_some(self.segment);
        let transmit = Transmit { destination, ecn: None, contents: &self.bytes, segment_size, src_ip: None };
        let _ = state.try_send(socket.into(), &transmit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_same_in_every_form() {
        let mut feed = Feed::new(Clip::new(2e6, 25.0, 50)).expect("a feed");
        let chunk = feed.make();
        assert!(chunk.key && !feed.make().key);
        let datagrams: usize = chunk.datagrams.iter().map(|batch| batch.bytes.len()).sum();
        let count: usize = chunk.datagrams.iter().map(|batch| batch.count).sum();
        assert_eq!(chunk.interleaved.len(), datagrams + 4 * count);
        // Parameter sets and stamp are short and grow, so that each begins a batch; the fragments of the slice are one.
        assert!(chunk.datagrams.len() <= 4 && count > 30, "{} batches of {count}", chunk.datagrams.len());
        assert!(chunk.flv.len() < datagrams && chunk.flv.len() > 40_000);
    }
}
