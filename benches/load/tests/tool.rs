//! The tool against the hub's own binary, and against its limit. Counts only: nothing here is about speed.

use std::path::PathBuf;
use std::process::{Command, Output};

fn hub_load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hub-load")).args(arguments).output().expect("it was built for this test")
}

/// `cargo test --workspace` builds it beside this tool; alone, it is built here.
fn hub() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_hub-load")).with_file_name("ipchub");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--locked", "-p", "ipchub", "--bin", "ipchub"]).status();
        assert!(built.is_ok_and(|status| status.success()) && program.exists(), "no {}", program.display());
    }
    program
}

#[test]
fn every_kind_of_viewer_gets_everything_from_the_hub() {
    let output = hub_load(&["smoke", "--hub", &hub().to_string_lossy()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for transport in ["ws-flv", "http-flv", "rtsp-tcp", "rtsp-udp"] {
        assert!(text.contains(&format!("{transport}: {transport}, 2 of 2 viewers")), "{text}");
    }
}

#[test]
fn the_limit_serves_every_kind_of_viewer() {
    std::thread::scope(|scope| {
        for transport in ["http-flv", "rtsp-tcp", "rtsp-udp"] {
            scope.spawn(move || {
                let arguments = ["limit", "--transport", transport, "--viewers", "2", "--seconds", "1", "--gop", "5"];
                let output = hub_load(&arguments);
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
                assert!(text.contains("2 of 2 viewers") && text.contains(" 0 lost"), "{text}");
            });
        }
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    for (arguments, reason) in [
        (&["play", "--url", "https://127.0.0.1:1/a.m3u8"][..], "https:// is not known"),
        (&["limit", "--transport", "hls"], "no such limit"),
        (&["play", "--url", "ws://127.0.0.1:1/a.flv", "--viewers", "0"], "viewers"),
        (&["play", "--url", "ws://127.0.0.1:1/a.flv", "--seconds", "0.1"], "no viewer got a key frame"),
        (&["publish", "--url", "rtsp://127.0.0.1:1/a"], "connecting to 127.0.0.1:1"),
        (&["limit", "--bitrate", "0"], "bitrate"),
    ] {
        let output = hub_load(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(reason), "{arguments:?}: {error}");
    }
}
