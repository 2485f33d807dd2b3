//! MPEG-TS of live sources: ffmpeg and GStreamer play it for ten seconds without a complaint, a strict reader finds every
//! counter and clock right, viewers are listed, kicked and, when they are slow, told what they missed.

mod support;

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use support::camera::Camera;
use support::ffmpeg::{self, AAC, H264, H264_B_FRAMES, H265, MP3, Media};
use support::http;
use support::hub::Hub;
use support::process::Process;
use support::ts::{self, Recording, TsViewer};
use support::viewer::{End, Way};
use support::{SOON, temporary};

/// What is played, in seconds.
const LENGTH: usize = 10;
/// That on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
const SIZE: &str = "320x180";

/// Path, video, audio, and the `stream_type`s of both.
type Stream = (&'static str, Option<&'static str>, Option<&'static str>, Option<u8>, Option<u8>);

const STREAMS: [Stream; 4] = [
    ("/ts/b_frames", Some(H264_B_FRAMES), Some(AAC), Some(ts::H264), Some(ts::AAC)),
    ("/ts/hevc", Some(H265), Some(MP3), Some(ts::H265), Some(ts::MP3)),
    ("/ts/silent", Some(H264), None, Some(ts::H264), None),
    ("/ts/radio", None, Some(AAC), None, Some(ts::AAC)),
];

/// Plays decoded media to nowhere; it succeeds when as much as was wanted has come.
fn gstreamer(url: &str, video: bool, audio: bool) -> Process {
    let mut command = Command::new("gst-launch-1.0");
    let mut pipeline = format!("souphttpsrc location={url} is-live=true ! tsdemux name=demux");
    if video {
        let count = 25 * LENGTH;
        pipeline += &format!(
            " demux. ! queue ! decodebin ! video/x-raw,width=320,height=180 ! identity eos-after={count} ! fakesink sync=false"
        );
    }
    if audio {
        let count = 50 * LENGTH;
        pipeline += &format!(
            " demux. ! queue ! decodebin ! audioconvert ! audiobuffersplit output-buffer-duration=1/50 \
             ! identity eos-after={count} ! fakesink sync=false"
        );
    }
    command.env("LC_ALL", "C").arg("-q").args(pipeline.split_whitespace());
    Process::start(command)
}

/// Every picture and sound, the clock often enough and before what it is the clock of, audio beside video.
fn check(what: &str, seen: &Recording, video: Option<u8>, audio: Option<u8>) {
    let reader = &seen.reader;
    assert_eq!(reader.discontinuities, 0, "{what}");
    if let Some(kind) = video {
        let pictures = reader.of_type(kind);
        assert!(pictures[0].key && pictures.iter().any(|pes| !pes.key), "{what}: it begins with a key frame");
        let mut shown: Vec<_> = pictures.iter().map(|pes| pes.pts).collect();
        shown.sort_unstable();
        // The first sender report may move the pictures once, and a B-frame's place at the end be empty yet.
        let odd = shown.windows(2).filter(|pair| (pair[1] - pair[0] - 3600).abs() > 90).count();
        assert!(odd <= 4, "{what}: {odd} odd steps in {shown:?}");
        let behind = pictures.iter().filter(|pes| pes.dts > pes.pts).count();
        assert_eq!(behind, 0, "{what}");
    }
    if let Some(kind) = audio {
        let sounds = reader.of_type(kind);
        let span = (sounds[sounds.len() - 1].pts - sounds[0].pts) as f64 / 90_000.0;
        assert!(span > LENGTH as f64 - 1.5, "{what}: {span} s of sound");
        if let Some(video) = video {
            let last = reader.of_type(video).last().map_or(0, |pes| pes.dts);
            let apart = (sounds[sounds.len() - 1].dts - last) as f64 / 90_000.0;
            assert!(apart.abs() < 0.5, "{what}: audio and video are {apart} s apart");
        }
    }
    let gaps: Vec<_> = reader.clock.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.1).collect();
    assert!(gaps.len() <= 1, "{what}: clock references {gaps:?} s apart");
    let first = reader.found.iter().map(|pes| pes.dts).min().unwrap_or(0) as f64 / 90_000.0;
    assert!(reader.clock[0] < first, "{what}: the clock begins at {}, media at {first}", reader.clock[0]);
}

#[test]
fn players_of_ts() {
    let hub = Hub::start(&[], &[]);
    let publishers: Vec<_> = STREAMS
        .iter()
        .map(|(path, video, audio, ..)| {
            Media { video: *video, audio: *audio, size: SIZE, ..Media::default() }.push(&hub, path)
        })
        .collect();
    for (path, ..) in STREAMS {
        hub.wait_live(path);
    }
    let mut players = Vec::new();
    for (n, (path, video, audio, video_type, audio_type)) in STREAMS.into_iter().enumerate() {
        let url = hub.url("http", &format!("/streams{path}.ts"));
        let ffmpeg = ffmpeg::start_decoding(&url, &["-t", &LENGTH.to_string()]);
        let gstreamer = gstreamer(&url, video.is_some(), audio.is_some());
        let way = if n % 2 == 0 { Way::Http } else { Way::WebSocket };
        players.push((path, ffmpeg, gstreamer, TsViewer::watch(&hub, way, path), video_type, audio_type));
    }
    for (path, mut ffmpeg, mut gstreamer, viewer, video, audio) in players {
        ffmpeg::finish_decoding(&mut ffmpeg, path);
        let (status, _) = gstreamer.wait(DEADLINE);
        let lines = gstreamer.lines();
        let complaints: Vec<_> =
            lines.iter().filter(|line| ["ERROR", "WARN"].iter().any(|word| line.contains(word))).collect();
        assert!(status.success() && complaints.is_empty(), "GStreamer on {path}: {status} {lines:#?}");
        let kind = video.or(audio).expect("each has one");
        viewer.wait(DEADLINE, path, |seen| {
            let times: Vec<_> = seen.reader.of_type(kind).iter().map(|pes| pes.dts).collect();
            times.first().zip(times.last()).is_some_and(|(first, last)| last - first > 90_000 * LENGTH as i64)
        });
        let seen = viewer.finish();
        check(path, &seen, video, audio);
        let file = temporary(&format!("http_ts{}.ts", path.replace('/', "_")));
        std::fs::write(&file, &seen.bytes[..seen.reader.whole]).expect("a file can be written");
        ffmpeg::decode(&file.display().to_string(), &[]);
        std::fs::remove_file(&file).expect("it was written");
    }
    drop(publishers);
}

#[test]
fn viewers_of_ts_are_listed_counted_and_kicked() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    for (way, name) in [(Way::Http, "http-ts"), (Way::WebSocket, "websocket-ts")] {
        let viewer = TsViewer::watch(&hub, way, "/Demo/CLOCK");
        viewer.wait(SOON, "pictures", |seen| seen.reader.of_type(ts::H264).len() > 5);
        let stream = hub.stream("/demo/clock").expect("it is live");
        let extra = format!("net={name},{}", viewer.local_address());
        let consumer = stream.list("cs").iter().find(|consumer| consumer.text("extra") == extra);
        let consumer = consumer.unwrap_or_else(|| panic!("{extra} in {stream:?}"));
        assert_eq!(consumer.text("packet_type"), "TS");
        let id = consumer.number("id") as u64;
        assert_eq!(id >> 30, 2, "the kind stands in a consumer's number");
        assert_eq!(hub.runtime().number("ts/active"), 1.0);
        let kick = http::delete(hub.address(), &format!("/api/v1/streams/demo/clock:consumer?cid={id}"));
        assert_eq!(kick.status, 200, "{}", kick.text());
        viewer.wait(SOON, "the end", |seen| seen.end.is_some());
        let seen = viewer.finish();
        let proper = match (way, &seen.end) {
            (Way::Http, end) => *end == Some(End::Complete),
            (Way::WebSocket, Some(End::Close { reason, .. })) => reason.contains("administrator") || !reason.is_empty(),
            _ => false,
        };
        assert!(proper, "{name}: {:?}", seen.end);
        hub.wait_log(&["watched by", name]);
    }
    assert_eq!(hub.runtime().number("ts/total"), 2.0);
    assert!(hub.runtime().number("extra/bytes/ts/out") > 10_000.0);
}

#[test]
fn what_ts_cannot_carry_is_not_found_before_any_upgrade() {
    let hub = Hub::start(&[], &[]);
    let _publisher = Media { video: None, audio: Some(ffmpeg::PCMA), ..Media::default() }.push(&hub, "/ts/phone");
    hub.wait_live("/ts/phone");
    let answer = http::get(hub.address(), "/streams/ts/phone.ts");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("cannot be sent as TS: players of TS know no PCMA"), "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(http::get(hub.address(), "/streams/ts/nothing.ts").status, 404);
}

/// It reads nothing until its queue is full, and then on: the gap is marked, and what follows begins with a key frame.
#[test]
fn a_slow_viewer_goes_on_at_a_key_frame() {
    const PATH: &str = "/ts/wide";
    let hub = Hub::start(&[("IPCHUB_LIMITS_VIEWER_QUEUE", "16")], &[]);
    let _camera = Camera::publish(&hub, PATH, 20_000);
    hub.wait_live(PATH);
    let (go, wait) = mpsc::channel();
    let slow = TsViewer::open(&hub, Way::Http, PATH, move || _ = wait.recv()).expect("it is let in");
    let quick = TsViewer::watch(&hub, Way::WebSocket, PATH);
    let dropped = || hub.runtime().number("extra/viewers/dropped_chunks");
    assert!(support::wait_until(DEADLINE, || dropped() > 5.0), "{} chunks dropped", dropped());
    go.send(()).expect("it waits");
    slow.wait(DEADLINE, "a marked gap and more than a GOP after it", |seen| {
        seen.reader.discontinuities == 3
            && seen.reader.of_type(ts::H264).iter().rev().take_while(|pes| pes.dts > 0).count() > 60
    });
    let seen = slow.finish();
    let pictures = seen.reader.of_type(ts::H264);
    let gap = pictures.windows(2).find(|pair| pair[1].dts - pair[0].dts > 3600 * 3 / 2);
    assert!(gap.is_some_and(|pair| pair[1].key), "the gap ends with a key frame");
    quick.wait(SOON, "pictures", |seen| seen.reader.found.len() > 100);
    let seen = quick.finish();
    assert!(seen.reader.found.windows(2).all(|pair| pair[1].dts - pair[0].dts < 4500), "the quick one misses nothing");
    assert_eq!(seen.reader.discontinuities, 0);
}

/// The next publisher has other tracks: the tables say so, counters and clock go on.
#[test]
fn a_publisher_with_other_tracks_goes_on_in_the_same_stream() {
    const PATH: &str = "/ts/again";
    let hub = Hub::start(&[], &[]);
    let first = Media { size: SIZE, ..Media::default() }.push(&hub, PATH);
    hub.wait_live(PATH);
    let viewer = TsViewer::watch(&hub, Way::Http, PATH);
    viewer.wait(DEADLINE, "H.264 and AAC", |seen| {
        seen.reader.of_type(ts::H264).len() > 25 && seen.reader.of_type(ts::AAC).len() > 25
    });
    drop(first);
    let _second = Media { video: Some(H265), audio: Some(MP3), size: SIZE, ..Media::default() }.push(&hub, PATH);
    viewer.wait(DEADLINE, "H.265 and MP3", |seen| {
        let reader = &seen.reader;
        // PIDs stay, so older packets of the PID count as the new type; what matters is that there are many more.
        reader.streams.values().eq([&ts::H265, &ts::MP3]) && reader.of_type(ts::H265).len() > 60
    });
    let seen = viewer.finish();
    assert!(seen.end.is_none_or(|end| !matches!(end, End::Broken(error) if error.contains("PID"))));
}
