//! Where a route leads: the URL of a camera, taken apart.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::file::FileTarget;

/// The option of a route's URL that names the transport; it is not sent to the camera.
const TRANSPORT: &str = "transport";
/// The option that names the certificate to trust, or any.
const FINGERPRINT: &str = "fingerprint";
/// Names of parameters whose values are no business of people who look at routes.
const SECRETS: [&str; 4] = ["password", "passwd", "pwd", "token"];

/// How media is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, and UDP from a camera that refuses it.
    Any,
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
}

/// Which certificates are taken of a camera that speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that the system trusts, for the name of the host.
    Authorities,
    /// The one of this SHA-256, whoever made it.
    Pinned([u8; 32]),
    /// Any: what is sent is encrypted, but to whom nobody knows.
    Any,
}

/// Why a URL cannot be pulled. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum UrlError {
    #[error("{0}")]
    Parse(url::ParseError),
    #[error("scheme {0:?} cannot be pulled, rtsp, rtsps and file can")]
    Scheme(String),
    #[error("it names no host")]
    Host,
    #[error("{0}")]
    File(&'static str),
    #[error("transport={0:?} is not tcp or udp")]
    Transport(String),
    #[error("fingerprint={0:?} is not the SHA-256 of a certificate in 64 hexadecimal digits, or any")]
    Fingerprint(String),
    #[error("a redirect from rtsps to rtsp is not followed: it would give up the encryption that the URL asks for")]
    Downgrade,
}

/// What to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Decoded.
    pub user: String,
    /// Decoded.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

/// A camera's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    url: Url,
    login: Option<Login>,
    transport: Transport,
    trust: Trust,
    file: Option<FileTarget>,
}

impl Target {
    /// Takes a URL of the form `rtsp://user:password@host:port/path?query`; user and password may be percent-encoded. Or one
    /// of a file: `file:///folder/name`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(text.trim()).map_err(UrlError::Parse)?;
        if url.scheme() == "file" {
            let file = Some(FileTarget::of_url(&url).map_err(UrlError::File)?);
            return Ok(Self { url, login: None, transport: Transport::Any, trust: Trust::Authorities, file });
        }
        if !matches!(url.scheme(), "rtsp" | "rtsps") {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::Host);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!url.username().is_empty() || url.password().is_some())
            .then(|| Login { user: decoded(url.username()), password: decoded(url.password().unwrap_or_default()) });
        // Neither fails on a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let (transport, trust) = take_options(&mut url)?;
        Ok(Self { url, login, transport, trust, file: None })
    }

    /// Where a camera says its stream is, with this target's options. User and password go with it only to the same host,
    /// unless the camera names others itself.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, UrlError> {
        let mut target = Self::parse(location)?;
        // A camera has no say in what the hub reads from its disk.
        if target.file.is_some() {
            return Err(UrlError::Scheme("file".to_owned()));
        }
        if self.is_encrypted() && !target.is_encrypted() {
            return Err(UrlError::Downgrade);
        }
        if target.login.is_none() && target.url.host_str() == self.url.host_str() {
            target.login = self.login.clone();
        }
        (target.transport, target.trust) = (self.transport, self.trust);
        Ok(target)
    }

    /// The stream that lies below this one.
    pub(crate) fn below<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Self {
        let mut target = self.clone();
        if let Some(file) = &mut target.file {
            file.extend(segments);
            return target;
        }
        // Fails only for URLs without a host.
        if let Ok(mut path) = target.url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        target
    }

    /// What is sent to the camera: without user, password and options of ours.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// User and password, if the URL names any.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// How media is asked for.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&FileTarget> {
        self.file.as_ref()
    }

    /// Host and port, or a file's name without its folder: for logs and REST.
    pub fn address(&self) -> String {
        if let Some(file) = &self.file {
            return format!("file:{}", file.name());
        }
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.port())
    }

    /// Which certificates are taken.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// It is spoken to by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "rtsps"
    }

    /// The one of the URL, or else 554 (RFC 2326, section 3.2), or 322 with TLS (RFC 7826, section 19.2).
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(if self.is_encrypted() { 322 } else { 554 })
    }

    /// The text of this target's URL with `***` for everything that looks like a password.
    pub fn masked(&self, text: &str) -> String {
        let mut shown = text.trim().to_owned();
        if let Ok(mut url) = Url::parse(&shown)
            && url.password().is_some()
        {
            // "***" may be encoded by a library: put in what surely stays, then exchange it.
            let _ = url.set_password(Some("PASSWORD"));
            shown = url.as_str().replacen(":PASSWORD@", ":***@", 1);
        }
        for name in SECRETS {
            shown = mask_parameter(&shown, name);
        }
        shown
    }

    /// A text that a library or a camera made, without the password if it is in there.
    pub fn cleaned(&self, text: &str) -> String {
        match &self.login {
            Some(login) if login.password.len() > 2 => text.replace(&login.password, "***"),
            _ => text.to_owned(),
        }
    }
}

/// Takes our options out of the query; everything else stays byte for byte.
fn take_options(url: &mut Url) -> Result<(Transport, Trust), UrlError> {
    let (mut transport, mut trust) = (Transport::Any, Trust::Authorities);
    let Some(query) = url.query() else { return Ok((transport, trust)) };
    let mut rest = Vec::new();
    let mut taken = false;
    for part in query.split('&') {
        match part.split_once('=') {
            Some((TRANSPORT, "udp")) => transport = Transport::Udp,
            Some((TRANSPORT, "tcp")) => transport = Transport::Tcp,
            Some((TRANSPORT, other)) => return Err(UrlError::Transport(other.to_owned())),
            Some((FINGERPRINT, value)) => trust = fingerprint(value)?,
            _ => {
                rest.push(part);
                continue;
            }
        }
        taken = true;
    }
    if taken {
        let rest = rest.join("&");
        url.set_query((!rest.is_empty()).then_some(&rest));
    }
    Ok((transport, trust))
}

/// Hexadecimal digits as `openssl x509 -fingerprint -sha256` writes them, with or without colons.
fn fingerprint(text: &str) -> Result<Trust, UrlError> {
    if text == "any" {
        return Ok(Trust::Any);
    }
    let wrong = || UrlError::Fingerprint(text.chars().take(80).collect());
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut sum = [0; 32];
    if digits.len() != 2 * sum.len() {
        return Err(wrong());
    }
    for (byte, pair) in sum.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(Trust::Pinned(sum))
}

/// Exchanges the value after each `name=`, up to the next separator. Some cameras have it in the path, with `_` between.
fn mask_parameter(text: &str, name: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = lower[at..].find(name).map(|start| at + start + name.len()) {
        out.push_str(&text[at..found]);
        at = found;
        if text[at..].starts_with('=') {
            let query = text[..at].contains('?');
            let ends: &[char] = if query { &['&', '#'] } else { &['&', '#', '_', '/', '?', ';'] };
            out.push_str("=***");
            at += text[at..].find(ends).unwrap_or(text.len() - at);
        }
    }
    out + &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target =
            Target::parse("RTSP://Ad%2Fmin:p%40s%3As%25@[::1]:8554/Live/1?a=b&transport=udp&c=%20#x").expect("valid");
        assert_eq!(target.url().as_str(), "rtsp://[::1]:8554/Live/1?a=b&c=%20");
        let login = target.login().expect("there");
        assert_eq!((login.user.as_str(), login.password.as_str()), ("Ad/min", "p@s:s%"));
        assert_eq!((target.transport(), target.address().as_str()), (Transport::Udp, "[::1]:8554"));
        assert!(!format!("{target:?}").contains("p@s"));
        assert_eq!(target.cleaned("bad p@s:s% here"), "bad *** here");
        let plain = Target::parse("rtsp://cam").expect("valid");
        assert_eq!((plain.url().as_str(), plain.transport()), ("rtsp://cam", Transport::Any));
        assert_eq!((plain.login(), plain.address().as_str()), (None, "cam:554"));
        let only = Target::parse("rtsp://cam/x?transport=tcp").expect("valid");
        assert_eq!((only.url().as_str(), only.transport()), ("rtsp://cam/x", Transport::Tcp));
    }

    #[test]
    fn certificates_to_trust() {
        let of = |query: &str| Target::parse(&format!("rtsps://cam/x?{query}")).expect("valid");
        assert_eq!((of("a=1").trust(), of("a=1").port(), of("").is_encrypted()), (Trust::Authorities, 322, true));
        assert_eq!(
            (of("fingerprint=any").trust(), of("fingerprint=any").url().as_str()),
            (Trust::Any, "rtsps://cam/x")
        );
        for digits in ["aB".repeat(32), vec!["Ab"; 32].join(":")] {
            let target = of(&format!("a=1&fingerprint={digits}&b=2"));
            assert_eq!((target.trust(), target.url().query()), (Trust::Pinned([0xab; 32]), Some("a=1&b=2")));
        }
    }

    #[test]
    fn redirects() {
        let plain = Target::parse("rtsp://u:secret@h/a?transport=udp").expect("valid");
        let login = |to: &str| plain.redirected(to).expect(to).login().map(|login| login.user.clone());
        assert_eq!(login("rtsp://h:8554/b"), Some("u".to_owned()), "the same host");
        assert_eq!(login("rtsps://h/b"), Some("u".to_owned()), "the same host");
        assert_eq!(login("rtsp://other/b"), None, "another host");
        assert_eq!(login("rtsp://own:x@other/b"), Some("own".to_owned()));
        assert_eq!(plain.redirected("rtsp://o/").map(|target| target.transport()), Ok(Transport::Udp));
        let tls = Target::parse("rtsps://h/a?fingerprint=any").expect("valid");
        assert_eq!(tls.redirected("rtsp://h/a"), Err(UrlError::Downgrade));
        assert_eq!(tls.redirected("rtsps://o/a").map(|target| target.trust()), Ok(Trust::Any));
        for elsewhere in ["http://h/", "file:///etc/a.mp4"] {
            assert!(matches!(plain.redirected(elsewhere), Err(UrlError::Scheme(_))), "{elsewhere}");
        }
    }

    #[test]
    fn below_keeps_the_query_at_the_end() {
        for (base, expected) in [
            ("rtsp://h", "rtsp://h/A/b"),
            ("rtsp://h/", "rtsp://h/A/b"),
            ("rtsp://h/x?q=1", "rtsp://h/x/A/b?q=1"),
            ("rtsp://h/x/?q=/y/", "rtsp://h/x/A/b?q=/y/"),
        ] {
            let target = Target::parse(base).expect("valid").below(["A", "b"].into_iter());
            assert_eq!(target.url().as_str(), expected);
        }
    }

    #[test]
    fn what_cannot_be_pulled() {
        for (url, part) in [
            ("http://u:secret@h/", "http"),
            ("h/x", "relative"),
            ("rtsp:///x", "host"),
            ("rtsp:x", "host"),
            ("rtsp://h/?transport=quic", "quic"),
            ("file://server/a.mp4", "host"),
            ("file:///a.mp4?transport=tcp", "%3F"),
            ("rtsps://h/?fingerprint=12:34", "SHA-256"),
            ("rtsps://h/?fingerprint=zz", "SHA-256"),
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
