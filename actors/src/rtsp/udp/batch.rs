//! Many datagrams to one address in as few system calls as the system allows.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use quinn_udp::{Transmit, UdpSocketState};
use socket2::SockRef;

use crate::rtp_lane::Packed;

/// The kernel makes this many datagrams of one call at most (`UDP_MAX_SEGMENTS` of Linux before 6.9).
const MAX_SEGMENTS: usize = 64;
/// Bytes of one call: what a single IPv4 datagram could hold, from which the kernel cuts the others.
const MAX_CALL: usize = 65_535 - 20 - 8;
/// Ethernet's 1500 bytes less the heads of IPv6 and UDP, and of IPv4 and UDP. The kernel does not cut to larger pieces than
/// the way's MTU; a larger packet (cameras over TCP send such) goes alone, so that IP can fragment it.
const MAX_SEGMENT_V6: usize = 1452;
const MAX_SEGMENT_V4: usize = 1472;

/// Sends in batches over any socket.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Made for a socket of its own, since making it forbids fragments and lets the kernel join received datagrams, on the
    /// socket it is made for: packets larger than the MTU would be lost, and each receive would have to be taken apart.
    /// What it knows holds for every socket. `None`: the system has no such calls.
    state: Option<UdpSocketState>,
    segments: usize,
}

/// Whether the way to one address takes batches; learned from the first failure.
#[derive(Debug)]
pub(crate) struct Offload(AtomicBool);

impl Default for Offload {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

/// What became of a chunk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of datagrams that the socket took.
    pub bytes: usize,
    /// Datagrams that it did not take. Nobody keeps them: UDP may lose, and a queue here would only be late.
    pub lost: usize,
}

impl Batches {
    pub(crate) fn new() -> Self {
        let probe = || -> io::Result<UdpSocketState> {
            UdpSocketState::new((&UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?).into())
        };
        let state = probe().map_err(|error| log::info!("UDP is sent packet by packet: {error}")).ok();
        let segments = state.as_ref().map_or(1, |state| state.max_gso_segments().min(MAX_SEGMENTS));
        Self { state, segments }
    }

    /// Sends as far as the socket takes it now; it must be one that never blocks.
    pub(crate) fn send(&self, socket: &impl AsFd, to: SocketAddr, packed: &Packed, offload: &Offload) -> Sent {
        let v4 = to.ip().to_canonical().is_ipv4();
        let max_segment = if v4 { MAX_SEGMENT_V4 } else { MAX_SEGMENT_V6 };
        let mut rest = &packed.bytes[..];
        let mut lengths = &packed.lengths[..];
        let mut sent = Sent::default();
        while !lengths.is_empty() {
            let segments = if offload.0.load(Relaxed) { self.segments } else { 1 };
            let run = Run::first(lengths, segments, max_segment);
            let (bytes, after) = rest.split_at(run.bytes.min(rest.len()));
            match self.call(socket, to, bytes, run.segment) {
                Ok(()) => sent.bytes += bytes.len(),
                // The rest would find the buffer as full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sent.lost += lengths.len();
                    return sent;
                }
                // A device without offloading, or a way with a smaller MTU: packet by packet from now on, these too.
                Err(error) if run.count > 1 => {
                    log::debug!("{to}: no batches: {error}");
                    offload.0.store(false, Relaxed);
                    continue;
                }
                Err(error) => {
                    log::trace!("{to}: {error}");
                    sent.lost += 1;
                }
            }
            rest = after;
            lengths = &lengths[run.count..];
        }
        sent
    }

    fn call(&self, socket: &impl AsFd, to: SocketAddr, bytes: &[u8], segment: usize) -> io::Result<()> {
        match &self.state {
            Some(state) if segment < bytes.len() => {
                let transmit =
                    Transmit { destination: to, ecn: None, contents: bytes, segment_size: Some(segment), src_ip: None };
                state.try_send(socket.into(), &transmit)
            }
            _ => SockRef::from(socket).send_to(bytes, &to.into()).map(drop),
        }
    }
}

/// Packets that one call can send: all of the first one's length, the last may be shorter.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    count: usize,
    bytes: usize,
    segment: usize,
}

impl Run {
    /// `lengths` has at least one.
    fn first(lengths: &[u16], segments: usize, max_segment: usize) -> Self {
        let segment = lengths.first().map_or(0, |length| usize::from(*length));
        let mut run = Self { count: 1, bytes: segment, segment };
        if segment > max_segment || segment == 0 {
            return run;
        }
        for length in lengths.iter().skip(1).map(|length| usize::from(*length)) {
            if run.count >= segments || length > segment || length == 0 || run.bytes + length > MAX_CALL {
                break;
            }
            run.count += 1;
            run.bytes += length;
            if length < segment {
                break;
            }
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn runs(lengths: &[u16], segments: usize) -> Vec<usize> {
        let mut rest = lengths;
        let mut counts = Vec::new();
        while !rest.is_empty() {
            let run = Run::first(rest, segments, MAX_SEGMENT_V4);
            assert_eq!(run.bytes, rest[..run.count].iter().map(|n| usize::from(*n)).sum::<usize>());
            counts.push(run.count);
            rest = &rest[run.count..];
        }
        counts
    }

    #[test]
    fn runs_are_equal_but_for_a_shorter_last() {
        assert_eq!(runs(&[1400, 1400, 1400, 90], 64), [4]);
        assert_eq!(runs(&[30, 12, 1400, 1400, 90, 1400], 64), [2, 3, 1]);
        assert_eq!(runs(&[90, 91, 90], 64), [1, 2]);
        assert_eq!(runs(&[1400; 130], 64), [46, 46, 38], "46 are 64 KB");
        assert_eq!(runs(&[100; 130], 64), [64, 64, 2]);
        assert_eq!(runs(&[1473, 1473, 1472, 1472], 64), [1, 1, 2], "larger than the MTU");
        assert_eq!(runs(&[1400; 3], 1), [1, 1, 1]);
        assert_eq!(runs(&[0, 0, 5], 64), [1, 1, 1]);
    }

    #[test]
    fn every_packet_arrives_as_it_was() {
        let to = UdpSocket::bind("127.0.0.1:0").expect("a port");
        to.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a timeout");
        let address = to.local_addr().expect("bound");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        let lengths = [30_u16, 12, 1400, 1400, 1400, 200, 9000, 1472, 1472];
        let bytes: Vec<u8> = lengths.iter().enumerate().flat_map(|(n, l)| vec![n as u8; usize::from(*l)]).collect();
        let packed = Packed { bytes: Bytes::from(bytes), lengths: lengths.into() };
        let whole = Sent { bytes: packed.bytes.len(), lost: 0 };
        let alone = Batches { state: None, segments: 1 };
        for batches in [&Batches::new(), &alone] {
            assert_eq!(batches.send(&socket, address, &packed, &Offload::default()), whole);
            let mut buffer = [0; 10_000];
            for (n, length) in lengths.iter().enumerate() {
                let got = to.recv(&mut buffer).expect("it arrives");
                assert_eq!((got, buffer[0]), (usize::from(*length), n as u8));
            }
        }
        // Nobody listens there: what cannot be sent is counted, not retried.
        let nowhere = "[::1]:9".parse().expect("an address");
        assert_eq!(alone.send(&socket, nowhere, &packed, &Offload::default()).lost, lengths.len());
    }
}
