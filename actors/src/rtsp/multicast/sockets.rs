//! The sockets of a group.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use actix::prelude::*;
use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::GroupSender;
use super::groups::Lease;
use crate::rtp_lane::Packed;
use crate::rtsp::udp::Sent;
use crate::rtsp::udp::batch::{Batches, Offload};

/// Reports that are taken at once; then others have their turn.
const MAX_HEARD: usize = 64;
/// A receiver report of one stream has about 60 bytes; a compound packet stays within Ethernet's 1500.
const MAX_REPORT: usize = 1500;

/// One to send RTP from, and one a track for its RTCP, which is a member of the group as well: receivers report to the group.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Nobody waits for it: see [`UdpPorts`](crate::rtsp::udp::UdpPorts).
    rtp: std::net::UdpSocket,
    rtcp: Vec<UdpSocket>,
    /// RTP and RTCP of each track.
    to: Vec<[SocketAddr; 2]>,
    batches: Batches,
    offload: Offload,
}

impl Sockets {
    pub(super) fn open(lease: &Lease, tracks: usize) -> io::Result<Self> {
        let group = lease.group;
        let out_of_ports = || io::Error::new(io::ErrorKind::AddrNotAvailable, "no port is left");
        let ports: Option<Vec<_>> = (0..tracks).map(|track| group.ports(track)).collect();
        let ports = ports.ok_or_else(out_of_ports)?;
        let interface = lease.interface().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let socket = |address: Ipv4Addr, port: u16| -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            // A group that has just ended may still have the port, and so has a player on this machine.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SocketAddr::from((address, port)).into())?;
            socket.set_multicast_ttl_v4(group.ttl.into())?;
            socket.set_multicast_loop_v4(true)?;
            if !interface.is_unspecified() {
                socket.set_multicast_if_v4(&interface)?;
            }
            Ok(socket)
        };
        let report = |(_, port): &(u16, u16)| -> io::Result<UdpSocket> {
            // Bound to the group, so that nothing but its packets come.
            let socket = socket(group.address, *port)?;
            socket.join_multicast_v4(&group.address, &interface)?;
            UdpSocket::from_std(socket.into())
        };
        Ok(Self {
            rtp: socket(group.source, 0)?.into(),
            rtcp: ports.iter().map(report).collect::<io::Result<_>>()?,
            to: ports.iter().map(|(rtp, rtcp)| [*rtp, *rtcp].map(|port| (group.address, port).into())).collect(),
            batches: Batches::new(),
            offload: Offload::default(),
        })
    }

    /// Sends as far as the socket takes it now.
    pub(super) fn send(&self, track: usize, rtcp: bool, packed: &Packed) -> Sent {
        let (Some(report), Some(to)) = (self.rtcp.get(track), self.to.get(track)) else { return Sent::default() };
        let [rtp_to, rtcp_to] = *to;
        match rtcp {
            false => self.batches.send(&self.rtp, rtp_to, packed, &self.offload),
            true => self.batches.send(report, rtcp_to, packed, &self.offload),
        }
    }
}

/// Takes what members report.
pub(super) struct Hear;

impl ActorFuture<GroupSender> for Hear {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        sender: &mut GroupSender,
        _: &mut Context<GroupSender>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        let mut bytes = [0; MAX_REPORT];
        for track in 0..sender.sockets.rtcp.len() {
            for turn in 0.. {
                if turn == MAX_HEARD {
                    task.waker().wake_by_ref();
                    break;
                }
                let mut buffer = ReadBuf::new(&mut bytes);
                match sender.sockets.rtcp[track].poll_recv_from(task, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(from)) => {
                        sender.heard(track, from.ip(), Bytes::copy_from_slice(buffer.filled()));
                    }
                    Poll::Ready(Err(error)) => log::debug!("{}: {error}", sender.lease.group.address),
                }
            }
        }
        Poll::Pending
    }
}
