//! What cameras do that a pull must cope with: how they ask for passwords, keep silent, and read the RFCs in their own way.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::time::{Duration, Instant};

use camera::routes::{hub, route, watch};
use camera::{Camera, Challenge, Login, Script};
use support::hub::Hub;
use support::viewer::{Viewer, Way};
use support::{SOON, flv, http};

/// Odd enough to need encoding in a URL; `%`, `:`, `@`, `/` and a space.
const PASSWORD: &str = "p@ss:w/o rd%41#";
const ENCODED: &str = "p%40ss%3Aw%2Fo%20rd%2541%23";

/// Nothing that the hub says or shows may hold a password.
fn check_secrecy(hub: &Hub) {
    let shown = [http::get(hub.address(), "/api/v1/routes").text(), http::get(hub.address(), "/api/v1/streams").text()];
    for text in hub.log().iter().chain(&shown) {
        assert!(!text.contains(PASSWORD) && !text.contains(ENCODED), "the password is in {text:?}");
    }
}

#[test]
fn logins_of_every_kind() {
    for (n, challenge) in [
        Challenge::Basic,
        Challenge::Md5,
        Challenge::Md5Qop,
        Challenge::Sha256Qop,
        Challenge::BasicAndMd5,
        Challenge::Md5AndSha256,
    ]
    .into_iter()
    .enumerate()
    {
        let login = Login { user: "ad min", password: PASSWORD, challenge };
        let camera = Camera::start(Script { login: Some(login), ..Script::default() });
        let url = camera.url(&format!("ad%20min:{ENCODED}@"), "/live");
        let hub = hub(&format!("login{n}"), &[("/door", url, false)], &[("IPCHUB_LOG", "debug")]);
        let viewer = Viewer::open(&hub, Way::Http, "/door.flv", false);
        let viewer = viewer.unwrap_or_else(|error| panic!("{challenge:?}: {error}, {:?}", route(&hub, "/door")));
        viewer.wait_pictures(SOON, 2);
        assert_eq!((camera.connections(), camera.refused()), (1, 0), "{challenge:?}");
        let stream = hub.stream("/door").expect("it is live");
        assert_eq!(stream.text("addr"), &camera.url("", "")["rtsp://".len()..]);
        check_secrecy(&hub);
    }
}

#[test]
fn a_nonce_may_run_out_between_requests() {
    let login = Login { user: "admin", password: PASSWORD, challenge: Challenge::Md5Qop };
    let camera = Camera::start(Script { login: Some(login), stale_nonce: true, ..Script::default() });
    let hub = hub("nonce", &[("/door", camera.url(&format!("admin:{ENCODED}@"), "/live"), false)], &[]);
    watch(&hub, "/door.flv", 2);
    assert_eq!((camera.connections(), camera.plays(), camera.refused()), (1, 1, 1));
}

#[test]
fn a_silent_camera_is_given_up() {
    for method in ["DESCRIBE", "SETUP", "PLAY"] {
        let camera = Camera::start(Script { silent_after: Some(method), ..Script::default() });
        let url = camera.url("", "/live");
        let hub = hub(&format!("silent_{method}"), &[("/door", url, false)], &[("IPCHUB_PULL_TIMEOUT", "1")]);
        let begin = Instant::now();
        let answer = http::get(hub.address(), "/streams/door.flv");
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert!(answer.text().contains("within 1 s"), "{}", answer.text());
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    }
}

#[test]
fn odd_cameras() {
    for (name, script) in [
        ("no_sprop", Script { sprop: false, ..Script::default() }),
        ("anjvision_base", Script { base_without_scheme: true, ..Script::default() }),
        ("escam_channels", Script { other_channels: true, ..Script::default() }),
        ("reolink_strangers", Script { strangers: true, ..Script::default() }),
        ("cvlc_udp_only", Script { refuses_tcp: true, ..Script::default() }),
    ] {
        let camera = Camera::start(script);
        let hub = hub(name, &[("/door", camera.url("", "/live"), false)], &[]);
        let seen = watch(&hub, "/door.flv", 60);
        flv::check_no_gap(&seen.tags, 40);
        assert_eq!(flv::metadata_size(&seen.tags), Some((640.0, 360.0)), "{name}");
        assert_eq!((camera.connections(), camera.plays()), (1, 1), "{name}");
    }
}

#[test]
fn udp_where_the_route_says_so() {
    let camera = Camera::start(Script::default());
    let hub = hub("udp", &[("/door", camera.url("", "/live?transport=udp&x=1"), false)], &[]);
    watch(&hub, "/door.flv", 30);
    let requests = camera.requests();
    assert_eq!(camera.urls("DESCRIBE"), [camera.url("", "/live?x=1")]);
    assert!(requests.iter().all(|request| !request.contains("transport")), "{requests:?}");
}
