//! The RTP lane of a source: each access unit's packets framed once for RTSP connections and, while such viewers are there, once
//! more as datagrams and once as websocket messages; every viewer gets the same bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix::prelude::*;
use bytes::{BufMut, Bytes, BytesMut};
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::packet::HEADER_LEN;
use ipchub_media::rtp::rtcp;
use ipchub_media::websocket::{self, Opcode};

use crate::branch::{Branches, Choice, State, Step};
use crate::messages::{RtpOpening, SubscribeRtp};
use crate::meter::Stats;
use crate::source::relay::{Relay, RtpUnit};

/// `$`, channel, length (RFC 2326, section 10.12).
pub const INTERLEAVED_HEAD: usize = 4;

/// What a viewer's actor hears.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct RtpChunk {
    /// The consumer that it is sent to. A player that pauses and plays again is another consumer: what was on its way to the
    /// first must not reach the second, whose opening has it already.
    pub consumer: u32,
    /// Shared by all viewers.
    pub packets: Arc<RtpPackets>,
    /// Bytes of them that went out already, as the viewer frames them.
    pub written: usize,
}

/// A unit's packets, or a report, for the viewers of the lane.
#[derive(Debug)]
pub struct RtpStep {
    packets: Arc<RtpPackets>,
    /// Viewers can begin with it.
    starts: bool,
}

impl Step for RtpStep {
    type Piece = Arc<RtpPackets>;
    type Message = RtpChunk;

    fn choose(&self, state: State) -> Choice<'_, Self::Piece> {
        let waits = state != State::Current && !self.starts && !self.packets.rtcp;
        if waits { Choice::Missed } else { Choice::Piece(&self.packets) }
    }

    fn taken(&self, state: State) -> State {
        if self.starts { State::Current } else { state }
    }

    fn message(packets: &Self::Piece, consumer: u32, written: usize) -> RtpChunk {
        RtpChunk { consumer, packets: Arc::clone(packets), written }
    }

    fn len(packets: &Self::Piece) -> u64 {
        packets.interleaved.len() as u64
    }
}

/// RTP or RTCP packets of one track for every viewer: whole packets.
#[derive(Debug, Clone)]
pub struct RtpPackets {
    /// Index of the track.
    pub track: usize,
    /// They are RTCP.
    pub rtcp: bool,
    /// Framed for an RTSP connection, with channel 2n for RTP and 2n+1 for RTCP of track n.
    pub interleaved: Bytes,
    /// The same packets one after the other, for UDP; `None` while no viewer wants it.
    pub datagrams: Option<Packed>,
    /// The same as `interleaved`, each packet one binary message of a websocket; `None` while no viewer wants it.
    pub websocket: Option<Bytes>,
}

/// How a viewer wants its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// [`RtpPackets::interleaved`]
    Interleaved,
    /// [`RtpPackets::datagrams`]
    Datagrams,
    /// [`RtpPackets::websocket`]
    Websocket,
}

/// Packets one after the other.
#[derive(Debug, Clone)]
pub struct Packed {
    /// All bytes.
    pub bytes: Bytes,
    /// Length of each packet.
    pub lengths: Arc<[u16]>,
}

/// Where a track of a viewer begins (RFC 2326, section 12.33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpStart {
    /// Of the first packet.
    pub sequence: u16,
    /// Of the first packet.
    pub timestamp: u32,
}

impl From<RtpStart> for ipchub_media::rtsp::session::RtpStart {
    fn from(start: RtpStart) -> Self {
        Self { sequence: start.sequence, timestamp: start.timestamp }
    }
}

#[derive(Debug)]
pub(crate) struct RtpLane {
    branches: Branches<RtpStep>,
    /// What each viewer wants.
    forms: HashMap<u32, Form>,
    gop: Vec<RtpPackets>,
}

impl RtpLane {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self { branches: Branches::new(stats), forms: HashMap::new(), gop: Vec::new() }
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.branches.is_empty()
    }

    /// Adds the forms that viewers want.
    fn complete(&self, mut chunk: RtpPackets) -> RtpPackets {
        for form in self.forms.values() {
            chunk.add(*form);
        }
        chunk
    }

    /// What is cached does not go with what comes next.
    pub(crate) fn clear(&mut self) {
        self.gop.clear();
        self.branches.break_off();
    }

    /// Fills the cache of a lane that nobody used so far.
    pub(crate) fn fill<'a>(&mut self, units: impl Iterator<Item = (&'a RtpUnit, &'a [Packet])>) {
        self.gop = units.map(|(unit, packets)| frame(unit, packets)).collect();
    }

    /// Frames a unit and sends it to every viewer that is not behind. `starts`: viewers can begin with it.
    pub(crate) fn unit(&mut self, unit: &RtpUnit, packets: &[Packet], starts: bool) {
        let chunk = Arc::new(self.complete(frame(unit, packets)));
        self.send(&chunk, starts);
        if starts {
            self.gop.clear();
        }
        if starts || !self.gop.is_empty() {
            self.gop.push(RtpPackets { datagrams: None, ..Arc::unwrap_or_clone(chunk) });
        }
    }

    /// Keeps nothing until the next key frame.
    pub(crate) fn forget(&mut self) {
        self.gop.clear();
    }

    /// A sender report of each track.
    pub(crate) fn report(&mut self, track: usize, bytes: &Bytes) {
        let chunk = Arc::new(self.complete(control(track, bytes)));
        self.send(&chunk, false);
    }

    fn send(&mut self, packets: &Arc<RtpPackets>, starts: bool) {
        self.branches.send(0, RtpStep { packets: Arc::clone(packets), starts });
    }

    /// Takes a viewer in. `reports` go first, so that it can place the tracks against each other from its first packet on.
    pub(crate) fn subscribe(
        &mut self,
        subscribe: SubscribeRtp,
        reports: &[(usize, Bytes)],
        starts: Vec<RtpStart>,
    ) -> RtpOpening {
        let SubscribeRtp { consumer, form, branch } = subscribe;
        let mut opening = RtpOpening { chunks: Vec::new(), starts };
        opening.chunks.extend(reports.iter().map(|(track, bytes)| control(*track, bytes)));
        for report in &mut opening.chunks {
            report.add(form);
        }
        for chunk in &mut self.gop {
            let mut chunk = match form {
                // Kept for the next one that comes.
                Form::Websocket => chunk.add(form).clone(),
                Form::Interleaved | Form::Datagrams => chunk.clone(),
            };
            chunk.add(form);
            if let Some(first) = first_packet(&chunk.interleaved)
                && let Some(start) = opening.starts.get_mut(chunk.track)
                && !opening.chunks.iter().any(|before| before.track == chunk.track && !before.rtcp)
            {
                *start = first;
            }
            opening.chunks.push(chunk);
        }
        consumer.offered.fetch_add(opening.chunks.iter().map(|c| c.interleaved.len() as u64).sum(), Relaxed);
        let state = if self.gop.is_empty() { State::Behind { headers: 0 } } else { State::Current };
        self.branches.admit(consumer.id, branch, state, 0);
        self.forms.insert(consumer.id, form);
        opening
    }

    pub(crate) fn unsubscribe(&mut self, id: u32) {
        self.branches.leave(id);
        self.forms.remove(&id);
    }

    /// Tells all viewers that the source ended, in RTCP and by message.
    pub(crate) fn end(&mut self, reason: &str, relays: &[Relay]) {
        for (track, relay) in relays.iter().enumerate() {
            let chunk = Arc::new(self.complete(control(track, &rtcp::bye(relay.ssrc, reason))));
            self.send(&chunk, false);
        }
        self.branches.end(reason);
    }
}

impl RtpPackets {
    fn new(track: usize, rtcp: bool, interleaved: BytesMut) -> Self {
        Self { track, rtcp, interleaved: interleaved.freeze(), datagrams: None, websocket: None }
    }

    /// Makes a form that is not there yet.
    fn add(&mut self, form: Form) -> &Self {
        match form {
            Form::Interleaved => {}
            Form::Datagrams => {
                self.datagrams.get_or_insert_with(|| packed(&self.interleaved));
            }
            Form::Websocket => {
                let own = self.interleaved.get(1).copied().unwrap_or_default();
                self.websocket.get_or_insert_with(|| websocket_messages(&self.interleaved, own));
            }
        }
        self
    }

    /// What goes out on a connection with a client's channel number.
    pub(crate) fn on_channel(&self, channel: u8, over_websocket: bool) -> Cow<'_, Bytes> {
        if over_websocket { self.websocket_on_channel(channel) } else { self.interleaved_on_channel(channel) }
    }

    /// The websocket messages with a client's channel number. A copy if that is another than the track's own: few ask so.
    pub fn websocket_on_channel(&self, channel: u8) -> Cow<'_, Bytes> {
        match &self.websocket {
            Some(messages) if self.interleaved.get(1) == Some(&channel) => Cow::Borrowed(messages),
            _ => Cow::Owned(websocket_messages(&self.interleaved, channel)),
        }
    }

    /// The packets for an RTSP connection with a client's channel number. A copy if that is another than the track's own: few
    /// ask so.
    pub fn interleaved_on_channel(&self, channel: u8) -> Cow<'_, Bytes> {
        if self.interleaved.get(1) == Some(&channel) {
            return Cow::Borrowed(&self.interleaved);
        }
        let mut out = BytesMut::with_capacity(self.interleaved.len());
        for packet in packets(&self.interleaved) {
            out.put_slice(&[b'$', channel]);
            out.put_u16(packet.len() as u16);
            out.put_slice(packet);
        }
        Cow::Owned(out.freeze())
    }
}

fn frame(unit: &RtpUnit, packets: &[Packet]) -> RtpPackets {
    let room = unit.bytes + packets.len() * (INTERLEAVED_HEAD + HEADER_LEN);
    let mut out = BytesMut::with_capacity(room);
    for packet in packets {
        out.put_slice(&[b'$', (unit.track * 2) as u8]);
        out.put_u16((HEADER_LEN + packet.payload.len()) as u16);
        packet.write_to(&mut out);
    }
    RtpPackets::new(unit.track, false, out)
}

fn control(track: usize, bytes: &Bytes) -> RtpPackets {
    let mut out = BytesMut::with_capacity(INTERLEAVED_HEAD + bytes.len());
    out.put_slice(&[b'$', (track * 2 + 1) as u8]);
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
    RtpPackets::new(track, true, out)
}

/// The packets of an interleaved chunk.
fn packets(interleaved: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = interleaved;
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let packet = rest.get(INTERLEAVED_HEAD..INTERLEAVED_HEAD + len)?;
        rest = &rest[INTERLEAVED_HEAD + len..];
        Some(packet)
    })
}

fn first_packet(interleaved: &[u8]) -> Option<RtpStart> {
    let [_, _, s0, s1, t0, t1, t2, t3] = *packets(interleaved).next()?.first_chunk::<8>()?;
    Some(RtpStart { sequence: u16::from_be_bytes([s0, s1]), timestamp: u32::from_be_bytes([t0, t1, t2, t3]) })
}

fn packed(interleaved: &[u8]) -> Packed {
    let mut bytes = BytesMut::with_capacity(interleaved.len());
    let mut lengths = Vec::new();
    for packet in packets(interleaved) {
        bytes.put_slice(packet);
        lengths.push(packet.len() as u16);
    }
    Packed { bytes: bytes.freeze(), lengths: lengths.into() }
}

fn websocket_messages(interleaved: &[u8], channel: u8) -> Bytes {
    // The head of a message of a packet has four bytes, but for tiny and for huge ones.
    let mut out = BytesMut::with_capacity(interleaved.len() + packets(interleaved).count() * 4);
    for packet in packets(interleaved) {
        websocket::put_head(Opcode::Binary, INTERLEAVED_HEAD + packet.len(), &mut out);
        out.put_slice(&[b'$', channel]);
        out.put_u16(packet.len() as u16);
        out.put_slice(packet);
    }
    out.freeze()
}
