//! Everything comes in on one port: RTSP and HTTP are told apart however their first bytes are cut, over IPv4 and IPv6, up to
//! the limit of connections; and HTTP viewers of every kind are served.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use support::flv::{self, Reader};
use support::http::{self, Answer, connect};
use support::hub::Hub;
use support::viewer::{End, Viewer, Way};
use support::websocket::{Message, WebSocket};
use support::{SOON, wait_until};

/// Time for the hub to read the first part alone. Where it does not suffice the test shows less, but never fails.
const PAUSE: Duration = Duration::from_millis(2);

#[test]
fn told_apart_at_every_split() {
    let hub = Hub::start(&[], &[]);
    let rtsp = "RTSP/1.0 200 OK";
    let http = "HTTP/1.1 ";
    let mut cases = vec![
        ("OPTIONS rtsp://hub/x RTSP/1.0\r\nCSeq: 5\r\n\r\n", rtsp),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 5\r\n\r\n", rtsp),
        ("OPTIONS / HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", http),
        ("OPTIONS * HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", http),
        ("GET /api/v1/server HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("DELETE /api/v1/streams/x HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "HTTP/1.1 401"),
    ];
    cases.push(("GET_PARAMETER rtsp://hub/x RTSP/1.0\r\nCSeq: 5\r\n\r\n", rtsp));
    for (request, answer) in cases {
        let line = request.find('\n').expect("a whole line");
        for cut in 1..=line + 1 {
            let mut stream = connect(hub.address());
            stream.set_nodelay(true).expect("small segments can be sent");
            let (first, second) = request.split_at(cut);
            stream.write_all(first.as_bytes()).expect("the hub reads");
            std::thread::sleep(PAUSE);
            stream.write_all(second.as_bytes()).expect("the hub reads on");
            let mut bytes = vec![0; answer.len()];
            stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{request:?} cut at {cut}: {error}"));
            assert_eq!(String::from_utf8_lossy(&bytes), answer, "{request:?} cut at {cut}");
        }
    }
    assert_eq!(hub.runtime().number("extra/refused/protocol"), 0.0);
}

#[test]
fn ipv4_and_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("not tested: this machine has no IPv6");
        return;
    }
    let hub = Hub::listen(":0", &[], &["--demo"]);
    let port = hub.address().port();
    hub.wait_live("/demo/clock");
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    for address in addresses {
        assert_eq!(http::get(address, "/api/v1/server").status, 200, "{address}");
        let mut socket = WebSocket::open(address, "/streams/demo/clock.flv").expect("the demo is live");
        assert!(matches!(socket.read(), Ok(Message::Binary(_))));
        let own = socket.stream().local_addr().expect("it is connected");
        let stream = hub.stream("/demo/clock").expect("it is live");
        // An IPv4 viewer of a port for both is shown as what it is.
        let extra = format!("net=websocket-flv,{own}");
        assert!(
            stream.list("cs").iter().any(|consumer| consumer.text("extra") == extra),
            "{extra} is not in {stream:?}"
        );
        let mut rtsp = connect(address);
        rtsp.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").expect("the hub reads");
        let mut bytes = [0; 12];
        rtsp.read_exact(&mut bytes).expect("an answer");
        assert_eq!(&bytes, b"RTSP/1.0 200");
    }
    let only = Hub::listen("[::1]:0", &[], &[]);
    assert_eq!(http::get(only.address(), "/api/v1/server").status, 200);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, only.address().port())).is_err(), "[::1] is IPv6 only");
}

/// Firefox asks for `keep-alive, Upgrade`; header values are compared in any case.
#[test]
fn websockets_of_every_browser() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    for connection in ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade, keep-alive"] {
        let mut socket = WebSocket::open_with(hub.address(), "/streams/demo/clock.flv?t=1", connection)
            .unwrap_or_else(|error| panic!("Connection: {connection}: {error}"));
        socket.ping(b"there?").expect("it is open");
        let mut messages = 0;
        let pong = loop {
            match socket.read().expect("it is open") {
                Message::Binary(data) => messages += usize::from(!data.is_empty()),
                other => break other,
            }
            assert!(messages < 1000, "no answer to a ping");
        };
        assert_eq!(pong, Message::Pong(b"there?".into()));
        socket.close().expect("it is open");
        let end = loop {
            match socket.read() {
                Ok(Message::Binary(_)) => {}
                other => break other,
            }
        };
        assert!(matches!(end, Ok(Message::Close { .. })), "a close is answered by a close: {end:?}");
    }
    let gone = || hub.runtime().number("flv/active") == 0.0;
    assert!(wait_until(SOON, gone), "a closed websocket is still there");
    for path in ["/streams/none.flv", "/streams/demo/clock", "/api/v1/server"] {
        let error = WebSocket::open(hub.address(), path).map(|_| ()).expect_err(path).to_string();
        assert!(error == "status 404" || path.starts_with("/api") && error == "status 200", "{path}: {error}");
    }
}

#[test]
fn http_flv_of_every_version() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let path = "/streams/demo/clock.flv";
    for (version, chunked) in [("HTTP/1.0", false), ("HTTP/1.1", true)] {
        let mut answer = Answer::to(hub.address(), "GET", path, version, &[]).expect("it is live");
        let header =
            |name: &str| answer.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        assert_eq!(answer.status, 200);
        assert_eq!(header("content-type").as_deref(), Some("video/x-flv"), "{version}");
        assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{version}");
        assert_eq!(header("transfer-encoding").is_some(), chunked, "{version}");
        assert_eq!(header("content-length"), None, "{version}");
        let (mut reader, mut tags, mut bytes) = (Reader::default(), Vec::new(), vec![0; 16 << 10]);
        while tags.len() < 100 {
            let n = answer.read(&mut bytes).expect("it goes on");
            assert!(n > 0, "{version}: it ends after {} tags", tags.len());
            reader.push(&bytes[..n], false, &mut tags).expect("whole tags");
        }
        flv::check(&tags);
    }
    let head = http::request(hub.address(), "HEAD", path, &[]);
    assert_eq!((head.status, head.header("content-type")), (200, Some("video/x-flv")));
    assert_eq!(http::request(hub.address(), "HEAD", "/streams/none.flv", &[]).status, 404);
    assert!(wait_until(SOON, || hub.runtime().number("flv/active") == 0.0));
    assert_eq!(hub.runtime().number("flv/total"), 2.0, "HEAD is no viewer");
}

#[test]
fn one_connection_carries_many_requests() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let mut stream = connect(hub.address());
    let request = "GET /api/v1/server HTTP/1.1\r\nHost: hub\r\n\r\n";
    // Three in one write, and the last becomes a viewer.
    let live = "GET /streams/demo/clock.flv HTTP/1.1\r\nHost: hub\r\n\r\n";
    stream.write_all(format!("{request}{request}{request}{live}").as_bytes()).expect("the hub reads");
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let arrived = wait_until(SOON, || {
        let n = stream.read(&mut part).expect("an answer");
        bytes.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&bytes);
        text.matches("\"vendor\"").count() == 3 && text.contains("FLV\u{1}")
    });
    assert!(arrived, "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn connections_have_a_limit() {
    let hub = Hub::start(&[("IPCHUB_LIMITS_CONNECTIONS", "5")], &["--demo"]);
    hub.wait_live("/demo/clock");
    // Whoever asked before must be gone, or there would be fewer than five.
    let alone = || hub.runtime().number("extra/connections/active") == 1.0;
    assert!(wait_until(SOON, alone));
    let viewers: Vec<_> = (0..5)
        .map(|_| {
            let viewer = std::cell::RefCell::new(None);
            let came = wait_until(SOON, || {
                *viewer.borrow_mut() = Viewer::open(&hub, Way::WebSocket, "/demo/clock.flv", false).ok();
                viewer.borrow().is_some()
            });
            assert!(came, "five are allowed");
            viewer.into_inner().expect("it came")
        })
        .collect();
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 5));
    let mut sixth = connect(hub.address());
    let mut bytes = Vec::new();
    let end = sixth.read_to_end(&mut bytes);
    assert!(bytes.is_empty(), "the sixth is closed without a word: {end:?}");
    hub.wait_log(&["refused: the hub has its 5 connections (limits.connections)"]);
    let [first, others @ ..] = &viewers[..] else { panic!("there are five") };
    for viewer in others {
        let count = viewer.count();
        viewer.wait(SOON, "more pictures", |seen| seen.tags.len() > count + 5);
        assert_eq!(viewer.with(|seen| seen.end.clone()), None::<End>);
    }
    first.leave_now();
    let served = wait_until(SOON, || Answer::to(hub.address(), "GET", "/api/v1/server", "HTTP/1.1", &[]).is_ok());
    assert!(served, "there is room again");
    let mut refused = 0.0;
    let told = wait_until(SOON, || {
        let Ok(mut answer) = Answer::to(hub.address(), "GET", "/api/v1/runtime?extra=1", "HTTP/1.1", &[]) else {
            return false;
        };
        let mut text = String::new();
        answer.read_to_string(&mut text).expect("an answer");
        refused = support::json::Json::parse(&text).number("extra/refused/limit");
        true
    });
    assert!(told && refused >= 1.0, "refused: {refused}");
}
