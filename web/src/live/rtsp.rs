//! RTSP over a websocket, alone (subprotocol `rtsp`) or in WSP (subprotocols `control` and `data`): the handshake. Whether
//! the stream is live is then said in RTSP, in words: a page cannot see the status of a handshake that fails.

use actix_web::http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws;
use ipchub_actors::Hub;
use ipchub_actors::accounts::Right;
use ipchub_actors::rtsp::session::RtspSession;
use ipchub_actors::wsp::channels::Owner;
use ipchub_actors::wsp::data::DataConnection;

use super::hand_over;
use crate::access;
use crate::error::ApiError;
use crate::path;

/// What is spoken on a websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtsp,
    Control,
    Data,
}

impl Protocol {
    /// The first that a websocket handshake offers and the hub speaks; subprotocols are case-sensitive.
    pub(super) fn asked_by(request: &HttpRequest) -> Option<Self> {
        let upgrade = request.headers().get(UPGRADE)?;
        if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
            return None;
        }
        let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|offers| offers.to_str().ok());
        offers.flat_map(|offers| offers.split(',')).find_map(|offer| match offer.trim() {
            "rtsp" => Some(Self::Rtsp),
            "control" => Some(Self::Control),
            "data" => Some(Self::Data),
            _ => None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Control => "control",
            Self::Data => "data",
        }
    }

    /// Answers the handshake and gives the connection to who speaks the protocol.
    pub(super) fn open(self, request: &HttpRequest, hub: Hub) -> Result<HttpResponse, ApiError> {
        let rest = request.uri().path().strip_prefix("/streams").unwrap_or_default();
        let stream = path::stream(rest)
            .ok_or_else(|| ApiError::NotFound(format!("{} names no stream: /streams/<path> does", request.path())))?;
        let user = self.caller(request, &hub, &stream.path)?;
        let mut response = ws::handshake_with_protocols(request, &[self.name()])
            .map_err(|error| ApiError::Parameter("Upgrade", error.to_string()))?;
        hand_over(request, response.take(), move |socket| match self {
            Self::Rtsp => drop(RtspSession::begin_websocket(hub, socket, stream, user)),
            Self::Control => drop(RtspSession::begin_wsp(hub, socket, stream, user)),
            Self::Data => drop(DataConnection::begin(hub, socket, Owner { path: stream.path, user })),
        })
    }

    /// The name of who asks, whose rights the session has and to whom a channel of WSP is bound; `None` where nobody is asked.
    /// What is done over `rtsp`, playing or publishing, is known and checked with its requests.
    fn caller(self, request: &HttpRequest, hub: &Hub, path: &str) -> Result<Option<String>, ApiError> {
        let user = access::viewer(request, hub)?;
        if let (Some(user), Self::Control | Self::Data) = (&user, self) {
            hub.gate.may(user, Right::Pull, path)?;
        }
        Ok(user.map(|user| user.name.clone()))
    }
}
