//! What a client says in `Authorization`.

use super::{Algorithm, Engine, STANDARD};

/// A login as a client sent it.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The password itself.
    Basic {
        /// As it was spelled.
        user: String,
        /// As it was typed.
        password: String,
    },
    /// A proof of it.
    Digest(DigestAnswer),
    /// A token.
    Bearer(String),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic ***",
            Self::Digest(_) => "Digest ***",
            Self::Bearer(_) => "Bearer ***",
        })
    }
}

/// The fields of a Digest answer (RFC 7616, section 3.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names are the RFC's
pub struct DigestAnswer {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    /// Lower case.
    pub response: String,
    pub algorithm: Algorithm,
    /// `None`: as RFC 2069 has it.
    pub qop: Option<Qop>,
}

/// With `qop=auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qop {
    /// The count as it was written: eight hex digits.
    pub nc_text: String,
    /// Its value.
    pub nc: u32,
    /// The client's nonce.
    pub cnonce: String,
}

impl Authorization {
    /// Reads the value of the header; `None` if it cannot be read or is of a kind that is not offered.
    pub fn read(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let bytes = STANDARD.decode(rest.trim()).ok()?;
                let text = String::from_utf8(bytes).ok()?;
                let (user, password) = text.split_once(':')?;
                Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
            }
            "bearer" => Some(Self::Bearer(rest.trim().to_owned())),
            "digest" => digest(rest).map(Self::Digest),
            _ => None,
        }
    }
}

fn digest(text: &str) -> Option<DigestAnswer> {
    let mut answer = DigestAnswer::default();
    let (mut qop, mut nc, mut cnonce) = (None, None, None);
    for (name, value) in parameters(text)? {
        match name.as_str() {
            "username" => answer.username = value,
            "realm" => answer.realm = value,
            "nonce" => answer.nonce = value,
            "uri" => answer.uri = value,
            "response" => answer.response = value.to_ascii_lowercase(),
            "algorithm" if value.eq_ignore_ascii_case("md5") => answer.algorithm = Algorithm::Md5,
            "algorithm" if value.eq_ignore_ascii_case("sha-256") => answer.algorithm = Algorithm::Sha256,
            "algorithm" => return None,
            "qop" => qop = Some(value),
            "nc" => nc = Some(value),
            "cnonce" => cnonce = Some(value),
            _ => {}
        }
    }
    answer.qop = match (qop.as_deref(), nc, cnonce) {
        (None | Some(""), ..) => None,
        (Some(qop), Some(nc_text), Some(cnonce)) if qop.eq_ignore_ascii_case("auth") => {
            let nc = u32::from_str_radix(&nc_text, 16).ok()?;
            Some(Qop { nc_text, nc, cnonce })
        }
        _ => return None,
    };
    let whole = !answer.username.is_empty() && !answer.nonce.is_empty() && !answer.response.is_empty();
    whole.then_some(answer)
}

/// `name=value, name="va\"lue"`; names in lower case.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    /// There are a dozen names.
    const MOST: usize = 32;
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let after = after.trim_start();
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.push((name.trim().to_ascii_lowercase(), value));
        if found.len() > MOST {
            return None;
        }
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Some(found)
}

/// Up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}
