use super::*;

const HBR: &str = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408";

fn run(fmtp: &str, clock: u32, packets: &[(u32, bool, bool, &str)]) -> (Vec<(u32, Vec<u8>)>, usize, u64) {
    let mut aac = Depacketizer::new(&track(Codec::Aac, clock, fmtp)).expect("supported");
    let (mut out, mut errors) = (Vec::new(), 0);
    for (timestamp, marker, lost, payload) in packets {
        errors += usize::from(aac.push(&packet(*timestamp, *marker, hex(payload)), *lost, &mut out).is_err());
    }
    assert!(out.iter().all(|unit| unit.key && unit.units.count() == 1));
    (out.iter().map(|unit| (unit.timestamp, units(unit).remove(0))).collect(), errors, aac.dropped())
}

/// Timestamp, marker, lost, payload.
type Packets<'a> = &'a [(u32, bool, bool, &'a str)];

/// Name, fmtp, clock rate, packets and the frames in them.
type Layout<'a> = (&'a str, &'a str, u32, Packets<'a>, &'a [(u32, &'a str)]);

#[test]
fn aac_layouts() {
    let frames = |of: &[(u32, &str)]| of.iter().map(|(t, text)| (*t, hex(text).to_vec())).collect::<Vec<_>>();
    let cases: &[Layout<'_>] = &[
        ("one frame", HBR, 16000, &[(9, true, false, "0010 0018 aabbcc")], &[(9, "aabbcc")]),
        ("two frames", HBR, 16000, &[(9, true, false, "0020 0010 0008 aabb cc")], &[(9, "aabb"), (1033, "cc")]),
        ("960 samples", "config=140c", 16000, &[(0, true, false, "0020 0008 0008 aa bb")], &[(0, "aa"), (960, "bb")]),
        (
            "AAC-lbr",
            "mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2;config=1588",
            8000,
            &[(0, true, false, "0010 08 04 aabb cc")],
            &[(0, "aabb"), (1024, "cc")],
        ),
        (
            "HE-AAC: the clock runs at the output rate",
            "config=2b118800",
            48000,
            &[(0, true, false, "0020 0008 0008 aa bb")],
            &[(0, "aa"), (2048, "bb")],
        ),
        (
            "fragments",
            HBR,
            16000,
            &[
                (5, false, false, "0010 0028 aabb"),
                (5, true, false, "0010 0028 ccddee"),
                (6, true, false, "0010 0008 ff"),
            ],
            &[(5, "aabbccddee"), (6, "ff")],
        ),
        ("ADTS within", HBR, 16000, &[(0, true, false, "0010 0048 fff1 6040 013f fc aabb")], &[(0, "aabb")]),
        (
            "ADTS alone, two frames",
            "",
            16000,
            &[(0, true, false, "fff1 6040 013f fc aabb fff1 6040 011f fc cc")],
            &[(0, "aabb"), (1024, "cc")],
        ),
        (
            // 8 bits of size, 4 of index, flag and 8 bits of CTS, random access: 22 bits; then 8 bits of auxiliary data
            "time stamps and auxiliary data",
            "sizelength=8;indexlength=4;ctsdeltalength=8;randomaccessindication=1;auxiliarydatasizelength=8;config=1408",
            16000,
            &[(0, true, false, "0016 020c04 08ff aabb")],
            &[(0, "aabb")],
        ),
    ];
    for (name, fmtp, clock, packets, expected) in cases {
        let (out, errors, dropped) = run(fmtp, *clock, packets);
        assert_eq!((out, errors, dropped), (frames(expected), 0, 0), "{name}");
    }
}

#[test]
fn aac_losses_and_lies() {
    let cases: &[(&str, Packets<'_>, usize, usize, u64)] = &[
        (
            "lost middle",
            &[(5, false, false, "0010 0028 aa"), (5, true, true, "0010 0028 ee"), (6, true, false, "0010 0008 ff")],
            1,
            0,
            2,
        ),
        ("never ended", &[(5, false, false, "0010 0028 aa"), (6, true, false, "0010 0008 ff")], 1, 1, 1),
        ("ended too early", &[(5, false, false, "0010 0028 aa"), (5, true, false, "0010 0028 bb")], 0, 1, 1),
        ("headers beyond the payload", &[(5, true, false, "0040 0008 aa")], 0, 1, 0),
        ("no headers", &[(5, true, false, "0000 0008 aa")], 0, 1, 0),
        ("second frame cut", &[(5, true, false, "0020 0008 0010 aa bb")], 1, 1, 0),
        ("ADTS cut", &[(5, true, false, "fff1 6040 013f fc aa")], 0, 1, 1),
        ("empty", &[(5, true, false, "")], 0, 0, 0),
        ("one byte", &[(5, true, false, "00")], 0, 1, 0),
    ];
    for (name, packets, count, errors, dropped) in cases {
        let (out, seen, lost) = run(HBR, 16000, packets);
        assert_eq!((out.len(), seen, lost), (*count, *errors, *dropped), "{name}");
    }
}

#[test]
fn aac_configuration_from_adts() {
    let mut aac = Depacketizer::new(&track(Codec::Aac, 44100, "")).expect("supported");
    let mut out = Vec::new();
    for _ in 0..2 {
        aac.push(&packet(0, true, hex("fff1 5040 011f fc cc")), false, &mut out).expect("valid");
    }
    let Some(Parameters::Aac(config)) = &out[0].parameters else { panic!("no configuration") };
    assert_eq!((config.sample_rate, config.channels), (44100, 1));
    assert!(out[1].parameters.is_none());
}

#[test]
fn plain_audio_and_what_is_only_relayed() {
    for (codec, payload, expected) in [
        (Codec::Pcma, "d5d5", Some("d5d5")),
        (Codec::Pcmu, "ff", Some("ff")),
        (Codec::G722, "01", Some("01")),
        (Codec::Opus, "fc01", Some("fc01")),
        (Codec::Mp3, "00000000fffb90", Some("fffb90")),
        (Codec::Mp3, "00000010fffb90", None),
        (Codec::Mp3, "0000", None),
        (Codec::Opus, "", None),
    ] {
        let mut out = Vec::new();
        let mut plain = Depacketizer::new(&track(codec, 8000, "")).expect("supported");
        let _ = plain.push(&packet(7, false, hex(payload)), false, &mut out);
        let seen: Vec<_> = out.iter().map(|unit| (unit.timestamp, units(unit).remove(0))).collect();
        assert_eq!(seen, expected.map(|e| (7, hex(e).to_vec())).into_iter().collect::<Vec<_>>(), "{codec:?}");
    }
    for codec in [Codec::Av1, Codec::Vp8, Codec::Jpeg, Codec::AacLatm, Codec::L16, Codec::G726, Codec::Other] {
        assert!(Depacketizer::new(&track(codec, 8000, "")).is_none(), "{codec:?}");
    }
    let robust = Track { encoding: "mpa-robust".into(), ..track(Codec::Mp3, 90_000, "") };
    assert!(Depacketizer::new(&robust).is_none());
}
