//! AAC (RFC 3640): several frames a packet, or a frame in several packets. Frames in ADTS, which some cameras send, are
//! freed of their headers, with or without the AU headers of the RFC before them.

use bytes::Bytes;

use super::{AccessUnit, Error};
use crate::codec::aac::{Adts, Config};
use crate::codec::bits::Bits;
use crate::codec::fmtp_value;
use crate::rtp::Packet;
use crate::{Parameters, Track, Units};

/// Bytes of one frame. AAC needs at most 768 a channel (6144 bits), and the 13 bits of AAC-hbr end at 8191.
const MAX_FRAME: usize = 64 << 10;

/// Frames of one packet: at most 64 fit with a byte each into what AAC-lbr sends; more is no audio.
const MAX_FRAMES: usize = 512;

/// Bits of the fields in an AU header (section 3.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeaderBits {
    size: u32,
    index: u32,
    delta: u32,
    cts_delta: u32,
    dts_delta: u32,
    random_access: u32,
    stream_state: u32,
    auxiliary: u32,
}

impl HeaderBits {
    fn new(fmtp: &str) -> Self {
        let bits = |name| fmtp_value(fmtp, name).and_then(|v| v.parse::<u32>().ok()).filter(|bits| *bits <= 32);
        let low = fmtp_value(fmtp, "mode").is_some_and(|mode| mode.eq_ignore_ascii_case("AAC-lbr"));
        // Cameras that leave the lengths out mean those that go with the mode, and without one AAC-hbr.
        let (size, index) = match bits("sizelength").filter(|bits| *bits > 0) {
            Some(size) => (size, 0),
            None if low => (6, 2),
            None => (13, 3),
        };
        Self {
            size,
            index: bits("indexlength").unwrap_or(index),
            delta: bits("indexdeltalength").unwrap_or(index),
            cts_delta: bits("ctsdeltalength").unwrap_or(0),
            dts_delta: bits("dtsdeltalength").unwrap_or(0),
            random_access: bits("randomaccessindication").unwrap_or(0).min(1),
            stream_state: bits("streamstateindication").unwrap_or(0),
            auxiliary: bits("auxiliarydatasizelength").unwrap_or(0),
        }
    }
}

/// A frame that comes in several packets.
#[derive(Debug)]
struct Fragments {
    timestamp: u32,
    size: usize,
    units: Units,
}

#[derive(Debug)]
pub(super) struct Depacketizer {
    bits: HeaderBits,
    clock_rate: u32,
    config: Option<Config>,
    /// The configuration is not what was reported.
    news: bool,
    open: Option<Fragments>,
    pub(super) dropped: u64,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Self {
        let config = match &track.parameters {
            Some(Parameters::Aac(config)) => Some(config.clone()),
            _ => Config::from_fmtp(&track.fmtp).and_then(Result::ok),
        };
        Self {
            bits: HeaderBits::new(&track.fmtp),
            clock_rate: track.clock_rate,
            news: config.is_some() && track.parameters.is_none(),
            config,
            open: None,
            dropped: 0,
        }
    }

    pub(super) fn parameters(&self) -> Option<Parameters> {
        self.config.clone().map(Parameters::Aac)
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        if lost && self.open.take().is_some() {
            self.dropped += 1;
        }
        let payload = &packet.payload;
        if payload.is_empty() {
            return Ok(());
        }
        // As a length of AU headers, an ADTS header would be more than 8000 bytes.
        if self.open.is_none() && Adts::parse(payload).is_some() {
            return self.adts(payload, packet.timestamp, out);
        }
        let (sizes, data) = self.headers(payload)?;
        if self.open.is_some() || matches!(sizes[..], [(size, _)] if size > payload.len() - data) {
            return self.fragment(packet, sizes[0].0, data, lost, out);
        }
        let mut at = data;
        let mut index = 0;
        for (i, (size, delta)) in sizes.into_iter().enumerate() {
            index += if i == 0 { 0 } else { delta + 1 };
            if size > payload.len() - at {
                return Err(Error::Truncated { what: "audio frame", at });
            }
            self.frame(payload.slice(at..at + size), packet.timestamp.wrapping_add(self.ticks(index)), out);
            at += size;
        }
        Ok(())
    }

    /// Sizes and index deltas of the frames, and the byte at which the first one begins (sections 3.2.1 and 3.2.2).
    fn headers(&self, payload: &Bytes) -> Result<(Vec<(usize, u32)>, usize), Error> {
        let cut = |_| Error::Truncated { what: "AU header section", at: 0 };
        let layout = self.bits;
        let mut all = Bits::new(payload, "AU headers");
        let len = all.read(16).map_err(cut)? as usize;
        let mut bits = all.clone();
        all.skip(len).map_err(cut)?;
        let mut sizes = Vec::new();
        while bits.position() + (layout.size + layout.delta.min(layout.index)) as usize <= 16 + len {
            let first = sizes.is_empty();
            let size = bits.read(layout.size).map_err(cut)? as usize;
            let delta = bits.read(if first { layout.index } else { layout.delta }).map_err(cut)?;
            for (flagged, extra) in [(layout.cts_delta > 0, layout.cts_delta), (layout.dts_delta > 0, layout.dts_delta)]
            {
                if flagged && bits.flag().map_err(cut)? {
                    bits.skip(extra as usize).map_err(cut)?;
                }
            }
            bits.skip((layout.random_access + layout.stream_state) as usize).map_err(cut)?;
            if size > MAX_FRAME || delta > MAX_FRAMES as u32 {
                return Err(Error::Invalid { what: "AU size or index", at: bits.position() / 8 });
            }
            if sizes.len() >= MAX_FRAMES {
                return Err(Error::TooLarge { limit: MAX_FRAMES, of: "audio frames" });
            }
            sizes.push((size, delta));
        }
        if sizes.is_empty() {
            return Err(Error::Invalid { what: "AU headers length", at: 0 });
        }
        all.skip(all.position().next_multiple_of(8) - all.position()).map_err(cut)?;
        if layout.auxiliary > 0 {
            let extra = all.read(layout.auxiliary).map_err(cut)? as usize;
            all.skip(extra).map_err(cut)?;
            all.skip(all.position().next_multiple_of(8) - all.position()).map_err(cut)?;
        }
        Ok((sizes, all.position() / 8))
    }

    /// Every packet of a fragmented frame has one AU header with the size of the whole (section 3.2.3).
    fn fragment(
        &mut self,
        packet: &Packet,
        size: usize,
        data: usize,
        lost: bool,
        out: &mut Vec<AccessUnit>,
    ) -> Result<(), Error> {
        let body = packet.payload.slice(data..);
        let mut open = match self.open.take() {
            Some(open) if open.timestamp == packet.timestamp && open.size == size => open,
            Some(_) => {
                // What this packet begins is read as if nothing had been open.
                self.dropped += 1;
                return self.push(packet, false, out).and(Err(Error::NoEnd { kind: 0, at: data }));
            }
            // The rest of a frame whose start is lost looks like a start; the marker gives the last part away.
            None if lost && packet.marker => {
                self.dropped += 1;
                return Ok(());
            }
            None => Fragments { timestamp: packet.timestamp, size, units: Units::single(Bytes::new()) },
        };
        open.units.extend(body);
        if open.units.len() < size && !packet.marker {
            self.open = Some(open);
            return Ok(());
        }
        if open.units.len() != size {
            self.dropped += 1;
            return Err(Error::Invalid { what: "size of a fragmented audio frame", at: 2 });
        }
        let whole = open.units.iter().next().map(|unit| unit.to_bytes());
        self.frame(whole.unwrap_or_default(), packet.timestamp, out);
        Ok(())
    }

    /// Frames that follow one another with nothing but their ADTS headers.
    fn adts(&mut self, payload: &Bytes, timestamp: u32, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        let mut at = 0;
        let mut index = 0;
        while at < payload.len() {
            let Some(header) = Adts::parse(&payload[at..]) else {
                return Err(Error::Invalid { what: "ADTS header", at });
            };
            if header.frame_len > payload.len() - at {
                self.dropped += 1;
                return Err(Error::Truncated { what: "ADTS frame", at });
            }
            self.frame(payload.slice(at..at + header.frame_len), timestamp.wrapping_add(self.ticks(index)), out);
            at += header.frame_len;
            index += 1;
        }
        Ok(())
    }

    fn frame(&mut self, mut frame: Bytes, timestamp: u32, out: &mut Vec<AccessUnit>) {
        if let Some(header) = Adts::parse(&frame).filter(|header| header.frame_len == frame.len()) {
            frame = frame.slice(header.header_len..);
            if self.config.is_none() {
                self.config = Config::from_adts(&header).ok();
                self.news = self.config.is_some();
            }
        }
        if frame.is_empty() {
            return;
        }
        let parameters = if std::mem::take(&mut self.news) { self.parameters() } else { None };
        out.push(AccessUnit { timestamp, key: true, units: Units::single(frame), parameters });
    }

    /// RTP ticks of so many frames. The clock is the sample rate, or the doubled one with HE-AAC.
    fn ticks(&self, frames: u32) -> u32 {
        match &self.config {
            Some(config) => config.ticks(frames, self.clock_rate),
            None => frames.wrapping_mul(1024),
        }
    }
}
