//! RTSP over UDP: clients behind a NAT, networks that lose packets, reports both ways, IPv6, and the way back to TCP.

mod support;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use support::camera::{Camera, numbers};
use support::ffmpeg::{self, AAC, H264, Media};
use support::hub::Hub;
use support::lossy::{Done, Fate, Faults, Lossy, sockets};
use support::process::Process;
use support::rtsp::{H264_SDP, PPS, Rtsp, SPS, hex, rtp};
use support::udp::{UdpPlayer, parameter, report, socket};
use support::viewer::{Viewer, Way};
use support::{SOON, wait_until};

/// Longer than it takes a packet to come on loopback, for what must not come. The tests do not fail if it is too short.
const NOT_SO_LONG: Duration = Duration::from_millis(300);
/// Ten seconds of media on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

#[test]
fn a_player_behind_a_nat_is_sent_to_where_its_first_packet_came_from() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    // Who holds the announced ports: nothing may come there once the player was heard.
    let announced = sockets().expect("two ports");
    let port = |n: usize| announced[n].local_addr().expect("bound").port();
    let mut player = UdpPlayer::prepare(&hub, "/cam", Some((port(0), port(1))));
    player.punch();
    // As ffmpeg does: before PLAY. Another address of the same machine is somebody else.
    let stranger = socket(IpAddr::from([127, 0, 0, 2]));
    stranger.send_to(&[0x80; 12], player.server[0]).expect("it is sent");
    assert_eq!(player.rtsp.request("PLAY", None, &[], "").status, 200);
    let seen = player.take(10);
    assert_eq!(seen[..3].iter().map(|packet| packet.kind).collect::<Vec<_>>(), [7, 8, 5], "from the cached picture on");
    assert!(player.sender_report(), "reports go where the client's reports came from");
    hub.wait_log(&["a NAT"]);
    let mut buffer = [0; 100];
    assert!(announced.iter().all(|socket| socket.recv(&mut buffer).is_err()), "sent to the announced port as well");
    // Another port of the same address comes too late.
    let thief = socket(IpAddr::V4(Ipv4Addr::LOCALHOST));
    thief.send_to(&[0x80; 12], player.server[0]).expect("it is sent");
    player.take(25);
    thief.set_read_timeout(Some(NOT_SO_LONG)).expect("a timeout");
    assert!(thief.recv(&mut buffer).is_err(), "the stream was taken away");
    assert!(hub.runtime().number("extra/publishers/stray_datagrams") >= 2.0);
}

#[test]
fn two_players_of_one_address_do_not_get_each_others_stream() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    let mut first = UdpPlayer::prepare(&hub, "/cam", Some((9, 10)));
    let mut second = UdpPlayer::prepare(&hub, "/cam", None);
    // Both wait for a first packet: nobody can say whose this is.
    first.punch();
    assert!(wait_until(SOON, || hub.runtime().number("extra/publishers/stray_datagrams") == 2.0));
    second.punch();
    for player in [&mut first, &mut second] {
        assert_eq!(player.rtsp.request("PLAY", None, &[], "").status, 200);
    }
    second.take(10);
    assert!(first.next(NOT_SO_LONG).is_none());
    // The second has its way now, so the next packet can only be the first one's.
    first.punch();
    assert!(first.next(SOON).is_some());
    second.take(25);
}

#[test]
fn reports_of_players_and_publishers_are_shown() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "2")], &[]);
    let mut camera = UdpCamera::publish(&hub, "/cam", Faults::default());
    camera.send(30);
    let player = UdpPlayer::play(&hub, "/cam");
    let mut late = rtp(96, 1, 0, false, &hex(SPS));
    camera.rtp.send_to(&late, camera.server).expect("it is sent");
    late[3] = 2;
    player.report(64, 0xff_fffe, 900);
    let loss = |field: &str| Some(hub.stream("/cam")?.list("cs").first()?.at("loss")?.number(field));
    assert!(wait_until(SOON, || loss("fraction") == Some(0.25)), "{:?}", hub.stream("/cam"));
    assert_eq!((loss("packets"), loss("jitter_ms"), loss("unsent")), (Some(-2.0), Some(10.0), Some(0.0)));
    let stream = hub.stream("/cam").expect("it is live");
    let shape = stream.shape();
    let loss_of_viewer =
        "cs[{id,start_on,packet_type,extra,flow{inbytes,outbytes},loss{packets,fraction,jitter_ms,unsent}}]";
    assert!(shape.contains(loss_of_viewer), "{shape}");
    assert!(shape.ends_with("reception{received,lost,ignored,jitter_ms}}"), "{shape}");
    let ignored = || hub.stream("/cam").map(|stream| stream.number("reception/ignored"));
    assert!(wait_until(SOON, || ignored() == Some(1.0)), "{:?}", hub.stream("/cam"));
    assert_eq!(stream.number("reception/lost"), 0.0);
    // Reports keep the session; those of somebody else do not, and neither does another port of its own address.
    let alive = Instant::now();
    while alive.elapsed() < Duration::from_secs(4) {
        player.report(0, 0, 0);
        camera.send(5);
    }
    assert_eq!(hub.runtime().number("streams/consumers"), 1.0, "its reports were not heard");
    let strangers = [socket(IpAddr::from([127, 0, 0, 2])), socket(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let gone = wait_until(SOON, || {
        for stranger in &strangers {
            stranger.send_to(&report(player.ssrc, 0, 0, 0), player.server[1]).expect("it is sent");
        }
        camera.send(1);
        hub.runtime().number("streams/consumers") == 0.0
    });
    assert!(gone, "kept by packets that are not its own");
    hub.wait_log(&[&player.rtsp.local_address(), "nothing heard for 2 s"]);
}

#[test]
fn one_track_may_end_while_the_other_plays_on() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let sockets = [sockets().expect("ports"), sockets().expect("ports")];
    let mut rtsp = Rtsp::connect(&hub, "/demo/clock");
    assert_eq!(rtsp.request("DESCRIBE", None, &[], "").status, 200);
    for (track, pair) in sockets.iter().enumerate() {
        let port = |n: usize| pair[n].local_addr().expect("bound").port();
        let transport = format!("RTP/AVP;unicast;client_port={}-{}", port(0), port(1));
        let url = hub.url("rtsp", &format!("/demo/clock/trackID={track}"));
        assert_eq!(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "").status, 200);
    }
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
    let mut buffer = [0; 2000];
    let mut comes = |track: usize| wait_until(SOON, || sockets[track][0].recv(&mut buffer).is_ok());
    assert!(comes(0) && comes(1));
    let url = hub.url("rtsp", "/demo/clock/trackID=1");
    assert_eq!(rtsp.request("TEARDOWN", Some(&url), &[], "").status, 200);
    // What was on its way; then nothing.
    while sockets[1][0].recv(&mut buffer).is_ok() {}
    let mut buffer = [0; 2000];
    assert!(wait_until(SOON, || sockets[0][0].recv(&mut buffer).is_ok()));
    assert!(sockets[1][0].recv(&mut buffer).is_err(), "the track goes on");
    assert_eq!(rtsp.request("TEARDOWN", None, &[], "").status, 200);
    assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
}

#[test]
fn everything_works_over_ipv6() {
    let hub = Hub::listen("[::1]:0", &[], &[]);
    let push = Media { transport: "udp", audio: Some(AAC), ..Media::default() }.push(&hub, "/cam");
    hub.wait_live("/cam");
    let mut own = UdpPlayer::prepare(&hub, "/cam", Some((9, 10)));
    own.punch();
    assert_eq!(own.rtsp.request("PLAY", None, &[], "").status, 200);
    own.take(50);
    let mut player = play(&hub.url("rtsp", "/cam"), &["-rtsp_transport", "udp", "-xerror"], "5");
    finish(&mut player);
    let stream = hub.stream("/cam").expect("it is live");
    assert_eq!((stream.number("reception/lost"), stream.number("reception/ignored")), (0.0, 0.0));
    drop(push);
}

#[test]
fn players_go_to_tcp_when_udp_does_not_work() {
    // A hub that has no UDP, and a network that lets none through.
    let without = Hub::start(&[], &["--demo", "--udp-port", "-1"]);
    let hub = Hub::start(&[], &["--demo"]);
    let wall = Lossy::before(&hub, Faults { lost: 1000, ..Faults::default() });
    for (hub, url) in [(&without, without.url("rtsp", "/demo/clock")), (&hub, wall.url("/demo/clock"))] {
        hub.wait_live("/demo/clock");
        // Microseconds: without it ffmpeg waits for ever for the first packet.
        let mut player = play(&url, &["-timeout", "2000000"], "3");
        let tcp = || {
            let stream = hub.stream("/demo/clock")?;
            (stream.list("cs").first()?.text("extra") == "net=rtsp-tcp").then_some(())
        };
        assert!(wait_until(DEADLINE, || tcp().is_some()), "{:?}\n{:?}", hub.stream("/demo/clock"), player.lines());
        let (status, _) = player.wait(DEADLINE);
        assert!(status.success(), "{:?}", player.lines());
    }
    assert!(wall.done.lost.load(Relaxed) > 0, "it was tried over UDP");
}

#[test]
fn a_player_goes_on_over_a_bad_network() {
    let hub = Hub::start(&[], &[]);
    let _push = Media { video: Some(H264), audio: Some(AAC), ..Media::default() }.push(&hub, "/cam");
    hub.wait_live("/cam");
    let bad = Lossy::before(&hub, Faults { lost: 30, doubled: 20, late: 30 });
    let resident = hub.resident_kib();
    let mut player = play(&bad.url("/cam"), &["-rtsp_transport", "udp"], "12");
    // ffmpeg reports loss every five seconds.
    let lost = || Some(hub.stream("/cam")?.list("cs").first()?.at("loss")?.number("packets"));
    assert!(wait_until(DEADLINE, || lost().is_some_and(|lost| lost > 0.0)), "{:?}", hub.stream("/cam"));
    let (status, _) = player.wait(DEADLINE);
    assert!(status.success(), "it gave up: {:?}", player.lines());
    assert!(bad.done.lost.load(Relaxed) > 10 && bad.done.late.load(Relaxed) > 10, "{:?}", bad.done);
    let grown = hub.resident_kib().saturating_sub(resident);
    assert!(grown < 16 << 10, "{grown} KiB more");
}

#[test]
fn a_publisher_goes_on_over_a_bad_network() {
    const PICTURES: u32 = 400;
    let hub = Hub::start(&[], &[]);
    let mut camera = UdpCamera::publish(&hub, "/cam", Faults { lost: 20, doubled: 20, late: 40 });
    camera.send(30);
    hub.wait_live("/cam");
    let viewer = Viewer::record(&hub, Way::Http, "/cam.flv");
    let resident = hub.resident_kib();
    camera.send(PICTURES);
    let stream = hub.stream("/cam").expect("it is live");
    let done = &camera.done;
    let (lost, doubled) = (done.lost.load(Relaxed) as f64, done.doubled.load(Relaxed) as f64);
    assert!(lost > 10.0 && doubled > 10.0 && done.late.load(Relaxed) > 10, "{done:?}");
    // What was swapped is put in order, what was doubled is known, what was lost is counted, but for the very last packets.
    let counted = |field: &str| hub.stream("/cam").map_or(0.0, |stream| stream.number(&format!("reception/{field}")));
    assert!(wait_until(SOON, || counted("lost") >= lost - 5.0), "{lost} were lost: {stream:?}");
    assert!(counted("lost") <= lost && (doubled - counted("ignored")).abs() < 5.0, "{doubled} doubled: {stream:?}");
    let recording = viewer.finish();
    let seen = numbers(&recording.tags);
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "pictures came twice or back to front");
    for tag in recording.tags.iter().filter(|tag| tag.is_picture()) {
        assert_eq!(tag.len, UdpCamera::PICTURE + 9, "half a picture");
    }
    let keys = recording.tags.iter().filter(|tag| tag.is_picture() && tag.is_key()).count() as u32;
    assert!(keys >= PICTURES / 25 / 2, "{keys} key frames of {}", PICTURES / 25);
    assert!(seen.len() as u32 > PICTURES / 2, "{} pictures of {PICTURES}", seen.len());
    let grown = hub.resident_kib().saturating_sub(resident);
    assert!(grown < 16 << 10, "{grown} KiB more");
}

/// A publisher over UDP whose pictures have four packets each.
struct UdpCamera {
    _rtsp: Rtsp,
    rtp: UdpSocket,
    server: std::net::SocketAddr,
    sequence: u16,
    number: u32,
    fate: Fate,
    done: Arc<Done>,
    start: Instant,
}

impl UdpCamera {
    /// Bytes of a picture's NAL unit.
    const PICTURE: usize = 1 + 4 * 700;

    fn publish(hub: &Hub, path: &str, faults: Faults) -> Self {
        let [rtp, rtcp] = sockets().expect("two ports");
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        let mut rtsp = Rtsp::connect(hub, path);
        assert_eq!(rtsp.announce(H264_SDP).status, 200);
        let url = hub.url("rtsp", &format!("{path}/streamid=0"));
        let transport = format!("RTP/AVP;unicast;client_port={}-{};mode=record", port(&rtp), port(&rtcp));
        let reply = rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(rtsp.request("RECORD", None, &[], "").status, 200);
        let ports = parameter(&reply, "server_port=").expect("the hub's ports");
        let to = ports.split('-').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
        let done = Arc::new(Done::default());
        let fate = Fate::new(faults, &done);
        let server = (Ipv4Addr::LOCALHOST, to).into();
        Self { _rtsp: rtsp, rtp, server, sequence: 0, number: 0, fate, done, start: Instant::now() }
    }

    fn packet(&mut self, marker: bool, payload: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let packet = rtp(96, self.sequence, self.number * 900, marker, payload);
        for packet in self.fate.pass(&packet) {
            self.rtp.send_to(&packet, self.server).expect("it is sent");
        }
    }

    /// A hundred pictures a second.
    fn send(&mut self, pictures: u32) {
        for _ in 0..pictures {
            let due = Duration::from_millis(u64::from(self.number) * 10);
            std::thread::sleep(due.saturating_sub(self.start.elapsed()));
            let key = self.number.is_multiple_of(25);
            if key {
                self.packet(false, &hex(SPS));
                self.packet(false, &hex(PPS));
            }
            let mut slice = if key { vec![0x88, 0x84] } else { vec![0x9a, 0x84] };
            slice.extend([21, 14, 7, 0].map(|shift| 0x80 | (self.number >> shift & 0x7f) as u8));
            slice.resize(Self::PICTURE - 1, 0x55);
            let kind = if key { 5 } else { 1 };
            // FU-A (RFC 6184, section 5.8).
            for (n, part) in slice.chunks(700).enumerate() {
                let head = [0x60 | 28, u8::from(n == 0) << 7 | u8::from(n == 3) << 6 | kind];
                self.packet(n == 3, &[&head[..], part].concat());
            }
            self.number += 1;
        }
    }
}

/// ffmpeg plays for some seconds.
fn play(url: &str, options: &[&str], seconds: &str) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]).args(options).args(["-i", url, "-t", seconds]);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
    Process::start(command)
}

fn finish(player: &mut Process) {
    ffmpeg::finish_decoding(player, "a stream over UDP");
}
