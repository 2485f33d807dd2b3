//! A publisher made for counting: H.264 whose pictures nobody can decode but which carry their number, at any bitrate and
//! almost no cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::Tag;
use super::hub::Hub;
use super::rtsp::{PPS, Rtsp, SPS, hex};

/// Pictures a second.
const RATE: u32 = 25;
/// Milliseconds from one picture to the next.
pub const INTERVAL: u32 = 1000 / RATE;
/// A key frame each second.
const GOP: u32 = RATE;

/// It publishes until it is dropped.
pub struct Camera {
    sent: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Rtsp>>,
}

impl Camera {
    /// Publishes pictures of that many bytes each.
    pub fn publish(hub: &Hub, path: &str, bytes: usize) -> Self {
        let mut rtsp = Rtsp::publish(hub, path);
        let (sent, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            for number in 0.. {
                let due = Duration::from_millis(u64::from(number * INTERVAL));
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                if end.load(Relaxed) || send(&mut rtsp, number, bytes).is_err() {
                    break;
                }
                count.store(number + 1, Relaxed);
            }
            rtsp
        });
        Self { sent, stop, thread: Some(thread) }
    }

    /// Pictures sent so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Relaxed)
    }

    /// Stops sending pictures; its connection is still there.
    pub fn pause(mut self) -> Rtsp {
        self.stop.store(true, Relaxed);
        let thread = self.thread.take().expect("it runs until it is paused or dropped");
        thread.join().expect("it ends in order")
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(rtsp: &mut Rtsp, number: u32, bytes: usize) -> std::io::Result<()> {
    let timestamp = number.wrapping_mul(90_000 / RATE);
    let key = number.is_multiple_of(GOP);
    if key {
        rtsp.packet(timestamp, false, &hex(SPS))?;
        rtsp.packet(timestamp, false, &hex(PPS))?;
    }
    // A slice that begins with its picture's first macroblock; then the number in bytes that cannot form a start code.
    let mut slice = if key { vec![0x65, 0x88, 0x84] } else { vec![0x41, 0x9a, 0x84] };
    slice.extend([21, 14, 7, 0].map(|shift| 0x80 | (number >> shift & 0x7f) as u8));
    slice.resize(bytes, 0x55);
    rtsp.packet(timestamp, true, &slice)
}

/// The number of a picture of a [`Camera`], from the head of its tag.
pub fn number(tag: &Tag) -> Option<u32> {
    tag.is_picture().then(|| tag.data[12..16].iter().fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f)))
}

/// The numbers of all pictures.
pub fn numbers(tags: &[Tag]) -> Vec<u32> {
    tags.iter().filter_map(number).collect()
}

/// Panics if a picture is missing between the first and the last.
pub fn check_complete(tags: &[Tag]) {
    let numbers = numbers(tags);
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "picture {} is followed by {}", pair[0], pair[1]);
    }
}
