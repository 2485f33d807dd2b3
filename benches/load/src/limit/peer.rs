//! Who connected to the limit and what it wants: the least of HTTP and RTSP that viewers and publishers need.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use ipchub_media::rtsp::message::{Method, Request, Response};
use ipchub_media::rtsp::parser::{Item, Parser};
use mio::net::TcpStream;

use crate::clip::Clip;

/// Frames that wait for a viewer before it is let go.
const MAX_QUEUE: usize = 250;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Not yet known, or in its requests.
    Asking,
    Flv,
    Interleaved,
    Datagrams(SocketAddr),
    /// A publisher: read and forgotten.
    Sink,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: TcpStream,
    pub(super) role: Role,
    /// It got a key frame: it gets all that follow.
    pub(super) live: bool,
    parser: Parser,
    buffer: BytesMut,
    /// Where SETUP wants datagrams.
    datagrams: Option<SocketAddr>,
    queue: VecDeque<Bytes>,
}

impl Peer {
    pub(super) fn new(connection: TcpStream) -> Self {
        Self {
            connection,
            role: Role::Asking,
            live: false,
            parser: Parser::new(),
            buffer: BytesMut::new(),
            datagrams: None,
            queue: VecDeque::new(),
        }
    }

    /// Shares `chunk` with this viewer: written at once as far as the kernel takes it.
    pub(super) fn push(&mut self, chunk: &Bytes) -> io::Result<()> {
        if !self.queue.is_empty() {
            self.queue.push_back(chunk.clone());
            return if self.queue.len() > MAX_QUEUE { Err(ErrorKind::TimedOut.into()) } else { Ok(()) };
        }
        match self.connection.write(chunk) {
            Ok(n) if n == chunk.len() => Ok(()),
            Ok(n) => {
                self.queue.push_back(chunk.slice(n..));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.queue.push_back(chunk.clone());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The kernel has room again.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(first) = self.queue.front_mut() {
            match self.connection.write(first) {
                Ok(n) => first.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if first.is_empty() {
                self.queue.pop_front();
            }
        }
        Ok(())
    }

    /// Reads what there is. An error: the peer is gone, or asks what the limit cannot do.
    pub(super) fn read(&mut self, scratch: &mut [u8], flv_head: &Bytes) -> io::Result<()> {
        loop {
            let n = match self.connection.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.role != Role::Sink {
                self.buffer.extend_from_slice(&scratch[..n]);
                self.requests(flv_head)?;
            } else if n < scratch.len() {
                return Ok(());
            }
        }
    }

    fn requests(&mut self, flv_head: &Bytes) -> io::Result<()> {
        if self.buffer.starts_with(b"GET ") {
            if self.buffer.ends_with(b"\r\n\r\n") {
                self.buffer.clear();
                self.role = Role::Flv;
                self.push(&Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n"))?;
                self.push(flv_head)?;
            }
            return Ok(());
        }
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        while let Some(item) = self.parser.next(&mut self.buffer).map_err(invalid)? {
            if let Item::Request(request) = item {
                let (response, role) = self.answer(&request);
                self.push(&response.to_bytes())?;
                self.role = role;
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> (Response, Role) {
        let cseq = request.headers.get("CSeq").unwrap_or("0");
        let ok = Response::new(200).with("CSeq", cseq).with("Session", "limit");
        match request.method {
            Method::Describe => (ok.with("Content-Type", "application/sdp").with_text(&Clip::sdp()), self.role),
            Method::Setup => {
                let transport = request.headers.get("Transport").unwrap_or_default();
                let ports = transport.split(';').find_map(|part| part.trim().strip_prefix("client_port="));
                let port = ports.and_then(|ports| ports.split('-').next()?.parse().ok());
                let peer = self.connection.peer_addr().ok();
                self.datagrams = port.zip(peer).map(|(port, peer)| SocketAddr::new(peer.ip(), port));
                (ok.with("Transport", transport), self.role)
            }
            Method::Play => (ok, self.datagrams.map_or(Role::Interleaved, Role::Datagrams)),
            Method::Record => (ok, Role::Sink),
            _ => (ok, self.role),
        }
    }
}
