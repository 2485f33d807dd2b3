//! The client's side of Basic and Digest (RFC 7616, RFC 7617), for RTSP.

use std::fmt;

use http_auth::digest::Algorithm;
use http_auth::{BasicClient, ChallengeParser, ChallengeRef, DigestClient, PasswordParams};

use crate::rtsp::message::{Headers, quoted};

/// User and password as they are, not encoded for a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// In Digest it must not have control characters.
    pub user: String,
    /// Any text.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

/// Answers a server's challenges.
#[derive(Debug)]
pub(super) struct Login {
    credentials: Option<Credentials>,
    answering: Option<Answering>,
    /// An answer was accepted: a later refusal means that the nonce has run out.
    proven: bool,
}

#[derive(Debug)]
enum Answering {
    Basic(BasicClient),
    Digest(Box<DigestClient>),
}

impl Answering {
    fn nonce(&self) -> Option<&str> {
        match self {
            Self::Basic(_) => None,
            Self::Digest(digest) => Some(digest.nonce()),
        }
    }
}

impl Login {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, answering: None, proven: false }
    }

    /// The value of an Authorization header, once the server has asked for one.
    pub(super) fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let (username, password) = (credentials.user.as_str(), credentials.password.as_str());
        match self.answering.as_mut()? {
            Answering::Basic(basic) => Some(basic.respond(username, password)),
            Answering::Digest(digest) => {
                let parameters = PasswordParams { username, password, uri, method, body: Some(&[]) };
                // Control characters cannot be quoted; such a user is asked for nothing and refused.
                digest.respond(&parameters).ok()
            }
        }
    }

    /// A request with our answer was not refused.
    pub(super) fn accepted(&mut self) {
        self.proven = self.answering.is_some();
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Takes the challenges of a 401. `answered`: the refused request had an Authorization.
    ///
    /// # Errors
    /// Why asking again is of no use.
    pub(super) fn challenge(&mut self, headers: &Headers, answered: bool) -> Result<(), String> {
        if self.credentials.is_none() {
            return Err("it asks for user and password, and the URL has none".into());
        }
        let (offered, stale) = choose(headers)?;
        let renewed = self.answering.as_ref().and_then(Answering::nonce) != offered.nonce();
        // With another nonce a proven password is right again. A camera that takes a new one for every refusal says
        // nothing by it of an unproven one, and counts tries.
        if answered && !stale && !(self.proven && renewed) {
            return Err("wrong user or password".into());
        }
        (self.answering, self.proven) = (Some(offered), false);
        Ok(())
    }
}

/// The strongest Digest of all challenges in all headers, and whether it says that only the nonce was old. Basic shows the
/// password to everyone on the way and is answered only where no Digest is offered.
fn choose(headers: &Headers) -> Result<(Answering, bool), String> {
    let mut best: Option<(u8, DigestClient)> = None;
    let (mut basic, mut reason) = (None, None);
    let mut digests = 0;
    for challenge in headers.all("WWW-Authenticate").flat_map(challenges) {
        if challenge.scheme.eq_ignore_ascii_case("Digest") {
            digests += 1;
            match DigestClient::try_from(&challenge) {
                Ok(digest) if best.as_ref().is_none_or(|(rank, _)| *rank < strength(&digest)) => {
                    best = Some((strength(&digest), digest));
                }
                Ok(_) => {}
                Err(error) => reason = Some(error),
            }
        } else if challenge.scheme.eq_ignore_ascii_case("Basic") && basic.is_none() {
            basic = BasicClient::try_from(&challenge).ok();
        }
    }
    match (best, basic) {
        (Some((_, digest)), _) => {
            let stale = digest.stale();
            Ok((Answering::Digest(Box::new(digest)), stale))
        }
        (None, Some(basic)) if digests == 0 => Ok((Answering::Basic(basic), false)),
        _ => Err(match reason {
            Some(reason) => format!("its Digest challenge cannot be answered: {}", quoted(&reason)),
            None => "it offers neither Digest nor Basic".into(),
        }),
    }
}

/// The challenges of one header, up to the first that cannot be read.
fn challenges(value: &str) -> impl Iterator<Item = ChallengeRef<'_>> {
    ChallengeParser::new(value).map_while(Result::ok)
}

fn strength(digest: &DigestClient) -> u8 {
    match digest.algorithm() {
        Algorithm::Md5 => 0,
        Algorithm::Sha256 => 1,
        // Of equal strength, but hardly any camera knows it.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login::new(Some(Credentials { user: "admin".into(), password: "p@s:s\"%ü".into() }))
    }

    fn headers(values: &[&str]) -> Headers {
        let mut headers = Headers::new();
        values.iter().for_each(|value| headers.push("WWW-Authenticate", *value));
        headers
    }

    const MD5: &str = "Digest realm=\"cam\", nonce=\"a1\"";
    const SHA: &str = "Digest realm=\"cam\", nonce=\"a2\", algorithm=SHA-256, qop=\"auth\"";
    const BASIC: &str = "Basic realm=\"cam\"";

    #[test]
    fn the_best_of_all_challenges() {
        for (offers, begin, holds) in [
            (&[BASIC][..], "Basic YWRtaW46cEBzOnMiJcO8", ""),
            (&[MD5], "Digest", "nonce=\"a1\""),
            (&[BASIC, MD5], "Digest", "nonce=\"a1\""),
            (&[MD5, SHA, BASIC], "Digest", "nonce=\"a2\""),
            (&["Basic realm=\"cam\", Digest realm=\"cam\", nonce=\"a3\", algorithm=\"MD5\""], "Digest", "nonce=\"a3\""),
            (&["Digest realm=\"Login to 7f\",nonce=\"a4\",stale=\"FALSE\",algorithm=MD5,opaque=\"\""], "Digest", "a4"),
            (&["X-Own foo=1", MD5], "Digest", "nonce=\"a1\""),
            (&["\u{1}", MD5], "Digest", "nonce=\"a1\""),
        ] {
            let mut login = login();
            login.challenge(&headers(offers), false).unwrap_or_else(|error| panic!("{offers:?}: {error}"));
            let value = login.authorization("DESCRIBE", "rtsp://h/x").expect("it can be answered");
            assert!(value.starts_with(begin) && value.contains(holds), "{offers:?}: {value}");
        }
    }

    #[test]
    fn what_cannot_be_answered() {
        for (offers, part) in [
            (&[][..], "neither"),
            (&["Negotiate"], "neither"),
            // Basic would show the password to whoever listens.
            (&["Digest realm=\"cam\", nonce=\"1\", algorithm=X", BASIC], "cannot be answered"),
        ] {
            let error = login().challenge(&headers(offers), false).expect_err("no answer");
            assert!(error.contains(part), "{offers:?}: {error}");
        }
        assert!(Login::new(None).challenge(&headers(&[MD5]), false).is_err_and(|error| error.contains("has none")));
    }

    #[test]
    fn a_password_is_tried_once() {
        let mut login = login();
        login.challenge(&headers(&[MD5]), false).expect("first");
        // Dahua takes a new nonce for each refusal.
        assert!(login.challenge(&headers(&["Digest realm=\"cam\", nonce=\"b\""]), true).is_err());
        login.challenge(&headers(&["Digest realm=\"cam\", nonce=\"c\", stale=true"]), true).expect("stale");
        login.accepted();
        login.challenge(&headers(&["Digest realm=\"cam\", nonce=\"d\""]), true).expect("it was right before");
        assert!(login.challenge(&headers(&["Digest realm=\"cam\", nonce=\"d\""]), true).is_err());
    }

    #[test]
    fn answers_are_counted() {
        let mut login = login();
        login.challenge(&headers(&[SHA]), false).expect("first");
        for count in ["nc=00000001", "nc=00000002", "nc=00000003"] {
            let value = login.authorization("SETUP", "rtsp://h/x").expect("it can be answered");
            assert!(value.contains(count) && value.contains("qop=auth"), "{value}");
        }
        assert!(!format!("{login:?}").contains("p@s"));
    }
}
