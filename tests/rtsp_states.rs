//! RTSP dialogues as no good client leads them: each method in each state, malformed headers, pipelined and split requests.
//! Each request gets one answer with its own CSeq, and the connection goes on where its bytes can still be read.

mod support;

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::camera::Camera;
use support::hub::Hub;
use support::rtsp::{H264_SDP, Reply, Rtsp, rtp};
use support::{SOON, wait_until};

const CAMERA: &str = "/cam";
const PLAY_TRANSPORT: (&str, &str) = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1");
const RECORD_TRANSPORT: (&str, &str) = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Init,
    Described,
    SetUp,
    Playing,
    Paused,
    Announced,
    Ready,
    Recording,
}

const STATES: [State; 8] = [
    State::Init,
    State::Described,
    State::SetUp,
    State::Playing,
    State::Paused,
    State::Announced,
    State::Ready,
    State::Recording,
];

impl State {
    fn publishes(self) -> bool {
        matches!(self, Self::Announced | Self::Ready | Self::Recording)
    }

    /// A connection in this state.
    fn reach(self, hub: &Hub, path: &str) -> Rtsp {
        let track = |control: &str| hub.url("rtsp", &format!("{path}/{control}"));
        let done = |rtsp: &mut Rtsp, method: &str, url: Option<&str>, headers: &[(&str, &str)]| {
            assert_eq!(rtsp.request(method, url, headers, "").status, 200, "{method} on the way to {self:?}");
        };
        match self {
            Self::Playing => Rtsp::play(hub, path).0,
            Self::Recording => Rtsp::publish(hub, path),
            _ => {
                let mut rtsp = if self == Self::Paused { Rtsp::play(hub, path).0 } else { Rtsp::connect(hub, path) };
                match self {
                    Self::Described | Self::SetUp => done(&mut rtsp, "DESCRIBE", None, &[]),
                    Self::Paused => done(&mut rtsp, "PAUSE", None, &[]),
                    // The first bytes must be RTSP's.
                    Self::Init => done(&mut rtsp, "OPTIONS", None, &[]),
                    Self::Announced | Self::Ready => assert_eq!(rtsp.announce(H264_SDP).status, 200),
                    _ => {}
                }
                match self {
                    Self::SetUp => done(&mut rtsp, "SETUP", Some(&track("trackID=0")), &[PLAY_TRANSPORT]),
                    Self::Ready => done(&mut rtsp, "SETUP", Some(&track("streamid=0")), &[RECORD_TRANSPORT]),
                    _ => {}
                }
                rtsp
            }
        }
    }
}

/// RFC 2326, appendix A.2, with SETUP before DESCRIBE allowed. Columns as in `STATES`.
#[rustfmt::skip]
const TABLE: [(&str, [u16; 8]); 12] = [
    // Init, Described, SetUp, Playing, Paused, Announced, Ready, Recording
    ("OPTIONS",       [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET_PARAMETER", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("SET_PARAMETER", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("DESCRIBE",      [200, 200, 200, 200, 200, 455, 455, 455]),
    ("ANNOUNCE",      [200, 200, 455, 455, 455, 200, 455, 455]),
    ("SETUP",         [200, 200, 200, 455, 200, 200, 200, 455]),
    ("PLAY",          [455, 455, 200, 200, 200, 455, 455, 455]),
    ("PAUSE",         [455, 455, 455, 200, 200, 455, 455, 455]),
    ("RECORD",        [455, 455, 455, 455, 455, 455, 200, 200]),
    ("REDIRECT",      [501, 501, 501, 501, 501, 501, 501, 501]),
    ("NONSENSE",      [501, 501, 501, 501, 501, 501, 501, 501]),
    ("TEARDOWN",      [200, 200, 200, 200, 200, 200, 200, 200]),
];

#[test]
fn each_method_in_each_state() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let mut connections = 1;
    for (method, expected) in TABLE {
        for (state, status) in STATES.into_iter().zip(expected) {
            let path = if state.publishes() { format!("/push/{method}/{state:?}") } else { CAMERA.to_owned() };
            let mut rtsp = state.reach(&hub, &path);
            connections += 1;
            let track =
                hub.url("rtsp", &format!("{path}/{}", if state.publishes() { "streamid=0" } else { "trackID=0" }));
            let reply = match method {
                "ANNOUNCE" => rtsp.announce(H264_SDP),
                "SETUP" => rtsp.request(method, Some(&track), &[PLAY_TRANSPORT], ""),
                _ => rtsp.request(method, None, &[], ""),
            };
            assert_eq!(reply.status, status, "{method} in {state:?}: {}", reply.body);
            if status != 200 {
                assert!(reply.body.ends_with(".\n") || reply.body.ends_with('.'), "no words: {reply:?}");
            }
            if method == "TEARDOWN" {
                while rtsp.next_packet().expect("a close in order").is_some() {}
                continue;
            }
            // One answer only: the next one is that of the next request.
            assert_eq!(rtsp.request("OPTIONS", None, &[], "").status, 200, "after {method} in {state:?}");
            if state == State::Playing && method != "PAUSE" {
                let packet = rtsp.next_packet().expect("a packet");
                assert!(packet.is_some(), "playing has ended after {method}");
            }
            if state == State::Recording {
                rtsp.key_frame(0).expect("the hub still takes it");
                hub.wait_live(&path.to_lowercase());
            }
        }
    }
    let settled = || {
        let runtime = hub.runtime();
        let (active, total) = (runtime.number("rtsp/active"), runtime.number("rtsp/total"));
        assert!(total <= f64::from(connections), "{total} connections were counted, {connections} were made");
        let streams = (runtime.number("streams/sources"), runtime.number("streams/consumers"));
        (active, total, streams) == (1.0, f64::from(connections), (1.0, 0.0))
    };
    assert!(wait_until(SOON, settled), "{connections} connections: {:?}", hub.runtime());
}

/// Sends bytes, then OPTIONS with CSeq 77; gives the status and CSeq of all answers before that, and whether OPTIONS was
/// answered. What ends the connection is sent alone: the hub's close would reset what was not read, and the answer with it.
fn dialogue(hub: &Hub, bytes: &[u8], goes_on: bool) -> (Vec<(u16, Option<String>)>, bool) {
    let mut rtsp = Rtsp::connect(hub, CAMERA);
    rtsp.send(bytes).expect("the hub reads");
    if goes_on {
        rtsp.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n").expect("the hub reads");
    }
    let mut replies = Vec::new();
    loop {
        match rtsp.reply() {
            Ok(reply) if reply.header("CSeq") == Some("77") => return (replies, true),
            Ok(reply) => replies.push((reply.status, reply.header("CSeq").map(str::to_owned))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return (replies, false),
            Err(error) => panic!("after {replies:?}: {error}"),
        }
    }
}

#[test]
fn malformed_requests() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let long = format!("OPTIONS rtsp://h/{}", "a".repeat(16 * 1024 + 1 - "OPTIONS rtsp://h/".len()));
    let long_path = format!("DESCRIBE rtsp://h/{} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "a".repeat(2000));
    // What is sent, the answer's status, whether it has CSeq 1, whether the connection goes on.
    let cases: &[(&str, u16, bool, bool)] = &[
        ("OPTIONS * RTSP/1.0\r\n\r\n", 400, false, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq:\r\n\r\n", 400, false, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n", 400, false, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", 400, false, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 99999999999999999999999\r\n\r\n", 400, false, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n", 200, true, true),
        ("PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nSession: 0123456789abcdef\r\n\r\n", 454, true, true),
        ("TEARDOWN rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nSession: nonsense;timeout=60\r\n\r\n", 454, true, true),
        ("PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 455, true, true),
        // URLs: a live stream is found whatever stands before its path.
        ("DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE /cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://[::1]:554/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://[::1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://user:word@h:554/cam?x=y RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://h/%63AM/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://h/a/%2e%2e/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://h/ca\u{1}m RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200, true, true),
        ("DESCRIBE rtsp://h/cam%00 RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE rtsp://h/cam%zz RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE rtsp://h/c am RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE rtsp://h/\u{e4} RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE nonsense://// RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE rtsp://h RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        ("DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, true, true),
        (&long_path, 414, true, true),
        ("ANNOUNCE * RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\r\n", 400, true, true),
        ("ANNOUNCE rtsp://h RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\r\n", 400, true, true),
        ("ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\r\n", 400, true, true),
        ("ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Type: text/plain\r\n\r\n", 415, true, true),
        (&long, 413, false, false),
        ("OPTIONS  RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, false, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n", 400, false, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: x\r\n\r\n", 400, false, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400, false, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000000\r\n\r\n", 413, false, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413, false, false),
    ];
    for (text, status, with_cseq, goes_on) in cases {
        let (replies, went_on) = dialogue(&hub, text.as_bytes(), *goes_on);
        let cseq = with_cseq.then(|| "1".to_owned());
        assert_eq!((replies.as_slice(), went_on), (&[(*status, cseq)][..], *goes_on), "{text:?}");
    }
}

/// A length that is too short makes a request of the rest of the body; one that is too long waits for it.
#[test]
fn a_content_length_that_lies() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "2")], &[]);
    let short = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 2\r\n\r\nab\x00cd\r\n\r\n";
    let (replies, went_on) = dialogue(&hub, short, false);
    assert_eq!((replies, went_on), (vec![(200, Some("1".into())), (400, None)], false));
    let mut rtsp = Rtsp::connect(&hub, CAMERA);
    rtsp.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 500\r\n\r\nab").expect("the hub reads");
    assert_eq!(rtsp.rest().expect("it ends in time"), "", "an answer to half a request");
    hub.wait_log(&[&rtsp.local_address(), "nothing heard for 2 s"]);
}

#[test]
fn transports() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let long = "x".repeat(5000);
    // What is asked, the answer's status, what the answer's Transport has.
    let cases: &[(&str, u16, &str)] = &[
        ("RTP/AVP/TCP", 200, "interleaved=0-1"),
        ("rtp/avp/tcp;UNICAST;INTERLEAVED=4-5", 200, "interleaved=4-5"),
        ("RTP/AVP/TCP;interleaved=4", 200, "interleaved=4-5"),
        ("RTP/AVP/TCP;interleaved=5-4", 200, "interleaved=5-4"),
        ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"PLAY\"", 200, "interleaved=0-1"),
        ("RTP/AVP;unicast;client_port=5000-5001", 200, "client_port=5000-5001;server_port="),
        ("RTP/AVP/UDP;unicast;client_port=5000", 200, "client_port=5000-5001"),
        // Channels that cannot be are replaced by ones that can.
        ("RTP/AVP/TCP;interleaved=1-1", 200, "interleaved=0-1"),
        // Nobody but the one who asks gets what was asked for.
        ("RTP/AVP;unicast;client_port=5000-5001;destination=192.0.2.1", 200, "client_port=5000-5001"),
        // The first that is offered counts.
        ("RTP/SAVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=2-3", 200, "interleaved=2-3"),
        ("RTP/AVP/TCP;interleaved=256-257", 461, ""),
        ("RTP/AVP/TCP;interleaved=255", 461, ""),
        ("RTP/AVP/TCP;interleaved=-1", 461, ""),
        ("RTP/AVP/TCP;interleaved=", 461, ""),
        ("RTP/AVP;unicast", 461, ""),
        ("RTP/AVP;unicast;client_port=70000-70001", 461, ""),
        ("RTP/AVP;unicast;client_port=65535", 461, ""),
        ("RTP/AVP;unicast;client_port=0-1", 461, ""),
        ("RTP/SAVP;unicast;client_port=5000-5001", 461, ""),
        ("RAW/RAW/UDP;unicast;client_port=5000-5001", 461, ""),
        ("nonsense", 461, ""),
        (";;;,,,;", 461, ""),
        (&long, 461, ""),
        ("", 461, ""),
    ];
    for (transport, status, answer) in cases {
        let mut rtsp = State::Described.reach(&hub, CAMERA);
        let url = hub.url("rtsp", "/cam/trackID=0");
        let reply = rtsp.request("SETUP", Some(&url), &[("Transport", transport)], "");
        let told = reply.header("Transport").unwrap_or_default();
        assert_eq!(reply.status, *status, "{transport}: {}", reply.body);
        assert!(told.contains(answer) && !told.contains("192.0.2.1"), "{transport} is answered {told}");
        // What was refused leaves all as it was, and the other way is still open.
        let reply = rtsp.request("SETUP", Some(&url), &[PLAY_TRANSPORT], "");
        assert_eq!(reply.status, 200, "after {transport}: {}", reply.body);
        assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
        assert!(rtsp.next_packet().expect("a packet").is_some());
    }
    for (url, status) in [("/cam/trackID=1", 404), ("/cam/trackID=99999999999999999999", 404), ("/cam", 200)] {
        let mut rtsp = State::Described.reach(&hub, CAMERA);
        let reply = rtsp.request("SETUP", Some(&hub.url("rtsp", url)), &[PLAY_TRANSPORT], "");
        assert_eq!(reply.status, status, "{url}: {}", reply.body);
    }
}

/// What `RTP-Info` says of the only track.
fn start(reply: &Reply) -> u16 {
    let info = reply.header("RTP-Info").expect("PLAY is answered with RTP-Info");
    let sequence = info.split(';').find_map(|part| part.strip_prefix("seq=")?.parse().ok());
    sequence.unwrap_or_else(|| panic!("{info}"))
}

/// The sequence numbers of the next RTP packets.
fn sequences(rtsp: &mut Rtsp, count: usize) -> Vec<u16> {
    let mut seen = Vec::new();
    while seen.len() < count {
        if let (0, data) = rtsp.next_packet().expect("packets come").expect("the hub goes on") {
            seen.push(u16::from_be_bytes([data[2], data[3]]));
        }
    }
    seen
}

fn check_continuous(sequences: &[u16]) {
    for pair in sequences.windows(2) {
        assert_eq!(pair[1], pair[0].wrapping_add(1), "in {sequences:?}");
    }
}

#[test]
fn any_range_plays_from_now() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let long = "9".repeat(5000);
    let ranges =
        ["npt=0-", "npt=0.000-", "npt=now-", "npt=-10", "npt=10-20", "npt=5-3", "npt=1:02:03.5-", "npt=inf-", "", "-"];
    let others = ["clock=20260101T000000Z-", "smpte=0:10:00-", "npt=0-;time=19970123T143720Z", "nonsense", &long];
    for range in ranges.into_iter().chain(others) {
        let mut rtsp = State::SetUp.reach(&hub, CAMERA);
        let reply = rtsp.request("PLAY", None, &[("Range", range)], "");
        assert_eq!((reply.status, reply.header("Range")), (200, Some("npt=now-")), "{range}");
        assert_eq!(sequences(&mut rtsp, 1), [start(&reply)], "{range}");
    }
}

/// A publisher that sends pictures as fast as the hub takes them.
fn rush(hub: &Hub, stop: &AtomicBool) {
    let mut camera = Rtsp::publish(hub, "/rush");
    for number in 0..u32::MAX {
        if stop.load(Relaxed) {
            return;
        }
        let time = number.wrapping_mul(90);
        if number.is_multiple_of(25) {
            camera.key_frame(time).expect("the hub takes it");
        } else {
            camera.packet(time, true, &[0x41, 0x9a, 0x84, 0x10]).expect("the hub takes it");
        }
        if number.is_multiple_of(8) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// What was on its way to a player when it paused must not come after its next PLAY.
#[test]
fn pause_and_play_in_one_write() {
    let hub = Hub::start(&[], &[]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| rush(&hub, &stop));
        hub.wait_live("/rush");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (mut rtsp, reply) = Rtsp::play(&hub, "/rush");
            assert_eq!(sequences(&mut rtsp, 1), [start(&reply)]);
            let url = hub.url("rtsp", "/rush");
            for round in 100..400 {
                let text = format!(
                    "PAUSE {url} RTSP/1.0\r\nCSeq: {round}1\r\n\r\nPLAY {url} RTSP/1.0\r\nCSeq: {round}2\r\n\r\n"
                );
                rtsp.send(text.as_bytes()).expect("the hub reads");
                let pause = rtsp.reply().expect("an answer to PAUSE");
                assert_eq!((pause.status, pause.header("CSeq")), (200, Some(format!("{round}1").as_str())));
                let play = rtsp.reply().expect("an answer to PLAY");
                assert_eq!((play.status, play.header("CSeq")), (200, Some(format!("{round}2").as_str())));
                let seen = sequences(&mut rtsp, 30);
                assert_eq!(seen[0], start(&play), "round {round}: RTP-Info names the first packet");
                check_continuous(&seen);
            }
        }));
        stop.store(true, Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_paused_player_gets_nothing() {
    let hub = Hub::start(&[], &[]);
    let camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let (mut rtsp, reply) = Rtsp::play(&hub, CAMERA);
    let mut first = start(&reply);
    for _ in 0..4 {
        let seen = sequences(&mut rtsp, 10);
        assert_eq!(seen[0], first, "RTP-Info names the first packet");
        check_continuous(&seen);
        assert_eq!(rtsp.request("PAUSE", None, &[], "").status, 200);
        let sent = camera.sent();
        assert!(wait_until(SOON, || camera.sent() > sent + 5));
        // Anything that came since would stand before this answer.
        rtsp.send(b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n").expect("the hub reads");
        assert!(rtsp.is_reply_next().expect("an answer"), "a packet came while paused");
        assert_eq!(rtsp.reply().expect("an answer").header("CSeq"), Some("77"));
        let reply = rtsp.request("PLAY", None, &[], "");
        assert_eq!(reply.status, 200);
        assert!(start(&reply).wrapping_sub(first) < 1 << 15, "the numbers went back");
        first = start(&reply);
    }
}

/// The whole way to PLAY as one text, PLAY twice.
fn way_to_play(hub: &Hub) -> String {
    let url = hub.url("rtsp", CAMERA);
    format!(
        "OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n\
         DESCRIBE {url} RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n\
         SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n\
         PLAY {url} RTSP/1.0\r\nCSeq: 4\r\nRange: npt=0.000-\r\n\r\n\
         PLAY {url} RTSP/1.0\r\nCSeq: 5\r\n\r\n\
         GET_PARAMETER {url} RTSP/1.0\r\nCSeq: 6\r\nContent-Length: 4\r\n\r\nabcd"
    )
}

#[test]
fn pipelined_and_split_requests() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let text = way_to_play(&hub);
    let every = (0..text.len()).step_by(7).map(|at| vec![at]);
    let odd = [vec![3, 30, 31, 90, 200], vec![1, 2, 4, 8, 16, 32, 64, 128, 256]];
    for cuts in every.chain(odd) {
        let mut rtsp = Rtsp::connect(&hub, CAMERA);
        rtsp.stream().set_nodelay(true).expect("small segments can be sent");
        let mut from = 0;
        for at in cuts.iter().copied().chain([text.len()]) {
            rtsp.send(&text.as_bytes()[from..at]).expect("the hub reads");
            from = at;
            std::thread::yield_now();
        }
        let mut info = None;
        for cseq in 1..=6 {
            let reply = rtsp.reply().expect("an answer");
            let got = (reply.status, reply.header("CSeq").and_then(|cseq| cseq.parse().ok()));
            assert_eq!(got, (200, Some(cseq)), "cut at {cuts:?}");
            if cseq == 4 {
                info = Some(start(&reply));
            }
        }
        let seen = sequences(&mut rtsp, 3);
        check_continuous(&seen);
        let first = info.expect("PLAY was answered");
        // The first packets may stand between the answers.
        assert!(seen[0].wrapping_sub(first) < 200, "cut at {cuts:?}: {first} is announced, {seen:?} come");
    }
}

#[test]
fn what_a_player_sends_on_its_channels() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    for state in [State::Init, State::Described, State::SetUp, State::Playing, State::Paused] {
        let mut rtsp = state.reach(&hub, CAMERA);
        let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
        rtsp.interleaved(1, &report).expect("the hub reads");
        rtsp.interleaved(1, &[]).expect("the hub reads");
        rtsp.interleaved(1, &[0x80]).expect("the hub reads");
        rtsp.interleaved(0, &rtp(96, 1, 2, true, &[0x65; 100])).expect("the hub reads");
        rtsp.interleaved(200, &[0xff; 65535]).expect("the hub reads");
        assert_eq!(rtsp.request("OPTIONS", None, &[], "").status, 200, "{state:?}");
        if state == State::Playing {
            check_continuous(&sequences(&mut rtsp, 30));
        }
    }
    // None of it counts as a publisher's.
    assert_eq!(hub.runtime().number("extra/publishers/bad_packets"), 0.0);
}

#[test]
fn over_ipv6() {
    let hub = Hub::listen("[::1]:0", &[], &[]);
    let _camera = Camera::publish(&hub, CAMERA, 300);
    hub.wait_live(CAMERA);
    let (mut rtsp, reply) = Rtsp::play(&hub, CAMERA);
    assert_eq!(sequences(&mut rtsp, 1), [start(&reply)]);
    assert!(reply.header("RTP-Info").is_some_and(|info| info.contains("rtsp://[::1]:")), "{reply:?}");
    let mut rtsp = Rtsp::connect(&hub, CAMERA);
    let description = rtsp.request("DESCRIBE", None, &[], "");
    assert!(description.body.contains("c=IN IP6 ::") && !description.body.contains("IP4"), "{}", description.body);
    let base = format!("{}/", hub.url("rtsp", CAMERA));
    assert_eq!(description.header("Content-Base"), Some(base.as_str()));
    let socket = UdpSocket::bind("[::1]:0").expect("a port");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let port = socket.local_addr().expect("bound").port();
    let transport = format!("RTP/AVP;unicast;client_port={port}-{}", port - 1);
    let url = hub.url("rtsp", "/cam/trackID=0");
    assert_eq!(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "").status, 200);
    let reply = rtsp.request("PLAY", None, &[], "");
    let mut packet = [0; 2000];
    let (length, _) = socket.recv_from(&mut packet).expect("packets come");
    assert!(length > 12);
    assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), start(&reply));
}
