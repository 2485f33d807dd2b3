use super::*;
use crate::rtp::depacketize::Depacketizer;
use crate::{Kind, Track};

fn track(codec: Codec) -> Track {
    Track {
        kind: Kind::Video,
        codec,
        encoding: String::new(),
        payload_type: 96,
        clock_rate: 90_000,
        channels: 0,
        fmtp: String::new(),
        control: String::new(),
        parameters: None,
    }
}

#[test]
fn what_is_packetized_comes_back() {
    let heads: [(Codec, &[&[u8]]); 3] = [
        (Codec::H264, &[&[0x65, 0x88], &[0x65, 0x48]]),
        (Codec::H265, &[&[0x26, 1, 0x88], &[0x26, 1, 0x48]]),
        (Codec::Aac, &[&[0x21]]),
    ];
    for (codec, heads) in heads {
        for max_payload in [16, 17, 100, 1400] {
            let mut packetizer = Packetizer::new(codec, 96, 7, max_payload).expect("supported");
            let mut depacketizer = Depacketizer::new(&track(codec)).expect("supported");
            for (i, len) in
                [1, 5, 12, 13, 14, 15, 95, 96, 97, 98, 99, 1396, 1397, 1398, 1399, 1400, 8000].into_iter().enumerate()
            {
                let mut units = Units::new();
                for head in heads {
                    units.push([head, &vec![len as u8; len][..]].concat().into());
                }
                let mut packets = Vec::new();
                packetizer.packetize(&units, i as u32, &mut packets);
                assert!(packets.iter().all(|p| p.payload.len() <= max_payload && p.ssrc == 7));
                assert!(packets.windows(2).all(|w| w[0].sequence.wrapping_add(1) == w[1].sequence));
                assert_eq!(packets.iter().rposition(|p| !p.marker).map_or(0, |at| at + 1), packets.len() - 1);
                let mut out = Vec::new();
                for packet in &packets {
                    depacketizer.push(packet, false, &mut out).expect("valid");
                }
                let bytes = |units: &Units| units.iter().map(|u| u.to_bytes()).collect::<Vec<_>>();
                assert_eq!(out.len(), 1, "{codec:?} {max_payload} {len}");
                assert_eq!((out[0].timestamp, bytes(&out[0].units)), (i as u32, bytes(&units)));
            }
        }
    }
}

#[test]
fn what_cannot_be_sent_is_left_out() {
    let mut packets = Vec::new();
    let mut aac = Packetizer::new(Codec::Aac, 97, 1, MAX_PAYLOAD).expect("supported");
    aac.packetize(&Units::single(vec![0; 8192].into()), 0, &mut packets);
    aac.packetize(&Units::single(Bytes::new()), 0, &mut packets);
    aac.packetize(&Units::new(), 0, &mut packets);
    assert!(packets.is_empty());
    assert!(Packetizer::new(Codec::Opus, 97, 1, MAX_PAYLOAD).is_none());
}
