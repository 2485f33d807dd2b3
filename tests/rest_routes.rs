//! Routes over REST take effect at once: a new one that is kept alive connects, a changed one goes to its new camera under the
//! same viewers, a deleted one keeps what is live. So does a file that is changed by hand.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::path::{Path, PathBuf};

use camera::routes::{route, wait_state, watch};
use camera::{Camera, Script};
use support::hub::Hub;
use support::json::Json;
use support::viewer::{Viewer, Way};
use support::{SOON, flv, http, temporary, wait_until};

fn folder(name: &str) -> PathBuf {
    let folder = temporary(&format!("routes_{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn start(folder: &Path) -> Hub {
    Hub::start(&[], &["--data-dir", folder.to_str().expect("a name of our own")])
}

fn entry(pattern: &str, url: &str, keepalive: bool) -> String {
    format!(r#"{{"pattern":"{pattern}","url":"{url}","keepalive":{keepalive}}}"#)
}

fn put(hub: &Hub, pattern: &str, url: &str, keepalive: bool) {
    let body = entry(pattern, url, keepalive);
    let json = [("Content-Type", "application/json")];
    let answer = http::send(hub.address(), "POST", "/api/v1/routes", &json, &body);
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{body}");
}

fn pictures(viewer: &Viewer) -> usize {
    viewer.with(|seen| seen.tags.iter().filter(|tag| tag.is_picture()).count())
}

#[test]
fn a_new_route_that_is_kept_connects_at_once() {
    let camera = Camera::start(Script::default());
    let hub = Hub::start(&[], &[]);
    put(&hub, "/asked", &camera.url("", "/asked"), false);
    put(&hub, "Room/Door", &camera.url("", "/live"), true);
    wait_state(&hub, "/room/door", "live");
    assert_eq!(camera.urls("DESCRIBE"), [camera.url("", "/live")], "the other one waits for a viewer");
    watch(&hub, "/asked.flv", 1);
}

#[test]
fn viewers_stay_when_their_route_goes_to_another_camera() {
    let cameras = [Script::default(), Script::default()].map(Camera::start);
    let hub = Hub::start(&[], &[]);
    put(&hub, "/door", &cameras[0].url("", "/first"), false);
    let viewers = [Way::Http, Way::WebSocket].map(|way| Viewer::record(&hub, way, "/door.flv"));
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 10));
    put(&hub, "/door", &cameras[1].url("", "/second"), false);
    assert!(wait_until(SOON, || cameras[1].plays() == 1), "the new camera is asked");
    let torn_down = || cameras[0].requests().last().is_some_and(|last| last.starts_with("TEARDOWN"));
    assert!(wait_until(SOON, torn_down), "the old one is left in order");
    wait_state(&hub, "/door", "live");
    let before = viewers.each_ref().map(pictures);
    for (viewer, before) in viewers.into_iter().zip(before) {
        viewer.wait_pictures(SOON, before + 30);
        let seen = viewer.finish();
        assert!(seen.end.is_none() || seen.tags.len() > before, "{}", seen.summary());
        flv::check(&seen.tags);
    }
    assert_eq!((cameras[0].connections(), cameras[1].connections()), (1, 1));
    // The same once more is no change.
    put(&hub, "/door", &cameras[1].url("", "/second"), false);
    assert_eq!(cameras[1].connections(), 1);
}

#[test]
fn a_route_that_waits_for_a_camera_tries_its_new_one_at_once() {
    let dead = Camera::start(Script::default());
    let url = dead.url("", "/live");
    dead.kill();
    let camera = Camera::start(Script::default());
    let hub = Hub::start(&[], &[]);
    put(&hub, "/door", &url, true);
    wait_state(&hub, "/door", "waiting");
    put(&hub, "/door", &camera.url("", "/live"), true);
    let live = wait_state(&hub, "/door", "live");
    assert_eq!(live.text("status/error"), "", "what was wrong is over");
}

#[test]
fn what_is_live_outlives_its_route() {
    let camera = Camera::start(Script::default());
    let hub = Hub::start(&[("IPCHUB_PULL_IDLE", "1.5")], &[]);
    put(&hub, "/door", &camera.url("", "/live"), false);
    let viewer = Viewer::record(&hub, Way::Http, "/door.flv");
    viewer.wait_pictures(SOON, 5);
    for _ in 0..2 {
        assert_eq!(http::delete(hub.address(), "/api/v1/routes/door").status, 200);
    }
    assert_eq!(http::get(hub.address(), "/api/v1/routes/door").status, 404);
    let before = pictures(&viewer);
    viewer.wait_pictures(SOON, before + 30);
    assert!(hub.stream("/door").is_some());
    assert_eq!(camera.connections(), 1);
    flv::check(&viewer.finish().tags);
    assert!(wait_until(SOON, || hub.stream("/door").is_none()), "nobody watches it any more");
    assert_eq!(http::get(hub.address(), "/streams/door.flv").status, 404, "and nobody can begin");
}

#[test]
fn a_table_changed_by_hand_is_taken_or_refused_with_its_place() {
    let cameras = [Script::default(), Script::default()].map(Camera::start);
    let folder = folder("hand");
    let file = folder.join("routetable.json");
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write(&format!("[{}]", entry("/a", &cameras[0].url("", "/a"), true)));
    let hub = start(&folder);
    wait_state(&hub, "/a", "live");
    let viewer = Viewer::record(&hub, Way::Http, "/a.flv");
    viewer.wait_pictures(SOON, 5);
    write(&format!(
        "\u{feff}[\r\n{},\r\n{}]",
        entry("/a", &cameras[1].url("", "/a"), true),
        entry("/B/", &cameras[1].url("", "/b"), false)
    ));
    assert!(wait_until(SOON, || hub.json("/api/v1/routes").number("total") == 2.0), "it is taken");
    assert!(wait_until(SOON, || cameras[1].plays() == 1), "and the viewers' camera with it");
    let before = pictures(&viewer);
    viewer.wait_pictures(SOON, before + 30);
    for (text, place) in [("[\n{\"pattern\": 5}]", "line 2"), ("[\n\n{\"pattern\":\"/x\",\"url\":\"ftp://x/\"}]", "/x")]
    {
        write(text);
        hub.wait_log(&["routetable.json", place, "stay as they were"]);
        assert_eq!(hub.json("/api/v1/routes").number("total"), 2.0);
        let json = [("Content-Type", "application/json")];
        let body = entry("/new", &cameras[0].url("", "/n"), false);
        let answer = http::send(hub.address(), "POST", "/api/v1/routes", &json, &body);
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(Json::parse(&answer.text()).text("error").contains(place), "{}", answer.text());
        assert_eq!(std::fs::read_to_string(&file).expect("there"), text, "never overwritten");
    }
    assert_eq!(route(&hub, "/a").text("status/state"), "live");
    write("[]");
    assert!(wait_until(SOON, || hub.json("/api/v1/routes").number("total") == 0.0));
    assert!(hub.stream("/a").is_some(), "what is live goes on");
}
