//! What whole-hub tests share: the real hub as a process, real ffmpeg, and small clients that check every byte.

// Each test file compiles this for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod av1;
pub mod camera;
pub mod disk;
pub mod ffmpeg;
pub mod flv;
pub mod gstreamer;
pub mod hls;
pub mod http;
pub mod hub;
pub mod json;
pub mod lossy;
pub mod netns;
pub mod page;
pub mod process;
pub mod rtsp;
pub mod tls;
pub mod tracks;
pub mod ts;
pub mod udp;
pub mod viewer;
pub mod websocket;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For what takes milliseconds on an idle machine: this one may be busy.
pub const SOON: Duration = Duration::from_secs(20);

/// Looks again and again until `condition` holds; false if it does not before the deadline.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`wait_until`], for a value; panics with `what` if there is none in time.
pub fn wait_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(deadline, || {
        found = look();
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("{what}: not within {deadline:?}"))
}

/// A file of this test run.
pub fn temporary(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A test that panicked in another thread leaves data that is still worth showing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
