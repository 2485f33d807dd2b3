//! Whole answers of HTTP/1.1 (RFC 9112).

use anyhow::{Context, Result, ensure};

/// Longest head.
const MAX_HEAD: usize = 64 << 10;
/// Longest line with a chunk's size.
const MAX_LINE: usize = 100;

/// Status and body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The answer at the start of `bytes`, and how many of them it is. `None`: there is more to come.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            ensure!(bytes.len() <= MAX_HEAD, "an HTTP head of more than {MAX_HEAD} bytes");
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let rest = &bytes[end + 4..];
        let chunked = field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let body = match field("content-length") {
            _ if chunked => chunks(rest)?,
            Some(len) => {
                let len = len.parse::<usize>().with_context(|| format!("Content-Length {len:?}"))?;
                rest.get(..len).map(|body| (body.to_vec(), len))
            }
            None => {
                ensure!(matches!(status, 204 | 304), "an answer that tells no length");
                Some((Vec::new(), 0))
            }
        };
        Ok(body.map(|(body, len)| (Self { status, body }, end + 4 + len)))
    }
}

/// The body of whole chunks (section 7.1) without trailers, and how many bytes they are.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(line) = find(&bytes[at..], b"\r\n") {
        let text = String::from_utf8_lossy(&bytes[at..at + line]);
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
        let from = at + line + 2;
        let end = from.checked_add(size).and_then(|end| end.checked_add(2)).context("chunk size")?;
        let Some(chunk) = bytes.get(from..end) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok(Some((body, end)));
        }
        at = end;
    }
    ensure!(bytes.len() - at < MAX_LINE, "a line of {MAX_LINE} bytes where a chunk's size was expected");
    Ok(None)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
