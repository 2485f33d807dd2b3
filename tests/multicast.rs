//! Players by multicast on a network of three machines: the hub and two that watch.

mod support;

use std::process::Command;
use std::time::Duration;

use support::SOON;
use support::hub;
use support::json::Json;
use support::netns::Network;
use support::process::Process;
use support::{wait_for, wait_until};

/// A player that checks every packet. It writes a line of what it sees each second and leaves after a number of pictures.
const MEMBER: &str = include_str!("multicast/member.py");
const HUB: usize = 1;
const DEADLINE: Duration = Duration::from_secs(90);

/// The hub with a clip on a machine of the network.
fn start(network: &Network, environment: &[(&str, &str)]) -> Process {
    let mut all = vec![("IPCHUB_RTSP_MULTICAST", "true"), ("IPCHUB_TIMEOUTS_SESSION", "4")];
    all.extend_from_slice(environment);
    // On every address, for REST from this machine too: the default password counts nowhere else.
    let mut command = hub::command(&all, &["--demo", "--listen", ":1554", "--udp-port", "0"]);
    command.arg("--data-dir").arg(support::temporary(&format!("multicast-{}", network.tag())));
    let process = Process::start(network.on(HUB, &command));
    wait_for(SOON, "the hub", || process.lines().iter().any(|line| line.contains("listening on")).then_some(()));
    wait_for(SOON, "the clip", || process.lines().iter().any(|line| line.contains("published by")).then_some(()));
    process
}

fn member(network: &Network, host: usize, arguments: &[&str]) -> Process {
    let mut command = Command::new("python3");
    command.args(["-c", MEMBER, "10.77.0.1", &Network::address(host)]).args(arguments);
    Process::start(network.on(host, &command))
}

/// What REST says of the clip.
fn stream(network: &Network) -> support::json::Json {
    Json::parse(&rest(network, "GET", "streams/demo/clock?c=1"))
}

/// One call of REST, logged in.
fn rest(network: &Network, method: &str, call: &str) -> String {
    let curl = |method: &str, call: &str, more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-s", "--max-time", "10", "-X", method]).args(more);
        command.arg(format!("http://127.0.0.1:1554/api/v1/{call}"));
        let output = network.on(HUB, &command).output().expect("curl is there");
        assert!(output.status.success(), "{method} {call}: {}", output.status);
        String::from_utf8(output.stdout).expect("it is text")
    };
    let user = r#"{"username": "admin", "password": "admin"}"#;
    let login = curl("POST", "login", &["-H", "Content-Type: application/json", "-d", user]);
    let bearer = format!("Authorization: Bearer {}", Json::parse(&login).text("access_token"));
    curl(method, call, &["-H", &bearer])
}

fn wait_line(process: &Process, part: &str) -> String {
    wait_for(DEADLINE, &format!("a line with {part}"), || {
        let lines = process.lines();
        assert!(!lines.iter().any(|line| line.contains("Error") || line.contains("Traceback")), "{}", lines.join("\n"));
        lines.into_iter().find(|line| line.contains(part))
    })
}

#[test]
fn the_first_of_two_members_leaves_and_the_other_misses_nothing() {
    let Some(network) = Network::new("two", 3) else { return };
    let hub = start(&network, &[]);
    let mut first = member(&network, 2, &["200"]);
    wait_line(&first, "playing");
    let group = wait_line(&first, "group 239.200.0.");
    // It comes while the group sends, and stays longer.
    let mut second = member(&network, 3, &["400"]);
    assert_eq!(wait_line(&second, "group 239.200.0."), group, "one group for both");
    wait_line(&second, "playing");
    let members = |count: f64| {
        let stream = stream(&network);
        stream.number("cc") == count
            && stream.at("multicast/members").is_some_and(|_| stream.number("multicast/members") == count)
    };
    assert!(wait_until(SOON, || members(2.0)), "{:?}", stream(&network));
    let (status, _) = first.wait(DEADLINE);
    assert!(status.success(), "{}", first.lines().join("\n"));
    assert!(wait_until(SOON, || members(1.0)), "{:?}", stream(&network));
    let watched = stream(&network);
    let extra =
        format!("net=rtsp-multicast,{}", group.trim_start_matches("group ").split(':').next().expect("a group"));
    assert_eq!(watched.text("cs/0/extra"), extra);
    assert!(watched.number("multicast/outbytes") > 0.0 && watched.number("cs/0/flow/inbytes") > 0.0);
    let (status, _) = second.wait(DEADLINE);
    assert!(status.success(), "{}", second.lines().join("\n"));
    for member in [&first, &second] {
        wait_line(member, "missing 0 doubled 0 reports");
        assert!(!wait_line(member, "missing 0").contains("reports 0"), "no sender report: {:?}", member.lines());
        wait_line(member, "ttl 1");
    }
    assert!(wait_until(SOON, || stream(&network).at("multicast").is_none()), "{:?}", stream(&network));
    wait_line(&hub, "has no member any more");
}

#[test]
fn a_member_lives_by_its_reports_and_is_told_of_the_end() {
    let Some(network) = Network::new("life", 3) else { return };
    let hub = start(&network, &[]);
    let silent = member(&network, 2, &["100000"]);
    let reporting = member(&network, 3, &["100000", "report"]);
    wait_line(&silent, "playing");
    wait_line(&reporting, "playing");
    wait_line(&hub, "nothing heard for 4 s");
    wait_line(&silent, "closed");
    let watched = stream(&network);
    assert_eq!((watched.number("cc"), watched.number("cs/0/loss/jitter_ms")), (1.0, 10.0), "{watched:?}");
    // The source ends: BYE in the group, then the connection.
    rest(&network, "DELETE", "streams/demo/clock");
    wait_line(&reporting, "bye");
    wait_line(&reporting, "closed");
}

#[test]
fn ffmpeg_and_gstreamer_play_and_who_finds_no_group_is_told() {
    let Some(network) = Network::new("players", 3) else { return };
    let _hub = start(&network, &[("IPCHUB_RTSP_MULTICAST_PORTS", "20000-20003")]);
    let mut play = Command::new("ffmpeg");
    play.args(["-nostdin", "-hide_banner", "-v", "error", "-rtsp_transport", "udp_multicast"]);
    play.args(["-i", "rtsp://10.77.0.1:1554/demo/clock", "-t", "6", "-fps_mode", "passthrough"]);
    play.args(["-enc_time_base", "-1", "-f", "null", "-"]);
    let mut ffmpeg = Process::start(network.on(2, &play));
    assert!(wait_until(SOON, || stream(&network).at("multicast").is_some()), "{:?}", ffmpeg.lines());
    // A second source: the clip has all ports.
    let mut push = Command::new("ffmpeg");
    push.args([
        "-nostdin",
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=10",
        "-c:v",
        "libx264",
    ]);
    push.args([
        "-preset",
        "ultrafast",
        "-g",
        "10",
        "-f",
        "rtsp",
        "-rtsp_transport",
        "tcp",
        "rtsp://10.77.0.1:1554/other",
    ]);
    let _push = Process::start(network.on(HUB, &push));
    let told = || {
        let refused = member(&network, 3, &["10", "path=/other"]);
        wait_line(&refused, "SETUP 453 All multicast ports are in use.")
    };
    wait_line(&_hub, "/other: published by");
    told();
    let (status, _) = ffmpeg.wait(DEADLINE);
    assert!(status.success(), "{status}: {}", ffmpeg.lines().join("\n"));
    // A machine that is too busy loses datagrams before ffmpeg has a thread to read them: then it plays once more.
    for _ in 0..2 {
        if ffmpeg.lines().is_empty() {
            break;
        }
        eprintln!("ffmpeg plays again after: {}", ffmpeg.lines().join("\n"));
        ffmpeg = Process::start(network.on(2, &play));
        let (status, _) = ffmpeg.wait(DEADLINE);
        assert!(status.success(), "{status}: {}", ffmpeg.lines().join("\n"));
    }
    assert!(ffmpeg.lines().is_empty(), "{}", ffmpeg.lines().join("\n"));
    // The ports are free again.
    let other = member(&network, 3, &["10", "path=/other"]);
    wait_line(&other, "missing 0 doubled 0");
    let mut gstreamer = Command::new("gst-launch-1.0");
    gstreamer.args(["-q", "rtspsrc", "location=rtsp://10.77.0.1:1554/demo/clock", "protocols=udp-mcast", "!"]);
    gstreamer.args(["rtph264depay", "!", "h264parse", "!", "fakesink", "num-buffers=100"]);
    let mut gstreamer = Process::start(network.on(2, &gstreamer));
    let (status, _) = gstreamer.wait(DEADLINE);
    assert!(status.success(), "{}", gstreamer.lines().join("\n"));
}
