//! What is kept of a password: Argon2id for REST, and the HA1 values that Digest of RTSP needs; never the password itself.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use ipchub_media::rtsp::auth::{Ha1, constant_time_eq, md5_hex};

/// KiB that one hash takes and its passes: the least that OWASP recommends for Argon2id (2 passes, one lane). A hub often
/// runs on a small machine, and a login waits for this; it takes 20 to 60 ms there.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A file written by hand must not ask for more than this: KiB, passes, lanes.
const MOST: (u32, u32, u32) = (256 * 1024, 16, 8);
/// Bytes of a password at most; more are no better.
pub const MAX_PASSWORD: usize = 256;

/// How a user's password is known.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Nobody can log in.
    None,
    /// As an old file has it, until the first change.
    Plain(String),
    /// The lower-case hex MD5 of it, as an old file has it, until the first change.
    Md5(String),
    /// As we write it.
    Hashed {
        /// The hash with its salt and parameters, in PHC form.
        argon2: String,
        /// It is the hash of the MD5 that an old file had: the password itself has not been seen since.
        of_md5: bool,
        /// `None` with `of_md5`: Digest cannot be checked before the password has been seen.
        ha1: Option<Ha1>,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a kept password is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SecretError {
    #[error("its Argon2id hash cannot be read: {0}")]
    Form(String),
    #[error("its Argon2id hash asks for more memory or time than this hub gives")]
    TooMuch,
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY, PASSES, LANES, None).expect("these are within the bounds of the algorithm");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Takes tens of milliseconds and 19 MiB.
fn argon2(text: &str) -> String {
    let salt = SaltString::encode_b64(&crate::accounts::random::<16>()).expect("16 bytes are a salt");
    hasher().hash_password(text.as_bytes(), &salt).expect("a password of any length can be hashed").to_string()
}

/// Takes as long as [`argon2`].
fn argon2_fits(hash: &str, text: &str) -> bool {
    // The parameters are those of the hash; they were looked at when it was read.
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(text.as_bytes(), &hash).is_ok())
}

/// The hash of nothing anybody has, so that a wrong name takes as long as a wrong password.
static NOBODY: LazyLock<String> = LazyLock::new(|| argon2(&String::from_utf8_lossy(&crate::accounts::random::<16>())));

impl Secret {
    /// Of a file's `password`: an Argon2id hash, 32 hex digits of an MD5, or the password itself.
    pub fn read(text: &str, of_md5: bool, ha1: Option<Ha1>) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Ok(Self::None);
        }
        if text.starts_with("$argon2") {
            let form = |problem: String| SecretError::Form(problem);
            let hash = PasswordHash::new(text).map_err(|error| form(error.to_string()))?;
            let params = Params::try_from(&hash).map_err(|error| form(error.to_string()))?;
            if hash.hash.is_none() || hash.salt.is_none() || hash.algorithm != Algorithm::Argon2id.ident() {
                return Err(form("it is not $argon2id$v=19$m=...,t=...,p=...$salt$hash".into()));
            }
            if params.m_cost() > MOST.0 || params.t_cost() > MOST.1 || params.p_cost() > MOST.2 {
                return Err(SecretError::TooMuch);
            }
            return Ok(Self::Hashed { argon2: text.to_owned(), of_md5, ha1 });
        }
        let is_md5 = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(if is_md5 { Self::Md5(text.to_ascii_lowercase()) } else { Self::Plain(text.to_owned()) })
    }

    /// Of a new password; as long as a login.
    pub fn new(user: &str, password: &str) -> Self {
        Self::Hashed { argon2: argon2(password), of_md5: false, ha1: Some(Ha1::of(user, password)) }
    }

    /// Without what an old file had: as it is written. As long as a login for those that were so.
    pub fn hashed(&self, user: &str) -> Self {
        match self {
            Self::Plain(password) => Self::new(user, password),
            Self::Md5(md5) => Self::Hashed { argon2: argon2(md5), of_md5: true, ha1: None },
            Self::None | Self::Hashed { .. } => self.clone(),
        }
    }

    /// Whether it is in a form that we do not write.
    pub fn is_old(&self) -> bool {
        matches!(self, Self::Plain(_) | Self::Md5(_))
    }

    /// Whether the password itself would complete what is known.
    pub fn lacks_digest(&self) -> bool {
        matches!(self, Self::Md5(_) | Self::Hashed { ha1: None, .. })
    }

    /// What Digest is checked against.
    pub fn ha1(&self, user: &str) -> Option<Ha1> {
        match self {
            Self::Plain(password) => Some(Ha1::of(user, password)),
            Self::Hashed { ha1, .. } => ha1.clone(),
            Self::None | Self::Md5(_) => None,
        }
    }

    /// Whether it is this password, for which no hash is needed: only where the answer is no secret.
    pub fn is_known(&self, user: &str, password: &str) -> bool {
        match self {
            Self::Md5(md5) => *md5 == md5_hex(password.as_bytes()),
            _ => self.ha1(user).is_some_and(|ha1| ha1 == Ha1::of(user, password)),
        }
    }

    /// Something that is another whenever the password is another.
    pub fn mark(&self, user: &str) -> String {
        match (self.ha1(user), self) {
            (Some(ha1), _) => ha1.sha256,
            (None, Self::Md5(md5)) => md5.clone(),
            (None, Self::Hashed { argon2, .. }) => argon2.clone(),
            (None, _) => String::new(),
        }
    }
}

/// Whether that is the password of a user, who may not exist. Takes as long whoever it is: one hash. Blocks.
pub fn verify(secret: Option<&Secret>, password: &str) -> bool {
    let as_long = || argon2_fits(&NOBODY, password);
    match secret {
        Some(Secret::Hashed { argon2, of_md5: false, .. }) => argon2_fits(argon2, password),
        Some(Secret::Hashed { argon2, of_md5: true, .. }) => argon2_fits(argon2, &md5_hex(password.as_bytes())),
        Some(Secret::Plain(plain)) => {
            as_long();
            constant_time_eq(md5_hex(plain.as_bytes()).as_bytes(), md5_hex(password.as_bytes()).as_bytes())
                && plain == password
        }
        Some(Secret::Md5(md5)) => {
            as_long();
            constant_time_eq(md5.as_bytes(), md5_hex(password.as_bytes()).as_bytes())
        }
        Some(Secret::None) | None => {
            as_long();
            false
        }
    }
}

/// Makes what [`verify`] needs, so that the first login takes no longer than others. Blocks.
pub fn warm_up() {
    LazyLock::force(&NOBODY);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_file_has_logs_in_and_is_hashed() {
        let md5 = "5ebe2294ecd0e0f08eab7690d2a6ee69"; // of "secret"
        for text in ["secret", md5, &md5.to_uppercase()] {
            let old = Secret::read(text, false, None).expect("valid");
            assert!(old.is_old() && old.is_known("bob", "secret"), "{text}");
            for secret in [old.clone(), old.hashed("bob")] {
                assert!(verify(Some(&secret), "secret"));
                assert!(!verify(Some(&secret), "Secret") && !verify(Some(&secret), ""));
                assert!(!verify(Some(&secret), md5), "an MD5 string itself never logs in");
            }
            assert!(!old.hashed("bob").is_old());
        }
        let plain = Secret::read("secret", false, None).expect("valid");
        assert_eq!(plain.mark("bob"), plain.hashed("bob").mark("bob"), "the same password");
        assert_eq!(plain.hashed("bob").ha1("bob"), Some(Ha1::of("bob", "secret")));
        let md5 = Secret::read(md5, false, None).expect("valid");
        assert!(md5.lacks_digest() && md5.hashed("bob").lacks_digest() && !plain.lacks_digest());
    }

    #[test]
    fn our_own_form_reads_back() {
        let secret = Secret::new("bob", "pass wörd");
        let Secret::Hashed { argon2, of_md5, ha1 } = secret.clone() else { panic!("hashed") };
        assert!(argon2.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{argon2}");
        assert_eq!(Secret::read(&argon2, of_md5, ha1), Ok(secret.clone()));
        assert!(verify(Some(&secret), "pass wörd") && !verify(Some(&secret), "pass word"));
        assert!(!verify(None, "") && !verify(Some(&Secret::None), ""));
        assert_ne!(Secret::new("bob", "x"), Secret::new("bob", "x"), "salted");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn hashes_that_cannot_be_are_refused() {
        let hash = argon2("x");
        for text in [
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            &hash[..40],
            &hash.replace("argon2id", "argon2i"),
            &hash.replace("m=19456", "m=4194304"),
            &hash.replace("t=2", "t=9999"),
            &hash.replace("m=19456", "m=x"),
        ] {
            assert!(Secret::read(text, false, None).is_err(), "{text}");
        }
    }
}
