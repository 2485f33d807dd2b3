//! A reader of transport streams that takes nothing but what ISO 13818-1 allows. For tests, here and of the whole hub.

use std::collections::BTreeMap;

const PACKET: usize = 188;
/// Section 2.7.2: 100 ms; with what a stream of 25 pictures a second may miss of it.
const CLOCK: f64 = 90_000.0;

/// A PES packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pes {
    pub pid: u16,
    /// In units of 90 kHz, as they stand there.
    pub pts: i64,
    pub dts: i64,
    /// `random_access_indicator`
    pub key: bool,
    pub data: Vec<u8>,
}

/// One viewer's stream.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
    counters: BTreeMap<u16, u8>,
    pmt_pid: Option<u16>,
    pcr_pid: Option<u16>,
    /// PID and `stream_type`.
    pub streams: BTreeMap<u16, u8>,
    open: BTreeMap<u16, (bool, usize, Vec<u8>)>,
    /// Whole packets only.
    pub found: Vec<Pes>,
    /// Clock references, in seconds.
    pub clock: Vec<f64>,
    pub discontinuities: usize,
    /// Bytes of whole transport packets.
    pub whole: usize,
}

impl Reader {
    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let (packets, rest) = pending.as_chunks::<PACKET>();
        for packet in packets {
            self.packet(packet).map_err(|error| format!("packet at byte {}: {error}", self.whole))?;
            self.whole += PACKET;
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// Whether the bytes so far end with a whole packet.
    pub fn is_at_boundary(&self) -> bool {
        self.pending.is_empty()
    }

    /// What has come of a kind of stream.
    pub fn of_type(&self, stream_type: u8) -> Vec<&Pes> {
        self.found.iter().filter(|pes| self.streams.get(&pes.pid) == Some(&stream_type)).collect()
    }

    /// Takes PES packets without a length as whole, too.
    pub fn finish(&mut self) -> Result<(), String> {
        for (pid, open) in std::mem::take(&mut self.open) {
            self.pes(pid, open)?;
        }
        Ok(())
    }

    fn packet(&mut self, packet: &[u8; PACKET]) -> Result<(), String> {
        if packet[0] != 0x47 {
            return Err("no sync byte".into());
        }
        if packet[1] & 0x80 != 0 || packet[3] & 0xc0 != 0 {
            return Err("marked as broken or scrambled".into());
        }
        let start = packet[1] & 0x40 != 0;
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let mut at = 4;
        let (mut discontinuity, mut key) = (false, false);
        if has_field {
            let len = usize::from(packet[4]);
            if len > if has_payload { 182 } else { 183 } || !has_payload && len != 183 {
                return Err(format!("adaptation field of {len} bytes"));
            }
            at = 5 + len;
            if len > 0 {
                discontinuity = packet[5] & 0x80 != 0;
                key = packet[5] & 0x40 != 0;
                self.field(pid, &packet[5..at])?;
            }
        }
        let counter = packet[3] & 15;
        let before = self.counters.insert(pid, counter);
        if discontinuity {
            self.discontinuities += 1;
            self.open.remove(&pid);
        } else if let Some(before) = before {
            let expected = if has_payload { (before + 1) & 15 } else { before };
            if counter != expected {
                return Err(format!("PID {pid:#x}: counter {counter} after {before}"));
            }
        }
        if has_payload { self.payload(pid, start, key, &packet[at..]) } else { Ok(()) }
    }

    fn field(&mut self, pid: u16, field: &[u8]) -> Result<(), String> {
        if field[0] & 0x10 == 0 {
            return Ok(());
        }
        if self.pcr_pid.is_some_and(|expected| expected != pid) {
            return Err(format!("clock reference on PID {pid:#x}"));
        }
        let base = field[1..6].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)) >> 7;
        let now = base as f64 / CLOCK;
        if let Some(before) = self.clock.last()
            && now < *before
        {
            return Err(format!("clock reference {now} after {before}"));
        }
        self.clock.push(now);
        Ok(())
    }

    fn payload(&mut self, pid: u16, start: bool, key: bool, payload: &[u8]) -> Result<(), String> {
        if pid == 0 || Some(pid) == self.pmt_pid {
            return if start { self.section(pid, payload) } else { Err("a table of two packets".into()) };
        }
        if !self.streams.contains_key(&pid) {
            return Err(format!("PID {pid:#x} is in no table"));
        }
        if start {
            if let Some(open) = self.open.remove(&pid) {
                self.pes(pid, open)?;
            }
            let length = payload.get(4..6).map_or(0, |bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
            let whole = if length == 0 { usize::MAX } else { length + 6 };
            self.open.insert(pid, (key, whole, payload.to_vec()));
        } else {
            let open = self.open.get_mut(&pid).ok_or_else(|| format!("PID {pid:#x} goes on with nothing"))?;
            open.2.extend_from_slice(payload);
        }
        if let Some((_, whole, data)) = self.open.get(&pid)
            && data.len() >= *whole
        {
            if data.len() > *whole {
                return Err(format!("{} bytes of a PES packet of {whole}", data.len()));
            }
            let open = self.open.remove(&pid).expect("it was just there");
            self.pes(pid, open)?;
        }
        Ok(())
    }

    fn section(&mut self, pid: u16, payload: &[u8]) -> Result<(), String> {
        let section = &payload[1 + usize::from(payload[0])..];
        let len = 3 + (usize::from(section[1] & 15) << 8 | usize::from(section[2]));
        let section = section.get(..len).ok_or("a table goes beyond its packet")?;
        if crc(section) != 0 {
            return Err("checksum of a table".into());
        }
        let pid_at = |at: usize| u16::from(section[at] & 0x1f) << 8 | u16::from(section[at + 1]);
        if pid == 0 {
            self.pmt_pid = Some(pid_at(10));
            return Ok(());
        }
        self.pcr_pid = Some(pid_at(8));
        self.streams.clear();
        let mut at = 12 + (usize::from(section[10] & 15) << 8 | usize::from(section[11]));
        while at < len - 4 {
            self.streams.insert(pid_at(at + 1), section[at]);
            at += 5 + (usize::from(section[at + 3] & 15) << 8 | usize::from(section[at + 4]));
        }
        Ok(())
    }

    fn pes(&mut self, pid: u16, (key, whole, data): (bool, usize, Vec<u8>)) -> Result<(), String> {
        if whole != usize::MAX && data.len() != whole {
            return Err(format!("PES packet of {} bytes says {whole}", data.len()));
        }
        let [0, 0, 1, _, _, _, _, flags, header, rest @ ..] = &data[..] else { return Err("no PES packet".into()) };
        let time = |at: usize, kind: u8| -> Result<i64, String> {
            let b: &[u8; 5] = rest.get(at..at + 5).and_then(|b| b.try_into().ok()).ok_or("PES header is cut")?;
            if b[0] >> 4 != kind || b[0] & b[2] & b[4] & 1 != 1 {
                return Err(format!("time {b:02x?}"));
            }
            let b = b.map(i64::from);
            Ok((b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1)
        };
        let (pts, dts) = match flags >> 6 {
            2 => (time(0, 2)?, time(0, 2)?),
            3 => (time(0, 3)?, time(5, 1)?),
            _ => return Err("a PES packet without time".into()),
        };
        let before = self.found.iter().rev().find(|before| before.pid == pid).map(|before| before.dts);
        if pts < dts || before.is_some_and(|before| dts <= before) {
            return Err(format!("PID {pid:#x}: PTS {pts}, DTS {dts} after {before:?}"));
        }
        let data = rest[usize::from(*header)..].to_vec();
        self.found.push(Pes { pid, pts, dts, key, data });
        Ok(())
    }
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
        }
        crc
    })
}
