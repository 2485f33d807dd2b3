//! Publishers change while viewers watch: a second one takes over, one dies and comes back, one dies for good.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::ffmpeg::{self, Media};
use support::flv;
use support::hub::Hub;
use support::viewer::{End, Recording, Viewer, Way};
use support::{SOON, temporary, wait_for, wait_until};

const PATH: &str = "/live/cam";
const FLV: &str = "/live/cam.flv";

fn viewers(hub: &Hub) -> [Viewer; 2] {
    hub.wait_live(PATH);
    let viewers = [Way::Http, Way::WebSocket].map(|way| Viewer::record(hub, way, FLV));
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 30));
    viewers
}

/// Sizes of all pictures of a recording, decoded, each new one once.
fn sizes(name: &str, seen: &Recording) -> Vec<String> {
    let file = temporary(name);
    std::fs::write(&file, &seen.bytes).expect("a recording can be written");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", "frame=width,height", "-of", "csv=p=0"]);
    let output = command.arg(&file).output().expect("ffprobe is there");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffprobe complains about {name}");
    let text = String::from_utf8_lossy(&output.stdout);
    // Frames with side data are followed by an empty line.
    let lines = text.lines().map(|line| line.trim_end_matches(',').to_owned());
    let mut sizes: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    sizes.dedup();
    sizes
}

/// Time goes on over the change: not back, and not much further than the clock on the wall did.
fn check_time(seen: &Recording, most: Duration) {
    flv::check(&seen.tags);
    let times = flv::picture_times(&seen.tags);
    let step = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    assert!(u128::from(step) <= most.as_millis() + 500, "time jumps by {step} ms, the viewer waited {most:?}");
}

#[test]
fn a_second_publisher_takes_over() {
    let hub = Hub::start(&[], &[]);
    let mut first = Media::default().push(&hub, PATH);
    let viewers = viewers(&hub);
    let headers = |seen: &Recording| seen.tags.iter().filter(|tag| tag.is_video_header()).count();
    assert!(viewers.iter().all(|viewer| viewer.with(headers) == 1));
    let second = Media { size: "320x240", ..Media::default() }.push(&hub, PATH);
    first.wait(SOON);
    hub.wait_log(&[PATH, "takes over from"]);
    for viewer in &viewers {
        viewer.wait(SOON, "the second publisher's sequence header", |seen| headers(seen) == 2);
        let count = viewer.count();
        viewer.wait(SOON, "its pictures", |seen| seen.tags.len() > count + 100);
        assert_eq!(viewer.with(|seen| seen.end.clone()), None, "it stays connected");
    }
    let stream = hub.stream(PATH).expect("it is live");
    assert_eq!((stream.number("video/width"), stream.number("cc")), (320.0, 2.0));
    for (viewer, name) in viewers.into_iter().zip(["takeover_http.flv", "takeover_ws.flv"]) {
        let seen = viewer.finish();
        check_time(&seen, seen.longest_wait);
        assert_eq!(sizes(name, &seen), ["640,360", "320,240"]);
    }
    // Who comes now sees the second only.
    let late = Viewer::watch(&hub, Way::WebSocket, FLV);
    late.wait_pictures(SOON, 5);
    assert_eq!(flv::metadata_size(&hub_metadata(&hub)), Some((320.0, 240.0)));
    drop(second);
}

fn hub_metadata(hub: &Hub) -> Vec<flv::Tag> {
    let viewer = Viewer::record(hub, Way::Http, FLV);
    viewer.wait_pictures(SOON, 1);
    viewer.finish().tags
}

#[test]
fn a_publisher_that_comes_back_in_time_goes_on() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "60")], &[]);
    let push = Media::default().push(&hub, PATH);
    let viewers = viewers(&hub);
    push.signal("KILL");
    hub.wait_log(&[PATH, "its viewers wait 60 s"]);
    let counts = viewers.each_ref().map(Viewer::count);
    let _again = Media::default().push(&hub, PATH);
    for (viewer, count) in viewers.iter().zip(counts) {
        viewer.wait(SOON, "two seconds of the second run", |seen| seen.tags.len() > count + 130);
        assert_eq!(viewer.with(|seen| seen.end.clone()), None);
    }
    for (viewer, name) in viewers.into_iter().zip(["comes_back_http.flv", "comes_back_ws.flv"]) {
        let seen = viewer.finish();
        check_time(&seen, seen.longest_wait);
        assert_eq!(sizes(name, &seen), ["640,360"]);
        ffmpeg::decode(temporary(name).to_str().expect("a name of our own"), &[]);
    }
    let log = hub.log();
    assert!(!log.iter().any(|line| line.contains("source ended")), "it is the same source all the time");
}

#[test]
fn a_publisher_that_stays_away_ends_its_viewers() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "3")], &[]);
    let push = Media::default().push(&hub, PATH);
    let [http, ws] = viewers(&hub);
    let since = Instant::now();
    push.signal("KILL");
    assert_eq!(http.wait_end(SOON), End::Complete);
    match ws.wait_end(SOON) {
        End::Close { code: 1000, reason } => assert!(reason.contains("did not come back"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let took = since.elapsed();
    assert!(took > Duration::from_millis(2900), "it took only {took:?} of the 3 s");
    println!("ended {took:?} after the publisher");
    assert!(wait_until(SOON, || hub.stream(PATH).is_none()));
    assert!(Viewer::open(&hub, Way::Http, FLV, false).is_err());
    hub.wait_log(&[PATH, "source ended", "did not come back"]);
}

/// A viewer may come while nobody publishes, and gets its picture with the next publisher.
#[test]
fn a_viewer_can_come_in_the_meantime() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "60")], &[]);
    let push = Media::default().push(&hub, PATH);
    let _viewers = viewers(&hub);
    push.signal("KILL");
    hub.wait_log(&[PATH, "its viewers wait 60 s"]);
    let late = Viewer::record(&hub, Way::WebSocket, FLV);
    let _again = Media { audio: None, ..Media::default() }.push(&hub, PATH);
    late.wait_pictures(SOON, 30);
    flv::check(&late.finish().tags);
}

/// A camera whose process hangs says nothing and closes nothing: it is taken for gone after `timeouts.publisher`.
#[test]
fn a_publisher_that_hangs_is_taken_for_gone() {
    let environment = [("IPCHUB_TIMEOUTS_PUBLISHER", "2"), ("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "1")];
    let hub = Hub::start(&environment, &[]);
    let push = Media::default().push(&hub, PATH);
    let [http, ws] = viewers(&hub);
    push.signal("STOP");
    assert_eq!(http.wait_end(SOON), End::Complete);
    assert!(matches!(ws.wait_end(SOON), End::Close { .. }));
    hub.wait_log(&["nothing heard for 2 s"]);
    wait_for(SOON, "the connection's end", || (hub.runtime().number("rtsp/active") == 0.0).then_some(()));
}
