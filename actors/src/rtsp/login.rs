//! Who asks on an RTSP connection, and whether it may: Digest, Basic in TLS, or a token in the URL's query; over a websocket
//! whoever opened that. Once somebody has logged in the connection is theirs; what they may do is looked up for each stream,
//! before anything is pulled.

use std::sync::Arc;
use std::time::Duration;

use ipchub_media::path::of_uri;
use ipchub_media::rtsp::auth::{Asked, Authorization, Ha1, Ways, challenge};
use ipchub_media::rtsp::message::{Method, Request};
use ipchub_media::rtsp::session::Event;

use super::session::RtspSession;
use crate::accounts::users::User;
use crate::accounts::{Denied, Refusal, Right};

/// What a request is refused with.
struct Refused {
    status: u16,
    text: String,
    /// Values of `WWW-Authenticate`.
    challenges: Vec<String>,
    /// How long the answer waits.
    delay: Duration,
}

impl From<(u16, String)> for Refused {
    fn from((status, text): (u16, String)) -> Self {
        Self { status, text, challenges: Vec::new(), delay: Duration::ZERO }
    }
}

/// Tokens travel in queries and are not for logs.
pub(super) fn without_query(uri: &str) -> &str {
    uri.split_once('?').map_or(uri, |(path, _)| path)
}

impl RtspSession {
    /// Gives a request to the state machine, if whoever sent it may ask. The answer is to wait that long.
    pub(super) fn step(&mut self, request: Request, events: &mut Vec<Event>) -> Duration {
        match self.admit(&request).and_then(|()| self.admit_announce(&request)) {
            Ok(()) => {
                self.machine().request(request, events);
                Duration::ZERO
            }
            Err(Refused { status, text, challenges, delay }) => {
                self.machine().refuse(&request, (status, &text), &challenges, events);
                delay
            }
        }
    }

    /// A publisher without the right is told so before it sets anything up. RECORD asks again: rights may change meanwhile.
    fn admit_announce(&mut self, request: &Request) -> Result<(), Refused> {
        if request.method != Method::Announce {
            return Ok(());
        }
        let path = self.machine().announced_path(request);
        Ok(self.may(Right::Push, &path)?)
    }

    /// What is to be done instead of publishing, if whoever asks may not.
    pub(super) fn refuse_publish(&mut self, path: &str) -> Option<Vec<Event>> {
        let refusal = self.may(Right::Push, path).err()?;
        let mut events = Vec::new();
        self.machine().answer_publish(Err(refusal), &mut events);
        Some(events)
    }

    /// Whether a request may be looked at.
    fn admit(&mut self, request: &Request) -> Result<(), Refused> {
        let asks = matches!(
            request.method,
            Method::Describe | Method::Announce | Method::Setup | Method::Play | Method::Record
        );
        if !self.hub.gate.auth || !asks {
            return Ok(());
        }
        let header = request.headers.get("Authorization");
        // A player logs in for each request; what came on this connection is theirs.
        let again = matches!(request.method, Method::Describe | Method::Announce) && header.is_some();
        if self.user.is_some() && !again {
            return Ok(());
        }
        match self.caller(request, header) {
            Ok(user) => {
                self.user = Some(user.name.clone());
                Ok(())
            }
            Err(denied) => Err(self.refused(&denied)),
        }
    }

    fn caller(&self, request: &Request, header: Option<&str>) -> Result<Arc<User>, Denied> {
        let (gate, address) = (&self.hub.gate, self.link().peer.ip());
        let (_, query) = of_uri(&request.uri);
        if let Some(token) = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("token="))) {
            return Ok(gate.token(token)?);
        }
        let asked = Asked { method: request.method.as_str(), uri: &request.uri };
        let ways = self.ways();
        match header.and_then(Authorization::read) {
            Some(Authorization::Digest(answer)) if ways.digest => gate.digest(&answer, asked, address),
            Some(Authorization::Bearer(token)) => Ok(gate.token(&token)?),
            Some(Authorization::Basic { user, password }) if ways.basic => {
                gate.known(&user, |user| Ha1::of(user, &password), address)
            }
            Some(Authorization::Basic { .. } | Authorization::Digest(_)) | None => Err(Refusal::Token.into()),
        }
    }

    /// How a password may be told on this connection.
    fn ways(&self) -> Ways {
        self.hub.settings.rtsp_login.on(self.link().is_secure())
    }

    fn refused(&self, Denied { refusal, delay }: &Denied) -> Refused {
        let peer = self.link().peer;
        if let Refusal::TooMany { .. } = refusal {
            log::warn!("{peer}: {refusal}");
            return (403, format!("{refusal}.")).into();
        }
        if *refusal == Refusal::Login {
            log::warn!("{peer}: an RTSP login was refused");
        }
        let stale = *refusal == Refusal::Stale;
        let challenges = challenge(&self.hub.gate.nonce(), stale, self.ways());
        if challenges.is_empty() {
            // A 401 must say how.
            return (403, "Log in by rtsps://, or with a token: passwords are not taken unencrypted here.".into())
                .into();
        }
        Refused { status: 401, text: "Log in with user and password.".into(), challenges, delay: *delay }
    }

    /// Whether who logged in may do that at a path.
    pub(super) fn may(&self, right: Right, path: &str) -> Result<(), (u16, String)> {
        let gate = &self.hub.gate;
        if !gate.auth {
            return Ok(());
        }
        let users = gate.users();
        let user = self.user.as_deref().and_then(|name| users.user(name));
        let user = user.ok_or_else(|| (401, "Log in with user and password.".to_owned()))?;
        gate.may(user, right, path).map_err(|refusal| {
            log::info!("{}: {refusal}", self.link().peer);
            (403, format!("{refusal}."))
        })
    }
}
