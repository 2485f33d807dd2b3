//! Codecs that the hub keeps as RTP only: RTSP players get each whole, other outputs tell why they have none of it, and what is
//! beside it plays.

mod support;

use std::process::Command;
use std::time::Duration;

use support::ffmpeg::{self, AAC, G722, Media};
use support::hub::Hub;
use support::process::Process;
use support::{SOON, http, wait_for};

const DEADLINE: Duration = Duration::from_secs(60);
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 10 -b:v 500k -strict experimental";
/// As `rtpenc` and `rtpdec` want it: standard Huffman tables, and both quantization tables.
const MJPEG: &str = "-c:v mjpeg -huffman default -force_duplicated_matrix 1 -pix_fmt yuvj420p -q:v 5";

/// The reasons in `outputs`, in the log and in the answer to who asks for what is not there; the sound plays.
fn check_outputs(hub: &Hub, path: &str, codec: &str) {
    let stream = wait_for(SOON, path, || {
        hub.stream(path).filter(|stream| stream.at("audio").is_some() && !stream.list("outputs/hls/carries").is_empty())
    });
    let reasons = [
        ("flv", format!("FLV has no place for {codec}")),
        ("ts", format!("players of TS know no {codec}")),
        ("fmp4", format!("the hub writes no {codec} into MP4")),
        ("hls", format!("the hub writes no {codec} into MP4")),
    ];
    for (output, reason) in &reasons {
        let left = stream.list(&format!("outputs/{output}/leaves_out"));
        assert_eq!(left.len(), 1, "{path}: {stream:?}");
        assert_eq!((left[0].text("codec"), left[0].text("reason")), (codec, reason.as_str()), "{path}: {stream:?}");
        hub.wait_log(&[path, &format!("{codec} is not in {}: {reason}", output.to_uppercase())]);
    }
    for output in ["flv", "ts", "mp4", "m3u8", "m3u8?type=ts"] {
        let url = hub.url("http", &format!("/streams{path}.{output}"));
        ffmpeg::decode(&url, &["-map", "0:a", "-t", "1.5"]);
    }
}

fn push(hub: &Hub, path: &str, video: Option<&str>, audio: Option<&str>) -> Process {
    Media { video, audio, size: "320x176", ..Media::default() }.push(hub, path)
}

/// ffmpeg decodes so many pictures of that size. What it says before the first key frame is no complaint about the hub.
fn check_pictures(hub: &Hub, path: &str, transport: &str, count: usize) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "fatal", "-rtsp_transport", transport]);
    command.args(["-i", &hub.url("rtsp", path), "-map", "0:v", "-frames:v", &count.to_string()]);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-"]);
    let mut player = Process::start(command);
    let (status, _) = player.wait(DEADLINE);
    let lines = player.lines();
    let seen = lines.iter().filter(|line| line.starts_with("0,")).count();
    assert!(status.success() && seen == count, "{path} over {transport}: {status}, {seen} pictures of {count}");
    assert!(lines.contains(&"#dimensions 0: 320x176".to_owned()), "{path} over {transport}: {lines:#?}");
}

#[test]
fn vp9_beside_aac() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/vp9", Some(VP9), Some(AAC));
    check_outputs(&hub, "/rtp/vp9", "VP9");
    for transport in ["tcp", "udp"] {
        check_pictures(&hub, "/rtp/vp9", transport, 50);
    }
    assert_eq!(hub.stream("/rtp/vp9").expect("it is live").text("video/codec"), "VP9");
}

#[test]
fn jpeg_beside_aac() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/jpeg", Some(MJPEG), Some(AAC));
    check_outputs(&hub, "/rtp/jpeg", "JPEG");
    // Each picture is one to begin with: nothing may be wrong with any.
    ffmpeg::decode_with(&hub.url("rtsp", "/rtp/jpeg"), &["-rtsp_transport", "tcp"], &["-map", "0:v", "-t", "2"]);
    check_pictures(&hub, "/rtp/jpeg", "udp", 50);
}

#[test]
fn g722_alone() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/g722", None, Some(G722));
    hub.wait_live("/rtp/g722");
    ffmpeg::decode_with(&hub.url("rtsp", "/rtp/g722"), &["-rtsp_transport", "tcp"], &["-t", "2"]);
    let reasons = [
        ("flv", "FLV has no place for G722"),
        ("ts", "players of TS know no G722"),
        ("mp4", "players know no G722 in MP4"),
        ("m3u8", "players know no G722 in MP4"),
        ("m3u8?type=ts", "players of TS know no G722"),
    ];
    for (output, reason) in reasons {
        let answer = http::get(hub.address(), &format!("/streams/rtp/g722.{output}"));
        assert!(answer.status == 404 && answer.text().contains(reason), "{output}: {}", answer.text());
    }
}
