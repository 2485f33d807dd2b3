use bytes::BytesMut;
use mp4_atom::{Codec as Entry, Decode, DecodeMaybe, Ftyp, Mdat, Moof, Moov};

use super::*;
use crate::codec::{aac, h264};
use crate::frame::Units;

fn h264() -> h264::Parameters {
    let fmtp = "sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==";
    h264::Parameters::from_fmtp(fmtp).expect("it has some").expect("they are right")
}

fn track(kind: Kind, codec: Codec, clock_rate: u32, parameters: Option<Parameters>) -> Track {
    let (encoding, fmtp, control) = Default::default();
    Track { kind, codec, encoding, payload_type: 96, clock_rate, channels: 2, fmtp, control, parameters }
}

fn tracks() -> Vec<Track> {
    let aac = aac::Config::parse(Bytes::from_static(&[0x11, 0x90])).expect("AAC-LC, 48 kHz, stereo");
    vec![
        track(Kind::Audio, Codec::Aac, 48_000, Some(Parameters::Aac(aac))),
        track(Kind::Video, Codec::H264, 90_000, Some(Parameters::H264(h264()))),
    ]
}

fn frame(track: usize, dts: i64, key: bool, units: &[&'static [u8]]) -> Frame {
    let mut all = Units::new();
    units.iter().for_each(|unit| all.push(Bytes::from_static(unit)));
    Frame { track, pts: dts + 3600, dts, key, units: all }
}

#[test]
fn the_init_section_is_read_back() {
    let muxer = Muxer::new(&tracks()).expect("two tracks");
    assert!(muxer.leads(1) && muxer.carries(0) && !muxer.carries(2));
    assert_eq!(muxer.codecs(), format!("{},mp4a.40.2", h264().codec_string()));
    let bytes = muxer.init().expect("it fits");
    let mut rest = &bytes[..];
    Ftyp::decode(&mut rest).expect("ftyp");
    let moov = Moov::decode(&mut rest).expect("moov");
    assert!(rest.is_empty());
    let of = |n: usize| (&moov.trak[n].mdia.mdhd, &moov.trak[n].mdia.minf.stbl.stsd.codecs[0]);
    let (video, Entry::Avc1(entry)) = of(0) else { panic!("{moov:?}") };
    assert_eq!((video.timescale, u32::from(entry.visual.width)), (90_000, h264().width));
    assert_eq!(entry.avcc.sequence_parameter_sets, [h264().sps.to_vec()]);
    let (audio, Entry::Mp4a(entry)) = of(1) else { panic!("{moov:?}") };
    let config = entry.esds.es_desc.dec_config.dec_specific.clone().map(|config| config.raw);
    assert_eq!((audio.timescale, config), (48_000, Some(vec![0x11, 0x90])));
    assert_eq!(moov.mvex.map(|mvex| mvex.trex.len()), Some(2));
}

#[test]
fn a_fragment_is_read_back() {
    let muxer = Muxer::new(&tracks()).expect("two tracks");
    let samples = [
        Sample { frame: frame(1, -90_000, true, &[b"\x67sps", b"\x65key"]), duration: 3600 },
        Sample { frame: frame(0, 0, true, &[b"sound"]), duration: 1024 },
        Sample { frame: frame(7, 0, true, &[b"not carried"]), duration: 1 },
        Sample { frame: frame(1, -86_400, false, &[b"\x41next"]), duration: 3601 },
    ];
    let bytes = muxer.fragment(9, &samples).expect("it fits");
    let mut rest = &bytes[..];
    let moof = Moof::decode(&mut rest).expect("moof");
    let begin = bytes.len() - rest.len();
    let mdat = Mdat::decode(&mut rest).expect("mdat");
    assert!(rest.is_empty() && moof.mfhd.sequence_number == 9);
    assert_eq!(&mdat.data[..], b"\0\0\0\x04\x67sps\0\0\0\x04\x65key\0\0\0\x05\x41nextsound");
    let run = |n: usize| {
        let traf = &moof.traf[n];
        let entries: Vec<_> = traf.trun[0].samples.iter().collect();
        (traf.tfdt.clone().expect("tfdt").base_media_decode_time, traf.trun[0].data_offset, entries)
    };
    let (time, offset, entries) = run(0);
    assert_eq!((time, offset), (0, Some(begin as i32 + 8)), "a second before the timeline's 0 is the output's 0");
    let durations: Vec<_> = entries.iter().map(|entry| entry.duration).collect();
    assert_eq!(durations, [Some(3600), Some(3601)]);
    assert!(entries.iter().all(|entry| entry.cts == Some(3600)));
    assert_eq!((entries[0].flags, entries[1].flags), (Some(0x0200_0000), Some(0x0101_0000)));
    let (time, offset, entries) = run(1);
    assert_eq!((time, offset, entries.len()), (48_000, Some(begin as i32 + 8 + 25), 1));
}

#[test]
fn what_is_not_known_yet_waits() {
    let mut all = tracks();
    all[1].parameters = None;
    assert!(Muxer::new(&all).is_none(), "video leads, and cannot be described");
    let mut all = tracks();
    all[0].parameters = None;
    let video = Muxer::new(&all).expect("video alone");
    assert!(!video.carries(0));
    assert!(!video.same_init(&Muxer::new(&tracks()).expect("two tracks")));
    let opus = [track(Kind::Audio, Codec::Opus, 48_000, None)];
    let opus = Muxer::new(&opus).expect("Opus needs no parameters");
    assert_eq!(opus.codecs(), "opus");
    assert!(opus.init().is_ok_and(|bytes| Ftyp::decode_maybe(&mut &bytes[..]).is_ok()));
    assert!(Muxer::new(&[track(Kind::Audio, Codec::Pcma, 8000, None)]).is_none());
    assert!(Muxer::new(&[]).is_none());
}

/// Any frames give boxes that can be read.
#[test]
fn odd_times_are_written() {
    let muxer = Muxer::new(&tracks()).expect("two tracks");
    for (dts, pts) in [(i64::from(i32::MIN), i64::MAX / 2), (1 << 40, 0), (-1, -1 << 40)] {
        let frame = Frame { pts, ..frame(1, dts, true, &[b"x"]) };
        let bytes = muxer.fragment(u32::MAX, &[Sample { frame, duration: u32::MAX }]).expect("it fits");
        assert!(Moof::decode(&mut &bytes[..]).is_ok(), "{dts} {pts}");
    }
    let mut out = BytesMut::new();
    frame(1, 0, true, &[]).units.iter().for_each(|unit| unit.write_to(&mut out));
    assert!(muxer.fragment(1, &[Sample { frame: frame(1, 0, true, &[]), duration: 1 }]).is_ok() && out.is_empty());
}

#[test]
fn a_still_is_one_picture_at_zero() {
    let video = &tracks()[1];
    let key = frame(1, 777_000, true, &[b"\x67sps", b"\x65key"]);
    let still = still(video, &key).expect("H.264 with its parameter sets");
    assert_eq!(still.codec, h264().codec_string());
    let mut rest = &still.bytes[..];
    Ftyp::decode(&mut rest).expect("ftyp");
    assert_eq!(Moov::decode(&mut rest).expect("moov").trak.len(), 1);
    let moof = Moof::decode(&mut rest).expect("moof");
    let samples = moof.traf[0].trun[0].samples.clone();
    let mp4_atom::TrunSamples::Explicit(samples) = samples else { panic!("{samples:?}") };
    assert_eq!(moof.traf[0].tfdt.as_ref().map(|tfdt| tfdt.base_media_decode_time), Some(0));
    assert_eq!((samples.len(), samples[0].duration, samples[0].cts), (1, Some(90_000), Some(0)));
    Mdat::decode(&mut rest).expect("mdat");
    assert!(rest.is_empty());

    let unknown = Track { parameters: None, ..video.clone() };
    assert_eq!(super::still(&unknown, &key), Err(Error::Entry("H264")));
    let jpeg = track(Kind::Video, Codec::Jpeg, 90_000, None);
    assert!(super::still(&jpeg, &key).is_err());
}

#[test]
fn media_types_name_what_is_known() {
    let codecs = format!("{},mp4a.40.2", h264().codec_string());
    assert_eq!(media_type(&tracks()), format!("video/mp4; codecs=\"{codecs}\""));
    let unknown = Track { parameters: None, ..tracks()[1].clone() };
    assert_eq!(media_type(&[unknown]), "video/mp4");
}
