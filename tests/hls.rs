//! Low-latency HLS with fragmented MP4: ffmpeg and GStreamer play it, m3u8-rs and ffprobe read every playlist and segment.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::ffmpeg::{AAC, H264, H264_B_FRAMES, H265, Media, OPUS, PCMA};
use support::hls::{self, Session, attributes, seconds};
use support::hub::Hub;
use support::process::Process;
use support::{SOON, ffmpeg, gstreamer, http, temporary, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(120);
/// Seconds.
const LENGTH: u32 = 20;
const CAM: &str = "/room/cam";
const FRAME: f64 = 0.04;

fn media(video: Option<&'static str>, audio: Option<&'static str>) -> Media<'static> {
    Media { video, audio, size: "320x180", ..Media::default() }
}

fn start_ffmpeg(hub: &Hub, path: &str) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "level+warning"]);
    command.args(["-i", &hub.url("http", &format!("/streams{path}.m3u8")), "-t", &LENGTH.to_string()]);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-"]);
    Process::start(command)
}

fn finish_ffmpeg(what: &str, mut player: Process, tracks: usize) {
    let (status, _) = player.wait(DEADLINE);
    let lines = player.lines();
    // It reads the init section again with each playlist, and says so.
    let complaints: Vec<_> =
        lines.iter().filter(|line| line.contains('[') && !line.contains("duplicated MOOV Atom")).collect();
    assert!(status.success() && complaints.is_empty(), "{what}: {status} {complaints:#?}");
    for track in 0..tracks {
        let base = format!("#tb {track}: ");
        let base = lines.iter().find_map(|line| line.strip_prefix(&base)).expect("a time base");
        let (num, den) = base.split_once('/').expect("a fraction");
        let unit = num.parse::<f64>().expect("a number") / den.parse::<f64>().expect("a number");
        let rows = lines.iter().filter(|line| line.starts_with(&format!("{track},")));
        let times: Vec<_> = rows.filter_map(|row| row.split(',').nth(2)?.trim().parse::<f64>().ok()).collect();
        let span = (times[times.len() - 1] - times[0]) * unit;
        assert!(span > f64::from(LENGTH) - 1.5, "{what}: track {track} has {span} s");
        let steps = times.windows(2).map(|pair| (pair[1] - pair[0]) * unit);
        let worst = steps.fold((f64::MAX, 0.0_f64), |(least, most), step| (least.min(step), most.max(step)));
        assert!(worst.0 > 0.0 && worst.1 < 0.1, "{what}: track {track}: steps of {worst:?} s");
    }
}

#[test]
fn ffmpeg_plays_every_codec() {
    let hub = Hub::start(&[], &[]);
    let cases = [
        ("/h264", media(Some(H264), Some(AAC)), "avc1.", 2),
        ("/b-frames", media(Some(H264_B_FRAMES), None), "avc1.", 1),
        ("/h265", media(Some(H265), Some(PCMA)), "hvc1.", 1),
        ("/aac", media(None, Some(AAC)), "mp4a.40.2", 1),
        ("/opus", media(None, Some(OPUS)), "opus", 1),
    ];
    let pushes: Vec<_> = cases.iter().map(|(path, media, ..)| media.push(&hub, path)).collect();
    let players = cases.iter().map(|(path, media, codecs, tracks)| {
        hub.wait_live(path);
        let variant = hls::multivariant(&hub, path, "").variants.remove(0);
        let named = variant.codecs.unwrap_or_default();
        assert!(named.starts_with(codecs) && named.split(',').count() == *tracks, "{path}: {named}");
        assert_eq!(variant.resolution.map(|r| (r.width, r.height)), media.video.map(|_| (320, 180)), "{path}");
        assert!(variant.frame_rate.is_none_or(|rate| (rate - 25.0).abs() < 0.01), "{path}: {:?}", variant.frame_rate);
        assert!(variant.bandwidth > 1000 && variant.average_bandwidth <= Some(variant.bandwidth), "{path}");
        (path, start_ffmpeg(&hub, path), *tracks)
    });
    for (path, player, tracks) in players.collect::<Vec<_>>() {
        finish_ffmpeg(path, player, tracks);
    }
    drop(pushes);
}

/// It is the first to watch: a playlist of one segment, as the first of all is, would make it lose its place.
#[test]
fn gstreamer_plays() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), Some(AAC)).push(&hub, CAM);
    hub.wait_live(CAM);
    gstreamer::play_hls(&hub.url("http", &format!("/streams{CAM}.m3u8")), LENGTH);
}

/// Waits until playlists list so many segments.
fn wait_segments(session: &Session<'_>, count: usize) -> String {
    wait_for(SOON, "segments", || {
        let text = session.text("");
        (text.matches("#EXTINF").count() >= count).then_some(text)
    })
}

#[test]
fn playlists_and_media_say_the_same() {
    let hub = Hub::start(&[("IPCHUB_HLS_WINDOW", "4")], &[]);
    let _push = media(Some(H264), Some(AAC)).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let text = wait_segments(&session, 4);
    let playlist = hls::parse(&text);
    assert_eq!(playlist.version, Some(9));
    let map = attributes(&text, "#EXT-X-MAP", "URI").remove(0);
    let init = session.fetch(&map);
    assert_eq!((init.status, init.header("Content-Type")), (200, Some("video/mp4")), "{map}");
    let target = attributes(&text, "#EXT-X-PART-INF", "PART-TARGET")[0].parse::<f64>().expect("seconds");
    let lengths = seconds(&attributes(&text, "#EXT-X-PART", "DURATION"));
    assert!(lengths.iter().all(|length| *length <= target && *length > 0.0), "{target}: {lengths:?}");
    let mut ends: Option<(f64, f64)> = None;
    for segment in &playlist.segments {
        assert!(segment.duration.round() as u64 <= playlist.target_duration, "{text}");
        assert!(segment.program_date_time.is_some(), "{text}");
        let body = session.fetch(&segment.uri).body;
        let file = temporary(&format!("hls-{}-{}.mp4", hub.address().port(), segment.uri.len()));
        std::fs::write(&file, [&init.body[..], &body].concat()).expect("a file");
        let probed = ffmpeg::probe(&file);
        let times = |track: f64| {
            let packets = probed.list("packets").iter().filter(move |packet| packet.number("stream_index") == track);
            packets.map(|p| (p.text("dts_time").parse().expect("s"), p.text("duration_time").parse().expect("s")))
        };
        let video: Vec<(f64, f64)> = times(0.0).collect();
        let length: f64 = video.iter().map(|(_, duration)| duration).sum();
        assert!((length - f64::from(segment.duration)).abs() < 0.001, "{length} {}", segment.duration);
        assert!(times(1.0).count() > 0, "there is sound in each segment");
        // Nothing is missing between two segments.
        if let Some((dts, duration)) = ends {
            assert!((dts + duration - video[0].0).abs() < 0.001, "{ends:?} {:?}", video[0]);
        }
        ends = video.last().copied();
        let name = segment.uri.split(".m4s").next().expect("a name");
        let parts = attributes(&text, "#EXT-X-PART", "URI");
        let parts: Vec<_> = parts.iter().filter(|part| part.starts_with(&format!("{name}."))).collect();
        let joined: Vec<u8> = parts.iter().flat_map(|part| session.fetch(part).body).collect();
        assert!(parts.is_empty() || joined == body, "{name}: its parts are not the whole");
    }
}

/// The dates of segments go with the wall clock.
#[test]
fn durations_are_those_of_the_clock() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let playlist = hls::parse(&wait_segments(&session, 5));
    let dates: Vec<_> = playlist.segments.iter().filter_map(|segment| segment.program_date_time).collect();
    let sum: f64 = playlist.segments[..dates.len() - 1].iter().map(|segment| f64::from(segment.duration)).sum();
    let wall = (dates[dates.len() - 1] - dates[0]).num_milliseconds() as f64 / 1000.0;
    // The camera is ffmpeg, whose frames leave when they are ready; dates follow it slowly.
    assert!((sum - wall).abs() <= FRAME, "{sum} s of segments in {wall} s");
}

#[test]
fn reloads_wait_for_what_comes() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let next = session.next();
    let answer = session.ask(&format!("&_HLS_msn={next}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&format!("/{next}.m4s?")), "{}", answer.text());
    let text = session.text(&format!("&_HLS_msn={}&_HLS_part=1", next + 1));
    assert!(text.contains(&format!("/{}.1.m4s?", next + 1)), "{text}");
    // A part beyond the last of a segment is the first of the next one.
    let text = session.text(&format!("&_HLS_msn={next}&_HLS_part=1000"));
    assert!(text.contains(&format!("/{}.0.m4s?", next + 1)), "{text}");
    // The part that is hinted at is sent once it is there. A segment may end before it; then there is none.
    let (hint, part) = (0..10)
        .find_map(|_| {
            let hint = attributes(&session.text(""), "#EXT-X-PRELOAD-HINT", "URI").remove(0);
            let part = session.fetch(&hint);
            assert!([200, 404].contains(&part.status), "{hint}: {}", part.status);
            (part.status == 200).then_some((hint, part))
        })
        .expect("no segment ends in between ten times");
    assert_eq!(part.body[4..8], *b"moof", "{hint}");
    let parts = attributes(&session.text(""), "#EXT-X-PART", "URI");
    assert!(parts.contains(&hint) && session.fetch(&hint).body == part.body, "{hint} is not in {parts:?}");
    for (query, status) in [
        (format!("&_HLS_msn={}", next + 1000), 400),
        ("&_HLS_part=1".into(), 400),
        ("&_HLS_msn=x".into(), 400),
        ("&_HLS_msn=-1".into(), 400),
        ("&_HLS_skip=maybe".into(), 400),
        ("&_HLS_msn=1".into(), 200),
    ] {
        assert_eq!(session.ask(&query).status, status, "{query}");
    }
}

#[test]
fn a_delta_update_leaves_out_what_is_known() {
    let hub = Hub::start(&[("IPCHUB_HLS_FRAGMENT", "1"), ("IPCHUB_HLS_WINDOW", "12")], &[]);
    let _push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    wait_segments(&session, 9);
    let (delta, whole) = (session.text("&_HLS_skip=YES"), session.text(""));
    let skipped = attributes(&delta, "#EXT-X-SKIP", "SKIPPED-SEGMENTS")[0].parse::<usize>().expect("a number");
    assert!(skipped > 0 && delta.len() < whole.len(), "{delta}");
    assert_eq!(delta.matches("#EXTINF").count() + skipped, hls::parse(&whole).segments.len(), "{delta}\n{whole}");
}

#[test]
fn another_size_is_a_discontinuity_with_its_own_init_section() {
    let hub = Hub::start(&[], &[]);
    let _first = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let _second = Media { size: "640x360", ..media(Some(H264), None) }.push(&hub, CAM);
    let text = wait_for(SOON, "a discontinuity", || {
        let text = session.text("");
        let after = text.split("#EXT-X-DISCONTINUITY\n").nth(1)?.to_owned();
        after.contains("#EXTINF").then_some(after)
    });
    let map = attributes(&text, "#EXT-X-MAP", "URI").remove(0);
    let segment = text.lines().find(|line| !line.starts_with('#')).expect("a segment");
    let file = temporary("hls-second.mp4");
    std::fs::write(&file, [session.fetch(&map).body, session.fetch(segment).body].concat()).expect("a file");
    assert_eq!(ffmpeg::probe(&file).list("streams")[0].number("width"), 640.0);
}

#[test]
fn players_are_consumers_and_the_work_ends_with_the_last() {
    let hub = Hub::start(&[("IPCHUB_HLS_IDLE", "2")], &[]);
    let _push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let [kicked, stays] = [Session::begin(&hub, CAM), Session::begin(&hub, CAM)];
    assert_eq!(hub.stream(CAM).expect("it is live").number("cc"), 0.0, "who only asks what there is does not watch");
    let segment = wait_segments(&kicked, 1).lines().find(|line| !line.starts_with('#')).expect("one").to_owned();
    let sent = kicked.fetch(&segment).body.len();
    let watching = hub.stream(CAM).expect("it is live");
    assert_eq!((watching.number("cc"), watching.list("cs")[0].text("packet_type")), (1.0, "HLS"));
    assert!(watching.list("cs")[0].number("flow/outbytes") >= (sent / 1024) as f64, "{watching:?}");
    stays.text("");
    // It waits when it is kicked.
    let id = watching.list("cs")[0].number("id");
    let awaited = format!("&_HLS_msn={}", kicked.next() + 1);
    let waiting = std::thread::scope(|scope| {
        let waits = scope.spawn(|| kicked.ask(&awaited));
        let begin = Instant::now();
        http::delete(hub.address(), &format!("/api/v1/streams{CAM}:consumer?cid={id}"));
        let gone = wait_until(SOON, || hub.stream(CAM).is_some_and(|stream| stream.number("cc") == 1.0));
        assert!(gone, "kicked {:?} ago", begin.elapsed());
        waits.join().expect("an answer")
    });
    assert!(waiting.status == 410 || waiting.status == 200, "{}", waiting.status);
    assert_eq!((kicked.ask("").status, kicked.fetch(&segment).status), (410, 410));
    hub.wait_log(&[CAM, "hls ended: nobody watches"]);
    assert_eq!(hub.runtime().number("hls/active"), 0.0);
    assert_eq!(stays.fetch(&segment).status, 404, "nothing is kept for nobody");
    // Who comes back begins the work again, with later numbers.
    let number =
        |uri: &str| uri.split(['/', '.']).filter_map(|part| part.parse::<u64>().ok()).next().expect("a number");
    let again = wait_segments(&stays, 1);
    let first = again.lines().find(|line| !line.starts_with('#')).expect("one");
    assert!(number(first) > number(&segment), "{first} after {segment}");
}

#[test]
fn a_session_has_a_bound_of_waiting_requests() {
    let hub = Hub::start(&[], &[]);
    // A key frame in ten seconds: the next segment is far away.
    let slow = "-c:v libx264 -preset ultrafast -g 250 -pix_fmt yuv420p";
    let _push = media(Some(slow), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let far = format!("&_HLS_msn={}", session.next() + 1);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..40).map(|_| scope.spawn(|| session.ask(&far).status)).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(count(429), 32, "{answers:?}");
    assert_eq!(count(503) + count(200), 8, "{answers:?}");
    assert_eq!(session.ask("").status, 200);
}

#[test]
fn answers_are_fit_for_caches() {
    let hub = Hub::start(&[], &[]);
    let _push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    let text = wait_segments(&session, 2);
    let segment = text.lines().find(|line| !line.starts_with('#')).expect("one");
    let whole = session.fetch(segment);
    let tag = whole.header("ETag").expect("a tag");
    assert_eq!(whole.header("Access-Control-Allow-Origin"), Some("*"));
    assert!(whole.header("Cache-Control").is_some_and(|cache| cache.contains("immutable")), "{:?}", whole.headers);
    let known = session.fetch_with(segment, &[("If-None-Match", tag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let part = session.fetch_with(segment, &[("Range", "bytes=10-19")]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("Content-Range"), Some(&*format!("bytes 10-19/{}", whole.body.len())));
    assert_eq!(session.fetch_with(segment, &[("Range", "bytes=999999999-")]).status, 416);
    let other = session.fetch_with(segment, &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.body.len()), (200, whole.body.len()));
    let packed = http::request(hub.address(), "GET", &session.playlist, &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    assert_eq!(packed.body[..2], [0x1f, 0x8b]);
    let head = http::request(hub.address(), "HEAD", &session.address(segment), &[]);
    assert_eq!(head.header("Content-Length"), Some(&*whole.body.len().to_string()));
    let map = attributes(&text, "#EXT-X-MAP", "URI").remove(0);
    let init = session.fetch_with(&map, &[("Range", "bytes=4-7")]);
    assert_eq!((init.status, &init.body[..]), (206, &b"ftyp"[..]));
    for wrong in ["x.m4s", "1.m4s", "99999999999.m4s", "init1.m4s", "1.1.m4s"] {
        let query = session.playlist.split_once('?').expect("a query").1;
        let status = http::get(hub.address(), &format!("/streams{CAM}/{wrong}?{query}")).status;
        assert_eq!(status, 404, "{wrong}");
    }
    // Pages of others are told what is wrong, too.
    let wrong = [
        (format!("/streams{CAM}/1.m4s"), 400),
        ("/streams/nobody.m3u8".into(), 404),
        (format!("{}&_HLS_part=1", session.playlist), 400),
        (format!("{}&_HLS_msn=99999999999", session.playlist), 400),
    ];
    for (address, status) in wrong {
        let answer = http::get(hub.address(), &address);
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (status, Some("*")), "{address}");
    }
}

/// Playlists too: nothing is sent again to who has it, and what was waited for is kept for a while.
#[test]
fn playlists_are_fit_for_caches() {
    let hub = Hub::start(&[], &[]);
    let push = media(Some(H264), None).push(&hub, CAM);
    hub.wait_live(CAM);
    let session = Session::begin(&hub, CAM);
    wait_segments(&session, 2);
    let plain = session.ask("");
    assert_eq!(plain.header("Content-Type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!((plain.header("Cache-Control"), plain.header("Vary")), (Some("no-cache"), Some("accept-encoding")));
    let waited = session.ask(&format!("&_HLS_msn={}", session.next()));
    assert!(waited.header("Cache-Control").is_some_and(|cache| cache.starts_with("private, max-age=")), "{waited:?}");
    let head = http::request(hub.address(), "HEAD", &session.playlist, &[]);
    assert!(head.status == 200 && head.header("Content-Length").is_some(), "{head:?}");
    // What does not change is known by its tag: nothing comes once the camera is away.
    drop(push);
    let same = wait_for(SOON, "a playlist that stays", || {
        let whole = session.ask("");
        let tag = whole.header("ETag")?.to_owned();
        let known = http::request(hub.address(), "GET", &session.playlist, &[("If-None-Match", &tag)]);
        (known.status == 304).then_some(known)
    });
    assert!(same.body.is_empty() && same.header("ETag").is_some(), "{same:?}");
}

#[test]
fn tokens_go_along_with_every_address() {
    let hub = Hub::start(&[], &["--auth", "--demo"]);
    for body in [r#"{"name":"bob","password":"w@tch","pull":"/demo/clock"}"#, r#"{"name":"eve","password":"evening"}"#]
    {
        assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], body).status, 200);
    }
    let url = "/streams/demo/clock.m3u8";
    assert_eq!(http::get(hub.address(), url).status, 401);
    let (bob, eve) = (http::login(hub.address(), "bob", "w@tch"), http::login(hub.address(), "eve", "evening"));
    assert_eq!(http::get(hub.address(), &format!("{url}?token={eve}")).status, 403);
    let session = Session::begin_with(&hub, "/demo/clock", &format!("?token={bob}"));
    let text = wait_segments(&session, 1);
    let segment = text.lines().find(|line| !line.starts_with('#')).expect("one");
    assert!(segment.contains(&format!("token={bob}")), "{segment}");
    // An exact right is one on the stream's segments too.
    let answer = session.fetch(segment);
    assert_eq!(answer.status, 200);
    assert!(answer.header("Cache-Control").is_some_and(|cache| cache.starts_with("private")), "{:?}", answer.headers);
    assert_eq!(session.fetch(segment.split("&token").next().expect("one")).status, 401);
    assert!(hub.log().iter().all(|line| !line.contains(&bob)), "tokens are no business of the log");
}
