use super::*;
use crate::codec::{aac, h264};
use crate::frame::Units;
use crate::output::Mux;

/// From x264, 64x48 baseline.
fn h264_parameters() -> h264::Parameters {
    let fmtp =
        "packetization-mode=1; sprop-parameter-sets=Z0LACtkEPnnwEQAAAwABAAADADIPEiZI,aMuDyyA=; profile-level-id=42C00A";
    h264::Parameters::from_fmtp(fmtp).expect("there").expect("valid")
}

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

fn video() -> Track {
    track(Kind::Video, Codec::H264, 90_000, Some(Parameters::H264(h264_parameters())))
}

fn audio() -> Track {
    let config = aac::Config::parse(Bytes::from_static(&[0x12, 0x08])).expect("valid");
    track(Kind::Audio, Codec::Aac, 44_100, Some(Parameters::Aac(config)))
}

fn frame(track: usize, pts: i64, dts: i64, key: bool, data: &'static [u8]) -> Frame {
    Frame { track, pts, dts, key, units: Units::single(Bytes::from_static(data)) }
}

/// Tags as (kind, timestamp, data) of bytes without a file header.
fn tags(bytes: &[u8]) -> Vec<(u8, u32, Bytes)> {
    let file = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0", bytes].concat();
    let tags = super::super::demux::tags(&Bytes::from(file)).expect("whole tags");
    tags.into_iter().map(|tag| (tag.kind, tag.timestamp, tag.data)).collect()
}

fn write(muxer: &Muxer, frame: &Frame) -> Vec<(u8, u32, Bytes)> {
    let mut out = BytesMut::new();
    assert!(muxer.write(frame, &mut out));
    assert!(out.len() <= frame.units.len() + Muxer::overhead(frame), "the overhead is a bound");
    tags(&out)
}

#[test]
fn one_tag_a_frame_with_its_times() {
    let muxer = Muxer::new(&[video(), audio()], Options::default()).expect("both fit");
    assert_eq!(
        write(&muxer, &frame(0, 90_000, 86_400, true, b"\x65abc")),
        [(tag::VIDEO, 1960, Bytes::from_static(b"\x17\x01\0\0\x28\0\0\0\x04\x65abc"))]
    );
    // Shown before it is decoded: a publisher that reorders more than it said.
    assert_eq!(
        write(&muxer, &frame(0, 86_400, 90_000, false, b"\x41")),
        [(tag::VIDEO, 2000, Bytes::from_static(b"\x27\x01\xff\xff\xd8\0\0\0\x01\x41"))]
    );
    assert_eq!(
        write(&muxer, &frame(1, 44_100, 44_100, true, b"aac")),
        [(tag::AUDIO, 2000, Bytes::from_static(b"\xaf\x01aac"))]
    );
}

#[test]
fn the_head_tells_what_comes() {
    for (tracks, flags) in [(vec![video(), audio()], 5), (vec![video()], 1), (vec![audio()], 4)] {
        let muxer = Muxer::new(&tracks, Options::default()).expect("fits");
        let head = muxer.head(7000);
        assert_eq!(head[..9], [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9]);
        let tags = tags(&head[13..]);
        assert_eq!((tags[0].0, tags[0].1), (tag::SCRIPT, 0));
        assert_eq!(tags.len(), 1 + tracks.len());
        assert!(tags[1..].iter().all(|(_, timestamp, data)| *timestamp == 6000 && data[1] == 0));
    }
    // The same track before its parameter sets are known.
    let late = track(Kind::Audio, Codec::Aac, 44_100, None);
    let mut muxer = Muxer::new(&[video(), late], Options::default()).expect("fits");
    assert_eq!(muxer.head(0)[4], 1);
    assert!(!muxer.write(&frame(1, 0, 0, true, b"x"), &mut BytesMut::new()));
    let parameters = audio().parameters.expect("set");
    assert!(muxer.set_parameters(1, &parameters));
    assert!(!muxer.set_parameters(1, &parameters), "nothing new");
    assert_eq!(muxer.head(0)[4], 5);
}

#[test]
fn time_goes_through_32_bits() {
    let muxer = Muxer::new(&[Track { clock_rate: 1000, ..audio() }], Options::default()).expect("fits");
    let years = |ms: i64| frame(0, ms, ms, true, b"x");
    assert_eq!(write(&muxer, &years((1 << 31) - 1000))[0].1, 1 << 31);
    assert_eq!(write(&muxer, &years((1 << 32) - 1000))[0].1, 0);
    assert_eq!(write(&muxer, &years((5 << 32) + 3000))[0].1, 4000);
    // Before the timeline's start: audio that came first.
    assert_eq!(write(&muxer, &years(-400))[0].1, 600);
    assert_eq!(write(&muxer, &years(-4000))[0].1, 0);
}

#[test]
fn g711_only_on_demand() {
    let g711 = track(Kind::Audio, Codec::Pcma, 8000, None);
    let all = Options { all_audio: true, ..Options::default() };
    assert!(Muxer::new(std::slice::from_ref(&g711), Options::default()).is_none());
    let muxer = Muxer::new(std::slice::from_ref(&g711), all).expect("fits");
    assert_eq!(write(&muxer, &frame(0, 0, 0, true, b"x"))[0].2, Bytes::from_static(b"\x72x"));
    assert!(refusal(&g711, Options::default()).is_some_and(|reason| reason.contains("PCMA")));
    assert_eq!(all.normalized(&[video(), audio()]), Options::default());
    assert_eq!(all.normalized(&[video(), g711]), all);
}

#[test]
fn what_flv_cannot_carry_is_left_out() {
    let opus = track(Kind::Audio, Codec::Opus, 48_000, None);
    let av1 = track(Kind::Video, Codec::Av1, 90_000, None);
    assert!(Muxer::new(&[opus.clone(), av1.clone()], Options::default()).is_none());
    let muxer = Muxer::new(&[av1, opus, audio()], Options::default()).expect("the AAC fits");
    assert!(muxer.carries(2) && muxer.leads(2) && !muxer.carries(0));
}

#[test]
fn h265_in_both_forms() {
    let hex = |text: &str| {
        Bytes::from(
            (0..text.len())
                .step_by(2)
                .map(|n| u8::from_str_radix(&text[n..n + 2], 16).expect("hex"))
                .collect::<Vec<_>>(),
        )
    };
    // From x265, 320x240.
    let parameters = crate::codec::h265::Parameters::new(
        hex("40010c01ffff01600000030090000003000003003f959809"),
        hex("420101016000000300900000030000030 03fa00a080f165959a4932bc05a02000003000200000300 3210"
            .replace(' ', "")
            .as_str()),
        hex("4401c172b46240"),
    )
    .expect("valid");
    let h265 = track(Kind::Video, Codec::H265, 90_000, Some(Parameters::H265(parameters)));
    let legacy = Options { hevc: Hevc::Legacy, ..Options::default() };
    let cases = [
        (Options::default(), &b"\x91hvc1\0\0\0"[..], &b"\x90hvc1\x01"[..]),
        (legacy, b"\x1c\x01\0\0\0", b"\x1c\0\0\0\0\x01"),
    ];
    for (options, coded, header) in cases {
        let muxer = Muxer::new(std::slice::from_ref(&h265), options).expect("fits");
        let tag = &write(&muxer, &frame(0, 0, 0, true, b"\x26\x01abc"))[0].2;
        assert_eq!(tag[..], [coded, b"\0\0\0\x05\x26\x01abc"].concat());
        assert!(tags(&muxer.head(0)[13..])[1].2.starts_with(header));
        assert_eq!(options.normalized(std::slice::from_ref(&h265)), options);
    }
}

/// What is told while the video does not come, and when it does.
#[test]
fn sound_alone_and_then_both() {
    let silent = track(Kind::Video, Codec::H264, 90_000, None);
    let mut muxer = Muxer::of(&[silent, audio()], Options::default());
    let kinds = |bytes: &[u8]| tags(bytes).iter().map(|(kind, _, _)| *kind).collect::<Vec<_>>();
    let (sound, picture) = (frame(1, 0, 0, true, b"aac"), frame(0, 90_000, 90_000, true, b"\x65abc"));
    assert!(!muxer.ready() && muxer.leave_out_video());
    assert!(muxer.ready() && muxer.leads(1) && !muxer.carries(0));
    assert_eq!(Mux::head(&muxer, &sound)[4], 4, "flags");
    assert_eq!(kinds(&Mux::headers(&muxer, &sound)), [tag::AUDIO]);
    assert!(!muxer.take_video_back(&picture), "its parameter sets are not known");
    assert!(!Mux::set_parameters(&mut muxer, 0, &Parameters::H264(h264_parameters())));
    assert!(!muxer.take_video_back(&frame(0, 0, 0, false, b"\x41")), "nothing can begin with it");
    assert!(!muxer.take_video_back(&sound) && !muxer.carries(0));
    assert!(muxer.take_video_back(&picture) && muxer.leads(0));
    assert_eq!(kinds(&Mux::headers(&muxer, &picture)), [tag::SCRIPT, tag::VIDEO, tag::AUDIO]);
    assert!(Mux::write(&mut muxer, &picture, &mut BytesMut::new()));
    assert_eq!(kinds(&Mux::headers(&muxer, &picture)), [tag::VIDEO, tag::AUDIO]);
    assert_eq!(Mux::head(&muxer, &picture)[4], 5, "flags");
    // Without sound there is nothing that could go alone; a new publisher's video is told of.
    assert!(!Muxer::of(&[video()], Options::default()).leave_out_video());
    assert!(muxer.leave_out_video());
    Mux::retune(&mut muxer, &[video(), audio()]);
    assert_eq!(kinds(&Mux::headers(&muxer, &picture)), [tag::SCRIPT, tag::VIDEO, tag::AUDIO]);
}
