//! Routes: a camera is pulled when somebody watches, or all the time, and pulled again when it fails. The camera is ours and
//! has the faults that a case needs.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camera::routes::{hub, route, wait_state, watch};
use camera::{Camera, Challenge, Login, Script};
use support::hub::Hub;
use support::json::Json;
use support::rtsp::Rtsp;
use support::viewer::{End, Viewer, Way};
use support::{SOON, ffmpeg, flv, http, temporary, wait_until};

#[test]
fn the_first_viewer_starts_it_and_it_closes_when_nobody_watches() {
    let camera = Camera::start(Script::default());
    let hub =
        hub("demand", &[("/Door", camera.url("", "/live/Main?channel=1"), false)], &[("IPCHUB_PULL_IDLE", "1.5")]);
    let idle = route(&hub, "/door");
    assert_eq!(idle.shape(), "{pattern,url,keepalive,status{state,error,retries,bytes,since}}");
    assert_eq!((idle.text("status/state"), camera.connections()), ("idle", 0));
    assert!(hub.stream("/door").is_none());

    let begin = Instant::now();
    let viewer = Viewer::record(&hub, Way::WebSocket, "/door.flv");
    viewer.wait_pictures(SOON, 1);
    println!("first picture {:?} after the first request", begin.elapsed());
    viewer.wait_pictures(SOON, 60);
    let stream = hub.stream("/door").expect("it is live");
    assert_eq!((stream.number("video/width"), stream.text("audio/codec")), (640.0, "AAC"));
    assert!(stream.number("reception/received") > 60.0, "each picture has a packet or more");
    assert_eq!(stream.number("reception/lost"), 0.0);
    let live = route(&hub, "/door");
    assert_eq!((live.text("status/state"), live.number("status/retries")), ("live", 0.0));
    assert!(live.number("status/bytes") > 10_000.0);
    let url = camera.url("", "/live/Main?channel=1");
    assert_eq!(camera.urls("DESCRIBE"), [url]);

    let seen = viewer.finish();
    flv::check(&seen.tags);
    let file = temporary("pull_demand.flv");
    std::fs::write(&file, &seen.bytes).expect("a recording can be written");
    ffmpeg::decode(file.to_str().expect("a name of our own"), &[]);

    wait_state(&hub, "/door", "idle");
    assert!(wait_until(SOON, || hub.stream("/door").is_none()));
    assert!(wait_until(SOON, || camera.requests().last().is_some_and(|last| last.starts_with("TEARDOWN"))));
    // And once more.
    watch(&hub, "/door.flv", 1);
    assert_eq!((camera.connections(), camera.plays()), (2, 2));
}

#[test]
fn a_hundred_first_viewers_make_one_connection() {
    let camera = Camera::start(Script::default());
    let hub = hub("hundred", &[("/door", camera.url("", "/live"), false)], &[]);
    let viewers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(|| Viewer::watch(&hub, Way::Http, "/door.flv"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("each is let in")).collect()
    });
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 10));
    assert_eq!((camera.connections(), camera.plays()), (1, 1));
    assert_eq!(hub.runtime().number("streams/consumers"), 100.0);
}

/// An RTSP player's video packets: sequence number and time.
struct Player(Arc<Mutex<Vec<(u16, u32)>>>);

impl Player {
    fn start(hub: &Hub, path: &str) -> Self {
        let (mut player, _) = Rtsp::play(hub, path);
        let player_of_thread = Self(Arc::default());
        let packets = Arc::clone(&player_of_thread.0);
        std::thread::spawn(move || {
            // Ends with the hub.
            while let Ok(Some((channel, packet))) = player.next_packet() {
                if channel == 0 {
                    let number = u16::from_be_bytes([packet[2], packet[3]]);
                    let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
                    packets.lock().expect("nobody panics with it").push((number, time));
                }
            }
        });
        player_of_thread
    }

    fn count(&self) -> usize {
        self.0.lock().expect("nobody panics with it").len()
    }

    fn wait(&self, count: usize) {
        assert!(wait_until(SOON, || self.count() >= count), "{} of {count} packets", self.count());
    }

    /// Not a packet missing but for the gap that tells of a new publisher, and no time far from the one before.
    fn check_continuous(&self) {
        let mut gaps = 0;
        for pair in self.0.lock().expect("nobody panics with it").windows(2) {
            let missing = pair[1].0.wrapping_sub(pair[0].0).wrapping_sub(1);
            gaps += missing;
            assert!(missing == 0 || missing == 1 && gaps == 1, "{missing} packets missing");
            let step = pair[1].1.wrapping_sub(pair[0].1) as i32;
            assert!((-90_000..15 * 90_000).contains(&step), "{step} ticks");
        }
    }
}

#[test]
fn viewers_stay_while_the_camera_is_away() {
    let camera = Camera::start(Script::default());
    // Away for longer than viewers wait for a publisher that pushes.
    let environment = [("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "0.5")];
    let hub = hub("killed", &[("/door", camera.url("", "/live"), false)], &environment);
    let viewers = [Way::Http, Way::WebSocket].map(|way| Viewer::record(&hub, way, "/door.flv"));
    let player = Player::start(&hub, "/door");
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 30));
    player.wait(20);
    camera.kill();
    let route = wait_state(&hub, "/door", "waiting");
    assert!(!route.text("status/error").is_empty(), "{route:?}");
    hub.wait_log(&["/door", "cannot be pulled", "refused"]);
    std::thread::sleep(Duration::from_secs(1));
    let before = viewers[0].with(|seen| flv::picture_times(&seen.tags).len());
    let packets = player.count();
    camera.restart();
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, before + 60));
    player.wait(packets + 60);
    player.check_continuous();
    assert_eq!(hub.runtime().number("extra/pulls/active"), 1.0);
    let route = wait_state(&hub, "/door", "live");
    assert!(route.number("status/retries") >= 1.0);
    for viewer in viewers {
        let seen = viewer.finish();
        flv::check(&seen.tags);
        assert_eq!(seen.end.as_ref().map(|end| matches!(end, End::Close { .. } | End::Complete)), Some(false));
        let times = flv::picture_times(&seen.tags);
        let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 200).collect();
        assert_eq!(steps.len(), 1, "one gap, as long as the camera was away: {steps:?} ms");
        assert!(steps[0] < 15_000, "{steps:?}");
    }
}

#[test]
fn a_wrong_password_is_told_and_not_tried_again_and_again() {
    let login = Login { user: "admin", password: "right", challenge: Challenge::Md5 };
    let camera = Camera::start(Script { login: Some(login), ..Script::default() });
    let routes = [
        ("/wrong", camera.url("admin:nope@", "/live"), false),
        ("/kept", camera.url("admin:nope@", "/kept"), true),
        ("/none", camera.url("", "/live"), false),
    ];
    let hub = hub("password", &routes, &[]);
    wait_state(&hub, "/kept", "waiting");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let answer = http::get(hub.address(), "/streams/wrong.flv");
        assert_eq!(answer.status, 502, "{}", answer.text());
        let error = Json::parse(&answer.text());
        assert!(error.text("error").contains("refuses user and password"), "{error:?}");
        assert!(error.text("error").contains("401"), "{error:?}");
    }
    let told = route(&hub, "/wrong");
    assert_eq!(told.text("status/state"), "waiting");
    assert!(told.text("status/error").contains("401"), "{told:?}");
    assert_eq!(told.text("url"), camera.url("admin:nope@", "/live"));
    assert_eq!((camera.connections(), camera.refused()), (2, 2), "one for each route");
    assert_eq!(http::get(hub.address(), "/streams/none.flv").status, 502);
    assert!(hub.log().iter().all(|line| !line.contains("nope")));
}

#[test]
fn a_camera_that_stalls_is_connected_anew() {
    let stalls = Camera::start(Script { stalls_after: Some(30), ..Script::default() });
    let video = Camera::start(Script { video_stalls_after: Some(30), ..Script::default() });
    let routes = [("/all", stalls.url("", "/live"), false), ("/video", video.url("", "/live"), false)];
    let hub = hub("stall", &routes, &[("IPCHUB_PULL_STALL", "1.5")]);
    let viewers = ["/all.flv", "/video.flv"].map(|path| Viewer::watch(&hub, Way::Http, path));
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 60));
    assert_eq!((stalls.plays(), video.plays()), (2, 2));
    hub.wait_log(&["/all", "sent nothing for 1.5 s"]);
    hub.wait_log(&["/video", "sent no video for 1.5 s"]);
    assert!(route(&hub, "/video").text("status/error").contains("no video"));
}

#[test]
fn keepalive_connects_at_the_start_and_stays() {
    let camera = Camera::start(Script { timeout: 4, ..Script::default() });
    let routes = [("/door", camera.url("", "/live"), true)];
    let mut hub = hub("keepalive", &routes, &[("IPCHUB_PULL_IDLE", "0.5")]);
    wait_state(&hub, "/door", "live");
    hub.wait_live("/door");
    // The camera's timeout of 4 s is answered by a request every 2 s.
    assert!(wait_until(SOON, || {
        let requests = camera.requests();
        requests.iter().filter(|request| request.starts_with("GET_PARAMETER")).count() >= 2
    }));
    assert_eq!((camera.connections(), route(&hub, "/door").text("status/state")), (1, "live"));
    let (code, took) = hub.terminate(SOON);
    assert_eq!(code, Some(0), "{:?}", hub.log());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(camera.requests().last().is_some_and(|last| last.starts_with("TEARDOWN")), "{:?}", camera.requests());
    assert!(hub.log().iter().all(|line| !line.contains("panicked")), "{:?}", hub.log());
}

#[test]
fn a_second_signal_ends_the_hub_at_once() {
    let cameras = [Script::default(), Script { silent_after: Some("SETUP"), ..Script::default() }].map(Camera::start);
    let routes = [("/live", cameras[0].url("", "/live"), true), ("/tried", cameras[1].url("", "/live"), true)];
    let mut hub = hub("signals", &routes, &[]);
    wait_state(&hub, "/live", "live");
    hub.signal("TERM");
    hub.wait_log(&["SIGTERM"]);
    hub.terminate(SOON);
    assert!(hub.log().iter().all(|line| !line.contains("panicked")), "{:?}", hub.log());
}

#[test]
fn viewers_that_leave_stop_the_tries() {
    let camera = Camera::start(Script::default());
    let hub = hub("leave", &[("/door", camera.url("", "/live"), false)], &[]);
    let viewer = Viewer::watch(&hub, Way::Http, "/door.flv");
    viewer.wait_pictures(SOON, 5);
    camera.kill();
    wait_state(&hub, "/door", "waiting");
    drop(viewer);
    wait_state(&hub, "/door", "idle");
    assert!(wait_until(SOON, || hub.stream("/door").is_none()), "the source waits for nobody");
}

#[test]
fn the_administrator_ends_it() {
    let camera = Camera::start(Script::default());
    let hub = hub("ended", &[("/door", camera.url("", "/live"), false)], &[]);
    let viewer = Viewer::watch(&hub, Way::WebSocket, "/door.flv");
    viewer.wait_pictures(SOON, 5);
    assert_eq!(http::delete(hub.address(), "/api/v1/streams/door").status, 200);
    assert!(matches!(viewer.wait_end(SOON), End::Close { .. }));
    wait_state(&hub, "/door", "idle");
    // Whoever asks again gets it again.
    watch(&hub, "/door.flv", 1);
}

#[test]
fn a_camera_that_breaks_off_is_called_less_and_less() {
    let camera = Camera::start(Script { dies_after: Some(2), ..Script::default() });
    let hub = hub("backoff", &[("/door", camera.url("", "/live"), true)], &[]);
    std::thread::sleep(Duration::from_secs(6));
    // At 0, 1, 3 and 7 s, each up to a quarter earlier.
    assert!((3..=4).contains(&camera.plays()), "{} connections in 6 s", camera.plays());
    assert!(route(&hub, "/door").number("status/retries") >= 2.0);
    let patterns = hub.json("/api/v1/routes");
    assert_eq!((patterns.number("total"), patterns.text("routes/0/pattern")), (1.0, "/door"));
}

#[test]
fn a_directory_keeps_the_case_of_what_is_asked_for() {
    let camera = Camera::start(Script::default());
    let hub = hub("directory", &[("/HR/", camera.url("", "/Base/?Token=A"), false)], &[]);
    watch(&hub, "/hr/Door/Ch01.flv", 1);
    assert_eq!(camera.urls("DESCRIBE"), [camera.url("", "/Base/Door/Ch01?Token=A")]);
    // One source for all cases.
    watch(&hub, "/HR/door/CH01.flv", 1);
    assert_eq!(camera.connections(), 1);
    assert_eq!(route(&hub, "/hr/").text("status/state"), "live");
    assert_eq!(http::get(hub.address(), "/streams/other/x.flv").status, 404);
    assert_eq!(http::get(hub.address(), "/api/v1/routes/hr").status, 404);
}

#[test]
fn a_publisher_may_take_the_path_and_give_it_back() {
    let camera = Camera::start(Script::default());
    let hub = hub("push", &[("/door", camera.url("", "/live"), true)], &[]);
    wait_state(&hub, "/door", "live");
    let push = ffmpeg::Media::default().push(&hub, "/door");
    let route = wait_state(&hub, "/door", "waiting");
    assert!(route.text("status/error").contains("took over"), "{route:?}");
    assert_eq!(camera.plays(), 1, "it does not fight for it");
    drop(push);
}

#[test]
fn what_never_was_there_is_not_tried_for_ever() {
    let camera = Camera::start(Script::default());
    let hub = hub("below", &[("/hr/", camera.url("", "/live"), true)], &[]);
    camera.kill();
    assert_eq!(http::get(hub.address(), "/streams/hr/nothing.flv").status, 502);
    wait_state(&hub, "/hr/", "idle");
    camera.restart();
    watch(&hub, "/hr/door.flv", 1);
    camera.kill();
    wait_state(&hub, "/hr/", "waiting");
    camera.restart();
    // Nobody watches, but it was there.
    wait_state(&hub, "/hr/", "live");
    assert!(camera.requests().iter().all(|request| !request.contains("nothing")));
}

#[test]
fn a_broken_table_stops_the_start() {
    let folder = temporary("pull_broken");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join("routetable.json"), "[\n{\"pattern\": \"/a\"}\n]").expect("a file can be written");
    for arguments in [&["--check", "--data-dir"][..], &["--data-dir"]] {
        let mut command = support::hub::command(&[], arguments);
        command.arg(&folder).args(["--listen", "127.0.0.1:0"]);
        let output = command.output().expect("it can be run");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("routetable.json") && text.contains("line 2"), "{text}");
    }
}

/// `cargo test --release --test pull -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn figures_of_fifty_cameras() {
    let camera = Camera::start(Script::default());
    let patterns: Vec<_> = (0..50).map(|n| format!("/cam/{n}")).collect();
    let routes: Vec<_> = patterns.iter().map(|pattern| (pattern.as_str(), camera.url("", pattern), true)).collect();
    let hub = hub("fifty", &routes, &[]);
    patterns.iter().for_each(|pattern| drop(wait_state(&hub, pattern, "live")));
    let bytes = || patterns.iter().map(|pattern| route(&hub, pattern).number("status/bytes")).sum::<f64>();
    hub.runtime();
    let (begin, before) = (Instant::now(), bytes());
    std::thread::sleep(Duration::from_secs(10));
    let (runtime, rate) = (hub.runtime(), (bytes() - before) * 8.0 / begin.elapsed().as_secs_f64() / 1e6);
    let (cpu, memory) = (runtime.number("proc/cpu"), runtime.number("proc/priv"));
    println!("50 pulled sources, {rate:.1} Mbit/s: {cpu} % of one core, {memory} KiB resident");
}
