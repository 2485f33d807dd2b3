//! Files as sources: clips that ffmpeg made are looped in real time, every picture comes and time goes on over the seam; what
//! is wrong with a file is told in words, and nothing outside of a route's folder can be asked for.

#[allow(unreachable_pub)] // a part of the scripted camera's support; files need no camera
#[path = "support/fake_camera/routes.rs"]
mod routes;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use routes::{hub, route, wait_state, watch};
use support::ffmpeg::{self, AAC, H264, H264_B_FRAMES, H265};
use support::flv::{self, Tag};
use support::hub::Hub;
use support::json::Json;
use support::viewer::{End, Viewer, Way};
use support::{SOON, http, temporary, wait_for};

/// Pictures of a clip, 40 ms each.
const PICTURES: usize = 50;
const INTERVAL: u32 = 40;

/// A folder for one test's files.
fn folder(name: &str) -> PathBuf {
    let folder = temporary(&format!("file_{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Makes a clip of two seconds whose pictures all differ.
fn make(folder: &Path, name: &str, options: &str) -> PathBuf {
    let file = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]);
    command.args(options.split(' ').filter(|option| !option.is_empty())).arg(&file);
    let output = command.output().expect("ffmpeg is there");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    file
}

/// Presentation time in seconds and checksum of each decoded picture.
fn pictures(input: &str, options: &[&str]) -> Vec<(f64, String)> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if input.starts_with("rtsp:") {
        command.args(["-rtsp_transport", "tcp", "-timeout", "20000000"]);
    }
    command.args(["-i", input, "-map", "0:v"]).args(options);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-"]);
    let output = command.output().expect("ffmpeg is there");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffmpeg on {input}: {complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).expect("a time base").to_owned();
    let (num, den) = base.split_once('/').expect("a fraction");
    let base = num.parse::<f64>().expect("a number") / den.parse::<f64>().expect("a number");
    let picture = |line: &str| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().expect("a time") * base, fields[5].to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(picture).collect()
}

/// Plays a path by RTSP for more than two rounds: the clip's pictures come in their order, 40 ms apart.
fn check_rounds(hub: &Hub, path: &str, file: &Path) {
    let clip: Vec<_> =
        pictures(file.to_str().expect("a name of our own"), &[]).into_iter().map(|(_, sum)| sum).collect();
    assert_eq!(clip.len(), PICTURES);
    let count = 2 * PICTURES + 30;
    let played = pictures(&hub.url("rtsp", path), &["-frames:v", &count.to_string()]);
    assert_eq!(played.len(), count, "{path}");
    let number =
        |sum: &String| clip.iter().position(|known| known == sum).unwrap_or_else(|| panic!("{path}: unknown picture"));
    for pair in played.windows(2) {
        let [before, now] = [&pair[0], &pair[1]];
        assert_eq!(number(&now.1), (number(&before.1) + 1) % PICTURES, "{path}: after {} s", before.0);
    }
    // ffmpeg guesses the times of the first pictures until it has seen how they are reordered.
    for pair in played[10..].windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!((step - 0.04).abs() < 0.0011, "{path}: a step of {step} s at {} s", pair[0].0);
    }
}

/// Watches by http-flv for more than two rounds: no gap in pictures or sounds, and not faster than real time.
fn check_flv(hub: &Hub, path: &str, sound: Option<f64>) -> Vec<u8> {
    let begin = Instant::now();
    let viewer = Viewer::record(hub, Way::Http, &format!("{path}.flv"));
    viewer.wait_pictures(Duration::from_secs(60), 2 * PICTURES + 30);
    let (took, seen) = (begin.elapsed(), viewer.finish());
    flv::check(&seen.tags);
    flv::check_no_gap(&seen.tags, INTERVAL);
    let times = flv::picture_times(&seen.tags);
    let span = Duration::from_millis(u64::from(times[times.len() - 1] - times[0]));
    // The cache holds a second; what came after it took its time.
    assert!(took + Duration::from_millis(1100) > span, "{path}: {span:?} of media in {took:?}");
    if let Some(length) = sound {
        let times: Vec<_> = seen.tags.iter().filter(|tag| tag.is_sound()).map(|tag| f64::from(tag.time)).collect();
        for pair in times.windows(2) {
            // Over the seam a sound may begin up to half of one earlier or later.
            let step = pair[1] - pair[0];
            assert!(step > 0.4 * length && step < 1.6 * length, "{path}: sounds at {} and {} ms", pair[0], pair[1]);
        }
        let rate = times.len() as f64 * length / (times[times.len() - 1] - times[0]);
        assert!((0.96..1.04).contains(&rate), "{path}: {rate} of the sounds");
    }
    seen.bytes
}

#[test]
fn clips_of_every_kind_are_looped_without_a_seam() {
    let folder = folder("kinds");
    let with_sound = |video: &str, more: &str| format!("{video} {AAC} {more}");
    let files = [
        ("/plain", make(&folder, "plain.mp4", &with_sound(H264, "")), true),
        ("/fast", make(&folder, "fast.mp4", &with_sound(H264, "-movflags +faststart")), true),
        ("/b", make(&folder, "b frames.mp4", &with_sound(H264_B_FRAMES, "")), true),
        ("/bflv", make(&folder, "b.flv", &with_sound(H264_B_FRAMES, "-f flv")), true),
        ("/h265", make(&folder, "h265.mp4", &with_sound(H265, "-tag:v hvc1")), true),
        ("/hev1", make(&folder, "hev1.mov", &format!("{H265} -tag:v hev1 -an")), false),
        ("/flv", make(&folder, "clip.flv", &with_sound(H264, "-f flv")), true),
    ];
    let table: Vec<_> = files.iter().map(|(path, file, _)| (*path, url(file).replace(' ', "%20"), false)).collect();
    let hub = hub("file_kinds", &table, &[]);
    std::thread::scope(|scope| {
        for (path, file, sound) in &files {
            let hub = &hub;
            scope.spawn(move || check_rounds(hub, path, file));
            scope.spawn(move || check_flv(hub, path, sound.then_some(1024.0 / 48.0)));
        }
    });
    for (path, _, sound) in &files {
        let stream = hub.stream(path).expect("it is live");
        assert_eq!((stream.number("video/width"), stream.number("video/height")), (320.0, 180.0));
        assert_eq!(stream.at("audio/codec").is_some(), *sound, "{path}");
    }
    assert_eq!(hub.runtime().number("extra/publishers/bad_packets"), 0.0);
    let status = route(&hub, "/b");
    assert_eq!((status.text("status/state"), status.text("status/error")), ("live", ""));
    assert!(status.number("status/bytes") > 10_000.0);
    assert_eq!(hub.stream("/b").expect("it is live").text("addr"), "file:b frames.mp4");
}

#[test]
fn audio_stays_beside_the_pictures_over_the_seam() {
    let folder = folder("offset");
    let file = folder.join("flash.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-y", "-v", "error", "-f", "lavfi", "-i"]);
    command.arg("testsrc2=size=320x180:rate=25:duration=3,drawbox=color=black:t=fill:enable='gte(mod(t,1),0.2)'");
    command.args(["-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.2)':s=44100:d=3"]);
    command.args(H264_B_FRAMES.split(' ')).args(AAC.split(' ')).arg(&file);
    assert!(command.status().expect("ffmpeg is there").success());
    let hub = hub("file_offset", &[("/flash", url(&file), false)], &[]);
    let viewer = Viewer::record(&hub, Way::WebSocket, "/flash.flv");
    viewer.wait_pictures(Duration::from_secs(60), 230);
    let recording = temporary("file_flash.flv");
    std::fs::write(&recording, viewer.finish().bytes).expect("a recording can be written");
    ffmpeg::decode(recording.to_str().expect("a name of our own"), &[]);
    let (flashes, beeps) = ffmpeg::flashes_and_beeps(&recording);
    assert!(flashes.len() >= 7 && beeps.len() >= 7, "flashes at {flashes:?}, beeps at {beeps:?}");
    for flash in &flashes[1..flashes.len() - 1] {
        let offset = beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        assert!(
            offset.is_some_and(|offset| offset.abs() < 0.1),
            "the flash at {flash} s: {offset:?} s, beeps at {beeps:?}"
        );
    }
}

#[test]
fn what_the_hub_sent_it_can_play_again() {
    let folder = folder("again");
    let file = make(&folder, "first.mp4", &format!("{H264} {AAC}"));
    let copy = folder.join("copy.flv");
    let hub = hub("file_again", &[("/first", url(&file), false), ("/again/", url(&folder), false)], &[]);
    // Its times begin at a second and more.
    std::fs::write(&copy, check_flv(&hub, "/first", None)).expect("a recording can be written");
    let seen = watch(&hub, "/again/copy.flv.flv", 2 * PICTURES + 60);
    flv::check_no_gap(&seen.tags, INTERVAL);
}

#[test]
fn one_kind_of_track_alone_and_tracks_that_are_left_out() {
    let folder = folder("alone");
    let files = [
        ("/video", make(&folder, "video.mp4", &format!("{H264} -an"))),
        ("/audio", make(&folder, "audio.m4a", &format!("-vn {AAC}"))),
        ("/mp3", make(&folder, "mp3.mp4", &format!("{H264} -c:a libmp3lame"))),
        ("/two", make(&folder, "two.mp4", &format!("-map 0:v -map 1:a -map 1:a {H264} {AAC}"))),
        ("/co64", make(&folder, "long.mp4", &format!("{H264} {AAC} -movflags +use_metadata_tags"))),
    ];
    let table: Vec<_> = files.iter().map(|(path, file)| (*path, url(file), false)).collect();
    let hub = hub("file_alone", &table, &[]);
    check_flv(&hub, "/video", None);
    let audio = Viewer::record(&hub, Way::Http, "/audio.flv");
    audio.wait(SOON, "two rounds of sound", |seen| seen.tags.iter().filter(|tag| tag.is_sound()).count() > 200);
    let seen = audio.finish();
    assert!(seen.tags.iter().all(|tag| !tag.is_picture()));
    let times: Vec<_> = seen.tags.iter().filter(|tag| tag.is_sound()).map(|tag: &Tag| tag.time).collect();
    assert!(times.windows(2).all(|pair| (8..35).contains(&(pair[1] - pair[0]))), "{times:?}");
    watch(&hub, "/mp3.flv", 10);
    hub.wait_log(&["/mp3", "track 2 is left out", "0x6b"]);
    watch(&hub, "/two.flv", 10);
    let (_, described) = support::rtsp::Rtsp::play(&hub, "/two");
    assert_eq!(described.status, 200);
    let stream = hub.stream("/video").expect("it is live");
    assert!(stream.at("audio").is_none_or(|audio| *audio == Json::Null), "{stream:?}");
    watch(&hub, "/co64.flv", 10);
}

/// Asks for a path that cannot be played; gives the error's words.
fn refusal(hub: &Hub, path: &str) -> String {
    let answer = http::get(hub.address(), &format!("/streams{path}.flv"));
    assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    Json::parse(&answer.text()).text("error").to_owned()
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let folder = folder("wrong");
    let good = make(&folder, "good.mp4", &format!("{H264} {AAC} -movflags +faststart"));
    let late = make(&folder, "late.mp4", &format!("{H264} {AAC}"));
    let flv = make(&folder, "good.flv", &format!("{H264} {AAC} -f flv"));
    make(&folder, "parts.mp4", &format!("{H264} {AAC} -movflags +frag_keyframe+empty_moov"));
    make(&folder, "mpeg2.mp4", "-c:v mpeg2video -an");
    make(&folder, "sorenson.flv", "-c:v flv1 -an");
    let read = |file: &Path| std::fs::read(file).expect("it was made");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("a file can be written");
    let (whole, last, tags) = (read(&good), read(&late), read(&flv));
    write("cut.mp4", &whole[..whole.len() - 500]);
    write("unfinished.mp4", &last[..last.len() / 2]);
    write("cut.flv", &tags[..tags.len() - 30]);
    write("empty.mp4", b"");
    write("text.mp4", b"this is no film, but a text of some length");
    // An index that says it has two gigabytes, in a file that has them (and takes no place on the disk).
    let mut huge = 0x7fff_ffff_u32.to_be_bytes().to_vec();
    huge.extend_from_slice(b"moov");
    write("huge.mp4", &huge);
    let file = std::fs::OpenOptions::new().write(true).open(folder.join("huge.mp4")).expect("it was made");
    file.set_len(0x8000_0000).expect("a file with holes");
    let pipe = folder.join("pipe.mp4");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
    std::fs::create_dir(folder.join("sub")).expect("a folder can be made");

    let hub = hub("file_wrong", &[("/f/", url(&folder), false), ("/exact", url(&folder.join("no.mp4")), true)], &[]);
    for (path, words) in [
        ("/f/missing.mp4", "missing.mp4: No such file"),
        ("/f/sub", "sub: it is a folder, not a file"),
        ("/f/pipe.mp4", "pipe.mp4: it is a device, a pipe or a socket"),
        ("/f/text.mp4", "text.mp4: it is neither MP4 nor FLV"),
        ("/f/empty.mp4", "empty.mp4: it is empty"),
        ("/f/cut.mp4", "cut.mp4: it is cut off: the frame at byte"),
        ("/f/unfinished.mp4", "unfinished.mp4: the box mdat at byte"),
        ("/f/cut.flv.flv", "cut.flv: FLV tag at byte"),
        ("/f/parts.mp4", "parts.mp4: a fragmented MP4"),
        ("/f/mpeg2.mp4", "mpeg2.mp4: it has no H.264, H.265 or AAC"),
        ("/f/sorenson.flv.flv", "video of codec 2"),
        ("/f/huge.mp4", "has 2147483647 bytes"),
    ] {
        let told = refusal(&hub, path.strip_suffix(".flv").unwrap_or(path));
        assert!(told.contains(words), "{path}: {told}");
        assert!(
            !told.contains(folder.to_str().expect("a name of our own")),
            "viewers need not know the folder: {told}"
        );
        assert_eq!(route(&hub, "/f/").text("status/state"), "waiting");
    }
    let kept = wait_state(&hub, "/exact", "waiting");
    assert!(kept.text("status/error").contains("no.mp4: No such file"), "{kept:?}");
    // It comes: the route finds it by itself.
    std::fs::copy(&good, folder.join("no.mp4")).expect("a copy");
    wait_state(&hub, "/exact", "live");
    watch(&hub, "/f/good.mp4.flv", 10);
}

#[test]
fn nothing_outside_of_the_folder_can_be_asked_for() {
    let base = folder("escape");
    let inside = base.join("clips");
    std::fs::create_dir_all(inside.join("Sub")).expect("a folder can be made");
    let secret = make(&base, "secret.mp4", &format!("{H264} -an"));
    std::fs::copy(&secret, inside.join("Sub/Good.mp4")).expect("a copy");
    std::fs::copy(&secret, inside.join(".hidden.mp4")).expect("a copy");
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, inside.join(name)).expect("a link");
    link(&secret, "link.mp4");
    link(&base, "up");
    link(Path::new("Sub/Good.mp4"), "fine.mp4");
    let hub = hub("file_escape", &[("/f/", url(&inside), false)], &[]);
    for path in [
        "/f/../secret.mp4",
        "/f/..%2fsecret.mp4",
        "/f/%2e%2e/secret.mp4",
        "/f/%2e%2e%2fsecret.mp4",
        "/f/..%252fsecret.mp4",
        "/f/%252e%252e/secret.mp4",
        "/f/..%5csecret.mp4",
        "/f/..\\secret.mp4",
        "/f/Sub/../../secret.mp4",
        "/f/Sub/..%2f..%2fsecret.mp4",
        "/f//../secret.mp4",
        "/f/.../secret.mp4",
        "/f/link.mp4",
        "/f/up/secret.mp4",
        "/f/up/clips/Sub/../../secret.mp4",
        "/f/.hidden.mp4",
        "/f/secret.mp4%00.mp4",
        "/f/%c0%ae%c0%ae/secret.mp4",
    ] {
        let answer = http::get(hub.address(), &format!("/streams{path}.flv"));
        assert!(matches!(answer.status, 400 | 404 | 502), "{path}: {} {}", answer.status, answer.text());
        let mut rtsp = support::rtsp::Rtsp::connect(&hub, path);
        let reply = rtsp.request("DESCRIBE", None, &[("Accept", "application/sdp")], "");
        assert!(reply.status >= 400, "{path}: {}", reply.status);
    }
    // What a link inside names, and the case that was asked for.
    watch(&hub, "/f/Sub/Good.mp4.flv", 5);
    watch(&hub, "/F/fine.mp4.flv", 5);
    watch(&hub, "/f/up/clips/Sub/Good.mp4.flv", 5);
}

#[test]
fn a_file_that_changes_is_played_anew() {
    let folder = folder("change");
    let first = make(&folder, "sign.mp4", &format!("{H264} {AAC}"));
    let second = make(&folder, "next.mp4", &format!("{H264} {AAC} -s 160x90"));
    let hub = hub("file_change", &[("/sign", url(&first), false)], &[]);
    let viewer = Viewer::record(&hub, Way::Http, "/sign.flv");
    viewer.wait_pictures(SOON, 20);
    std::fs::rename(&second, &first).expect("it takes the other's place");
    hub.wait_log(&["/sign", "sign.mp4: it was changed while it was played"]);
    // The viewer stays and sees the new one.
    wait_for(SOON, "the new size", || hub.stream("/sign").filter(|stream| stream.number("video/width") == 160.0));
    let before = viewer.count();
    viewer.wait(SOON, "more of the new clip", |seen| seen.tags.len() > before + 50);
    // Cut off while it plays: an error, and another try, until it is whole again.
    let whole = std::fs::read(&first).expect("it is there");
    std::fs::write(&first, &whole[..whole.len() / 2]).expect("it can be cut");
    let told = wait_for(SOON, "the error of the cut file", || {
        let route = route(&hub, "/sign");
        route.text("status/error").contains("cut off").then_some(route)
    });
    assert!(told.number("status/retries") >= 2.0, "{told:?}");
    std::fs::write(&first, &whole).expect("it can be written");
    wait_state(&hub, "/sign", "live");
    let count = viewer.count();
    viewer.wait(SOON, "the repaired clip", |seen| seen.tags.len() > count + 50);
    let seen = viewer.finish();
    assert!(!matches!(seen.end, Some(End::Close { .. } | End::Complete)), "{:?}", seen.end);
    flv::check(&seen.tags);
}

#[test]
fn keepalive_and_idle_are_those_of_cameras() {
    let folder = folder("idle");
    let file = make(&folder, "a.mp4", &format!("{H264} {AAC}"));
    let table = [("/kept", url(&file), true), ("/asked", url(&file), false)];
    let hub = hub("file_idle", &table, &[("IPCHUB_PULL_IDLE", "1")]);
    wait_state(&hub, "/kept", "live");
    assert_eq!(route(&hub, "/asked").text("status/state"), "idle");
    watch(&hub, "/asked.flv", 5);
    wait_state(&hub, "/asked", "idle");
    assert_eq!(route(&hub, "/kept").text("status/state"), "live");
    // A long pause between pictures is no stall: one picture in four seconds.
    drop(hub);
    let slow = folder.join("slow.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=1/4:duration=12"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "1"]).arg(&slow);
    assert!(command.status().expect("ffmpeg is there").success());
    let hub = routes::hub("file_slow", &[("/slow", url(&slow), false)], &[("IPCHUB_PULL_STALL", "1")]);
    let viewer = Viewer::record(&hub, Way::Http, "/slow.flv");
    viewer.wait_pictures(SOON, 3);
    assert_eq!(route(&hub, "/slow").number("status/retries"), 0.0);
}
