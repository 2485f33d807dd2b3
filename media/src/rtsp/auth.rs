//! The server's side of Digest (RFC 7616, with RFC 2617 and RFC 2069 for old clients) and Basic (RFC 7617) logins.
//!
//! Nonces are stateless: a time and a keyed hash over it. Any connection may use one until it expires; then the client is
//! told that it is `stale`, and tries again by itself without asking its user. A wrong answer changes nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

mod challenge;
mod read;

pub use challenge::{Asked, Check, Nonces, Verifier, Ways, challenge};
pub use read::{Authorization, DigestAnswer, Qop};

/// What the hub calls itself to clients; part of every HA1, so it never changes.
pub const REALM: &str = "ipchub";

/// The hash of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What is meant when nothing is said.
    #[default]
    Md5,
    /// RFC 7616
    Sha256,
}

impl Algorithm {
    /// As headers name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => md5_hex(text.as_bytes()),
            Self::Sha256 => sha256_hex(text.as_bytes()),
        }
    }
}

/// What a server must know of a password: the hash over user, realm and password, by both algorithms, in lower-case hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    /// 32 digits.
    pub md5: String,
    /// 64 digits.
    pub sha256: String,
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever knows it can log in.
        f.write_str("Ha1(***)")
    }
}

impl Ha1 {
    /// Of a user, spelled as it will log in.
    pub fn of(user: &str, password: &str) -> Self {
        let text = format!("{user}:{REALM}:{password}");
        Self { md5: md5_hex(text.as_bytes()), sha256: sha256_hex(text.as_bytes()) }
    }

    /// Of hex digits as they were kept; `None` if they are none.
    pub fn read(md5: &str, sha256: &str) -> Option<Self> {
        let is_hex = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = is_hex(md5, 32) && is_hex(sha256, 64);
        found.then(|| Self { md5: md5.to_ascii_lowercase(), sha256: sha256.to_ascii_lowercase() })
    }

    fn by(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Md5 => &self.md5,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

/// Lower-case hex.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that tells only the lengths.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
