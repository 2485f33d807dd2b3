#[allow(unreachable_pub)] // tests of the whole hub have it too
mod reader;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::codec::{aac, h264};
use crate::frame::{Frame, Kind, Units};
use crate::output::Mux;
use reader::{Pes, Reader};

const H264: u8 = 0x1b;
const ADTS: u8 = 0x0f;

fn track(kind: Kind, codec: Codec, clock_rate: u32, parameters: Option<Parameters>) -> Track {
    Track {
        kind,
        codec,
        encoding: String::new(),
        payload_type: 96,
        clock_rate,
        channels: 1,
        fmtp: String::new(),
        control: String::new(),
        parameters,
    }
}

/// From x264, 64x48 baseline.
fn video() -> Track {
    let fmtp = "sprop-parameter-sets=Z0LACtkEPnnwEQAAAwABAAADADIPEiZI,aMuDyyA=";
    let parameters = h264::Parameters::from_fmtp(fmtp).expect("there").expect("valid");
    track(Kind::Video, Codec::H264, 90_000, Some(Parameters::H264(parameters)))
}

fn audio_of(config: &'static [u8]) -> Track {
    let config = aac::Config::parse(Bytes::from_static(config)).expect("valid");
    track(Kind::Audio, Codec::Aac, 44_100, Some(Parameters::Aac(config)))
}

fn audio() -> Track {
    audio_of(&[0x12, 0x08])
}

fn frame(track: usize, pts: i64, dts: i64, key: bool, data: &[u8]) -> Frame {
    Frame { track, pts, dts, key, units: Units::single(Bytes::copy_from_slice(data)) }
}

fn write(muxer: &mut Muxer, frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    let size = muxer.size(frame);
    assert!(muxer.write(frame, &mut out), "{frame:?}");
    assert!(out.len() <= size, "{} bytes, announced {size}", out.len());
    assert_eq!(out.len() % PACKET, 0);
    out.freeze()
}

fn read(parts: &[Bytes]) -> Reader {
    let mut reader = Reader::default();
    parts.iter().for_each(|part| reader.push(part).expect("a valid stream"));
    assert!(reader.is_at_boundary());
    reader.finish().expect("a valid end");
    reader
}

/// An access unit as it should come out.
fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

#[test]
fn a_key_frame_brings_tables_clock_and_parameter_sets() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let reader = read(&[
        write(&mut muxer, &frame(0, 93_600, 90_000, true, b"\x65key")),
        write(&mut muxer, &frame(1, 44_100, 44_100, true, b"sound")),
        write(&mut muxer, &frame(0, 93_601, 93_600, false, b"\x41next")),
    ]);
    assert_eq!(reader.streams.into_iter().collect::<Vec<_>>(), [(0x100, H264), (0x101, ADTS)]);
    let Some(Parameters::H264(parameters)) = video().parameters else { unreachable!("it is H.264") };
    let key = annex_b(&[b"\x09\xf0", &parameters.sps, &parameters.pps[0], b"\x65key"]);
    let sound = [&[0xff, 0xf1, 0x50, 0x40, 0x01, 0x9f, 0xfc], &b"sound"[..]].concat();
    assert_eq!(
        reader.found,
        [
            Pes { pid: 0x100, pts: 183_600, dts: 180_000, key: true, data: key },
            Pes { pid: 0x101, pts: 180_000, dts: 180_000, key: true, data: sound },
            Pes { pid: 0x100, pts: 183_601, dts: 183_600, key: false, data: annex_b(&[b"\x09\xf0", b"\x41next"]) },
        ]
    );
    // The clock runs 200 ms before decode times.
    assert_eq!(reader.clock, [1.8, 1.84]);
}

/// Each length around those at which another packet begins, or its stuffing has a special form.
#[test]
fn frames_of_every_length_come_out_whole() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    let lengths = (1..800).chain(65_480..65_560);
    for (n, len) in (0..).zip(lengths) {
        let data: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8 | 1).collect();
        bytes.push(write(&mut muxer, &frame(0, n * 3600, n * 3600, n % 50 == 0, &data)));
        expected.push(data);
        if let Some(sound) = expected.last().filter(|data| data.len() < 800) {
            bytes.push(write(&mut muxer, &frame(1, n * 1764, n * 1764, true, sound)));
        }
    }
    let reader = read(&bytes);
    let pictures = reader.of_type(H264);
    assert_eq!(pictures.len(), expected.len());
    for (pes, data) in pictures.iter().zip(&expected) {
        assert!(pes.data.ends_with(data) && pes.data[pes.data.len() - data.len() - 4..].starts_with(&[0, 0, 0, 1]));
    }
    let sounds = reader.of_type(ADTS);
    for (pes, data) in sounds.iter().zip(&expected) {
        let header = aac::Adts::parse(&pes.data).expect("an ADTS header");
        assert_eq!((header.frame_len, &pes.data[7..]), (pes.data.len(), &data[..]));
    }
}

#[test]
fn a_viewer_that_missed_something_is_told() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let first = write(&mut muxer, &frame(0, 0, 0, true, &[1; 1000]));
    write(&mut muxer, &frame(0, 3600, 3600, false, &[2; 1000]));
    write(&mut muxer, &frame(1, 1764, 1764, true, &[3; 100]));
    let key = frame(0, 7200, 7200, true, &[4; 1000]);
    let resumption = muxer.resumption(&key);
    let next = write(&mut muxer, &key);
    let sound = write(&mut muxer, &frame(1, 3528, 3528, true, &[5; 100]));
    let reader = read(&[first.clone(), resumption, next.clone(), sound]);
    assert_eq!((reader.discontinuities, reader.found.len()), (4, 3));
    // Without it the gap shows.
    let mut reader = Reader::default();
    assert!(reader.push(&first).is_ok() && reader.push(&next).is_err());
}

#[test]
fn audio_alone_has_tables_at_every_beginning_and_now_and_then() {
    let mut muxer = Muxer::new(&[audio()]);
    let mut bytes = Vec::new();
    for n in 0..100 {
        let frame = frame(0, n * 1024, n * 1024, true, &[7; 50]);
        let head = muxer.head(&frame);
        let written = write(&mut muxer, &frame);
        read(&[head, written.clone()]);
        bytes.push(written);
    }
    let all = bytes.concat();
    let tables = all.chunks(PACKET).filter(|packet| packet[1] & 0x1f == 0 && packet[2] == 0).count();
    assert_eq!((tables, read(&bytes).found.len()), (5, 100), "2.3 s of sound");
}

#[test]
fn the_clock_comes_with_the_sound_when_pictures_are_rare() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let mut bytes = Vec::new();
    for n in 0..300 {
        if n % 43 == 0 {
            bytes.push(write(&mut muxer, &frame(0, n * 2090, n * 2090, n == 0, &[1; 500])));
        }
        bytes.push(write(&mut muxer, &frame(1, n * 1024, n * 1024, true, &[7; 50])));
    }
    let clock = read(&bytes).clock;
    assert!(clock.windows(2).all(|pair| pair[1] - pair[0] <= 0.1), "{clock:?}");
}

#[test]
fn times_wrap_after_26_hours() {
    let mut muxer = Muxer::new(&[video()]);
    let wrap = (1 << 33) - 90_000;
    let written = write(&mut muxer, &frame(0, wrap + 3600, wrap - 3600, true, b"\x65"));
    let reader = {
        let mut reader = Reader::default();
        // The reader of these tests knows no wrap, so it is asked for the parts.
        assert!(reader.push(&written).expect_err("PTS before DTS").contains("PTS 3600, DTS 8589930992"));
        reader
    };
    assert_eq!(reader.clock, [(f64::from(u32::MAX) * 2.0 + 2.0 - 21_600.0) / 90_000.0]);
}

#[test]
fn a_new_publisher_goes_on_in_the_counters() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let first = write(&mut muxer, &frame(0, 0, 0, true, &[1; 1000]));
    muxer.retune(&[audio(), video()]);
    let second = write(&mut muxer, &frame(1, 90_000, 90_000, true, &[1; 1000]));
    let reader = read(&[first.clone(), second.clone()]);
    assert_eq!((reader.discontinuities, reader.found.len()), (0, 2));
    let version = |bytes: &[u8]| bytes[PACKET + 10] >> 1 & 31;
    assert_ne!(version(&first), version(&second), "of the program map table");
}

#[test]
fn sound_alone_and_then_both() {
    let silent = track(Kind::Video, Codec::H264, 90_000, None);
    let mut muxer = Muxer::new(&[silent, audio()]);
    assert!(!muxer.ready() && muxer.leave_out_video() && muxer.ready() && muxer.leads(1));
    let sound = |n: i64| frame(1, n * 1024, n * 1024, true, &[7; 50]);
    let mut parts = vec![muxer.head(&sound(0)), write(&mut muxer, &sound(0)), write(&mut muxer, &sound(1))];
    assert_eq!(read(&parts).streams.len(), 1, "only sound is told of");
    let picture = frame(0, 90_000, 90_000, true, b"\x65abc");
    assert!(!muxer.take_video_back(&picture) && !muxer.carries(0), "its parameter sets are not known");
    muxer.set_parameters(0, video().parameters.as_ref().expect("it has them"));
    muxer.take_video_back(&frame(0, 0, 0, false, b"\x41"));
    assert!(!muxer.carries(0), "nothing can begin with it");
    muxer.take_video_back(&picture);
    assert!(muxer.leads(0));
    parts.push(write(&mut muxer, &picture));
    parts.push(write(&mut muxer, &sound(100)));
    let reader = read(&parts);
    assert_eq!((reader.streams.len(), reader.found.len(), reader.discontinuities), (2, 4, 0));
    assert!(!Muxer::new(&[video()]).leave_out_video(), "there is no sound");
}

#[test]
fn what_ts_cannot_carry_is_said() {
    let reason = |track: &Track| refusal(track);
    assert_eq!(reason(&track(Kind::Audio, Codec::Pcma, 8000, None)).as_deref(), Some("players of TS know no PCMA"));
    assert_eq!(reason(&track(Kind::Audio, Codec::Mp3, 90_000, None)), None);
    // HE-AAC of 22050 Hz, announced beforehand, becomes its core with the extension in the frames.
    let he = audio_of(&[0x2b, 0x92, 0x08, 0x00]);
    assert_eq!(reason(&he), None);
    // AAC-ELD
    let eld = audio_of(&[0xf8, 0xe6, 0x20, 0x00]);
    assert!(reason(&eld).is_some_and(|reason| reason.contains("mp4a.40.39")), "{:?}", reason(&eld));
    let mut muxer = Muxer::new(&[video(), eld]);
    assert!(!muxer.carries(1) && muxer.ready());
    assert!(!muxer.write(&frame(1, 0, 0, true, b"x"), &mut BytesMut::new()));
}

#[test]
fn a_frame_that_adts_has_no_room_for_is_left_out() {
    let mut muxer = Muxer::new(&[video(), audio()]);
    let mut out = BytesMut::new();
    assert!(!muxer.write(&frame(1, 0, 0, true, &[0; 8185]), &mut out) && out.is_empty());
    assert!(muxer.write(&frame(1, 0, 0, true, &[0; 8184]), &mut out));
}
