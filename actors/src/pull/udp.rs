//! The UDP ports of one pulled track: packets of the camera only, RTCP back, and the way through a NAT opened.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// No datagram is larger.
const MAX_DATAGRAM: usize = 65_536;
/// What the kernel may hold while the hub is busy: a second of a camera of 16 Mbit/s.
const RECEIVE_BUFFER: usize = 2 << 20;
/// Tries to find an even port with a free odd one above it.
const PAIR_TRIES: u32 = 64;
/// An empty RTP packet and an empty receiver report: what ffmpeg and live555 send to open the way.
const RTP_HELLO: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RTCP_HELLO: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// An even port and the next.
#[derive(Debug)]
pub(super) struct Ports {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Of the camera: nobody else's datagrams are taken.
    camera: IpAddr,
    /// Where it listens, as far as it is known.
    remote: (Option<SocketAddr>, Option<SocketAddr>),
}

impl Ports {
    /// Opens both at the address that the camera was reached from.
    pub(super) fn open(local: SocketAddr, camera: SocketAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PAIR_TRIES {
            let rtp = bind(local, 0)?;
            let even = rtp.local_addr()?.port();
            // RFC 3550, section 11: RTP on the even port.
            if even % 2 == 1 {
                continue;
            }
            match bind(local, even + 1) {
                Ok(rtcp) => return Ok(Self { rtp, rtcp, camera: camera.ip().to_canonical(), remote: (None, None) }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// RTP and RTCP.
    pub(super) fn numbers(&self) -> io::Result<(u16, u16)> {
        Ok((self.rtp.local_addr()?.port(), self.rtcp.local_addr()?.port()))
    }

    /// The camera says where it sends from; `peer` is its end of the connection.
    pub(super) fn set_remote(&mut self, peer: SocketAddr, source: Option<IpAddr>, ports: Option<(u16, u16)>) {
        // As long as it is of the same family our sockets can reach it.
        if let Some(source) = source.filter(|source| source.is_ipv4() == self.camera.is_ipv4()) {
            self.camera = source.to_canonical();
        }
        let at = |port| {
            let mut address = peer;
            if address.ip().to_canonical() != self.camera {
                address.set_ip(self.camera);
            }
            address.set_port(port);
            address
        };
        if let Some((rtp, rtcp)) = ports {
            self.remote = (Some(at(rtp)), Some(at(rtcp)));
            self.open_way();
        }
    }

    /// Makes routers let the camera's packets through.
    pub(super) fn open_way(&self) {
        // What is lost here is sent again with each report.
        if let Some(remote) = self.remote.0 {
            let _ = self.rtp.try_send_to(&RTP_HELLO, remote);
        }
        self.send_rtcp(&RTCP_HELLO);
    }

    /// Sends RTCP, once it is known where to.
    pub(super) fn send_rtcp(&self, bytes: &[u8]) {
        if let Some(remote) = self.remote.1 {
            let _ = self.rtcp.try_send_to(bytes, remote);
        }
    }

    /// Reads what has come, up to `limit` datagrams of each port: false is RTP, true RTCP.
    pub(super) fn poll(
        &mut self,
        task: &mut Context<'_>,
        buffer: &mut BytesMut,
        limit: usize,
        take: &mut dyn FnMut(bool, Bytes),
    ) {
        for rtcp in [false, true] {
            let socket = if rtcp { &self.rtcp } else { &self.rtp };
            for _ in 0..limit {
                if buffer.capacity() - buffer.len() < MAX_DATAGRAM {
                    buffer.reserve(4 * MAX_DATAGRAM);
                }
                match socket.try_recv_buf_from(buffer) {
                    Ok((_, from)) if from.ip().to_canonical() == self.camera => {
                        let known = if rtcp { &mut self.remote.1 } else { &mut self.remote.0 };
                        known.get_or_insert(from);
                        take(rtcp, buffer.split().freeze());
                    }
                    Ok(_) => buffer.clear(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.poll_recv_ready(task) {
                        Poll::Pending => break,
                        Poll::Ready(_) => continue,
                    },
                    // Linux tells here that the camera's port is closed; it may open it yet.
                    Err(_) => {}
                }
            }
        }
    }
}

fn bind(local: SocketAddr, port: u16) -> io::Result<UdpSocket> {
    let mut address = local;
    address.set_port(port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel gives less where net.core.rmem_max is lower; that is no reason to fail.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
