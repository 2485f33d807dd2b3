use super::boxes::Head;
use super::*;
use crate::Codec;
use crate::clip::{Extent, Framing, Measure};

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A table with its version, flags and count.
fn table(kind: &[u8; 4], count: u32, entries: &[u32]) -> Vec<u8> {
    boxed(kind, &[&words(&[0, count]), &words(entries)])
}

/// 640x480, as a camera sends them.
const AVCC: &[u8] =
    b"\x01\x67\x4d\x40\xff\xe1\x00\x18\x67\x4d\x40\x1e\xec\xa0\x50\x17\xfc\xb8\x08\x80\x00\x00\x03\x00\x80\
                      \x00\x00\x19\x07\x8b\x16\xcb\x01\x00\x05\x68\xeb\xe3\xcb\x20";

fn video_entry() -> Vec<u8> {
    boxed(b"avc1", &[&[0; 78], &boxed(b"free", &[b"x"]), &boxed(b"avcC", &[AVCC])])
}

fn audio_entry(object: u8) -> Vec<u8> {
    let specific = [5, 2, 0x11, 0x88]; // 48 kHz, mono
    let mut config = vec![4, 0x80, 0x80, 0x80, 13 + 4, object];
    config.extend([0; 12]);
    config.extend(specific);
    let stream = [&[3, 3 + config.len() as u8, 0, 1, 0][..], &config].concat();
    boxed(b"mp4a", &[&[0; 28], &boxed(b"esds", &[&[0; 4], &stream])])
}

/// Four samples of 10, 20, 30 and 40 bytes in two chunks at 1000 and 2000; 512 ticks of 12800 each; the middle two swapped
/// in showing.
fn video_tables() -> Vec<Vec<u8>> {
    vec![
        table(b"stts", 1, &[4, 512]),
        table(b"ctts", 3, &[1, 512, 1, 1024, 2, 0]),
        table(b"stsc", 2, &[1, 3, 1, 2, 1, 1]),
        boxed(b"stsz", &[&words(&[0, 0, 4, 10, 20, 30, 40])]),
        table(b"stco", 2, &[1000, 2000]),
        table(b"stss", 2, &[1, 4]),
    ]
}

fn audio_tables() -> Vec<Vec<u8>> {
    vec![
        table(b"stts", 1, &[8, 1024]),
        table(b"stsc", 1, &[1, 8, 1]),
        boxed(b"stsz", &[&words(&[0, 7, 8])]),
        table(b"co64", 1, &[1, 0]),
    ]
}

fn trak(handler: &[u8; 4], timescale: u32, edits: &[u32], entry: &[u8], tables: &[Vec<u8>]) -> Vec<u8> {
    let stsd = boxed(b"stsd", &[&words(&[0, 1]), entry]);
    let tables: Vec<u8> = tables.concat();
    let list =
        if edits.is_empty() { Vec::new() } else { boxed(b"edts", &[&table(b"elst", edits.len() as u32 / 3, edits)]) };
    let media = boxed(
        b"mdia",
        &[
            &boxed(b"mdhd", &[&words(&[0, 0, 0, timescale, 0, 0])]),
            &boxed(b"hdlr", &[&words(&[0, 0]), handler, &[0; 13]]),
            &boxed(b"minf", &[&boxed(b"stbl", &[&stsd, &tables])]),
        ],
    );
    boxed(b"trak", &[&list, &media])
}

fn moov(traks: &[Vec<u8>]) -> Vec<u8> {
    [boxed(b"mvhd", &[&words(&[0, 0, 0, 1000, 0])]), traks.concat()].concat()
}

fn whole() -> Vec<u8> {
    moov(&[
        trak(b"vide", 12_800, &[500, u32::MAX, 0x1_0000, 1000, 512, 0x1_0000], &video_entry(), &video_tables()),
        trak(b"text", 1000, &[], &[], &[]),
        trak(b"soun", 48_000, &[1000, 1024, 0x1_0000], &audio_entry(0x40), &audio_tables()),
        trak(b"soun", 48_000, &[], &audio_entry(0x6b), &audio_tables()),
        trak(b"vide", 12_800, &[], &video_entry(), &video_tables()),
    ])
}

fn parse(bytes: &[u8]) -> Result<Movie, Error> {
    Movie::parse(Bytes::copy_from_slice(bytes), 100)
}

/// All samples; at most as many as the tables can have.
fn samples(movie: &Movie) -> Result<Vec<Sample>, Error> {
    let mut position = movie.begin();
    let mut all = Vec::new();
    while let Some(sample) = movie.next(&mut position)? {
        all.push(sample);
        assert!(all.len() < 10_000, "it has an end");
    }
    Ok(all)
}

#[test]
fn an_index_tells_every_sample_in_order() {
    let movie = parse(&whole()).expect("valid");
    let tracks: Vec<_> = movie.tracks().map(|clip| (clip.track.codec, clip.track.payload_type, clip.framing)).collect();
    assert_eq!(tracks, [(Codec::H264, 96, Framing::Lengths(4)), (Codec::Aac, 97, Framing::Raw)]);
    let notes =
        ["track 2 is left out: it is of kind text", "track 4 is left out: its audio is of object type 0x6b, not AAC"];
    assert_eq!(movie.notes[..2], notes);
    assert_eq!(movie.notes[2], "track 5 is left out: it is a second video");
    let all = samples(&movie).expect("valid");
    let video: Vec<_> = all.iter().filter(|sample| sample.track == 0).collect();
    // Half a second of pause, less the first picture's delay of 40 ms.
    let expected = [
        (1000, 10, 460, 500, true),
        (1010, 20, 500, 580, false),
        (1030, 30, 540, 540, false),
        (2000, 40, 580, 580, true),
    ];
    for (sample, (offset, len, dts, pts, key)) in video.iter().zip(expected) {
        let ms = 1_000_000;
        assert_eq!((sample.offset, sample.len, sample.dts, sample.pts), (offset, len, dts * ms, pts * ms));
        assert_eq!((sample.key, sample.duration), (key, 40 * ms));
    }
    assert_eq!(video.len(), 4);
    let audio: Vec<_> = all.iter().filter(|sample| sample.track == 1).collect();
    assert_eq!((audio.len(), audio[0].dts, audio[1].dts, audio[1].offset), (8, -21_333_334, 0, (1 << 32) + 7));
    assert!(all.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
}

#[test]
fn every_cut_is_an_error() {
    let bytes = whole();
    for cut in 0..bytes.len() {
        let result = parse(&bytes[..cut]);
        // At the end of a whole box within moov it is a shorter film, or one without its header.
        if let Ok(movie) = result {
            assert!(movie.tracks().count() <= 2);
            samples(&movie).expect("whole tracks only");
        }
    }
}

#[test]
fn broken_bytes_are_told_and_end() {
    let bytes = whole();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x40] {
            let mut broken = bytes.clone();
            broken[at] = value;
            let Ok(movie) = parse(&broken) else { continue };
            let mut position = movie.begin();
            let mut measure = Measure::default();
            for _ in 0..100 {
                let Ok(Some(sample)) = movie.next(&mut position) else { break };
                measure.add(Kind::Video, &sample);
            }
            let _ = measure.extent();
        }
    }
}

#[test]
fn what_cannot_be_played_is_told() {
    let with = |tables: Vec<Vec<u8>>| moov(&[trak(b"vide", 12_800, &[], &video_entry(), &tables)]);
    let replaced = |index: usize, by: Vec<u8>| {
        let mut tables = video_tables();
        tables[index] = by;
        with(tables)
    };
    let fails = |bytes: &[u8], words: &str| {
        let error = parse(bytes).and_then(|movie| samples(&movie).map(|_| ())).expect_err(words).to_string();
        assert!(error.contains(words), "{error}, not {words}");
    };
    fails(&[moov(&[]), boxed(b"mvex", &[])].concat(), "fragmented");
    fails(&replaced(4, table(b"stco", 1, &[1000])), "sample 3 of track 0 has no place");
    fails(&replaced(0, table(b"stts", 9, &[4, 512])), "stts at byte");
    fails(&replaced(3, boxed(b"stsz", &[&words(&[0, 9, u32::MAX])])), "counts 4294967295 samples");
    fails(&replaced(3, boxed(b"stz2", &[&words(&[0, 9, 4])])), "stz2");
    fails(&replaced(0, table(b"free", 0, &[])), "has no stts");
    fails(&moov(&[trak(b"vide", 0, &[], &video_entry(), &video_tables())]), "timescale");
    fails(&moov(&[trak(b"vide", 1, &[], &boxed(b"avc1", &[&[0; 78]]), &video_tables())]), "has no avcC");
    fails(&boxed(b"mvhd", &[&words(&[0])]), "mvhd at byte 108 is cut off");
    // A box whose 64-bit length goes beyond everything.
    fails(&[&[0, 0, 0, 1][..], b"trak", &[0xff; 8]].concat(), "trak at byte 100 is cut off");
    fails(&[0, 0, 0, 4, b't', b'r', b'a', b'k'], "claims 4 bytes");
}

#[test]
fn heads_of_every_size() {
    let head = |bytes: &[u8], room| Head::parse(bytes, 7, room).map(|head| (head.head, head.len));
    assert_eq!(head(b"\0\0\0\x09free", 9), Ok((8, 9)));
    assert_eq!(head(b"\0\0\0\0mdat", 99), Ok((8, 99)));
    assert_eq!(head(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0", 1 << 33), Ok((16, 1 << 32)));
    for cut in 0..16 {
        assert!(head(&b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0"[..cut], 1 << 33).is_err());
    }
    assert!(head(b"\0\0\0\x09free", 8).is_err());
}

#[test]
fn the_length_of_a_round() {
    let ms = |ms: i64| ms * 1_000_000;
    let sample = |dts: i64, duration: i64| Sample {
        track: 0,
        offset: 0,
        len: 1,
        dts: ms(dts),
        pts: ms(dts),
        duration: ms(duration),
        key: true,
    };
    let round = |video: &[i64], audio: &[i64]| {
        let mut measure = Measure::default();
        video.iter().for_each(|dts| measure.add(Kind::Video, &sample(*dts, 40)));
        audio.iter().for_each(|dts| measure.add(Kind::Audio, &sample(*dts, 20)));
        measure.extent().map(|extent| (extent.length / ms(1), extent.first / ms(1)))
    };
    assert_eq!(round(&[0, 40, 80], &[]), Some((120, 0)));
    assert_eq!(round(&[-80, -40, 0], &[0, 60]), Some((120, -80)));
    assert_eq!(round(&[21, 61], &[0, 60]), Some((80, 0)));
    // A little padding does not count, a longer sound does.
    assert_eq!(round(&[0, 40], &[-20, 0, 300]), Some((80, 0)));
    assert_eq!(round(&[0, 40], &[0, 1000]), Some((1020, 0)));
    assert_eq!(round(&[], &[-20, 0, 20]), Some((40, 0)));
    assert_eq!(round(&[], &[]), None);
    let extent = Extent { length: ms(80), first: 0, sound: 0 };
    let held: Vec<_> = [-20, -9, 0, 60, 69, 71].iter().map(|dts| extent.holds_audio(&sample(*dts, 20))).collect();
    assert_eq!(held, [false, true, true, true, true, false]);
}
