//! Viewers that do not read harm nobody: the others get every picture, memory stays bounded, and they are closed in time.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use support::camera::{self, Camera};
use support::flv::Reader;
use support::http::{self, Answer};
use support::hub::Hub;
use support::viewer::{Viewer, Way};
use support::{SOON, wait_until};

/// 25 of them a second are 4 Mbit/s.
const PICTURE_BYTES: usize = 20_000;
const PATH: &str = "/live/wide";
/// Seconds, see `timeouts.write`: longer than the 5 s that fill a viewer's queue of 128, so that both bounds are met.
const WRITE_TIMEOUT: &str = "8";
/// The 10 that do not read, and the 40 that do.
const STUCK: usize = 10;
const READING: usize = 40;
/// What 50 viewers of one stream may cost: ten full queues of shared pictures, sockets, actors.
const MAX_GROWTH_KIB: u64 = 64 * 1024;

/// A viewer with a small window that asks for the stream and then reads nothing.
fn stuck(address: SocketAddr, way: Way) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
        .expect("a socket can be made");
    // Set before connecting: it bounds the window that is offered.
    socket.set_recv_buffer_size(4096).expect("a small buffer can be set");
    socket.connect(&address.into()).expect("the hub listens");
    let mut stream = TcpStream::from(socket);
    let upgrade = match way {
        Way::Http => "",
        Way::WebSocket => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
    };
    let request = format!("GET /streams{PATH}.flv HTTP/1.1\r\nHost: hub\r\n{upgrade}\r\n");
    stream.write_all(request.as_bytes()).expect("a request fits the buffers");
    stream
}

/// Whether the hub has closed it: what is still in the buffers is read, then comes the end or a reset.
fn is_dead(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
    let mut bytes = vec![0; 1 << 20];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn consumer_of(hub: &Hub, stream: &TcpStream) -> Option<f64> {
    let address = stream.local_addr().expect("it is connected").to_string();
    let listed = hub.stream(PATH)?;
    let consumer = listed.list("cs").iter().find(|consumer| consumer.text("extra").ends_with(&address));
    consumer.map(|consumer| consumer.number("id"))
}

fn way(n: usize) -> Way {
    if n.is_multiple_of(2) { Way::Http } else { Way::WebSocket }
}

#[test]
fn ten_of_fifty_stop_reading() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_WRITE", WRITE_TIMEOUT)], &[]);
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let readers: Vec<_> = (0..READING).map(|n| Viewer::watch(&hub, way(n), &format!("{PATH}.flv"))).collect();
    readers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 25));
    let before = hub.resident_kib();

    let since = Instant::now();
    let mut stuck: Vec<_> = (0..STUCK).map(|n| stuck(hub.address(), way(n))).collect();
    let listed = || hub.stream(PATH).map_or(0.0, |stream| stream.number("cc"));
    assert!(wait_until(SOON, || listed() == (READING + STUCK) as f64), "{} are listed", listed());
    let mut most = 0;
    let closed = wait_until(Duration::from_secs(45), || {
        most = most.max(hub.resident_kib());
        listed() <= READING as f64
    });
    let took = since.elapsed();
    assert!(closed, "{} are still listed after {took:?}", listed() - READING as f64);
    let growth = most.saturating_sub(before);
    println!("closed after {took:?}; resident memory {before} KiB, at most {growth} KiB more");
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more");
    // Not before the timeout, and each one with its line.
    assert!(took > Duration::from_secs(8), "{took:?}");
    let ends = || hub.log().iter().filter(|line| line.contains("took no byte for 8 s")).count();
    assert!(wait_until(SOON, || ends() == STUCK), "{} lines of the log", ends());
    let runtime = hub.runtime();
    assert_eq!(runtime.number("extra/viewers/write_timeouts"), STUCK as f64);
    assert!(runtime.number("extra/viewers/dropped_chunks") > 0.0);
    for stream in &mut stuck {
        assert!(is_dead(stream));
    }

    // The others lack no picture, counted one by one up to the newest.
    let newest = camera.sent();
    for viewer in readers {
        viewer.wait(SOON, "the newest picture", |seen| {
            seen.tags.iter().rev().find_map(camera::number).is_some_and(|number| number + 1 >= newest)
        });
        let seen = viewer.finish();
        camera::check_complete(&seen.tags);
        assert!(seen.tags.len() > 50);
    }
}

#[test]
fn a_kick_works_on_a_viewer_that_does_not_read() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_WRITE", "60")], &[]);
    let _camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    for way in [Way::Http, Way::WebSocket] {
        let mut stream = stuck(hub.address(), way);
        let behind = hub.runtime().number("extra/viewers/fell_behind");
        assert!(wait_until(SOON, || hub.runtime().number("extra/viewers/fell_behind") > behind), "its buffers fill");
        let id = consumer_of(&hub, &stream).expect("it is listed");
        let since = Instant::now();
        let response = http::delete(hub.address(), &format!("/api/v1/streams{PATH}:consumer?cid={id}"));
        assert_eq!(response.status, 200);
        assert!(wait_until(Duration::from_secs(5), || consumer_of(&hub, &stream).is_none()), "it is still listed");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(1), "it took {took:?}");
        assert!(is_dead(&mut stream), "{way:?}: the socket is still open");
        println!("{way:?}: gone after {took:?}");
    }
}

/// Who reads slower than the stream comes skips, and goes on at key frames only.
#[test]
fn a_slow_reader_skips_to_key_frames() {
    let hub = Hub::start(&[("IPCHUB_LIMITS_VIEWER_QUEUE", "20")], &[]);
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let url = format!("/streams{PATH}.flv");
    let mut answer = Answer::to(hub.address(), "GET", &url, "HTTP/1.1", &[]).expect("the stream is live");
    let socket = socket2::SockRef::from(answer.stream());
    socket.set_recv_buffer_size(16 << 10).expect("a small buffer can be set");
    let (mut reader, mut tags) = (Reader::default(), Vec::new());
    let mut bytes = vec![0; 10_000];
    let until = Instant::now() + SOON * 3;
    let gaps = |tags: &[_]| camera::numbers(tags).windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    while gaps(&tags) < 2 {
        assert!(Instant::now() < until, "no gap yet, {} tags of {}", tags.len(), camera.sent());
        let n = answer.read(&mut bytes).expect("a slow viewer is not closed");
        reader.push(&bytes[..n], false, &mut tags).expect("whole tags");
        // About 200 kB/s of the stream's 500 kB/s.
        std::thread::sleep(Duration::from_millis(50) * n as u32 / 10_000);
    }
    let pictures: Vec<_> = tags.iter().filter(|tag| tag.is_picture()).collect();
    for pair in pictures.windows(2) {
        let (before, after) = (camera::number(pair[0]), camera::number(pair[1]));
        assert!(after > before, "pictures go back");
        assert!(
            after == before.map(|n| n + 1) || pair[1].is_key(),
            "after a gap comes {after:?}, which is no key frame"
        );
    }
    assert!(hub.runtime().number("extra/viewers/fell_behind") >= 1.0);
}
