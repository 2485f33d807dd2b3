//! `make fuzz`: real publications with random changes against a running hub, for `FUZZ_SECONDS`. Each run has its own seed,
//! which is printed; `FUZZ_SEED` repeats one.

mod support;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use support::http::{self, connect};
use support::hub::Hub;
use support::rtsp::{H264_SDP, PPS, SPS, hex, rtp};
use support::viewer::{Viewer, Way};
use support::{SOON, flv};

/// Connections that are open at once.
const AT_ONCE: usize = 8;
const MAX_RESIDENT_KIB: u64 = 256 * 1024;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// What a publisher sends from its first byte on.
fn publication() -> Vec<u8> {
    let length = H264_SDP.len();
    let mut bytes = format!(
        "ANNOUNCE rtsp://hub/fuzz/a RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n\
         {H264_SDP}SETUP rtsp://hub/fuzz/a/streamid=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n\
         RECORD rtsp://hub/fuzz/a RTSP/1.0\r\nCSeq: 3\r\n\r\n"
    )
    .into_bytes();
    let mut sequence = 0;
    for n in 0..50 {
        let slice = if n % 10 == 0 { [0x65, 0x88, 0x84, 0x21] } else { [0x41, 0x9a, 0x84, 0x21] };
        let fragments = [[0x7c, 0x81, 0x9a, 0x84], [0x7c, 0x01, 0x55, 0x55], [0x7c, 0x41, 0x55, 0x55]];
        let mut payloads = vec![hex(SPS), hex(PPS), slice.to_vec()];
        payloads.extend(fragments.map(|fragment| fragment.to_vec()));
        for (i, payload) in payloads.iter().enumerate() {
            sequence += 1;
            let packet = rtp(96, sequence, n * 3600 + i as u32 / 3 * 1800, i == 2 || i == 5, payload);
            bytes.extend([b'$', 0, 0, packet.len() as u8]);
            bytes.extend(packet);
        }
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(8) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, random.below(256) as u8),
            3 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
            _ => {
                let copy = bytes[at..(at + random.below(200)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
}

#[test]
#[ignore = "runs for FUZZ_SECONDS: make fuzz"]
fn changed_publications() {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = number_from("FUZZ_SEED").unwrap_or(clock.as_nanos() as u64) | 1;
    let time = Duration::from_secs(number_from("FUZZ_SECONDS").unwrap_or(60));
    println!("FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let mut hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "2"), ("IPCHUB_LIMITS_FRAME_BYTES", "100000")], &["--demo"]);
    hub.wait_live("/demo/clock");
    let viewer = Viewer::watch(&hub, Way::WebSocket, "/demo/clock.flv");
    let whole = publication();
    let until = Instant::now() + time;
    let mut open = std::collections::VecDeque::new();
    let mut runs = 0_u64;
    while Instant::now() < until {
        let mut bytes = whole.clone();
        change(&mut bytes, &mut random);
        let mut stream = connect(hub.address());
        // The hub may close in the middle of it.
        let cut = random.below(bytes.len());
        let _ = stream.write_all(&bytes[..cut]).and_then(|()| stream.write_all(&bytes[cut..]));
        open.push_back(stream);
        if open.len() > AT_ONCE {
            open.pop_front();
        }
        runs += 1;
        if runs.is_multiple_of(100) {
            // Whoever watches what is left of it must get whole tags, or nothing.
            if let Ok(watcher) = Viewer::open(&hub, Way::Http, "/fuzz/a.flv", false) {
                drop(watcher.finish());
            }
            assert!(hub.is_running(), "the hub ended, FUZZ_SEED={seed}");
            assert_eq!(http::get(hub.address(), "/api/v1/runtime").status, 200, "FUZZ_SEED={seed}");
            assert!(hub.resident_kib() < MAX_RESIDENT_KIB, "{} KiB, FUZZ_SEED={seed}", hub.resident_kib());
        }
    }
    let count = viewer.count();
    viewer.wait(SOON, "the demo goes on", |seen| seen.tags.len() > count + 10);
    flv::check(&viewer.finish().tags);
    assert!(!hub.log().iter().any(|line| line.contains("panicked")), "something panicked, FUZZ_SEED={seed}");
    println!("{runs} publications, {} KiB resident", hub.resident_kib());
}
