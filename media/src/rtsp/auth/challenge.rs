//! Challenges and their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::read::DigestAnswer;
use super::{Algorithm, Ha1, REALM, constant_time_eq, sha256_hex};
use crate::path::of_uri;

/// A client may use a nonce for so long. Players of a running stream log in again for each request.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Hex digits of a nonce: its time in milliseconds, and its hash.
const TIME_DIGITS: usize = 16;
const HASH_DIGITS: usize = 32;
/// Nonces of which the used counts are known. Only right answers count: as many logins in five minutes.
const NONCES: usize = 10_000;

/// Makes and knows nonces.
#[derive(Clone)]
pub struct Nonces {
    key: [u8; 32],
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(***)")
    }
}

impl Nonces {
    /// With a random key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A new one; `now` is of any clock that never goes back.
    pub fn make(&self, now: Duration) -> String {
        let time = format!("{:0TIME_DIGITS$x}", u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let hash = self.hash(&time);
        time + &hash
    }

    /// The key stands on both sides of the time, whose length is fixed, and only half of the hash is shown: nothing can be
    /// appended to it.
    fn hash(&self, time: &str) -> String {
        let text = [&self.key[..], time.as_bytes(), &self.key[..]].concat();
        sha256_hex(&text)[..HASH_DIGITS].to_owned()
    }

    /// When it was made, if it is ours.
    fn made(&self, nonce: &str) -> Option<Duration> {
        let (time, hash) = nonce.split_at_checked(TIME_DIGITS)?;
        let ours = constant_time_eq(self.hash(time).as_bytes(), hash.as_bytes());
        ours.then(|| u64::from_str_radix(time, 16).ok().map(Duration::from_millis))?
    }
}

/// What an answer to a challenge is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The client knows the password.
    Right,
    /// It does, but the nonce is old or was used: a new challenge with `stale=true` lets it try again by itself.
    Stale,
    /// It does not.
    Wrong,
}

/// The request that an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// As in the request line.
    pub method: &'a str,
    /// As in the request line.
    pub uri: &'a str,
}

/// Checks answers; one for all connections, so that what was heard on one is worth nothing on another.
#[derive(Debug)]
pub struct Verifier {
    nonces: Nonces,
    /// Nonce -> highest count; in the order of their times, which they begin with.
    pub(super) used: BTreeMap<String, u32>,
    /// Nonces made up to here are no longer known.
    forgotten: Option<Duration>,
}

impl Verifier {
    /// With nonces of that kind.
    pub fn new(nonces: Nonces) -> Self {
        Self { nonces, used: BTreeMap::new(), forgotten: None }
    }

    /// Checks the answer to a request; `now` is of the clock that the nonces were made by.
    pub fn check(&mut self, answer: &DigestAnswer, ha1: &Ha1, asked: Asked<'_>, now: Duration) -> Check {
        if answer.realm != REALM || !answer.is_about(asked.uri) || !answer.is_right(ha1, asked.method) {
            return Check::Wrong;
        }
        // One that is not ours is of the hub before its restart, perhaps.
        let Some(made) = self.nonces.made(&answer.nonce) else { return Check::Stale };
        let fresh = now.saturating_sub(made) <= NONCE_LIFE && self.forgotten.is_none_or(|until| made > until);
        let counted = fresh && answer.qop.as_ref().is_none_or(|qop| self.count(&answer.nonce, qop.nc, now));
        if counted { Check::Right } else { Check::Stale }
    }

    /// Takes a count that is above all before; false for one that is not.
    fn count(&mut self, nonce: &str, nc: u32, now: Duration) -> bool {
        let last = self.used.entry(nonce.to_owned()).or_default();
        let new = nc > *last;
        *last = nc.max(*last);
        while let Some(oldest) = self.used.first_entry() {
            let made = self.nonces.made(oldest.key()).unwrap_or_default();
            let expired = now.saturating_sub(made) > NONCE_LIFE;
            if !expired && self.used.len() <= NONCES {
                break;
            }
            self.used.pop_first();
            self.forgotten = self.forgotten.max(Some(made));
        }
        new
    }
}

impl DigestAnswer {
    /// Whether it was made for that URI. Clients write their own in many ways: only the path counts, and that of the stream
    /// stands for its tracks.
    fn is_about(&self, uri: &str) -> bool {
        let (own, asked) = (of_uri(&self.uri).0, of_uri(uri).0);
        own == asked || asked.strip_prefix(&own).is_some_and(|rest| own.len() > 1 && rest.starts_with('/'))
    }

    /// RFC 7616, section 3.4.1; RFC 2069, section 2.1.2 without qop.
    pub(super) fn is_right(&self, ha1: &Ha1, method: &str) -> bool {
        let ha2 = self.algorithm.hex(&format!("{method}:{}", self.uri));
        let ha1 = ha1.by(self.algorithm);
        let text = match &self.qop {
            None => format!("{ha1}:{}:{ha2}", self.nonce),
            Some(qop) => format!("{ha1}:{}:{}:{}:auth:{ha2}", self.nonce, qop.nc_text, qop.cnonce),
        };
        constant_time_eq(self.algorithm.hex(&text).as_bytes(), self.response.as_bytes())
    }
}

/// Ways to log in with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// RFC 7616.
    pub digest: bool,
    /// RFC 7617.
    pub basic: bool,
}

impl Ways {
    /// Those that may be used on a connection: Basic shows the password to whoever reads along.
    pub fn on(self, secure: bool) -> Self {
        Self { basic: self.basic && secure, ..self }
    }
}

/// The values of `WWW-Authenticate`, each a header of its own. ffmpeg, GStreamer and live555 take the last Digest and know MD5
/// only, so that comes behind SHA-256, which clients that know it choose wherever it stands. live555 wants realm and nonce first.
pub fn challenge(nonce: &str, stale: bool, ways: Ways) -> Vec<String> {
    let digest = |algorithm: Algorithm| {
        let stale = if stale { ", stale=true" } else { "" };
        let name = algorithm.name();
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
    };
    let mut offers = Vec::new();
    if ways.digest {
        offers.extend([digest(Algorithm::Sha256), digest(Algorithm::Md5)]);
    }
    if ways.basic {
        offers.push(format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""));
    }
    offers
}
