//! The loop of the limit: one thread, one epoll set, one write a frame and viewer.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use quinn_udp::UdpSocketState;
use socket2::{Domain, Socket, Type};

use super::feed::{Chunk, Feed};
use super::peer::{Peer, Role};
use crate::Stream;

const LISTENER: Token = Token(usize::MAX >> 1);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// The limit looks this often whether its parent is still there.
const LOOK: Duration = Duration::from_millis(500);

struct Server {
    poll: Poll,
    listener: TcpListener,
    udp: UdpSocket,
    udp_state: UdpSocketState,
    peers: Vec<Option<Peer>>,
    feed: Feed,
    scratch: Vec<u8>,
}

/// Serves until the standard input closes.
pub(crate) fn serve(stream: &Stream) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).context("bind")?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(socket.into());
    let udp = UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
    let udp_state = UdpSocketState::new((&udp).into())?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let gone = super::announce(listener.local_addr()?)?;
    let feed = Feed::new(stream.clip())?;
    let mut server = Server { poll, listener, udp, udp_state, peers: Vec::new(), feed, scratch: vec![0; READ] };
    let (start, mut events) = (Instant::now(), Events::with_capacity(1024));
    while !gone.load(Relaxed) {
        let due = Duration::from_secs_f64(server.feed.due());
        match due.checked_sub(start.elapsed()).filter(|wait| !wait.is_zero()) {
            None => server.frame(),
            Some(wait) => server.turn(&mut events, wait.min(LOOK))?,
        }
    }
    Ok(())
}

impl Server {
    fn frame(&mut self) {
        let chunk = self.feed.make();
        for slot in &mut self.peers {
            if let Some(peer) = slot
                && peer.role != Role::Asking
                && peer.role != Role::Sink
            {
                peer.live |= chunk.key;
                if peer.live && send(peer, &chunk, &self.udp, &self.udp_state).is_err() {
                    *slot = None;
                }
            }
        }
    }

    fn turn(&mut self, events: &mut Events, wait: Duration) -> Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error).context("epoll"),
            _ => {}
        }
        let head = self.feed.flv_head();
        for event in &*events {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let Some(slot) = self.peers.get_mut(event.token().0) else { continue };
            let Some(peer) = slot else { continue };
            let mut result = Ok(());
            if event.is_readable() {
                result = peer.read(&mut self.scratch, &head);
            }
            if event.is_writable() && result.is_ok() {
                result = peer.flush();
            }
            if result.is_err() {
                *slot = None;
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut connection, _)) => {
                    connection.set_nodelay(true)?;
                    let token = Token(self.peers.len());
                    self.poll.registry().register(&mut connection, token, Interest::READABLE | Interest::WRITABLE)?;
                    self.peers.push(Some(Peer::new(connection)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            }
        }
    }
}

fn send(peer: &mut Peer, chunk: &Chunk, udp: &UdpSocket, state: &UdpSocketState) -> io::Result<()> {
    match peer.role {
        Role::Flv => peer.push(&chunk.flv),
        Role::Interleaved => peer.push(&chunk.interleaved),
        Role::Datagrams(address) => {
            chunk.datagrams.iter().for_each(|batch| batch.send(udp, state, address));
            Ok(())
        }
        Role::Asking | Role::Sink => Ok(()),
    }
}
