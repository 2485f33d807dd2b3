//! Many players of HLS at once: nobody misses a segment, what the hub holds for them has a bound, and they stay when their sources
//! begin anew.

mod support;

use std::process::Command;
use std::thread;

use support::ffmpeg::H264;
use support::hls::Session;
use support::hub::Hub;
use support::process::Process;
use support::{SOON, http, wait_until};

const SOURCES: usize = 10;
const PLAYERS: usize = 30;
/// Segments that each player fetches.
const SEGMENTS: u64 = 6;
/// Reloads that a player in a hurry makes for each segment.
const STORM: usize = 5;
/// What the hub may grow by while it answers players that it knows, in KiB: answers on their way, and the segments of a window.
const GROWTH: u64 = 64 << 10;

fn path(source: usize) -> String {
    format!("/yard/cam{source}")
}

/// One encoder for all sources.
fn push(hub: &Hub) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-nostdin",
        "-hide_banner",
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x90:rate=25",
    ]);
    command.args(H264.split(' ')).args(["-map", "0:v", "-flags", "+global_header", "-f", "tee"]);
    let output = |source| format!("[f=rtsp:rtsp_transport=tcp]{}", hub.url("rtsp", &path(source)));
    command.arg((0..SOURCES).map(output).collect::<Vec<_>>().join("|"));
    Process::start(command)
}

/// Number of a segment, from its address.
fn number(uri: &str) -> u64 {
    uri.split(['/', '.']).find_map(|part| part.parse().ok()).expect("a number")
}

/// Plays on from the newest segment there is; asks far more often than needed.
fn watch(session: &Session<'_>) {
    let first = session.next();
    for next in first..first + SEGMENTS {
        for _ in 0..STORM {
            session.text("");
        }
        let media = session.media(&format!("&_HLS_msn={next}"));
        let found = media.segments.iter().find(|segment| !segment.uri.is_empty() && number(&segment.uri) == next);
        let found = found.unwrap_or_else(|| panic!("{next} is not in the playlist from {}", media.media_sequence));
        let segment = session.fetch(&found.uri);
        assert_eq!((segment.status, segment.body.is_empty()), (200, false), "{}", found.uri);
    }
}

#[test]
fn three_hundred_players_miss_no_segment() {
    let hub = Hub::start(&[("IPCHUB_HLS_FRAGMENT", "1")], &[]);
    let first = push(&hub);
    (0..SOURCES).for_each(|source| hub.wait_live(&path(source)));
    let play_all = |sessions: &[Session<'_>]| {
        thread::scope(|scope| {
            let players: Vec<_> = sessions.iter().map(|session| scope.spawn(|| watch(session))).collect();
            for player in players {
                player.join().expect("a player misses nothing");
            }
        });
    };
    let sessions: Vec<_> = (0..SOURCES * PLAYERS).map(|n| Session::begin(&hub, &path(n % SOURCES))).collect();
    play_all(&sessions);
    assert_eq!(hub.runtime().number("hls/active"), (SOURCES * PLAYERS) as f64);
    for source in 0..SOURCES {
        let stream = hub.stream(&path(source)).expect("it is live");
        assert_eq!(stream.number("cc"), PLAYERS as f64, "{stream:?}");
        assert!(stream.list("cs").iter().all(|consumer| consumer.text("packet_type") == "HLS"), "{stream:?}");
    }
    // One is kicked; nobody else hears of it.
    let stream = hub.stream(&path(0)).expect("it is live");
    let id = stream.list("cs")[0].number("id");
    http::delete(hub.address(), &format!("/api/v1/streams{}:consumer?cid={id}", path(0)));
    let gone = || hub.stream(&path(0)).is_some_and(|stream| stream.number("cc") == (PLAYERS - 1) as f64);
    assert!(wait_until(SOON, gone), "kicked");
    let before = hub.resident_kib();
    let kicked = |session: &Session<'_>| session.ask("").status == 410;
    let (out, stay): (Vec<_>, Vec<_>) = sessions.into_iter().partition(kicked);
    assert_eq!((out.len(), stay.len()), (1, SOURCES * PLAYERS - 1));
    play_all(&stay);
    let after = hub.resident_kib();
    assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
    // All sources begin anew under their players, who go on where they are.
    drop(first);
    let _second = push(&hub);
    for session in &stay {
        assert!(wait_until(SOON, || session.text("").contains("#EXT-X-DISCONTINUITY\n")), "{}", session.text(""));
    }
    play_all(&stay);
    assert_eq!(hub.runtime().number("hls/active"), stay.len() as f64, "nobody began anew");
}
