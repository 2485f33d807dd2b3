//! WSP: channels, and what becomes of messages that are wrong, lost or many.

mod support;

use std::time::{Duration, Instant};

use support::camera::Camera;
use support::hub::Hub;
use support::page::{self, Page, ask, close_of, init, open};
use support::websocket::{BINARY, Message, TEXT, WebSocket};
use support::{SOON, wait_until};

fn join(data: &mut WebSocket, channel: &str) -> String {
    ask(data, &format!("WSP/1.1 JOIN\r\nchannel: {channel}\r\nseq: 7\r\n\r\n"))
}

#[test]
fn the_order_of_streamedians_player() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    // It asks for information first and takes the first reply without `command` and `type` for that to INIT.
    let mut control = open(&hub, "/cam", "control");
    control.send(TEXT, b"WSP/1.1 GET_INFO\r\nproto: rtsp\r\nsocket: x\r\nseq: 1\r\n\r\n").expect("sent");
    control.send(TEXT, b"WSP/1.1 INIT\r\nproto: rtsp\r\nsocket: x\r\nseq: 1\r\n\r\n").expect("sent");
    let mut replies = (0..2).map(|_| control.read().expect("a reply"));
    let Some(Message::Text(info)) = replies.next() else { panic!("no text") };
    let (head, payload) = info.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("\r\ncommand: GET_INFO") && head.contains("\r\ntype: "), "{head}");
    assert_eq!(support::json::Json::parse(payload).text("info/license/expiresAt"), "never");
    let Some(Message::Text(init)) = replies.next() else { panic!("no text") };
    assert!(init.starts_with("WSP/1.1 200 OK\r\n") && init.contains("channel: ") && !init.contains("command"));
    let switch = ask(&mut control, "WSP/1.1 SWITCH\r\nseq: 5\r\n\r\nh265");
    assert!(switch.starts_with("WSP/1.1 200 OK\r\nseq: 5\r\n"), "{switch}");
    // Binary is as good as text.
    control.send(BINARY, b"WSP/1.1 SWITCH\r\nseq: 6\r\n\r\nudp,1").expect("sent");
    assert!(matches!(control.read(), Ok(Message::Text(text)) if text.contains("seq: 6")));
}

#[test]
fn a_channel_is_for_one_data_connection_of_its_path() {
    let hub = Hub::start(&[], &[]);
    let (mut control, channel) = init(&hub, "/a/b");
    for (path, channel) in [("/a/c", channel.as_str()), ("/a/b", "1"), ("/a/b", "-1"), ("/a/b", "99999999999999999999")]
    {
        let mut data = open(&hub, path, "data");
        assert!(join(&mut data, channel).starts_with("WSP/1.1 404 NOT FOUND\r\nseq: 7\r\n"), "{path} {channel}");
        assert_eq!(close_of(&mut data).expect("a close frame").code, 1008);
    }
    for (message, status) in [
        ("WSP/1.1 JOIN\r\n\r\n", "400"),
        ("WSP/1.1 INIT\r\n\r\n", "405"),
        ("nonsense", "400"),
        ("WSP/1.1 JOIN\r\nchannel: 1\r\n", "400"),
    ] {
        let mut data = open(&hub, "/a/b", "data");
        assert!(ask(&mut data, message).starts_with(&format!("WSP/1.1 {status} ")), "{message}");
        assert_eq!(close_of(&mut data).expect("a close frame").code, 1008);
    }
    // The path in another case is the same path.
    let mut first = open(&hub, "/A/B", "data");
    assert!(join(&mut first, &channel).starts_with("WSP/1.1 200 OK\r\n"));
    let mut second = open(&hub, "/a/b", "data");
    assert!(join(&mut second, &channel).starts_with("WSP/1.1 409 "));
    assert_eq!(close_of(&mut second).expect("a close frame").code, 1008);
    // That harmed neither the first nor the control connection.
    assert!(ask(&mut control, "WSP/1.1 SWITCH\r\n\r\n").starts_with("WSP/1.1 200 OK\r\n"));
    assert!(ask(&mut control, "WSP/1.1 INIT\r\nseq: 8\r\n\r\n").starts_with("WSP/1.1 455 "));
    first.ping(b"?").expect("sent");
    assert_eq!(first.read().expect("a pong"), Message::Pong(b"?".into()));
}

#[test]
fn control_messages_cut_doubled_and_wrong_are_answered() {
    let hub = Hub::start(&[], &[]);
    let mut control = open(&hub, "/cam", "control");
    const OPTIONS: &str = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
    let wrap = |payload: &str| format!("WSP/1.1 WRAP\r\nseq: 3\r\n\r\n{payload}");
    assert!(ask(&mut control, &wrap(OPTIONS)).starts_with("WSP/1.1 455 "), "before INIT");
    assert!(ask(&mut control, "WSP/1.1 INIT\r\n\r\nWSP/1.1 INIT\r\n\r\n").starts_with("WSP/1.1 400 "), "doubled");
    assert!(ask(&mut control, "WSP/1.1 INIT\r\n\r\n").starts_with("WSP/1.1 200 OK\r\n"));
    let whole = wrap(OPTIONS);
    for cut in 0..whole.len() - 4 {
        let answer = ask(&mut control, &whole[..cut]);
        assert!(answer.starts_with("WSP/1.1 400 "), "cut at {cut}: {answer}");
    }
    for (message, status) in [
        (wrap(&OPTIONS.repeat(2)), 400),
        (format!("{whole}{whole}"), 400),
        (wrap("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"), 400),
        (wrap("$\0\0\u{1}x"), 400),
        (wrap("GET / HTTP/1.1\r\n\r\n"), 400),
        ("WSP/1.1 JOIN\r\nchannel: 1\r\n\r\n".into(), 405),
        ("WSP/1.1 DANCE\r\n\r\n".into(), 405),
        ("WSP/9.9 INIT\r\n\r\n".into(), 400),
        ("\u{1}\u{2}\u{3}".into(), 400),
        (whole.clone(), 200),
        // More than the original's 8 KiB.
        (wrap(&format!("OPTIONS * RTSP/1.0\r\nCSeq: 2\r\nX: {}\r\n\r\n", "x".repeat(15_000))), 200),
    ] {
        let answer = ask(&mut control, &message);
        assert!(answer.starts_with(&format!("WSP/1.1 {status} ")), "{:.60?}: {answer}", message);
    }
}

#[test]
fn play_without_a_data_connection_is_refused() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    let (mut control, _) = init(&hub, "/cam");
    let mut rtsp = |request: &str| {
        let answer = ask(&mut control, &format!("WSP/1.1 WRAP\r\nseq: 3\r\n\r\n{request}"));
        answer.split_once("\r\n\r\n").map(|(_, rtsp)| rtsp.to_owned()).expect("a wrapped answer")
    };
    assert!(rtsp("DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n").starts_with("RTSP/1.0 200 "));
    let setup = "SETUP rtsp://h/cam/trackID=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast\r\n\r\n";
    assert!(rtsp(setup).starts_with("RTSP/1.0 200 "));
    let play = rtsp("PLAY rtsp://h/cam RTSP/1.0\r\nCSeq: 3\r\n\r\n");
    assert!(play.starts_with("RTSP/1.0 455 ") && play.contains("No data connection"), "{play}");
}

#[test]
fn whichever_is_lost_ends_the_other() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    for lose_data in [true, false] {
        let (mut control, channel) = init(&hub, "/cam");
        let mut data = open(&hub, "/cam", "data");
        assert!(join(&mut data, &channel).starts_with("WSP/1.1 200 OK\r\n"));
        let (lost, mut left) =
            if lose_data { (data, control) } else { (std::mem::replace(&mut control, data), control) };
        drop(lost);
        assert_eq!(close_of(&mut left).expect("a close frame").code, 1000);
        assert!(wait_until(SOON, || hub.runtime().number("wsp/active") == 0.0));
    }
}

#[test]
fn what_is_never_joined_ends() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SNIFF", "2")], &[]);
    let (mut control, channel) = init(&hub, "/cam");
    let mut data = open(&hub, "/cam", "data");
    assert!(close_of(&mut data).expect("a close frame").reason.contains("no JOIN within 2 s"));
    assert!(close_of(&mut control).expect("a close frame").reason.contains("no data connection joined within 2 s"));
    let mut late = open(&hub, "/cam", "data");
    assert!(join(&mut late, &channel).starts_with("WSP/1.1 404 "));
}

#[test]
fn ten_thousand_inits_leave_nothing() {
    let hub = Hub::start(&[], &[]);
    let base = hub.runtime().number("extra/open_files");
    // One connection that asks again and again has one channel.
    let (mut control, _) = init(&hub, "/cam");
    for _ in 0..5_000 {
        assert!(ask(&mut control, "WSP/1.1 INIT\r\n\r\n").starts_with("WSP/1.1 455 "));
    }
    let before = hub.resident_kib();
    for _ in 0..50 {
        let many: Vec<_> = (0..100).map(|_| init(&hub, "/cam")).collect();
        drop(many);
    }
    drop(control);
    assert!(wait_until(SOON, || hub.runtime().number("wsp/active") == 0.0));
    assert_eq!(hub.runtime().number("wsp/total"), 5_001.0);
    let after = hub.resident_kib();
    assert!(after < before + 16_384, "resident memory went from {before} to {after} KiB");
    assert!(wait_until(SOON, || hub.runtime().number("extra/open_files") <= base + 2.0), "files are left open");
}

#[test]
fn a_control_connection_lives_while_its_data_connection_takes_media() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "1")], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    let mut page = Page::wsp(&hub, "/cam");
    page.play(1);
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        page.packet().expect("it plays on");
    }
    assert_eq!(page.request("PAUSE", "", &[], "").status, 200);
    assert!(page.wait_closed().reason.contains("nothing heard for 1 s"));
    assert!(page::close_of(page.control()).expect("a close frame").reason.contains("nothing heard for 1 s"));
}

#[test]
fn one_of_two_tracks_is_given_up() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let mut page = Page::wsp(&hub, "/demo/clock");
    page.play(2);
    while page.packet().expect("packets come").0 != 2 {}
    assert_eq!(page.request("TEARDOWN", "/trackID=1", &[], "").status, 200);
    // What was under way may come; then a hundred packets of pictures alone.
    let mut pictures_alone = 0;
    while pictures_alone < 100 {
        pictures_alone = if page.packet().expect("it plays on").0 == 2 { 0 } else { pictures_alone + 1 };
    }
}
