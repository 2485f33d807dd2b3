use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().collect();
    digits.chunks(2).map(|d| u8::from_str_radix(&String::from_utf8_lossy(d), 16).expect("hex")).collect()
}

/// Name, payload, size, codec string, subsampling.
type Header = (&'static str, &'static str, (u32, u32), &'static str, (bool, bool));

/// What encoders wrote, and what ffprobe says of it.
const HEADERS: [Header; 3] = [
    ("libaom", "000000043cfebcdaf90040", (320, 176), "av01.0.00M.08", (true, true)),
    ("SVT, ten bits", "00000042abbfc373efe501", (1920, 1080), "av01.0.08M.10", (true, true)),
    ("libaom, 4:4:4", "2000000337fbe6d7c810", (128, 96), "av01.1.00M.08", (false, false)),
];

#[test]
fn headers_of_encoders() {
    for (name, text, size, codec, subsampling) in HEADERS {
        let payload = hex(text);
        let config = Config::parse(&payload).expect(name);
        assert_eq!((config.width, config.height), size, "{name}");
        assert_eq!((config.codec_string(), config.subsampling), (codec.to_owned(), subsampling), "{name}");
        assert_eq!(config.obu[..2], [0x0a, payload.len() as u8], "{name}");
        assert_eq!(config.obu[2..], payload, "{name}");
    }
}

#[test]
fn every_cut_and_change_is_an_answer() {
    for (name, text, ..) in HEADERS {
        let payload = hex(text);
        // The last byte has what stands behind the colours, and stuffing.
        for cut in 0..payload.len() - 1 {
            let cut = Config::parse(&payload[..cut]);
            assert!(matches!(cut, Err(Error::Truncated { .. })), "{name}: {cut:?}");
        }
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            if let Ok(config) = Config::parse(&changed) {
                assert!(config.width > 0 && config.codec_string().len() >= 13, "{name}");
            }
        }
    }
    assert!(Config::parse(&[0xff; 40]).is_err());
    assert!(Config::parse(&[0; 40]).is_ok_and(|config| (config.width, config.height) == (1, 1)));
}

/// Written by hand: 50 pictures a second, a decoder model, two operating points.
#[test]
fn timing_and_operating_points() {
    let mut bits = String::new();
    let mut put = |value: u64, count: usize| bits += &format!("{value:0count$b}");
    for (value, count) in [(0, 3), (0, 1), (0, 1), (1, 1), (1, 32), (100, 32), (1, 1), (0b010, 3)] {
        put(value, count); // timing: one tick of 1/100 s, two ticks a picture
    }
    put(1, 1); // decoder model: delays of 10 bits
    for (value, count) in [(9, 5), (1, 32), (9, 5), (9, 5), (1, 1), (1, 5)] {
        put(value, count);
    }
    for (level, tier) in [(13, 1), (5, 0)] {
        put(0, 12);
        put(level, 5);
        if level > 7 {
            put(tier, 1);
        }
        put(1, 1);
        put(0, 21);
        put(1, 1);
        put(3, 4);
    }
    for (value, count) in [(9, 4), (9, 4), (639, 10), (359, 10), (0, 1), (0, 3), (0, 4), (0, 1), (1, 1), (1, 1)] {
        put(value, count);
    }
    put(0, 3); // super resolution and filters
    put(0, 1 + 1); // 8 bits, colours
    put(1, 1); // described as HDR is
    for (value, count) in [(9, 8), (16, 8), (9, 8), (0, 1), (2, 2), (0, 2)] {
        put(value, count);
    }
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(&format!("{:0<8}", String::from_utf8_lossy(byte)), 2).expect("bits"))
        .collect();
    let config = Config::parse(&bytes).expect("it is right");
    assert_eq!((config.width, config.height, config.sample_position), (640, 360, 2));
    assert_eq!((config.codec_string().as_str(), config.frame_rate()), ("av01.0.13H.08", Some(50.0)));
}

#[test]
fn lengths() {
    for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX as usize] {
        let mut out = BytesMut::new();
        put_leb128(value, &mut out);
        assert_eq!(leb128(&out), Some((value, out.len())));
        assert_eq!(leb128(&out[..out.len() - 1]), None, "{value} ends early");
    }
    assert_eq!(leb128(&[0x80; 9]), None);
    assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None, "above 32 bits");
}
