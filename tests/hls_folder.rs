//! Segments in a folder: what lies there, what is removed, and that live goes on when nothing can be written.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::ffmpeg::{H264, Media};
use support::hls::Session;
use support::hub::Hub;
use support::{SOON, disk, ffmpeg, temporary, wait_for, wait_until};

const CAM: &str = "/room/cam";

fn media() -> Media<'static> {
    Media { video: Some(H264), audio: None, size: "320x180", ..Media::default() }
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = temporary(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn text(folder: &Path) -> &str {
    folder.to_str().expect("UTF-8")
}

/// Addresses of whole segments that a playlist lists.
fn listed(session: &Session<'_>) -> Vec<String> {
    session.media("").segments.into_iter().map(|segment| segment.uri).filter(|uri| !uri.is_empty()).collect()
}

/// Waits until so many segments were listed one after the other, fetches each, and lets ffprobe read them together.
fn plays(hub: &Hub, count: usize) {
    let session = Session::begin(hub, CAM);
    let mut seen = Vec::new();
    let mut bytes = Vec::new();
    wait_for(SOON * 3, "segments", || {
        for uri in listed(&session) {
            if !seen.contains(&uri) {
                let segment = session.fetch(&uri);
                assert_eq!(segment.status, 200, "{uri}: {}", segment.text());
                bytes.extend_from_slice(&segment.body);
                seen.push(uri);
            }
        }
        (seen.len() >= count).then_some(())
    });
    let init = support::hls::attributes(&session.text(""), "#EXT-X-MAP", "URI").remove(0);
    let file = temporary(&format!("folder-{}.mp4", hub.address().port()));
    fs::write(&file, [&session.fetch(&init).body[..], &bytes].concat()).expect("a file");
    assert_eq!(ffmpeg::probe(&file).list("streams")[0].number("width"), 320.0);
    let _ = fs::remove_file(file);
}

fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "m4s")).collect()
}

#[test]
fn segments_lie_in_the_folder_while_somebody_watches() {
    let folder = folder("hls-folder");
    let foreign = folder.join("holiday.m4s");
    fs::write(&foreign, "mine").expect("a file");
    let environment = [
        ("IPCHUB_HLS_PATH", text(&folder)),
        ("IPCHUB_HLS_FRAGMENT", "1"),
        ("IPCHUB_HLS_WINDOW", "4"),
        ("IPCHUB_HLS_IDLE", "2"),
    ];
    let ours = || segment_files(&folder).into_iter().filter(|path| *path != foreign).collect::<Vec<_>>();
    {
        let mut hub = Hub::start(&environment, &[]);
        let _push = media().push(&hub, CAM);
        hub.wait_live(CAM);
        plays(&hub, 8);
        // One of the oldest, which memory need not have any more.
        let session = Session::begin(&hub, CAM);
        let is_whole = || {
            let Some(oldest) = listed(&session).into_iter().next() else { return false };
            let body = session.fetch(&oldest).body;
            // It may leave the playlist meanwhile.
            ours().iter().any(|path| fs::read(path).is_ok_and(|file| file == body[..]))
        };
        assert!(wait_until(SOON, is_whole), "{:?}", ours());
        assert!(ours().len() < 12, "a window of 4 and what is just leaving: {:?}", ours());
        // A crash leaves them there.
        hub.signal("KILL");
        assert!(wait_until(SOON, || !hub.is_running()));
    }
    assert!(!ours().is_empty());
    let hub = Hub::start(&environment, &[]);
    assert!(ours().is_empty(), "files of the run before: {:?}", ours());
    let _push = media().push(&hub, CAM);
    hub.wait_live(CAM);
    plays(&hub, 3);
    hub.wait_log(&[CAM, "hls ended: nobody watches"]);
    assert!(wait_until(SOON, || ours().is_empty()), "{:?}", ours());
    assert_eq!(fs::read(&foreign).expect("it is still there"), b"mine");
}

#[test]
fn a_full_folder_is_said_and_live_goes_on() {
    let folder = folder("hls-limit");
    let environment =
        [("IPCHUB_HLS_PATH", text(&folder)), ("IPCHUB_HLS_FRAGMENT", "1"), ("IPCHUB_HLS_PATH_BYTES", "1000")];
    let hub = Hub::start(&environment, &[]);
    let _push = media().push(&hub, CAM);
    hub.wait_live(CAM);
    plays(&hub, 5);
    hub.wait_log(&[CAM, "stays in memory", "hls.path_bytes are used"]);
    assert!(segment_files(&folder).is_empty());
}

#[test]
fn a_full_disk_is_said_and_live_goes_on() {
    if !disk::is_allowed("a_full_disk_is_said_and_live_goes_on") {
        return;
    }
    let folder = folder("hls-full");
    let environment = [("IPCHUB_HLS_PATH", text(&folder)), ("IPCHUB_HLS_FRAGMENT", "1")];
    let hub = Hub::with_disk(&folder, "size=16k", &environment);
    let _push = media().push(&hub, CAM);
    hub.wait_live(CAM);
    plays(&hub, 5);
    hub.wait_log(&[CAM, "stays in memory", "No space left on device"]);
    assert!(segment_files(&folder).is_empty(), "the disk is the hub's own");
}

#[test]
fn a_folder_that_cannot_be_written_is_said_once_and_live_goes_on() {
    let file = temporary("hls-no-folder");
    fs::write(&file, "").expect("a file");
    let below = file.join("segments");
    let mut hubs =
        vec![(Hub::start(&[("IPCHUB_HLS_PATH", text(&below)), ("IPCHUB_HLS_FRAGMENT", "1")], &[]), "Not a directory")];
    if disk::is_allowed("a read-only folder for segments") {
        let folder = folder("hls-read-only");
        let environment = [("IPCHUB_HLS_PATH", text(&folder)), ("IPCHUB_HLS_FRAGMENT", "1")];
        hubs.push((Hub::with_disk(&folder, "ro", &environment), "Read-only file system"));
    }
    for (hub, reason) in hubs {
        let _push = media().push(&hub, CAM);
        hub.wait_live(CAM);
        plays(&hub, 3);
        hub.wait_log(&["ERROR", "hls.path = ", reason, "segments stay in memory"]);
        assert_eq!(hub.log().iter().filter(|line| line.contains("in memory")).count(), 1);
    }
}
