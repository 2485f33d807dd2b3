//! Peers under TLS that speak wrongly, slowly or not at all, and viewers that do not read: they harm nobody, cost little, and
//! are closed in time.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::camera::Camera;
use support::hub::Hub;
use support::process::Process;
use support::tls::{Pair, Secure, hello, secure, text};
use support::{SOON, http, wait_until};

const PATH: &str = "/live/wide";
/// 25 of them a second are 12 Mbit/s.
const PICTURE_BYTES: usize = 60_000;
/// What 20 viewers that do not read may cost: a full queue of shared pictures, and their own buffers.
const MAX_GROWTH_KIB: u64 = 64 * 1024;

/// Whether the hub closes it, soon.
fn ends(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn consumers(hub: &Hub) -> f64 {
    hub.stream(PATH).map_or(0.0, |stream| stream.number("cc"))
}

#[test]
fn a_hub_without_certificate() {
    let hub = Hub::start(&[], &[]);
    let pair = Pair::make("unused");
    assert!(secure(http::connect(hub.address()), pair.client(&[])).is_err());
    hub.wait_log(&["it speaks TLS", "set tls.cert and tls.key, or start it with --self-signed"]);
    assert_eq!(hub.runtime().number("extra/refused/protocol"), 1.0);
}

#[test]
fn bad_handshakes() {
    let pair = Pair::make("bad");
    let hub = pair.hub(&[("IPCHUB_TIMEOUTS_SNIFF", "1")], &[]);
    let mut first = Vec::new();
    hello(pair.client(&[])).write_tls(&mut first).expect("a hello");
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut cases: Vec<Vec<u8>> = vec![
        [&[0x16, 3, 1], &noise[..]].concat(),
        [&[0x16, 3, 1, 0xff, 0xff], &noise[..]].concat(),
        [&[0x16, 3, 1, 0, 0], &first[..]].concat(),
        vec![0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
    ];
    for flipped in (5..first.len()).step_by(7) {
        let mut wrong = first.clone();
        wrong[flipped] ^= 0x55;
        cases.push(wrong);
    }
    for bytes in cases {
        let mut stream = http::connect(hub.address());
        // The hub may have closed within it.
        let _ = stream.write_all(&bytes);
        assert!(ends(&mut stream), "{:x?}", &bytes[..9]);
    }
    // Half a handshake, and away.
    for cut in [3, 100, first.len() - 1, first.len()] {
        http::connect(hub.address()).write_all(&first[..cut]).expect("the hub reads");
    }
    // A byte now and then does not keep it open.
    let mut slow = http::connect(hub.address());
    let since = Instant::now();
    let closed = first.iter().any(|byte| {
        std::thread::sleep(Duration::from_millis(100));
        slow.write_all(&[*byte]).is_err()
    });
    assert!(closed && since.elapsed() < SOON, "after {:?}", since.elapsed());
    // Nor does a handshake after which nothing is said.
    let mut silent = pair.connect(hub.address());
    assert!(ends(&mut silent.sock));
    // TLS within TLS.
    let mut inner = pair.connect(hub.address());
    inner.write_all(&first).expect("the hub reads");
    assert!(ends(&mut inner.sock));
    hub.wait_log(&["no TLS connection"]);
    let alone = || hub.runtime().number("extra/connections/active") == 1.0;
    assert!(wait_until(SOON, alone), "connections are left");
    pair.connect(hub.address());
}

/// A viewer with a small window that shakes hands, asks, and then reads nothing.
fn stuck(hub: &Hub, pair: &Pair, upgrade: &str) -> Secure {
    let address = hub.address();
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
        .expect("a socket can be made");
    socket.set_recv_buffer_size(4096).expect("a small buffer can be set");
    socket.connect(&address.into()).expect("the hub listens");
    let mut stream = secure(socket.into(), pair.client(&[])).expect("a connection");
    let request = format!("GET /streams{PATH}.flv HTTP/1.1\r\nHost: hub\r\n{upgrade}\r\n");
    stream.write_all(request.as_bytes()).expect("a request fits the buffers");
    stream.flush().expect("a request fits the buffers");
    stream
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A browser that hangs: HTTP/2, and a process that is stopped once it has some of the stream.
fn hung(hub: &Hub, pair: &Pair) -> Process {
    let before = consumers(hub);
    let mut command = Command::new("curl");
    command.args(["-sS", "--http2", "--cacert", text(&pair.cert), "-o", "/dev/null"]);
    let curl = Process::start({
        command.arg(hub.url("https", &format!("/streams{PATH}.flv")));
        command
    });
    assert!(wait_until(SOON, || consumers(hub) > before), "{:?}", curl.lines());
    curl.signal("STOP");
    curl
}

#[test]
fn who_does_not_read_is_closed_in_time() {
    let pair = Pair::make("stuck");
    let hub = pair.hub(&[("IPCHUB_TIMEOUTS_WRITE", "3")], &[]);
    let _camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let before = hub.resident_kib();
    let stuck: Vec<_> = (0..18).map(|n| stuck(&hub, &pair, if n % 2 == 0 { "" } else { UPGRADE })).collect();
    // All are counted before the next are told by the count.
    assert!(wait_until(SOON, || consumers(&hub) == 18.0), "{} watch", consumers(&hub));
    let hung: Vec<_> = (0..2).map(|_| hung(&hub, &pair)).collect();
    let mut most = 0;
    let closed = wait_until(SOON * 2, || {
        most = most.max(hub.resident_kib());
        consumers(&hub) == 0.0
    });
    assert!(closed, "{} are still listed", consumers(&hub));
    let growth = most.saturating_sub(before);
    println!("at most {growth} KiB more than {before} KiB");
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more");
    let ends = || hub.log().iter().filter(|line| line.contains("took no byte for 3 s")).count();
    // On HTTP/2 a stream's own clock may strike first, or that of its connection: the reason is the same.
    assert!(wait_until(SOON, || ends() == 20), "{} lines of the log", ends());
    assert_eq!(hub.runtime().number("extra/viewers/write_timeouts"), 20.0);
    let alone = || hub.runtime().number("extra/connections/active") <= 2.0;
    assert!(wait_until(SOON, alone), "connections are left");
    drop((stuck, hung));
}

#[test]
fn a_kick_works_on_who_does_not_read() {
    let pair = Pair::make("kick");
    let hub = pair.hub(&[("IPCHUB_TIMEOUTS_WRITE", "60")], &[]);
    let _camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    for n in 0..3 {
        let behind = hub.runtime().number("extra/viewers/fell_behind");
        let viewer: (Option<Secure>, Option<Process>) = match n {
            0 => (Some(stuck(&hub, &pair, "")), None),
            1 => (Some(stuck(&hub, &pair, UPGRADE)), None),
            _ => (None, Some(hung(&hub, &pair))),
        };
        assert!(wait_until(SOON, || hub.runtime().number("extra/viewers/fell_behind") > behind), "its buffers fill");
        let id = hub.stream(PATH).expect("it is live").list("cs")[0].number("id");
        let since = Instant::now();
        let kick = http::delete(hub.address(), &format!("/api/v1/streams{PATH}:consumer?cid={id}"));
        assert_eq!(kick.status, 200);
        assert!(wait_until(SOON, || consumers(&hub) == 0.0), "it is still listed");
        println!("{n}: gone after {:?}", since.elapsed());
        drop(viewer);
    }
}

/// Nothing is sent that would show it: the publisher is away.
#[test]
fn a_stream_that_has_waited_still_hears_its_end() {
    let pair = Pair::make("silent");
    let hub = pair.hub(&[("IPCHUB_TIMEOUTS_PUBLISHER_GRACE", "120")], &[]);
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let command = || {
        let mut command = Command::new("curl");
        command.args(["-sS", "--http2", "--no-buffer", "--cacert", text(&pair.cert), "-o", "/dev/null"]);
        command.arg(hub.url("https", &format!("/streams{PATH}.flv")));
        command
    };
    let (leaves, _kicked) = (Process::start(command()), Process::start(command()));
    let sent = |wanted: f64| {
        let stream = hub.stream(PATH);
        stream.is_some_and(|stream| {
            let viewers = stream.list("cs");
            viewers.len() == 2 && viewers.iter().all(|viewer| viewer.number("flow/outbytes") > wanted)
        })
    };
    // Openings and pictures beyond what is kept unsent: the viewers have waited for room.
    assert!(wait_until(SOON, || sent(3000.0)), "they watch");
    drop(camera);
    drop(leaves);
    assert!(wait_until(SOON, || consumers(&hub) == 1.0), "who left is still listed");
    let id = hub.stream(PATH).expect("its publisher may come back").list("cs")[0].number("id");
    assert_eq!(http::delete(hub.address(), &format!("/api/v1/streams{PATH}:consumer?cid={id}")).status, 200);
    assert!(wait_until(SOON, || consumers(&hub) == 0.0), "who was kicked is still listed");
    let ends =
        |reason: &str| hub.log().iter().any(|line| line.contains("watched by http-flv") && line.contains(reason));
    assert!(wait_until(SOON, || ends("the viewer left")), "{:#?}", hub.log());
}

/// Frames of HTTP/2 by hand: one stream gets no window, the other is served all the same.
#[test]
fn a_stream_without_window_is_reset_alone() {
    let pair = Pair::make("window");
    let hub = pair.hub(&[("IPCHUB_TIMEOUTS_WRITE", "2")], &[]);
    let _camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let mut stream = secure(http::connect(hub.address()), pair.client(&["h2"])).expect("a connection");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the hub reads");
    let send = |stream: &mut Secure, kind: u8, flags: u8, id: u32, data: &[u8]| {
        let head = [&(data.len() as u32).to_be_bytes()[1..], &[kind, flags], &id.to_be_bytes()].concat();
        stream.write_all(&[&head, data].concat()).expect("the hub reads");
    };
    // `:method GET`, `:scheme https` by their index, `:path` and `:authority` by name (RFC 7541, appendix A).
    let request = |path: &str| [&[0x82, 0x87, 0x04, path.len() as u8], path.as_bytes(), &[0x01, 3], b"hub"].concat();
    send(&mut stream, 4, 0, 0, &[]);
    // The connection has room, so that only the stream's own window is in the way.
    send(&mut stream, 8, 0, 0, &(1_u32 << 24).to_be_bytes());
    send(&mut stream, 1, 5, 1, &request(&format!("/streams{PATH}.flv")));
    let (mut media, mut asked, mut served) = (0, false, false);
    let reset = loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("the connection stays");
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut data = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut data).expect("a whole frame");
        match (kind, u32::from_be_bytes(id)) {
            (0, 1) => media += data.len(),
            (0, 3) => served |= flags & 1 == 1,
            (3, 1) => break u32::from_be_bytes(data.try_into().expect("four bytes")),
            (4, _) if flags & 1 == 0 => send(&mut stream, 4, 1, 0, &[]),
            (6, _) if flags & 1 == 0 => send(&mut stream, 6, 1, 0, &data),
            (7, _) => panic!("GOAWAY: {data:x?}"),
            _ => {}
        }
        if media >= 65_535 && !asked {
            asked = true;
            send(&mut stream, 1, 5, 3, &request("/api/v1/server"));
        }
    };
    assert_eq!(reset, 8, "CANCEL");
    assert_eq!(media, 65_535, "all of the window and no more");
    assert!(served, "the other stream is answered");
    hub.wait_log(&["watched by http-flv", "65535 bytes sent", "took no byte for 2 s"]);
    assert!(wait_until(SOON, || consumers(&hub) == 0.0));
}
