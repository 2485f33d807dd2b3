//! The client's side of an RTSP session (RFC 2326, section A.1), sans-IO: it asks a server for its media.
//!
//! ```text
//!         start           answered            tracks              no track left
//!   New ───────► Options ─────────► Describe ───────► SetUp ◄──┐ ───────────────► Play ───► Playing
//!                   │  any answer,      │               │ ▲ └──┘ next track, next   │          │
//!                   │  or none for 2 s  │          461  ▼ │      URL at 404         │          │
//!                   │                   │             Ports                         │          │
//!                   └───────────────────┴───── 3xx ─────┴───────────┬───────────────┘          │ close
//!                                                                   ▼                          ▼
//!                                                                 Closed ◄──── answered ──── Closing
//! ```
//!
//! A 401 repeats the request with an answer to its challenge. Whatever else comes in a state ends the session with an
//! [`Error`], but for late answers, and answers to keep-alives, which some cameras never give or get wrong.
//!
//! 1. [`Client::start`], then what was read to [`Client::read`], and [`Client::wake_up`] when [`Client::wake`] has come.
//! 2. Each pushes [`Event`]s, to be carried out in their order.
//! 3. [`Client::close`], and what is left is sent.

mod event;
mod incoming;
mod keep_alive;
mod login;
mod request;
mod setup;
mod url;

use std::time::Duration;

use bytes::BytesMut;

use super::headers::SessionId;
use super::message::{Method, Response};
use super::parser::{Item, Parser};
use crate::sdp::Description;
use keep_alive::KeepAlive;
use login::Login;
use request::Asked;
use setup::SetUp;
use url::Urls;

pub use event::{Config, Error, Event, Wanted};
pub use login::Credentials;
pub use setup::{Chosen, Path};

/// A camera that has not answered OPTIONS by then is asked for its description: some never answer what they do not know.
const OPTIONS_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
enum State {
    New,
    Options(Asked),
    Describe(Asked),
    /// Waits for UDP ports.
    Ports(SetUp),
    SetUp(SetUp, Asked),
    /// With the other URLs to try.
    Play(Asked, Vec<String>),
    /// The last keep-alive, if it was not answered yet.
    Playing(Option<Asked>),
    Closing(Asked),
    Closed,
}

/// One connection's session.
#[derive(Debug)]
pub struct Client {
    config: Config,
    parser: Parser,
    state: State,
    login: Login,
    cseq: u32,
    /// Requests whose answers come too late; at most two.
    given_up: Vec<u32>,
    session: Option<String>,
    keep_alive: KeepAlive,
    urls: Urls,
    chosen: Vec<Chosen>,
    /// It is the second connection.
    again: bool,
    notes: Vec<String>,
}

impl Client {
    /// Nothing is sent yet.
    pub fn new(mut config: Config) -> Self {
        Self {
            urls: Urls::new(&config.url, None, ""),
            login: Login::new(config.credentials.take()),
            config,
            parser: Parser::new(),
            state: State::New,
            cseq: 0,
            given_up: Vec::new(),
            session: None,
            keep_alive: KeepAlive::default(),
            chosen: Vec::new(),
            again: false,
            notes: Vec::new(),
        }
    }

    /// For a new connection after the server closed this one without a word: at OPTIONS, which some cameras take so ill, or
    /// after its challenge, which is then answered at once. `None`: there is no reason to try again.
    pub fn again(mut self) -> Option<Self> {
        let (answers, began) = self.asked().map(|asked| (asked.answers, matches!(self.state, State::Options(_))))?;
        let challenged = answers == 1 && !self.login.is_proven();
        if !began && !challenged || self.again {
            return None;
        }
        self.config.options &= !began || challenged;
        let login = std::mem::replace(&mut self.login, Login::new(None));
        Some(Self { login, again: true, ..Self::new(self.config) })
    }

    /// What is waited for, in words.
    pub fn step(&self) -> &'static str {
        match &self.state {
            State::New => "connection",
            State::Options(_) => "answer to OPTIONS",
            State::Describe(_) => "answer to DESCRIBE",
            State::Ports(_) | State::SetUp(..) => "answer to SETUP",
            State::Play(..) => "answer to PLAY",
            State::Playing(_) if self.chosen.iter().any(|chosen| chosen.path == Path::Udp) => {
                "packet by UDP after PLAY"
            }
            State::Playing(_) => "packet after PLAY",
            State::Closing(_) | State::Closed => "answer to TEARDOWN",
        }
    }

    /// The tracks that were set up; complete from [`Event::Playing`] on.
    pub fn tracks(&self) -> &[Chosen] {
        &self.chosen
    }

    /// What was odd so far, a sentence each.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Asks the first question. `now` is of a clock that only ever grows, the same in all calls.
    pub fn start(&mut self, now: Duration, out: &mut Vec<Event>) {
        if self.config.options {
            let asked = self.ask(Method::Options, self.config.url.clone(), None, now, out);
            self.state = State::Options(asked);
        } else {
            self.describe(now, out);
        }
    }

    /// Takes what came out of `buffer`; the rest of an unfinished message or packet stays there.
    ///
    /// # Errors
    /// The session is over, and the connection should be closed.
    pub fn read(&mut self, buffer: &mut BytesMut, now: Duration, out: &mut Vec<Event>) -> Result<(), Error> {
        while !matches!(self.state, State::Closed) {
            match self.parser.next(buffer)? {
                Some(Item::Interleaved { channel, data }) => self.interleaved(channel, data, out),
                Some(Item::Response(response)) => self.answered(response, now, out)?,
                Some(Item::Request(request)) => self.requested(&request, out)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// When to call [`Client::wake_up`] at the latest.
    pub fn wake(&self) -> Option<Duration> {
        match &self.state {
            State::Options(asked) => Some(asked.at + OPTIONS_PATIENCE),
            State::Playing(_) => self.keep_alive.due(),
            _ => None,
        }
    }

    /// Does what is due.
    pub fn wake_up(&mut self, now: Duration, out: &mut Vec<Event>) {
        if self.wake().is_none_or(|due| due > now) {
            return;
        }
        match &self.state {
            State::Options(asked) => {
                self.given_up.push(asked.cseq);
                self.describe(now, out);
            }
            State::Playing(_) => {
                let (method, url) = (self.keep_alive.method(), self.urls.aggregates().swap_remove(0));
                let asked = self.ask(method, url, None, now, out);
                self.keep_alive.sent(now);
                self.state = State::Playing(Some(asked));
            }
            _ => {}
        }
    }

    /// Ends the session: nothing more comes after the answer, or without it when nothing was set up.
    pub fn close(&mut self, now: Duration, out: &mut Vec<Event>) {
        let begun = matches!(self.state, State::SetUp(..) | State::Ports(_) | State::Play(..) | State::Playing(_));
        if !begun || self.chosen.is_empty() {
            self.state = State::Closed;
            return out.push(Event::Closed);
        }
        self.given_up.extend(self.asked().map(|asked| asked.cseq));
        let url = self.urls.aggregates().swap_remove(0);
        let asked = self.ask(Method::Teardown, url, None, now, out);
        self.state = State::Closing(asked);
    }

    fn describe(&mut self, now: Duration, out: &mut Vec<Event>) {
        let accept = Some(("Accept", "application/sdp".to_owned()));
        let asked = self.ask(Method::Describe, self.config.url.clone(), accept, now, out);
        self.state = State::Describe(asked);
    }

    fn answered(&mut self, response: Response, now: Duration, out: &mut Vec<Event>) -> Result<(), Error> {
        self.keep_alive.learn(&response.headers);
        // 1xx: the answer is still to come.
        if response.status < 200 || !self.is_awaited(&response) {
            return Ok(());
        }
        if response.status == 401 {
            return self.unauthorized(&response, now, out);
        }
        if self.asked().is_some_and(|asked| asked.answers > 0) {
            self.login.accepted();
        }
        let moved = matches!(response.status, 300..=303 | 305 | 307 | 308).then(|| response.headers.get("Location"));
        if let Some(location) = moved.flatten()
            && !matches!(self.state, State::Playing(_) | State::Closing(_))
        {
            let to = url::absolute(location, &self.config.url).unwrap_or_else(|| location.to_owned());
            self.state = State::Closed;
            out.push(Event::Redirect(to));
            return Ok(());
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            // Who refuses OPTIONS may well describe.
            State::Options(_) => self.describe(now, out),
            State::Describe(asked) => return self.described(&asked, &response, now, out),
            State::SetUp(set_up, asked) => return self.set_up_answered(set_up, asked, &response, now, out),
            State::Play(asked, others) => return self.play_answered(&asked, others, &response, now, out),
            State::Playing(asked) => {
                self.keep_alive.answered(asked.map(|asked| asked.method), response.status);
                self.state = State::Playing(None);
            }
            State::Closing(_) => out.push(Event::Closed),
            State::New | State::Ports(_) | State::Closed => return Err(Error::State("an answer")),
        }
        Ok(())
    }

    /// It answers the last request. Some cameras leave the number out, or count for themselves: only numbers of requests
    /// that were given up are of others.
    fn is_awaited(&self, response: &Response) -> bool {
        let number = response.headers.get("CSeq").and_then(|value| value.trim().parse::<u32>().ok());
        self.asked().is_some() && number.is_none_or(|number| !self.given_up.contains(&number))
    }

    fn asked(&self) -> Option<&Asked> {
        match &self.state {
            State::Options(asked) | State::Describe(asked) | State::SetUp(_, asked) => Some(asked),
            State::Play(asked, _) | State::Closing(asked) => Some(asked),
            State::Playing(asked) => asked.as_ref(),
            State::New | State::Ports(_) | State::Closed => None,
        }
    }

    fn described(
        &mut self,
        asked: &Asked,
        response: &Response,
        now: Duration,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        asked.check(response)?;
        let description = Description::parse(&response.body)?;
        let headers = &response.headers;
        let said = |name| headers.get(name).filter(|value| !value.is_empty());
        let base = said("Content-Base").or(said("Content-Location"));
        self.urls = Urls::new(&self.config.url, base, &description.control);
        self.notes.extend(description.notes);
        let set_up = SetUp::new(description.tracks, self.config.wanted).ok_or(Error::NoTracks)?;
        self.next_track(set_up, now, out)
    }

    /// Every track is set up.
    fn play(&mut self, now: Duration, out: &mut Vec<Event>) {
        let mut urls = self.urls.aggregates();
        let asked = self.ask_to_play(urls.remove(0), now, out);
        self.state = State::Play(asked, urls);
    }

    fn ask_to_play(&mut self, url: String, now: Duration, out: &mut Vec<Event>) -> Asked {
        self.ask(Method::Play, url, Some(("Range", "npt=0.000-".to_owned())), now, out)
    }

    fn play_answered(
        &mut self,
        asked: &Asked,
        mut others: Vec<String>,
        response: &Response,
        now: Duration,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if asked.is_elsewhere(response) && !others.is_empty() {
            let asked = self.ask_to_play(others.remove(0), now, out);
            self.state = State::Play(asked, others);
            return Ok(());
        }
        asked.check(response)?;
        self.note_session(response);
        self.keep_alive.sent(now);
        self.state = State::Playing(None);
        out.push(Event::Playing);
        Ok(())
    }

    /// The first session that the server names counts; one that names none has none (some Chinese cameras).
    fn note_session(&mut self, response: &Response) {
        let Some(session) = response.headers.get("Session").map(SessionId::parse) else { return };
        self.keep_alive.set_timeout(session.timeout);
        if self.session.is_none() && !session.id.is_empty() {
            self.session = Some(session.id);
        }
    }
}

#[cfg(test)]
mod tests;
