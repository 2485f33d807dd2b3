//! The control connection: WSP messages around the requests of an RTSP session.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::{Bytes, BytesMut};
use ipchub_media::rtsp::message::Request;
use ipchub_media::rtsp::parser::{Item, Parser};
use ipchub_media::rtsp::session::{self as machine, TrackTransport};
use ipchub_media::websocket::{self, Opcode};
use ipchub_media::wsp::{self, Command, Reply};
use tokio::sync::oneshot;

use super::channels::{Channel, Joinable, Owner};
use super::data::{DataConnection, SetTracks, StartMedia, StopMedia};
use crate::connection::Link;
use crate::messages::Found;
use crate::meter::Active;
use crate::rtsp::carrier::{Carrier, Inbox};
use crate::rtsp::session::RtspSession;

/// What an RTSP session has more when it is carried by WSP.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) inbox: Inbox,
    owner: Owner,
    counted: Arc<Active>,
    channel: Option<Channel>,
    data: Option<Joined>,
    /// How tracks go over the data connection now; empty while none does.
    playing: Vec<Option<TrackTransport>>,
    /// The reply to the request that the session is at.
    pending: Option<Reply>,
}

#[derive(Debug, Clone)]
struct Joined {
    address: Addr<DataConnection>,
    link: Arc<Link>,
}

/// To a control connection: a data connection joined its channel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DataJoined {
    pub(crate) address: Addr<DataConnection>,
    pub(crate) link: Arc<Link>,
}

impl Control {
    pub(crate) fn new(owner: Owner, counted: Arc<Active>) -> Self {
        Self {
            inbox: Inbox::new(wsp::MAX_MESSAGE),
            owner,
            counted,
            channel: None,
            data: None,
            playing: Vec::new(),
            pending: None,
        }
    }

    /// An RTSP reply in the WSP reply to the message that asked for it.
    pub(crate) fn wrapped(&mut self, rtsp: &[u8]) -> Option<Bytes> {
        self.pending.take().map(|reply| text(&reply, rtsp))
    }

    /// A data connection takes media: a sign of life as good as any.
    pub(crate) fn is_playing(&self) -> bool {
        !self.playing.is_empty()
    }

    /// True if nobody joined within `limit` of the connection's age.
    pub(crate) fn is_abandoned(&self, age: Duration, limit: Duration) -> bool {
        self.data.is_none() && age > limit
    }

    /// Stops the media; the data connection stays.
    pub(crate) fn pause(&mut self) {
        if let Some(data) = self.data.as_ref().filter(|_| !self.playing.is_empty()) {
            data.address.do_send(StopMedia);
        }
        self.playing.clear();
    }

    /// A track may have been given up.
    pub(crate) fn follow_tracks(&mut self, now: &[Option<TrackTransport>]) {
        if self.playing.is_empty() || self.playing == now {
            return;
        }
        self.playing = now.to_vec();
        if let Some(data) = &self.data {
            data.address.do_send(SetTracks(now.to_vec()));
        }
    }

    /// Ends the data connection too.
    pub(crate) fn end(&mut self, reason: &str) {
        // First, so that the end of the data connection does not come back here.
        self.channel = None;
        if let Some(data) = self.data.take() {
            data.link.kill(reason);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.end("the control connection is lost");
    }
}

fn text(reply: &Reply, payload: &[u8]) -> Bytes {
    websocket::message(Opcode::Text, &reply.to_bytes(payload))
}

/// What a page's player is told of the server. Streamedian's takes a first reply without `command` and `type` for that to
/// INIT, and reads `license.expiresAt` if there is `info`.
const INFO: &str = concat!(
    r#"{"info":{"server":"ipchub/"#,
    env!("CARGO_PKG_VERSION"),
    r#"","license":{"expiresAt":"never"},"requestedDomain":"*"}}"#
);

impl RtspSession {
    /// Acts on a WSP message; gives the RTSP request that it wraps.
    pub(crate) fn wsp_message(&mut self, message: Bytes, ctx: &mut Context<Self>) -> Option<Request> {
        let request = match wsp::Request::parse(&message) {
            Ok(request) => request,
            Err(error) => {
                self.answer_wsp(&Reply::new(400, format!("malformed WSP: {error}")), b"");
                return None;
            }
        };
        self.hear();
        log::debug!("{}: WSP {:?}", self.link().peer, request.command);
        let ok = Reply::ok().to(&request);
        match &request.command {
            Command::GetInfo => self.answer_wsp(&ok.with("command", "GET_INFO").with("type", "info"), INFO.as_bytes()),
            Command::Switch => self.answer_wsp(&ok, b""),
            Command::Init => self.init(&request, ctx),
            Command::Wrap => return self.unwrap_request(&request),
            Command::Join => self.refuse_wsp(&request, 405, "JOIN belongs on the connection of subprotocol data"),
            Command::Other(_) => self.refuse_wsp(&request, 405, "expected GET_INFO, INIT, WRAP or SWITCH"),
        }
        None
    }

    fn init(&mut self, request: &wsp::Request, ctx: &mut Context<Self>) {
        let session = ctx.address();
        let link = Arc::clone(self.link());
        let channels = Arc::clone(&self.hub.channels);
        let Carrier::Wsp(control) = &mut self.carrier else { return };
        if control.channel.is_some() {
            return self.refuse_wsp(request, 455, "this connection has its channel");
        }
        if !request.payload.is_empty() {
            return self.refuse_wsp(request, 400, "INIT has no payload");
        }
        let joinable = Joinable { session, link, _counted: Arc::clone(&control.counted) };
        match channels.open(control.owner.clone(), joinable) {
            Ok(channel) => {
                let reply = Reply::ok().with("channel", channel.id.to_string()).to(request);
                control.channel = Some(channel);
                self.answer_wsp(&reply, b"");
            }
            Err(error) => {
                log::error!("no random number for a WSP channel: {error}");
                self.refuse_wsp(request, 503, "no channel can be made now");
            }
        }
    }

    /// The RTSP request in the payload: exactly one.
    fn unwrap_request(&mut self, request: &wsp::Request) -> Option<Request> {
        let Carrier::Wsp(control) = &mut self.carrier else { return None };
        let Some(channel) = &control.channel else {
            self.refuse_wsp(request, 455, "WRAP is not possible before INIT");
            return None;
        };
        let mut payload = BytesMut::from(&request.payload[..]);
        let wrong = match Parser::new().next(&mut payload) {
            Ok(Some(Item::Request(rtsp))) if payload.iter().all(u8::is_ascii_whitespace) => {
                control.pending = Some(Reply::ok().with("channel", channel.id.to_string()).to(request));
                return Some(rtsp);
            }
            Ok(Some(Item::Request(_))) => "more than one RTSP request in a message".to_owned(),
            Ok(Some(_)) => "no RTSP request in the message".to_owned(),
            Ok(None) => "the RTSP request in the message is not complete".to_owned(),
            Err(error) => format!("malformed RTSP {error}"),
        };
        self.refuse_wsp(request, 400, &wrong);
        None
    }

    fn refuse_wsp(&mut self, request: &wsp::Request, status: u16, why: &str) {
        self.answer_wsp(&Reply::new(status, why).to(request), b"");
    }

    fn answer_wsp(&mut self, reply: &Reply, payload: &[u8]) {
        self.outbox.push(text(reply, payload));
    }

    /// PLAY: the data connection becomes the viewer. It sends nothing before the reply is on its way.
    pub(crate) fn play_on_data(&mut self, found: Found, play: machine::Play, ctx: &mut Context<Self>) {
        let Carrier::Wsp(control) = &self.carrier else { return };
        let Some(data) = control.data.clone() else {
            let why = "No data connection has joined this channel.";
            return self.answer_play(Err((455, why.into())), ctx);
        };
        let (go, begin) = oneshot::channel();
        let transports = play.transports.clone();
        let started = data.address.send(StartMedia { found, play, begin });
        ctx.wait(started.into_actor(self).map(move |result, session, ctx| {
            let result = result.unwrap_or_else(|_| Err((455, "The data connection is lost.".into())));
            if let (Ok(_), Carrier::Wsp(control)) = (&result, &mut session.carrier) {
                control.playing = transports;
            }
            session.answer_play(result, ctx);
            // If the data connection is gone it needs no sign.
            let _ = go.send(());
        }));
    }
}

impl Handler<DataJoined> for RtspSession {
    type Result = ();

    fn handle(&mut self, joined: DataJoined, _: &mut Self::Context) {
        if let Carrier::Wsp(control) = &mut self.carrier {
            control.data = Some(Joined { address: joined.address, link: joined.link });
        }
    }
}
