//! A camera whose picture changes its size while it sends: new parameter sets within one stream. Every output goes on and tells of
//! the new size, and players show both.

mod support;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::hls::{self, Session, attributes};
use support::http::Answer;
use support::hub::Hub;
use support::process::Process;
use support::{ffmpeg, temporary, wait_for};

const PATH: &str = "/odd/sizes";
const SIZES: [&str; 2] = ["320x180", "640x360"];
const BOTH: [u32; 2] = [320, 640];
/// Seconds of one size.
const TURN: usize = 2;
/// Turns in the file, enough for all players on a busy machine.
const TURNS: usize = 40;
const DEADLINE: Duration = Duration::from_secs(70);

/// Turns of both sizes behind each other, as one elementary stream.
fn film() -> PathBuf {
    let parts = SIZES.map(|size| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=25")]);
        command.args(["-t", &TURN.to_string()]).args(ffmpeg::H264.split(' ')).args(["-f", "h264", "-"]);
        let output = command.output().expect("ffmpeg is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    });
    let file = temporary("size_change.h264");
    let turns = (0..TURNS).flat_map(|turn| parts[turn % 2].iter().copied()).collect::<Vec<_>>();
    std::fs::write(&file, turns).expect("a file can be written");
    file
}

fn push(hub: &Hub, file: &Path) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-f", "h264", "-framerate", "25", "-i"]).arg(file);
    command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", &hub.url("rtsp", PATH)]);
    Process::start(command)
}

/// Widths of the pictures that ffprobe decodes of six seconds.
fn widths(input: &str, before: &[&str]) -> BTreeSet<u32> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error"]).args(before).args(["-select_streams", "v", "-read_intervals", "%+6"]);
    command.args(["-show_frames", "-show_entries", "frame=width", "-of", "csv=p=0", "-i", input]);
    let mut process = Process::start(command);
    let (status, _) = process.wait(DEADLINE);
    let lines = process.lines();
    // Side data stands behind a comma, and an empty line behind that.
    let widths =
        lines.iter().filter(|line| !line.is_empty()).map(|line| line.split(',').next().unwrap_or_default().parse());
    let widths = widths.collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{input}: {lines:#?}"));
    assert!(status.success(), "{input}: {status} {lines:#?}");
    widths
}

/// Live MP4 begins again with the new size: what ffprobe says of each beginning.
fn check_mp4(hub: &Hub) {
    let url = format!("/streams{PATH}.mp4");
    let mut answer = Answer::to(hub.address(), "GET", &url, "HTTP/1.1", &[]).expect("an answer");
    assert_eq!(answer.status, 200);
    let mut bytes = Vec::new();
    let begins =
        |bytes: &[u8]| bytes.windows(4).enumerate().filter(|(_, w)| *w == b"ftyp").map(|(at, _)| at - 4).collect();
    let begins: Vec<usize> = wait_for(DEADLINE, "three beginnings", || {
        let mut more = vec![0; 64 << 10];
        let n = answer.read(&mut more).expect("the stream goes on");
        bytes.extend_from_slice(&more[..n]);
        Some(begins(&bytes)).filter(|begins: &Vec<usize>| begins.len() > 2)
    });
    let seen = begins.windows(2).enumerate().map(|(n, pair)| {
        let file = temporary(&format!("size_change_{n}.mp4"));
        std::fs::write(&file, &bytes[pair[0]..pair[1]]).expect("a file can be written");
        let widths = widths(file.to_str().expect("a name of our own"), &[]);
        assert_eq!(widths.len(), 1, "one size behind each beginning");
        widths
    });
    assert_eq!(seen.flatten().collect::<BTreeSet<_>>(), BTreeSet::from(BOTH));
}

/// HLS has an init section of each size, and a discontinuity between them.
fn check_hls(hub: &Hub) {
    let session = Session::begin(hub, PATH);
    let runs: Vec<_> = wait_for(DEADLINE, "two sizes", || {
        let text = session.text("");
        let runs =
            text.split("#EXT-X-DISCONTINUITY\n").filter(|run| run.contains("#EXTINF") && run.contains("#EXT-X-MAP"));
        let runs: Vec<_> = runs.map(str::to_owned).collect();
        Some(runs).filter(|runs| runs.len() > 1)
    });
    let seen = runs.iter().enumerate().map(|(n, run)| {
        let map = attributes(run, "#EXT-X-MAP", "URI").remove(0);
        let lines: Vec<_> = run.lines().collect();
        let mut pairs = lines.windows(2).filter(|pair| pair[0].starts_with("#EXTINF"));
        let segment = pairs.find_map(|pair| Some(pair[1]).filter(|line| !line.starts_with('#'))).expect("a segment");
        let file = temporary(&format!("size_change_hls_{n}.mp4"));
        let bytes = [session.fetch(&map).body, session.fetch(segment).body].concat();
        std::fs::write(&file, bytes).expect("a file can be written");
        widths(file.to_str().expect("a name of our own"), &[])
    });
    assert_eq!(seen.flatten().collect::<BTreeSet<_>>(), BTreeSet::from(BOTH));
    hls::parse(&session.text(""));
}

#[test]
fn every_output_goes_on_with_another_size() {
    let hub = Hub::start(&[], &[]);
    let file = film();
    let _push = push(&hub, &file);
    hub.wait_live(PATH);
    std::thread::scope(|scope| {
        let hub = &hub;
        for output in ["flv", "ts", "m3u8?type=ts"] {
            scope.spawn(move || {
                let input = hub.url("http", &format!("/streams{PATH}.{output}"));
                assert_eq!(widths(&input, &[]), BTreeSet::from(BOTH), "{output}");
            });
        }
        for transport in ["tcp", "udp"] {
            scope.spawn(move || {
                let seen = widths(&hub.url("rtsp", PATH), &["-rtsp_transport", transport]);
                assert_eq!(seen, BTreeSet::from(BOTH), "RTSP over {transport}");
            });
        }
        scope.spawn(move || check_mp4(hub));
        scope.spawn(move || check_hls(hub));
    });
    std::fs::remove_file(file).expect("it was made");
}
