//! A playing session's way to its socket past its actor.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ipchub_media::rtsp::session::TrackTransport;

use crate::branch::{Direct, Gate, Written};
use crate::connection::Socket;
use crate::rtp_lane::RtpPackets;

/// What a session over TCP or a websocket shares with its branch while it plays. Replies and packets may come in any order, as
/// long as each is whole.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Rc<RefCell<Socket>>,
    pub(super) gate: Gate,
    transports: RefCell<Vec<Option<TrackTransport>>>,
    /// Each packet is a message of a websocket.
    over_websocket: bool,
}

impl Line {
    pub(super) fn new(
        socket: &Rc<RefCell<Socket>>,
        transports: &[Option<TrackTransport>],
        over_websocket: bool,
    ) -> Rc<Self> {
        let transports = RefCell::new(transports.to_vec());
        Rc::new(Self { socket: Rc::clone(socket), gate: Gate::default(), transports, over_websocket })
    }

    pub(super) fn set_transports(&self, transports: &[Option<TrackTransport>]) {
        *self.transports.borrow_mut() = transports.to_vec();
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
    fn write(&self, packets: &Arc<RtpPackets>) -> Written {
        if !self.gate.is_clear() {
            return Written::Nothing;
        }
        match self.transports.borrow().get(packets.track) {
            Some(Some(TrackTransport::Interleaved { rtp, rtcp })) => {
                let bytes = packets.on_channel(if packets.rtcp { *rtcp } else { *rtp }, self.over_websocket);
                // An error is the actor's to see.
                self.try_write(&bytes).unwrap_or(Written::Part(0))
            }
            // The track was not set up.
            _ => Written::All,
        }
    }

    fn queued(&self) {
        self.gate.queued();
    }
}
