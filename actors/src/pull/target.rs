//! Where a route leads: the URL of a camera, taken apart.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::file::FileTarget;

/// The option of a route's URL that names the transport; it is not sent to the camera.
const TRANSPORT: &str = "transport";
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

/// Why a URL cannot be pulled. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum UrlError {
    #[error("{0}")]
    Parse(url::ParseError),
    #[error("scheme {0:?} cannot be pulled, rtsp and file can")]
    Scheme(String),
    #[error("it names no host")]
    Host,
    #[error("{0}")]
    File(&'static str),
    #[error("transport={0:?} is not tcp or udp")]
    Transport(String),
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
    file: Option<FileTarget>,
}

impl Target {
    /// Takes a URL of the form `rtsp://user:password@host:port/path?query`; user and password may be percent-encoded. Or one
    /// of a file: `file:///folder/name`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(text.trim()).map_err(UrlError::Parse)?;
        if url.scheme() == "file" {
            let file = Some(FileTarget::of_url(&url).map_err(UrlError::File)?);
            return Ok(Self { url, login: None, transport: Transport::Any, file });
        }
        if url.scheme() != "rtsp" {
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
        let transport = take_transport(&mut url)?;
        Ok(Self { url, login, transport, file: None })
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
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.url.port().unwrap_or(554))
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

/// Takes `transport=` out of the query; everything else stays byte for byte.
fn take_transport(url: &mut Url) -> Result<Transport, UrlError> {
    let Some(query) = url.query() else { return Ok(Transport::Any) };
    let mut transport = Transport::Any;
    let mut rest = Vec::new();
    for part in query.split('&') {
        match part.split_once('=') {
            Some((TRANSPORT, "udp")) => transport = Transport::Udp,
            Some((TRANSPORT, "tcp")) => transport = Transport::Tcp,
            Some((TRANSPORT, other)) => return Err(UrlError::Transport(other.to_owned())),
            _ => rest.push(part),
        }
    }
    if transport != Transport::Any {
        let rest = rest.join("&");
        url.set_query((!rest.is_empty()).then_some(&rest));
    }
    Ok(transport)
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
            ("rtsps://h/", "rtsps"),
            ("h/x", "relative"),
            ("rtsp:///x", "host"),
            ("rtsp:x", "host"),
            ("rtsp://h/?transport=quic", "quic"),
            ("file://server/a.mp4", "host"),
            ("file:///a.mp4?transport=tcp", "%3F"),
        ] {
            let error = Target::parse(url).expect_err(url).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
