//! Codecs and framings that cameras send beside the usual: each is pushed by ffmpeg and comes out whole where it can.

mod support;

use std::process::Command;
use std::time::Duration;

use support::ffmpeg;
use support::hub::Hub;
use support::process::Process;
use support::ts::{self, TsViewer};
use support::viewer::Way;

const DEADLINE: Duration = Duration::from_secs(60);

/// A second of tone each second, so that something can be heard missing.
fn push(hub: &Hub, path: &str, options: &str) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]);
    command.args(options.split_whitespace());
    command.args(["-f", "rtsp", "-rtsp_transport", "tcp", &hub.url("rtsp", path)]);
    Process::start(command)
}

/// AAC in LATM is AAC in every output, and LATM for RTSP players.
#[test]
fn latm() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/latm", "-c:a aac -b:a 64k -rtpflags latm");
    hub.wait_live("/latm");
    let stream = hub.stream("/latm").expect("it is live");
    assert_eq!((stream.text("audio/codec"), stream.number("audio/samplerate")), ("AAC", 44_100.0));
    let viewer = TsViewer::watch(&hub, Way::Http, "/latm");
    for output in ["flv", "ts"] {
        ffmpeg::decode(&hub.url("http", &format!("/streams/latm.{output}")), &["-t", "3"]);
    }
    viewer.wait(DEADLINE, "three seconds", |seen| seen.reader.of_type(ts::AAC).len() > 3 * 43);
    let seen = viewer.finish();
    let sounds = seen.reader.of_type(ts::AAC);
    // 1024 samples each; ticks are rounded to 90 kHz.
    assert!(sounds.windows(2).all(|pair| (2089..=2091).contains(&(pair[1].dts - pair[0].dts))), "no gap");
    let mut rtsp = support::rtsp::Rtsp::connect(&hub, "/latm");
    let sdp = rtsp.request("DESCRIBE", None, &[("Accept", "application/sdp")], "").body;
    assert!(sdp.contains("MP4A-LATM/44100/1") && sdp.contains("cpresent=0"), "{sdp}");
    ffmpeg::decode_with(&hub.url("rtsp", "/latm"), &["-rtsp_transport", "tcp"], &["-t", "2"]);
}

/// MPEG audio of each layer that ffmpeg writes, and of a low rate.
#[test]
fn mpeg_audio() {
    let hub = Hub::start(&[], &[]);
    let streams = [
        ("/mp3", "-c:a libmp3lame -b:a 128k -ar 44100"),
        ("/mp3_low", "-c:a libmp3lame -b:a 32k -ar 22050"),
        ("/mp2", "-c:a mp2 -b:a 192k -ar 48000"),
    ];
    let publishers: Vec<_> = streams.iter().map(|(path, options)| push(&hub, path, options)).collect();
    for (path, _) in streams {
        hub.wait_live(path);
        let url = hub.url("http", &format!("/streams{path}.ts"));
        let mut player = ffmpeg::start_decoding(&url, &["-t", "3"]);
        ffmpeg::finish_decoding(&mut player, &url);
    }
    drop(publishers);
}
