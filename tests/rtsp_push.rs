//! Real ffmpeg pushes; what viewers get over http-flv and websocket-flv is decoded by ffmpeg without one complaint, with the
//! right size, frame rate and offset of audio and video.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use support::ffmpeg::{self, AAC, H264, H264_B_FRAMES, H265, Media, PCMA};
use support::flv::{self, Tag, VideoCodec};
use support::hub::Hub;
use support::process::Process;
use support::viewer::{Recording, Viewer, Way};
use support::{temporary, wait_until};

/// What is decoded at least, in milliseconds.
const LENGTH: u32 = 10_000;
/// A viewer's `LENGTH` on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// Audio and video may be apart by this, in seconds.
const MAX_OFFSET: f64 = 0.1;
/// 25 frames a second.
const INTERVAL: u32 = 40;

/// One case: what is pushed and what must come out.
struct Case<'a> {
    path: &'a str,
    media: Media<'a>,
}

/// Everything that viewers got of a case.
struct Watched {
    /// Still publishing.
    _push: Process,
    hub: Hub,
    ws: Recording,
    http: Recording,
    /// `ws` as a file.
    file: PathBuf,
}

fn covers(tags: &[Tag], length: u32) -> bool {
    let frames = || tags.iter().filter(|tag| tag.is_picture() || tag.is_sound());
    frames().next().zip(frames().next_back()).is_some_and(|(first, last)| last.time - first.time >= length)
}

/// Pushes, watches in both ways for `LENGTH`, and checks what holds for every stream. `live`: ffmpeg watches too.
fn watch(case: &Case, query: &str, live: bool) -> Watched {
    let hub = Hub::start(&[], &[]);
    let mut push = case.media.push(&hub, case.path);
    hub.wait_live(case.path);
    let flv = format!("{}.flv{query}", case.path);
    let url = hub.url("http", &format!("/streams{flv}"));
    let mut decoder = live.then(|| ffmpeg::start_decoding(&url, &["-t", "10"]));
    let ws = Viewer::record(&hub, Way::WebSocket, &flv);
    let http = Viewer::record(&hub, Way::Http, &flv);
    for viewer in [&ws, &http] {
        viewer.wait(DEADLINE, "ten seconds of media", |seen| seen.end.is_some() || covers(&seen.tags, LENGTH));
    }
    if let Some(decoder) = &mut decoder {
        ffmpeg::finish_decoding(decoder, &url);
    }
    assert!(push.is_running(), "the publisher ended: {}", push.lines().join("\n"));
    assert_eq!(push.lines(), [""; 0], "the publisher complained");
    let runtime = hub.runtime();
    for counter in ["publishers/bad_packets", "viewers/fell_behind", "refused/protocol"] {
        assert_eq!(runtime.number(&format!("extra/{counter}")), 0.0, "{counter}");
    }
    let [ws, http] = [ws, http].map(Viewer::finish);
    for seen in [&ws, &http] {
        flv::check(&seen.tags);
        assert!(covers(&seen.tags, LENGTH), "it ended early: {}", seen.summary());
        let flags = u8::from(case.media.video.is_some()) | u8::from(case.media.audio.is_some()) << 2;
        if query.is_empty() && case.media.audio != Some(PCMA) {
            assert_eq!(seen.flags, flags, "flags of the FLV header");
        }
    }
    let name = case.path.replace('/', "_") + &query.replace(['?', '='], "_");
    let file = temporary(&format!("rtsp_push{name}.flv"));
    std::fs::write(&file, &ws.bytes).expect("a recording can be written");
    Watched { _push: push, hub, ws, http, file }
}

/// Size and frame rate as a player sees them.
fn check_video(watched: &Watched, file: &std::path::Path, codec: &str) {
    let probed = ffmpeg::probe(file);
    let streams = probed.list("streams");
    let video = streams.iter().find(|stream| stream.text("codec_type") == "video").expect("a video stream");
    assert_eq!(video.text("codec_name"), codec);
    assert_eq!((video.number("width"), video.number("height")), (640.0, 360.0));
    for seen in [&watched.ws, &watched.http] {
        assert_eq!(flv::metadata_size(&seen.tags), Some((640.0, 360.0)));
        flv::check_no_gap(&seen.tags, INTERVAL);
        let mut shown: Vec<_> = seen.tags.iter().filter(|tag| tag.is_picture()).map(Tag::pts).collect();
        assert!(
            seen.tags.iter().all(|tag| tag.video().is_none_or(|video| video.composition >= 0)),
            "shown before decoded"
        );
        shown.sort_unstable();
        // What a viewer sees: a picture each 40 ms, whatever the order they come in. The last may still wait for others.
        shown.truncate(shown.len() - 4);
        for pair in shown.windows(2) {
            let step = pair[1] - pair[0];
            assert!((38..=42).contains(&step), "pictures are shown at {} and {} ms", pair[0], pair[1]);
        }
    }
}

/// The recording holds flashes and beeps that were made at the same moment.
fn check_offset(watched: &Watched) {
    let (flashes, beeps) = ffmpeg::flashes_and_beeps(&watched.file);
    assert!(flashes.len() >= 8 && beeps.len() >= 8, "flashes at {flashes:?}, beeps at {beeps:?}");
    let mut worst: f64 = 0.0;
    for flash in &flashes[1..flashes.len() - 1] {
        let offset = beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        let offset = offset.expect("there are beeps");
        assert!(offset.abs() < MAX_OFFSET, "the beep of the flash at {flash} s is {offset:+.3} s away");
        worst = if offset.abs() > worst.abs() { offset } else { worst };
    }
    println!("{}: beeps are at most {worst:+.3} s from their flashes", watched.file.display());
}

fn file_name(watched: &Watched) -> &str {
    watched.file.to_str().expect("a name of our own")
}

fn h264_with_aac(path: &str, video: &str, transport: &str) {
    let media = Media { video: Some(video), flash: true, transport, ..Media::default() };
    let watched = watch(&Case { path, media }, "", true);
    ffmpeg::decode(file_name(&watched), &[]);
    check_video(&watched, &watched.file, "h264");
    check_offset(&watched);
    let stream = watched.hub.stream(path).expect("it is live");
    assert_eq!((stream.text("video/codec"), stream.text("audio/codec")), ("H264", "AAC"));
    let reordered = watched.ws.tags.iter().any(|tag| tag.video().is_some_and(|video| video.composition > 0));
    assert_eq!(reordered, video == H264_B_FRAMES, "composition times are there with B-frames only");
}

#[test]
fn h264_and_aac_by_tcp() {
    h264_with_aac("/push/tcp", H264, "tcp");
}

#[test]
fn h264_and_aac_by_udp() {
    h264_with_aac("/push/udp", H264, "udp");
}

#[test]
fn h264_with_b_frames() {
    h264_with_aac("/push/b_frames", H264_B_FRAMES, "tcp");
}

/// ffmpeg before 6.1 cannot read H.265 in FLV in either form: it decodes what is taken out of the tags.
#[test]
fn h265_in_both_forms() {
    let case = Case { path: "/push/h265", media: Media { video: Some(H265), ..Media::default() } };
    let watched = watch(&case, "", false);
    let hub = &watched.hub;
    let _push = case.media.push(hub, "/push/again");
    hub.wait_live("/push/again");
    let legacy = Viewer::record(hub, Way::WebSocket, "/push/again.flv?hevc=legacy");
    legacy.wait(DEADLINE, "three seconds of media", |seen| covers(&seen.tags, 3000));
    let legacy = legacy.finish();
    flv::check(&legacy.tags);
    for (tags, codec, name) in [
        (&watched.ws.tags, VideoCodec::FourCc(*b"hvc1"), "hvc1"),
        (&watched.http.tags, VideoCodec::FourCc(*b"hvc1"), "hvc1_http"),
        (&legacy.tags, VideoCodec::Id(flv::HEVC), "legacy"),
    ] {
        assert!(
            tags.iter().all(|tag| tag.video().is_none_or(|video| video.codec == codec)),
            "{name}: not all {codec:?}"
        );
        let file = temporary(&format!("rtsp_push_{name}.h265"));
        std::fs::write(&file, flv::hevc_byte_stream(tags)).expect("a file can be written");
        ffmpeg::decode(file.to_str().expect("a name of our own"), &[]);
        if name != "legacy" {
            check_video(&watched, &file, "hevc");
        }
    }
}

#[test]
fn video_only() {
    let case = Case { path: "/push/video", media: Media { audio: None, ..Media::default() } };
    let watched = watch(&case, "", true);
    ffmpeg::decode(file_name(&watched), &[]);
    check_video(&watched, &watched.file, "h264");
    assert!(watched.ws.tags.iter().all(|tag| tag.kind != flv::AUDIO));
    assert_eq!(watched.hub.stream(case.path).map(|stream| stream.at("audio").is_some()), Some(false));
}

#[test]
fn audio_only() {
    let case = Case { path: "/push/audio", media: Media { video: None, ..Media::default() } };
    let watched = watch(&case, "", true);
    ffmpeg::decode(file_name(&watched), &[]);
    assert!(watched.ws.tags.iter().all(|tag| tag.kind != flv::VIDEO));
    let sounds: Vec<_> = watched.ws.tags.iter().filter(|tag| tag.is_sound()).map(|tag| tag.time).collect();
    // 1024 samples at 44.1 kHz are 23.2 ms.
    assert!(sounds.windows(2).all(|pair| (22..=25).contains(&(pair[1] - pair[0]))), "at {sounds:?} ms");
}

#[test]
fn g711_only_where_it_is_asked_for() {
    let case = Case { path: "/push/g711", media: Media { audio: Some(PCMA), ..Media::default() } };
    let watched = watch(&case, "?audio=all", true);
    ffmpeg::decode(file_name(&watched), &[]);
    let sounds: Vec<_> = watched.ws.tags.iter().filter(|tag| tag.kind == flv::AUDIO).collect();
    assert!(!sounds.is_empty() && sounds.iter().all(|tag| tag.data[0] >> 4 == flv::PCMA));
    assert_eq!(watched.ws.flags, 5);

    let silent = Case { path: "/push/silent", ..case };
    let watched = watch(&silent, "", true);
    assert_eq!((watched.ws.flags, watched.http.flags), (1, 1));
    assert!(watched.ws.tags.iter().all(|tag| tag.kind != flv::AUDIO));
    let script = &watched.ws.tags[0].data;
    assert!(!script.windows(12).any(|window| window == b"audiocodecid"), "onMetaData tells of no audio");
    let stream = watched.hub.stream(silent.path).expect("it is live");
    assert_eq!(stream.text("audio/codec"), "PCMA", "REST shows the track that FLV leaves out");
}

#[test]
fn a_publisher_that_leaves_is_gone_from_the_list() {
    let hub = Hub::start(&[], &[]);
    let push = Media { audio: Some(AAC), ..Media::default() }.push(&hub, "/push/leaves");
    hub.wait_live("/push/leaves");
    drop(push);
    assert!(wait_until(support::SOON, || hub.stream("/push/leaves").is_none()), "it is still listed");
    hub.wait_log(&["/push/leaves", "source ended"]);
}
