//! RTSP over a websocket: playing and publishing, through the same session as over TCP.

mod support;

use std::io::Write;
use std::time::Duration;

use support::camera::Camera;
use support::hub::Hub;
use support::page::{self, Closed, Page};
use support::rtsp::{H264_SDP, PPS, Rtsp, SPS, hex, rtp};
use support::websocket::{BINARY, TEXT, WebSocket};
use support::{SOON, http, wait_until};

/// Numbers of the pictures in packets of a [`Camera`], from their slices.
fn pictures(page: &mut Page, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (channel, data) = page.packet().expect("packets come");
        if channel == 0 && matches!(data[12], 0x65 | 0x41) {
            numbers.push(data[15..19].iter().fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f)));
        }
    }
    numbers
}

fn check_complete(numbers: &[u32]) {
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn both_ways_play_every_picture_of_a_path_with_a_dot() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/room/door.h264", 3000);
    hub.wait_live("/room/door.h264");
    for (way, extra, counter) in
        [(Page::rtsp as fn(&Hub, &str) -> Page, "net=rtsp-tcp", "rtsp"), (Page::wsp, "wsp", "wsp")]
    {
        let before = hub.runtime().number(&format!("{counter}/active"));
        let mut page = way(&hub, "/Room/Door.h264");
        let (_, sdp) = page.play(1);
        assert!(sdp.contains("sprop-parameter-sets=Z01AHuyg"), "parameter sets that came in the stream only: {sdp}");
        check_complete(&pictures(&mut page, 125));
        let stream = hub.stream("/room/door.h264").expect("live");
        let consumer = &stream.list("cs")[0];
        assert_eq!((consumer.text("packet_type"), consumer.text("extra")), ("RTP", extra));
        assert!(consumer.number("flow/outbytes") > 100.0, "{consumer:?}");
        assert_eq!(hub.runtime().number(&format!("{counter}/active")), before + 1.0);
        drop(page);
        let gone = || hub.runtime().number(&format!("{counter}/active")) == before;
        assert!(wait_until(SOON, gone) && wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
    }
}

#[test]
fn real_pictures_and_sound_come_without_a_gap() {
    // The clip: an encoder may take long to start on a busy machine.
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let ways = [Page::rtsp as fn(&Hub, &str) -> Page, Page::wsp];
    let pages = ways.map(|way| {
        let mut page = way(&hub, "/demo/clock");
        let (_, sdp) = page.play(2);
        assert!(sdp.contains("sprop-parameter-sets=") && sdp.contains("config="), "{sdp}");
        std::thread::spawn(move || watch_ten_seconds(page))
    });
    for page in pages {
        page.join().expect("no packet is missing");
    }
}

/// 10 s of pictures at 25 a second, by their RTP time, and the sound that belongs to them.
fn watch_ten_seconds(mut page: Page) {
    let (mut next, mut packets, mut pictures) = ([None; 2], [0; 2], 0);
    while pictures < 250 {
        let (channel, data) = page.packet().expect("packets come");
        if channel % 2 == 1 {
            continue;
        }
        let track = usize::from(channel / 2);
        let sequence = u16::from_be_bytes([data[2], data[3]]);
        assert!(next[track].is_none_or(|next| next == sequence), "track {track}: {sequence} after {next:?}");
        next[track] = Some(sequence.wrapping_add(1));
        packets[track] += 1;
        pictures += usize::from(track == 0 && data[1] & 0x80 != 0);
    }
    // However many frames of sound a packet holds, within a fifth of a second.
    assert!(packets[1] >= 45, "{packets:?}");
}

#[test]
fn publishing_over_a_websocket_reaches_players_of_every_kind() {
    let hub = Hub::start(&[], &[]);
    let mut page = Page::rtsp(&hub, "/From/Page");
    // The URL that ANNOUNCE names is another one: the websocket's counts.
    let announce = page.text_of("ANNOUNCE", "/elsewhere", &[("Content-Type", "application/sdp")], H264_SDP);
    page.send(&announce);
    assert_eq!(page.reply().status, 200);
    let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")];
    assert_eq!(page.request("SETUP", "/elsewhere/streamid=0", &transport, "").status, 200);
    assert_eq!(page.request("RECORD", "", &[], "").status, 200);
    let mut sequence = 0_u16;
    let mut send = |page: &mut Page, time: u32, marker, payload: &[u8]| {
        sequence += 1;
        page::push(page.control(), 0, &rtp(96, sequence, time, marker, payload)).expect("it is taken");
    };
    for (marker, unit) in [(false, hex(SPS)), (false, hex(PPS)), (true, vec![0x65, 0x88, 0x84, 0, 0x10])] {
        send(&mut page, 0, marker, &unit);
    }
    hub.wait_live("/from/page");
    assert!(hub.stream("/elsewhere").is_none());
    let (mut player, _) = Rtsp::play(&hub, "/from/page");
    let mut viewer = Page::wsp(&hub, "/from/page");
    viewer.play(1);
    for picture in 1..50 {
        send(&mut page, picture * 3600, true, &[0x41, 0x9a, 0x84, picture as u8]);
    }
    let mut last = 0;
    while last < 49 {
        let (channel, data) = player.next_packet().expect("packets").expect("the hub goes on");
        if channel == 0 && data[12] == 0x41 {
            last = data[15];
        }
    }
    while !matches!(viewer.packet(), Ok((0, data)) if data[12..] == [0x41, 0x9a, 0x84, 49]) {}
    drop(page);
    hub.wait_log(&["/from/page", "publisher", "left"]);
}

#[test]
fn messages_may_be_text_binary_cut_and_interrupted_by_pings() {
    let hub = Hub::start(&[], &[]);
    let mut page = Page::rtsp(&hub, "/cam");
    for opcode in [TEXT, BINARY] {
        page.opcode = opcode;
        assert_eq!(page.request("OPTIONS", "", &[], "").status, 200);
    }
    // Of websockets the session sees bytes: a request in two messages, one of them in three frames, and two in one message.
    let text = page.text_of("OPTIONS", "", &[("X-Long", &"x".repeat(9000))], "");
    let (first, second) = text.split_at(40);
    page.control().send(TEXT, first.as_bytes()).expect("taken");
    page.control().frame(BINARY, &second.as_bytes()[..10]).expect("taken");
    page.control().ping(b"between").expect("taken");
    page.control().frame(0, &second.as_bytes()[10..20]).expect("taken");
    page.control().frame(0x80, &second.as_bytes()[20..]).expect("taken");
    assert_eq!(page.control().read().expect("a pong"), support::websocket::Message::Pong(b"between".into()));
    assert_eq!(page.reply().status, 200);
    let two = [page.text_of("OPTIONS", "", &[], ""), page.text_of("GET_PARAMETER", "", &[], "")].concat();
    page.send(&two);
    assert_eq!((page.reply().status, page.reply().status), (200, 200));
}

#[test]
fn wrong_order_and_other_transports_are_answered() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    for way in [Page::rtsp as fn(&Hub, &str) -> Page, Page::wsp] {
        let mut page = way(&hub, "/cam");
        assert_eq!(page.request("PLAY", "", &[], "").status, 455);
        let refused = page.request("RECORD", "", &[], "").status;
        assert_eq!(refused, if page.is_wsp() { 501 } else { 455 });
        assert_eq!(page.request("DESCRIBE", "", &[], "").status, 200);
        for transport in ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP;multicast"] {
            assert_eq!(page.request("SETUP", "/trackID=0", &[("Transport", transport)], "").status, 461);
        }
        assert_eq!(page.request("SETUP", "/trackID=9", &[("Transport", "RTP/AVP/TCP")], "").status, 404);
        let options = page.request("OPTIONS", "", &[], "");
        assert!(options.header("Public").is_some_and(|public| public.contains("PAUSE")), "{options:?}");
        let mut nobody = way(&hub, "/nobody");
        let reply = nobody.request("DESCRIBE", "", &[], "");
        assert_eq!((reply.status, reply.body.contains("/nobody is not live")), (404, true));
    }
}

#[test]
fn pause_play_and_teardown() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    for way in [Page::rtsp as fn(&Hub, &str) -> Page, Page::wsp] {
        let mut page = way(&hub, "/cam");
        page.play(1);
        pictures(&mut page, 5);
        assert_eq!(page.request("PAUSE", "", &[], "").status, 200);
        assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
        assert_eq!(page.request("PLAY", "", &[], "").status, 200);
        // What was under way when PAUSE came is older than the key frame that PLAY begins with.
        while !pictures(&mut page, 1)[0].is_multiple_of(25) {}
        check_complete(&pictures(&mut page, 30));
        assert_eq!(page.request("TEARDOWN", "", &[], "").status, 200);
        assert_eq!(page.wait_closed(), Closed { code: 1000, reason: "TEARDOWN".into() });
        assert_eq!(page::close_of(page.control()).map_or(1000, |closed| closed.code), 1000);
    }
}

#[test]
fn kick_end_and_takeover() {
    let hub = Hub::start(&[], &[]);
    for way in [Page::rtsp as fn(&Hub, &str) -> Page, Page::wsp] {
        let camera = Camera::publish(&hub, "/cam", 300);
        let mut kicked = way(&hub, "/cam");
        kicked.play(1);
        pictures(&mut kicked, 5);
        let id = hub.stream("/cam").expect("live").list("cs")[0].number("id");
        http::delete(hub.address(), &format!("/api/v1/streams/cam:consumer?cid={id}"));
        assert_eq!(kicked.wait_closed().reason, "ended by the administrator");
        let mut page = way(&hub, "/cam");
        page.play(1);
        pictures(&mut page, 5);
        let second = Camera::publish(&hub, "/cam", 300);
        hub.wait_log(&["/cam", "takes over from"]);
        // Picture 3 and some of the second camera: it plays on.
        while pictures(&mut page, 1)[0] > 3 {}
        pictures(&mut page, 25);
        http::delete(hub.address(), "/api/v1/streams/cam");
        let closed = page.wait_closed();
        assert!(closed.code == 1000 && !closed.reason.is_empty(), "{closed:?}");
        drop((camera, second));
        assert!(wait_until(SOON, || hub.stream("/cam").is_none()));
        let gone = || hub.runtime().number("rtsp/active") + hub.runtime().number("wsp/active") == 0.0;
        assert!(wait_until(SOON, gone), "{:?}", hub.runtime());
    }
}

#[test]
fn a_stuck_page_is_closed() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_WRITE", "2")], &[]);
    let _camera = Camera::publish(&hub, "/cam", 50_000);
    let mut pages = [Page::rtsp(&hub, "/cam"), Page::wsp(&hub, "/cam")];
    for page in &mut pages {
        page.play(1);
    }
    assert!(wait_until(3 * SOON, || hub.runtime().number("streams/consumers") == 0.0), "{:?}", hub.runtime());
    // What is left is the camera.
    let gone = || hub.runtime().number("wsp/active") == 0.0 && hub.runtime().number("rtsp/active") == 1.0;
    assert!(wait_until(SOON, gone), "the control connection of a lost data connection stays");
}

#[test]
fn nonsense_is_answered_or_ended_with_its_reason() {
    let hub = Hub::start(&[], &[]);
    // No stream named, not a subprotocol of ours without an output.
    assert!(WebSocket::speak(hub.address(), "/streams/", "rtsp").is_err_and(|e| e.to_string().contains("404")));
    assert!(WebSocket::open(hub.address(), "/streams/cam").is_err_and(|e| e.to_string().contains("404")));
    // The first that the hub knows is chosen.
    drop(WebSocket::speak(hub.address(), "/streams/cam.flv", "chat, rtsp").expect("a websocket"));
    for (bytes, code) in [
        (&b"\x81\x03abc"[..], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4], 1009),
    ] {
        let mut socket = page::open(&hub, "/cam", "rtsp");
        let mut raw = socket.stream();
        raw.write_all(bytes).expect("sent");
        assert_eq!(page::close_of(&mut socket).expect("a close frame").code, code, "{bytes:?}");
    }
    let mut page = Page::rtsp(&hub, "/cam");
    page.send("\u{1}\u{2}garbage\r\n\r\n");
    assert_eq!(page.reply().status, 400);
    assert!(page.wait_closed().reason.contains("malformed"));
    assert!(wait_until(Duration::from_secs(20), || hub.runtime().number("rtsp/active") == 0.0));
}
