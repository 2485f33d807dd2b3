//! The users, as `users.json` has them: `[{"name", "password", "admin", "push", "pull"}]`, as the original wrote it.
//!
//! Passwords of old files are plain or MD5. When the table is written for the first time they become hashes, see
//! [`super::credentials`]; `ha1_md5` and `ha1_sha256` stand beside them then. Other fields are kept as they are.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ipchub_media::rtsp::auth::Ha1;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::credentials::{Secret, SecretError};
use super::masks::Masks;
use crate::store::{self, Document};

/// Its name in the data folder.
pub const FILE: &str = "users.json";
/// The user without a file, and its password: accepted from this machine only.
pub const DEFAULT: (&str, &str) = ("admin", "admin");
/// Letters of a name at most.
pub const MAX_NAME: usize = 64;
/// Bytes of the masks for one direction at most.
pub const MAX_MASKS: usize = 4096;

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Lower case.
    pub name: String,
    /// How the password is known.
    pub secret: Secret,
    /// May do everything in REST.
    pub admin: bool,
    /// Where it may push to.
    pub push: Masks,
    /// What it may watch.
    pub pull: Masks,
    /// What the file says besides.
    pub other: Map<String, Value>,
}

impl User {
    /// Whether it still has the password that everybody knows.
    pub fn has_default_password(&self) -> bool {
        self.name == DEFAULT.0 && self.secret.is_known(DEFAULT.0, DEFAULT.1)
    }
}

/// All users.
#[derive(Debug, Clone, Default)]
pub struct Users {
    users: BTreeMap<String, Arc<User>>,
}

/// A user as the file has it.
#[derive(Deserialize)]
#[serde(try_from = "Entry")]
struct Read(User);

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    push: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pull: String,
    /// The hash is that of the password's MD5.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    password_of_md5: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    ha1_md5: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    ha1_sha256: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Why something is no user. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum UserError {
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("the user {name}: {source}")]
    Password { name: String, source: SecretError },
    #[error("the user {name}: ha1_md5 and ha1_sha256 must be 32 and 64 hex digits")]
    Ha1 { name: String },
}

/// Why something is no user's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NameError {
    #[error("a user without a name")]
    Empty,
    #[error("a name of more than {MAX_NAME} characters")]
    Long,
    #[error("a name with {0:?} in it")]
    Character(char),
}

/// The name as it is kept: trimmed and lower case. A colon would end it in a login, a slash in a URL.
pub fn name(text: &str) -> Result<String, NameError> {
    let name = text.trim().to_lowercase();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().count() > MAX_NAME {
        return Err(NameError::Long);
    }
    match name.chars().find(|c| c.is_control() || matches!(c, ':' | '/' | '\\' | '"' | '?' | '#')) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(name),
    }
}

/// An administrator for whom no masks are named may push and watch everything.
pub(super) fn masks(text: &str, admin: bool) -> Masks {
    let masks = Masks::new(text);
    if admin && masks.is_empty() { Masks::all() } else { masks }
}

impl TryFrom<Entry> for Read {
    type Error = UserError;

    fn try_from(entry: Entry) -> Result<Self, UserError> {
        let name = name(&entry.name)?;
        let ha1 = match (entry.ha1_md5.as_str(), entry.ha1_sha256.as_str()) {
            ("", "") => None,
            (md5, sha256) => Some(Ha1::read(md5, sha256).ok_or_else(|| UserError::Ha1 { name: name.clone() })?),
        };
        let secret = Secret::read(&entry.password, entry.password_of_md5, ha1)
            .map_err(|source| UserError::Password { name: name.clone(), source })?;
        let (push, pull) = (masks(&entry.push, entry.admin), masks(&entry.pull, entry.admin));
        Ok(Self(User { name, secret, admin: entry.admin, push, pull, other: entry.other }))
    }
}

impl From<&User> for Entry {
    fn from(user: &User) -> Self {
        let (password, password_of_md5, ha1) = match &user.secret {
            Secret::None => (String::new(), false, None),
            Secret::Plain(text) | Secret::Md5(text) => (text.clone(), false, None),
            Secret::Hashed { argon2, of_md5, ha1 } => (argon2.clone(), *of_md5, ha1.clone()),
        };
        let (ha1_md5, ha1_sha256) = ha1.map(|ha1| (ha1.md5, ha1.sha256)).unwrap_or_default();
        Self {
            name: user.name.clone(),
            password,
            admin: user.admin,
            push: user.push.text().to_owned(),
            pull: user.pull.text().to_owned(),
            password_of_md5,
            ha1_md5,
            ha1_sha256,
            other: user.other.clone(),
        }
    }
}

impl Users {
    /// A user by its name in lower case.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// Adds a user, or puts it in the place of the one of its name.
    pub fn put(&mut self, user: User) {
        self.users.insert(user.name.clone(), Arc::new(user));
    }

    /// Takes a user out.
    pub fn remove(&mut self, name: &str) -> Option<Arc<User>> {
        self.users.remove(name)
    }

    /// Users after a name, in order.
    pub fn after(&self, name: &str) -> impl Iterator<Item = &Arc<User>> {
        self.users.range::<str, _>((Bound::Excluded(name), Bound::Unbounded)).map(|(_, user)| user)
    }

    /// Whether there is an administrator besides.
    pub fn has_admin_besides(&self, name: &str) -> bool {
        self.users.values().any(|user| user.admin && user.name != name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl Document for Users {
    fn parse(text: &str) -> Result<Self, String> {
        let list: Vec<Read> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut users = Self::default();
        for Read(user) in list {
            if users.user(&user.name).is_some() {
                return Err(format!("the user {} is there twice", user.name));
            }
            users.put(user);
        }
        Ok(users)
    }

    fn absent() -> Self {
        let mut users = Self::default();
        let (name, password) = DEFAULT;
        users.put(User {
            name: name.into(),
            secret: Secret::Plain(password.into()),
            admin: true,
            push: Masks::all(),
            pull: Masks::all(),
            other: Map::new(),
        });
        users
    }

    /// Hashes what is not yet: as long as a login for each.
    fn prepare(&mut self) {
        for user in self.users.values_mut().filter(|user| user.secret.is_old()) {
            let hashed = user.secret.hashed(&user.name);
            Arc::make_mut(user).secret = hashed;
        }
    }

    fn text(&self) -> String {
        let entries: Vec<_> = self.users.values().map(|user| Entry::from(&**user)).collect();
        store::json(&entries)
    }
}

#[cfg(test)]
mod tests;
