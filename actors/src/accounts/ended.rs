//! Which tokens are over before they expire. Kept in `tokens.json`, so that they are over after a restart too.
//!
//! For each login (a [`Family`]) that was refreshed its newest pair is known, and only that counts. For a user whose password
//! was changed or who was deleted, all logins up to then are over. Both are forgotten when the tokens have expired anyway.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tokens::{Claims, Family, REFRESH};
use crate::store::{self, Document};

/// Its name in the data folder.
pub(super) const FILE: &str = "tokens.json";
/// Logins of one user that are refreshed and known. The oldest is over when there are more.
const LOGINS: usize = 64;
/// Users of which something is known. When there are more, all logins of all users are over.
const USERS: usize = 20_000;

/// The table. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ended {
    /// Logins of anybody up to here are over.
    before: u64,
    users: BTreeMap<String, OfUser>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct OfUser {
    /// Logins up to here are over.
    before: u64,
    logins: Vec<Login>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Login {
    family: Family,
    /// The newest pair; empty when the login is over.
    pair: String,
    /// The newest refresh token's end.
    until: u64,
}

impl Ended {
    /// Whether a token's pair still counts.
    pub(super) fn allows(&self, claims: &Claims) -> bool {
        let user = self.users.get(&claims.sub);
        let before = user.map_or(0, |user| user.before).max(self.before);
        let known = user.and_then(|user| user.logins.iter().find(|login| login.family == claims.family));
        claims.family.0 > before && known.is_none_or(|login| login.pair == claims.jti)
    }

    /// Whether a token's login was refreshed, is known by that, and not over for another reason.
    pub(super) fn knows(&self, claims: &Claims) -> bool {
        let user = self.users.get(&claims.sub);
        user.is_some_and(|user| user.logins.iter().any(|login| login.family == claims.family && !login.pair.is_empty()))
    }

    /// The time of a new login, so that it is after all that is over.
    pub(super) fn after(&self, user: &str, now: u64) -> u64 {
        let before = self.users.get(user).map_or(0, |user| user.before).max(self.before);
        now.max(before + 1)
    }

    /// A refresh token was used: `pair` takes the place of its own. False if its pair was over: then it was used before, and
    /// the whole login is over.
    pub(super) fn refresh(&mut self, claims: &Claims, pair: &str, now: u64) -> bool {
        self.forget(now);
        let allowed = self.allows(claims);
        let until = now + REFRESH.as_millis() as u64;
        let user = self.users.entry(claims.sub.clone()).or_default();
        user.logins.retain(|login| login.family != claims.family);
        let pair = if allowed { pair.to_owned() } else { String::new() };
        user.logins.push(Login { family: claims.family.clone(), pair, until });
        if user.logins.len() > LOGINS {
            user.logins.sort_by(|a, b| a.family.cmp(&b.family));
            user.before = user.before.max(user.logins.remove(0).family.0);
        }
        self.bound(now);
        allowed
    }

    /// All logins of a user are over.
    pub(super) fn end_user(&mut self, user: &str, now: u64) {
        self.forget(now);
        let after = self.after(user, now);
        self.users.insert(user.to_owned(), OfUser { before: after, logins: Vec::new() });
        self.bound(now);
    }

    /// Tokens from before this have expired.
    fn forget(&mut self, now: u64) {
        let expired = now.saturating_sub(REFRESH.as_millis() as u64);
        self.users.retain(|_, user| {
            user.logins.retain(|login| login.until > now);
            user.before > expired || !user.logins.is_empty()
        });
    }

    fn bound(&mut self, now: u64) {
        if self.users.len() > USERS {
            let newest = self.users.values().map(|user| user.before).max().unwrap_or(0);
            *self = Self { before: newest.max(now), users: BTreeMap::new() };
        }
    }
}

impl Document for Ended {
    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn absent() -> Self {
        Self::default()
    }

    fn text(&self) -> String {
        store::json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Kind;
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn claims(time: u64, jti: &str) -> Claims {
        let family = Family(time, "f".into());
        let (sub, jti, mark) = ("bob".into(), jti.into(), String::new());
        Claims { sub, exp: 0, iat: 0, jti, kind: Kind::Refresh, family, mark }
    }

    #[test]
    fn a_refresh_token_is_good_once_and_its_reuse_ends_the_login() {
        let mut ended = Ended::default();
        let (first, second) = (claims(NOW, "1"), claims(NOW, "2"));
        assert!(ended.allows(&first));
        assert!(ended.refresh(&first, "2", NOW + 1));
        assert!(!ended.allows(&first) && ended.allows(&second));
        let other = claims(NOW + 5, "9");
        assert!(ended.allows(&other));
        let mut ended = Ended::parse(&ended.text()).expect("our own form");
        assert!(!ended.refresh(&first, "3", NOW + 2), "used before");
        assert!(!ended.allows(&second) && !ended.allows(&claims(NOW, "3")), "the whole login is over");
        assert!(!ended.refresh(&second, "4", NOW + 3));
        assert!(ended.allows(&other), "other logins go on");
    }

    #[test]
    fn a_user_is_ended_and_may_log_in_again_at_once() {
        let mut ended = Ended::default();
        ended.refresh(&claims(NOW, "1"), "2", NOW);
        ended.end_user("bob", NOW);
        assert!(!ended.allows(&claims(NOW, "2")));
        let next = claims(ended.after("bob", NOW), "3");
        assert!(ended.allows(&next));
        assert_eq!(ended.after("eve", NOW), NOW);
    }

    #[test]
    fn it_is_bounded_and_fails_closed() {
        let mut ended = Ended::default();
        for n in 0..LOGINS as u64 + 1 {
            assert!(ended.refresh(&claims(NOW + n, "1"), "2", NOW + n));
        }
        assert!(!ended.allows(&claims(NOW, "2")) && ended.allows(&claims(NOW + 1, "2")));
        for n in 0..=USERS {
            ended.end_user(&format!("user {n}"), NOW + 1000);
        }
        assert!(ended.users.len() <= USERS && !ended.allows(&claims(NOW + 1, "2")));
        let late = NOW + 2000 + REFRESH.as_millis() as u64;
        ended.end_user("bob", late);
        assert_eq!(ended.users.len(), 1, "the others are forgotten");
    }
}
