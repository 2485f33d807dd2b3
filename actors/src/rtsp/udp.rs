//! RTP and RTCP over UDP: one fixed pair of ports for all sessions.

pub(crate) mod batch;
mod claims;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::meter::Stats;
use crate::rtp_lane::Packed;
pub use batch::Sent;
use batch::{Batches, Offload};
use claims::{Claim, Claims};
pub use claims::{KnownBy, Wanted};

/// No datagram on Ethernet is larger; an IPv4 one cannot be.
const MAX_DATAGRAM: usize = 65_536;
/// Datagrams given to one session in one message at most.
const MAX_BATCH: usize = 64;
/// What the kernel may hold while the hub is busy: 0.2 s of 100 cameras of 2 Mbit/s each are 5 MB.
const RECEIVE_BUFFER: usize = 4 << 20;
/// What the kernel may hold of what all UDP viewers are sent: a key frame of 60 KB for each of 60 viewers at once.
const SEND_BUFFER: usize = 4 << 20;
/// Tries to find an even port with a free odd one above it.
const PAIR_TRIES: u32 = 64;

/// Datagrams of one sender.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Datagrams {
    /// Index of the track.
    pub track: usize,
    /// They came to the RTCP port.
    pub rtcp: bool,
    /// In the order they came.
    pub datagrams: Vec<Bytes>,
}

/// The pair of ports. What cannot be sent at once is not sent, so nobody waits to send: the kernel would wake a thread for each
/// datagram that a viewer of this machine, or the network's driver, has done with.
#[derive(Debug)]
pub struct UdpPorts {
    rtp: AsyncFd<UdpSocket>,
    rtcp: AsyncFd<UdpSocket>,
    ports: (u16, u16),
    /// The sockets are of IPv6 and take IPv4 too.
    dual: bool,
    claims: Mutex<Claims>,
    batches: Batches,
}

impl UdpPorts {
    /// Opens both ports. `port` is the even one for RTP; 0 lets the system choose a pair.
    pub fn bind(port: u16) -> io::Result<Self> {
        let tries = if port == 0 { PAIR_TRIES } else { 1 };
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..tries {
            let rtp = bind(port)?;
            let even = rtp.get_ref().local_addr()?.port();
            // RFC 3550, section 11: RTP on the even port. Some players insist.
            if even % 2 == 1 || even == u16::MAX {
                last = io::Error::new(io::ErrorKind::InvalidInput, format!("the RTP port {even} is not even"));
                continue;
            }
            match bind(even + 1) {
                Ok(rtcp) => {
                    let ports = (even, even + 1);
                    let dual = rtp.get_ref().local_addr()?.is_ipv6();
                    let (claims, batches) = (Mutex::default(), Batches::new());
                    return Ok(Self { rtp, rtcp, ports, dual, claims, batches });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// RTP and RTCP.
    pub fn ports(&self) -> (u16, u16) {
        self.ports
    }

    /// Receives on this thread until the returned handle's system ends.
    pub fn run(self: &Arc<Self>, stats: &Arc<Stats>) {
        for rtcp in [false, true] {
            let (ports, stats) = (Arc::clone(self), Arc::clone(stats));
            actix_rt::spawn(async move { ports.receive(rtcp, &stats).await });
        }
    }

    async fn receive(&self, rtcp: bool, stats: &Stats) {
        let socket = if rtcp { &self.rtcp } else { &self.rtp };
        let mut buffer = BytesMut::zeroed(4 * MAX_DATAGRAM);
        let mut batch: Option<(SocketAddr, Vec<Bytes>)> = None;
        loop {
            if buffer.len() < MAX_DATAGRAM {
                buffer = BytesMut::zeroed(4 * MAX_DATAGRAM);
            }
            // It fails when the hub ends.
            let Ok(mut ready) = socket.readable().await else { return };
            let (length, from) = match ready.try_io(|socket| socket.get_ref().recv_from(&mut buffer)) {
                Ok(Ok((length, from))) => (length, SocketAddr::new(from.ip().to_canonical(), from.port())),
                Err(_) => {
                    self.deliver(rtcp, batch.take(), stats);
                    continue;
                }
                // Linux reports a peer's closed port here; it concerns that peer only.
                Ok(Err(error)) => {
                    log::debug!("UDP port {}: {error}", if rtcp { self.ports.1 } else { self.ports.0 });
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let datagram = buffer.split_to(length).freeze();
            match &mut batch {
                Some((sender, datagrams)) if *sender == from && datagrams.len() < MAX_BATCH => datagrams.push(datagram),
                _ => self.deliver(rtcp, batch.replace((from, vec![datagram])), stats),
            }
        }
    }

    /// An address as the sockets want it: IPv4 within IPv6 where they serve both.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (to.ip(), self.dual) {
            (IpAddr::V4(ip), true) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), to.port()),
            _ => to,
        }
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on datagrams from these ports of a client go to `to`, until the guard is dropped; see `claims.rs` for clients
    /// whose ports a NAT changes.
    pub fn register(self: &Arc<Self>, client: IpAddr, wanted: Wanted, to: &Recipient<Datagrams>) -> UdpRoute {
        let claim = self.claims().insert(client, wanted, to.clone());
        UdpRoute { ports: Arc::clone(self), claim, offload: Offload::default() }
    }

    /// Gives a batch to its session. UDP may lose: what a busy session cannot take is dropped, and shows as loss.
    fn deliver(&self, rtcp: bool, batch: Option<(SocketAddr, Vec<Bytes>)>, stats: &Stats) {
        let Some((from, datagrams)) = batch else { return };
        let count = datagrams.len() as u64;
        let claim = datagrams.first().and_then(|first| self.claims().find(from, rtcp, first));
        let taken =
            claim.is_some_and(|claim| claim.to.try_send(Datagrams { track: claim.track(), rtcp, datagrams }).is_ok());
        if !taken {
            stats.stray_datagrams.add(count);
        }
    }
}

/// A session's claim on datagrams of one track, and its way to the client.
#[derive(Debug)]
pub struct UdpRoute {
    ports: Arc<UdpPorts>,
    claim: Arc<Claim>,
    offload: Offload,
}

impl UdpRoute {
    /// RTP and RTCP port as SETUP announced them.
    pub fn announced(&self) -> (u16, u16) {
        self.claim.announced()
    }

    /// Waits anew for the client's first packet, if none has come.
    pub fn reopen(&self) {
        self.ports.claims().reopen(&self.claim);
    }

    /// Sends RTCP to the client, if the socket takes it now.
    pub fn send_rtcp(&self, bytes: &[u8]) {
        // A lost report is made up for by the next.
        let _ = self.ports.rtcp.get_ref().send_to(bytes, self.ports.reachable(self.claim.address(true)));
    }

    /// Sends packets to the client, as far as the socket takes them now.
    pub fn send(&self, rtcp: bool, packed: &Packed) -> Sent {
        let socket = if rtcp { &self.ports.rtcp } else { &self.ports.rtp };
        let to = self.ports.reachable(self.claim.address(rtcp));
        self.ports.batches.send(socket.get_ref(), to, packed, &self.offload)
    }
}

impl Drop for UdpRoute {
    fn drop(&mut self) {
        self.ports.claims().remove(&self.claim);
    }
}

/// Binds for IPv6 and IPv4 alike, or for IPv4 where the machine has no IPv6.
#[expect(
    deprecated,
    reason = "its successor is `unsafe`: a descriptor might change or be closed, which a `UdpSocket`'s does not"
)]
fn bind(port: u16) -> io::Result<AsyncFd<UdpSocket>> {
    let open = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(false)?;
        }
        // The kernel gives less where net.core.rmem_max is lower; that is no reason to fail.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        AsyncFd::with_interest(socket.into(), Interest::READABLE)
    };
    match open(Domain::IPV6, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            open(Domain::IPV4, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
        }
        result => result,
    }
}

/// A random 32-bit number, e.g. for an SSRC: the standard library's per-process hash keys are random.
pub fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(Instant::now().elapsed().as_nanos());
    hasher.finish()
}
