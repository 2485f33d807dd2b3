//! Transport packets (section 2.4.3): bytes of an elementary stream, cut into pieces.

use bytes::{BufMut, BytesMut};

use super::PACKET;

/// Bytes of a packet's header.
const HEADER: usize = 4;
/// Bytes of a packet behind its header.
const ROOM: usize = PACKET - HEADER;
/// `adaptation_field_length` and flags.
const FIELD: usize = 2;
/// `program_clock_reference`
const PCR: usize = 6;

/// What the first packet of an access unit says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    /// In units of 90 kHz.
    pub(super) pcr: Option<i64>,
    /// `random_access_indicator`
    pub(super) random_access: bool,
}

impl Start {
    fn len(self) -> usize {
        match self {
            Self { pcr: Some(_), .. } => FIELD + PCR,
            Self { random_access: true, .. } => FIELD,
            _ => 0,
        }
    }
}

/// Cuts one PES packet, whose length is known before, into transport packets.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut BytesMut,
    pid: u16,
    counter: &'a mut u8,
    /// Of the PES packet.
    left: usize,
    /// In the open transport packet.
    room: usize,
    start: Option<Start>,
}

impl<'a> Writer<'a> {
    /// `counter` is that of the PID's last packet.
    pub(super) fn new(out: &'a mut BytesMut, pid: u16, counter: &'a mut u8, start: Start, len: usize) -> Self {
        Self { out, pid, counter, left: len, room: 0, start: Some(start) }
    }

    /// As many bytes in all as were announced.
    pub(super) fn put(&mut self, mut bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.left, "more than announced");
        while !bytes.is_empty() {
            if self.room == 0 {
                self.begin();
            }
            let (now, rest) = bytes.split_at(bytes.len().min(self.room));
            self.out.put_slice(now);
            self.room -= now.len();
            self.left -= now.len();
            bytes = rest;
        }
    }

    fn begin(&mut self) {
        let first = self.start.is_some();
        let start = self.start.take().unwrap_or_default();
        let payload = self.left.min(ROOM - start.len());
        let adaptation = ROOM - payload;
        *self.counter = (*self.counter + 1) & 15;
        let [high, low] = self.pid.to_be_bytes();
        let control = if adaptation > 0 { 0x30 } else { 0x10 };
        self.out.put_slice(&[0x47, u8::from(first) << 6 | high, low, control | *self.counter]);
        put_adaptation(self.out, adaptation, start, false);
        self.room = payload;
    }
}

/// A packet without payload; it does not count. `discontinuity`: `counter` is not the one expected.
pub(super) fn put_empty(out: &mut BytesMut, pid: u16, counter: u8, pcr: Option<i64>, discontinuity: bool) {
    let [high, low] = pid.to_be_bytes();
    out.put_slice(&[0x47, high, low, 0x20 | counter & 15]);
    put_adaptation(out, ROOM, Start { pcr, random_access: false }, discontinuity);
}

/// An adaptation field of `len` bytes in all (section 2.4.3.4), stuffed.
fn put_adaptation(out: &mut BytesMut, len: usize, start: Start, discontinuity: bool) {
    let Some(after) = len.checked_sub(1) else { return };
    let end = out.len() + len;
    out.put_u8(after as u8);
    if after > 0 {
        let pcr = u8::from(start.pcr.is_some()) << 4;
        out.put_u8(u8::from(discontinuity) << 7 | u8::from(start.random_access) << 6 | pcr);
    }
    if let Some(base) = start.pcr {
        // 33 bits of base, 6 reserved, 9 of extension.
        out.put_slice(&(((base as u64 & 0x1_ffff_ffff) << 15 | 0x7e00) << 16).to_be_bytes()[..PCR]);
    }
    out.resize(end, 0xff);
}
