//! A publisher of any tracks: packets that the test made, in real time, over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::hub::Hub;
use super::rtsp::{self, Rtsp};

/// The packets of one access unit, without RTP headers.
pub type Payloads = Vec<Vec<u8>>;

/// What is sent on one track. Its control is `streamid=N`, N its number.
pub struct Track {
    /// The lines of the SDP from `m=` on, but for the control.
    pub sdp: String,
    pub payload_type: u8,
    /// Ticks a second of its RTP time.
    pub clock_rate: u32,
    /// Ticks of one access unit.
    pub step: u32,
    pub units: Vec<Payloads>,
}

/// It publishes until it is dropped.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Announces and records; `before` runs when the path is taken and nothing is sent yet.
    pub fn start(hub: &Hub, path: &str, tracks: Vec<Track>, before: impl FnOnce()) -> Self {
        let mut rtsp = Rtsp::connect(hub, path);
        let mut sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n".to_owned();
        for (n, track) in tracks.iter().enumerate() {
            sdp += &format!("{}a=control:streamid={n}\r\n", track.sdp);
        }
        assert_eq!(rtsp.announce(&sdp).status, 200, "{sdp}");
        for n in 0..tracks.len() {
            let url = format!("{}/streamid={n}", hub.url("rtsp", path));
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={}-{};mode=record", 2 * n, 2 * n + 1);
            assert_eq!(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "").status, 200);
        }
        assert_eq!(rtsp.request("RECORD", None, &[], "").status, 200);
        before();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || send(&mut rtsp, &tracks, &stopped));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until it is stopped or the hub closes.
fn send(rtsp: &mut Rtsp, tracks: &[Track], stop: &AtomicBool) {
    let begin = Instant::now();
    let mut sent: Vec<(usize, u16)> = vec![(0, 0); tracks.len()];
    let due = |track: &Track, unit: usize| {
        Duration::from_secs_f64(unit as f64 * f64::from(track.step) / f64::from(track.clock_rate))
    };
    while !stop.load(SeqCst) {
        for (n, track) in tracks.iter().enumerate() {
            let (unit, sequence) = &mut sent[n];
            while due(track, *unit) <= begin.elapsed() {
                let payloads = &track.units[*unit % track.units.len()];
                for (i, payload) in payloads.iter().enumerate() {
                    let time = (*unit as u32).wrapping_mul(track.step);
                    let last = i + 1 == payloads.len();
                    let packet = rtsp::rtp(track.payload_type, *sequence, time, last, payload);
                    if rtsp.interleaved(2 * n as u8, &packet).is_err() {
                        return;
                    }
                    *sequence = sequence.wrapping_add(1);
                }
                *unit += 1;
            }
        }
        // A camera's own pace; nobody waits for it.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The raw frames of an ADTS stream.
pub fn adts_frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let [0xff, b1, _, b3, b4, b5, ..] = *bytes {
        let head = if b1 & 1 == 1 { 7 } else { 9 };
        let len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        frames.push(bytes[head..len].to_vec());
        bytes = &bytes[len..];
    }
    assert!(bytes.is_empty() && !frames.is_empty(), "not ADTS");
    frames
}

/// AAC in the framing of RFC 3640, a frame a packet. `config` is hexadecimal.
pub fn aac(payload_type: u8, clock_rate: u32, step: u32, config: &str, frames: &[Vec<u8>]) -> Track {
    let sdp = format!(
        "m=audio 0 RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} mpeg4-generic/{clock_rate}/2\r\n\
         a=fmtp:{payload_type} profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={config}\r\n"
    );
    let packet = |frame: &Vec<u8>| {
        let size = u16::try_from(frame.len() << 3).expect("13 bits");
        vec![[&[0, 16][..], &size.to_be_bytes(), frame].concat()]
    };
    Track { sdp, payload_type, clock_rate, step, units: frames.iter().map(packet).collect() }
}
