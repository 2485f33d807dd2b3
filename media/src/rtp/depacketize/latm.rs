//! AAC in LATM (RFC 6416, section 6): `AudioMuxElement`s, one or more in a packet or one in several, the configuration within
//! them or in the description. Frames leave as those of RFC 3640 do.

use bytes::{Bytes, BytesMut};

use super::{AccessUnit, Error};
use crate::codec::bits::Bits;
use crate::codec::latm::{self, StreamMux};
use crate::rtp::Packet;
use crate::{Parameters, Track, Units, codec};

/// Bytes of an element: 64 frames of stereo AAC at the highest rate fit.
const MAX_ELEMENT: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Depacketizer {
    clock_rate: u32,
    /// The description has no configuration: each element says whether it brings one.
    in_band: bool,
    mux: Option<StreamMux>,
    /// The configuration is not what was reported.
    news: bool,
    /// An element that comes in several packets, and its time.
    open: Option<(u32, BytesMut)>,
    pub(super) dropped: u64,
}

impl Depacketizer {
    pub(super) fn new(track: &Track) -> Self {
        let mux = StreamMux::from_fmtp(&track.fmtp).and_then(Result::ok);
        Self {
            clock_rate: track.clock_rate,
            in_band: mux.is_none(),
            news: mux.is_some() && track.parameters.is_none(),
            mux,
            open: None,
            dropped: 0,
        }
    }

    pub(super) fn parameters(&self) -> Option<Parameters> {
        self.mux.as_ref().map(|mux| Parameters::Aac(mux.config.clone()))
    }

    pub(super) fn push(&mut self, packet: &Packet, lost: bool, out: &mut Vec<AccessUnit>) -> Result<(), Error> {
        let mut result = Ok(());
        if let Some((timestamp, _)) = &self.open
            && (lost || *timestamp != packet.timestamp)
        {
            self.open = None;
            self.dropped += 1;
            if !lost {
                result = Err(Error::NoEnd { kind: 0, at: 0 });
            }
        }
        if packet.payload.is_empty() {
            return result;
        }
        let element = match self.open.take() {
            None => packet.payload.clone(),
            Some((_, bytes)) if bytes.len() + packet.payload.len() > MAX_ELEMENT => {
                self.dropped += 1;
                return Err(Error::TooLarge { limit: MAX_ELEMENT, of: "bytes of audio" });
            }
            Some((_, mut bytes)) => {
                bytes.extend_from_slice(&packet.payload);
                bytes.freeze()
            }
        };
        let before = out.len();
        match self.elements(&element, packet.timestamp, out) {
            Ok(()) => result,
            // The rest comes in the next packet: the marker stands on the last (section 6.1).
            Err(codec::Error::Truncated { .. }) if !packet.marker => {
                out.truncate(before);
                self.open = Some((packet.timestamp, BytesMut::from(element)));
                result
            }
            Err(_) => {
                out.truncate(before);
                self.dropped += 1;
                // Behind lost packets it is no wonder.
                if lost { result } else { Err(Error::Invalid { what: "AudioMuxElement", at: 0 }) }
            }
        }
    }

    fn elements(&mut self, bytes: &Bytes, timestamp: u32, out: &mut Vec<AccessUnit>) -> Result<(), codec::Error> {
        let mut bits = Bits::new(bytes, "AudioMuxElement");
        let mut index = 0;
        let mut news = self.news;
        let mut mux = self.mux.clone();
        while bits.left() >= 8 {
            if self.in_band && !bits.flag()? {
                let read = StreamMux::read(&mut bits)?;
                news |= mux.as_ref().is_none_or(|mux| mux.config != read.config);
                mux = Some(read);
            }
            // A stream that is come upon in the middle: its configuration is repeated.
            let Some(mux) = &mux else { return Ok(()) };
            for _ in 0..mux.frames {
                let frame = frame(bytes, &mut bits)?;
                if !frame.is_empty() {
                    let parameters = std::mem::take(&mut news).then(|| Parameters::Aac(mux.config.clone()));
                    let timestamp = timestamp.wrapping_add(mux.config.ticks(index, self.clock_rate));
                    out.push(AccessUnit { timestamp, key: true, units: Units::single(frame), parameters });
                }
                index += 1;
            }
            bits.skip(mux.other_bits as usize)?;
            bits.skip(bits.position().next_multiple_of(8) - bits.position())?;
        }
        (self.mux, self.news) = (mux, news);
        Ok(())
    }
}

/// `PayloadLengthInfo` and `PayloadMux`: a slice where the frame begins with a byte, which it does unless the configuration
/// is in the stream.
fn frame(bytes: &Bytes, bits: &mut Bits<'_>) -> Result<Bytes, codec::Error> {
    let mut len = 0;
    loop {
        let part = bits.read(8)? as usize;
        len += part;
        if part < 255 {
            break;
        }
    }
    let at = bits.position();
    if !at.is_multiple_of(8) {
        if 8 * len > bits.left() {
            bits.skip(8 * len)?;
        }
        return latm::copy(bits, 8 * len);
    }
    bits.skip(8 * len)?;
    Ok(bytes.slice(at / 8..at / 8 + len))
}
