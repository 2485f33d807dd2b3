//! Where a track is set up and a presentation played: `Content-Base`, `a=control` (RFC 2326, section C.1.1), and what cameras
//! make of them.

/// Where the parts of a presentation are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Urls {
    /// What was asked for.
    request: String,
    /// What relative controls are behind.
    base: String,
    /// Of the session.
    aggregate: String,
}

impl Urls {
    /// `base`: the answer's Content-Base or Content-Location; `control`: the session's, if the description has one.
    pub(super) fn new(request: &str, base: Option<&str>, control: &str) -> Self {
        let described = base.and_then(|base| absolute(base, request)).unwrap_or_else(|| request.to_owned());
        let (base, aggregate) = match control {
            "" | "*" => (described.clone(), described),
            control => match absolute(control, request).filter(|_| has_scheme(control)) {
                // What live555 and ffmpeg do, and OvenMediaEngine and others rely on.
                Some(control) => (control.clone(), control),
                None => (described.clone(), appended(&described, control)),
            },
        };
        Self { request: request.to_owned(), base, aggregate }
    }

    /// Where to play, the most likely first.
    pub(super) fn aggregates(&self) -> Vec<String> {
        distinct([self.aggregate.clone(), self.request.clone()])
    }

    /// Where to set a track up, the most likely first. RFC 2326 wants relative controls joined as in RFC 3986, but servers
    /// mean, and clients do, a plain appending (live555 began it); the other ways are for the few who read the RFC.
    pub(super) fn of_track(&self, control: &str) -> Vec<String> {
        match control {
            "" | "*" => self.aggregates(),
            control if has_scheme(control) => {
                distinct([absolute(control, &self.request).unwrap_or_else(|| self.aggregate.clone())])
            }
            control => {
                distinct([appended(&self.base, control), appended(&self.request, control), joined(&self.base, control)])
            }
        }
    }
}

fn distinct(urls: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for url in urls {
        if !all.contains(&url) {
            all.push(url);
        }
    }
    all
}

fn has_scheme(url: &str) -> bool {
    after_scheme(url).is_some()
}

fn after_scheme(url: &str) -> Option<(&str, &str)> {
    ["rtsp://", "rtsps://", "rtspu://"].iter().find_map(|scheme| {
        let (first, rest) = url.split_at_checked(scheme.len())?;
        first.eq_ignore_ascii_case(scheme).then_some((first, rest))
    })
}

/// What a camera means by a URL that may lack its beginning; `None` if nothing can be made of it.
pub(super) fn absolute(url: &str, request: &str) -> Option<String> {
    let url = url.trim().trim_matches('"');
    if let Some((scheme, rest)) = after_scheme(url) {
        // `rtsp://rtsp://192.168.1.10/`, go2rtc#208.
        return match after_scheme(rest) {
            Some(_) => absolute(rest, request),
            None => (!rest.is_empty()).then(|| format!("{scheme}{rest}")),
        };
    }
    let root = root(request)?;
    if url.starts_with("//") || url.is_empty() {
        return None;
    }
    if url.starts_with('/') {
        return Some(format!("{root}{url}"));
    }
    // `192.168.1.10:554/stream0/`, Anjvision: moonfire-nvr#356.
    let host = url.split('/').next().unwrap_or_default();
    let (scheme, _) = after_scheme(request)?;
    host.contains(['.', ':']).then(|| format!("{scheme}{url}"))
}

/// Scheme and authority.
fn root(url: &str) -> Option<&str> {
    let (scheme, rest) = after_scheme(url)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    url.get(..scheme.len() + end)
}

/// One behind the other with one slash between, a query of the base staying where it is: Dahua's base is
/// `rtsp://.../cam/realmonitor?channel=1&subtype=0/`.
fn appended(base: &str, control: &str) -> String {
    if control.starts_with('?') {
        return format!("{}{control}", base.trim_end_matches('/'));
    }
    format!("{}/{}", base.trim_end_matches('/'), control.trim_start_matches('/'))
}

/// As RFC 3986 resolves it, without dots.
fn joined(base: &str, control: &str) -> String {
    let root = root(base).unwrap_or(base);
    if control.starts_with('/') {
        return format!("{root}{control}");
    }
    let path = base.split('?').next().unwrap_or(base);
    let folder = path.get(..path.rfind('/').map_or(0, |at| at + 1)).unwrap_or_default();
    if folder.len() <= root.len() { format!("{root}/{control}") } else { format!("{folder}{control}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "rtsp://h:554/live?x=1";

    #[test]
    fn what_cameras_say() {
        for (name, base, session, control, play, track) in [
            ("nothing", None, "", "track1", ASKED, "rtsp://h:554/live?x=1/track1"),
            ("Content-Base", Some("rtsp://h/live/"), "*", "track1", "rtsp://h/live/", "rtsp://h/live/track1"),
            ("without a slash", Some("rtsp://h/live"), "", "track1", "rtsp://h/live", "rtsp://h/live/track1"),
            (
                "Anjvision",
                Some("192.168.1.10:554/stream0/"),
                "*",
                "a",
                "rtsp://192.168.1.10:554/stream0/",
                "rtsp://192.168.1.10:554/stream0/a",
            ),
            ("twice a scheme", Some("rtsp://rtsp://c/s/"), "", "a", "rtsp://c/s/", "rtsp://c/s/a"),
            ("a path", Some("/s/"), "", "a", "rtsp://h:554/s/", "rtsp://h:554/s/a"),
            ("nonsense", Some("stream"), "", "a", ASKED, "rtsp://h:554/live?x=1/a"),
            ("nothing but a scheme", Some("rtsp://"), "", "a", ASKED, "rtsp://h:554/live?x=1/a"),
            ("session's absolute", Some("rtsp://h/x/"), "rtsp://h/y", "a", "rtsp://h/y", "rtsp://h/y/a"),
            ("session's relative", Some("rtsp://h/x/"), "all", "a", "rtsp://h/x/all", "rtsp://h/x/a"),
            ("absolute control", Some("rtsp://h/x/"), "", "RTSP://o/t1", "rtsp://h/x/", "RTSP://o/t1"),
            ("no control", Some("rtsp://h/x/"), "", "", "rtsp://h/x/", "rtsp://h/x/"),
            ("the session's control", Some("rtsp://h/x/"), "", "*", "rtsp://h/x/", "rtsp://h/x/"),
            ("control with query", Some("rtsp://h/x/"), "", "t?id=1", "rtsp://h/x/", "rtsp://h/x/t?id=1"),
            ("control is a query", Some("rtsp://h/x/"), "", "?ctype=video", "rtsp://h/x/", "rtsp://h/x?ctype=video"),
            ("control from the root", Some("rtsp://h/x/"), "", "/x/t1", "rtsp://h/x/", "rtsp://h/x/x/t1"),
            (
                "Dahua",
                Some("rtsp://h/cam/realmonitor?channel=1&subtype=0/"),
                "*",
                "trackID=0",
                "rtsp://h/cam/realmonitor?channel=1&subtype=0/",
                "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=0",
            ),
        ] {
            let urls = Urls::new(ASKED, base, session);
            assert_eq!((urls.aggregates()[0].as_str(), urls.of_track(control)[0].as_str()), (play, track), "{name}");
        }
    }

    #[test]
    fn other_ways_come_after() {
        let urls = Urls::new(ASKED, Some("rtsp://h/a/b?q"), "");
        assert_eq!(urls.of_track("t"), ["rtsp://h/a/b?q/t", "rtsp://h:554/live?x=1/t", "rtsp://h/a/t"]);
        assert_eq!(urls.of_track("/t")[2], "rtsp://h/t");
        let urls = Urls::new("rtsp://h", None, "");
        assert_eq!((urls.aggregates().len(), urls.of_track("t")), (1, vec!["rtsp://h/t".to_owned()]));
        assert_eq!(Urls::new("rtsps://h/x", Some("10.0.0.1/x/"), "").aggregates()[0], "rtsps://10.0.0.1/x/");
    }
}
