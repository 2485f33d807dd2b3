use super::*;

fn hex(text: &str) -> Bytes {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

/// Real parameter sets and what they say.
struct Case {
    name: &'static str,
    vps: &'static str,
    sps: &'static str,
    size: (u32, u32),
    rate: f64,
    reorder: u8,
    depth: u8,
    codec: &'static str,
}

const PPS_HEX: &str = "4401c172b46240";

const CASES: &[Case] = &[
    Case {
        name: "x265 main, 1920x1080 in 1088, B-frames",
        vps: "40010c01ffff016000000300900000030000030078959809",
        sps: "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
        size: (1920, 1080),
        rate: 25.0,
        reorder: 2,
        depth: 8,
        codec: "hvc1.1.6.L120.90",
    },
    Case {
        name: "x265 main 10",
        vps: "40010c01ffff02200000030090000003000003003f959809",
        sps: "42010102200000030090000003000003003fa005020169365959a4932bc05a020000030002000003003210",
        size: (640, 360),
        rate: 25.0,
        reorder: 2,
        depth: 10,
        codec: "hvc1.2.4.L63.90",
    },
    Case {
        name: "x265 main, 854x480 in 856, no B-frames, 29.97 a second",
        vps: "40010c01ffff01600000030090000003000003005a928090",
        sps: "42010101600000030090000003000003005aa006b201e1d7964a924caf01680800001f480003a98040",
        size: (854, 480),
        rate: 30000.0 / 1001.0,
        reorder: 0,
        depth: 8,
        codec: "hvc1.1.6.L90.90",
    },
];

fn parse(case: &Case) -> Parameters {
    Parameters::new(hex(case.vps), hex(case.sps), hex(PPS_HEX)).expect(case.name)
}

#[test]
fn real_parameter_sets() {
    for case in CASES {
        let p = parse(case);
        assert_eq!((p.width, p.height), case.size, "{}", case.name);
        assert_eq!(p.frame_rate(), Some(case.rate), "{}", case.name);
        assert_eq!(p.reorder, Some(case.reorder), "{}", case.name);
        assert_eq!((p.chroma_format, p.bit_depth), (1, (case.depth, case.depth)), "{}", case.name);
        assert_eq!((p.temporal_layers, p.temporal_nesting), (1, true), "{}", case.name);
        assert_eq!(p.codec_string(), case.codec, "{}", case.name);
    }
}

#[test]
fn hvcc_as_the_standard_says() {
    let case = &CASES[2];
    let expected = [
        &hex("0101600000009000000000005af000fcfdf8f800000f03")[..],
        &[0xa0, 0, 1, 0, 24],
        &hex(case.vps),
        &[0xa1, 0, 1, 0, hex(case.sps).len() as u8],
        &hex(case.sps),
        &[0xa2, 0, 1, 0, 7],
        &hex(PPS_HEX),
    ]
    .concat();
    assert_eq!(parse(case).hvcc(), expected);
}

#[test]
fn fmtp_of_cameras() {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD_NO_PAD.encode(hex(text));
    let (vps, sps, pps) = (base64(CASES[0].vps), base64(CASES[0].sps), base64(PPS_HEX));
    let fmtp = format!("profile-id=1; sprop-sps={sps}; sprop-pps={pps},; sprop-vps={vps}");
    assert_eq!(Parameters::from_fmtp(&fmtp), Some(Ok(parse(&CASES[0]))));
    assert_eq!(Parameters::from_fmtp("profile-id=1;sprop-vps="), None);
    assert_eq!(Parameters::from_fmtp(&format!("sprop-sps={sps}")), Some(Err(Error::Missing("VPS"))));
}

#[test]
fn a_broken_vui_leaves_the_rest() {
    let case = &CASES[0];
    let whole = parse(case);
    let cut = Parameters::new(whole.vps.clone(), whole.sps.slice(..30), whole.pps[0].clone()).expect("enough is there");
    assert_eq!((cut.width, cut.height, cut.reorder, cut.timing), (1920, 1080, Some(2), None));
}

#[test]
fn nothing_panics() {
    for case in CASES {
        let (vps, sps, pps) = (hex(case.vps), hex(case.sps), hex(PPS_HEX));
        for cut in 0..=sps.len() {
            let _ = Parameters::new(vps.clone(), sps.slice(..cut), pps.clone());
        }
        for cut in 0..5 {
            let _ = Parameters::new(vps.slice(..cut), sps.clone(), pps.slice(..cut));
        }
        let mut seed = 1u32;
        for _ in 0..20_000 {
            let mut bytes = sps.to_vec();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = (seed >> 24) as u8;
            }
            if let Ok(p) = Parameters::new(vps.clone(), bytes.into(), pps.clone()) {
                let _ = (p.hvcc(), p.codec_string(), p.frame_rate());
            }
        }
    }
}
