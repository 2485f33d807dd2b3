//! Pushes streams by RTSP over TCP from one thread, each frame on its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, BytesMut};
use ipchub_media::Codec;
use ipchub_media::rtp::packet::HEADER_LEN;
use ipchub_media::rtp::packetize::{MAX_PAYLOAD, Packetizer};
use ipchub_media::rtp::rtcp::{SenderReport, sender_report};

use crate::clip::Clip;
use crate::rtsp;
use crate::stamp::{Stamp, now_us};
use crate::target::Target;

/// Bytes that a server may leave unread before frames are left out; they show as lost at the viewers.
const MAX_PENDING: usize = 8 << 20;
/// Seconds between sender reports.
const REPORT: f64 = 5.0;
/// From 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Streams that are being pushed.
#[derive(Debug)]
pub(crate) struct Publishing {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<Published>>,
}

/// What was pushed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    pub(crate) frames: u64,
    /// Frames that a full connection had no room for.
    pub(crate) left_out: u64,
    /// The most that a frame was late, because this machine was busy.
    pub(crate) latest: Duration,
}

impl Publishing {
    /// Opens all sessions, then sends until [`Publishing::finish`]. `{i}` in `template` is the stream's number.
    pub(crate) fn start(template: &str, streams: usize, clip: Clip) -> Result<Self> {
        let streams = (0..streams)
            .map(|i| Stream::open(i, template).with_context(|| format!("publishing stream {i}")))
            .collect::<Result<Vec<_>>>()?;
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || run(streams, &clip, &stop, &sent)
        });
        Ok(Self { stop, sent, thread })
    }

    /// Bytes sent so far, by all streams.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// A stream was ended by the server.
    pub(crate) fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends all streams. An error: the server ended one before.
    pub(crate) fn finish(self) -> Result<Published> {
        self.stop.store(true, Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(_) => bail!("the publishing thread panicked"),
        }
    }
}

struct Stream {
    id: usize,
    connection: TcpStream,
    packetizer: Packetizer,
    ssrc: u32,
    /// What the connection did not take yet.
    pending: BytesMut,
    frame: u32,
    next_report: f64,
    packets: u32,
    octets: u32,
}

/// Streams' key frames are spread over the GOP, their frames over the frame's interval, by steps of the golden ratio.
fn phase(stream: usize, clip: &Clip) -> f64 {
    (stream as f64 * 0.618_034).fract() * clip.gop_seconds()
}

fn run(mut streams: Vec<Stream>, clip: &Clip, stop: &AtomicBool, sent: &AtomicU64) -> Result<Published> {
    let start = Instant::now();
    let due = |stream: &Stream| Duration::from_secs_f64(phase(stream.id, clip) + clip.seconds(stream.frame));
    let mut queue: BinaryHeap<_> = streams.iter().map(|stream| Reverse((due(stream), stream.id))).collect();
    let mut published = Published::default();
    while let Some(Reverse((at, id))) = queue.pop() {
        match at.checked_sub(start.elapsed()) {
            Some(wait) => std::thread::sleep(wait),
            None => published.latest = published.latest.max(start.elapsed() - at),
        }
        if stop.load(Relaxed) {
            return Ok(published);
        }
        let stream = &mut streams[id];
        match stream.pending.len() > MAX_PENDING {
            true => published.left_out += 1,
            false => stream.write_frame(clip),
        }
        published.frames += 1;
        stream.frame += 1;
        let n = stream.pump().with_context(|| format!("stream {id} after {} frames", stream.frame))?;
        sent.fetch_add(n, Relaxed);
        queue.push(Reverse((due(stream), id)));
    }
    Ok(published)
}

impl Stream {
    fn open(id: usize, template: &str) -> Result<Self> {
        ensure!(template.starts_with("rtsp://"), "{template}: streams are pushed to rtsp:// only");
        let target = Target::new(template, id, false)?;
        let ssrc = 0x4855_0000 + id as u32;
        Ok(Self {
            id,
            connection: rtsp::publish(&target)?,
            packetizer: Packetizer::new(Codec::H264, 96, ssrc, MAX_PAYLOAD).context("H.264 has a packetizer")?,
            ssrc,
            pending: BytesMut::new(),
            frame: 0,
            next_report: 0.0,
            packets: 0,
            octets: 0,
        })
    }

    fn write_frame(&mut self, clip: &Clip) {
        let (now, timestamp) = (now_us(), clip.ticks(self.frame));
        if clip.seconds(self.frame) >= self.next_report {
            self.next_report += REPORT;
            self.write_report(now, timestamp);
        }
        let stamp = Stamp { micros: now, frame: self.frame, stream: self.id as u16 };
        let mut packets = Vec::with_capacity(48);
        self.packetizer.packetize(&clip.units(self.frame, stamp), timestamp, &mut packets);
        for packet in packets {
            self.pending.put_slice(&[b'$', 0]);
            self.pending.put_u16((HEADER_LEN + packet.payload.len()) as u16);
            packet.write_to(&mut self.pending);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        }
    }

    fn write_report(&mut self, now: u64, rtp: u32) {
        let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
        let ntp = ((seconds + NTP_TO_UNIX) << 32) | ((micros << 32) / 1_000_000);
        let report = sender_report(&SenderReport { ssrc: self.ssrc, ntp, rtp }, self.packets, self.octets, "hub-load");
        self.pending.put_slice(&[b'$', 1]);
        self.pending.put_u16(report.len() as u16);
        self.pending.put_slice(&report);
    }

    /// Writes what the kernel takes, and throws away what came: reports and answers. Gives the bytes written.
    fn pump(&mut self) -> Result<u64> {
        let mut nothing = [0; 4096];
        loop {
            match self.connection.read(&mut nothing) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(n) if n == nothing.len() => {}
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("read"),
            }
        }
        let mut sum = 0;
        while !self.pending.is_empty() {
            match self.connection.write(&self.pending) {
                Ok(n) => {
                    self.pending.advance(n);
                    sum += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(sum)
    }
}
