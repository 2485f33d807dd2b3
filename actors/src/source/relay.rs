//! RTP as it is relayed: the publisher's packets with the hub's own SSRC, sequence numbers and timestamps, moved once, so that
//! they go on when the publisher is replaced. Payloads stay slices of what was received.

use bytes::{Buf, Bytes};
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::receiver::Received;
use ipchub_media::{Codec, Kind, Parameters, Track};

use crate::rtp_lane::RtpStart;
use crate::rtsp::udp::random_u64;

/// Packets of one access unit at most; a larger one is relayed in parts.
const MAX_PACKETS: usize = 16_384;

/// One access unit of video, or one packet of anything else. Its packets go beside it: where they are kept, they are kept in
/// one list, since a list for each unit would be two allocations a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RtpUnit {
    pub(crate) track: usize,
    /// A decoder can start here.
    pub(crate) key: bool,
    /// How many it has.
    pub(crate) packets: usize,
    /// Of their payloads.
    pub(crate) bytes: usize,
}

/// The hub's own RTP numbers of one track. They outlive publishers.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) ssrc: u32,
    payload_type: u8,
    /// Of the next packet.
    sequence: u16,
    /// RTP time of the timeline's 0.
    timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    gathering: Gathering,
    /// An access unit that is larger is relayed in parts.
    max_bytes: usize,
    pending: Vec<Packet>,
    pending_bytes: usize,
    /// As the publisher sent it.
    pending_timestamp: u32,
    pending_pts: i64,
    inject: Option<Vec<Bytes>>,
}

impl Relay {
    /// `max_bytes`: of one unit.
    pub(crate) fn new(track: &Track, max_bytes: usize) -> Self {
        let random = random_u64();
        Self {
            ssrc: random as u32,
            payload_type: track.payload_type,
            sequence: (random >> 32) as u16,
            timestamp: (random >> 40) as u32,
            packets: 0,
            octets: 0,
            gathering: Gathering::of(track),
            max_bytes,
            pending: Vec::new(),
            pending_bytes: 0,
            pending_timestamp: 0,
            pending_pts: 0,
            inject: None,
        }
    }

    /// A new publisher: what is not complete is void. Parameter sets that viewers were not told are sent before each key frame
    /// from now on: this publisher may have said them in its SDP only.
    pub(crate) fn restart(&mut self, parameters: Option<&Parameters>) {
        self.pending.clear();
        self.pending_bytes = 0;
        // A gap, so that a viewer's decoder knows that what comes does not follow what was.
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(parameters) = parameters {
            self.inject = Some(parameter_sets(parameters));
        }
    }

    /// RTP time of a time on the timeline.
    pub(crate) fn rtp_time(&self, ticks: i64) -> u32 {
        self.timestamp.wrapping_add(ticks as u32)
    }

    /// Where a viewer that starts with what comes next begins.
    pub(crate) fn next(&self, ticks: i64) -> RtpStart {
        RtpStart { sequence: self.sequence, timestamp: self.rtp_time(ticks) }
    }

    /// Takes a packet. `ended`: the access units that ended before it or with it: RTP time, and whether they are key. What is
    /// complete goes to `out` with its packets, which may be taken away.
    pub(crate) fn take(
        &mut self,
        track: usize,
        received: Received,
        pts: i64,
        ended: &[(u32, bool)],
        out: &mut impl FnMut(RtpUnit, &mut Vec<Packet>),
    ) {
        let Received { packet, lost } = received;
        let (timestamp, marker) = (packet.timestamp, packet.marker);
        let key = |timestamp| ended.iter().find(|(ended, _)| *ended == timestamp).map(|(_, key)| *key);
        if !self.pending.is_empty() && self.pending_timestamp != timestamp {
            self.flush(track, key(self.pending_timestamp).unwrap_or(!self.knows_keys()), out);
        }
        if lost && self.packets > 0 {
            self.sequence = self.sequence.wrapping_add(1);
        }
        (self.pending_timestamp, self.pending_pts) = (timestamp, pts);
        let payload = match self.gathering {
            Gathering::NalUnits => without_start_code(packet.payload),
            Gathering::Packets | Gathering::Marked | Gathering::TemporalUnits => packet.payload,
        };
        self.pending_bytes += payload.len();
        self.pending.push(Packet {
            marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.rtp_time(pts),
            ssrc: self.ssrc,
            payload,
        });
        self.sequence = self.sequence.wrapping_add(1);
        let ended = key(timestamp);
        // A marker alone does not end it: some cameras set it on parameter sets (TP-Link TC70, Reolink Duo 2).
        let full = self.pending.len() >= MAX_PACKETS || self.pending_bytes >= self.max_bytes;
        let whole = match self.gathering {
            Gathering::Packets => true,
            Gathering::Marked => marker,
            Gathering::NalUnits | Gathering::TemporalUnits => ended.is_some(),
        };
        if whole || full {
            self.flush(track, ended.unwrap_or(!self.knows_keys()), out);
        }
    }

    /// Where nobody knows what a decoder can start at, viewers start with whatever comes.
    fn knows_keys(&self) -> bool {
        matches!(self.gathering, Gathering::NalUnits | Gathering::TemporalUnits)
    }

    fn flush(&mut self, track: usize, key: bool, out: &mut impl FnMut(RtpUnit, &mut Vec<Packet>)) {
        if key && self.knows_keys() {
            self.inject();
        }
        let packets = self.pending.len();
        let bytes = std::mem::take(&mut self.pending_bytes);
        self.packets = self.packets.wrapping_add(packets as u32);
        self.octets = self.octets.wrapping_add(bytes as u32);
        out(RtpUnit { track, key, packets, bytes }, &mut self.pending);
        self.pending.clear();
    }

    /// Puts the parameter sets that viewers were not told before what is pending.
    fn inject(&mut self) {
        let Some(sets) = &self.inject else { return };
        // The numbers of the packets after them move up; nobody has seen those yet.
        let first = self.pending.first().map_or(self.sequence, |packet| packet.sequence);
        let moved = sets.len() as u16;
        for packet in &mut self.pending {
            packet.sequence = packet.sequence.wrapping_add(moved);
        }
        self.sequence = self.sequence.wrapping_add(moved);
        let (payload_type, ssrc, timestamp) = (self.payload_type, self.ssrc, self.rtp_time(self.pending_pts));
        let injected = sets.iter().enumerate().map(|(n, set)| Packet {
            marker: false,
            payload_type,
            sequence: first.wrapping_add(n as u16),
            timestamp,
            ssrc,
            payload: set.clone(),
        });
        self.pending_bytes += sets.iter().map(Bytes::len).sum::<usize>();
        self.pending.splice(0..0, injected);
    }
}

/// What is relayed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathering {
    /// Each packet: of sound, and where nobody knows when an access unit ends.
    Packets,
    /// Packets up to the marker that ends a picture (JPEG: RFC 2435, section 3.1.8; VP8: RFC 7741, section 4.1; VP9: RFC 9628,
    /// section 4.1), so that no viewer begins within one.
    Marked,
    /// Access units that are depacketized here, of H.264 and H.265.
    NalUnits,
    /// The same of AV1.
    TemporalUnits,
}

impl Gathering {
    fn of(track: &Track) -> Self {
        match (track.kind, track.codec) {
            (Kind::Video, Codec::H264 | Codec::H265) => Self::NalUnits,
            (Kind::Video, Codec::Av1) => Self::TemporalUnits,
            (Kind::Video, Codec::Jpeg | Codec::Vp8 | Codec::Vp9) => Self::Marked,
            _ => Self::Packets,
        }
    }
}

/// Some cameras put a start code before each NAL unit (those of retina 68). It has no place in RTP, and not every player passes
/// over it. No NAL unit begins
/// with two zeros.
fn without_start_code(mut payload: Bytes) -> Bytes {
    let zeros = payload.iter().take(3).take_while(|byte| **byte == 0).count();
    if zeros >= 2 && payload.get(zeros) == Some(&1) {
        payload.advance(zeros + 1);
    }
    payload
}

/// Parameter sets as single NAL unit packets. A set that does not fit a datagram is left out: none is that large.
fn parameter_sets(parameters: &Parameters) -> Vec<Bytes> {
    const MAX: usize = 1400;
    let sets: Vec<Bytes> = match parameters {
        Parameters::H264(p) => [p.sps.clone()].into_iter().chain(p.pps.iter().cloned()).collect(),
        Parameters::H265(p) => [p.vps.clone(), p.sps.clone()].into_iter().chain(p.pps.iter().cloned()).collect(),
        // AV1 has its own in each key frame, and none in an SDP.
        Parameters::Av1(_) | Parameters::Aac(_) => Vec::new(),
    };
    sets.into_iter().filter(|set| set.len() <= MAX).collect()
}

/// The units since the last key frame, so that an RTP viewer has a picture at once. Bounded as the frames are.
#[derive(Debug)]
pub(crate) struct RtpGop {
    max_bytes: usize,
    leading: Option<usize>,
    units: Vec<RtpUnit>,
    /// Of all units, in order.
    packets: Vec<Packet>,
    bytes: usize,
}

impl RtpGop {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, leading: None, units: Vec::new(), packets: Vec::new(), bytes: 0 }
    }

    pub(crate) fn set_leading(&mut self, track: Option<usize>) {
        self.leading = track;
    }

    pub(crate) fn clear(&mut self) {
        self.units.clear();
        self.packets.clear();
        self.bytes = 0;
    }

    /// Whether viewers can begin with that unit.
    pub(crate) fn starts(&self, unit: &RtpUnit) -> bool {
        unit.key && self.leading.is_none_or(|leading| leading == unit.track)
    }

    /// Takes the unit's packets away, if it is kept.
    pub(crate) fn push(&mut self, unit: RtpUnit, packets: &mut Vec<Packet>) {
        if self.starts(&unit) {
            self.clear();
        } else if self.units.is_empty() {
            return;
        }
        // What a packet needs beside its payload counts too: a stream of tiny packets must not be unbounded.
        let bytes = unit.bytes + unit.packets * size_of::<Packet>();
        if self.bytes + bytes > self.max_bytes {
            self.clear();
            self.packets.shrink_to(0);
            return;
        }
        self.bytes += bytes;
        self.units.push(unit);
        self.packets.append(packets);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Each with its packets.
    pub(crate) fn units(&self) -> impl Iterator<Item = (&RtpUnit, &[Packet])> {
        let mut rest = &self.packets[..];
        self.units.iter().map(move |unit| {
            let (packets, after) = rest.split_at(unit.packets.min(rest.len()));
            rest = after;
            (unit, packets)
        })
    }
}
