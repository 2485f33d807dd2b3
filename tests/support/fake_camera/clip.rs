//! The demo clip as RTP packets: what the camera sends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ipchub_media::flv::{demux, tag};
use ipchub_media::frame::Units;
use ipchub_media::rtp::packetize::Packetizer;
use ipchub_media::{Codec, rtp};

/// Index of the tracks.
pub const VIDEO: usize = 0;
pub const AUDIO: usize = 1;
/// The audio's samples a second, and its clock rate.
const SAMPLE_RATE: u32 = 48_000;

/// Before a NAL unit in a byte stream (ITU-T H.264, Annex B).
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

pub struct Clip {
    frames: Vec<Frame>,
    pub sps: Bytes,
    pub pps: Bytes,
    /// AudioSpecificConfig in hexadecimal digits.
    pub audio_config: String,
}

struct Frame {
    track: usize,
    at: Duration,
    ticks: u32,
    units: Units,
}

/// Plays the clip once more and again.
pub struct Player<'a> {
    clip: &'a Clip,
    packetizers: [Packetizer; 2],
    next: usize,
    /// Added to each track's ticks: a camera's clock starts anywhere.
    offset: u32,
}

impl Clip {
    pub fn read() -> Self {
        let file = Bytes::from_static(include_bytes!("../../../demo/clock.flv"));
        let (mut sps, mut pps) = (Bytes::new(), Bytes::new());
        let (mut frames, mut audio_config, mut sounds) = (Vec::new(), String::new(), 0);
        for tag in demux::tags(&file).expect("our own clip") {
            let (data, at) = (&tag.data, Duration::from_millis(tag.timestamp.into()));
            match (tag.kind, data.get(1)) {
                (tag::VIDEO, Some(0)) => {
                    sps = sized(data, 11);
                    pps = sized(data, 11 + 2 + sps.len() + 1);
                }
                (tag::VIDEO, Some(1)) => {
                    let composition = u32::from_be_bytes([0, data[2], data[3], data[4]]);
                    let ticks = (tag.timestamp + composition) * 90;
                    let mut units = Units::new();
                    // Parameter sets come in the stream too, as most cameras have it.
                    if data[0] >> 4 == 1 {
                        units.push(sps.clone());
                        units.push(pps.clone());
                    }
                    let mut rest = data.slice(5..);
                    while rest.len() > 4 {
                        let len = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                        units.push(rest.slice(4..4 + len));
                        rest = rest.slice(4 + len..);
                    }
                    frames.push(Frame { track: VIDEO, at, ticks, units });
                }
                (tag::AUDIO, Some(0)) => audio_config = data[2..].iter().map(|byte| format!("{byte:02x}")).collect(),
                (tag::AUDIO, Some(1)) => {
                    frames.push(Frame {
                        track: AUDIO,
                        at,
                        ticks: sounds * 1024,
                        units: Units::single(data.slice(2..)),
                    });
                    sounds += 1;
                }
                _ => {}
            }
        }
        Self { frames, sps, pps, audio_config }
    }

    /// `seed` makes each session's numbers its own.
    pub fn play(&self, seed: u32) -> Player<'_> {
        let packetizer = |codec, payload_type, ssrc: u32| {
            Packetizer::new(codec, payload_type, ssrc, 1200).expect("both codecs are known")
        };
        Player {
            clip: self,
            packetizers: [packetizer(Codec::H264, 96, seed * 2 + 1), packetizer(Codec::Aac, 97, seed * 2 + 2)],
            next: 0,
            offset: seed.wrapping_mul(0x1234_5678),
        }
    }

    /// The parameter sets for a description, with a start code before each if they shall be so.
    pub fn sets(&self, annex_b: bool) -> String {
        let prefix: &[u8] = if annex_b { &START_CODE } else { &[] };
        format!("{},{}", base64(&[prefix, &self.sps].concat()), base64(&[prefix, &self.pps].concat()))
    }

    /// The tracks' part of a session description.
    pub fn sdp(&self, sprop: bool) -> String {
        format!(
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1{}\r\na=control:track1\r\n\
             m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/{SAMPLE_RATE}/1\r\n\
             a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={}\r\na=control:track2\r\n",
            if sprop { ";sprop-parameter-sets={sets}" } else { "" },
            self.audio_config
        )
    }
}

impl Player<'_> {
    /// The next frame: its track, when it is due after the start, and its packets.
    pub fn frame(&mut self) -> (usize, Duration, Vec<Vec<u8>>) {
        let (round, index) = (self.next / self.clip.frames.len(), self.next % self.clip.frames.len());
        let frame = &self.clip.frames[index];
        self.next += 1;
        // 480 pictures of 40 ms and 900 sounds of 1024 samples take the same time.
        let length = Duration::from_millis(480 * 40);
        let rate = if frame.track == VIDEO { 90_000 } else { u64::from(SAMPLE_RATE) };
        let start = (length.as_millis() as u64 * round as u64 * rate / 1000) as u32;
        let timestamp = frame.ticks.wrapping_add(start).wrapping_add(self.offset);
        let mut packets: Vec<rtp::Packet> = Vec::new();
        self.packetizers[frame.track].packetize(&frame.units, timestamp, &mut packets);
        let bytes = |packet: rtp::Packet| {
            let mut out = BytesMut::new();
            packet.write_to(&mut out);
            out.to_vec()
        };
        (frame.track, frame.at + length * round as u32, packets.into_iter().map(bytes).collect())
    }
}

fn sized(data: &Bytes, at: usize) -> Bytes {
    let len = usize::from(u16::from_be_bytes([data[at], data[at + 1]]));
    data.slice(at + 2..at + 2 + len)
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().chain(&[0, 0]).take(3).fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
        for i in 0..4 {
            let digit = char::from(DIGITS[n >> (18 - 6 * i) & 63]);
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}
