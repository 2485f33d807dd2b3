use super::*;
use crate::Kind;

mod audio;
mod av1;
mod random;
mod video;

fn track(codec: Codec, clock_rate: u32, fmtp: &str) -> Track {
    Track {
        kind: if matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1) { Kind::Video } else { Kind::Audio },
        codec,
        encoding: String::new(),
        payload_type: 96,
        clock_rate,
        channels: 0,
        fmtp: fmtp.into(),
        control: String::new(),
        parameters: None,
    }
}

fn depacketizer(codec: Codec) -> Depacketizer {
    Depacketizer::new(&track(codec, 90_000, "")).expect("a supported codec")
}

fn packet(timestamp: u32, marker: bool, payload: impl Into<Bytes>) -> Packet {
    Packet { marker, payload_type: 96, sequence: 0, timestamp, ssrc: 1, payload: payload.into() }
}

fn units(unit: &AccessUnit) -> Vec<Vec<u8>> {
    unit.units.iter().map(|u| u.to_bytes().to_vec()).collect()
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    digits.chunks(2).map(|d| u8::from_str_radix(&String::from_utf8_lossy(d), 16).expect("hex")).collect()
}
