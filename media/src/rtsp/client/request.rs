//! Requests, and how they are repeated where the server asks for a login.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Client, Error, Event, Method, Response, State};
use crate::rtsp::message::{Headers, Request, quoted};

/// Answers to challenges that one request gets: the first, and one more for a nonce that has run out.
const MAX_ANSWERS: u8 = 2;

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: String,
    /// When it was sent.
    pub(super) at: Duration,
    /// How often it was sent with an Authorization.
    pub(super) answers: u8,
    header: Option<(&'static str, String)>,
    pub(super) cseq: u32,
}

impl Asked {
    /// The server says that there is nothing at this URL, in one of the two ways that are used for it.
    pub(super) fn is_elsewhere(&self, response: &Response) -> bool {
        matches!(response.status, 400 | 404)
    }

    /// # Errors
    /// It is refused.
    pub(super) fn check(&self, response: &Response) -> Result<(), Error> {
        let method = self.method.clone();
        match response.status {
            200..=299 => Ok(()),
            status @ (401 | 403) => Err(Error::Login { method, status, reason: quoted(&response.reason) }),
            status => Err(Error::Refused { method, status, reason: quoted(&response.reason) }),
        }
    }
}

impl Client {
    pub(super) fn ask(
        &mut self,
        method: Method,
        url: String,
        header: Option<(&'static str, String)>,
        now: Duration,
        out: &mut Vec<Event>,
    ) -> Asked {
        self.send(Asked { method, url, at: now, answers: 0, header, cseq: 0 }, out)
    }

    fn send(&mut self, mut asked: Asked, out: &mut Vec<Event>) -> Asked {
        self.cseq += 1;
        asked.cseq = self.cseq;
        let mut headers = Headers::new();
        // Spelled so: go2rtc#7.
        headers.push("CSeq", asked.cseq.to_string());
        headers.push("User-Agent", self.config.user_agent.as_str());
        if let Some(authorization) = self.login.authorization(asked.method.as_str(), &asked.url) {
            asked.answers += 1;
            headers.push("Authorization", authorization);
        }
        if let Some(session) = &self.session {
            headers.push("Session", session.as_str());
        }
        if let Some((name, value)) = &asked.header {
            headers.push(*name, value.as_str());
        }
        let request = Request { method: asked.method.clone(), uri: asked.url.clone(), headers, body: Bytes::new() };
        let mut bytes = BytesMut::with_capacity(512);
        request.write_to(&mut bytes);
        out.push(Event::Send(bytes.freeze()));
        asked
    }

    /// Asks once more with an answer to the challenge.
    pub(super) fn unauthorized(
        &mut self,
        response: &Response,
        now: Duration,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let Some(asked) = self.asked().cloned() else { return Err(Error::State("an answer")) };
        let answered = asked.answers > 0;
        let challenge = match asked.answers {
            ..MAX_ANSWERS => self.login.challenge(&response.headers, answered),
            _ => Err("wrong user or password".to_owned()),
        };
        match (challenge, &self.state) {
            (Ok(()), _) => {
                let asked = self.send(asked, out);
                match &mut self.state {
                    State::Options(old) | State::Describe(old) | State::SetUp(_, old) => *old = asked,
                    State::Play(old, _) | State::Closing(old) => *old = asked,
                    State::Playing(old) => *old = Some(asked),
                    State::New | State::Ports(_) | State::Closed => return Err(Error::State("an answer")),
                }
                Ok(())
            }
            // Not every camera that guards OPTIONS guards its description.
            (Err(_), State::Options(_)) if !answered => {
                self.describe(now, out);
                Ok(())
            }
            // Media comes as long as it comes.
            (Err(_), State::Playing(_)) => {
                self.state = State::Playing(None);
                Ok(())
            }
            (Err(_), State::Closing(_)) => {
                self.state = State::Closed;
                out.push(Event::Closed);
                Ok(())
            }
            (Err(reason), _) => Err(Error::Login { method: asked.method, status: 401, reason }),
        }
    }
}
