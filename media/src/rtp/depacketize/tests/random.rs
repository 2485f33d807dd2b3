//! Packets cut at every byte and changed at random: nothing may panic, and what is kept stays bounded.

use super::*;
use crate::rtp::packetize::Packetizer;

struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit.max(1)
    }
}

/// A few access units of each codec as packets of 60 bytes.
fn stream(codec: Codec) -> Vec<Packet> {
    let heads: &[&str] = match codec {
        Codec::H264 => {
            &["674d401eeca05017fcb808800000030080000019078b16cb", "68ebe3cb20", "060601c080", "6588", "6548", "419a"]
        }
        Codec::H265 => &[
            "40010c01ffff01600000030090000003000003005a928090",
            "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
            "4401c172b46240",
            "2601a8",
            "0201d0",
            "50018480",
        ],
        _ => &["21aabb", "21"],
    };
    let mut packets = Vec::new();
    let mut packetizer = Packetizer::new(codec, 96, 1, 60).expect("supported");
    for i in 0..20u32 {
        let mut units = Units::new();
        for (j, head) in heads.iter().enumerate() {
            units.begin(&[]);
            units.extend(hex(head));
            if j > 2 || heads.len() < 3 {
                units.extend(vec![i as u8; (i as usize * 37) % 300].into());
            }
        }
        packetizer.packetize(&units, i * 3600, &mut packets);
    }
    packets
}

const CODECS: [(Codec, &str); 5] = [
    (Codec::H264, ""),
    (Codec::H265, ""),
    (Codec::H265, "sprop-max-don-diff=2"),
    (Codec::Aac, "config=1210"),
    (
        Codec::Aac,
        "sizelength=3;indexlength=1;indexdeltalength=0;ctsdeltalength=4;dtsdeltalength=32;auxiliarydatasizelength=9",
    ),
];

#[test]
fn every_cut() {
    for (codec, fmtp) in CODECS {
        let mut out = Vec::new();
        let mut depacketizer = Depacketizer::new(&track(codec, 90_000, fmtp)).expect("supported");
        for whole in stream(codec) {
            for cut in 0..=whole.payload.len() {
                let packet = Packet { payload: whole.payload.slice(..cut), ..whole.clone() };
                let _ = depacketizer.push(&packet, false, &mut out);
            }
            out.clear();
        }
    }
}

#[test]
fn random_changes() {
    for (codec, fmtp) in CODECS {
        let packets = stream(codec);
        let mut random = Random(7);
        let mut out = Vec::new();
        let track = track(codec, 90_000, fmtp);
        let mut depacketizer = Depacketizer::new(&track).expect("supported").with_max_access_unit(4096);
        for _ in 0..100_000 {
            let mut packet = packets[random.below(packets.len())].clone();
            let mut payload = packet.payload.to_vec();
            for _ in 0..random.below(5) {
                let near = 1 + random.below(40);
                let at = random.below(payload.len().min(near));
                payload[at] = random.below(256) as u8;
            }
            payload.truncate(if random.below(8) == 0 { random.below(payload.len()) } else { payload.len() });
            packet.payload = payload.into();
            packet.timestamp = 3600 * random.below(4) as u32;
            packet.marker = random.below(4) == 0;
            let _ = depacketizer.push(&packet, random.below(10) == 0, &mut out);
            for unit in out.drain(..) {
                assert!(!unit.units.is_empty() && unit.units.len() <= 65_536);
                let _ = unit.units.iter().map(|u| u.to_bytes().len()).sum::<usize>();
            }
        }
    }
}
