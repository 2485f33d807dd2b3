//! A camera of AV1: Debian's ffmpeg and GStreamer encode and decode it, and neither send nor read it in RTP.

use std::collections::VecDeque;
use std::process::Command;

use super::tracks::{self, Payloads, Track};

/// Payload bytes of a packet.
const MTU: usize = 1200;
/// Pictures of the clip.
pub const PICTURES: usize = 50;
pub const SIZE: (u32, u32) = (320, 176);

/// The tracks of a camera: the clip, and AAC beside it.
pub fn camera(units: &[TemporalUnit]) -> Vec<Track> {
    let video = Track {
        sdp: "m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n".into(),
        payload_type: 96,
        clock_rate: 90_000,
        step: 3600,
        units: units.iter().map(packetize).collect(),
    };
    assert!(video.units.iter().any(|payloads| payloads.len() > 1), "some go in several packets");
    vec![video, tracks::aac(97, 44_100, 1024, "1210", &sound())]
}

fn made(arguments: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(arguments.split_whitespace());
    let output = command.output().expect("ffmpeg is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn sound() -> Vec<Vec<u8>> {
    let tone = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=2 -ac 2 -c:a aac -b:a 64k -f adts -";
    tracks::adts_frames(&made(tone))
}

/// The OBUs of each temporal unit, without their lengths and without delimiters.
pub type TemporalUnit = Vec<Vec<u8>>;

/// Two seconds, with a key frame each second.
pub fn clip() -> Vec<TemporalUnit> {
    let ivf = made(
        "-f lavfi -i testsrc2=size=320x176:rate=25:duration=2 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 \
         -lag-in-frames 0 -b:v 800k -f ivf -",
    );
    let mut rest = &ivf[32..];
    let mut units = Vec::new();
    // Four bytes of length, eight of time.
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after[8..].split_at(u32::from_le_bytes(*length) as usize);
        units.push(obus(unit));
        rest = after;
    }
    assert_eq!(units.len(), PICTURES);
    units
}

fn leb128(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    for shift in (0..56).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn put_leb128(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn obus(mut unit: &[u8]) -> TemporalUnit {
    let mut found = Vec::new();
    while !unit.is_empty() {
        let head = 1 + usize::from(unit[0] >> 2 & 1);
        assert_eq!(unit[0] & 2, 2, "it has a length");
        let mut at = head;
        let length = leb128(unit, &mut at);
        let obu = [&[unit[0] & !2][..], &unit[1..head], &unit[at..at + length]].concat();
        if obu[0] >> 3 & 15 != 2 {
            found.push(obu);
        }
        unit = &unit[at + length..];
    }
    found
}

/// As a file has them, each with its length, behind a delimiter.
pub fn stream(units: &[TemporalUnit]) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        out.extend([0x12, 0]);
        for obu in unit {
            let head = 1 + usize::from(obu[0] >> 2 & 1);
            out.push(obu[0] | 2);
            out.extend(&obu[1..head]);
            put_leb128(obu.len() - head, &mut out);
            out.extend(&obu[head..]);
        }
    }
    out
}

/// "RTP Payload Format For AV1", section 4.4: an OBU element a packet, each with its length.
fn packetize(unit: &TemporalUnit) -> Payloads {
    let mut payloads = Vec::new();
    for (n, obu) in unit.iter().enumerate() {
        let count = obu.len().div_ceil(MTU);
        for (i, piece) in obu.chunks(MTU).enumerate() {
            // Z: goes on from before; Y: goes on behind; N: a coded video sequence begins, with its header (type 1)
            let begins = n == 0 && i == 0 && obu[0] >> 3 & 15 == 1;
            let mut payload = vec![u8::from(i > 0) << 7 | u8::from(i + 1 < count) << 6 | u8::from(begins) << 3];
            put_leb128(piece.len(), &mut payload);
            payload.extend(piece);
            payloads.push(payload);
        }
    }
    payloads
}

#[derive(Default)]
pub struct Depacketizer {
    open: TemporalUnit,
    pub units: Vec<TemporalUnit>,
}

impl Depacketizer {
    pub fn push(&mut self, payload: &[u8], ends: bool) {
        let goes_on = payload[0] & 0x80 != 0;
        let mut elements = VecDeque::new();
        let mut at = 1;
        while at < payload.len() {
            let length = leb128(payload, &mut at);
            elements.push_back(payload[at..at + length].to_vec());
            at += length;
        }
        if goes_on {
            let more = elements.pop_front().expect("an element goes on");
            self.open.last_mut().expect("it began").extend(more);
        }
        self.open.extend(elements);
        if ends {
            self.units.push(std::mem::take(&mut self.open));
        }
    }
}
