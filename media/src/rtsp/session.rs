//! The server's side of an RTSP session (RFC 2326, appendix A), for whatever carries it: requests and decisions go in,
//! events come out.
//!
//! ```text
//!            ANNOUNCE             SETUP              RECORD               answer_publish(Ok)
//!   Init ---------------> Announced ----> Ready ----------------> Starting ------------------> Recording
//!    ^                    |  ^            |  ^                       |                         |  ^
//!    |                    +--+            +--+                       |                         +--+
//!    |                  ANNOUNCE          SETUP                      |                        RECORD
//!    +---------------------------------------------------------------+
//!                          answer_publish(Err)
//!
//!   any: OPTIONS, GET_PARAMETER, SET_PARAMETER stay; TEARDOWN and malformed bytes go to Closed, where nothing is answered
//! ```
//!
//! Any other pair of state and method is answered with 455. Playing is to come: DESCRIBE, PLAY and PAUSE are answered
//! with 501, and its states will stand beside those of publishing.

mod announce;
mod setup;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::headers::SessionId;
use super::message::{Method, Request, Response, quoted};
use super::parser::ParseError;
use crate::frame::Track;

/// What `Public` lists: exactly what is served.
const PUBLIC: &str = "OPTIONS, ANNOUNCE, SETUP, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// What a session must be told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Random, of letters and digits: whoever knows it may speak for the session.
    pub session_id: String,
    /// Silence after which the shell ends the session; told to the client in whole seconds.
    pub timeout: Duration,
    /// For the `Server` header: `ipchub/x.y`.
    pub server_name: String,
    /// The server's RTP and RTCP ports; `None`: UDP is refused with 461.
    pub udp_ports: Option<(u16, u16)>,
}

/// What the shell must do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Write these bytes, a whole response.
    Reply(Bytes),
    /// Decide on this publication and call [`Session::answer_publish`].
    Publish(Publish),
    /// Close the connection once the replies so far are written.
    End(EndReason),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The client asked for it.
    Teardown,
    /// The client sent bytes that are no RTSP.
    Malformed(ParseError),
    /// The hub ended it, see [`Session::teardown`].
    Told(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Teardown => f.write_str("TEARDOWN"),
            Self::Malformed(error) => write!(f, "malformed RTSP: {error}"),
            Self::Told(reason) => f.write_str(reason),
        }
    }
}

/// A client wants to publish a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Canonical, see [`crate::path::canonical`].
    pub path: String,
    /// The announced tracks that were set up, in the order of the SDP.
    pub tracks: Vec<Track>,
    /// How each of `tracks` comes, at the same index.
    pub transports: Vec<TrackTransport>,
    /// The client's `User-Agent`, shortened; empty if it has none.
    pub user_agent: String,
    /// What is odd in the SDP; for the log.
    pub notes: Vec<String>,
}

/// How the packets of one track come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackTransport {
    /// In the RTSP connection.
    Interleaved {
        /// Channel of RTP.
        rtp: u8,
        /// Channel of RTCP.
        rtcp: u8,
    },
    /// Over UDP, from the address that the RTSP connection has.
    Udp {
        /// The client's port of RTP.
        client_rtp: u16,
        /// The client's port of RTCP.
        client_rtcp: u16,
    },
}

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
}

#[derive(Debug)]
enum State {
    Init,
    /// No track is set up yet.
    Announced(Announced),
    /// At least one track is set up.
    Ready(Announced),
    /// RECORD came and waits for the shell's answer.
    Starting {
        publish: Publish,
        cseq: u64,
    },
    Recording(Publish),
    Closed,
}

/// What ANNOUNCE said and SETUP added to it.
#[derive(Debug)]
struct Announced {
    path: String,
    tracks: Vec<Track>,
    /// Index: track.
    transports: Vec<Option<TrackTransport>>,
    user_agent: String,
    notes: Vec<String>,
}

/// A request that is answered with an error.
#[derive(Debug)]
struct Refusal {
    status: u16,
    text: String,
}

type Answer = Result<Response, Refusal>;

fn refusal(status: u16, text: impl Into<String>) -> Refusal {
    Refusal { status, text: text.into() }
}

impl Session {
    /// A session in which nothing was asked yet.
    pub fn new(config: SessionConfig) -> Self {
        Self { config, state: State::Init }
    }

    /// Takes a request and adds what is to be done about it to `out`.
    pub fn request(&mut self, request: Request, out: &mut Vec<Event>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let cseq = match self.check(&request) {
            Ok(cseq) => cseq,
            Err((cseq, refusal)) => return self.reply(cseq, Err(refusal), out),
        };
        let state = std::mem::replace(&mut self.state, State::Closed);
        let (state, answer) = match (state, &request.method) {
            (state, Method::Options) => (state, Ok(Response::new(200).with("Public", PUBLIC))),
            (state, Method::GetParameter | Method::SetParameter) => (state, Ok(Response::new(200))),
            (state, Method::Teardown) => {
                // Answered in its old state: the reply still names the session.
                self.state = state;
                self.reply(Some(cseq), Ok(Response::new(200)), out);
                self.state = State::Closed;
                return out.push(Event::End(EndReason::Teardown));
            }
            (state @ (State::Init | State::Announced(_)), Method::Announce) => match Announced::read(&request) {
                Ok(announced) => (State::Announced(announced), Ok(Response::new(200))),
                Err(refusal) => (state, Err(refusal)),
            },
            (State::Announced(mut announced), Method::Setup) => {
                match announced.setup(&request, self.config.udp_ports) {
                    Ok(response) => (State::Ready(announced), Ok(response)),
                    Err(refusal) => (State::Announced(announced), Err(refusal)),
                }
            }
            (State::Ready(mut announced), Method::Setup) => {
                let answer = announced.setup(&request, self.config.udp_ports);
                (State::Ready(announced), answer)
            }
            (State::Ready(announced), Method::Record) => {
                let publish = announced.into_publish();
                self.state = State::Starting { publish: publish.clone(), cseq };
                return out.push(Event::Publish(publish));
            }
            (state @ State::Recording(_), Method::Record) => (state, Ok(Response::new(200))),
            (
                state,
                method @ (Method::Describe | Method::Play | Method::Pause | Method::Redirect | Method::Other(_)),
            ) => {
                let text = format!("{} is not offered here.", quoted(method.as_str()));
                (state, Err(refusal(501, text)))
            }
            (state, method) => {
                let text = format!("{method} is not possible {}.", state.words());
                (state, Err(refusal(455, text)))
            }
        };
        self.state = state;
        self.reply(Some(cseq), answer, out);
    }

    /// Says that the connection's bytes cannot be read any more: answers and ends.
    pub fn malformed(&mut self, error: ParseError, out: &mut Vec<Event>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.reply(None, Err(refusal(error.status(), format!("Malformed {error}."))), out);
        self.state = State::Closed;
        out.push(Event::End(EndReason::Malformed(error)));
    }

    /// The shell's answer to [`Event::Publish`]: accepted, or the status and the words to refuse it with. Does nothing if
    /// the client has given up meanwhile.
    pub fn answer_publish(&mut self, result: Result<(), (u16, String)>, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Init) {
            State::Starting { publish, cseq } => {
                let answer = match result {
                    Ok(()) => {
                        self.state = State::Recording(publish);
                        Ok(Response::new(200))
                    }
                    Err((status, text)) => Err(refusal(status, text)),
                };
                self.reply(Some(cseq), answer, out);
            }
            state => self.state = state,
        }
    }

    /// Tells a client that its session is over: a request of the server's own (RFC 2326, section 10.7 allows TEARDOWN to it
    /// as well), then the end. Most clients only see the connection close; the reason is for those that log what comes.
    pub fn teardown(&mut self, reason: &str, out: &mut Vec<Event>) {
        if let Some(path) = self.path() {
            let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
            let session = &self.config.session_id;
            let text = format!(
                "TEARDOWN {path} RTSP/1.0\r\nCSeq: 1\r\nSession: {session}\r\nServer: {}\r\nReason: {reason}\r\n\r\n",
                self.config.server_name
            );
            out.push(Event::Reply(text.into()));
        }
        if !self.is_closed() {
            self.state = State::Closed;
            out.push(Event::End(EndReason::Told(reason.to_owned())));
        }
    }

    /// The track (its index in [`Publish::tracks`]) that a channel belongs to, and whether it carries its RTCP. `None`
    /// also before RECORD: packets that come so early have no one to go to.
    pub fn track_of_channel(&self, channel: u8) -> Option<(usize, bool)> {
        let (State::Starting { publish, .. } | State::Recording(publish)) = &self.state else { return None };
        publish.transports.iter().enumerate().find_map(|(track, transport)| match *transport {
            TrackTransport::Interleaved { rtp, .. } if rtp == channel => Some((track, false)),
            TrackTransport::Interleaved { rtcp, .. } if rtcp == channel => Some((track, true)),
            _ => None,
        })
    }

    /// True from the accepted RECORD on until the session ends.
    pub fn is_publishing(&self) -> bool {
        matches!(self.state, State::Recording(_))
    }

    /// True once [`Event::End`] was given; nothing is answered any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The stream's canonical path, once it was announced.
    pub fn path(&self) -> Option<&str> {
        match &self.state {
            State::Init | State::Closed => None,
            State::Announced(announced) | State::Ready(announced) => Some(&announced.path),
            State::Starting { publish, .. } | State::Recording(publish) => Some(&publish.path),
        }
    }

    /// What every request must have; gives its CSeq.
    fn check(&self, request: &Request) -> Result<u64, (Option<u64>, Refusal)> {
        let value = request.headers.get("CSeq").ok_or((None, refusal(400, "The CSeq header is missing.")))?;
        let cseq = value
            .parse()
            .map_err(|_| (None, refusal(400, format!("CSeq is {}, expected a number.", quoted(value)))))?;
        match request.headers.get("Session").map(SessionId::parse) {
            Some(session) if session.id != self.config.session_id => {
                Err((Some(cseq), refusal(454, format!("Session {} is not known here.", quoted(&session.id)))))
            }
            _ => Ok(cseq),
        }
    }

    fn reply(&self, cseq: Option<u64>, answer: Answer, out: &mut Vec<Event>) {
        let (status, own, text) = match answer {
            Ok(response) => (response.status, response.headers, None),
            Err(refusal) => (refusal.status, Default::default(), Some(refusal.text)),
        };
        let mut response = Response::new(status);
        if let Some(cseq) = cseq {
            response.headers.push("CSeq", cseq.to_string());
        }
        response.headers.push("Server", &self.config.server_name);
        if let State::Ready(_) | State::Starting { .. } | State::Recording(_) = self.state {
            let id = SessionId { id: self.config.session_id.clone(), timeout: Some(self.config.timeout) };
            response.headers.push("Session", id.to_string());
        }
        if status == 501 {
            response.headers.push("Public", PUBLIC);
        }
        for (name, value) in own.iter() {
            response.headers.push(name, value);
        }
        if let Some(text) = text {
            response = response.with_text(&text);
        }
        out.push(Event::Reply(response.to_bytes()));
    }
}

impl State {
    /// For "... is not possible ...".
    fn words(&self) -> &'static str {
        match self {
            Self::Init => "before ANNOUNCE",
            Self::Announced(_) => "between ANNOUNCE and SETUP",
            Self::Ready(_) => "between SETUP and RECORD",
            Self::Starting { .. } => "while RECORD waits for its answer",
            Self::Recording(_) => "while recording",
            Self::Closed => "after the end",
        }
    }
}

#[cfg(test)]
mod tests;
