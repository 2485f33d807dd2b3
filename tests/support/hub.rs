//! The hub under test: the real binary on ports of the system's choice.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::json::Json;
use super::process::{Process, wrapped};
use super::{SOON, disk, http, temporary, wait_for, wait_until};

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running hub, ended when dropped. If the test failed its log is shown.
pub struct Hub {
    process: Process,
    address: SocketAddr,
}

/// The binary with its own environment only and no configuration file.
pub fn command(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipchub"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IPCHUB_")) {
        command.env_remove(name);
    }
    // The repository's config.toml, with its fixed ports, is not for tests.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.envs(environment.iter().copied()).args(arguments);
    command
}

impl Hub {
    /// Starts it on a free port of 127.0.0.1 and waits until it listens.
    pub fn start(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", environment, arguments)
    }

    /// As [`Hub::start`] on another address.
    pub fn listen(listen: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::begin(listen, environment, arguments, |command| command)
    }

    /// As [`Hub::start`], with a disk of its own at `folder`; `options` of the mount as `size=64k`.
    pub fn with_disk(folder: &Path, options: &str, environment: &[(&str, &str)]) -> Self {
        Self::begin("127.0.0.1:0", environment, &[], |command| disk::mounted(folder, options, &command))
    }

    /// As [`Hub::start`], with its instructions counted, which makes it some fifty times slower; see [`Hub::instructions`].
    pub fn counted() -> Self {
        Self::begin("127.0.0.1:0", &[], &[], |command| {
            let mut callgrind = Command::new("valgrind");
            callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            wrapped(callgrind, &command)
        })
    }

    /// Ends a hub that is [counted](Hub::counted) and tells what it took from its start to its end, in user space.
    pub fn instructions(mut self) -> u64 {
        self.process.signal("TERM");
        self.process.wait(SOON);
        let lines = self.process.lines();
        let told = lines.iter().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        told.unwrap_or_else(|| panic!("callgrind told nothing:\n{}", lines.join("\n")))
    }

    fn begin(
        listen: &str,
        environment: &[(&str, &str)],
        arguments: &[&str],
        prepare: impl FnOnce(Command) -> Command,
    ) -> Self {
        let mut command = command(environment, arguments);
        command.args(["--listen", listen]);
        if !arguments.contains(&"--udp-port") {
            command.args(["--udp-port", "0"]);
        }
        // Tests run beside each other; arguments count over the environment.
        let folder = temporary(&format!("data-{}-{}", std::process::id(), STARTED.fetch_add(1, Relaxed)));
        if !environment.iter().any(|(name, _)| *name == "IPCHUB_DATA_DIR") {
            let _ = std::fs::remove_dir_all(&folder);
            command.env("IPCHUB_DATA_DIR", &folder);
        }
        let mut process = Process::start(prepare(command));
        let address = wait_for(SOON, "the hub's line \"listening on\"", || {
            let lines = process.lines();
            let address = lines.iter().find_map(|line| line.split_once(" listening on ")?.1.trim().parse().ok());
            assert!(address.is_some() || process.is_running(), "the hub ended at its start:\n{}", lines.join("\n"));
            address
        });
        http::forget(address);
        Self { process, address }
    }

    /// The user as whom [`http::request`] asks from now on, instead of the default one.
    pub fn log_in_as(&self, user: &str, password: &str) {
        http::log_in_as(self.address, user, password);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it: `url("rtsp", "/a")`.
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    /// `GET`s JSON; panics on any other status than 200.
    pub fn json(&self, path: &str) -> Json {
        let response = http::get(self.address, path);
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        Json::parse(&response.text())
    }

    /// `/api/v1/runtime?extra=1`
    pub fn runtime(&self) -> Json {
        self.json("/api/v1/runtime?extra=1")
    }

    /// One stream with its consumers, `None` if it is not live.
    pub fn stream(&self, path: &str) -> Option<Json> {
        let response = http::get(self.address, &format!("/api/v1/streams{path}?c=1"));
        (response.status == 200).then(|| Json::parse(&response.text()))
    }

    /// Waits until a path is live and its first track's parameters are known.
    pub fn wait_live(&self, path: &str) {
        let live = wait_until(SOON, || {
            self.stream(path).is_some_and(|stream| {
                stream.at("video/width").is_some() || stream.at("video").is_none() && stream.at("audio").is_some()
            })
        });
        assert!(live, "{path} did not come live; the hub lists {:?}", self.json("/api/v1/streams"));
    }

    /// Its log so far.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Waits for a log line that holds all of `parts`, and returns it.
    pub fn wait_log(&self, parts: &[&str]) -> String {
        wait_for(SOON, &format!("a line of the hub's log with {parts:?}"), || {
            self.log().into_iter().find(|line| parts.iter().all(|part| line.contains(part)))
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).expect("the hub runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number of kB")
    }

    /// SIGTERM; gives the exit code and how long it took.
    pub fn terminate(&mut self, deadline: Duration) -> (Option<i32>, Duration) {
        self.process.signal("TERM");
        self.terminate_after_signal(deadline)
    }

    /// As [`Hub::terminate`] when the signal was sent before.
    pub fn terminate_after_signal(&mut self, deadline: Duration) -> (Option<i32>, Duration) {
        let (status, took) = self.process.wait(deadline);
        (status.code(), took)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Whether its process is there.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of the hub on {}:\n{}\n----", self.address, self.log().join("\n"));
        }
        if self.process.is_running() {
            self.process.signal("TERM");
            // Dropping the process kills it if that was not enough.
            wait_until(Duration::from_secs(10), || !self.process.is_running());
        }
    }
}
