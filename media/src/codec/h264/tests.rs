use super::*;

fn hex(text: &str) -> Bytes {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

/// Real parameter sets and what they say.
struct Case {
    name: &'static str,
    sps: &'static str,
    pps: &'static str,
    size: (u32, u32),
    rate: Option<f64>,
    reorder: Option<u8>,
    chroma: (u8, (u8, u8)),
    codec: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "x264 high 4:4:4, 1920x1080 cropped from 1088, B-frames",
        sps: "67f40028919b280f0044fc4e0220000003002000000641e30632c0",
        pps: "68ebe3c44844",
        size: (1920, 1080),
        rate: Some(25.0),
        reorder: Some(2),
        chroma: (3, (8, 8)),
        codec: "avc1.f40028",
    },
    Case {
        name: "x264 high, interlaced 1920x1080, B-frames",
        sps: "67640028acd94078044fde0220000003002000000643e2c5b2c0",
        pps: "68fba3cb22c0",
        size: (1920, 1080),
        rate: Some(25.0),
        reorder: Some(2),
        chroma: (1, (8, 8)),
        codec: "avc1.640028",
    },
    Case {
        name: "x264 main, 640x360 cropped from 368, B-frames",
        sps: "674d401eeca05017fcb808800000030080000019078b16cb",
        pps: "68ebe3cb20",
        size: (640, 360),
        rate: Some(25.0),
        reorder: Some(2),
        chroma: (1, (8, 8)),
        codec: "avc1.4d401e",
    },
    Case {
        name: "x264 constrained baseline, 854x480 cropped from 864, 29.97 a second",
        sps: "6742c01fd900d83de6f01100000303e90000ea600f183248",
        pps: "68cb83cb20",
        size: (854, 480),
        rate: Some(30000.0 / 1001.0),
        reorder: Some(0),
        chroma: (1, (8, 8)),
        codec: "avc1.42c01f",
    },
];

#[test]
fn real_parameter_sets() {
    for case in CASES {
        let p = Parameters::new(hex(case.sps), hex(case.pps)).expect(case.name);
        assert_eq!((p.width, p.height), case.size, "{}", case.name);
        assert_eq!(p.frame_rate(), case.rate, "{}", case.name);
        assert_eq!(p.reorder, case.reorder, "{}", case.name);
        assert_eq!((p.chroma_format, p.bit_depth), case.chroma, "{}", case.name);
        assert_eq!(p.codec_string(), case.codec, "{}", case.name);
    }
}

#[test]
fn avcc_as_the_standard_says() {
    let main = Parameters::new(hex(CASES[2].sps), hex(CASES[2].pps)).expect("valid");
    let expected = [&hex("014d401effe10018")[..], &hex(CASES[2].sps), &[1, 0, 5], &hex(CASES[2].pps)].concat();
    assert_eq!(main.avcc(), expected);
    let mut high = Parameters::new(hex(CASES[1].sps), hex(CASES[1].pps)).expect("valid");
    assert_eq!(high.avcc()[high.avcc().len() - 4..], [0xfd, 0xf8, 0xf8, 0]);
    assert_eq!(high.add_pps(hex("68400102")), Ok(true));
    assert_eq!(high.add_pps(hex("68400102")), Ok(false));
    assert!(high.avcc().windows(6).any(|w| w == [0, 4, 0x68, 0x40, 1, 2]));
}

#[test]
fn tolerances() {
    let (sps, pps) = (CASES[2].sps, CASES[2].pps);
    let good = Parameters::new(hex(sps), hex(pps)).expect("valid");
    // Annex-B prefixes and trailing zeros (cameras that hand on what their encoder gives).
    let annexed = Parameters::new(hex(&format!("00000001{sps}0000")), hex(&format!("000001{pps}00")));
    assert_eq!(annexed, Ok(good.clone()));
    // A level of 1.0 with a picture it does not allow.
    let mut low = hex(sps).to_vec();
    low[3] = 10;
    let low = Parameters::new(low.into(), hex(pps)).expect("the level is not held against the size");
    assert_eq!((low.width, low.codec_string()), (640, "avc1.4d400a".into()));
    // Cut within the VUI: size is still known.
    let cut = Parameters::new(hex(sps).slice(..11), hex(pps)).expect("a broken VUI is no error");
    assert_eq!((cut.width, cut.height, cut.timing, cut.reorder), (640, 360, None, None));
}

#[test]
fn fmtp_of_cameras() {
    use base64::Engine;
    let base64 = |hex_text: &str| base64::engine::general_purpose::STANDARD.encode(hex(hex_text));
    let (sps, pps) = (base64(CASES[0].sps), base64(CASES[0].pps));
    let good = Parameters::new(hex(CASES[0].sps), hex(CASES[0].pps));
    let both = base64(&format!("00000001{}00000001{}", CASES[0].sps, CASES[0].pps));
    let prefixed = base64(&format!("00000001{}", CASES[0].sps));
    for (name, value) in [
        ("RFC 6184", format!("{sps},{pps}")),
        ("no padding", format!("{},{}", sps.trim_end_matches('='), pps.trim_end_matches('='))),
        ("extra commas and blanks", format!(",{sps} , ,{pps},")),
        ("PPS first", format!("{pps},{sps}")),
        ("Annex-B prefix", format!("{prefixed},{pps}")),
        ("both in one", both),
    ] {
        let fmtp = format!("packetization-mode=1;profile-level-id=f40028;sprop-parameter-sets={value}; x=y");
        assert_eq!(Parameters::from_fmtp(&fmtp), Some(good.clone()), "{name}");
    }
    assert_eq!(Parameters::from_fmtp("packetization-mode=1"), None);
    assert_eq!(Parameters::from_fmtp("sprop-parameter-sets=,"), None);
    assert_eq!(Parameters::from_fmtp(&format!("sprop-parameter-sets={sps}")), Some(Err(Error::Missing("PPS"))));
    assert!(matches!(Parameters::from_fmtp("sprop-parameter-sets=?"), Some(Err(Error::Text { .. }))));
}

#[test]
fn nothing_panics() {
    for case in CASES {
        let (sps, pps) = (hex(case.sps), hex(case.pps));
        for cut in 0..=sps.len() {
            let _ = Parameters::new(sps.slice(..cut), pps.clone());
        }
        for cut in 0..3 {
            let _ = Parameters::new(sps.clone(), pps.slice(..cut));
        }
        let mut seed = 1u32;
        for _ in 0..20_000 {
            let mut bytes = sps.to_vec();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = (seed >> 24) as u8;
            }
            if let Ok(p) = Parameters::new(bytes.into(), pps.clone()) {
                let _ = (p.avcc(), p.codec_string(), p.frame_rate());
            }
        }
    }
}

#[test]
fn errors_say_what_and_where() {
    let (sps, pps) = (hex(CASES[0].sps), hex(CASES[0].pps));
    assert_eq!(Parameters::new(Bytes::new(), pps.clone()), Err(Error::Missing("SPS")));
    assert_eq!(Parameters::new(pps.clone(), pps), Err(Error::WrongType { expected: "SPS", found: 8 }));
    assert_eq!(Parameters::new(sps.clone(), sps.clone()), Err(Error::WrongType { expected: "PPS", found: 7 }));
    assert_eq!(Parameters::new(sps.slice(..5), sps), Err(Error::Truncated { what: "SPS", bit: 32 }));
}
