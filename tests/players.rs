//! ffmpeg, GStreamer and retina play the same streams at the same time, over TCP and UDP, for ten seconds: right size, every
//! picture, no packet missing.

mod support;

use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use retina::client::{PacketItem, PlayOptions, Session, SessionOptions, SetupOptions, Transport};
use support::ffmpeg::{AAC, G722, H264, H264_B_FRAMES, H265, MP3, Media, OPUS, PCMA, PCMU};
use support::gstreamer::{self, Player, Wanted};
use support::hub::Hub;
use support::process::Process;
use support::rtsp::Rtsp;
use support::wait_until;

/// What is played, in seconds.
const LENGTH: u32 = 10;
/// That on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
/// Times that GStreamer plays, and how long it may take for all but the last.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(40);
const SIZE: &str = "320x180";
/// From one picture to the next.
const INTERVAL: f64 = 0.04;
const TRANSPORTS: [&str; 2] = ["tcp", "udp"];

/// ffmpeg decodes and lists what it has decoded; its complaints begin with their level.
fn ffmpeg(hub: &Hub, path: &str, transport: Option<&str>) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "level+warning"]);
    if let Some(transport) = transport {
        command.args(["-rtsp_transport", transport]);
    }
    command.args(["-i", &hub.url("rtsp", path), "-t", &LENGTH.to_string(), "-fps_mode", "passthrough"]);
    command.args(["-enc_time_base", "-1", "-f", "framecrc", "-"]);
    Process::start(command)
}

/// As many pictures as there were between the second and the last, and enough of them. Single times are not looked at, nor
/// the first: a publisher's first sender report moves its tracks against each other, mostly behind the first picture. Those
/// of GStreamer move them by a picture or two at any time: its pictures are only counted.
fn check_pictures(what: &str, times: &[f64], count: usize) {
    assert!(times.len() >= count, "{what}: {} pictures, expected {count}", times.len());
    if what.starts_with("/gst/") {
        return;
    }
    let steps = times.len() as f64 - 2.0;
    let span = times[times.len() - 1] - times[1];
    assert!((steps - span / INTERVAL).abs() < 1.5, "{what}: {steps} steps in {span} s: {times:?}");
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0]), "{what}: time goes back: {times:?}");
}

fn check_ffmpeg(what: &str, mut player: Process, media: &Media) {
    let (status, _) = player.wait(DEADLINE);
    let lines = player.lines();
    let bad = |line: &&String| {
        ["[error]", "[fatal]", "[panic]", "RTP: missed", "max delay reached"].iter().any(|word| line.contains(word))
            // How it says that it goes from UDP to TCP.
            && !line.ends_with("method SETUP failed: 461 Unsupported transport")
            // It tries ports by chance until one is free.
            && !line.ends_with("bind failed: Address already in use")
    };
    let complaints: Vec<_> = lines.iter().filter(bad).collect();
    assert!(status.success() && complaints.is_empty(), "{what}: {status} {complaints:#?}");
    let frames = |track: &str| {
        let rows = lines.iter().filter(|line| line.starts_with(&format!("{track},")));
        rows.filter_map(|row| row.split(',').nth(2)?.trim().parse::<f64>().ok()).collect::<Vec<_>>()
    };
    if media.video.is_some() {
        assert!(lines.contains(&format!("#dimensions 0: {SIZE}")), "{what}: {lines:#?}");
        let base = lines.iter().find_map(|line| line.strip_prefix("#tb 0: 1/")?.parse::<f64>().ok());
        let base = base.unwrap_or_else(|| panic!("{what}: {lines:#?}"));
        let times: Vec<_> = frames("0").iter().map(|time| time / base).collect();
        // Sound that begins before the first picture counts for the ten seconds.
        check_pictures(what, &times, 25 * (LENGTH as usize - 1));
    }
    if media.audio.is_some() {
        let track = if media.video.is_some() { "1" } else { "0" };
        assert!(frames(track).len() > 10 * LENGTH as usize, "{what}: {} frames of sound", frames(track).len());
    }
}

fn wanted(media: &Media) -> Wanted {
    let (width, height) = SIZE.split_once('x').expect("two numbers");
    let size = (width.parse().expect("a number"), height.parse().expect("a number"));
    Wanted { size, pictures: media.video.map(|_| 25 * LENGTH), sounds: media.audio.map(|_| 50 * LENGTH) }
}

/// Plays with GStreamer. On a busy machine one of its own threads stops now and then: it takes all that the hub sends for as long
/// as one likes, decodes one track only, and says nothing. Such a player is given up, after it was seen that nothing was missing
/// of what the hub sent it.
fn play_with_gstreamer(what: &str, play: impl Fn() -> Player, media: &Media) {
    for _ in 1..TRIES {
        let mut player = play();
        if wait_until(PATIENCE, || !player.process.is_running()) {
            return check_gstreamer(what, player, media);
        }
        let kinds = [media.video, media.audio].into_iter().enumerate().filter(|(_, kind)| kind.is_some());
        let seen: Vec<_> = kinds.map(|(kind, _)| player.seen(kind)).collect();
        println!("{what}: GStreamer does not end, with {seen:?}; again");
        assert!(seen.iter().all(|seen| seen.gaps == 0 && seen.packets > 10 * LENGTH as usize), "{what}: {seen:?}");
    }
    check_gstreamer(what, play(), media);
}

fn check_gstreamer(what: &str, mut player: Player, media: &Media) {
    player.finish(what, DEADLINE);
    if media.video.is_some() {
        let seen = player.seen(0);
        assert!(seen.gaps == 0 && seen.marked >= 25 * LENGTH as usize, "{what}: {seen:?}");
    }
    if media.audio.is_some() {
        let seen = player.seen(1);
        // These have several frames in a packet.
        let a_second = if [Some(MP3), Some(AAC)].contains(&media.audio) { 3 } else { 10 };
        assert!(seen.gaps == 0 && seen.packets > a_second * LENGTH as usize, "{what}: {seen:?}");
    }
}

/// What retina got of a track.
#[derive(Debug, Default)]
struct Track {
    packets: u32,
    lost: u32,
    /// RTP time of the first and the last packet, in seconds.
    span: Option<(f64, f64)>,
}

/// Plays with retina until each track has covered `LENGTH`.
fn retina(url: &str, udp: bool) -> Vec<Track> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = url::Url::parse(url).expect("a URL");
    let played = runtime.block_on(async { tokio::time::timeout(DEADLINE, play_with_retina(url, udp)).await });
    played.expect("ten seconds of media in time").unwrap_or_else(|error| panic!("retina: {error}"))
}

async fn play_with_retina(url: url::Url, udp: bool) -> Result<Vec<Track>, retina::Error> {
    let mut session = Session::describe(url, SessionOptions::default()).await?;
    let mut tracks = Vec::new();
    for stream in 0..session.streams().len() {
        let transport = if udp { Transport::Udp(Default::default()) } else { Transport::Tcp(Default::default()) };
        session.setup(stream, SetupOptions::default().transport(transport)).await?;
        tracks.push(Track::default());
    }
    let mut session = Box::pin(session.play(PlayOptions::default()).await?);
    while let Some(item) = session.next().await {
        let PacketItem::Rtp(packet) = item? else { continue };
        let track = &mut tracks[packet.stream_id()];
        track.packets += 1;
        track.lost += u32::from(packet.loss());
        let time = packet.timestamp().elapsed_secs();
        track.span = Some((track.span.map_or(time, |(first, _)| first), time));
        if tracks.iter().all(|track| track.span.is_some_and(|(first, last)| last - first >= f64::from(LENGTH))) {
            break;
        }
    }
    Ok(tracks)
}

fn check_retina(what: &str, tracks: &[Track], media: &Media) {
    let expected = usize::from(media.video.is_some()) + usize::from(media.audio.is_some());
    assert_eq!(tracks.len(), expected, "{what}");
    for track in tracks {
        assert!(track.lost == 0 && track.packets > 40, "{what}: {tracks:?}");
        let (first, last) = track.span.unwrap_or_default();
        assert!(last - first >= f64::from(LENGTH), "{what} ended early: {tracks:?}");
    }
}

/// All players of all cases at once.
fn play_everywhere(cases: &[(&str, Media)]) {
    let hub = Hub::start(&[], &[]);
    let mut pushes: Vec<_> = cases.iter().map(|(path, media)| media.push(&hub, path)).collect();
    for (path, _) in cases {
        hub.wait_live(path);
    }
    std::thread::scope(|scope| {
        for (path, media) in cases {
            for transport in TRANSPORTS {
                let hub = &hub;
                let what = move |player: &str| format!("{player} on {path} over {transport}");
                scope.spawn(move || check_ffmpeg(&what("ffmpeg"), ffmpeg(hub, path, Some(transport)), media));
                scope.spawn(move || {
                    let play = || gstreamer::play(hub, path, transport, wanted(media));
                    play_with_gstreamer(&what("GStreamer"), play, media);
                });
                scope.spawn(move || {
                    let tracks = retina(&hub.url("rtsp", path), transport == "udp");
                    check_retina(&what("retina"), &tracks, media);
                });
            }
        }
    });
    for ((path, _), push) in cases.iter().zip(&mut pushes) {
        assert!(push.is_running() && push.lines().is_empty(), "{path}: {:?}", push.lines());
    }
    let runtime = hub.runtime();
    assert_eq!(runtime.number("extra/viewers/fell_behind"), 0.0, "{runtime:?}");
}

fn media(video: Option<&'static str>, audio: Option<&'static str>) -> Media<'static> {
    Media { video, audio, size: SIZE, ..Media::default() }
}

#[test]
fn video_with_sound() {
    play_everywhere(&[
        ("/h264-aac", media(Some(H264), Some(AAC))),
        ("/b-frames-alaw", media(Some(H264_B_FRAMES), Some(PCMA))),
        ("/h265-opus", media(Some(H265), Some(OPUS))),
    ]);
}

#[test]
fn sound_alone() {
    play_everywhere(&[
        ("/ulaw", media(None, Some(PCMU))),
        ("/mp3", media(None, Some(MP3))),
        ("/g722", media(None, Some(G722))),
        ("/opus", media(None, Some(OPUS))),
    ]);
}

#[test]
fn gstreamer_publishes() {
    let hub = Hub::start(&[], &[]);
    let expected = media(Some(H264), Some(OPUS));
    let mut pushes = TRANSPORTS.map(|transport| gstreamer::publish(&hub, &format!("/gst/{transport}"), transport));
    for transport in TRANSPORTS {
        let path = format!("/gst/{transport}");
        hub.wait_live(&path);
        // GStreamer's SDP has the parameter sets, so it is live before its first key frame. RTP-Info then names packets of
        // sound that are not sent, and retina would count them as lost.
        let (mut first, _) = Rtsp::play(&hub, &path);
        while first.next_packet().expect("packets come").expect("the hub goes on").0 != 0 {}
    }
    std::thread::scope(|scope| {
        for transport in TRANSPORTS {
            let (hub, expected) = (&hub, &expected);
            let path = format!("/gst/{transport}");
            scope.spawn(move || {
                let player = ffmpeg(hub, &path, Some("tcp"));
                check_retina(&path, &retina(&hub.url("rtsp", &path), false), expected);
                check_ffmpeg(&path, player, expected);
            });
        }
    });
    for push in &mut pushes {
        assert!(push.is_running(), "{:?}", push.lines());
    }
    assert_eq!(hub.runtime().number("extra/publishers/bad_packets"), 0.0);
}

/// Players that are left to choose try UDP; a hub without it sends them to TCP with 461.
#[test]
fn udp_is_refused_and_players_go_on_over_tcp() {
    let hub = Hub::start(&[], &["--udp-port", "-1"]);
    let video = media(Some(H264), None);
    let _push = video.push(&hub, "/cam");
    hub.wait_live("/cam");
    let by_ffmpeg = ffmpeg(&hub, "/cam", None);
    let by_gstreamer = gstreamer::play(&hub, "/cam", "", wanted(&video));
    check_ffmpeg("ffmpeg without UDP", by_ffmpeg, &video);
    check_gstreamer("GStreamer without UDP", by_gstreamer, &video);
}
