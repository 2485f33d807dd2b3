//! Which protocol a connection speaks, told by its first bytes: everything comes in on one port.

/// The longest first line that is read to tell the `OPTIONS` of RTSP and of HTTP apart: a URL with a long token fits.
pub const MAX_FIRST_LINE: usize = 4 * 1024;

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniff {
    /// RTSP 1.0 (RFC 2326).
    Rtsp,
    /// HTTP/1.x, or HTTP/2 with prior knowledge.
    Http,
    /// A TLS handshake record; look again at what it decrypts to.
    Tls,
    /// RTMP version 3, plain.
    Rtmp,
    /// Too few bytes to tell; never more than [`MAX_FIRST_LINE`] are needed.
    NeedMore,
    /// None of these.
    Unknown,
}

/// How each protocol's requests begin; `OPTIONS`, which both have, is looked at separately.
const METHODS: [(&[u8], Sniff); 19] = [
    (b"DESCRIBE ", Sniff::Rtsp),
    (b"ANNOUNCE ", Sniff::Rtsp),
    (b"SETUP ", Sniff::Rtsp),
    (b"PLAY ", Sniff::Rtsp),
    (b"PAUSE ", Sniff::Rtsp),
    (b"TEARDOWN ", Sniff::Rtsp),
    (b"GET_PARAMETER ", Sniff::Rtsp),
    (b"SET_PARAMETER ", Sniff::Rtsp),
    (b"RECORD ", Sniff::Rtsp),
    (b"REDIRECT ", Sniff::Rtsp),
    (b"GET ", Sniff::Http),
    (b"HEAD ", Sniff::Http),
    (b"POST ", Sniff::Http),
    (b"PATCH ", Sniff::Http),
    (b"PUT ", Sniff::Http),
    (b"DELETE ", Sniff::Http),
    (b"TRACE ", Sniff::Http),
    (b"CONNECT ", Sniff::Http),
    // The HTTP/2 connection preface (RFC 9113, section 3.4).
    (b"PRI * HTTP/2.0", Sniff::Http),
];

/// Decides from the first bytes of a connection, as far as they have come.
pub fn looks_like_rtsp(prefix: &[u8]) -> Sniff {
    match prefix {
        [] | [0x16] => return Sniff::NeedMore,
        [0x16, 0x03, ..] => return Sniff::Tls,
        [0x03, ..] => return Sniff::Rtmp,
        _ => {}
    }
    if let Some(rest) = prefix.strip_prefix(b"OPTIONS ") {
        return options(rest, prefix.len());
    }
    for (method, sniff) in METHODS {
        if prefix.starts_with(method) {
            return sniff;
        }
    }
    let possible = METHODS.iter().any(|(method, _)| method.starts_with(prefix)) || b"OPTIONS ".starts_with(prefix);
    if possible { Sniff::NeedMore } else { Sniff::Unknown }
}

/// `OPTIONS` is a method of both. The scheme decides early, else the version at the end of the line does.
fn options(rest: &[u8], len: usize) -> Sniff {
    if rest.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"rtsp")) {
        return Sniff::Rtsp;
    }
    let within = &rest[..rest.len().min(MAX_FIRST_LINE - b"OPTIONS ".len())];
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if len < MAX_FIRST_LINE { Sniff::NeedMore } else { Sniff::Unknown };
    };
    let line = rest[..end].trim_ascii_end();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if version.starts_with(b"RTSP/1.") {
        Sniff::Rtsp
    } else if version.starts_with(b"HTTP/1.") {
        Sniff::Http
    } else {
        Sniff::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every shorter prefix says either "more" or the same, and what follows changes nothing.
    fn check(input: &[u8], expected: Sniff) {
        let text = String::from_utf8_lossy(input).into_owned();
        assert_eq!(looks_like_rtsp(input), expected, "{text}");
        let mut decided = None;
        for cut in 0..=input.len() {
            let sniff = looks_like_rtsp(&input[..cut]);
            match decided {
                None if sniff != Sniff::NeedMore => decided = Some(sniff),
                None => {}
                Some(before) => assert_eq!(sniff, before, "{text} cut at {cut}"),
            }
        }
    }

    #[test]
    fn first_bytes() {
        for (method, sniff) in METHODS {
            check(&[method, b"/x\r\n".as_slice()].concat(), sniff);
            check(&method[..method.len() - 1], Sniff::NeedMore);
        }
        check(b"OPTIONS rtsp://h/x RTSP/1.0\r\n", Sniff::Rtsp);
        check(b"OPTIONS RTSPS://h/x RTSP/1.0\r\n", Sniff::Rtsp);
        check(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n", Sniff::Rtsp);
        check(b"OPTIONS /live/x RTSP/1.0\nCSeq: 1\n", Sniff::Rtsp);
        check(b"OPTIONS /api/v1/users HTTP/1.1\r\n", Sniff::Http);
        check(b"OPTIONS * HTTP/1.1\r\n", Sniff::Http);
        check(b"OPTIONS /rtsp/RTSP/1.0 HTTP/1.0\r\n", Sniff::Http);
        check(b"OPTIONS * SIP/2.0\r\n", Sniff::Unknown);
        check(b"OPTIONS \r\n", Sniff::Unknown);
        check(b"OPTIONS * RTSP/1.0", Sniff::NeedMore);
        check(b"\x16\x03\x01\x02\x00", Sniff::Tls);
        check(b"\x16\x02", Sniff::Unknown);
        check(b"\x03\x00", Sniff::Rtmp);
        check(b"", Sniff::NeedMore);
        check(b"SSH-2.0-x", Sniff::Unknown);
        check(b"describe ", Sniff::Unknown);
        check(b"$\0\0\x04", Sniff::Unknown);
        check(b"\0", Sniff::Unknown);
    }

    #[test]
    fn a_first_line_without_end_is_given_up() {
        let mut line = b"OPTIONS /".to_vec();
        line.resize(MAX_FIRST_LINE - 1, b'x');
        assert_eq!(looks_like_rtsp(&line), Sniff::NeedMore);
        line.push(b'x');
        assert_eq!(looks_like_rtsp(&line), Sniff::Unknown);
        line.extend(b" RTSP/1.0\r\n");
        assert_eq!(looks_like_rtsp(&line), Sniff::Unknown);
    }
}
