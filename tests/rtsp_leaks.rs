//! Sessions that are opened and left in every way: afterwards the hub is what it was before, and a viewer beside them has
//! missed no picture.

mod support;

use std::net::{TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use support::camera::{self, Camera};
use support::hub::Hub;
use support::json::Json;
use support::rtsp::Rtsp;
use support::viewer::{Viewer, Way};
use support::{SOON, http, wait_for, wait_until};

const PATH: &str = "/cam";
const KICKED: &str = "/kicked";
/// What the hub may keep of memory that it has used: the allocator gives back what and when it likes.
const MAX_GROWTH_KIB: f64 = 24.0 * 1024.0;
/// Threads that open sessions.
const THREADS: u32 = 4;
/// Sessions a second, of all threads.
const RATE: u32 = 200;
/// How long they are opened.
const STORM: Duration = Duration::from_secs(30);

/// What a hub has in use.
#[derive(Debug)]
struct Footprint {
    files: usize,
    threads: usize,
    /// Proportional set size, KiB.
    memory: f64,
    runtime: Json,
}

impl Footprint {
    fn of(hub: &Hub) -> Self {
        let process = format!("/proc/{}", hub.pid());
        let count = |what: &str| std::fs::read_dir(format!("{process}/{what}")).expect("the hub runs").count();
        let rollup = std::fs::read_to_string(format!("{process}/smaps_rollup")).expect("Linux tells it");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("Linux tells it");
        let memory = pss.trim().trim_end_matches("kB").trim().parse().expect("a number of kB");
        // Asking makes a connection: before the files are counted, so that it is gone or counts in both.
        let runtime = hub.runtime();
        Self { files: count("fd"), threads: count("task"), memory, runtime }
    }

    fn live(&self) -> [f64; 3] {
        ["rtsp/active", "streams/sources", "streams/consumers"].map(|name| self.runtime.number(name))
    }

    /// Whether nothing is left of what came after `before`. One connection may still be closing: that which asked.
    fn is_back_to(&self, before: &Self) -> bool {
        self.live() == before.live()
            && self.files <= before.files + 1
            && self.threads <= before.threads
            && self.memory <= before.memory + MAX_GROWTH_KIB
    }
}

/// Waits until the hub has let go of everything; panics with what it has not.
fn check_settles(hub: &Hub, before: &Footprint) {
    let mut now = Footprint::of(hub);
    let settled = wait_until(Duration::from_secs(60), || {
        now = Footprint::of(hub);
        now.is_back_to(before)
    });
    assert!(settled, "before: {before:?}\nafter: {now:?}");
    println!(
        "open files {} -> {}, threads {} -> {}, memory {} -> {} KiB",
        before.files, now.files, before.threads, now.threads, before.memory, now.memory
    );
}

/// A pair of UDP ports of a player.
struct Ports {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Ports {
    fn open() -> Self {
        let open = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        Self { rtp: open(), rtcp: open() }
    }

    fn transport(&self) -> String {
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        format!("RTP/AVP;unicast;client_port={}-{}", port(&self.rtp), port(&self.rtcp))
    }
}

/// How far a session gets before it is left.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Connected,
    Described,
    SetUp,
    Playing,
}

/// Opens a session that gets so far; it is left by dropping it.
fn open_and_leave(hub: &Hub, path: &str, stage: Stage, ports: Option<&Ports>, reset: bool) -> Rtsp {
    let mut rtsp = Rtsp::connect(hub, path);
    if reset {
        let socket = socket2::SockRef::from(rtsp.stream());
        socket.set_linger(Some(Duration::ZERO)).expect("a connection can be reset");
    }
    let status = |reply: support::rtsp::Reply| assert_eq!(reply.status, 200, "{stage:?}: {}", reply.body);
    if matches!(stage, Stage::Connected) {
        status(rtsp.request("OPTIONS", None, &[], ""));
        return rtsp;
    }
    status(rtsp.request("DESCRIBE", None, &[], ""));
    if matches!(stage, Stage::Described) {
        return rtsp;
    }
    let transport = ports.map_or("RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(), Ports::transport);
    let url = hub.url("rtsp", &format!("{path}/trackID=0"));
    status(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], ""));
    if matches!(stage, Stage::Playing) {
        status(rtsp.request("PLAY", None, &[], ""));
    }
    rtsp
}

/// An ordinary viewer of the camera, in both ways.
struct Witness {
    flv: Viewer,
    rtsp: std::thread::JoinHandle<Result<u32, String>>,
    stream: TcpStream,
}

impl Witness {
    fn watch(hub: &Hub) -> Self {
        let flv = Viewer::watch(hub, Way::WebSocket, &format!("{PATH}.flv"));
        let (mut rtsp, _) = Rtsp::play(hub, PATH);
        let stream = rtsp.stream().try_clone().expect("a socket can be shared");
        let watch = move || {
            let mut last: Option<u16> = None;
            let mut count = 0;
            while let Ok(Some((channel, data))) = rtsp.next_packet() {
                if channel != 0 {
                    continue;
                }
                let sequence = u16::from_be_bytes([data[2], data[3]]);
                if last.is_some_and(|last| sequence != last.wrapping_add(1)) {
                    return Err(format!("packet {last:?} is followed by {sequence}"));
                }
                last = Some(sequence);
                count += 1;
            }
            Ok(count)
        };
        let witness = Self { flv, rtsp: std::thread::spawn(watch), stream };
        witness.flv.wait_pictures(SOON, 10);
        witness
    }

    /// Panics if one has missed something, or not seen as much as was sent from its start on.
    fn check(self, pictures: u32) {
        let seen = self.flv.finish();
        camera::check_complete(&seen.tags);
        let count = camera::numbers(&seen.tags).len();
        assert!(count >= pictures as usize, "{count} pictures of {pictures}");
        self.stream.shutdown(std::net::Shutdown::Both).expect("it is still connected");
        let packets = self.rtsp.join().expect("it does not panic").unwrap_or_else(|gap| panic!("{gap}"));
        assert!(packets >= pictures, "{packets} packets for {pictures} pictures");
    }
}

/// Every combination of how far it gets, over what it plays, and how it ends: closed, reset, or not at all.
fn storm(hub: &Hub, rounds: Duration) -> u32 {
    let opened = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let opened = &opened;
            scope.spawn(move || {
                let start = Instant::now();
                let ports: Vec<_> = (0..16).map(|_| Ports::open()).collect();
                let mut left_open = Vec::new();
                for number in 0.. {
                    let due = Duration::from_secs(1) * number * THREADS / RATE;
                    if due >= rounds {
                        break;
                    }
                    std::thread::sleep(due.saturating_sub(start.elapsed()));
                    let stage = [Stage::Connected, Stage::Described, Stage::SetUp, Stage::Playing][number as usize % 4];
                    let udp = (number / 4 % 2 == 1).then(|| &ports[(number / 8) as usize % ports.len()]);
                    let reset = (number / 8 + thread).is_multiple_of(2);
                    let rtsp = open_and_leave(hub, PATH, stage, udp, reset);
                    opened.fetch_add(1, Relaxed);
                    // One in ten stays open in silence: the hub ends it itself, or the end of the test does.
                    if number % 10 == 9 {
                        left_open.push(rtsp);
                    }
                }
            });
        }
    });
    opened.load(Relaxed)
}

#[test]
fn two_hundred_abandoned_sessions_a_second() {
    // Those that are left open are waited for at the end.
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "3")], &[]);
    let camera = Camera::publish(&hub, PATH, 1000);
    hub.wait_live(PATH);
    let witness = Witness::watch(&hub);
    // What is made once only is made: threads, the largest tables, pages of the allocator.
    let mut total = 1 + 1 + storm(&hub, Duration::from_secs(2));
    let calm = || hub.runtime().number("rtsp/active") == 2.0;
    assert!(wait_until(SOON, calm), "{:?}", hub.runtime());
    let before = Footprint::of(&hub);
    let sent = camera.sent();
    total += storm(&hub, STORM);
    let sent = camera.sent() - sent;
    check_settles(&hub, &before);
    assert_eq!(hub.runtime().number("rtsp/total"), f64::from(total), "connections are counted exactly");
    println!("{total} sessions");
    witness.check(sent);
    let panicked = hub.log().into_iter().find(|line| line.contains("panicked"));
    assert_eq!(panicked, None);
}

#[test]
fn ten_thousand_setups_on_one_connection() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, PATH, 300);
    hub.wait_live(PATH);
    drop(open_and_leave(&hub, PATH, Stage::Playing, None, false));
    assert!(wait_until(SOON, || hub.runtime().number("rtsp/active") == 1.0));
    let before = Footprint::of(&hub);
    let mut rtsp = open_and_leave(&hub, PATH, Stage::Described, None, false);
    let url = hub.url("rtsp", &format!("{PATH}/trackID=0"));
    let ports: Vec<_> = (0..4).map(|_| Ports::open().transport()).collect();
    for batch in 0..100_u32 {
        let mut text = String::new();
        for number in 0..100_u32 {
            let transport = match number % 5 {
                0 => format!("RTP/AVP/TCP;unicast;interleaved={0}-{1}", number, number + 1),
                udp => ports[udp as usize - 1].clone(),
            };
            let cseq = 1000 + batch * 100 + number;
            text.push_str(&format!("SETUP {url} RTSP/1.0\r\nCSeq: {cseq}\r\nTransport: {transport}\r\n\r\n"));
        }
        rtsp.send(text.as_bytes()).expect("the hub reads");
        for number in 0..100 {
            let reply = rtsp.reply().expect("an answer");
            let cseq = (1000 + batch * 100 + number).to_string();
            assert_eq!((reply.status, reply.header("CSeq")), (200, Some(cseq.as_str())));
        }
    }
    let grown = Footprint::of(&hub);
    assert!(grown.files <= before.files + 2, "SETUP alone opens nothing: {before:?} {grown:?}");
    assert!(grown.memory <= before.memory + MAX_GROWTH_KIB, "{before:?} {grown:?}");
    // The last one counts, over UDP, and it plays.
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
    let consumer = || hub.stream(PATH).is_some_and(|s| s.list("cs").iter().any(|c| c.text("extra") == "net=rtsp-udp"));
    assert!(wait_until(SOON, consumer), "{:?}", hub.stream(PATH));
    drop(rtsp);
    check_settles(&hub, &before);
}

#[test]
fn ten_thousand_setups_on_as_many_connections() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, PATH, 300);
    hub.wait_live(PATH);
    let open = |count: u32| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let hub = &hub;
                scope.spawn(move || {
                    let ports = Ports::open();
                    for number in 0..count / THREADS {
                        // Reset, so that ten thousand ports do not wait for late packets of theirs.
                        let udp = (number + thread).is_multiple_of(2).then_some(&ports);
                        open_and_leave(hub, PATH, Stage::SetUp, udp, true);
                    }
                });
            }
        });
        assert!(wait_until(SOON, || hub.runtime().number("rtsp/active") == 1.0), "{:?}", hub.runtime());
    };
    open(1000);
    let before = Footprint::of(&hub);
    open(9000);
    check_settles(&hub, &before);
    assert_eq!(hub.runtime().number("rtsp/total"), 10_001.0);
}

/// A route of UDP ends with its session: what still comes from the player's ports is a stranger's.
#[test]
fn udp_routes_end_with_their_sessions() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, PATH, 300);
    hub.wait_live(PATH);
    let log = hub.log();
    let line = log.iter().find_map(|line| line.split_once("over UDP on ports ")).expect("the ports are logged");
    let server: u16 = line.1.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
    let strays = || hub.runtime().number("extra/publishers/stray_datagrams");
    let players: Vec<_> = (0..50)
        .map(|number| {
            let ports = Ports::open();
            (open_and_leave(&hub, PATH, Stage::Playing, Some(&ports), number % 2 == 0), ports)
        })
        .collect();
    let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
    let speak = |ports: &Ports| {
        ports.rtp.send_to(&report, ("127.0.0.1", server)).expect("it is sent");
        ports.rtcp.send_to(&report, ("127.0.0.1", server + 1)).expect("it is sent");
    };
    players.iter().for_each(|(_, ports)| speak(ports));
    assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 50.0));
    assert_eq!(strays(), 0.0, "a player's reports are expected");
    let ports: Vec<_> = players.into_iter().map(|(rtsp, ports)| (drop(rtsp), ports).1).collect();
    assert!(wait_until(SOON, || hub.runtime().number("rtsp/active") == 1.0));
    ports.iter().for_each(speak);
    assert!(wait_until(SOON, || strays() == 100.0), "{} of 100 datagrams are strays", strays());
}

/// Connections that end in their own ways, all at once: each counts once, and none is left.
#[test]
fn counters_are_exact_under_churn() {
    const ROUNDS: u32 = 60;
    let hub = Hub::start(&[], &[]);
    let _cameras = [PATH, KICKED].map(|path| Camera::publish(&hub, path, 300));
    hub.wait_live(PATH);
    hub.wait_live(KICKED);
    let kicking = Mutex::new(());
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (hub, kicking) = (&hub, &kicking);
            scope.spawn(move || {
                let ports = Ports::open();
                for number in 0..ROUNDS {
                    let udp = (number % 3 == 0).then_some(&ports);
                    let kind = (number + thread) % 6;
                    if kind == 5 {
                        let _alone = kicking.lock().expect("nobody panicked");
                        play_and_be_kicked(hub, udp);
                        continue;
                    }
                    let mut rtsp = open_and_leave(hub, PATH, Stage::Playing, udp, kind == 0);
                    match kind {
                        2 => assert_eq!(rtsp.request("TEARDOWN", None, &[], "").status, 200),
                        3 => assert_eq!(rtsp.request("PAUSE", None, &[], "").status, 200),
                        4 => rtsp.send(b"\xff\xfe nonsense").expect("the hub reads"),
                        _ => {}
                    }
                }
            });
        }
    });
    let settled = || {
        let runtime = hub.runtime();
        let counts = ["rtsp/total", "rtsp/active", "streams/consumers", "streams/sources"];
        counts.map(|name| runtime.number(name)) == [f64::from(8 * ROUNDS + 2), 2.0, 0.0, 2.0]
    };
    assert!(wait_until(SOON, settled), "{:?}", hub.runtime());
}

/// A player that REST ends. Nobody else plays this stream.
fn play_and_be_kicked(hub: &Hub, udp: Option<&Ports>) {
    let mut rtsp = open_and_leave(hub, KICKED, Stage::Playing, udp, false);
    let id = wait_for(SOON, "one consumer", || {
        let stream = hub.stream(KICKED)?;
        let [consumer] = stream.list("cs") else { return None };
        assert_eq!(consumer.text("packet_type"), "RTP");
        assert_eq!(consumer.text("extra"), if udp.is_some() { "net=rtsp-udp" } else { "net=rtsp-tcp" });
        Some(consumer.number("id"))
    });
    let path = format!("/api/v1/streams{KICKED}:consumer?cid={id}");
    assert_eq!(http::delete(hub.address(), &path).status, 200, "{path}");
    // Closed in order or reset, as its buffers allow.
    while let Ok(Some(_)) = rtsp.next_packet() {}
    let gone = || hub.stream(KICKED).is_some_and(|stream| stream.list("cs").is_empty());
    assert!(wait_until(SOON, gone), "{:?}", hub.stream(KICKED));
}
