//! TLS on the one port: https, wss and rtsps with real clients, over HTTP/1.1 and HTTP/2.

mod support;

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use support::camera::{self, Camera};
use support::ffmpeg::{self, H264};
use support::flv::{self, Reader, Tag};
use support::http::Answer;
use support::json::Json;
use support::process::Process;
use support::tls::{Pair, hello, secure, text};
use support::websocket::{Message, WebSocket};
use support::{SOON, http, temporary, wait_until};

/// Time for the hub to read the first part alone. Where it does not suffice the test shows less, but never fails.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs curl to its end; its standard output.
fn curl(pair: &Pair, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--cacert", text(&pair.cert)]).args(arguments);
    let output = command.output().expect("curl is there");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn tags_of(file: &std::path::Path) -> Vec<Tag> {
    let (mut reader, mut tags) = (Reader::default(), Vec::new());
    let bytes = std::fs::read(file).unwrap_or_default();
    reader.push(&bytes, false, &mut tags).expect("whole tags");
    tags
}

#[test]
fn curl_speaks_both_versions() {
    let pair = Pair::make("versions");
    let hub = pair.hub(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let url = hub.url("https", "/api/v1/server");
    for (version, expected) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let answer = curl(&pair, &[version, "-w", "\n%{http_version} %{http_code}", &url]);
        assert!(answer.contains("\"vendor\"") && answer.ends_with(&format!("{expected} 200")), "{answer}");
        let head = curl(&pair, &[version, "-I", &hub.url("https", "/streams/demo/clock.flv")]);
        assert!(head.to_lowercase().contains("content-type: video/x-flv"), "{head}");
        let missing = curl(&pair, &[version, "-w", " %{http_code}", &hub.url("https", "/streams/none.flv")]);
        assert!(missing.contains("\"error\"") && missing.ends_with(" 404"), "{missing}");
        // A page of some length, through the windows of HTTP/2.
        let page = curl(&pair, &[version, &hub.url("https", "/player.js")]);
        assert_eq!(page, http::get(hub.address(), "/player.js").text());
    }
    // The same port still speaks without TLS.
    assert_eq!(http::get(hub.address(), "/api/v1/server").status, 200);
    assert_eq!(hub.runtime().number("flv/total"), 0.0, "HEAD is no viewer");
}

/// A viewer by http-flv gets every picture, is told the end, and its bytes are counted.
#[test]
fn http_flv_by_both_versions() {
    let pair = Pair::make("flv");
    let hub = pair.hub(&[], &[]);
    for (n, version) in ["--http1.1", "--http2"].into_iter().enumerate() {
        let path = format!("/live/{n}");
        let camera = Camera::publish(&hub, &path, 30_000);
        hub.wait_live(&path);
        let file = temporary(&format!("flv{n}.flv"));
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new("curl");
        command.args(["-sS", version, "--cacert", text(&pair.cert), "--no-buffer", "-o", text(&file)]);
        command.arg(hub.url("https", &format!("/streams{path}.flv")));
        let mut curl = Process::start(command);
        let enough = || camera::numbers(&tags_of(&file)).len() > 60;
        assert!(wait_until(SOON, enough), "{version}: {:?}", curl.lines());
        let stream = hub.stream(&path).expect("it is live");
        let consumer = &stream.list("cs")[0];
        assert!(consumer.text("extra").starts_with("net=http-flv,127.0.0.1:"), "{consumer:?}");
        assert!(consumer.number("flow/outbytes") > 60.0 * 29.0, "KiB: {consumer:?}");
        assert_eq!(http::delete(hub.address(), &format!("/api/v1/streams{path}")).status, 200);
        let (status, _) = curl.wait(SOON);
        assert!(status.success(), "{version}: the end is told: {:?}", curl.lines());
        camera::check_complete(&tags_of(&file));
        if version == "--http2" {
            let line = hub.wait_log(&[&path, "watched by http-flv"]);
            let size = std::fs::metadata(&file).expect("it is there").len();
            assert!(line.contains(&format!(" {size} bytes sent, 0 chunks dropped")), "{size} in {line}");
        }
        drop(camera);
    }
}

#[test]
fn websocket_flv() {
    let pair = Pair::make("wss");
    let hub = pair.hub(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let stream = pair.connect(hub.address());
    let mut socket = WebSocket::over(stream, "/streams/demo/clock.flv", "Upgrade").expect("it is live");
    socket.ping(b"there?").expect("it is open");
    let (mut reader, mut tags, mut pong) = (Reader::default(), Vec::new(), false);
    while tags.len() < 150 {
        match socket.read().expect("it goes on") {
            Message::Binary(data) => reader.push(&data, false, &mut tags).expect("whole tags"),
            Message::Pong(data) => pong = data == b"there?",
            other => panic!("{other:?}"),
        }
    }
    assert!(pong);
    flv::check(&tags);
    let id = hub.stream("/demo/clock").expect("it is live").list("cs")[0].number("id");
    let kick = http::delete(hub.address(), &format!("/api/v1/streams/demo/clock:consumer?cid={id}"));
    assert_eq!(kick.status, 200);
    let end = loop {
        match socket.read() {
            Ok(Message::Binary(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Ok(Message::Close { code: 1000, .. })), "{end:?}");
}

#[test]
fn ffmpeg_pushes_and_plays_rtsps() {
    let pair = Pair::make("rtsps");
    let hub = pair.hub(&[], &[]);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"]);
    command.args(H264.split(' ')).args(["-f", "rtsp", "-rtsp_transport", "tcp", &hub.url("rtsps", "/live/push")]);
    let push = Process::start(command);
    let live = wait_until(SOON, || hub.stream("/live/push").is_some());
    assert!(live, "{:?}", push.lines());
    hub.wait_live("/live/push");
    // Under TLS and without, from the same source.
    for scheme in ["rtsps", "rtsp"] {
        ffmpeg::decode_with(&hub.url(scheme, "/live/push"), &["-rtsp_transport", "tcp"], &["-t", "3"]);
    }
    let mut stream = pair.connect(hub.address());
    let request = "DESCRIBE rtsps://localhost/live/push RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the hub reads");
    let mut answer = vec![0; 300];
    stream.read_exact(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("Content-Base: rtsps://localhost/live/push/\r\n"), "{answer}");
    drop(push);
}

/// How often GStreamer may fail to begin.
const TRIES: usize = 3;

#[test]
fn gstreamer_plays_rtsps() {
    let pair = Pair::make("gstreamer");
    let hub = pair.hub(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let play = |flags: &str| {
        let mut command = Command::new("gst-launch-1.0");
        let pipeline = format!(
            "rtspsrc location={} protocols=tcp tls-validation-flags={flags} ! application/x-rtp,media=video ! decodebin \
             ! video/x-raw,width=640,height=360 ! identity eos-after=75 ! fakesink sync=false",
            hub.url("rtsps", "/demo/clock")
        );
        command.env("LC_ALL", "C").args(pipeline.split_whitespace());
        let mut player = Process::start(command);
        player.wait(Duration::from_secs(60));
        let lines = player.lines();
        // All pictures were decoded. What it says of its own end later does not count: it asks for a pause on a connection that it closed.
        (lines.iter().any(|line| line.starts_with("Got EOS from element")), lines)
    };
    // GStreamer 1.22 on a busy machine may push packets before it has linked its decoder ("not-linked"), and gives up.
    let played = (0..TRIES).any(|_| {
        let (played, lines) = play("0");
        if !played {
            println!("{lines:#?}");
        }
        played
    });
    assert!(played, "not in {TRIES} tries");
    // It checks the certificate unless it is told not to: this one is nobody's.
    let (played, lines) = play("validate-all");
    assert!(!played && lines.iter().any(|line| line.contains("Failed to connect")), "{lines:#?}");
}

/// Basic is a login under TLS only (`tests/permissions.rs` has it refused without); each version of HTTP tells who asks.
#[test]
fn logins() {
    let pair = Pair::make("logins");
    let hub = pair.hub(&[], &["--auth", "--demo"]);
    let user = r#"{"name":"bob","password":"w@tch","pull":"/demo/+"}"#;
    assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], user).status, 200);
    hub.wait_live("/demo/clock");
    let describe = |login: &str| {
        let mut stream = pair.connect(hub.address());
        let head = "DESCRIBE rtsps://hub/demo/clock RTSP/1.0\r\nCSeq: 1\r\n";
        stream.write_all(format!("{head}{login}\r\n").as_bytes()).expect("the hub reads");
        let (mut answer, mut byte) = (String::new(), [0]);
        while !answer.ends_with("\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a whole head");
            answer.push(char::from(byte[0]));
        }
        answer
    };
    let refused = describe("");
    assert!(refused.starts_with("RTSP/1.0 401 "), "{refused}");
    assert_eq!(refused.matches("WWW-Authenticate: Digest ").count(), 2, "{refused}");
    assert_eq!(refused.matches("WWW-Authenticate: Basic ").count(), 1, "{refused}");
    // "bob:w@tch", "bob:wrong"
    let accepted = describe("Authorization: Basic Ym9iOndAdGNo\r\n");
    assert!(accepted.starts_with("RTSP/1.0 200 "), "{accepted}");
    assert!(describe("Authorization: Basic Ym9iOndyb25n\r\n").starts_with("RTSP/1.0 401 "));
    let play = |login: &str| {
        let url = format!("rtsps://{login}@{}/demo/clock", hub.address());
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &url]);
        let output = command.args(["-frames:v", "10", "-f", "null", "-"]).output().expect("ffmpeg is there");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (played, said) = play("bob:w%40tch");
    assert!(played, "{said}");
    let (played, said) = play("bob:wrong");
    assert!(!played && said.contains("401"), "{said}");
    for version in ["--http1.1", "--http2"] {
        let url = hub.url("https", "/api/v1/login");
        let login = [version, "--json", r#"{"username":"admin","password":"admin"}"#, &url];
        let tokens = Json::parse(&curl(&pair, &login));
        let bearer = format!("Authorization: Bearer {}", tokens.text("access_token"));
        let users = curl(&pair, &[version, "-H", &bearer, &hub.url("https", "/api/v1/users")]);
        assert!(users.contains("\"bob\""), "{version}: {users}");
        let flv = hub.url("https", "/streams/demo/clock.flv");
        let anonymous = curl(&pair, &[version, "-o", "/dev/null", "-w", "%{http_code}", &flv]);
        assert_eq!(anonymous, "401", "{version}");
        let token = format!("{flv}?token={}", tokens.text("access_token"));
        let head = curl(&pair, &[version, "-I", "-o", "/dev/null", "-w", "%{http_code}", &token]);
        assert_eq!(head, "200", "{version}");
    }
    assert!(!hub.log().iter().any(|line| line.contains(" - admin ")), "who asks is known: {:?}", hub.log());
}

/// Where Basic is the only way, ffmpeg and GStreamer use it, under TLS; without TLS no password is taken.
#[test]
fn basic_alone() {
    let pair = Pair::make("basic");
    let hub = pair.hub(&[("IPCHUB_RTSP_LOGIN", "basic")], &["--auth", "--demo"]);
    for user in [r#"{"name":"bob","password":"w@tch","pull":"/demo/+"}"#, r#"{"name":"eve","password":"e"}"#] {
        assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], user).status, 200);
    }
    hub.wait_live("/demo/clock");
    let ffmpeg = |scheme: &str, login: &str| {
        let url = format!("{scheme}://{login}@{}/demo/clock", hub.address());
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &url]);
        let output = command.args(["-frames:v", "10", "-f", "null", "-"]).output().expect("ffmpeg is there");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (played, said) = ffmpeg("rtsps", "bob:w%40tch");
    assert!(played, "{said}");
    for (scheme, login, words) in
        [("rtsps", "bob:wrong", "401"), ("rtsps", "eve:e", "403"), ("rtsp", "bob:w%40tch", "403")]
    {
        let (played, said) = ffmpeg(scheme, login);
        assert!(!played && said.contains(words), "{scheme} {login}: {said}");
    }
    let gstreamer = |password: &str| {
        let mut command = Command::new("gst-launch-1.0");
        let pipeline = format!(
            "rtspsrc location={} protocols=tcp tls-validation-flags=0 user-id=bob user-pw={password} \
             ! application/x-rtp,media=video ! rtph264depay ! identity eos-after=20 ! fakesink sync=false",
            hub.url("rtsps", "/demo/clock")
        );
        command.env("LC_ALL", "C").arg("-q").args(pipeline.split_whitespace());
        let mut player = Process::start(command);
        let (status, _) = player.wait(Duration::from_secs(60));
        (status.success(), player.lines())
    };
    let (played, lines) = gstreamer("w@tch");
    assert!(played, "{lines:#?}");
    let (played, lines) = gstreamer("wrong");
    assert!(!played, "{lines:#?}");
    assert!(!hub.log().iter().any(|line| line.contains("w@tch")), "{:?}", hub.log());
}

/// However the first bytes come: those of the handshake, and the first under TLS.
#[test]
fn told_apart_at_every_split() {
    let pair = Pair::make("split");
    let hub = pair.hub(&[], &[]);
    let client = pair.client(&[]);
    let mut bytes = Vec::new();
    hello(client.clone()).write_tls(&mut bytes).expect("a hello");
    for cut in (1..8).chain([bytes.len() / 2, bytes.len() - 1]) {
        let mut stream = http::connect(hub.address());
        stream.set_nodelay(true).expect("small segments can be sent");
        let (mut session, mut first) = (hello(client.clone()), Vec::new());
        session.write_tls(&mut first).expect("a hello");
        stream.write_all(&first[..cut]).expect("the hub reads");
        std::thread::sleep(PAUSE);
        stream.write_all(&first[cut..]).expect("the hub reads on");
        while session.is_handshaking() {
            session.complete_io(&mut stream).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        }
    }
    for (request, answer) in [
        ("OPTIONS rtsps://hub/x RTSP/1.0\r\nCSeq: 5\r\n\r\n", "RTSP/1.0 200"),
        ("OPTIONS * HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "HTTP/1.1 "),
        ("GET /api/v1/server HTTP/1.1\r\nHost: hub\r\n\r\n", "HTTP/1.1 200"),
    ] {
        for cut in 1..request.find('\n').expect("a whole line") {
            let mut stream = secure(http::connect(hub.address()), client.clone()).expect("a connection");
            for part in [&request[..cut], &request[cut..]] {
                stream.write_all(part.as_bytes()).expect("the hub reads");
                stream.flush().expect("the hub reads");
                std::thread::sleep(PAUSE);
            }
            let mut bytes = vec![0; answer.len()];
            stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{request:?} cut at {cut}: {error}"));
            assert_eq!(String::from_utf8_lossy(&bytes), answer, "{request:?} cut at {cut}");
        }
    }
    assert_eq!(hub.runtime().number("extra/refused/protocol"), 0.0);
}

#[test]
fn versions_and_resumption() {
    let pair = Pair::make("resumption");
    let hub = pair.hub(&[], &[]);
    let address = hub.address().to_string();
    for (version, expected) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        let mut command = Command::new("openssl");
        // Level 0: openssl itself would not try the old ones.
        command.args(["s_client", "-connect", &address, "-cipher", "DEFAULT:@SECLEVEL=0", version]);
        let output = command.stdin(std::process::Stdio::null()).output().expect("openssl is there");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.contains("BEGIN CERTIFICATE"), expected, "{version}: {text}");
    }
    hub.wait_log(&["no TLS connection: "]);
    let client = pair.client(&["http/1.1"]);
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let stream = secure(http::connect(hub.address()), client.clone()).expect("a connection");
        let mut answer = Answer::over(stream, "GET", "/api/v1/server", "HTTP/1.1", &[]).expect("an answer");
        let mut body = String::new();
        answer.read_to_string(&mut body).expect("a body");
        assert_eq!(answer.stream().conn.handshake_kind(), Some(expected));
        assert_eq!(answer.stream().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}
