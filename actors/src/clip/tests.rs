use bytes::Bytes;
use ipchub_media::Codec;

use super::*;

const DEMO: &[u8] = include_bytes!("../../../demo/clock.flv");

fn open(bytes: &[u8]) -> Result<Reader, ClipError> {
    Reader::open(Medium::Memory(Bytes::copy_from_slice(bytes)), Instant::now() + Duration::from_secs(60))
}

#[test]
fn the_demo_goes_round_without_a_seam() {
    let mut reader = open(DEMO).expect("our own clip");
    let codecs: Vec<_> = reader.tracks().iter().map(|clip| clip.track.codec).collect();
    assert_eq!((codecs, reader.extent.length), (vec![Codec::H264, Codec::Aac], 19_200_000_000));
    let (mut last, mut counts) = ([None; 2], [0_usize; 2]);
    let mut sender = Sender::new(reader.tracks());
    let mut packets = Vec::new();
    // 480 pictures of 40 ms a round, and 899 sounds: one less than would fill it.
    for _ in 0..3 * (480 + 899) {
        let frame = reader.next().expect("it never ends");
        sender.packets(&frame, &mut packets);
        let timestamp = packets.last().expect("a frame has packets").timestamp;
        packets.clear();
        if frame.track == 1
            && let Some(before) = last[1]
        {
            let seam = counts[1].is_multiple_of(899);
            assert_eq!(timestamp - before, if seam { 2048 } else { 1024 }, "sound {}", counts[1]);
        }
        last[frame.track] = Some(timestamp);
        counts[frame.track] += 1;
    }
    assert_eq!(counts, [3 * 480, 3 * 899]);
}

#[test]
fn every_cut_of_the_demo_is_told() {
    let bytes = &DEMO[..40_000];
    for cut in 0..4000 {
        match open(&bytes[..cut]) {
            Err(error) => assert!(!error.to_string().is_empty()),
            // At the end of a tag.
            Ok(reader) => assert!(reader.extent.length > 0),
        }
    }
}
