//! Who may do what. Asked by REST handlers and by every way in and out of media; answers at once, from snapshots.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipchub_media::rtsp::auth::{Asked, Check, DigestAnswer, Ha1, Nonces, Verifier, constant_time_eq};

use super::attempts::Attempts;
use super::ended::Ended;
use super::tokens::{Claims, Kind, Tokens};
use super::users::{User, Users};
use super::{AccountsError, Config, random, secret};
use crate::store::{Kept, Provider};

/// What somebody wants to do with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To publish.
    Push,
    /// To watch.
    Pull,
}

/// Why somebody may not. What it says is all that a client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("Token is not valid")]
    Token,
    #[error("user name or password is wrong")]
    Login,
    /// A Digest answer that only needs a new nonce.
    #[error("the nonce is too old")]
    Stale,
    #[error("too many failed logins, try again in {} s", wait.as_secs().max(1))]
    TooMany { wait: Duration },
    #[error("the user {user} may not {} {path}", match right { Right::Push => "publish", Right::Pull => "watch" })]
    Right { user: String, right: Right, path: String },
    #[error("{0}")]
    Unavailable(String),
}

/// One for the hub.
#[derive(Debug)]
pub struct Gate {
    /// Whether streams ask for rights.
    pub auth: bool,
    pub(super) users: Kept<Users>,
    pub(super) ended: Kept<Ended>,
    pub(super) tokens: Tokens,
    nonces: Nonces,
    digests: Mutex<Verifier>,
    attempts: Mutex<Attempts>,
    begin: Instant,
}

/// A login that is being checked. Dropped without a word it was a failure: the client that left did not wait for the answer.
#[derive(Debug)]
pub struct Login {
    gate: Arc<Gate>,
    address: IpAddr,
    ended: bool,
}

/// Who asks is not let in.
#[derive(Debug)]
pub struct Denied {
    /// Why.
    pub refusal: Refusal,
    /// How long the answer is to wait.
    pub delay: Duration,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, delay: Duration::ZERO }
    }
}

impl Gate {
    /// Reads what is kept. Blocks: for the start.
    pub fn open(config: &Config) -> Result<Self, AccountsError> {
        let secret = match (config.auth_secret.as_str(), config.provider) {
            ("", Provider::Json) => secret::of_folder(&config.folder)?,
            ("", Provider::Memory) => secret::new(),
            (given, _) => given.as_bytes().to_vec(),
        };
        let nonces = Nonces::new(random());
        Ok(Self {
            auth: config.auth,
            users: super::open(config)?,
            ended: super::open_ended(config)?,
            tokens: Tokens::new(&secret),
            digests: Mutex::new(Verifier::new(nonces.clone())),
            nonces,
            attempts: Mutex::default(),
            begin: Instant::now(),
        })
    }

    /// All users.
    pub fn users(&self) -> Arc<Users> {
        self.users.current()
    }

    /// Whose access token that is.
    pub fn token(&self, token: &str) -> Result<Arc<User>, Refusal> {
        self.claims(token, Kind::Access).map(|(user, _)| user)
    }

    pub(super) fn claims(&self, token: &str, kind: Kind) -> Result<(Arc<User>, Claims), Refusal> {
        let claims = self.tokens.read(token, kind).ok_or(Refusal::Token)?;
        self.owner(claims)
    }

    /// Whose access token that is, or was until it expired: for who was let in by it before.
    pub fn late_token(&self, token: &str) -> Result<Arc<User>, Refusal> {
        let claims = self.tokens.read_late(token, Kind::Access).ok_or(Refusal::Token)?;
        self.owner(claims).map(|(user, _)| user)
    }

    fn owner(&self, claims: Claims) -> Result<(Arc<User>, Claims), Refusal> {
        let (user, claims) = self.of_password(claims)?;
        if self.ended.current().allows(&claims) { Ok((user, claims)) } else { Err(Refusal::Token) }
    }

    /// As [`Gate::claims`], for a token that may have been used before.
    pub(super) fn signed(&self, token: &str, kind: Kind) -> Result<(Arc<User>, Claims), Refusal> {
        let claims = self.tokens.read(token, kind).ok_or(Refusal::Token)?;
        self.of_password(claims)
    }

    /// The user that a token names, if the password is still the one of its login.
    fn of_password(&self, claims: Claims) -> Result<(Arc<User>, Claims), Refusal> {
        let user = self.users().user(&claims.sub).cloned().ok_or(Refusal::Token)?;
        if self.tokens.mark(&user.secret.mark(&user.name)) != claims.mark {
            return Err(Refusal::Token);
        }
        Ok((user, claims))
    }

    /// Whether a user may do that at a canonical path.
    pub fn may(&self, user: &User, right: Right, path: &str) -> Result<(), Refusal> {
        let masks = match right {
            Right::Push => &user.push,
            Right::Pull => &user.pull,
        };
        if masks.allow(path) {
            return Ok(());
        }
        Err(Refusal::Right { user: user.name.clone(), right, path: path.to_owned() })
    }

    /// A nonce for a Digest challenge.
    pub fn nonce(&self) -> String {
        self.nonces.make(self.begin.elapsed())
    }

    /// Who answered a Digest challenge.
    pub fn digest(
        self: &Arc<Self>,
        answer: &DigestAnswer,
        asked: Asked<'_>,
        address: IpAddr,
    ) -> Result<Arc<User>, Denied> {
        let login = self.begin_login(address)?;
        let users = self.users();
        let user = users.user(&answer.username);
        if user.is_some_and(|user| user.secret.lacks_digest()) {
            log::warn!(
                "{address}: {} cannot log in by Digest yet: only the MD5 of its password is known. It must log in by REST once",
                answer.username
            );
        }
        let Some((user, ha1)) = user.and_then(|user| Some((user, user.secret.ha1(&user.name)?))) else {
            return Err(login.denied());
        };
        let check = lock(&self.digests).check(answer, &ha1, asked, self.begin.elapsed());
        match check {
            Check::Right if user.has_default_password() && !address.is_loopback() => Err(login.denied()),
            Check::Right => {
                login.right();
                Ok(Arc::clone(user))
            }
            Check::Stale => {
                login.right();
                Err(Refusal::Stale.into())
            }
            Check::Wrong => Err(login.denied()),
        }
    }

    /// Who said a password, of which `ha1` makes what is known of it. For connections that nobody else can read.
    pub fn known(
        self: &Arc<Self>,
        name: &str,
        ha1: impl FnOnce(&str) -> Ha1,
        address: IpAddr,
    ) -> Result<Arc<User>, Denied> {
        let login = self.begin_login(address)?;
        let (users, name) = (self.users(), name.to_lowercase());
        let said = ha1(&name);
        let user = users.user(&name).filter(|user| {
            let known = user.secret.ha1(&user.name);
            let right = known.is_some_and(|known| constant_time_eq(known.sha256.as_bytes(), said.sha256.as_bytes()));
            right && (address.is_loopback() || !user.has_default_password())
        });
        match user {
            Some(user) => {
                login.right();
                Ok(Arc::clone(user))
            }
            None => Err(login.denied()),
        }
    }

    /// Begins to check a login, if that address did not fail too often.
    pub fn begin_login(self: &Arc<Self>, address: IpAddr) -> Result<Login, Refusal> {
        match lock(&self.attempts).begin(address, Instant::now()) {
            Ok(()) => Ok(Login { gate: Arc::clone(self), address, ended: false }),
            Err(refused) => Err(Refusal::TooMany { wait: refused.wait }),
        }
    }
}

impl Login {
    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// It was right.
    pub fn right(mut self) {
        self.end(true);
    }

    /// It was wrong. Gives how long the answer is to wait, and the answer.
    pub fn wrong(mut self) -> (Duration, Refusal) {
        (self.end(false), Refusal::Login)
    }

    /// As [`Login::wrong`].
    fn denied(self) -> Denied {
        let (delay, refusal) = self.wrong();
        Denied { refusal, delay }
    }

    fn end(&mut self, right: bool) -> Duration {
        self.ended = true;
        lock(&self.gate.attempts).end(self.address, right, Instant::now())
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if !self.ended {
            self.end(false);
        }
    }
}

/// What is locked is whole between any two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
