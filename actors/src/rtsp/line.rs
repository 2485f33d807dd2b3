//! A playing session's ways to its client past its actor.

use std::cell::{Ref, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::udp::UdpRoute;
use crate::branch::{Direct, Gate, Written};
use crate::connection::Socket;
use crate::info::Consumer;
use crate::meter::Stats;
use crate::rtp_lane::RtpPackets;

/// How a track goes to the client.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// Not at all: it was not set up, or the sender of a multicast group sends it.
    None,
    /// On the RTSP connection.
    Interleaved {
        /// The client's channel for RTP.
        rtp: u8,
        /// The client's channel for RTCP.
        rtcp: u8,
    },
    /// As datagrams.
    Udp(Rc<UdpRoute>),
}

/// What a session shares with its branch while it plays. Replies and packets may come in any order, as long as each is whole.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Rc<RefCell<Socket>>,
    pub(super) gate: Gate,
    /// Index: track.
    ways: RefCell<Vec<Way>>,
    /// Each packet is a message of a websocket.
    over_websocket: bool,
    consumer: Arc<Consumer>,
    stats: Arc<Stats>,
}

impl Line {
    pub(super) fn new(
        socket: &Rc<RefCell<Socket>>,
        ways: Vec<Way>,
        over_websocket: bool,
        consumer: &Arc<Consumer>,
        stats: &Arc<Stats>,
    ) -> Rc<Self> {
        let (socket, consumer, stats) = (Rc::clone(socket), Arc::clone(consumer), Arc::clone(stats));
        Rc::new(Self { socket, gate: Gate::default(), ways: RefCell::new(ways), over_websocket, consumer, stats })
    }

    pub(super) fn set_ways(&self, ways: Vec<Way>) {
        *self.ways.borrow_mut() = ways;
    }

    /// How a track goes.
    pub(super) fn way(&self, track: usize) -> Ref<'_, Way> {
        Ref::map(self.ways.borrow(), |ways| ways.get(track).unwrap_or(&Way::None))
    }

    /// Sends packets as datagrams, as far as the hub's socket takes them now.
    pub(super) fn send(&self, route: &UdpRoute, packets: &RtpPackets) {
        if let Some(packed) = &packets.datagrams {
            self.consumer.sent_datagrams(route.send(packets.rtcp, packed), &self.stats);
        }
    }

    fn try_write(&self, bytes: &Bytes) -> io::Result<Written> {
        let mut socket = self.socket.borrow_mut();
        let written = match socket.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        // Under TLS some of what was taken may still wait for the kernel.
        if written == bytes.len() && socket.try_flush()? { Ok(Written::All) } else { Ok(Written::Part(written)) }
    }
}

impl Direct<Arc<RtpPackets>> for Line {
    fn peek(&self) -> bool {
        self.gate.is_clear() & !matches!(*self.way(0), Way::None) & self.socket.borrow().peek()
    }

    fn write(&self, packets: &Arc<RtpPackets>) -> Written {
        if !self.gate.is_clear() {
            return Written::Nothing;
        }
        match &*self.way(packets.track) {
            Way::Interleaved { rtp, rtcp } => {
                let bytes = packets.on_channel(if packets.rtcp { *rtcp } else { *rtp }, self.over_websocket);
                // An error is the actor's to see.
                self.try_write(&bytes).unwrap_or(Written::Part(0))
            }
            Way::Udp(route) => {
                self.send(route, packets);
                Written::All
            }
            Way::None => Written::All,
        }
    }

    fn queued(&self) {
        self.gate.queued();
    }
}
