//! The names of streams: what the path of any URL becomes before it is looked up.

/// The canonical form of a path: percent-decoded, trimmed, lower-cased, without `//`, `.` and `..`, with a leading `/`.
///
/// A trailing `/` is kept, since it marks a directory route; `..` never climbs above the root. Escaped control
/// characters stay escaped and bare ones are dropped, so that a path is safe to log. Bytes that are no UTF-8 after
/// decoding become U+FFFD. It decodes each time: what is canonical already, or was decoded by an HTTP library, must not
/// come here again with a `%` in it.
pub fn canonical(path: &str) -> String {
    with_case(path).to_lowercase()
}

/// As [`canonical`], in the case that was asked for: a camera behind a directory route may tell `/Ch01` from `/ch01`. It
/// has the same segments as the canonical form.
pub fn with_case(path: &str) -> String {
    let mut decoded = percent_decoded(path);
    decoded.retain(|c| !c.is_control());
    let trimmed = decoded.trim();
    let mut segments: Vec<&str> = Vec::new();
    for segment in trimmed.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(trimmed.len() + 1);
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || trimmed.ends_with('/') {
        out.push('/');
    }
    out
}

/// The stream path of a request URI and its query, without the `?`.
///
/// Takes absolute URIs of any scheme (`rtsp://host:port/path?query`) and relative ones. Unlike [`canonical`] alone it drops
/// a trailing `/`, which players add on their own.
pub fn of_uri(uri: &str) -> (String, Option<&str>) {
    let (path, query) = split_query(local_part(uri));
    let mut path = canonical(path);
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    (path, query)
}

/// The path of [`of_uri`] in the case that was asked for.
pub fn of_uri_with_case(uri: &str) -> String {
    let (path, _) = split_query(local_part(uri));
    let mut path = with_case(path);
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
    }
    path
}

/// A URI without scheme and authority.
pub(crate) fn local_part(uri: &str) -> &str {
    let uri = uri.trim();
    // "://" in a query is no scheme.
    let (head, _) = split_query(uri);
    match head.find("://") {
        Some(at) => {
            let rest = &uri[at + 3..];
            rest.find(['/', '?']).map_or("", |slash| &rest[slash..])
        }
        None => uri,
    }
}

/// What stands before and after the first `?`.
pub(crate) fn split_query(uri: &str) -> (&str, Option<&str>) {
    uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)))
}

fn percent_decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = match bytes.get(at..at + 3) {
            Some([b'%', high, low]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match escaped {
            Some(value) if !value.is_ascii_control() => {
                out.push(value);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("live", "/live"),
            ("/Room/DOOR", "/room/door"),
            ("  /live/test  ", "/live/test"),
            ("//live///test", "/live/test"),
            ("/live/./test/../door", "/live/door"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/%2e%2e/%2E%2e%2fetc", "/etc"),
            ("/live/test/", "/live/test/"),
            ("/a%20b", "/a b"),
            ("/%E5%AE%A4", "/室"),
            ("/ÄÖ", "/äö"),
            ("/%ff", "/\u{fffd}"),
            ("/100%", "/100%"),
            ("/100%zz", "/100%zz"),
            ("/a%0d%0ab", "/a%0d%0ab"),
            ("/a\r\nb\0", "/ab"),
            ("/a%c2%9bb", "/ab"),
            ("/%252e", "/%2e"),
            ("/%é", "/%é"),
        ] {
            assert_eq!(canonical(path), expected, "{path:?}");
            assert_eq!(of_uri(path).0.trim_end_matches('/'), expected.trim_end_matches('/'), "{path:?}");
            assert_eq!(with_case(path).split('/').count(), expected.split('/').count(), "{path:?}");
        }
    }

    #[test]
    fn case_can_be_kept() {
        assert_eq!(of_uri_with_case("rtsp://Cam:554/HR/Ch01/?X=Y"), "/HR/Ch01");
        assert_eq!(with_case("//HR/./Door%20A/x/../Ch01/"), "/HR/Door A/Ch01/");
    }

    #[test]
    fn paths_of_uris() {
        for (uri, path, query) in [
            ("rtsp://h:1554/Live/Test", "/live/test", None),
            ("rtsps://user:p%40ss@h/Live/Test/?token=A/b", "/live/test", Some("token=A/b")),
            ("rtsp://[::1]:1554/x", "/x", None),
            ("rtsp://h", "/", None),
            ("rtsp://h?x=/y", "/", Some("x=/y")),
            ("RTSP://h/", "/", None),
            ("/live/test?u=http://x/y", "/live/test", Some("u=http://x/y")),
            ("live", "/live", None),
            ("*", "/*", None),
        ] {
            assert_eq!(of_uri(uri), (path.to_owned(), query), "{uri}");
        }
    }
}
