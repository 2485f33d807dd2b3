//! Fragmented MP4 of live sources: ffmpeg and GStreamer play it, each websocket message is whole boxes, viewers are listed and
//! kicked, and one that was slow goes on at a key frame.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::camera::Camera;
use support::ffmpeg::{self, AAC, H264_B_FRAMES, H265, Media, OPUS};
use support::http::{self, Answer};
use support::hub::Hub;
use support::process::Process;
use support::websocket::{Message, WebSocket};
use support::{SOON, temporary, wait_for, wait_until};

/// What is played, in seconds.
const LENGTH: usize = 10;
/// That on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
const SIZE: &str = "320x180";
/// Media type of the demo's clip.
const CLOCK: &str = "video/mp4; codecs=\"avc1.64001f,mp4a.40.2\"";

const STREAMS: [(&str, Option<&str>, Option<&str>); 3] = [
    ("/mp4/b_frames", Some(H264_B_FRAMES), Some(AAC)),
    ("/mp4/hevc", Some(H265), Some(OPUS)),
    ("/mp4/radio", None, Some(AAC)),
];

/// Plays decoded media to nowhere; it succeeds when as much as was wanted has come.
fn gstreamer(url: &str, video: bool, audio: bool) -> Process {
    let mut command = Command::new("gst-launch-1.0");
    let mut pipeline = format!("souphttpsrc location={url} is-live=true ! qtdemux name=demux");
    if video {
        let count = 25 * LENGTH;
        pipeline += " demux.video_0 ! queue ! decodebin ! video/x-raw,width=320,height=180";
        pipeline += &format!(" ! identity eos-after={count} ! fakesink sync=false");
    }
    if audio {
        let count = 50 * LENGTH;
        pipeline += " demux.audio_0 ! queue ! decodebin ! audioconvert ! audiobuffersplit output-buffer-duration=1/50";
        pipeline += &format!(" ! identity eos-after={count} ! fakesink sync=false");
    }
    command.env("LC_ALL", "C").arg("-q").args(pipeline.split_whitespace());
    Process::start(command)
}

/// Names of the boxes that bytes are made of; panics if they are not whole.
fn boxes(mut bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        names.push(String::from_utf8_lossy(&head[4..]).into_owned());
        assert!(len >= 8 && len <= bytes.len(), "{names:?}: a box of {len} in {} bytes", bytes.len());
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty(), "{} bytes behind {names:?}", bytes.len());
    names
}

/// Reads messages until it has seen that many fragments.
fn fragments(socket: &mut WebSocket, count: usize) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut names) = (Vec::new(), Vec::new());
    let until = Instant::now() + DEADLINE;
    while names.iter().filter(|name| *name == "moof").count() < count {
        assert!(Instant::now() < until, "{} boxes", names.len());
        match socket.read().expect("a message") {
            Message::Binary(data) => {
                names.extend(boxes(&data));
                bytes.extend(data);
            }
            other => panic!("{other:?}"),
        }
    }
    (bytes, names)
}

#[test]
fn players_of_fmp4() {
    let hub = Hub::start(&[], &[]);
    let publishers: Vec<_> = STREAMS
        .iter()
        .map(|(path, video, audio)| {
            Media { video: *video, audio: *audio, size: SIZE, ..Media::default() }.push(&hub, path)
        })
        .collect();
    let players = STREAMS.map(|(path, video, audio)| {
        hub.wait_live(path);
        let url = hub.url("http", &format!("/streams{path}.mp4"));
        let ffmpeg = ffmpeg::start_decoding(&url, &["-t", &LENGTH.to_string()]);
        (path, ffmpeg, gstreamer(&url, video.is_some(), audio.is_some()))
    });
    for (path, video, audio) in STREAMS {
        let mut socket = WebSocket::open(hub.address(), &format!("/streams{path}.mp4")).expect("it is let in");
        let (bytes, names) = fragments(&mut socket, 100);
        assert_eq!(names[..2], ["ftyp", "moov"], "{path}");
        assert!(names[2..].chunks(2).all(|pair| pair == ["moof", "mdat"]), "{path}: {names:?}");
        let file = temporary(&format!("http_fmp4{}.mp4", path.replace('/', "_")));
        std::fs::write(&file, &bytes).expect("a file can be written");
        ffmpeg::decode(&file.display().to_string(), &[]);
        let probed = ffmpeg::probe(&file);
        let tracks = usize::from(video.is_some()) + usize::from(audio.is_some());
        assert_eq!(probed.list("streams").len(), tracks, "{path}");
        for track in 0..tracks {
            let packets = probed.list("packets").iter().filter(|p| p.number("stream_index") == track as f64);
            let times: Vec<_> = packets.map(|p| p.text("dts_time").parse::<f64>().expect("a time")).collect();
            assert!(times.len() > 20 && times.windows(2).all(|pair| pair[1] > pair[0]), "{path}: {times:?}");
        }
        std::fs::remove_file(&file).expect("it was written");
    }
    for (path, mut ffmpeg, mut gstreamer) in players {
        ffmpeg::finish_decoding(&mut ffmpeg, path);
        let (status, _) = gstreamer.wait(DEADLINE);
        let lines = gstreamer.lines();
        let complaints = lines.iter().filter(|line| ["ERROR", "WARN"].iter().any(|word| line.contains(word))).count();
        assert!(status.success() && complaints == 0, "GStreamer on {path}: {status} {lines:#?}");
    }
    drop(publishers);
}

#[test]
fn viewers_of_fmp4_are_listed_counted_and_kicked() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let mut socket = WebSocket::open(hub.address(), "/streams/demo/clock.mp4").expect("it is let in");
    fragments(&mut socket, 5);
    let listed = || hub.stream("/demo/clock")?.list("cs").first().cloned();
    let consumer = wait_for(SOON, "a consumer", listed);
    assert!(consumer.text("extra").starts_with("net=websocket-fmp4,127.0.0.1:"), "{consumer:?}");
    assert_eq!(consumer.text("packet_type"), "FMP4");
    assert_eq!(hub.runtime().number("fmp4/active"), 1.0);
    let id = consumer.number("id");
    assert_eq!(http::delete(hub.address(), &format!("/api/v1/streams/demo/clock:consumer?cid={id}")).status, 200);
    let ended = (0..10_000).any(|_| matches!(socket.read(), Ok(Message::Close { .. })));
    assert!(ended, "no close frame came");
    hub.wait_log(&["watched by websocket-fmp4"]);
    assert_eq!(hub.runtime().number("fmp4/active"), 0.0);

    let answer = Answer::to(hub.address(), "GET", "/streams/demo/clock.mp4", "HTTP/1.1", &[]).expect("an answer");
    let kind = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    assert_eq!((answer.status, kind.map(|(_, value)| value.as_str())), (200, Some(CLOCK)));
    // Pages for Media Source Extensions can ask what it is before they take it.
    let head = http::request(hub.address(), "HEAD", "/streams/demo/clock.mp4", &[]);
    assert_eq!((head.status, head.header("Content-Type")), (200, Some(CLOCK)));
}

/// It reads nothing until its queue is full, and then on: whole boxes, no frame of a broken GOP.
#[test]
fn a_slow_viewer_goes_on_at_a_key_frame() {
    const PATH: &str = "/mp4/wide";
    let hub = Hub::start(&[("IPCHUB_LIMITS_VIEWER_QUEUE", "16")], &[]);
    let _camera = Camera::publish(&hub, PATH, 20_000);
    hub.wait_live(PATH);
    let mut socket = WebSocket::open(hub.address(), &format!("/streams{PATH}.mp4")).expect("it is let in");
    let dropped = || hub.runtime().number("extra/viewers/dropped_chunks");
    assert!(wait_until(DEADLINE, || dropped() > 5.0), "{} chunks dropped", dropped());
    let mut numbers = Vec::new();
    let until = Instant::now() + DEADLINE;
    let gap = |numbers: &[u32]| numbers.windows(2).position(|pair| pair[1] != pair[0] + 1);
    while gap(&numbers).is_none() {
        assert!(Instant::now() < until, "no gap after {} pictures", numbers.len());
        let (bytes, _) = fragments(&mut socket, 1);
        // An opening has several pictures in a message. Their numbers stand behind the first slice's head, see the camera.
        let heads = [[0x65, 0x88, 0x84], [0x41, 0x9a, 0x84]];
        let found = bytes.windows(7).filter(|window| heads.iter().any(|head| window.starts_with(head)));
        numbers.extend(found.map(|window| window[3..].iter().fold(0, |n, byte| n << 7 | u32::from(byte & 0x7f))));
    }
    let after = numbers[gap(&numbers).expect("it was found") + 1];
    assert_eq!(after % 25, 0, "it goes on with a key frame: {numbers:?}");
}
