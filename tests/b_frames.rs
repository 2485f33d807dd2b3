//! Pictures that are decoded in another order than they are shown: the hub's decode times are those that the encoder wrote
//! into the file it is pushed from, as ffprobe reads it.

mod support;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::ffmpeg;
use support::hls::{self, Session, attributes};
use support::http::Answer;
use support::hub::Hub;
use support::json::Json;
use support::process::Process;
use support::ts::{self, TsViewer};
use support::viewer::{Viewer, Way};
use support::{temporary, wait_for};

const DEADLINE: Duration = Duration::from_secs(90);
/// Seconds of each file, with a key frame each second.
const LENGTH: u32 = 12;
/// Of 90 kHz.
const PICTURE: i64 = 3600;
const MILLISECOND: i64 = 90;
/// Pictures that are compared, in each output.
const ENOUGH: usize = 60;

/// Name, encoder, its parameters. Open GOPs of x264 have key frames that are no IDR pictures.
const STREAMS: [(&str, &str, &str); 7] = [
    ("one", "libx264", "bframes=1:b-adapt=0:scenecut=0"),
    ("pyramid", "libx264", "bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0"),
    ("open", "libx264", "bframes=2:b-adapt=0:open-gop=1:scenecut=0"),
    // Fields within frames, and several slices of each.
    ("interlaced", "libx264", "tff=1:slices=4:bframes=2:b-adapt=0:scenecut=0"),
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
fn check(name: &str, seen: &[Times], source: &[Times], unit: i64) {
    assert!(seen.len() > ENOUGH - 10 && seen.windows(2).all(|pair| pair[1].1 > pair[0].1), "{name}: {seen:?}");
    assert!(seen.iter().all(|(pts, dts, _)| pts >= dts), "{name}: {seen:?}");
    let most_reordered = source.iter().map(|(pts, dts, _)| pts - dts).max().unwrap_or(0);
    assert!(most_reordered >= 2 * PICTURE, "{name} has no B-frames: {source:?}");
    let beginnings = (0..source.len()).filter(|at| source[*at].2 && source.len() - at >= seen.len());
    // The first one's times are rounded too.
    let near = |(a, b): (&(i64, i64), &(i64, i64))| (a.0 - b.0).abs() <= 2 * unit && (a.1 - b.1).abs() <= 2 * unit;
    let seen = relative(seen);
    let fits = |at: &usize| seen.iter().zip(&relative(&source[*at..])).all(near);
    let fitting = beginnings.into_iter().find(fits);
    assert!(fitting.is_some(), "{name}: seen {seen:?}\nsource {:?}", relative(source));
}

/// Live MP4 as it comes, with a fragment a picture.
fn record_mp4(hub: &Hub, path: &str) -> Vec<u8> {
    let mut answer =
        Answer::to(hub.address(), "GET", &format!("/streams{path}.mp4"), "HTTP/1.1", &[]).expect("an answer");
    let mut bytes = Vec::new();
    let fragments = |bytes: &[u8]| bytes.windows(4).filter(|name| name == b"moof").count();
    wait_for(DEADLINE, path, || {
        let mut more = vec![0; 64 << 10];
        let n = answer.read(&mut more).expect("the stream goes on");
        bytes.extend_from_slice(&more[..n]);
        (fragments(&bytes) > ENOUGH).then_some(())
    });
    // The last one may not be whole.
    let end = bytes.windows(4).rposition(|name| name == b"moof").expect("there are many") - 4;
    bytes.truncate(end);
    bytes
}

/// The first segments of HLS, behind their init section.
fn record_hls(hub: &Hub, path: &str) -> Vec<u8> {
    let session = Session::begin(hub, path);
    let text = wait_for(DEADLINE, path, || {
        let text = session.text("");
        let length: f32 = hls::parse(&text).segments.iter().map(|segment| segment.duration).sum();
        (length * 25.0 > ENOUGH as f32).then_some(text)
    });
    let map = attributes(&text, "#EXT-X-MAP", "URI").remove(0);
    let segments = hls::parse(&text).segments.into_iter().map(|segment| segment.uri).filter(|uri| !uri.is_empty());
    [map].into_iter().chain(segments).flat_map(|uri| session.fetch(&uri).body).collect()
}

/// What ffprobe reads of MP4.
fn probe_bytes(name: &str, bytes: &[u8]) -> Vec<Times> {
    let file = temporary(&format!("b_frames_{name}.out.mp4"));
    std::fs::write(&file, bytes).expect("a file can be written");
    let times = probe(&file);
    std::fs::remove_file(file).expect("it was made");
    times
}

#[test]
fn decode_times_are_those_of_the_encoder() {
    let hub = Hub::start(&[("IPCHUB_HLS_FRAGMENT", "1")], &[]);
    let files = STREAMS.map(encode);
    let publishers = files.each_ref().map(|file| {
        let path = file.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(file);
        command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", &hub.url("rtsp", &format!("/{path}"))]);
        (format!("/{path}"), Process::start(command))
    });
    thread::scope(|scope| {
        for ((path, _), file) in publishers.iter().zip(&files) {
            let hub = &hub;
            scope.spawn(move || compare(hub, path, file));
        }
    });
    drop(publishers);
    files.iter().for_each(|file| std::fs::remove_file(file).expect("it was made"));
}

/// All outputs of a stream, from when it is live.
fn compare(hub: &Hub, path: &str, file: &Path) {
    hub.wait_live(path);
    let kind = if path.contains("hevc") { ts::H265 } else { ts::H264 };
    let source = probe(file);
    thread::scope(|scope| {
        let mp4 = scope.spawn(|| record_mp4(hub, path));
        let hls = scope.spawn(|| record_hls(hub, path));
        let (ts, flv) = (TsViewer::watch(hub, Way::Http, path), Viewer::record(hub, Way::Http, &format!("{path}.flv")));
        ts.wait(DEADLINE, path, |seen| seen.reader.of_type(kind).len() > ENOUGH || seen.end.is_some());
        flv.wait(DEADLINE, path, |seen| {
            seen.tags.iter().filter(|tag| tag.is_picture()).count() > ENOUGH || seen.end.is_some()
        });
        let seen = ts.finish();
        let times: Vec<_> = seen.reader.of_type(kind).iter().map(|pes| (pes.pts, pes.dts, pes.key)).collect();
        check(&format!("{path}.ts"), &times, &source, 1);
        let seen = flv.finish();
        let pictures = seen.tags.iter().filter(|tag| tag.is_picture());
        let times: Vec<_> =
            pictures.map(|tag| (MILLISECOND * tag.pts(), MILLISECOND * i64::from(tag.time), tag.is_key())).collect();
        check(&format!("{path}.flv"), &times, &source, MILLISECOND);
        for (output, recording) in [("mp4", mp4), ("m3u8", hls)] {
            let bytes = recording.join().expect("it was recorded");
            let times = probe_bytes(&format!("{}_{output}", &path[1..]), &bytes);
            check(&format!("{path}.{output}"), &times, &source, 1);
        }
    });
}
