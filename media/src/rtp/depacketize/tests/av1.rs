use super::*;
use crate::codec::av1::{self, HAS_SIZE};
use bytes::BytesMut;

/// Of libaom, 320x176.
const SEQUENCE: &str = "08 000000043cfebcdaf90040";
/// The same with another size in it.
const OTHER: &str = "08 000000043cfe3cdaf90040";
/// A frame that is a key frame and shown, and one that needs others.
const KEY: u8 = 0x10;
const INTER: u8 = 0x30;

/// An OBU without a size.
fn frame(kind: u8, len: usize) -> Bytes {
    [av1::FRAME << 3, kind].into_iter().chain((2..len).map(|n| n as u8)).collect()
}

fn metadata() -> Bytes {
    // With an extension: a temporal layer.
    Bytes::from_static(&[5 << 3 | 4, 0x20, 1, 2, 3])
}

/// Packets of a temporal unit with at most `mtu` bytes of OBUs each: as many elements as fit, and parts of those that do not.
fn packets(obus: &[Bytes], mtu: usize, timestamp: u32) -> Vec<Packet> {
    let mut out: Vec<(u8, Vec<u8>, usize)> = vec![(0, Vec::new(), 0)];
    for obu in obus {
        let mut rest = obu.clone();
        while !rest.is_empty() {
            let room = mtu - out.last().map_or(0, |packet| packet.2);
            if room == 0 {
                out.push((0, Vec::new(), 0));
                continue;
            }
            let piece = rest.split_to(room.min(rest.len()));
            let last = out.last_mut().expect("there is one");
            let mut element = BytesMut::new();
            av1::put_leb128(piece.len(), &mut element);
            element.extend_from_slice(&piece);
            last.1.extend(element);
            last.2 += piece.len();
            if !rest.is_empty() {
                last.0 |= 0x40;
                out.push((0x80, Vec::new(), 0));
            }
        }
    }
    let count = out.len();
    let packet = |(n, (head, body, _)): (usize, (u8, Vec<u8>, usize))| {
        packet(timestamp, n + 1 == count, [vec![head], body].concat())
    };
    out.into_iter().enumerate().map(packet).collect()
}

/// As MP4 has it.
fn sized(obus: &[Bytes]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for obu in obus {
        let header = av1::header_len(obu[0]);
        out.extend_from_slice(&[obu[0] | HAS_SIZE]);
        out.extend_from_slice(&obu[1..header]);
        av1::put_leb128(obu.len() - header, &mut out);
        out.extend_from_slice(&obu[header..]);
    }
    out.to_vec()
}

fn push(depacketizer: &mut Depacketizer, packets: &[Packet], out: &mut Vec<AccessUnit>) {
    for packet in packets {
        depacketizer.push(packet, false, out).expect("it is right");
    }
}

#[test]
fn units_are_whole_however_they_are_cut() {
    let key = [hex(SEQUENCE), metadata(), frame(KEY, 300)];
    let inter = [frame(INTER, 200), frame(INTER, 3)];
    for mtu in 1..320 {
        let mut depacketizer = depacketizer(Codec::Av1);
        let mut out = Vec::new();
        push(&mut depacketizer, &packets(&key, mtu, 0), &mut out);
        push(&mut depacketizer, &packets(&inter, mtu, 3600), &mut out);
        assert_eq!(out.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, false], "{mtu}");
        assert_eq!(units(&out[0]), [sized(&key)], "{mtu}");
        assert_eq!(units(&out[1]), [sized(&inter)], "{mtu}");
        let Some(Parameters::Av1(config)) = &out[0].parameters else { panic!("its parameters") };
        assert_eq!((config.width, config.height), (320, 176));
        assert_eq!((out[1].parameters.is_none(), depacketizer.dropped()), (true, 0));
    }
}

#[test]
fn elements_without_a_length_and_obus_with_one() {
    let mut depacketizer = depacketizer(Codec::Av1);
    let mut out = Vec::new();
    // A delimiter, a sequence header with its size, and a frame that is last of three and has no length before it.
    let sequence = sized(&[hex(SEQUENCE)]);
    let frame = frame(KEY, 20);
    let payload = [&[0x38, 2, 0x12, 0, sequence.len() as u8], &sequence[..], &frame].concat();
    push(&mut depacketizer, &[packet(7, true, payload)], &mut out);
    assert_eq!(units(&out[0]), [sized(&[hex(SEQUENCE), frame])]);
    assert!(out[0].key);
}

#[test]
fn a_unit_without_a_marker_ends_with_the_next() {
    let mut depacketizer = depacketizer(Codec::Av1);
    let mut out = Vec::new();
    for n in 0..3 {
        let mut packets = packets(&[hex(SEQUENCE), frame(KEY, 90)], 40, n);
        packets.iter_mut().for_each(|packet| packet.marker = false);
        push(&mut depacketizer, &packets, &mut out);
    }
    assert_eq!(out.iter().map(|unit| unit.timestamp).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn behind_a_loss_nothing_leaves_before_a_key_frame() {
    let key = [hex(SEQUENCE), frame(KEY, 90)];
    let all: Vec<Vec<Packet>> =
        (0..6).map(|n| if n % 3 == 0 { packets(&key, 40, n) } else { packets(&[frame(INTER, 90)], 40, n) }).collect();
    for (unit, lost) in (1..3).flat_map(|unit| (0..all[unit].len()).map(move |lost| (unit, lost))) {
        let mut depacketizer = depacketizer(Codec::Av1);
        let (mut out, mut gap) = (Vec::new(), false);
        for (n, packets) in all.iter().enumerate() {
            for (i, packet) in packets.iter().enumerate() {
                if (n, i) == (unit, lost) {
                    gap = true;
                    continue;
                }
                depacketizer.push(packet, std::mem::take(&mut gap), &mut out).expect("a gap is no error");
            }
        }
        let seen: Vec<_> = out.iter().map(|unit| unit.timestamp).collect();
        let expected: Vec<u32> = (0..unit as u32).chain(3..6).collect();
        assert_eq!(seen, expected, "packet {lost} of unit {unit} is lost");
    }
}

#[test]
fn changed_parameters_come_with_their_key_frame() {
    let mut depacketizer = depacketizer(Codec::Av1);
    let mut out = Vec::new();
    for (n, sequence) in [SEQUENCE, SEQUENCE, OTHER].into_iter().enumerate() {
        push(&mut depacketizer, &packets(&[hex(sequence), frame(KEY, 9)], 100, n as u32), &mut out);
        push(&mut depacketizer, &packets(&[frame(INTER, 9)], 100, 10 + n as u32), &mut out);
    }
    let reports: Vec<_> = out.iter().map(|unit| unit.parameters.is_some()).collect();
    assert_eq!(reports, [true, false, false, false, true, false]);
    assert_eq!(depacketizer.parameters(), out[4].parameters);
}

#[test]
fn what_is_wrong_is_said() {
    let mut depacketizer = depacketizer(Codec::Av1).with_max_access_unit(1000);
    let mut out = Vec::new();
    let mut push = |time, payload: &[u8]| depacketizer.push(&packet(time, true, payload.to_vec()), false, &mut out);
    assert_eq!(push(1, &[0, 9, 1]), Err(Error::Truncated { what: "OBU element", at: 2 }));
    assert_eq!(push(2, &[0, 0xff]), Err(Error::Invalid { what: "length of an OBU element", at: 1 }));
    assert_eq!(push(3, &[0x90, 0x30, 0x10]), Err(Error::NoStart { kind: 0, at: 1 }));
    assert!(matches!(push(4, &[0x10, 0x0a, 5, 1]), Err(Error::Truncated { what: "OBU", .. })));
    let large = [&[0x10][..], &frame(KEY, 1200)].concat();
    assert_eq!(push(6, &large), Err(Error::TooLarge { limit: 1000, of: "bytes" }));
    assert_eq!(push(7, &[]), Ok(()));
    assert!(out.is_empty());
    // Whoever relays it needs no sequence header that can be read.
    let unreadable = packet(1, true, [&[0x20, 3, 8, 0, 0][..], &frame(KEY, 9)].concat());
    let mut depacketizer = super::depacketizer(Codec::Av1);
    assert!(matches!(depacketizer.push(&unreadable, false, &mut out), Err(Error::Parameters { .. })));
    assert_eq!(out.iter().map(|unit| (unit.key, unit.parameters.is_some())).collect::<Vec<_>>(), [(true, false)]);
    // It goes on in the next packet, which has something new.
    let mut depacketizer = super::depacketizer(Codec::Av1);
    let open = Packet { marker: false, ..packet(1, false, vec![0x50, 0x30, 0x10]) };
    assert_eq!(depacketizer.push(&open, false, &mut out), Ok(()));
    let begins_anew = packet(1, true, vec![0x10, 0x30, 0x10]);
    assert_eq!(depacketizer.push(&begins_anew, false, &mut out), Err(Error::NoEnd { kind: 0, at: 1 }));
}

#[test]
fn cuts_and_random_changes() {
    let mut state = 7u32;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % limit.max(1)
    };
    let all = packets(&[hex(SEQUENCE), metadata(), frame(KEY, 300), frame(INTER, 40)], 60, 0);
    let mut depacketizer = depacketizer(Codec::Av1).with_max_access_unit(4096);
    let mut out = Vec::new();
    for _ in 0..50_000 {
        let mut packet = all[below(all.len())].clone();
        let mut payload = packet.payload.to_vec();
        for _ in 0..below(4) {
            let at = below(payload.len());
            payload[at] = below(256) as u8;
        }
        payload.truncate(if below(8) == 0 { below(payload.len()) } else { payload.len() });
        packet.payload = payload.into();
        packet.timestamp = below(4) as u32;
        packet.marker = below(4) == 0;
        let _ = depacketizer.push(&packet, below(10) == 0, &mut out);
        for unit in out.drain(..) {
            // Each OBU's own header and size come on top.
            assert!(!unit.units.is_empty() && unit.units.len() <= 65_536, "{}", unit.units.len());
            assert_eq!(unit.units.iter().map(|u| u.to_bytes().len()).sum::<usize>(), unit.units.len());
        }
    }
}
