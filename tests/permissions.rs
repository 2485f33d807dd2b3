//! With `auth = true` every way to media asks who it is and what that may do: RTSP by Digest (ffmpeg, GStreamer) and by tokens,
//! FLV by tokens; and nothing is pulled for who may not watch it.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::process::Command;

use camera::{Camera, Script};
use support::ffmpeg::Media;
use support::hub::Hub;
use support::page::{self, Page};
use support::process::Process;
use support::rtsp::{H264_SDP, Rtsp};
use support::viewer::{Viewer, Way};
use support::websocket::WebSocket;
use support::{SOON, ffmpeg, http};

/// A hub with auth: `ann` may push below /live, `bob` may watch /live/+, `eve` nothing.
fn hub() -> Hub {
    let hub = Hub::start(&[], &["--auth"]);
    for body in [
        r#"{"name":"ann","password":"push me","push":"/live/*"}"#,
        r#"{"name":"bob","password":"w@tch","pull":"/Live/+"}"#,
        r#"{"name":"eve","password":"e"}"#,
    ] {
        let answer = http::send(hub.address(), "POST", "/api/v1/users", &[], body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    hub
}

/// `rtsp://user@...`
fn url(hub: &Hub, login: &str, path: &str) -> String {
    format!("rtsp://{login}@{}{path}", hub.address())
}

fn push(hub: &Hub, login: &str, path: &str) -> Process {
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
        "testsrc2=size=320x240:rate=25",
    ]);
    command.args(ffmpeg::H264.split(' ')).args(["-f", "rtsp", "-rtsp_transport", "tcp", &url(hub, login, path)]);
    Process::start(command)
}

fn status(hub: &Hub, path: &str) -> u16 {
    // The head only: a stream that is let in does not end.
    http::Answer::to(hub.address(), "GET", path, "HTTP/1.1", &[]).expect("an answer").status
}

#[test]
fn ffmpeg_pushes_and_plays_by_digest() {
    let hub = hub();
    let _push = push(&hub, "ann:push%20me", "/live/door");
    hub.wait_live("/live/door");
    ffmpeg::decode(&url(&hub, "bob:w%40tch", "/live/door"), &["-frames:v", "10", "-an"]);
    for (login, path, words) in [
        ("bob:w%40tch", "/live/other", "403"),
        ("ann:push%20me", "/room/door", "403"),
        ("ann:wrong", "/live/other", "401"),
        ("nobody:x", "/live/other", "401"),
    ] {
        let mut refused = push(&hub, login, path);
        let (exit, _) = refused.wait(SOON);
        let said = refused.lines().join("\n");
        assert!(!exit.success() && said.contains(words), "{login} {path}: {said}");
    }
    for (login, words) in [("eve:e", "403"), ("ann:push%20me", "403"), ("bob:wrong", "401")] {
        let mut player = ffmpeg::start_decoding(&url(&hub, login, "/live/door"), &[]);
        let (exit, _) = player.wait(SOON);
        let said = player.lines().join("\n");
        assert!(!exit.success() && said.contains(words), "{login}: {said}");
    }
    let log = hub.log().join("\n");
    assert!(!log.contains("push me") && !log.contains("w@tch") && !log.contains("push%20me"), "{log}");
}

#[test]
fn gstreamer_plays_by_digest() {
    let hub = hub();
    let _push = push(&hub, "ann:push%20me", "/live/door");
    hub.wait_live("/live/door");
    let play = |user: &str, password: &str| {
        let mut command = Command::new("gst-launch-1.0");
        command.args(["-q", "rtspsrc", &format!("location={}", hub.url("rtsp", "/live/door")), "protocols=tcp"]);
        command.args([&format!("user-id={user}"), &format!("user-pw={password}"), "!", "rtph264depay", "!"]);
        command.args(["identity", "eos-after=20", "!", "fakesink", "sync=false"]);
        let mut process = Process::start(command);
        let (exit, _) = process.wait(SOON * 2);
        (exit.success(), process.lines().join("\n"))
    };
    let (played, said) = play("bob", "w@tch");
    assert!(played, "{said}");
    let (played, said) = play("bob", "wrong");
    assert!(!played, "{said}");
}

#[test]
fn challenges_and_tokens_over_rtsp() {
    let hub = hub();
    let _push = push(&hub, "ann:push%20me", "/live/door");
    hub.wait_live("/live/door");
    let mut rtsp = Rtsp::connect(&hub, "/live/door");
    assert_eq!(rtsp.request("OPTIONS", None, &[], "").status, 200, "needs no login");
    let refused = rtsp.request("DESCRIBE", None, &[], "");
    assert_eq!(refused.status, 401);
    let offers: Vec<_> = refused.headers.iter().filter(|(name, _)| name == "WWW-Authenticate").collect();
    assert!(offers.len() == 2 && offers.iter().all(|(_, offer)| offer.starts_with("Digest ")), "no Basic: {offers:?}");
    assert!(offers.iter().all(|(_, offer)| offer.contains("qop=\"auth\"") && !offer.contains("stale")), "{offers:?}");
    // "bob:w@tch"
    let basic = [("Authorization", "Basic Ym9iOndAdGNo")];
    assert_eq!(rtsp.request("DESCRIBE", None, &basic, "").status, 401, "Basic needs TLS");
    let wrong = "Digest username=\"bob\", realm=\"ipchub\", nonce=\"x\", uri=\"/live/door\", response=\"00\"";
    assert_eq!(rtsp.request("DESCRIBE", None, &[("Authorization", wrong)], "").status, 401);
    // One wrong answer locks nothing: a token on the same connection.
    let token = http::login(hub.address(), "bob", "w@tch");
    let with = |path: &str| format!("{}?token={token}", hub.url("rtsp", path));
    assert_eq!(rtsp.request("DESCRIBE", Some(&with("/live/door")), &[], "").status, 200);
    let setup = format!("{}/trackID=0", hub.url("rtsp", "/live/door"));
    let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")];
    assert_eq!(rtsp.request("SETUP", Some(&setup), &transport, "").status, 200, "the connection is logged in");
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);

    let mut rtsp = Rtsp::connect(&hub, "/live/new");
    let sdp = [("Content-Type", "application/sdp")];
    assert_eq!(rtsp.announce(H264_SDP).status, 401);
    assert_eq!(rtsp.request("ANNOUNCE", Some(&with("/live/new")), &sdp, H264_SDP).status, 403, "bob may watch only");
    assert!(hub.stream("/live/new").is_none());

    let mut other = Rtsp::connect(&hub, "/live/door");
    assert_eq!(
        other.request("DESCRIBE", Some(&format!("{}?token=x", hub.url("rtsp", "/live/door"))), &[], "").status,
        401
    );
    assert_eq!(http::delete(hub.address(), "/api/v1/users/bob").status, 200);
    assert_eq!(other.request("DESCRIBE", Some(&with("/live/door")), &[], "").status, 401, "deleted");
}

#[test]
fn a_right_that_is_taken_back_counts_at_record() {
    let hub = hub();
    let token = http::login(hub.address(), "ann", "push me");
    let url = format!("{}?token={token}", hub.url("rtsp", "/live/new"));
    let mut rtsp = Rtsp::connect(&hub, "/live/new");
    let sdp = [("Content-Type", "application/sdp")];
    assert_eq!(rtsp.request("ANNOUNCE", Some(&url), &sdp, H264_SDP).status, 200);
    let setup = format!("{}/streamid=0", hub.url("rtsp", "/live/new"));
    let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")];
    assert_eq!(rtsp.request("SETUP", Some(&setup), &transport, "").status, 200);
    let body = r#"{"name":"ann","push":"/other/*"}"#;
    assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], body).status, 200);
    assert_eq!(rtsp.request("RECORD", None, &[], "").status, 403);
}

#[test]
fn failed_logins_over_rtsp_are_refused_as_those_of_rest() {
    let hub = hub();
    let wrong = || {
        let mut rtsp = Rtsp::connect(&hub, "/live/door");
        let asked = rtsp.request("DESCRIBE", None, &[], "");
        let offer = asked.header("WWW-Authenticate").expect("it asks for a login");
        let nonce = offer.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has a nonce");
        let digest = "username=\"bob\", realm=\"ipchub\", uri=\"/live/door\", qop=auth, nc=00000001, cnonce=\"c\"";
        let answer = format!("Digest {digest}, nonce=\"{nonce}\", response=\"{}\"", "0".repeat(64));
        rtsp.request("DESCRIBE", None, &[("Authorization", &answer)], "").status
    };
    let statuses = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..10).map(|_| scope.spawn(wrong)).collect();
        tries.into_iter().map(|attempt| attempt.join().expect("it does not panic")).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [401; 10]);
    assert_eq!(wrong(), 403);
    hub.wait_log(&["127.0.0.1:", "too many failed logins"]);
    let rest = http::tokens(hub.address(), "bob", "w@tch").expect_err("the same address");
    assert_eq!(rest.status, 429, "{}", rest.text());
}

#[test]
fn flv_asks_for_a_token_and_the_right() {
    let hub = hub();
    let _push = push(&hub, "ann:push%20me", "/live/door");
    hub.wait_live("/live/door");
    let (bob, eve) = (http::login(hub.address(), "bob", "w@tch"), http::login(hub.address(), "eve", "e"));
    for (path, expected) in [
        ("/streams/live/door.flv".to_owned(), 401),
        ("/streams/live/door.flv?token=x".to_owned(), 401),
        (format!("/streams/live/door.flv?token={eve}"), 403),
        (format!("/streams/LIVE/Door.flv?token={bob}"), 200),
        (format!("/streams/room/door.flv?token={bob}"), 403),
        (format!("/streams/live/none.flv?token={bob}"), 404),
    ] {
        assert_eq!(status(&hub, &path), expected, "{path}");
    }
    for way in [Way::Http, Way::WebSocket] {
        let refused = Viewer::open(&hub, way, &format!("/live/door.flv?token={eve}"), false).map(|_| ());
        assert_eq!(refused.map_err(|error| error.to_string()), Err("status 403".into()), "before the upgrade");
        let viewer = Viewer::watch(&hub, way, &format!("/live/door.flv?token={bob}"));
        viewer.wait_pictures(SOON, 5);
    }
    assert!(hub.log().iter().all(|line| !line.contains(&bob)));
}

#[test]
fn pages_have_the_rights_of_their_token() {
    let hub = hub();
    let _push = push(&hub, "ann:push%20me", "/live/door");
    hub.wait_live("/live/door");
    let token = |user, password| http::login(hub.address(), user, password);
    let (ann, bob, eve) = (token("ann", "push me"), token("bob", "w@tch"), token("eve", "e"));
    for protocol in ["rtsp", "control", "data"] {
        let open = |query: &str| WebSocket::speak(hub.address(), &format!("/streams/live/door{query}"), protocol);
        for query in ["", "?token=x"] {
            assert!(open(query).is_err_and(|error| error.to_string() == "status 401"), "{protocol}{query}");
        }
        if protocol != "rtsp" {
            let refused = open(&format!("?token={eve}"));
            assert!(refused.is_err_and(|error| error.to_string() == "status 403"), "{protocol}");
        }
    }
    for way in [Page::rtsp as fn(&Hub, &str) -> Page, Page::wsp] {
        let mut page = way(&hub, &format!("/live/door?token={bob}"));
        page.play(1);
        page.packet().expect("a packet");
    }
    // What comes over `rtsp` is known with its requests.
    for (token, path) in [(&eve, "/live/door"), (&bob, "/room/door"), (&ann, "/live/door")] {
        let mut page = Page::rtsp(&hub, &format!("{path}?token={token}"));
        assert_eq!(page.request("DESCRIBE", "", &[], "").status, 403, "{path}");
    }
    let announce = |token: &str| {
        let mut page = Page::rtsp(&hub, &format!("/live/page?token={token}"));
        let sdp = [("Content-Type", "application/sdp")];
        let status = page.request("ANNOUNCE", "", &sdp, H264_SDP).status;
        (page, status)
    };
    assert_eq!(announce(&bob).1, 403);
    let (mut page, status) = announce(&ann);
    assert_eq!(status, 200);
    let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")];
    assert_eq!(page.request("SETUP", "/streamid=0", &transport, "").status, 200);
    assert_eq!(page.request("RECORD", "", &[], "").status, 200);
    // A channel is of its user.
    assert_eq!(
        http::send(hub.address(), "POST", "/api/v1/users", &[], r#"{"name":"ben","password":"b","pull":"*"}"#).status,
        200
    );
    let (_control, channel) = page::init(&hub, &format!("/live/door?token={bob}"));
    let mut data = page::open(&hub, &format!("/live/door?token={}", token("ben", "b")), "data");
    assert!(page::ask(&mut data, &format!("WSP/1.1 JOIN\r\nchannel: {channel}\r\n\r\n")).starts_with("WSP/1.1 404 "));
    assert!(hub.log().iter().all(|line| !line.contains(&bob) && !line.contains(&ann)));
}

#[test]
fn nothing_is_pulled_for_who_may_not_watch_it() {
    let camera = Camera::start(Script::default());
    let hub = hub();
    let route = format!(r#"{{"pattern":"/live/cam","url":"{}"}}"#, camera.url("", "/x"));
    assert_eq!(http::send(hub.address(), "POST", "/api/v1/routes", &[], &route).status, 200);
    let (bob, eve) = (http::login(hub.address(), "bob", "w@tch"), http::login(hub.address(), "eve", "e"));
    assert_eq!(status(&hub, "/streams/live/cam.flv"), 401);
    assert_eq!(status(&hub, &format!("/streams/live/cam.flv?token={eve}")), 403);
    let mut rtsp = Rtsp::connect(&hub, "/live/cam");
    assert_eq!(rtsp.request("DESCRIBE", None, &[], "").status, 401);
    let with = |token: &str| format!("{}?token={token}", hub.url("rtsp", "/live/cam"));
    assert_eq!(rtsp.request("DESCRIBE", Some(&with(&eve)), &[], "").status, 403);
    assert_eq!(camera.connections(), 0);
    Viewer::watch(&hub, Way::Http, &format!("/live/cam.flv?token={bob}")).wait_pictures(SOON, 1);
    assert_eq!(camera.connections(), 1);
}

#[test]
fn without_auth_streams_are_open() {
    let hub = Hub::start(&[], &[]);
    let _push = Media { size: "320x240", ..Media::default() }.push(&hub, "/open/door");
    hub.wait_live("/open/door");
    assert_eq!(status(&hub, "/streams/open/door.flv"), 200);
    ffmpeg::decode(&hub.url("rtsp", "/open/door"), &["-frames:v", "5"]);
}
