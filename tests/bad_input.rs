//! Whatever a peer sends, the hub says what is wrong or counts it, and everybody else goes on: a viewer of another stream
//! misses no picture, the API answers, memory stays bounded.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use support::flv;
use support::http::{self, connect};
use support::hub::Hub;
use support::rtsp::{H264_SDP, Rtsp, rtp};
use support::viewer::{Viewer, Way};
use support::websocket::WebSocket;
use support::{SOON, wait_until};

/// The demo clip has 25 pictures a second.
const INTERVAL: u32 = 40;
/// What a hub may grow by under any attack here.
const MAX_GROWTH_KIB: u64 = 48 * 1024;
const PATH: &str = "/live/bad";

/// A hub with a viewer whose picture must not suffer.
struct Guard {
    hub: Hub,
    viewer: Viewer,
    memory: u64,
}

impl Guard {
    fn start(environment: &[(&str, &str)]) -> Self {
        let hub = Hub::start(environment, &["--demo"]);
        hub.wait_live("/demo/clock");
        let viewer = Viewer::watch(&hub, Way::WebSocket, "/demo/clock.flv");
        viewer.wait_pictures(SOON, 10);
        let memory = hub.resident_kib();
        Self { hub, viewer, memory }
    }

    fn counter(&self, name: &str) -> f64 {
        self.hub.runtime().number(&format!("extra/{name}"))
    }

    /// The hub answers, and the viewer goes on.
    fn check(&self, after: &str) {
        assert_eq!(http::get(self.hub.address(), "/api/v1/server").status, 200, "after {after}");
        let count = self.viewer.count();
        self.viewer.wait(SOON, &format!("more pictures after {after}"), |seen| seen.tags.len() > count + 5);
        let growth = self.hub.resident_kib().saturating_sub(self.memory);
        assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more after {after}");
    }

    /// Runs an attack and waits until the counter has moved and the log says all of `words` in one line. The hub tells of
    /// repeated trouble once a second only: an attack whose line was held back is run again.
    fn attack(&self, what: &str, counter: &str, words: &[&str], mut attack: impl FnMut(&Hub)) {
        let before = if counter.is_empty() { 0.0 } else { self.counter(counter) };
        let lines = self.hub.log().len();
        let said = || self.hub.log()[lines..].iter().any(|line| words.iter().all(|word| line.contains(word)));
        let said = wait_until(SOON, || {
            attack(&self.hub);
            wait_until(Duration::from_millis(1100), said)
        });
        assert!(said, "{what}: no line with {words:?} in {:#?}", &self.hub.log()[lines..]);
        if !counter.is_empty() {
            assert!(wait_until(SOON, || self.counter(counter) > before), "{what}: {counter} has not moved");
        }
        self.check(what);
    }

    fn finish(self) {
        let seen = self.viewer.finish();
        flv::check(&seen.tags);
        flv::check_no_gap(&seen.tags, INTERVAL);
        assert!(!self.hub.log().iter().any(|line| line.contains("panicked")), "something panicked");
    }
}

/// Sends bytes, passing over that the hub may close in the middle of it.
fn pour(stream: &mut TcpStream, bytes: &[u8]) {
    if let Err(error) = stream.write_all(bytes) {
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    }
}

/// Everything up to the close by the hub; a connection that stays open is a failure.
fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the hub does not close: {error}"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Sends bytes on a new connection and gives all that comes back until the hub closes it.
fn throw(hub: &Hub, bytes: &[u8]) -> String {
    let mut stream = connect(hub.address());
    pour(&mut stream, bytes);
    until_closed(&mut stream)
}

/// The same pseudo-random bytes at every run (xorshift).
fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

const NO_PROTOCOL: &[&str] = &["closed: its first bytes are of no protocol"];
const MALFORMED: &[&str] = &["malformed RTSP: at byte "];

#[test]
fn bytes_of_no_protocol() {
    let guard = Guard::start(&[("IPCHUB_TIMEOUTS_SNIFF", "1")]);
    guard.attack("random bytes", "refused/protocol", NO_PROTOCOL, |hub| {
        for seed in 1..=30 {
            let mut bytes = random(seed, 64 + 150 * seed as usize);
            bytes[0] = 0xf0 | bytes[0] & 15;
            assert_eq!(throw(hub, &bytes), "");
        }
    });
    guard.attack("a TLS hello", "refused/protocol", &["closed: it speaks TLS"], |hub| {
        let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &random(5, 500)].concat();
        throw(hub, &hello);
    });
    guard.attack("an RTMP handshake", "refused/protocol", &["closed: it speaks RTMP"], |hub| {
        let handshake = [&[3, 0, 0, 0, 0, 0, 0, 0, 0][..], &random(6, 1528)].concat();
        throw(hub, &handshake);
    });
    guard.attack("the protocols of others", "refused/protocol", NO_PROTOCOL, |hub| {
        for greeting in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "EHLO hub\r\n",
            "OPTIONS sip:hub SIP/2.0\r\n\r\n",
            "describe x RTSP/1.0\r\n\r\n",
        ] {
            assert_eq!(throw(hub, greeting.as_bytes()), "", "{greeting}");
        }
        throw(hub, format!("OPTIONS /{}", "x".repeat(10_000)).as_bytes());
    });
    for beginning in ["", "O", "OPTIONS * RT", "GE"] {
        let late = &["its first bytes did not come within 1 s"];
        guard.attack("silence", "refused/protocol", late, |hub| {
            let since = Instant::now();
            assert_eq!(throw(hub, beginning.as_bytes()), "");
            assert!(since.elapsed() >= Duration::from_millis(950), "{beginning:?} after {:?}", since.elapsed());
        });
    }
    guard.finish();
}

#[test]
fn one_byte_at_a_time() {
    let guard = Guard::start(&[]);
    let http = b"GET /api/v1/server HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    let rtsp = b"OPTIONS rtsp://hub/x RTSP/1.0\r\nCSeq: 7\r\n\r\nTEARDOWN rtsp://hub/x RTSP/1.0\r\nCSeq: 8\r\n\r\n";
    for (request, answer) in [(&http[..], "HTTP/1.1 200"), (&rtsp[..], "CSeq: 8")] {
        let mut stream = connect(guard.hub.address());
        stream.set_nodelay(true).expect("small segments can be sent");
        for byte in request {
            stream.write_all(&[*byte]).expect("the hub reads on");
            std::thread::yield_now();
        }
        let text = until_closed(&mut stream);
        assert!(text.contains(answer), "{text}");
    }
    // A whole publication, with its packets.
    let mut camera = Rtsp::connect(&guard.hub, PATH);
    camera.stream().set_nodelay(true).expect("small segments can be sent");
    let url = guard.hub.url("rtsp", PATH);
    let length = H264_SDP.len();
    let dialogue = format!(
        "ANNOUNCE {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{H264_SDP}\
         SETUP {url}/streamid=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n\r\n\
         RECORD {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n"
    );
    for byte in dialogue.as_bytes() {
        camera.send(&[*byte]).expect("the hub reads on");
    }
    for _ in 0..3 {
        assert_eq!(camera.reply().expect("an answer").status, 200);
    }
    let viewer = Viewer::watch(&guard.hub, Way::Http, &format!("{PATH}.flv"));
    camera.key_frame(0).expect("the hub reads on");
    let packet = rtp(96, 4, 3600, true, &[0x41, 0x9a, 0x84, 0x10, 0x10]);
    let framed = [&[b'$', 0, 0, packet.len() as u8][..], &packet].concat();
    for byte in framed {
        camera.send(&[byte]).expect("the hub reads on");
    }
    viewer.wait_pictures(SOON, 2);
    guard.check("one byte at a time");
    guard.finish();
}

#[test]
fn heads_and_lengths_that_lie() {
    let guard = Guard::start(&[("IPCHUB_TIMEOUTS_SESSION", "2")]);
    let many = "X: y\r\n".repeat(1000);
    let megabyte = "a".repeat(1 << 20);
    let announce = "ANNOUNCE rtsp://hub/live/bad RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n";
    for (what, request, status, words) in [
        (
            "a header of 1 MB",
            format!("OPTIONS rtsp://hub/x RTSP/1.0\r\nX: {megabyte}\r\n\r\n"),
            413,
            "a line of more than",
        ),
        ("a URL of 1 MB", format!("DESCRIBE rtsp://hub/{megabyte} RTSP/1.0\r\n\r\n"), 413, "a line of more than"),
        ("1000 headers", format!("OPTIONS rtsp://hub/x RTSP/1.0\r\n{many}\r\n"), 413, "more than 128 headers"),
        ("a huge length", format!("{announce}Content-Length: 99999999999\r\n\r\n"), 413, "Content-Length 99999999999"),
        ("a negative length", format!("{announce}Content-Length: -5\r\n\r\n"), 400, "Content-Length \"-5\""),
        (
            "two lengths",
            format!("{announce}Content-Length: 5\r\nContent-Length: 6\r\n\r\nv=0\r\n"),
            400,
            "Content-Length \"6\"",
        ),
        ("too small a length", format!("{announce}Content-Length: 3\r\n\r\n{H264_SDP}\r\n"), 400, "start line"),
        ("another version", "OPTIONS rtsp://hub/x RTSP/2.0\r\nCSeq: 1\r\n\r\n".into(), 505, "RTSP/2.0"),
        (
            "bytes after a request",
            "OPTIONS rtsp://hub/x RTSP/1.0\r\nCSeq: 1\r\n\r\n\u{1}\u{2}".into(),
            400,
            "byte 0x01",
        ),
    ] {
        guard.attack(what, "", &[MALFORMED[0], words], |hub| {
            let mut stream = connect(hub.address());
            pour(&mut stream, request.as_bytes());
            // The answer may be lost where the hub closes before it has read everything.
            let answer = until_closed(&mut stream);
            let refused = answer.contains(&format!("RTSP/1.0 {status} "));
            assert!(answer.is_empty() || refused, "{what}: {answer}");
        });
    }
    guard.attack("a body that never comes", "", &["nothing heard for 2 s"], |hub| {
        throw(hub, format!("{announce}Content-Length: 100\r\n\r\nv=0").as_bytes());
    });
    for (what, request) in [
        ("a header of 1 MB", format!("GET / HTTP/1.1\r\nHost: hub\r\nX: {megabyte}\r\n\r\n")),
        ("a URL of 1 MB", format!("GET /{megabyte} HTTP/1.1\r\nHost: hub\r\n\r\n")),
        ("1000 headers", format!("GET / HTTP/1.1\r\n{many}\r\n")),
        ("a negative length", "POST /api/v1/streams HTTP/1.1\r\nHost: hub\r\nContent-Length: -1\r\n\r\n".into()),
        ("two lengths", "POST /api/v1/streams HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".into()),
        ("a bad chunk", "POST /api/v1/streams HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into()),
        ("control bytes", "GET /\u{1} HTTP/1.1\r\nHo\u{0}st: hub\r\n\r\n".into()),
    ] {
        let answer = throw(&guard.hub, request.as_bytes());
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(answer.is_empty() || status.starts_with('4'), "HTTP with {what}: {answer}");
        guard.check(what);
    }
    let mut half = connect(guard.hub.address());
    pour(&mut half, b"POST /api/v1/streams HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000000\r\n\r\nonly this");
    half.shutdown(Shutdown::Write).expect("it is open");
    until_closed(&mut half);
    guard.check("a body that is cut off");
    guard.finish();
}

#[test]
fn requests_out_of_order_and_bad_descriptions() {
    let guard = Guard::start(&[]);
    let mut rtsp = Rtsp::connect(&guard.hub, PATH);
    for (method, status) in [("RECORD", 455), ("SETUP", 404), ("PLAY", 455), ("DESCRIBE", 404), ("FLY", 501)] {
        let reply = rtsp.request(method, None, &[("Transport", "RTP/AVP/TCP;interleaved=0-1")], "");
        assert_eq!(reply.status, status, "{method} before ANNOUNCE: {}", reply.body);
        assert!(
            reply.body.contains(method) || reply.body.contains("offered") || status == 404,
            "{method}: {}",
            reply.body
        );
    }
    let tracks = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    for (what, sdp, status, words) in [
        ("nothing", "\r\n".into(), 400, "no m= line"),
        ("no media", "v=0\r\ns=x\r\nt=0 0\r\n".into(), 400, "no m= line"),
        ("200 tracks", format!("v=0\r\n{}", tracks.repeat(200)), 400, "more than 16 m= lines"),
        ("a line of 20 kB", format!("v=0\r\ns={}\r\n{tracks}", "x".repeat(20_000)), 400, "expected at most 8192"),
        ("no payload type", "v=0\r\nm=video 0 RTP/AVP\r\n".into(), 400, "no m= line"),
        ("binary", String::from_utf8_lossy(&random(3, 500)).into_owned(), 400, "SDP line"),
    ] {
        let reply = rtsp.announce(&sdp);
        assert_eq!(reply.status, status, "an SDP with {what}: {}", reply.body);
        assert!(reply.body.contains(words), "an SDP with {what}: {}", reply.body);
    }
    let reply = rtsp.request("ANNOUNCE", None, &[("Content-Type", "text/plain")], H264_SDP);
    assert_eq!(reply.status, 415);
    assert_eq!(rtsp.announce(H264_SDP).status, 200, "after all that it still works");
    let reply = rtsp.request("RECORD", None, &[], "");
    assert_eq!(reply.status, 455, "RECORD before SETUP");
    let reply = rtsp.request("SETUP", Some("rtsp://hub/live/bad/streamid=9"), &[("Transport", "RTP/AVP/TCP")], "");
    assert_eq!(reply.status, 404);
    guard.check("requests out of order");

    // Tracks that the hub does not know are accepted as they are; who wants to watch is told why not.
    for (path, sdp) in [
        ("/live/no_rtpmap", "v=0\r\nm=video 0 RTP/AVP 96\r\na=control:streamid=0\r\n"),
        ("/live/unknown", "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 X-NEW/90000\r\na=control:streamid=0\r\n"),
    ] {
        let mut rtsp = Rtsp::connect(&guard.hub, path);
        assert_eq!(rtsp.announce(sdp).status, 200, "{path}");
        let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")];
        assert_eq!(
            rtsp.request("SETUP", Some(&format!("{}/streamid=0", guard.hub.url("rtsp", path))), &transport, "").status,
            200
        );
        assert_eq!(rtsp.request("RECORD", None, &[], "").status, 200);
        for n in 0..100 {
            rtsp.packet(n * 3600, true, &random(u64::from(n), 1000)).expect("the hub reads on");
        }
        guard.hub.wait_log(&[path, "not in FLV"]);
        let answer = http::get(guard.hub.address(), &format!("/streams{path}.flv"));
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("cannot be sent as FLV"), "{}", answer.text());
        assert!(wait_until(SOON, || guard.hub.stream(path).is_some_and(|stream| stream.number("size") > 50.0)));
        guard.check(path);
    }
    guard.finish();
}

#[test]
fn packets_that_are_wrong() {
    let guard = Guard::start(&[]);
    let bad = "publishers/bad_packets";
    let mut camera = Rtsp::publish(&guard.hub, PATH);
    let viewer = Viewer::watch(&guard.hub, Way::Http, &format!("{PATH}.flv"));
    camera.key_frame(0).expect("the hub reads on");
    viewer.wait_pictures(SOON, 1);
    let mut time = 0;
    let place = [&*camera.local_address(), PATH].map(str::to_owned);
    let mut wrong = |what: &str, words: &str, send: &mut dyn FnMut(&mut Rtsp, u32)| {
        time += 9000;
        let words: &[&str] = if words.contains("payload") { &[&place[1], words] } else { &[&place[0], words] };
        guard.attack(what, bad, words, |_| send(&mut camera, time));
        // And a picture after it is a picture again.
        time += 9000;
        let count = viewer.count();
        camera.key_frame(time).expect("the hub reads on");
        viewer.wait(SOON, &format!("a picture after {what}"), |seen| seen.tags.len() > count);
    };
    wrong("an unknown channel", "bytes on channel 77, which no SETUP named", &mut |camera, _| {
        camera.interleaved(77, &random(1, 500)).expect("the hub reads on");
    });
    wrong("a packet of 5 bytes", "5 bytes are no RTP packet", &mut |camera, _| {
        camera.interleaved(0, &[0x80, 96, 0, 1, 0]).expect("the hub reads on");
    });
    wrong("an empty packet", "0 bytes are no RTP packet", &mut |camera, _| {
        camera.interleaved(0, &[]).expect("the hub reads on");
    });
    wrong("an extension beyond the end", "ends within its header extension", &mut |camera, _| {
        let mut packet = rtp(96, 1, 0, true, &[0xbe, 0xde, 0xff, 0xff, 1, 2, 3]);
        packet[0] |= 0x10;
        camera.interleaved(0, &packet).expect("the hub reads on");
    });
    wrong("padding beyond the end", "ends within its padding", &mut |camera, _| {
        let mut packet = rtp(96, 1, 0, true, &[0x41, 200]);
        packet[0] |= 0x20;
        camera.interleaved(0, &packet).expect("the hub reads on");
    });
    wrong("another version of RTP", "RTP version 1", &mut |camera, _| {
        camera.interleaved(0, &[0x40; 40]).expect("the hub reads on");
    });
    wrong("another payload type", "RTP payload type 33", &mut |camera, _| {
        camera.interleaved(0, &rtp(33, 1, 0, true, &[0x41, 1])).expect("the hub reads on");
    });
    wrong("a broken sender report", "RTCP", &mut |camera, _| {
        camera.interleaved(1, &[0x80, 200, 0, 6, 1, 2, 3, 4]).expect("the hub reads on");
    });
    wrong("FU-A without start", "payload without a first fragment", &mut |camera, time| {
        camera.packet(time, true, &[0x7c, 0x41, 1, 2, 3, 4]).expect("the hub reads on");
    });
    wrong("a reserved packet type", "payload is not supported", &mut |camera, time| {
        camera.packet(time, true, &[0x1f, 1, 2, 3]).expect("the hub reads on");
    });
    wrong("an aggregate beyond its end", "payload goes beyond its end", &mut |camera, time| {
        camera.packet(time, true, &[0x78, 0xff, 0xff, 0x41, 1]).expect("the hub reads on");
    });
    camera.packet(90_000_000, true, &[&[0x41, 0x9a][..], &vec![0x55; 65_000]].concat()).expect("the hub reads on");
    guard.check("a packet of 65 kB");
    drop(viewer);
    guard.finish();
}

#[test]
fn an_access_unit_of_100_megabytes() {
    let guard = Guard::start(&[]);
    let mut camera = Rtsp::publish(&guard.hub, PATH);
    let viewer = Viewer::watch(&guard.hub, Way::WebSocket, &format!("{PATH}.flv"));
    camera.key_frame(0).expect("the hub reads on");
    viewer.wait_pictures(SOON, 1);
    let words = [PATH, "access unit has more than 8388608 bytes"];
    let mut most = 0;
    guard.attack("100 MB", "publishers/bad_packets", &words, |hub| {
        let fragment = |head: u8| [&[0x7c, head, 0x88][..], &vec![0x55; 60_000]].concat();
        camera.packet(3600, false, &fragment(0x85)).expect("the hub reads on");
        for n in 0..1700 {
            camera.packet(3600, false, &fragment(0x05)).expect("the hub reads on");
            if n % 50 == 0 {
                most = most.max(hub.resident_kib());
            }
        }
    });
    let growth = most.saturating_sub(guard.memory);
    println!("resident memory grew by at most {growth} KiB");
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more");
    camera.key_frame(90_000).expect("the hub reads on");
    viewer.wait_pictures(SOON, 2);
    guard.finish();
}

#[test]
fn peers_that_close_one_side_or_never_read() {
    let guard = Guard::start(&[("IPCHUB_TIMEOUTS_WRITE", "2")]);
    // Half-open: said all, still listens.
    let mut rtsp = Rtsp::publish(&guard.hub, PATH);
    rtsp.key_frame(0).expect("the hub reads on");
    guard.hub.wait_live(PATH);
    rtsp.stream().shutdown(Shutdown::Write).expect("it is open");
    rtsp.rest().expect("the hub closes");
    assert!(wait_until(SOON, || guard.hub.stream(PATH).is_none()), "its stream is still there");
    let mut request = connect(guard.hub.address());
    pour(&mut request, b"GET /streams/demo/clock.flv HTTP/1.1\r\nHost: hub\r\n\r\n");
    request.shutdown(Shutdown::Write).expect("it is open");
    until_closed(&mut request);
    for beginning in ["", "OPT", "GET /api"] {
        let mut silent = connect(guard.hub.address());
        pour(&mut silent, beginning.as_bytes());
        silent.shutdown(Shutdown::Write).expect("it is open");
        until_closed(&mut silent);
    }
    guard.check("half-open connections");

    // Thousands of requests whose answers nobody reads.
    guard.attack("answers that nobody reads", "", &["took no byte for 2 s"], |hub| {
        let request = "OPTIONS rtsp://hub/x RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(1000);
        let mut stream = connect(hub.address());
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
        while stream.write_all(request.as_bytes()).is_ok() {}
        // Nothing is read; the hub gives up.
        assert!(wait_until(SOON, || hub.runtime().number("rtsp/active") == 0.0), "the hub still waits for it");
    });

    // A websocket that breaks the protocol.
    for (what, bytes, words) in [
        ("an unmasked frame", &[0x82, 5, 1, 2, 3, 4, 5][..], "a websocket frame without mask"),
        ("a reserved opcode", &[0x8b, 0x80, 1, 2, 3, 4], "websocket frame head 0x8b"),
    ] {
        guard.attack(what, "", &[words], |hub| {
            let mut socket = WebSocket::open(hub.address(), "/streams/demo/clock.flv").expect("it is live");
            socket.stream().write_all(bytes).expect("it is open");
            let until = Instant::now() + SOON;
            while socket.read().is_ok() {
                assert!(Instant::now() < until, "{what}: the hub goes on as if nothing were wrong");
            }
        });
    }
    assert!(wait_until(SOON, || guard.counter("connections/active") <= 2.0), "{:?}", guard.hub.runtime());
    guard.finish();
}

/// A viewer of a websocket has nothing long to say: a frame that claims 8 EB is refused by its head, and nothing of it is kept.
#[test]
fn a_websocket_frame_without_end() {
    let guard = Guard::start(&[]);
    guard.attack("a frame of 8 EB", "", &["a websocket message of more than"], |hub| {
        let mut socket = WebSocket::open(hub.address(), "/streams/demo/clock.flv").expect("it is live");
        let mut stream = socket.stream().try_clone().expect("it is open");
        pour(&mut stream, &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
        let memory = hub.resident_kib();
        let megabyte = vec![0x55; 1 << 20];
        for _ in 0..100 {
            pour(&mut stream, &megabyte);
        }
        let growth = hub.resident_kib().saturating_sub(memory);
        assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more after 100 MB of it");
        let until = Instant::now() + SOON;
        while socket.read().is_ok() {
            assert!(Instant::now() < until, "the hub goes on as if nothing were wrong");
        }
    });
    guard.finish();
}
