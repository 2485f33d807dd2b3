use super::*;

#[test]
fn configurations() {
    // name, hexadecimal, (object type, rate, output rate, channels, frame length)
    for (name, text, expected) in [
        ("AAC-LC 44.1 kHz stereo (ffmpeg)", "1210", (2, 44100, 44100, 2, 1024)),
        ("AAC-LC 16 kHz mono (Hikvision)", "1408", (2, 16000, 16000, 1, 1024)),
        ("AAC-LC 8 kHz mono (Dahua)", "1588", (2, 8000, 8000, 1, 1024)),
        ("AAC-LC 48 kHz 7.1", "11b8", (2, 48000, 48000, 8, 1024)),
        ("AAC-LC 48 kHz 960", "1194", (2, 48000, 48000, 2, 960)),
        ("HE-AAC, explicit", "2b118800", (5, 24000, 48000, 2, 1024)),
        ("HE-AAC v2, explicit, mono core", "eb098800", (29, 24000, 48000, 2, 1024)),
        ("HE-AAC behind a core that old decoders know", "131056e598", (2, 24000, 48000, 2, 1024)),
        ("HE-AAC v2 behind a mono core", "130856e59d4880", (2, 24000, 48000, 2, 1024)),
        ("a core whose extension says no SBR", "131056e500", (2, 24000, 24000, 2, 1024)),
        ("escaped rate 44056", "1780560c10", (2, 44056, 44056, 2, 1024)),
    ] {
        let config = Config::from_fmtp(&format!("mode=AAC-hbr; Config={text}")).expect("there is one").expect(name);
        let is =
            (config.object_type, config.sample_rate, config.output_sample_rate, config.channels, config.frame_length);
        assert_eq!(is, expected, "{name}");
        let full = match (name.contains("v2"), config.output_sample_rate > config.sample_rate) {
            (true, _) => 29,
            (false, true) => 5,
            (false, false) => 2,
        };
        assert_eq!(config.codec_string(), format!("mp4a.40.{full}"), "{name}");
    }
}

#[test]
fn program_config_element() {
    // ffmpeg, AAC-LC 48 kHz with channel configuration 0: one front pair, one front single, one LFE
    let mut bits = String::from("00010"); // AAC-LC
    bits += "0011"; // 48 kHz
    bits += "0000"; // program config element
    bits += "000"; // GASpecificConfig
    bits += "0000 01 0011 0010 0000 0000 01 000 0000 000"; // counts and no mixdowns
    bits += "0 0000 1 0000 0000"; // single, pair, LFE
    let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
    let raw: Bytes = bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |v, (i, b)| v | b << (7 - i))).collect();
    assert_eq!(Config::parse(raw).map(|c| c.channels), Ok(4));
}

#[test]
fn invalid_ones_are_refused() {
    assert_eq!(Config::from_fmtp("mode=AAC-hbr"), None);
    assert_eq!(Config::from_fmtp("config="), None);
    assert!(matches!(Config::from_fmtp("config=121"), Some(Err(Error::Text { .. }))));
    assert!(matches!(Config::from_fmtp("config=12x0"), Some(Err(Error::Text { .. }))));
    assert!(matches!(Config::parse(Bytes::from_static(&[0x12])), Err(Error::Truncated { .. })));
    assert!(matches!(Config::parse(Bytes::from_static(&[0x16, 0x90])), Err(Error::Invalid { .. })), "reserved rate");
    assert!(
        matches!(Config::parse(Bytes::from_static(&[0x12, 0x40, 0])), Err(Error::Invalid { .. })),
        "reserved channels"
    );
}

#[test]
fn adts_of_ffmpeg() {
    let header = Adts::parse(&[0xff, 0xf1, 0x50, 0x40, 0x21, 0x3f, 0xfc, 0xde]).expect("a header");
    assert_eq!((header.header_len, header.frame_len), (7, 265));
    let config = Config::from_adts(&header).expect("valid");
    assert_eq!((config.object_type, config.sample_rate, config.channels), (2, 44100, 1));
    assert_eq!(&config.raw[..], [0x12, 0x08]);
    assert_eq!(Adts::parse(&[0xff, 0xf1, 0x50, 0x40, 0, 0, 0]), None);
}

#[test]
fn nothing_panics() {
    let mut seed = 1u32;
    for _ in 0..50_000 {
        let bytes: Vec<u8> = (0..seed as usize % 24)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        seed = seed.wrapping_add(0x9e37_79b9);
        if let Some(header) = Adts::parse(&bytes) {
            let _ = Config::from_adts(&header);
        }
        let _ = Config::parse(bytes.into());
    }
}
