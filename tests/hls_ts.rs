//! Classic HLS with MPEG-TS, `?type=ts`: ffmpeg and GStreamer play it, m3u8-rs and ffprobe read every playlist and segment.

mod support;

use std::process::Command;
use std::time::Duration;

use support::ffmpeg::{AAC, H264, H264_B_FRAMES, H265, MP3, Media, OPUS, PCMA};
use support::hls::{self, Session};
use support::hub::Hub;
use support::process::Process;
use support::{SOON, gstreamer, http, temporary, wait_for};

const DEADLINE: Duration = Duration::from_secs(120);
/// Seconds.
const LENGTH: u32 = 20;
const CAM: &str = "/room/cam";
const FRAME: f64 = 0.04;

fn media(video: Option<&'static str>, audio: Option<&'static str>) -> Media<'static> {
    Media { video, audio, size: "320x180", ..Media::default() }
}

fn begin<'a>(hub: &'a Hub, path: &str) -> Session<'a> {
    Session::begin_with(hub, path, "?type=ts")
}

/// Waits until playlists list so many segments.
fn wait_segments(session: &Session<'_>, count: usize) -> String {
    wait_for(SOON, "segments", || {
        let text = session.text("");
        (text.matches("#EXTINF").count() >= count).then_some(text)
    })
}

fn probe(file: &std::path::Path, what: &[&str]) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "csv=p=0"]).args(what).arg(file);
    let output = command.output().expect("ffprobe is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn ffmpeg_plays_every_codec() {
    let hub = Hub::start(&[], &[]);
    let cases = [
        ("/h264", media(Some(H264), Some(AAC)), "avc1.", 2),
        ("/b-frames", media(Some(H264_B_FRAMES), None), "avc1.", 1),
        ("/h265", media(Some(H265), Some(PCMA)), "hvc1.", 1),
        ("/mp3", media(Some(H264), Some(MP3)), "avc1.", 2),
        ("/aac", media(None, Some(AAC)), "mp4a.40.2", 1),
    ];
    let pushes: Vec<_> = cases.iter().map(|(path, media, ..)| media.push(&hub, path)).collect();
    let players = cases.iter().map(|(path, media, codecs, tracks)| {
        hub.wait_live(path);
        let variant = hls::multivariant(&hub, path, "?type=ts").variants.remove(0);
        let named = variant.codecs.unwrap_or_default();
        assert!(named.starts_with(codecs) && named.split(',').count() == *tracks, "{path}: {named}");
        assert_eq!(variant.resolution.map(|r| (r.width, r.height)), media.video.map(|_| (320, 180)), "{path}");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-v", "level+warning", "-i"]);
        command.args([&hub.url("http", &format!("/streams{path}.m3u8?type=ts")), "-t", &LENGTH.to_string()]);
        command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-"]);
        (path, Process::start(command), *tracks)
    });
    for (path, mut player, tracks) in players.collect::<Vec<_>>() {
        let (status, _) = player.wait(DEADLINE);
        let lines = player.lines();
        let complaints: Vec<_> =
            lines.iter().filter(|line| line.contains("[warning]") || line.contains("[error]")).collect();
        assert!(status.success() && complaints.is_empty(), "{path}: {status} {complaints:#?}");
        for track in 0..tracks {
            let base = format!("#tb {track}: ");
            let base = lines.iter().find_map(|line| line.strip_prefix(&base)).expect("a time base");
            let (num, den) = base.split_once('/').expect("a fraction");
            let unit = num.parse::<f64>().expect("a number") / den.parse::<f64>().expect("a number");
            let rows = lines.iter().filter(|line| line.starts_with(&format!("{track},")));
            let times: Vec<_> = rows.filter_map(|row| row.split(',').nth(2)?.trim().parse::<f64>().ok()).collect();
            let steps = times.windows(2).map(|pair| (pair[1] - pair[0]) * unit);
            let worst = steps.fold((f64::MAX, 0.0_f64), |(least, most), step| (least.min(step), most.max(step)));
            assert!(worst.0 > 0.0 && worst.1 < 0.1, "{path}: track {track}: steps of {worst:?} s");
            let span = (times[times.len() - 1] - times[0]) * unit;
            assert!(span > f64::from(LENGTH) - 1.5, "{path}: track {track} has {span} s");
        }
    }
    drop(pushes);
}

#[test]
fn gstreamer_plays() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), Some(AAC)).push(&hub, CAM);
    hub.wait_live(CAM);
    gstreamer::play_hls(&hub.url("http", &format!("/streams{CAM}.m3u8?type=ts")), LENGTH);
}

#[test]
fn playlists_and_media_say_the_same() {
    let hub = Hub::start(&[("IPCHUB_HLS_WINDOW", "4")], &[]);
    let _push = media(Some(H264), Some(AAC)).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = begin(&hub, CAM);
    wait_segments(&session, 4);
    // The second segment of all begins within the GOP that was cached; later ones begin with key frames.
    let text = wait_for(SOON, "independent segments", || {
        Some(session.text("")).filter(|text| text.contains("#EXT-X-INDEPENDENT-SEGMENTS"))
    });
    for word in ["#EXT-X-PART", "#EXT-X-PRELOAD", "#EXT-X-MAP", "#EXT-X-SERVER-CONTROL", ".m4s"] {
        assert!(!text.contains(word), "{text}");
    }
    let playlist = hls::parse(&text);
    assert_eq!((playlist.version, playlist.segments.len()), (Some(3), 4), "{text}");
    let mut all = Vec::new();
    let mut end: Option<f64> = None;
    for (n, segment) in playlist.segments.iter().enumerate() {
        assert!(f64::from(segment.duration).round() as u64 <= playlist.target_duration, "{text}");
        assert!(segment.program_date_time.is_some() && !segment.discontinuity, "{text}");
        let answer = session.fetch(&segment.uri);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("video/mp2t")));
        assert!(answer.body.len().is_multiple_of(188) && answer.body.chunks(188).all(|packet| packet[0] == 0x47));
        // The tables are first, so that each can be played alone; then a key frame.
        assert_eq!((answer.body[1] & 0x1f, answer.body[2], answer.body[188 + 1] & 0x1f), (0, 0, 0x10), "PAT, PMT");
        let file = temporary(&format!("hls-ts-{}-{n}.ts", hub.address().port()));
        std::fs::write(&file, &answer.body).expect("a file can be written");
        let rows = probe(&file, &["-select_streams", "v", "-show_entries", "packet=dts_time,flags"]);
        let pictures: Vec<(f64, bool)> = rows
            .lines()
            .filter_map(|row| {
                let (time, flags) = row.split_once(',')?;
                Some((time.parse().ok()?, flags.starts_with('K')))
            })
            .collect();
        assert!(pictures.first().is_some_and(|(_, key)| *key), "{rows}");
        let duration = pictures.len() as f64 * FRAME;
        assert!((duration - f64::from(segment.duration)).abs() < FRAME, "{duration} for {}", segment.duration);
        if let Some(end) = end {
            assert!((pictures[0].0 - end).abs() < FRAME / 2.0, "{} after {end}", pictures[0].0);
        }
        end = pictures.last().map(|(time, _)| time + FRAME);
        all.extend(answer.body);
    }
    // One after the other they are one stream: ffmpeg says where a counter is wrong.
    let file = temporary(&format!("hls-ts-{}.ts", hub.address().port()));
    std::fs::write(&file, all).expect("a file can be written");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-i"]).arg(&file).args(["-f", "null", "-"]);
    let output = command.output().expect("ffmpeg is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn each_kind_counts_for_itself_and_says_why_not() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), Some(OPUS)).push(&hub, CAM);
    let _sound = media(None, Some(OPUS)).push(&hub, "/room/opus");
    hub.wait_live(CAM);
    hub.wait_live("/room/opus");
    let (ts, fmp4) = (begin(&hub, CAM), Session::begin(&hub, CAM));
    wait_segments(&ts, 2);
    wait_segments(&fmp4, 2);
    let consumers = || hub.stream(CAM).expect("it is live").list("cs").len();
    assert_eq!(consumers(), 2);
    let uri = hls::parse(&ts.text("")).segments[0].uri.clone();
    // A player that puts addresses together itself has no session: those of one address are one player.
    let plain = ts.address(&uri).split('?').next().expect("a path").to_owned();
    for _ in 0..2 {
        assert_eq!(http::get(hub.address(), &plain).status, 200, "{plain}");
    }
    assert_eq!(consumers(), 3);
    let refused = http::get(hub.address(), "/streams/room/opus.m3u8?type=ts");
    assert!(refused.status == 404 && refused.text().contains("know no OPUS"), "{} {}", refused.status, refused.text());
    let wrong = http::get(hub.address(), &format!("/streams{CAM}.m3u8?type=avi"));
    assert!(wrong.status == 400 && wrong.text().contains("type"), "{}", wrong.text());
    for name in ["1000000000.ts", "99999999999999999999.ts"] {
        let missing = http::get(hub.address(), &format!("/streams{CAM}/{name}"));
        assert_eq!(missing.status, 404, "{name}: {}", missing.text());
    }
}

#[test]
fn another_publisher_is_a_discontinuity() {
    let hub = Hub::start(&[], &[]);
    let first = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = begin(&hub, CAM);
    wait_segments(&session, 2);
    drop(first);
    let _second = Media { size: "160x120", ..media(Some(H264), None) }.push(&hub, CAM);
    let text = wait_for(SOON, "a discontinuity", || {
        let text = session.text("");
        let (_, after) = text.split_once("#EXT-X-DISCONTINUITY\n")?;
        after.contains("#EXTINF").then(|| text.clone())
    });
    let uri = text.lines().rfind(|line| line.contains(".ts")).expect("a segment");
    let file = temporary(&format!("hls-ts-second-{}.ts", hub.address().port()));
    std::fs::write(&file, session.fetch(uri).body).expect("a file can be written");
    assert!(probe(&file, &["-show_entries", "stream=width,height"]).contains("160,120"), "{text}");
}
