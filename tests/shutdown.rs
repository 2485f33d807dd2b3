//! The program as a whole: it ends in order on a signal, and says what is wrong with its port or its configuration.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use support::ffmpeg::Media;
use support::hub::{self, Hub};
use support::viewer::{End, Viewer, Way};
use support::{SOON, http, temporary};

/// From the signal to the end, with everyone told.
const WITHIN: Duration = Duration::from_secs(5);

/// Runs it to its end.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        hub::command(environment, arguments).output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_signal_ends_everything_in_order() {
    for signal in ["TERM", "INT"] {
        let mut hub = Hub::start(&[], &["--demo"]);
        let mut push = Media::default().push(&hub, "/live/cam");
        hub.wait_live("/live/cam");
        hub.wait_live("/demo/clock");
        let viewers: Vec<_> = ["/live/cam.flv", "/demo/clock.flv"]
            .into_iter()
            .flat_map(|path| [Way::Http, Way::WebSocket].map(|way| (way, Viewer::watch(&hub, way, path))))
            .collect();
        viewers.iter().for_each(|(_, viewer)| viewer.wait_pictures(SOON, 5));
        hub.signal(signal);
        let (code, took) = hub.terminate_after_signal(WITHIN);
        println!("SIG{signal}: ended after {took:?}");
        assert_eq!(code, Some(0));
        for (way, viewer) in &viewers {
            match (way, viewer.wait_end(SOON)) {
                (Way::Http, End::Complete) => {}
                (Way::WebSocket, End::Close { code: 1000 | 1001, reason }) => {
                    assert!(reason.contains("shutting down"), "{reason}");
                }
                (_, other) => panic!("{way:?}: {other:?}"),
            }
        }
        push.wait(SOON);
        hub.wait_log(&[&format!("SIG{signal}: ending")]);
        assert!(hub.log().last().is_some_and(|line| line.ends_with("ended")), "{:?}", hub.log().last());
    }
}

/// One that does not read cannot be told; it must not hold up the end either.
#[test]
fn a_viewer_that_does_not_read_holds_up_nothing() {
    let mut hub = Hub::start(&[], &[]);
    let camera = support::camera::Camera::publish(&hub, "/live/wide", 50_000);
    hub.wait_live("/live/wide");
    let mut stream = http::connect(hub.address());
    stream.write_all(b"GET /streams/live/wide.flv HTTP/1.1\r\nHost: hub\r\n\r\n").expect("a request fits the buffers");
    let behind = support::wait_until(SOON * 2, || hub.runtime().number("extra/viewers/fell_behind") > 0.0);
    assert!(behind, "its buffers fill");
    let (code, took) = hub.terminate(WITHIN);
    println!("ended after {took:?}");
    assert_eq!(code, Some(0));
    drop(camera);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    hub.signal("TERM");
    hub.signal("TERM");
    let (code, _) = hub.terminate_after_signal(WITHIN);
    assert_eq!(code, Some(0));
}

#[test]
fn a_taken_port_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = holder.local_addr().expect("it is bound").port();
    let listen = format!("127.0.0.1:{port}");
    let (code, _, stderr) = run(&[], &["--listen", &listen, "--udp-port", "-1"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("port {port} is taken")) && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    for (name, text, words) in [
        ("unknown_key", "log = \"info\"\n\nlissten = \":1\"\n", &["line 3", "lissten"][..]),
        ("unknown_section", "[limit]\nconnections = 5\n", &["line 1", "limit"]),
        ("wrong_type", "[timeouts]\nwrite = \"ten\"\n", &["line 2", "ten"]),
        ("no_toml", "listen = :1554\n", &["line 1"]),
        ("below_zero", "[timeouts]\nwrite = -1\n", &["timeouts.write"]),
        ("no_connections", "[limits]\nconnections = 0\n", &["limits.connections"]),
        ("odd_port", "[rtsp]\nudp_port = 1557\n", &["rtsp.udp_port", "even"]),
        ("no_address", "listen = \"here\"\n", &["listen"]),
        ("no_level", "log = \"loud\"\n", &["log", "loud"]),
    ] {
        let file = temporary(&format!("shutdown_{name}.toml"));
        std::fs::write(&file, text).expect("a file can be written");
        let file = file.to_str().expect("a name of our own");
        for arguments in [&["-c", file][..], &["-c", file, "--check"]] {
            let (code, stdout, stderr) = run(&[], arguments);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{name}: {stderr}");
            assert!(stderr.contains(&format!("{name}.toml")), "{name}: no file is named: {stderr}");
            assert!(words.iter().all(|word| stderr.contains(word)), "{name}: {words:?} are not in: {stderr}");
        }
    }
}

#[test]
fn wrong_variables_and_arguments_are_named() {
    for (environment, arguments, words) in [
        (&[("IPCHUB_LIMITS_CONNECTION", "5")][..], &[][..], &["IPCHUB_LIMITS_CONNECTION"][..]),
        (&[("IPCHUB_TIMEOUTS_WRITE", "soon")], &[], &["IPCHUB_TIMEOUTS_WRITE", "soon"]),
        (&[("IPCHUB_DEMO", "maybe")], &[], &["IPCHUB_DEMO", "maybe"]),
        (&[], &["-c", "/nowhere/hub.toml"], &["/nowhere/hub.toml"]),
        (&[], &["--udp-port", "3"], &["udp_port", "3"]),
        (&[], &["--listen", "::::"], &["::::"]),
        (&[], &["--what"], &["--what"]),
    ] {
        let (code, _, stderr) = run(environment, arguments);
        assert_eq!(code, Some(2), "{environment:?} {arguments:?}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{words:?} are not in: {stderr}");
    }
}

#[test]
fn check_and_version_only_tell() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    for arguments in [&["--check"][..], &["--check", "-c", shipped]] {
        let (code, stdout, stderr) = run(&[], arguments);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "the configuration is right\n", ""));
    }
    let (code, stdout, _) = run(&[], &["--version"]);
    assert_eq!((code, stdout.trim()), (Some(0), concat!("ipchub ", env!("CARGO_PKG_VERSION"))));
    let (code, stdout, _) = run(&[], &["--help"]);
    assert!(code == Some(0) && ["--config", "--listen", "--demo", "--check"].iter().all(|word| stdout.contains(word)));
}
