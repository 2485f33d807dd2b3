//! How the camera asks for a password and judges the answer (RFC 2617, RFC 7616).

use md5::Digest as _;

/// What it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// Without qop, as most cameras do.
    Md5,
    Md5Qop,
    Sha256Qop,
    /// Two headers; the password in clear is not taken.
    BasicAndMd5,
    /// Two headers; an answer to either is taken.
    Md5AndSha256,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user: &'static str,
    pub password: &'static str,
    pub challenge: Challenge,
}

impl Login {
    /// The headers of a 401.
    pub fn headers(&self, nonce: &str, stale: bool) -> Vec<(&'static str, String)> {
        let basic = "Basic realm=\"cam\"".to_owned();
        let digest = |more: &str| {
            format!("Digest realm=\"cam\", nonce=\"{nonce}\"{}{more}", if stale { ", stale=true" } else { "" })
        };
        let sha256 = digest(", algorithm=SHA-256, qop=\"auth\"");
        let offers = match self.challenge {
            Challenge::Basic => vec![basic],
            Challenge::Md5 => vec![digest("")],
            Challenge::Md5Qop => vec![digest(", qop=\"auth\"")],
            Challenge::Sha256Qop => vec![sha256],
            Challenge::BasicAndMd5 => vec![basic, digest("")],
            Challenge::Md5AndSha256 => vec![digest(", algorithm=MD5, qop=\"auth\""), sha256],
        };
        offers.into_iter().map(|offer| ("WWW-Authenticate", offer)).collect()
    }

    /// Whether an Authorization header is right for a request.
    pub fn accepts(&self, authorization: &str, method: &str, nonce: &str) -> bool {
        if let Some(basic) = authorization.strip_prefix("Basic ") {
            let right = super::clip::base64(format!("{}:{}", self.user, self.password).as_bytes());
            return self.challenge == Challenge::Basic && basic == right;
        }
        let field = |name: &str| {
            let (_, rest) = authorization.split_once(&format!("{name}="))?;
            let quoted = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            quoted.or_else(|| rest.split([',', ' ']).next())
        };
        let chosen = self.challenge == Challenge::Md5AndSha256 && field("algorithm") == Some("SHA-256");
        let sha256 = chosen || self.challenge == Challenge::Sha256Qop;
        let hash = |text: String| if sha256 { hex(&sha2::Sha256::digest(text)) } else { hex(&md5::Md5::digest(text)) };
        let (Some(uri), Some(response)) = (field("uri"), field("response")) else { return false };
        if field("nonce") != Some(nonce) || field("username") != Some(self.user) {
            return false;
        }
        let realm = field("realm").unwrap_or_default();
        let ha1 = hash(format!("{}:{realm}:{}", self.user, self.password));
        let ha2 = hash(format!("{method}:{uri}"));
        let middle = match (field("qop"), field("nc"), field("cnonce")) {
            (Some(qop), Some(count), Some(cnonce)) => format!("{nonce}:{count}:{cnonce}:{qop}"),
            _ if self.challenge == Challenge::Md5 || self.challenge == Challenge::BasicAndMd5 => nonce.to_owned(),
            _ => return false,
        };
        response == hash(format!("{ha1}:{middle}:{ha2}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
