use super::*;

mod cases;
mod fields;

use cases::{H264, H265};

const SPS: &str = "674d401eeca05017fcb808800000030080000019078b16cb";
const PPS: &str = "68ebe3cb20";
const OTHER_SPS: &str = "6742c01fd900d83de6f01100000303e90000ea600f183248";

/// One packet of a case: `ts`, `ts m` (marker) or `ts l` (packets before it lost), colon, payload.
struct Step(&'static str, &'static str);

struct Case {
    name: &'static str,
    packets: &'static [Step],
    /// Timestamp, `k` for a key frame, `p` with parameters, units.
    out: &'static [(&'static str, &'static [&'static str])],
    errors: usize,
    dropped: u64,
}

fn run(codec: Codec, fmtp: &str, cases: &[Case]) {
    for case in cases {
        let mut depacketizer = Depacketizer::new(&track(codec, 90_000, fmtp)).expect("supported");
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        for Step(how, payload) in case.packets {
            let mut words = how.split(' ');
            let timestamp = words.next().and_then(|w| w.parse().ok()).expect("timestamp");
            let flags = words.next().unwrap_or("");
            let payload = payload.replace("SPS", SPS).replace("PPS", PPS);
            let packet = packet(timestamp, flags.contains('m'), hex(&payload));
            errors.extend(depacketizer.push(&packet, flags.contains('l'), &mut out).err());
        }
        let seen: Vec<_> = out
            .iter()
            .map(|unit| {
                let key = if unit.key { " k" } else { "" };
                let parameters = if unit.parameters.is_some() { " p" } else { "" };
                (format!("{}{key}{parameters}", unit.timestamp), units(unit))
            })
            .collect();
        let expected: Vec<_> = case
            .out
            .iter()
            .map(|(how, units)| (how.to_string(), units.iter().map(|u| hex(u).to_vec()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(seen, expected, "{}", case.name);
        assert_eq!(errors.len(), case.errors, "{}: {errors:?}", case.name);
        assert_eq!(depacketizer.dropped(), case.dropped, "{}", case.name);
    }
}

#[test]
fn h264_streams() {
    run(Codec::H264, "packetization-mode=1", H264);
}

#[test]
fn h265_streams() {
    let sets = |text: &str| {
        text.replace("VPS", "40010c01ffff01600000030090000003000003005a928090")
            .replace("HSPS", "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84")
            .replace("HPPS", "4401c172b46240")
    };
    let cases: Vec<Case> = H265
        .iter()
        .map(|case| Case {
            packets: case
                .packets
                .iter()
                .map(|Step(how, payload)| Step(how, sets(payload).leak()))
                .collect::<Vec<_>>()
                .leak(),
            ..*case
        })
        .collect();
    run(Codec::H265, "", &cases);
}

#[test]
fn h265_with_decoding_order_numbers() {
    let case = Case {
        name: "sprop-max-don-diff",
        packets: &[
            Step("1", "6001 0001 0004 2601a8aa 00 0004 260128bb"),
            Step("1", "620193 0002 28cc"),
            Step("1", "620153 dd"),
            Step("1 m", "2601 0003 28ee"),
        ],
        out: &[("1 k", &["2601a8aa", "260128bb", "260128ccdd", "260128ee"])],
        errors: 0,
        dropped: 0,
    };
    run(Codec::H265, "sprop-max-don-diff=1", &[case]);
}

#[test]
fn parameters_are_reported_when_they_change() {
    let mut out = Vec::new();
    let mut h264 = depacketizer(Codec::H264);
    let mut push = |h264: &mut Depacketizer, timestamp, payload: &str| {
        out.clear();
        h264.push(&packet(timestamp, true, hex(payload)), false, &mut out).expect("valid");
        out.pop().and_then(|unit| unit.parameters)
    };
    let width = |p: Option<Parameters>| p.map(|p| if let Parameters::H264(p) = p { p.width } else { 0 });
    push(&mut h264, 1, SPS);
    assert_eq!(h264.parameters(), None);
    push(&mut h264, 1, PPS);
    assert!(h264.parameters().is_some());
    assert_eq!(width(push(&mut h264, 1, "6588aa")), Some(640));
    push(&mut h264, 2, SPS);
    assert_eq!(width(push(&mut h264, 2, "6588aa")), None);
    push(&mut h264, 3, OTHER_SPS);
    assert_eq!(width(push(&mut h264, 3, "419aaa")), None, "waits for the key frame");
    assert_eq!(width(push(&mut h264, 4, "6588aa")), Some(854));

    // What the track knew already is no news; what only its fmtp says is.
    let mut known = track(Codec::H264, 90_000, "");
    known.parameters = h264.parameters();
    let mut h264 = Depacketizer::new(&known).expect("supported");
    assert_eq!(push(&mut h264, 1, "6588aa"), None);
    known.parameters = None;
    known.fmtp = "sprop-parameter-sets=Z01AHuygUBf8uAiAAAADAIAAABkHixbL,aOvjyyA=".into();
    let mut h264 = Depacketizer::new(&known).expect("supported");
    assert_eq!(width(push(&mut h264, 1, "6588aa")), Some(640));
}

#[test]
fn limits_drop_one_access_unit_and_say_so_once() {
    let mut h264 = depacketizer(Codec::H264).with_max_access_unit(1000);
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    h264.push(&packet(1, false, hex("7c8588aa")), false, &mut out).expect("valid");
    for _ in 0..5 {
        errors.extend(h264.push(&packet(1, false, [&[0x7c, 5][..], &[1; 400]].concat()), false, &mut out).err());
    }
    h264.push(&packet(1, true, hex("7c45bb")), false, &mut out).expect("said before");
    h264.push(&packet(2, true, hex("6588aa")), false, &mut out).expect("valid");
    assert_eq!(errors, [Error::TooLarge { limit: 1000, of: "bytes" }]);
    assert_eq!((out.len(), out[0].timestamp, h264.dropped()), (1, 2, 1));

    let mut h264 = depacketizer(Codec::H264);
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..=MAX_UNITS {
        errors.extend(h264.push(&packet(1, false, hex("6588aa")), false, &mut out).err());
    }
    assert_eq!(errors, [Error::TooLarge { limit: MAX_UNITS, of: "NAL units" }]);
    errors.clear();
    h264.push(&packet(2, false, hex("7c8588aa")), false, &mut out).expect("valid");
    for _ in 0..MAX_PIECES {
        errors.extend(h264.push(&packet(2, false, hex("7c05bb")), false, &mut out).err());
    }
    assert_eq!(errors, [Error::TooLarge { limit: MAX_PIECES, of: "pieces" }]);
    assert!(out.is_empty());
}
