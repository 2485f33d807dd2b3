//! The server's side of an RTSP session (RFC 2326, appendix A), for whatever carries it: requests and decisions go in,
//! events come out. A session publishes or plays: its first ANNOUNCE, or DESCRIBE or SETUP, says which.
//!
//! To publish:
//!
//! ```text
//!              ANNOUNCE             SETUP              RECORD               answer_publish(Ok)
//!   Init, ---------------> Announced ----> Ready ----------------> Starting ------------------> Recording
//!   Described              |  ^            |  ^                       |                         |  ^
//!                          +--+            +--+                       |                         +--+
//!                        ANNOUNCE          SETUP                      |                        RECORD
//!   Init <------------------------------------------------------------+
//!                             answer_publish(Err)
//! ```
//!
//! To play:
//!
//! ```text
//!         DESCRIBE              answer_describe(Ok)              SETUP
//!   Init ----------> Describing --------------------> Described -------> Prepared <---+ SETUP
//!    ^   or SETUP     |      ^                        |    |              |  ^   |    |
//!    |                |      +------- DESCRIBE -------+    | ANNOUNCE     |  |   +----+
//!    +----------------+                                    v              |  |
//!    answer_describe(Err)                              Announced     PLAY |  | answer_play(Err)
//!                                                                         v  |
//!                                             PLAY     +-----------> StartingPlay
//!                                                      |                  | answer_play(Ok)
//!                                                      |                  v
//!                                    Prepared <---- Paused <---------- Playing <---+ PLAY
//!                                             SETUP            PAUSE       |       |
//!                                                                          +-------+
//! ```
//!
//! A SETUP for multicast waits in Joining for the stream's group. A TEARDOWN of one of several tracks ends that track only.
//!
//! A SETUP that comes first asks the shell what DESCRIBE would have asked; once that is answered it goes on by itself, from
//! Described to Prepared.
//!
//! In any state OPTIONS, GET_PARAMETER and SET_PARAMETER change nothing; TEARDOWN and malformed bytes lead to Closed, where
//! nothing is answered. DESCRIBE of the stream that is set up to be played, or is, and PAUSE while paused change nothing
//! either. Any other pair of state and method is answered with 455, a method that no state knows, or that the session does not
//! offer, with 501.

mod announce;
mod describe;
mod events;
mod play;
mod setup;
mod state;

pub use super::headers::RtpStart;
use super::headers::SessionId;
use super::message::{Method, Request, Response, quoted};
use super::parser::ParseError;
pub use announce::MAX_PATH;
pub use events::{
    Describe, Described, EndReason, Event, Group, Offer, Play, Publish, SessionConfig, StreamName, TrackTransport,
};
use state::State;

/// What `Public` lists: exactly what is served.
fn public(offer: Offer) -> &'static str {
    match offer {
        Offer::Both => {
            "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
        }
        Offer::Play => "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER",
    }
}

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
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

impl From<(u16, String)> for Refusal {
    fn from((status, text): (u16, String)) -> Self {
        Self { status, text }
    }
}

impl Session {
    /// A session in which nothing was asked yet.
    pub fn new(config: SessionConfig) -> Self {
        Self { config, state: State::Init }
    }

    /// Takes a request and adds what is to be done about it to `out`.
    pub fn request(&mut self, request: Request, out: &mut Vec<Event>) {
        if self.is_closed() {
            return;
        }
        let cseq = match self.check(&request) {
            Ok(cseq) => cseq,
            Err((cseq, refusal)) => return self.reply(cseq, Err(refusal), out),
        };
        if request.method == Method::Teardown {
            if let Some(answer) = self.state.end_track(&request) {
                return self.reply(Some(cseq), answer, out);
            }
            // Answered in its old state: the reply still names the session.
            self.reply(Some(cseq), Ok(Response::new(200)), out);
            self.state = State::Closed;
            return out.push(Event::End(EndReason::Teardown));
        }
        let state = std::mem::replace(&mut self.state, State::Closed);
        let (state, answer) = state.step(request, cseq, &self.config, out);
        self.state = state;
        if let Some(answer) = answer {
            self.reply(Some(cseq), answer, out);
        }
    }

    /// Answers a request without doing it: who sent it may not. `challenges` are what it can log in with.
    pub fn refuse(&self, request: &Request, refused: (u16, &str), challenges: &[String], out: &mut Vec<Event>) {
        if self.is_closed() {
            return;
        }
        let (status, text) = refused;
        match self.check(request) {
            Err((cseq, refusal)) => self.reply(cseq, Err(refusal), out),
            Ok(cseq) => {
                let mut response = Response::new(status).with_text(text);
                challenges.iter().for_each(|value| response.headers.push("WWW-Authenticate", value));
                self.reply(Some(cseq), Ok(response), out);
            }
        }
    }

    /// Says that the connection's bytes cannot be read any more: answers and ends.
    pub fn malformed(&mut self, error: ParseError, out: &mut Vec<Event>) {
        if self.is_closed() {
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
                    Err(refused) => Err(refused.into()),
                };
                self.reply(Some(cseq), answer, out);
            }
            state => self.state = state,
        }
    }

    /// The shell's answer to [`Event::Describe`]: what the stream is made of, or the status and the words to refuse with.
    /// Does nothing if the client has given up meanwhile.
    pub fn answer_describe(&mut self, result: Result<Described, (u16, String)>, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Init) {
            State::Describing(describing) => {
                let cseq = describing.cseq;
                let answer = match result {
                    Ok(described) => {
                        let (state, answer) = describing.answered(described, &self.config, out);
                        self.state = state;
                        answer
                    }
                    Err(refused) => Some(Err(refused.into())),
                };
                if let Some(answer) = answer {
                    self.reply(Some(cseq), answer, out);
                }
            }
            state => self.state = state,
        }
    }

    /// The shell's answer to [`Event::Group`]: the group of the described stream, or the status and the words to refuse with.
    /// It stays the shell's while [`Session::play_transports`] has a track that goes there.
    pub fn answer_group(&mut self, result: Result<Group, (u16, String)>, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Init) {
            State::Joining(joining) => {
                let cseq = joining.cseq;
                let (state, answer) = joining.answered(result, &self.config);
                self.state = state;
                self.reply(Some(cseq), answer, out);
            }
            state => self.state = state,
        }
    }

    /// The shell's answer to [`Event::Play`]: the first packet of each track (its index in [`Play::transports`]) as far as it
    /// is known, or the status and the words to refuse with. The packets themselves come after the reply. Does nothing if
    /// the client has given up meanwhile.
    pub fn answer_play(&mut self, result: Result<Vec<Option<RtpStart>>, (u16, String)>, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Init) {
            State::StartingPlay { playback, cseq } => {
                let answer = match result {
                    Ok(starts) => {
                        let response = playback.playing(&starts);
                        self.state = State::Playing { playback, starts };
                        Ok(response)
                    }
                    Err(refused) => {
                        self.state = State::Prepared(playback);
                        Err(refused.into())
                    }
                };
                self.reply(Some(cseq), answer, out);
            }
            state => self.state = state,
        }
    }

    /// Tells a client that its session is over: a request of the server's own (RFC 2326, section 10.7 allows TEARDOWN to it
    /// as well), then the end. Most clients only see the connection close; the reason is for those that log what comes.
    pub fn teardown(&mut self, reason: &str, out: &mut Vec<Event>) {
        let url = self.state.playback().map(|playback| playback.base.as_str()).or(self.path());
        if let Some(url) = url {
            let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
            let session = &self.config.session_id;
            let text = format!(
                "TEARDOWN {url} RTSP/1.0\r\nCSeq: 1\r\nSession: {session}\r\nServer: {}\r\nReason: {reason}\r\n\r\n",
                self.config.server_name
            );
            out.push(Event::Reply(text.into()));
        }
        if !self.is_closed() {
            self.state = State::Closed;
            out.push(Event::End(EndReason::Told(reason.to_owned())));
        }
    }

    /// The track (its index in [`Publish::tracks`] or [`Play::transports`]) that a channel belongs to, and whether it carries
    /// its RTCP. `None` also before RECORD or PLAY: packets that come so early have no one to go to.
    pub fn track_of_channel(&self, channel: u8) -> Option<(usize, bool)> {
        match &self.state {
            State::Starting { publish, .. } | State::Recording(publish) => {
                let mut transports = publish.transports.iter().enumerate();
                transports.find_map(|(track, transport)| Some((track, transport.carries(channel)?)))
            }
            State::StartingPlay { playback, .. } | State::Playing { playback, .. } | State::Paused(playback) => {
                let mut transports = playback.transports.iter().enumerate();
                transports.find_map(|(track, transport)| Some((track, (*transport)?.carries(channel)?)))
            }
            _ => None,
        }
    }

    /// How each track of [`Described`] goes to the player, `None` for one that was not set up; empty before DESCRIBE and
    /// for a publisher.
    pub fn play_transports(&self) -> &[Option<TrackTransport>] {
        self.state.playback().map_or(&[], |playback| &playback.transports)
    }

    /// What the stream that is played is made of, once it was described.
    pub fn described(&self) -> Option<&Described> {
        self.state.playback().map(|playback| &playback.described)
    }

    /// True from the accepted RECORD on until the session ends.
    pub fn is_publishing(&self) -> bool {
        matches!(self.state, State::Recording(_))
    }

    /// True from the accepted PLAY on until PAUSE or the session's end.
    pub fn is_playing(&self) -> bool {
        matches!(self.state, State::Playing { .. })
    }

    /// True once [`Event::End`] was given; nothing is answered any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The stream's canonical path, once it was announced or described.
    pub fn path(&self) -> Option<&str> {
        self.state.path()
    }

    /// The canonical path that an ANNOUNCE is about: the carrier's, or that of its URL.
    pub fn announced_path(&self, request: &Request) -> String {
        let of_carrier = self.config.stream.as_ref().map(|stream| stream.path.clone());
        of_carrier.unwrap_or_else(|| crate::path::of_uri(&request.uri).0)
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
        let own = match answer {
            Ok(response) => response,
            Err(refusal) => Response::new(refusal.status).with_text(&refusal.text),
        };
        let mut response = Response::new(own.status);
        if let Some(cseq) = cseq {
            response.headers.push("CSeq", cseq.to_string());
        }
        response.headers.push("Server", &self.config.server_name);
        if self.state.is_set_up() {
            let id = SessionId { id: self.config.session_id.clone(), timeout: Some(self.config.timeout) };
            response.headers.push("Session", id.to_string());
        }
        if own.status == 501 {
            response.headers.push("Public", public(self.config.offer));
        }
        for (name, value) in own.headers.iter() {
            response.headers.push(name, value);
        }
        response.body = own.body;
        out.push(Event::Reply(response.to_bytes()));
    }
}

#[cfg(test)]
mod tests;
