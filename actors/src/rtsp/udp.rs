//! RTP and RTCP over UDP: one fixed pair of ports for all sessions. A datagram belongs to whom its sender's address says.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::meter::Stats;
use crate::rtp_lane::Packed;

/// No datagram on Ethernet is larger; an IPv4 one cannot be.
const MAX_DATAGRAM: usize = 65_536;
/// Datagrams given to one session in one message at most.
const MAX_BATCH: usize = 64;
/// What the kernel may hold while the hub is busy: 0.2 s of 100 cameras of 2 Mbit/s each are 5 MB.
const RECEIVE_BUFFER: usize = 4 << 20;
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

#[derive(Debug, Clone)]
struct Route {
    token: u64,
    track: usize,
    to: Recipient<Datagrams>,
}

type Routes = Mutex<HashMap<SocketAddr, Route>>;

fn lock(routes: &Routes) -> MutexGuard<'_, HashMap<SocketAddr, Route>> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pair of ports.
#[derive(Debug)]
pub struct UdpPorts {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    ports: (u16, u16),
    /// The sockets are of IPv6 and take IPv4 too.
    dual: bool,
    rtp_routes: Routes,
    rtcp_routes: Routes,
    tokens: AtomicU64,
}

impl UdpPorts {
    /// Opens both ports. `port` is the even one for RTP; 0 lets the system choose a pair.
    pub fn bind(port: u16) -> io::Result<Self> {
        let tries = if port == 0 { PAIR_TRIES } else { 1 };
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..tries {
            let rtp = bind(port)?;
            let even = rtp.local_addr()?.port();
            // RFC 3550, section 11: RTP on the even port. Some players insist.
            if even % 2 == 1 || even == u16::MAX {
                last = io::Error::new(io::ErrorKind::InvalidInput, format!("the RTP port {even} is not even"));
                continue;
            }
            match bind(even + 1) {
                Ok(rtcp) => {
                    let ports = (even, even + 1);
                    let dual = rtp.local_addr()?.is_ipv6();
                    let (rtp_routes, rtcp_routes) = Default::default();
                    return Ok(Self { rtp, rtcp, ports, dual, rtp_routes, rtcp_routes, tokens: AtomicU64::new(0) });
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
        let (socket, routes) = if rtcp { (&self.rtcp, &self.rtcp_routes) } else { (&self.rtp, &self.rtp_routes) };
        let mut buffer = BytesMut::with_capacity(4 * MAX_DATAGRAM);
        let mut batch: Option<(SocketAddr, Vec<Bytes>)> = None;
        loop {
            if buffer.capacity() < MAX_DATAGRAM {
                buffer.reserve(4 * MAX_DATAGRAM);
            }
            let from = match socket.try_recv_buf_from(&mut buffer) {
                Ok((_, from)) => SocketAddr::new(from.ip().to_canonical(), from.port()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    deliver(routes, rtcp, batch.take(), stats);
                    // An error shows at the next receive.
                    let _ = socket.readable().await;
                    continue;
                }
                // Linux reports a peer's closed port here; it concerns that peer only.
                Err(error) => {
                    log::debug!("UDP port {}: {error}", if rtcp { self.ports.1 } else { self.ports.0 });
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let datagram = buffer.split().freeze();
            match &mut batch {
                Some((sender, datagrams)) if *sender == from && datagrams.len() < MAX_BATCH => datagrams.push(datagram),
                _ => deliver(routes, rtcp, batch.replace((from, vec![datagram])), stats),
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

    /// From now on datagrams from these ports of a client go to `to`, until the guard is dropped. A new session of the same
    /// client address replaces an old one: the client knows best which is its own.
    pub fn register(
        self: &Arc<Self>,
        client: IpAddr,
        ports: (u16, u16),
        track: usize,
        to: &Recipient<Datagrams>,
    ) -> UdpRoute {
        let token = self.tokens.fetch_add(1, Relaxed);
        let (rtp, rtcp) = (SocketAddr::new(client, ports.0), SocketAddr::new(client, ports.1));
        lock(&self.rtp_routes).insert(rtp, Route { token, track, to: to.clone() });
        lock(&self.rtcp_routes).insert(rtcp, Route { token, track, to: to.clone() });
        UdpRoute { ports: Arc::clone(self), rtp, rtcp, token }
    }
}

/// Gives a batch to its session. UDP may lose: what a busy session cannot take is dropped, and shows as loss.
fn deliver(routes: &Routes, rtcp: bool, batch: Option<(SocketAddr, Vec<Bytes>)>, stats: &Stats) {
    let Some((from, datagrams)) = batch else { return };
    let route = lock(routes).get(&from).cloned();
    match route {
        Some(route) => {
            let count = datagrams.len() as u64;
            if route.to.try_send(Datagrams { track: route.track, rtcp, datagrams }).is_err() {
                stats.stray_datagrams.add(count);
            }
        }
        None => stats.stray_datagrams.add(datagrams.len() as u64),
    }
}

/// A session's claim on datagrams of one track.
#[derive(Debug)]
pub struct UdpRoute {
    ports: Arc<UdpPorts>,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    token: u64,
}

impl UdpRoute {
    /// Sends RTCP to the client, if the socket takes it now.
    pub fn send_rtcp(&self, bytes: &[u8]) {
        // A lost report is made up for by the next.
        let _ = self.ports.rtcp.try_send_to(bytes, self.ports.reachable(self.rtcp));
    }

    /// Sends packets to the client, as far as the socket takes them now. Returns the bytes that it took.
    pub fn send(&self, rtcp: bool, packed: &Packed) -> usize {
        let (socket, to) = if rtcp { (&self.ports.rtcp, self.rtcp) } else { (&self.ports.rtp, self.rtp) };
        let to = self.ports.reachable(to);
        let mut rest = &packed.bytes[..];
        let mut sent = 0;
        for length in packed.lengths.iter() {
            let (packet, after) = rest.split_at(usize::from(*length).min(rest.len()));
            rest = after;
            // UDP may lose: a full buffer loses here what the network would lose later.
            sent += socket.try_send_to(packet, to).unwrap_or(0);
        }
        sent
    }
}

impl Drop for UdpRoute {
    fn drop(&mut self) {
        for (routes, address) in [(&self.ports.rtp_routes, self.rtp), (&self.ports.rtcp_routes, self.rtcp)] {
            let mut routes = lock(routes);
            if routes.get(&address).is_some_and(|route| route.token == self.token) {
                routes.remove(&address);
            }
        }
    }
}

/// Binds for IPv6 and IPv4 alike, or for IPv4 where the machine has no IPv6.
fn bind(port: u16) -> io::Result<UdpSocket> {
    let open = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(false)?;
        }
        // The kernel gives less where net.core.rmem_max is lower; that is no reason to fail.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
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
