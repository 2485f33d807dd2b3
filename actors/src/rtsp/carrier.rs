//! What carries an RTSP connection: TCP alone, a websocket, or the control connection of WSP. The session's machine and what
//! it asks for are the same for all; what differs stands here.

use std::sync::Arc;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::rtsp::parser::{Item, MAX_BODY, MAX_HEAD, ParseError};
use ipchub_media::rtsp::session::{Event, StreamName};
use ipchub_media::websocket::{self, Decoder, Fault, Message, Opcode};

use super::session::RtspSession;
use crate::connection::Socket;
use crate::hub::Hub;
use crate::wsp::channels::Owner;
use crate::wsp::control::Control;

/// Longest message over a websocket: the longest request, and more than the longest packet.
const MAX_MESSAGE: usize = MAX_HEAD + MAX_BODY;

/// What carries a session's bytes.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// RTSP as it is, over TCP or TLS.
    Plain,
    /// RTSP in the messages of a websocket of subprotocol `rtsp`: where a message ends means nothing on the way in; on the way
    /// out each reply and each packet is one binary message.
    Websocket(Inbox),
    /// Requests in WSP messages; packets go over another websocket.
    Wsp(Box<Control>),
}

/// What comes through a websocket.
#[derive(Debug)]
pub(crate) struct Inbox {
    decoder: Decoder,
    /// Bytes that are no whole message yet.
    pub(crate) buffer: BytesMut,
}

impl Inbox {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { decoder: Decoder::new(max_message), buffer: BytesMut::new() }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Message>, Fault> {
        self.decoder.next(&mut self.buffer)
    }
}

impl Carrier {
    pub(super) fn websocket() -> Self {
        Self::Websocket(Inbox::new(MAX_MESSAGE))
    }

    /// Where bytes of the socket go, if not to the RTSP parser.
    pub(super) fn inbox(&mut self) -> Option<&mut Inbox> {
        match self {
            Self::Plain => None,
            Self::Websocket(inbox) => Some(inbox),
            Self::Wsp(control) => Some(&mut control.inbox),
        }
    }

    /// A reply as it goes out; none where nobody asked.
    pub(super) fn reply(&mut self, bytes: Bytes) -> Option<Bytes> {
        match self {
            Self::Plain => Some(bytes),
            Self::Websocket(_) => Some(websocket::message(Opcode::Binary, &bytes)),
            Self::Wsp(control) => control.wrapped(&bytes),
        }
    }

    /// An interleaved packet as it goes out, beside what the lane frames.
    pub(super) fn packet(&self, bytes: Bytes) -> Bytes {
        match self {
            Self::Plain => bytes,
            Self::Websocket(_) | Self::Wsp(_) => websocket::message(Opcode::Binary, &bytes),
        }
    }

    /// The last bytes of a connection that ends in order.
    pub(super) fn goodbye(&self, code: u16, reason: &str) -> Option<Bytes> {
        match self {
            Self::Plain => None,
            Self::Websocket(_) | Self::Wsp(_) => Some(websocket::close(code, reason)),
        }
    }
}

impl RtspSession {
    /// The same on a websocket of subprotocol `rtsp`, once its HTTP answer is written. `stream` is that of its URL,
    /// `user` who opened it.
    pub fn begin_websocket(hub: Hub, socket: Socket, stream: StreamName, user: Option<String>) -> Addr<Self> {
        let counted = Arc::new(hub.stats.rtsp.enter());
        socket.link().counts_as(&hub.stats.traffic.rtsp);
        Self::start_on(hub, socket, Carrier::websocket(), Some((stream, user)), counted)
    }

    /// The same on a websocket of subprotocol `control`, for WSP; its channel is bound to the stream and to `user`.
    pub fn begin_wsp(hub: Hub, socket: Socket, stream: StreamName, user: Option<String>) -> Addr<Self> {
        let counted = Arc::new(hub.stats.wsp.enter());
        socket.link().counts_as(&hub.stats.traffic.wsp);
        let owner = Owner { path: stream.path.clone(), user: user.clone() };
        let carrier = Carrier::Wsp(Box::new(Control::new(owner, Arc::clone(&counted))));
        Self::start_on(hub, socket, carrier, Some((stream, user)), counted)
    }

    /// Tells the client that the hub ends the session: by a request of ours, or by the end of the websocket.
    pub(super) fn tell_end(&mut self, reason: &str, ctx: &mut Context<Self>) {
        let mut events = Vec::new();
        self.machine().teardown(reason, &mut events);
        events.retain(|event| matches!((&self.carrier, event), (Carrier::Plain, _) | (_, Event::End(_))));
        self.act(events, ctx);
    }

    /// A track may have been given up.
    pub(super) fn follow_tracks(&mut self) {
        let Self { session, playing, carrier, ports, .. } = self;
        match (carrier, playing) {
            (Carrier::Wsp(control), _) => control.follow_tracks(session.play_transports()),
            (_, Some(playing)) => {
                playing.set_transports(session.play_transports());
                playing.line().inspect(|line| line.set_ways(ports.ways(session.play_transports())));
            }
            (_, None) => {}
        }
    }

    /// Takes the next request or packet out of what was read; `None`: more must be read.
    pub(super) fn next_item(&mut self, ctx: &mut Context<Self>) -> Result<Option<Item>, ParseError> {
        loop {
            if let Some(item) = self.parser.next(&mut self.buffer)? {
                return Ok(Some(item));
            }
            if ctx.waiting() || !ctx.state().alive() {
                return Ok(None);
            }
            let Some(inbox) = self.carrier.inbox() else { return Ok(None) };
            match inbox.next() {
                Ok(None) => return Ok(None),
                Ok(Some(Message::Data(bytes))) => {
                    if let Some(item) = self.websocket_message(bytes, ctx) {
                        return Ok(Some(item));
                    }
                }
                Ok(Some(Message::Ping(payload))) => {
                    self.hear();
                    self.outbox.push(websocket::message(Opcode::Pong, &payload));
                }
                Ok(Some(Message::Pong)) => self.hear(),
                Ok(Some(Message::Close)) => self.end("the client closed the websocket", ctx),
                Err(fault) => {
                    log::warn!("{}: {fault}", self.link().peer);
                    self.end_with(fault.close_code(), fault.to_string(), ctx);
                }
            }
        }
    }

    fn websocket_message(&mut self, bytes: BytesMut, ctx: &mut Context<Self>) -> Option<Item> {
        if let Carrier::Wsp(_) = self.carrier {
            return self.wsp_message(bytes.freeze(), ctx).map(Item::Request);
        }
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
        None
    }
}
