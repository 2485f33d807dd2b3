//! The actor that changes users and logs them in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::prelude::*;
use serde_json::Map;
use tokio::sync::Semaphore;

use super::credentials::{self, MAX_PASSWORD, Secret};
use super::gate::{Gate, Refusal};
use super::tokens::{Family, Kind, Pair};
use super::users::{self, FILE, MAX_MASKS, NameError, User, Users};
use super::{hex, random};
use crate::messages::{DeleteUser, LogIn, PutUser, Refresh};
use crate::store::StoreError;

/// Passwords that are hashed at once: 19 MiB each. More wait.
const HASHES: usize = 2;
/// Logins that wait for that; more are refused. A hub's two hashes take some 50 ms.
const WAITING: usize = 100;
/// How often it is looked whether somebody changed the file by hand.
const LOOK: Duration = Duration::from_secs(1);

/// One per process.
#[derive(Debug)]
pub struct Accounts {
    gate: Arc<Gate>,
    hashing: Arc<Semaphore>,
    /// Logins that hash or wait to.
    logins: Arc<Semaphore>,
    /// What was wrong with the file when it was last looked at.
    trouble: String,
}

/// Why a user is not changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum UserChangeError {
    #[error("name: {0}")]
    Name(#[from] NameError),
    #[error("{0}: {1}")]
    Field(&'static str, String),
    #[error("{0} is the last administrator")]
    LastAdmin(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Of what a gate has read.
    pub fn new(gate: Arc<Gate>) -> Self {
        let (hashing, logins) = (Arc::new(Semaphore::new(HASHES)), Arc::new(Semaphore::new(HASHES + WAITING)));
        Self { gate, hashing, logins, trouble: String::new() }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let looked = self.gate.users.look().into_actor(self).map(|result, accounts, _| {
            let trouble = match result {
                Ok(false) if accounts.trouble.is_empty() => return,
                // A change that could not be read stays one.
                Ok(false) => String::new(),
                Ok(true) => {
                    log::info!("{FILE} was changed by hand: {} users", accounts.gate.users().len());
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            if trouble != accounts.trouble && !trouble.is_empty() {
                log::error!("{trouble}; the users stay as they were");
            }
            accounts.trouble = trouble;
        });
        ctx.spawn(looked);
    }
}

impl Actor for Accounts {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        drop(actix_rt::task::spawn_blocking(credentials::warm_up));
        ctx.run_interval(LOOK, Self::look);
        if self.gate.users().user(users::DEFAULT.0).is_some_and(|admin| admin.has_default_password()) {
            let (name, password) = users::DEFAULT;
            log::warn!(
                "the user {name} has the password {password:?}: it is accepted from this machine only until it is changed"
            );
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A password is worked on, off the actors' threads. Fails when the hub ends.
async fn hashing<R: Send + 'static>(gate: &Semaphore, work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let _permit = gate.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

impl Handler<LogIn> for Accounts {
    type Result = ResponseFuture<Result<Pair, Refusal>>;

    fn handle(&mut self, login: LogIn, _: &mut Self::Context) -> Self::Result {
        let (gate, hashing) = (Arc::clone(&self.gate), Arc::clone(&self.hashing));
        let waiting = Arc::clone(&self.logins).try_acquire_owned();
        Box::pin(async move {
            let busy = |_| Refusal::Unavailable("too many logins at once, try again".into());
            let _waiting = waiting.map_err(busy)?;
            let user = check(&gate, &hashing, login).await?;
            Ok(new_login(&gate, &user))
        })
    }
}

/// Whose login that is. A wrong one is answered late.
async fn check(gate: &Arc<Gate>, hasher: &Semaphore, login: LogIn) -> Result<Arc<User>, Refusal> {
    let LogIn { username, password, address, direct } = login;
    let attempt = gate.begin_login(address)?;
    let name = username.trim().to_lowercase();
    let user = gate.users().user(&name).cloned();
    let (secret, typed) = (user.as_ref().map(|user| user.secret.clone()), password.clone());
    let closing = || Refusal::Unavailable("the hub is shutting down".into());
    let fits = typed.len() <= MAX_PASSWORD;
    let right = hashing(hasher, move || credentials::verify(secret.as_ref(), &typed)).await.ok_or_else(closing)?;
    let near = address.is_loopback() && direct;
    match user.filter(|user| right && fits && (near || !user.has_default_password())) {
        Some(user) => {
            attempt.right();
            if user.secret.lacks_digest() { complete(gate, user, password).await } else { Ok(user) }
        }
        None => {
            let (wait, refusal) = attempt.wrong();
            log::warn!(
                "{address}: a login as {:?} was refused",
                name.chars().take(users::MAX_NAME).collect::<String>()
            );
            tokio::time::sleep(wait).await;
            Err(refusal)
        }
    }
}

/// The password of which only the MD5 was known was seen: now Digest works, too.
async fn complete(gate: &Gate, user: Arc<User>, password: String) -> Result<Arc<User>, Refusal> {
    let name = user.name.clone();
    let changed = gate.users.change(move |users| -> Result<_, StoreError> {
        if let Some(known) = users.user(&user.name).filter(|known| known.secret == user.secret) {
            let secret = Secret::new(&user.name, &password);
            users.put(User { secret, ..(**known).clone() });
        }
        Ok(())
    });
    if let Err(error) = changed.await {
        log::error!("{error}; RTSP logins of {name} will not work until it can be written");
    }
    gate.users().user(&name).cloned().ok_or(Refusal::Login)
}

fn new_login(gate: &Gate, user: &User) -> Pair {
    let time = gate.ended.current().after(&user.name, now());
    let family = Family(time, hex(&random::<8>()));
    gate.tokens.pair(&user.name, &family, &gate.tokens.mark(&user.secret.mark(&user.name)), &hex(&random::<16>()))
}

impl Handler<Refresh> for Accounts {
    type Result = ResponseFuture<Result<Pair, Refusal>>;

    fn handle(&mut self, refresh: Refresh, _: &mut Self::Context) -> Self::Result {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let (user, claims) = gate.signed(&refresh.token, Kind::Refresh)?;
            if !gate.ended.current().allows(&claims) && !gate.ended.current().knows(&claims) {
                // Over for another reason than its use.
                return Err(Refusal::Token);
            }
            let pair = hex(&random::<16>());
            let (used, next) = (claims.clone(), pair.clone());
            let changed = gate.ended.change(move |ended| Ok::<_, StoreError>(ended.refresh(&used, &next, now())));
            match changed.await {
                Ok(true) => Ok(gate.tokens.pair(&user.name, &claims.family, &claims.mark, &pair)),
                Ok(false) => {
                    log::warn!("{}: a refresh token was used twice: that login is over", user.name);
                    Err(Refusal::Token)
                }
                Err(error) => {
                    log::error!("{error}");
                    Err(Refusal::Unavailable("the hub cannot keep its tokens".into()))
                }
            }
        })
    }
}

/// All tokens of a user are over.
async fn end_tokens(gate: &Gate, user: String) -> Result<(), StoreError> {
    let ended = gate.ended.change(move |ended| -> Result<_, StoreError> {
        ended.end_user(&user, now());
        Ok(())
    });
    ended.await
}

impl PutUser {
    fn check(&self) -> Result<(), UserChangeError> {
        let field = |name, text: String| Err(UserChangeError::Field(name, text));
        if self.password.as_ref().is_some_and(|password| password.len() > MAX_PASSWORD) {
            return field("password", format!("longer than {MAX_PASSWORD} bytes"));
        }
        for (name, masks) in [("push", &self.push), ("pull", &self.pull)] {
            if masks.len() > MAX_MASKS {
                return field(name, format!("longer than {MAX_MASKS} bytes"));
            }
            if masks.chars().any(char::is_control) {
                return field(name, "it has control characters".into());
            }
        }
        Ok(())
    }
}

impl Handler<PutUser> for Accounts {
    type Result = ResponseFuture<Result<(), UserChangeError>>;

    fn handle(&mut self, put: PutUser, _: &mut Self::Context) -> Self::Result {
        let (gate, hasher) = (Arc::clone(&self.gate), Arc::clone(&self.hashing));
        Box::pin(async move {
            let name = users::name(&put.name)?;
            put.check()?;
            let password = put.password.clone().filter(|password| !password.is_empty());
            let known = gate.users().user(&name).is_some();
            let secret = match password {
                Some(password) if put.update_password || !known => {
                    let user = name.clone();
                    let secret = hashing(&hasher, move || Secret::new(&user, &password)).await;
                    Some(secret.ok_or(StoreError::Closing)?)
                }
                None if put.update_password || !known => {
                    return Err(UserChangeError::Field("password", "it is missing".into()));
                }
                _ => None,
            };
            let ends = known && secret.is_some();
            let user = name.clone();
            if ends {
                // First: whoever has the old password may not get through between the two.
                end_tokens(&gate, user).await?;
            }
            gate.users.change(move |users| apply(users, &name, &put, secret)).await
        })
    }
}

fn apply(users: &mut Users, name: &str, put: &PutUser, secret: Option<Secret>) -> Result<(), UserChangeError> {
    let old = users.user(name).cloned();
    if old.as_ref().is_some_and(|old| old.admin) && !put.admin && !users.has_admin_besides(name) {
        return Err(UserChangeError::LastAdmin(name.to_owned()));
    }
    let (kept, other) = old.map_or((Secret::None, Map::new()), |old| (old.secret.clone(), old.other.clone()));
    users.put(User {
        name: name.to_owned(),
        secret: secret.unwrap_or(kept),
        admin: put.admin,
        push: users::masks(&put.push, put.admin),
        pull: users::masks(&put.pull, put.admin),
        other,
    });
    Ok(())
}

impl Handler<DeleteUser> for Accounts {
    type Result = ResponseFuture<Result<bool, UserChangeError>>;

    fn handle(&mut self, delete: DeleteUser, _: &mut Self::Context) -> Self::Result {
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let name = delete.name.trim().to_lowercase();
            let user = name.clone();
            let removed = gate.users.change(move |users| match users.user(&name) {
                Some(user) if user.admin && !users.has_admin_besides(&name) => Err(UserChangeError::LastAdmin(name)),
                Some(_) => Ok(users.remove(&name).is_some()),
                None => Err(UserChangeError::Field("name", String::new())),
            });
            match removed.await {
                // Nothing is written for nobody.
                Err(UserChangeError::Field(..)) => return Ok(false),
                result => result?,
            };
            // One of the same name and password who comes later is another.
            end_tokens(&gate, user).await?;
            Ok(true)
        })
    }
}
