//! Receives the RTP packets of one track: which stream they belong to, their order, what is missing, and the figures that a
//! receiver report needs (RFC 3550, sections 6.4.1 and A.1, A.3, A.8).

use std::collections::BTreeMap;
use std::time::Duration;

use super::packet::Packet;
use super::rtcp::{ReportBlock, SenderReport};

/// Packets held at most while an earlier one is missing. A 2 Mbit/s camera sends this many in about 0.3 s: a packet later
/// than that is of no use to a live picture.
const MAX_HELD: usize = 64;
/// How long a packet is held at most while an earlier one is missing. Routes reorder within a few milliseconds.
const MAX_HOLD: Duration = Duration::from_millis(60);
/// Steps of the sequence number that still count as loss or reordering; larger ones are a new start of the sender.
const MAX_STEP: i64 = 3000;
/// Packets in a row from another SSRC after which it is taken as the stream's new one. Some cameras let a few packets of an
/// earlier session through (Reolink), and an encoder that restarts takes a new SSRC for good.
const SSRC_SWITCH: u32 = 16;

/// Whether the transport can change the order of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// TCP: what is missing will never come.
    Kept,
    /// UDP: a gap is waited for, within a bound in packets and time.
    Mixed,
}

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Its payload type is not the track's.
    #[error("RTP payload type {got}, the track has {expected} (sequence number {sequence})")]
    PayloadType {
        /// As received.
        got: u8,
        /// As the SDP said.
        expected: u8,
        /// Of the packet.
        sequence: u16,
    },
    /// It is another stream's.
    #[error("RTP packet of SSRC {got:08x}, the track's is {expected:08x} (sequence number {sequence})")]
    Ssrc {
        /// As received.
        got: u32,
        /// The stream's.
        expected: u32,
        /// Of the packet.
        sequence: u16,
    },
    /// It came twice or too late.
    #[error("RTP packet {sequence} came twice or too late")]
    Late {
        /// Of the packet.
        sequence: u16,
    },
}

/// A packet in its place.
#[derive(Debug, Clone)]
pub struct Received {
    /// The packet.
    pub packet: Packet,
    /// Packets are missing right before this one.
    pub lost: bool,
}

/// The receiving end of one track.
#[derive(Debug)]
pub struct Receiver {
    payload_type: u8,
    clock_rate: u32,
    order: Order,
    stream: Option<Stream>,
    /// What the sender said its SSRC will be, until a stream has begun.
    announced: Option<u32>,
    /// Packets in a row of another SSRC, and how many.
    other: Option<(u32, u32)>,
    /// Those of them that came before any stream began, at most [`SSRC_SWITCH`]: a sender may have announced a wrong SSRC.
    early: Vec<Packet>,
    report: Option<(SenderReport, Duration)>,
    totals: Totals,
    /// Packets are taken late: their `now` is not when they came.
    late: bool,
}

/// Counts over the life of a [`Receiver`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets taken.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets not taken.
    pub ignored: u64,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    base: i64,
    next: i64,
    highest: i64,
    received: i64,
    held: BTreeMap<i64, (Packet, Duration)>,
    transit: Option<i64>,
    jitter: f64,
    reported_expected: i64,
    reported_received: i64,
}

impl Receiver {
    /// For a track of that payload type and clock.
    pub fn new(payload_type: u8, clock_rate: u32, order: Order) -> Self {
        let clock_rate = clock_rate.max(1);
        let (stream, announced, other, early, report, totals, late) = Default::default();
        Self { payload_type, clock_rate, order, stream, announced, other, early, report, totals, late }
    }

    /// The same with the SSRC that the sender announced: packets of others are passed over before the first one too, as
    /// Reolink's cameras send them of earlier sessions. Who announces one and stays with another loses nothing.
    #[must_use]
    pub fn with_ssrc(mut self, announced: Option<u32>) -> Self {
        self.announced = announced;
        self
    }

    /// Whether packets are taken as they come. Jitter is not counted while they are not.
    pub fn set_prompt(&mut self, prompt: bool) {
        self.late = !prompt;
    }

    /// Takes one packet; what can be delivered now goes to `out` in order. `now` only ever grows.
    pub fn push(&mut self, packet: Packet, now: Duration, out: &mut impl Extend<Received>) -> Result<(), Ignored> {
        let sequence = packet.sequence;
        let result = self.check(&packet).and_then(|()| {
            if !self.early.is_empty() {
                for early in std::mem::take(&mut self.early) {
                    // They came one after the other: only one that came twice is refused.
                    let _ = self.take(early, now, out);
                }
            }
            self.take(packet, now, out)
        });
        match result {
            Ok(()) => self.totals.received += 1,
            Err(_) => self.totals.ignored += 1,
        }
        debug_assert!(!matches!(result, Err(Ignored::Late { sequence: s }) if s != sequence));
        result
    }

    fn check(&mut self, packet: &Packet) -> Result<(), Ignored> {
        let sequence = packet.sequence;
        if packet.payload_type != self.payload_type {
            return Err(Ignored::PayloadType { got: packet.payload_type, expected: self.payload_type, sequence });
        }
        let Some(expected) = self.stream.as_ref().map(|stream| stream.ssrc).or(self.announced) else { return Ok(()) };
        if packet.ssrc == expected {
            self.other = None;
            self.early.clear();
            return Ok(());
        }
        let seen = match self.other {
            Some((ssrc, seen)) if ssrc == packet.ssrc => seen + 1,
            _ => {
                self.early.clear();
                1
            }
        };
        if seen >= SSRC_SWITCH {
            (self.stream, self.announced, self.other, self.report) = (None, None, None, None);
            return Ok(());
        }
        if self.stream.is_none() {
            self.early.push(packet.clone());
        }
        self.other = Some((packet.ssrc, seen));
        Err(Ignored::Ssrc { got: packet.ssrc, expected, sequence })
    }

    fn take(&mut self, packet: Packet, now: Duration, out: &mut impl Extend<Received>) -> Result<(), Ignored> {
        let sequence = packet.sequence;
        let restarted = self.totals.received > 0;
        let arrival = (!self.late).then(|| ticks(now, self.clock_rate));
        let limit = self.clock_rate;
        let stream = self.stream.get_or_insert_with(|| Stream::new(packet.ssrc, sequence));
        // The step from what is due next, in (-2^15, 2^15).
        let step = i64::from(sequence.wrapping_sub(stream.next as u16) as i16);
        if step.abs() > MAX_STEP {
            stream.restart(sequence);
            stream.note(stream.next, &packet, arrival, limit);
            stream.next += 1;
            out.extend(Some(Received { packet, lost: true }));
            return Ok(());
        }
        let at = stream.next + step;
        if step < 0 || stream.held.contains_key(&at) {
            return Err(Ignored::Late { sequence });
        }
        let first = stream.received == 0;
        stream.note(at, &packet, arrival, limit);
        match self.order {
            Order::Kept => {
                self.totals.lost += step as u64;
                stream.next = at + 1;
                out.extend(Some(Received { packet, lost: step > 0 || first && restarted }));
            }
            Order::Mixed => {
                stream.held.insert(at, (packet, now));
                self.totals.lost += stream.release(now, out);
            }
        }
        Ok(())
    }

    /// Takes a sender report of this track.
    pub fn sender_report(&mut self, report: SenderReport, now: Duration) {
        self.report = Some((report, now));
    }

    /// The block for a receiver report, once a packet has come. Fractions count from the block before.
    pub fn report_block(&mut self, now: Duration) -> Option<ReportBlock> {
        let stream = self.stream.as_mut()?;
        let expected = stream.highest - stream.base + 1;
        let (expected_now, received_now) =
            (expected - stream.reported_expected, stream.received - stream.reported_received);
        (stream.reported_expected, stream.reported_received) = (expected, stream.received);
        let missing_now = (expected_now - received_now).max(0);
        let (last_report, delay) = self.report.map_or((0, 0), |(report, at)| {
            (report.ntp_middle(), (now.saturating_sub(at).as_secs_f64() * 65536.0) as u32)
        });
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: if expected_now > 0 { (missing_now * 256 / expected_now).min(255) as u8 } else { 0 },
            lost: (expected - stream.received).clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: stream.highest as u32,
            jitter: stream.jitter as u32,
            last_report,
            delay,
        })
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Interarrival jitter (RFC 3550, section 6.4.1).
    pub fn jitter(&self) -> Duration {
        let ticks = self.stream.as_ref().map_or(0.0, |s| s.jitter);
        Duration::from_secs_f64((ticks / f64::from(self.clock_rate)).min(3600.0))
    }
}

impl Stream {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let base = i64::from(sequence);
        Self {
            ssrc,
            base,
            next: base,
            highest: base,
            received: 0,
            held: BTreeMap::new(),
            transit: None,
            jitter: 0.0,
            reported_expected: 0,
            reported_received: 0,
        }
    }

    fn restart(&mut self, sequence: u16) {
        let jitter = self.jitter;
        *self = Self { jitter, ..Self::new(self.ssrc, sequence) };
    }

    /// `arrival`: in ticks, if it is known.
    fn note(&mut self, at: i64, packet: &Packet, arrival: Option<u32>, limit: u32) {
        self.received += 1;
        self.highest = self.highest.max(at);
        let Some(arrival) = arrival else {
            self.transit = None;
            return;
        };
        let transit = i64::from(arrival.wrapping_sub(packet.timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            // A jump of the sender's clock is no jitter.
            let difference = (transit - before).unsigned_abs().min(u64::from(limit));
            self.jitter += (difference as f64 - self.jitter) / 16.0;
        }
    }

    /// Delivers what is due: the run without gap, and past a gap that was waited for long enough. Returns how many were lost.
    fn release(&mut self, now: Duration, out: &mut impl Extend<Received>) -> u64 {
        let mut lost = 0;
        while let Some(entry) = self.held.first_entry() {
            let missing = *entry.key() - self.next;
            let waited = now.saturating_sub(entry.get().1) >= MAX_HOLD;
            if missing > 0 && !waited && self.held.len() <= MAX_HELD {
                break;
            }
            if let Some((at, (packet, _))) = self.held.pop_first() {
                lost += missing as u64;
                self.next = at + 1;
                out.extend(Some(Received { packet, lost: missing > 0 }));
            }
        }
        lost
    }
}

/// The time in ticks of a clock, modulo 2^32.
fn ticks(time: Duration, clock_rate: u32) -> u32 {
    let rate = u64::from(clock_rate);
    let part = u64::from(time.subsec_nanos()) * rate / 1_000_000_000;
    (time.as_secs().wrapping_mul(rate)).wrapping_add(part) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(sequence: u16, ssrc: u32) -> Packet {
        Packet {
            marker: false,
            payload_type: 96,
            sequence,
            timestamp: u32::from(sequence) * 90,
            ssrc,
            payload: Bytes::from_static(b"x"),
        }
    }

    /// Feeds sequence numbers a millisecond apart; tells what came out, a lost mark as a negative number.
    fn run(order: Order, sequences: &[u16]) -> (Vec<i32>, Receiver) {
        let mut receiver = Receiver::new(96, 90_000, order);
        let mut out = Vec::new();
        for (ms, sequence) in sequences.iter().enumerate() {
            let _ = receiver.push(packet(*sequence, 1), Duration::from_millis(ms as u64), &mut out);
        }
        let seen = out.iter().map(|r| i32::from(r.packet.sequence) * if r.lost { -1 } else { 1 }).collect();
        (seen, receiver)
    }

    #[test]
    fn order_is_restored_within_its_bound() {
        assert_eq!(run(Order::Mixed, &[1, 3, 2, 4]).0, [1, 2, 3, 4]);
        assert_eq!(run(Order::Mixed, &[65534, 1, 65535, 0, 2]).0, [65534, 65535, 0, 1, 2]);
        assert_eq!(run(Order::Mixed, &[1, 1, 2, 2, 1]).0, [1, 2]);
        let gap: Vec<u16> = (1..=200).filter(|n| *n != 5).collect();
        let (seen, receiver) = run(Order::Mixed, &gap);
        assert!(seen.contains(&-6) && !seen.contains(&5));
        assert_eq!(receiver.totals(), Totals { received: 199, lost: 1, ignored: 0 });
    }

    #[test]
    fn tcp_tells_loss_at_once() {
        let (seen, receiver) = run(Order::Kept, &[1, 2, 5, 6, 6, 4]);
        assert_eq!(seen, [1, 2, -5, 6]);
        assert_eq!(receiver.totals(), Totals { received: 4, lost: 2, ignored: 2 });
    }

    #[test]
    fn a_new_start_of_the_sender_is_followed() {
        assert_eq!(run(Order::Mixed, &[100, 101, 40000, 40001]).0, [100, 101, -40000, 40001]);
    }

    #[test]
    fn another_ssrc_is_ignored_until_it_stays() {
        let mut receiver = Receiver::new(96, 90_000, Order::Kept);
        let mut out = Vec::new();
        receiver.push(packet(1, 1), Duration::ZERO, &mut out).expect("first");
        assert!(matches!(receiver.push(packet(9, 2), Duration::ZERO, &mut out), Err(Ignored::Ssrc { .. })));
        receiver.push(packet(2, 1), Duration::ZERO, &mut out).expect("own");
        for n in 0..SSRC_SWITCH as u16 {
            let _ = receiver.push(packet(500 + n, 2), Duration::ZERO, &mut out);
        }
        assert_eq!(out.last().map(|r| (r.packet.ssrc, r.lost)), Some((2, true)));
        let mut wrong = packet(3, 2);
        wrong.payload_type = 97;
        assert!(matches!(receiver.push(wrong, Duration::ZERO, &mut out), Err(Ignored::PayloadType { .. })));
    }

    #[test]
    fn an_announced_ssrc_is_waited_for() {
        let start = || (Receiver::new(96, 90_000, Order::Kept).with_ssrc(Some(1)), Vec::new());
        let (mut receiver, mut out) = start();
        for (sequence, ssrc) in [(900, 2), (901, 2), (10, 1), (902, 2), (11, 1)] {
            let _ = receiver.push(packet(sequence, ssrc), Duration::ZERO, &mut out);
        }
        let seen = |out: &[Received]| out.iter().map(|r| (r.packet.sequence, r.lost)).collect::<Vec<_>>();
        assert_eq!(seen(&out), [(10, false), (11, false)]);
        // What was announced never comes.
        let (mut receiver, mut out) = start();
        for sequence in 0..40 {
            let _ = receiver.push(packet(sequence, 2), Duration::ZERO, &mut out);
            assert!(receiver.early.len() < SSRC_SWITCH as usize);
        }
        assert_eq!(seen(&out), (0..40).map(|n| (n, false)).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_is_of_packets_that_are_taken_as_they_come() {
        let mut receiver = Receiver::new(96, 90_000, Order::Kept);
        let mut out = Vec::new();
        let mut push = |receiver: &mut Receiver, sequence: u16, ms: u64| {
            receiver.push(packet(sequence, 1), Duration::from_millis(ms), &mut out).expect("in order");
        };
        receiver.set_prompt(false);
        (0..90).for_each(|n| push(&mut receiver, n, u64::from(n) / 30 * 300));
        assert_eq!(receiver.jitter(), Duration::ZERO);
        receiver.set_prompt(true);
        (90..92).for_each(|n| push(&mut receiver, n, 500 + u64::from(n)));
        assert_eq!(receiver.jitter(), Duration::ZERO, "what was before is no reference");
        push(&mut receiver, 92, 608);
        assert_eq!(receiver.jitter(), Duration::from_millis(1), "a sixteenth of 16 ms");
    }

    #[test]
    fn ticks_wrap() {
        assert_eq!(ticks(Duration::from_millis(1_500), 90_000), 135_000);
        assert_eq!(ticks(Duration::from_secs(1 << 20), 90_000), (90_000u64 << 20) as u32);
    }

    #[test]
    fn report_counts_loss() {
        let (_, mut receiver) = run(Order::Kept, &[10, 11, 13, 14]);
        let block = receiver.report_block(Duration::from_secs(1)).expect("packets came");
        assert_eq!((block.lost, block.highest_sequence, block.fraction_lost), (1, 14, 51));
        let block = receiver.report_block(Duration::from_secs(2)).expect("packets came");
        assert_eq!((block.lost, block.fraction_lost), (1, 0));
    }

    #[test]
    fn held_packets_are_bounded() {
        let mut receiver = Receiver::new(96, 90_000, Order::Mixed);
        let mut out = Vec::new();
        for n in 0..20_000u32 {
            let _ = receiver.push(packet((n * 2) as u16, 1), Duration::ZERO, &mut out);
            assert!(receiver.stream.as_ref().is_some_and(|s| s.held.len() <= MAX_HELD));
        }
    }
}
