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
        (Codec::Mp3, "00000000fffb9064", None),
        (Codec::Mp3, "0000", None),
        (Codec::Opus, "", None),
    ] {
        let mut out = Vec::new();
        let mut plain = Depacketizer::new(&track(codec, 8000, "")).expect("supported");
        let _ = plain.push(&packet(7, false, hex(payload)), false, &mut out);
        let seen: Vec<_> = out.iter().map(|unit| (unit.timestamp, units(unit).remove(0))).collect();
        assert_eq!(seen, expected.map(|e| (7, hex(e).to_vec())).into_iter().collect::<Vec<_>>(), "{codec:?}");
    }
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Jpeg, Codec::L16, Codec::G726, Codec::Other] {
        assert!(Depacketizer::new(&track(codec, 8000, "")).is_none(), "{codec:?}");
    }
    let robust = Track { encoding: "mpa-robust".into(), ..track(Codec::Mp3, 90_000, "") };
    assert!(Depacketizer::new(&robust).is_none());
}

/// From ffmpeg: an `AudioMuxElement` with its configuration (8 kHz, mono), one without, and the frame in the latter as the
/// same encoder wrote it behind an ADTS header.
const LATM_FIRST: &str = "200015881fe62ef01002630bb319a9c97199b9718981800013e5293e65337e3f6fe7e26ae489224891224420090909090909 \
    0909090909090909097584bb6f5ebb8322448a594d9b9419122366cd9b965965965965965965965965965965965965965965 \
    9659659659659659659659659659659659659659659659659659659659659659659659659659659659659659659659659659 \
    6596596596596596596596596596596596596596596596596596596596596596596596596596596596596596596596596596 \
    59659780";
const LATM_NEXT: &str = "c300917945d142ab7e3d7fe3fdffc4be2eeee49248b5a7afa9f6fd7d5680c9f0067f7841fe3e027dc038847b903fc7c3607b \
    80ffc183bef083fc361df7843ff0d877de107f83077dc83ff060efa00ffc019fdc07fe0c0424327c00efba41db30cfee03ff \
    003ba007fe0077415018bf8997218bf89e6f1044045e6fe08e2fe2650280015000e00700";
const LATM_FRAME: &str = "0122f28ba28556fc7affc7fbff897c5dddc924916b4f5f53edfafaad0193e00cfef083fc7c04fb807108f7207f8f86c0f701 \
    ff83077de107f86c3bef087fe1b0efbc20ff060efb907fe0c1df401ff8033fb80ffc18084864f801df7483b6619fdc07fe00 \
    77400ffc00ee82a0317f132e4317f13cde208808bcdfc11c5fc4ca050002a001c00e";

fn latm(fmtp: &str) -> Depacketizer {
    let track = Track { encoding: "MP4A-LATM".into(), ..track(Codec::Aac, 8000, fmtp) };
    Depacketizer::new(&track).expect("supported")
}

#[test]
fn latm_with_its_configuration_in_the_stream() {
    let first = hex(LATM_FIRST);
    for cut in 0..first.len() {
        let (mut latm, mut out) = (latm("cpresent=1"), Vec::new());
        // Come upon in the middle: nothing can be made of it, and nothing is wrong.
        latm.push(&packet(0, true, hex(LATM_NEXT)), false, &mut out).expect("it only waits");
        assert!(out.is_empty());
        for (marker, part) in [(false, first.slice(..cut)), (true, first.slice(cut..))] {
            latm.push(&packet(1024, marker, part), false, &mut out).expect("valid");
        }
        latm.push(&packet(2048, true, hex(LATM_NEXT)), false, &mut out).expect("valid");
        assert_eq!(out.iter().map(|unit| unit.timestamp).collect::<Vec<_>>(), [1024, 2048], "cut at {cut}");
        let Some(Parameters::Aac(config)) = &out[0].parameters else { panic!("no configuration") };
        assert_eq!((config.sample_rate, config.channels, config.object_type), (8000, 1, 2));
        assert!(out[1].parameters.is_none());
        assert_eq!(units(&out[1]), [hex(LATM_FRAME).to_vec()]);
    }
}

/// With the configuration in the description elements begin with a frame's length, and several may share a packet.
#[test]
fn latm_with_its_configuration_in_the_description() {
    let fmtp = "profile-level-id=1;cpresent=0;config=40002B103FC0";
    let (mut latm, mut out) = (latm(fmtp), Vec::new());
    let long = [&[0xff, 45][..], &[7; 300]].concat();
    latm.push(&packet(0, true, hex("03 aabbcc 02 ddee")), false, &mut out).expect("valid");
    for (marker, part) in [(false, &long[..100]), (false, &long[100..101]), (true, &long[101..])] {
        latm.push(&packet(2048, marker, Bytes::copy_from_slice(part)), false, &mut out).expect("valid");
    }
    let seen: Vec<_> = out.iter().map(|unit| (unit.timestamp, units(unit).remove(0))).collect();
    assert_eq!(seen, [(0, hex("aabbcc").to_vec()), (1024, hex("ddee").to_vec()), (2048, vec![7; 300])]);
    assert!(out[0].parameters.is_some() && out[1].parameters.is_none());
}

#[test]
fn latm_losses_and_lies() {
    let fmtp = "cpresent=0;config=40002B103FC0";
    let cases: &[(&str, Packets<'_>, (usize, usize, u64))] = &[
        ("lost end", &[(0, false, false, "05 aabb"), (1024, true, true, "01 cc")], (1, 0, 1)),
        ("never ended", &[(0, false, false, "05 aabb"), (1024, true, false, "01 cc")], (1, 1, 1)),
        (
            "ended too early",
            &[(0, false, false, "05 aabb"), (0, true, false, "cc"), (1, true, false, "01 dd")],
            (1, 1, 1),
        ),
        ("lost beginning", &[(0, true, true, "ff ff"), (1024, true, false, "01 cc")], (1, 0, 1)),
        ("nothing", &[(0, true, false, "")], (0, 0, 0)),
    ];
    for (name, packets, expected) in cases {
        let (mut latm, mut out, mut errors) = (latm(fmtp), Vec::new(), 0);
        for (timestamp, marker, lost, payload) in *packets {
            errors += usize::from(latm.push(&packet(*timestamp, *marker, hex(payload)), *lost, &mut out).is_err());
        }
        assert_eq!((out.len(), errors, latm.dropped()), *expected, "{name}");
    }
    // Without end: a bound, then on.
    let (mut latm, mut out) = (latm(fmtp), Vec::new());
    let mut refused = 0;
    for _ in 0..400 {
        refused += usize::from(latm.push(&packet(0, false, vec![0xff; 1000]), false, &mut out).is_err());
    }
    assert!((2..=4).contains(&refused), "{refused}");
}

/// A frame of 417 bytes in one packet and in three; and what cannot be put together.
#[test]
fn mpeg_audio_in_fragments() {
    let frame = [&[0xff, 0xfb, 0x90, 0x64][..], &[5; 413]].concat();
    let part = |from: usize, to: usize| {
        let head = (from as u32).to_be_bytes();
        Bytes::from([&head[..], &frame[from..to]].concat())
    };
    for cut in 4..frame.len() {
        let mut mpeg = Depacketizer::new(&track(Codec::Mp3, 90_000, "")).expect("supported");
        let mut out = Vec::new();
        mpeg.push(&packet(1, true, part(0, 417)), false, &mut out).expect("valid");
        for (from, to) in [(0, cut), (cut, 417)] {
            mpeg.push(&packet(2, false, part(from, to)), false, &mut out).expect("valid");
        }
        assert_eq!(out.iter().map(|unit| units(unit).remove(0)).collect::<Vec<_>>(), [frame.clone(), frame.clone()]);
        // The end of one whose beginning is missing, with a gap that was noticed and one that was not.
        assert!(mpeg.push(&packet(3, false, part(cut, 417)), true, &mut out).is_ok());
        assert!(mpeg.push(&packet(3, false, part(cut, 417)), false, &mut out).is_err());
        assert_eq!(out.len(), 2);
    }
}
