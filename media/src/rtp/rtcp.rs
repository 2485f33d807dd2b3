//! RTCP (RFC 3550, section 6): what a hub needs of it. Sender reports and BYE are read, receiver reports are written.

use bytes::{BufMut, Bytes, BytesMut};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// Sub-packets of one compound packet that are read; a datagram cannot hold many more, and none needs them.
const MAX_PARTS: usize = 64;

/// A sender report's clocks: this RTP time was this wall-clock time (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// Who sent it.
    pub ssrc: u32,
    /// Wall clock: seconds since 1900 in the upper, 2^-32 s in the lower half.
    pub ntp: u64,
    /// The same moment in ticks of the track's clock.
    pub rtp: u32,
}

impl SenderReport {
    /// The middle 32 bits of the wall clock, as a report block quotes them.
    pub fn ntp_middle(&self) -> u32 {
        (self.ntp >> 16) as u32
    }

    /// The wall clock in nanoseconds since 1900.
    pub fn ntp_nanos(&self) -> i128 {
        i128::from(self.ntp >> 32) * 1_000_000_000 + ((i128::from(self.ntp & 0xffff_ffff) * 1_000_000_000) >> 32)
    }
}

/// One block of a receiver report (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the start; 24 bits, negative if duplicates came.
    pub lost: i32,
    /// Highest sequence number, with its wraps in the upper half.
    pub highest_sequence: u32,
    /// Ticks of the track's clock.
    pub jitter: u32,
    /// Middle of the last sender report's wall clock, 0 if none came.
    pub last_report: u32,
    /// Since that report, in 1/65536 s.
    pub delay: u32,
}

/// What a compound packet says that the hub acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rtcp {
    /// A sender report's clocks.
    SenderReport(SenderReport),
    /// What a receiver says of a stream.
    ReportBlock(ReportBlock),
    /// The stream of that SSRC ends.
    Bye(u32),
}

/// Why bytes are no RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A part's length goes past the end.
    #[error("RTCP part at byte {at} needs {needs} bytes, {left} are left")]
    Truncated {
        /// Offset of the part.
        at: usize,
        /// Bytes it needs.
        needs: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Another version than 2.
    #[error("RTCP version {version} at byte {at}, expected 2")]
    Version {
        /// Offset of the part.
        at: usize,
        /// As received.
        version: u8,
    },
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

fn block(bytes: &[u8], at: usize) -> Option<ReportBlock> {
    let loss = word(bytes, at + 4)?;
    Some(ReportBlock {
        ssrc: word(bytes, at)?,
        fraction_lost: (loss >> 24) as u8,
        lost: ((loss << 8) as i32) >> 8,
        highest_sequence: word(bytes, at + 8)?,
        jitter: word(bytes, at + 12)?,
        last_report: word(bytes, at + 16)?,
        delay: word(bytes, at + 20)?,
    })
}

/// Reads a compound packet. Parts of other kinds are passed over.
pub fn parse(bytes: &[u8]) -> Result<Vec<Rtcp>, RtcpError> {
    let mut out = Vec::new();
    let mut at = 0;
    for _ in 0..MAX_PARTS {
        if at >= bytes.len() {
            break;
        }
        let left = bytes.len() - at;
        let [b0, kind, l0, l1] = *bytes[at..].first_chunk::<4>().ok_or(RtcpError::Truncated { at, needs: 4, left })?;
        if b0 >> 6 != 2 {
            return Err(RtcpError::Version { at, version: b0 >> 6 });
        }
        let needs = 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let part = bytes.get(at..at + needs).ok_or(RtcpError::Truncated { at, needs, left })?;
        let count = usize::from(b0 & 0x1f);
        match kind {
            SENDER_REPORT => {
                if let (Some(ssrc), Some(high), Some(low), Some(rtp)) =
                    (word(part, 4), word(part, 8), word(part, 12), word(part, 16))
                {
                    let ntp = u64::from(high) << 32 | u64::from(low);
                    out.push(Rtcp::SenderReport(SenderReport { ssrc, ntp, rtp }));
                }
                out.extend((0..count).map_while(|n| block(part, 28 + 24 * n)).map(Rtcp::ReportBlock));
            }
            RECEIVER_REPORT => out.extend((0..count).map_while(|n| block(part, 8 + 24 * n)).map(Rtcp::ReportBlock)),
            BYE => out.extend((0..count).map_while(|n| word(part, 4 + 4 * n)).map(Rtcp::Bye)),
            _ => {}
        }
        at += needs;
    }
    Ok(out)
}

/// A receiver report of one stream with the source description that must go with it (RFC 3550, section 6.1).
pub fn receiver_report(own_ssrc: u32, block: &ReportBlock, cname: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + cname.len());
    out.put_slice(&[0x81, RECEIVER_REPORT, 0, 7]);
    out.put_u32(own_ssrc);
    out.put_u32(block.ssrc);
    out.put_u32(u32::from(block.fraction_lost) << 24 | block.lost as u32 & 0xff_ffff);
    out.put_u32(block.highest_sequence);
    out.put_u32(block.jitter);
    out.put_u32(block.last_report);
    out.put_u32(block.delay);
    source_description(&mut out, own_ssrc, cname);
    out.freeze()
}

/// A sender report without blocks and its source description.
pub fn sender_report(report: &SenderReport, packets: u32, octets: u32, cname: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + cname.len());
    out.put_slice(&[0x80, SENDER_REPORT, 0, 6]);
    out.put_u32(report.ssrc);
    out.put_u64(report.ntp);
    out.put_u32(report.rtp);
    out.put_u32(packets);
    out.put_u32(octets);
    source_description(&mut out, report.ssrc, cname);
    out.freeze()
}

/// The end of a stream (RFC 3550, section 6.6), after an empty report as every compound packet must begin with one.
pub fn bye(ssrc: u32, reason: &str) -> Bytes {
    let mut end = reason.len().min(255);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason.as_bytes()[..end];
    let padded = (1 + reason.len()).next_multiple_of(4);
    let mut out = BytesMut::with_capacity(16 + padded);
    out.put_slice(&[0x80, RECEIVER_REPORT, 0, 1]);
    out.put_u32(ssrc);
    out.put_slice(&[0x81, BYE]);
    out.put_u16((1 + padded / 4) as u16);
    out.put_u32(ssrc);
    out.put_u8(reason.len() as u8);
    out.put_slice(reason);
    out.put_bytes(0, padded - 1 - reason.len());
    out.freeze()
}

fn source_description(out: &mut BytesMut, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // Item type 1 (CNAME), its length, the text, and at least one zero up to a whole word.
    let item = 2 + cname.len();
    let padded = (item / 4 + 1) * 4;
    out.put_slice(&[0x81, SOURCE_DESCRIPTION]);
    out.put_u16((1 + padded / 4) as u16);
    out.put_u32(ssrc);
    out.put_slice(&[1, cname.len() as u8]);
    out.put_slice(cname);
    out.put_bytes(0, padded - item);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 7,
        fraction_lost: 3,
        lost: -2,
        highest_sequence: 0x1_0005,
        jitter: 90,
        last_report: 0x1234_5678,
        delay: 65536,
    };

    #[test]
    fn reports_read_back() {
        let report = SenderReport { ssrc: 5, ntp: 0x8000_0001_8000_0000, rtp: 99 };
        for name in ["", "a", "ab", "abc", "ipchub"] {
            let bytes = sender_report(&report, 1, 2, name);
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(parse(&bytes), Ok(vec![Rtcp::SenderReport(report)]));
            assert_eq!(parse(&receiver_report(1, &BLOCK, name)), Ok(vec![Rtcp::ReportBlock(BLOCK)]));
        }
        for reason in ["", "a", "the source ended"] {
            assert_eq!(parse(&bye(9, reason)), Ok(vec![Rtcp::Bye(9)]));
        }
        assert_eq!(report.ntp_nanos(), 0x8000_0001 * 1_000_000_000 + 500_000_000);
    }

    #[test]
    fn every_cut_is_an_error_or_shorter() {
        let bytes = [&receiver_report(1, &BLOCK, "x")[..], &[0x81, 203, 0, 1, 0, 0, 0, 9]].concat();
        assert_eq!(parse(&bytes).map(|all| all.len()), Ok(2));
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err() || parse(&bytes[..cut]).is_ok_and(|all| all.len() < 2));
        }
        assert_eq!(parse(&[0; 4]), Err(RtcpError::Version { at: 0, version: 0 }));
    }
}
