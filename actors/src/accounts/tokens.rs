//! Tokens: JWTs (RFC 7519) by HS256, and nothing else.

use std::time::Duration;

use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode, get_current_timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Error, Signer, Verifier};

/// An access token is good for this long.
pub const ACCESS: Duration = Duration::from_secs(2 * 3600);
/// A refresh token is good for this long, once.
pub const REFRESH: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes of a token at most; ours have about 400.
const MAX_TOKEN: usize = 2048;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Everything that its user may do.
    Access,
    /// A new pair.
    Refresh,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's name.
    pub sub: String,
    /// Seconds since 1970.
    pub exp: u64,
    /// Seconds since 1970.
    pub iat: u64,
    /// Of the pair: both tokens of one have it.
    pub jti: String,
    /// What it is good for.
    pub kind: Kind,
    /// Of the login: all pairs that came of it by refreshing.
    pub family: Family,
    /// Tells whether the password is still the one that was logged in with.
    pub mark: String,
}

/// One login: its time in milliseconds since 1970, and something random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Family(pub u64, pub String);

/// Two tokens as they are given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// For requests.
    pub access: String,
    /// For the next pair.
    pub refresh: String,
}

/// Signs and checks tokens.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    secret: Vec<u8>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Tokens {
    /// With a secret.
    pub fn new(secret: &[u8]) -> Self {
        // Fails when it is installed already.
        let _ = HS256.install_default();
        Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            secret: secret.to_vec(),
        }
    }

    /// Signs a new pair.
    pub fn pair(&self, sub: &str, family: &Family, mark: &str, jti: &str) -> Pair {
        let iat = get_current_timestamp();
        let sign = |kind, life: Duration| {
            let (sub, jti, mark) = (sub.to_owned(), jti.to_owned(), mark.to_owned());
            let claims = Claims { sub, exp: iat + life.as_secs(), iat, jti, kind, family: family.clone(), mark };
            encode(&Header::new(Algorithm::HS256), &claims, &self.signing).expect("strings and numbers can be signed")
        };
        Pair { access: sign(Kind::Access, ACCESS), refresh: sign(Kind::Refresh, REFRESH) }
    }

    /// What a token says, if it is ours, of that kind, and has not expired.
    pub fn read(&self, token: &str, kind: Kind) -> Option<Claims> {
        self.read_within(token, kind, true)
    }

    /// As [`Tokens::read`], also if it has expired.
    pub fn read_late(&self, token: &str, kind: Kind) -> Option<Claims> {
        self.read_within(token, kind, false)
    }

    fn read_within(&self, token: &str, kind: Kind, in_time: bool) -> Option<Claims> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_exp = in_time;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let claims = decode::<Claims>(token, &self.checking, &validation).ok()?.claims;
        (claims.kind == kind).then_some(claims)
    }

    /// A mark of a password, from something that only changes with it. It tells nothing of that without the secret.
    pub fn mark(&self, of: &str) -> String {
        let mac = mac(&self.secret).map(|mac| mac.chain_update(b"mark:").chain_update(of).finalize().into_bytes());
        // A key of any length is one.
        mac.map(|mac| super::hex(&mac[..8])).unwrap_or_default()
    }
}

fn mac(key: &[u8]) -> Result<Hmac<Sha256>, Error> {
    Hmac::new_from_slice(key).map_err(Error::from_source)
}

/// The only algorithm: a token that names another cannot be checked, whatever it says.
static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        let fits = *algorithm == Algorithm::HS256 && key.family() == AlgorithmFamily::Hmac;
        if !fits {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let key = mac(key.as_bytes()).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Box::new(Hs256(key)))
    },
    verifier_factory: |algorithm, key| {
        let fits = *algorithm == Algorithm::HS256 && key.family() == AlgorithmFamily::Hmac;
        if !fits {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let key = mac(key.try_get_as_bytes()?).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Box::new(Hs256(key)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        self.0.clone().chain_update(message).verify_slice(signature).map_err(Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;

    fn family() -> Family {
        Family(5, "x".into())
    }

    fn forged(key: &[u8], header: &str, change: impl Fn(&str) -> String) -> String {
        let tokens = Tokens::new(b"secret");
        let token = tokens.pair("bob", &family(), "m", "j").access;
        let payload = token.split('.').nth(1).expect("three parts");
        let payload = String::from_utf8(BASE64.decode(payload).expect("base64")).expect("JSON");
        let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(change(&payload)));
        let signature = mac(key).expect("a key").chain_update(&text).finalize().into_bytes();
        format!("{text}.{}", BASE64.encode(signature))
    }

    #[test]
    fn a_pair_reads_back_by_its_kinds() {
        let tokens = Tokens::new(b"secret");
        let pair = tokens.pair("bob", &family(), "m", "j");
        let access = tokens.read(&pair.access, Kind::Access).expect("ours");
        assert_eq!((access.sub.as_str(), access.exp - access.iat, access.family), ("bob", 7200, family()));
        let refresh = tokens.read(&pair.refresh, Kind::Refresh).expect("ours");
        assert_eq!((refresh.exp - refresh.iat, refresh.jti), (7 * 86_400, access.jti));
        assert!(
            tokens.read(&pair.access, Kind::Refresh).is_none() && tokens.read(&pair.refresh, Kind::Access).is_none()
        );
        assert!(Tokens::new(b"other").read(&pair.access, Kind::Access).is_none());
    }

    #[test]
    fn what_is_forged_or_broken_is_none() {
        let tokens = Tokens::new(b"secret");
        let hs256 = r#"{"typ":"JWT","alg":"HS256"}"#;
        let same = |payload: &str| payload.to_owned();
        let good = forged(b"secret", hs256, same);
        assert!(tokens.read(&good, Kind::Access).is_some(), "the test can forge");
        let expired = |payload: &str| payload.replacen("\"exp\":", "\"exp\":1,\"was\":", 1);
        for token in [
            forged(b"other", hs256, same),
            forged(b"", r#"{"alg":"none"}"#, same),
            forged(b"secret", r#"{"alg":"none"}"#, same),
            forged(b"secret", r#"{"alg":"HS512"}"#, same),
            forged(b"secret", r#"{"alg":"RS256"}"#, same),
            forged(b"secret", hs256, expired),
            forged(b"secret", hs256, |payload| payload.replace("access", "refresh")),
            forged(b"secret", hs256, |payload| payload.replace("\"sub\"", "\"who\"")),
            forged(b"secret", hs256, |_| "[]".into()),
            good.replace('.', ""),
            format!("{good}."),
            format!("{good}A"),
            "x".repeat(100_000),
        ] {
            assert!(tokens.read(&token, Kind::Access).is_none(), "{token:.200}");
        }
        for end in 0..good.len() {
            assert!(tokens.read(&good[..end], Kind::Access).is_none(), "cut at {end}");
        }
    }
}
