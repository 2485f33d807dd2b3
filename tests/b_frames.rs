//! Pictures that are decoded in another order than they are shown: the hub's decode times are those that the encoder wrote
//! into the file it is pushed from, as ffprobe reads it.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::ffmpeg;
use support::hub::Hub;
use support::json::Json;
use support::process::Process;
use support::temporary;
use support::ts::{self, TsViewer};
use support::viewer::{Viewer, Way};

const DEADLINE: Duration = Duration::from_secs(90);
/// Seconds of each file, with a key frame each second.
const LENGTH: u32 = 5;
/// Of 90 kHz.
const PICTURE: i64 = 3600;

/// Name, encoder, its parameters. Open GOPs of x264 have key frames that are no IDR pictures.
const STREAMS: [(&str, &str, &str); 6] = [
    ("one", "libx264", "bframes=1:b-adapt=0:scenecut=0"),
    ("pyramid", "libx264", "bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0"),
    ("open", "libx264", "bframes=2:b-adapt=0:open-gop=1:scenecut=0"),
    ("hevc", "libx265", "bframes=2:b-adapt=0:b-pyramid=0:open-gop=0:scenecut=0:log-level=error"),
    ("hevc_four", "libx265", "bframes=4:b-adapt=0:b-pyramid=1:open-gop=0:scenecut=0:log-level=error"),
    ("hevc_open", "libx265", "bframes=4:b-adapt=0:b-pyramid=1:open-gop=1:scenecut=0:log-level=error"),
];

fn encode((name, encoder, parameters): (&str, &str, &str)) -> PathBuf {
    let file = temporary(&format!("b_frames_{name}.mp4"));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25"]);
    command.args([
        "-t",
        &LENGTH.to_string(),
        "-c:v",
        encoder,
        "-preset",
        "veryfast",
        "-g",
        "25",
        "-pix_fmt",
        "yuv420p",
    ]);
    command.args([&format!("-{}-params", &encoder[3..]), parameters]).arg(&file);
    let mut process = Process::start(command);
    let (status, _) = process.wait(DEADLINE);
    assert!(status.success(), "{name}: {:?}", process.lines());
    file
}

/// When a picture is shown and decoded, in units of 90 kHz, and whether one can begin there.
type Times = (i64, i64, bool);

fn probe(file: &Path) -> Vec<Times> {
    let seconds = |packet: &Json, name| packet.text(name).parse::<f64>().expect("a time");
    let ticks = |packet: &Json, name| (seconds(packet, name) * 90_000.0).round() as i64;
    let json = ffmpeg::probe(file);
    let packets = json.list("packets").iter();
    packets.map(|p| (ticks(p, "pts_time"), ticks(p, "dts_time"), p.text("flags").starts_with('K'))).collect()
}

/// The same from the first on.
fn relative(times: &[Times]) -> Vec<(i64, i64)> {
    times.iter().map(|(pts, dts, _)| (pts - times[0].0, dts - times[0].0)).collect()
}

/// All but the first pictures, whose decode times come before there was a time to make them of.
fn check(name: &str, seen: &[Times], source: &[Times]) {
    assert!(seen.len() > 50 && seen.windows(2).all(|pair| pair[1].1 > pair[0].1), "{name}: {seen:?}");
    assert!(seen.iter().all(|(pts, dts, _)| pts >= dts), "{name}: {seen:?}");
    let most_reordered = source.iter().map(|(pts, dts, _)| pts - dts).max().unwrap_or(0);
    assert!(most_reordered >= 2 * PICTURE, "{name} has no B-frames: {source:?}");
    let beginnings = (0..source.len()).filter(|at| source[*at].2 && source.len() - at >= seen.len());
    let near = |(a, b): (&(i64, i64), &(i64, i64))| (a.0 - b.0).abs() <= 2 && (a.1 - b.1).abs() <= 2;
    let seen = relative(seen);
    let fits = |at: &usize| seen.iter().zip(&relative(&source[*at..])).all(near);
    let fitting = beginnings.into_iter().find(fits);
    assert!(fitting.is_some(), "{name}: seen {seen:?}\nsource {:?}", relative(source));
}

#[test]
fn decode_times_are_those_of_the_encoder() {
    let hub = Hub::start(&[], &[]);
    let files = STREAMS.map(encode);
    let publishers = files.each_ref().map(|file| {
        let path = file.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(file);
        command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", &hub.url("rtsp", &format!("/{path}"))]);
        (format!("/{path}"), Process::start(command))
    });
    let viewers = publishers.each_ref().map(|(path, _)| {
        hub.wait_live(path);
        (TsViewer::watch(&hub, Way::Http, path), Viewer::record(&hub, Way::Http, &format!("{path}.flv")))
    });
    for (((path, _), file), (viewer, flv)) in publishers.iter().zip(&files).zip(viewers) {
        let source = probe(file);
        let kind = if path.contains("hevc") { ts::H265 } else { ts::H264 };
        viewer.wait(DEADLINE, path, |seen| seen.reader.of_type(kind).len() > 60 || seen.end.is_some());
        flv.wait(DEADLINE, path, |seen| {
            seen.tags.iter().filter(|tag| tag.is_picture()).count() > 60 || seen.end.is_some()
        });
        let seen = viewer.finish();
        let times: Vec<_> = seen.reader.of_type(kind).iter().map(|pes| (pes.pts, pes.dts, pes.key)).collect();
        check(&format!("{path}.ts"), &times, &source);
        let seen = flv.finish();
        let times: Vec<_> = seen.tags.iter().filter(|tag| tag.is_picture()).map(|tag| i64::from(tag.time)).collect();
        assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{path}.flv: {times:?}");
    }
    drop(publishers);
    files.iter().for_each(|file| std::fs::remove_file(file).expect("it was made"));
}
