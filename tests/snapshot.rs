//! `<path>.mp4?snapshot`: the last key frame as a file that ends. ffmpeg decodes it, caches may keep it for a moment, it needs
//! the right to watch, and nobody's pull is begun or kept alive by it.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::process::Command;
use std::time::Instant;

use camera::routes::{hub as hub_with_routes, route, wait_state, watch};
use camera::{Camera as PulledCamera, Script};
use support::camera::Camera;
use support::ffmpeg::{self, AAC, H264_B_FRAMES, H265, Media};
use support::http::{self, Response};
use support::hub::Hub;
use support::rtsp::Rtsp;
use support::{SOON, temporary, wait_for, wait_until};

const MJPEG: &str = "-c:v mjpeg -huffman default -pix_fmt yuvj420p -q:v 5";

fn ask(hub: &Hub, path: &str) -> Response {
    http::get(hub.address(), &format!("/streams{path}.mp4?snapshot"))
}

/// The first that there is.
fn snapshot(hub: &Hub, path: &str) -> Response {
    wait_for(SOON, "a snapshot", || Some(ask(hub, path)).filter(|answer| answer.status == 200))
}

/// The picture as ffmpeg decodes it: a byte of luma a pixel.
fn decode(name: &str, body: &[u8]) -> Vec<u8> {
    let file = temporary(&format!("snapshot_{name}.mp4"));
    std::fs::write(&file, body).expect("a file can be written");
    ffmpeg::decode(&file.display().to_string(), &[]);
    let probed = ffmpeg::probe(&file);
    assert_eq!((probed.list("streams").len(), probed.list("packets").len()), (1, 1), "{name}");
    let first = &probed.list("packets")[0];
    assert!(first.text("pts_time") == "0.000000" && first.text("flags").starts_with('K'), "{name}: {first:?}");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(&file);
    let output = command.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]).output().expect("ffmpeg is there");
    std::fs::remove_file(&file).expect("it was written");
    output.stdout
}

#[test]
fn it_is_a_picture_that_ffmpeg_decodes() {
    let hub = Hub::start(&[], &[]);
    for (name, video, audio, codec) in [("avc", H264_B_FRAMES, Some(AAC), "avc1."), ("hevc", H265, None, "hvc1.")] {
        let path = format!("/snap/{name}");
        let media = Media { video: Some(video), audio, size: "320x180", ..Media::default() };
        let _publisher = media.push(&hub, &path);
        hub.wait_live(&path);
        let answer = snapshot(&hub, &path);
        let kind = answer.header("Content-Type").unwrap_or_default();
        assert!(kind.starts_with(&format!("video/mp4; codecs=\"{codec}")), "{kind}");
        assert_eq!(answer.header("Content-Length"), Some(answer.body.len().to_string().as_str()), "it ends");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
        let picture = decode(name, &answer.body);
        assert_eq!(picture.len(), 320 * 180, "{name}");
        let (dark, bright) = (picture.iter().min().copied(), picture.iter().max().copied());
        assert!(dark < Some(60) && bright > Some(180), "{name}: the test picture has {dark:?} to {bright:?}");
        let stream = hub.stream(&path).expect("it is live");
        assert!(stream.number("cc") == 0.0 && stream.list("cs").is_empty(), "nobody watches: {stream:?}");
    }
    assert_eq!(hub.runtime().number("fmp4/total"), 0.0);
}

#[test]
fn it_is_kept_for_a_moment_and_then_another() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let path = "/streams/demo/clock.mp4?snapshot=1";
    let first = snapshot(&hub, "/demo/clock");
    assert_eq!(first.header("Cache-Control"), Some("public, max-age=2"));
    let tag = first.header("ETag").expect("a tag").to_owned();
    let newer = wait_for(SOON, "a newer picture", || {
        let answer = http::request(hub.address(), "GET", path, &[("If-None-Match", &tag)]);
        assert!(answer.status == 200 || answer.status == 304 && answer.body.is_empty(), "{answer:?}");
        (answer.status == 200).then_some(answer)
    });
    assert!(newer.body != first.body && newer.header("ETag") != Some(tag.as_str()));
    let head = http::request(hub.address(), "HEAD", path, &[]);
    assert!(head.status == 200 && head.header("Content-Length").is_some(), "{head:?}");
    let part = http::request(hub.address(), "GET", path, &[("Range", "bytes=4-7")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &b"ftyp"[..]));
    let beyond = http::request(hub.address(), "GET", path, &[("Range", "bytes=99999999-")]);
    assert_eq!((beyond.status, beyond.body.len()), (416, 0));
}

#[test]
fn many_who_ask_at_once_get_the_same() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    snapshot(&hub, "/demo/clock");
    let bodies: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| ask(&hub, "/demo/clock"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it is answered")).collect()
    });
    assert!(bodies.iter().all(|answer| answer.status == 200 && answer.body.len() > 1000));
    assert_eq!(hub.runtime().number("streams/consumers"), 0.0);
}

#[test]
fn a_camera_whose_gop_is_too_long_to_keep_has_one_too() {
    const PATH: &str = "/snap/long";
    let hub = Hub::start(&[("IPCHUB_LIMITS_GOP_BYTES", "50000")], &[]);
    let camera = Camera::publish(&hub, PATH, 20_000);
    hub.wait_live(PATH);
    assert!(wait_until(SOON, || camera.sent() % 25 > 5), "pictures come");
    let answer = ask(&hub, PATH);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.body.len() > 20_000);
}

#[test]
fn who_may_not_watch_gets_none() {
    let hub = Hub::start(&[], &["--auth", "--demo"]);
    hub.wait_live("/demo/clock");
    for (name, pull) in [("bob", "/demo/*"), ("eve", "/room/*")] {
        let body = format!(r#"{{"name":"{name}","password":"w@tch","pull":"{pull}"}}"#);
        assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], &body).status, 200);
    }
    let with = |user: &str| {
        let token = http::login(hub.address(), user, "w@tch");
        http::get(hub.address(), &format!("/streams/demo/clock.mp4?snapshot&token={token}"))
    };
    assert_eq!(ask(&hub, "/demo/clock").status, 401);
    assert_eq!(with("eve").status, 403);
    let answer = wait_for(SOON, "a snapshot", || Some(with("bob")).filter(|answer| answer.status == 200));
    assert_eq!(answer.header("Cache-Control"), Some("private, max-age=2"), "not for those without the right");
}

#[test]
fn it_starts_no_pull_and_keeps_none_alive() {
    let camera = PulledCamera::start(Script::default());
    let hub = hub_with_routes("snapshot", &[("/door", camera.url("", "/live"), false)], &[("IPCHUB_PULL_IDLE", "1.5")]);
    let answer = ask(&hub, "/door");
    assert_eq!((answer.status, camera.connections()), (404, 0), "{}", answer.text());
    assert!(answer.text().contains("/door is not live"), "{}", answer.text());
    assert_eq!(route(&hub, "/door").text("status/state"), "idle");

    watch(&hub, "/door.flv", 5);
    let left = Instant::now();
    assert_eq!(snapshot(&hub, "/door").status, 200);
    let gone = wait_until(SOON, || ask(&hub, "/door").status == 404);
    assert!(gone, "who only looks at snapshots keeps the pull alive, {:?} after the last viewer", left.elapsed());
    wait_state(&hub, "/door", "idle");
    assert_eq!(camera.connections(), 1);
}

#[test]
fn where_there_is_none_the_answer_says_why() {
    let hub = Hub::start(&[], &[]);
    let publishers = [
        Media { video: None, ..Media::default() }.push(&hub, "/snap/radio"),
        Media { video: Some(MJPEG), audio: None, ..Media::default() }.push(&hub, "/snap/old"),
    ];
    // It has announced a picture and sends nothing.
    let _silent = Rtsp::publish(&hub, "/snap/silent");
    for path in ["/snap/radio", "/snap/old", "/snap/silent"] {
        assert!(wait_until(SOON, || hub.stream(path).is_some()), "{path}");
    }
    for (asked, status, reason) in [
        ("/snap/radio.mp4?snapshot", 404, "/snap/radio has no snapshot: it has no picture"),
        ("/snap/old.mp4?snapshot", 404, "/snap/old has no snapshot: the hub writes no JPEG into MP4"),
        ("/snap/silent.mp4?snapshot", 503, "/snap/silent has no snapshot: no key frame has come yet"),
        ("/snap/none.mp4?snapshot", 404, "/snap/none is not live"),
        ("/snap/old.mp4?snapshot=big", 400, "parameter snapshot: \"big\" is not 1 or 0"),
        ("/snap/radio.flv?snapshot", 400, "parameter snapshot: there is one of <path>.mp4 only"),
        ("/snap/radio.ts?snapshot=1", 400, "parameter snapshot: there is one of <path>.mp4 only"),
    ] {
        let answer = http::get(hub.address(), &format!("/streams{asked}"));
        let error = answer.text();
        assert_eq!(answer.status, status, "{asked}: {error}");
        let json: serde_json::Value = serde_json::from_str(&error).expect("an error is JSON");
        assert_eq!(json["error"], reason, "{asked}");
    }
    drop(publishers);
}
