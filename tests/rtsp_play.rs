//! RTSP players: real ffmpeg over TCP and UDP, and a client that looks at every packet.

mod support;

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use support::camera::Camera;
use support::ffmpeg::{AAC, H264, H264_B_FRAMES, H265, Media, PCMA};
use support::hub::Hub;
use support::process::Process;
use support::rtsp::{Reply, Rtsp};
use support::{SOON, wait_until};

/// What ffmpeg decodes of each stream, in seconds.
const LENGTH: &str = "10";
/// That on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// ffmpeg plays for ten seconds; it must have nothing to complain about.
fn play(hub: &Hub, path: &str, transport: &str) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-rtsp_transport", transport]);
    command.args(["-i", &hub.url("rtsp", path), "-t", LENGTH, "-fps_mode", "passthrough"]);
    command.args(["-enc_time_base", "-1", "-f", "null", "-"]);
    Process::start(command)
}

#[test]
fn ffmpeg_plays_every_codec_over_tcp_and_udp() {
    let hub = Hub::start(&[], &[]);
    let media = |video, audio| Media { video, audio, ..Media::default() };
    let cases = [
        ("/tcp/plain", media(Some(H264), Some(AAC)), "tcp"),
        ("/udp/plain", media(Some(H264), Some(AAC)), "udp"),
        ("/tcp/b-frames", media(Some(H264_B_FRAMES), None), "tcp"),
        ("/udp/h265", media(Some(H265), None), "udp"),
        ("/tcp/g711", media(Some(H264), Some(PCMA)), "tcp"),
        ("/udp/sound", media(None, Some(AAC)), "udp"),
    ];
    let pushes: Vec<_> = cases.iter().map(|(path, media, _)| media.push(&hub, path)).collect();
    for (path, ..) in &cases {
        hub.wait_live(path);
    }
    let mut players: Vec<_> = cases.iter().map(|(path, _, transport)| (path, play(&hub, path, transport))).collect();
    for (path, transport) in [("/tcp/plain", "net=rtsp-tcp"), ("/udp/plain", "net=rtsp-udp")] {
        let listed = || {
            let stream = hub.stream(path)?;
            let consumer = stream.list("cs").first()?;
            let right = consumer.text("packet_type") == "RTP" && consumer.text("extra") == transport;
            (right && consumer.number("id") < f64::from(1 << 30)).then_some(())
        };
        assert!(wait_until(SOON, || listed().is_some()), "{path}: {:?}", hub.stream(path));
    }
    for (path, player) in &mut players {
        let (status, _) = player.wait(DEADLINE);
        let complaints = player.lines();
        assert!(status.success() && complaints.is_empty(), "{path}: {status}\n{}", complaints.join("\n"));
    }
    drop(pushes);
    let gone = || hub.runtime().number("rtsp/active") == 0.0 && hub.runtime().number("streams/consumers") == 0.0;
    assert!(wait_until(SOON, gone), "{:?}", hub.runtime());
}

/// What `RTP-Info` says of the first track.
fn start(reply: &Reply) -> (u16, u32) {
    let info = reply.header("RTP-Info").expect("PLAY is answered with RTP-Info");
    let field = |name: &str| -> u32 {
        let value = info.split([';', ',']).find_map(|part| part.strip_prefix(name)).unwrap_or_else(|| panic!("{info}"));
        value.parse().unwrap_or_else(|_| panic!("{info}"))
    };
    (u16::try_from(field("seq=")).expect("16 bits"), field("rtptime="))
}

/// RTP packets of channel 0 as (sequence number, RTP time, NAL unit type).
fn packets(rtsp: &mut Rtsp, count: usize) -> Vec<(u16, u32, u8)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let packet = rtsp.next_packet().expect("packets come").expect("the hub goes on");
        if let (0, data) = packet {
            let time = u32::from_be_bytes([data[4], data[5], data[6], data[7]]);
            seen.push((u16::from_be_bytes([data[2], data[3]]), time, data[12] & 0x1f));
        }
    }
    seen
}

fn check_continuous(packets: &[(u16, u32, u8)]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "sequence numbers");
        assert!(pair[1].1.wrapping_sub(pair[0].1) < 1 << 31, "time goes back: {pair:?}");
    }
}

#[test]
fn the_picture_comes_at_once_and_the_numbers_fit() {
    let hub = Hub::start(&[], &[]);
    let camera = Camera::publish(&hub, "/cam", 1000);
    // In the middle of a GOP.
    assert!(wait_until(SOON, || camera.sent() > 40 && camera.sent() % 25 == 15));
    let asked = Instant::now();
    let (mut rtsp, reply) = Rtsp::play(&hub, "/cam");
    let seen = packets(&mut rtsp, 12);
    assert!(asked.elapsed() < Duration::from_secs(2), "the cached pictures took {:?}", asked.elapsed());
    assert_eq!(reply.header("Range"), Some("npt=now-"));
    assert_eq!((seen[0].0, seen[0].1), start(&reply), "RTP-Info names the first packet");
    let kinds: Vec<_> = seen[..4].iter().map(|packet| packet.2).collect();
    assert_eq!(kinds, [7, 8, 5, 1], "it begins with parameter sets and a key frame");
    let more = packets(&mut rtsp, 60);
    check_continuous(&[seen, more].concat());
}

#[test]
fn the_description_is_the_hubs_own() {
    let hub = Hub::start(&[("IPCHUB_RTSP_MULTICAST", "false")], &[]);
    // The camera's SDP has no parameter sets: they are only in its stream.
    let _camera = Camera::publish(&hub, "/cam", 200);
    let mut rtsp = Rtsp::connect(&hub, "/CAM?token=x");
    let reply = rtsp.request("DESCRIBE", None, &[("Accept", "application/sdp")], "");
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("sprop-parameter-sets=Z01AHuyg"), "{}", reply.body);
    assert!(reply.body.contains("a=control:trackID=0") && !reply.body.contains("streamid"), "{}", reply.body);
    assert!(reply.body.contains("c=IN IP4 0.0.0.0"), "{}", reply.body);
    assert_eq!(reply.header("Content-Base"), Some(format!("{}/", hub.url("rtsp", "/CAM")).as_str()));
    for (method, headers, status) in [
        ("DESCRIBE", &[("Accept", "text/html")][..], 406),
        ("PLAY", &[], 455),
        ("SETUP", &[("Transport", "RTP/AVP;multicast")], 461),
        ("SETUP", &[], 400),
        ("GET_PARAMETER", &[], 200),
        ("OPTIONS", &[], 200),
        ("TEARDOWN", &[], 200),
    ] {
        let reply = rtsp.request(method, None, headers, "");
        assert_eq!(reply.status, status, "{method} {headers:?}: {}", reply.body);
    }
    let mut rtsp = Rtsp::connect(&hub, "/nobody");
    let reply = rtsp.request("DESCRIBE", None, &[], "");
    assert_eq!((reply.status, reply.body.contains("/nobody is not live")), (404, true));
}

#[test]
fn pause_and_play_again() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 200);
    let (mut rtsp, _) = Rtsp::play(&hub, "/cam");
    packets(&mut rtsp, 5);
    assert_eq!(rtsp.request("PAUSE", None, &[], "").status, 200);
    assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
    let reply = rtsp.request("PLAY", None, &[], "");
    assert_eq!(reply.status, 200);
    let seen = packets(&mut rtsp, 5);
    assert_eq!((seen[0].0, seen[0].1), start(&reply));
}

#[test]
fn a_player_stays_through_a_takeover() {
    let hub = Hub::start(&[], &[]);
    let first = Camera::publish(&hub, "/cam", 300);
    let (mut rtsp, _) = Rtsp::play(&hub, "/cam");
    let mut seen = packets(&mut rtsp, 30);
    let second = Camera::publish(&hub, "/cam", 300);
    drop(first);
    seen.extend(packets(&mut rtsp, 60));
    // The new publisher's first packet is one number on, so that the decoder knows; time never goes back.
    let jumps = seen.windows(2).filter(|pair| pair[1].0.wrapping_sub(pair[0].0) != 1).count();
    assert!(jumps <= 1, "{jumps} gaps in the sequence numbers");
    assert!(seen.windows(2).all(|pair| pair[1].1.wrapping_sub(pair[0].1) < 1 << 31), "time goes back");
    drop(second);
}

#[test]
fn the_end_is_told() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    let (mut rtsp, _) = Rtsp::play(&hub, "/cam");
    packets(&mut rtsp, 5);
    support::http::delete(hub.address(), "/api/v1/streams/cam");
    let mut bye = false;
    while let Some((channel, data)) = rtsp.next_packet().expect("a proper end") {
        // A BYE (RFC 3550, section 6.6) behind an empty receiver report.
        bye |= channel == 1 && data.get(9) == Some(&203);
    }
    assert!(bye, "no BYE before the end");
}

#[test]
fn a_stuck_player_is_closed_and_harms_nobody() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_WRITE", "2")], &[]);
    let _camera = Camera::publish(&hub, "/cam", 50_000);
    let (stuck, _) = Rtsp::play(&hub, "/cam");
    let (mut other, _) = Rtsp::play(&hub, "/cam");
    let until = Instant::now() + Duration::from_secs(60);
    let mut seen = packets(&mut other, 1);
    while hub.runtime().number("streams/consumers") > 1.0 {
        assert!(Instant::now() < until, "the stuck player is still there");
        seen.extend(packets(&mut other, 10));
    }
    check_continuous(&seen);
    hub.wait_log(&[&stuck.local_address(), "took no byte for 2 s"]);
}

#[test]
fn a_udp_player_that_is_silent_ends_after_its_timeout() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "2")], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let port = socket.local_addr().expect("bound").port();
    let mut rtsp = Rtsp::connect(&hub, "/cam");
    assert_eq!(rtsp.request("DESCRIBE", None, &[], "").status, 200);
    let transport = format!("RTP/AVP;unicast;client_port={port}-{}", port.wrapping_add(1));
    let url = hub.url("rtsp", "/cam/trackID=0");
    let reply = rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "");
    assert!(reply.header("Transport").is_some_and(|t| t.contains("server_port=") && t.contains("ssrc=")), "{reply:?}");
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
    let mut packet = [0; 2000];
    let (length, _) = socket.recv_from(&mut packet).expect("packets come");
    assert!(length > 12 && packet[0] == 0x80);
    hub.wait_log(&[&rtsp.local_address(), "nothing heard for 2 s"]);
    assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
}

#[test]
fn players_come_and_go() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let files = hub.runtime().number("extra/open_files");
    for _ in 0..10 {
        let players: Vec<_> = (0..20).map(|_| Rtsp::play(&hub, "/demo/clock")).collect();
        assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 20.0));
        drop(players);
        assert!(wait_until(SOON, || hub.runtime().number("streams/consumers") == 0.0));
    }
    let runtime = hub.runtime();
    assert_eq!((runtime.number("rtsp/total"), runtime.number("rtsp/active")), (200.0, 0.0));
    assert!(wait_until(SOON, || hub.runtime().number("extra/open_files") <= files + 2.0), "files are left open");
}

/// A last report is on its way while the TEARDOWN is answered.
#[test]
fn what_is_said_beside_a_teardown_is_no_fault_and_holds_nothing_for_long() {
    let hub = Hub::start(&[], &[]);
    let _camera = Camera::publish(&hub, "/cam", 300);
    hub.wait_live("/cam");
    let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
    for mut rtsp in [Rtsp::play(&hub, "/cam").0, Rtsp::publish(&hub, "/push"), Rtsp::connect(&hub, "/cam")] {
        assert_eq!(rtsp.request("TEARDOWN", None, &[], "").status, 200);
        while rtsp.next_packet().expect("a close in order").is_some() {}
        for _ in 0..3 {
            rtsp.interleaved(1, &report).expect("the hub hears it out");
            // A reset would have come before this answer.
            hub.runtime();
        }
        // The client never closes.
        assert!(wait_until(SOON, || rtsp.interleaved(1, &report).is_err()), "it is kept for ever");
    }
    // Nor does one that sends as fast as it is read.
    let (mut rtsp, _) = Rtsp::play(&hub, "/cam");
    assert_eq!(rtsp.request("TEARDOWN", None, &[], "").status, 200);
    let (since, block) = (Instant::now(), vec![0; 60_000]);
    while rtsp.interleaved(1, &block).is_ok() {
        assert!(since.elapsed() < SOON, "it is kept for ever");
    }
}
