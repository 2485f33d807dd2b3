//! http-flv and http-ts: the media as the body of an answer, in HTTP/1.1 chunks (RFC 9112, section 7.1) so that its end can be told from a
//! broken connection, or plain for HTTP/1.0.

use std::io::Write;

use bytes::Bytes;
use ipchub_actors::viewer::{Framing, MAX_HEAD};

/// HTTP/1.1
#[derive(Debug)]
pub(super) struct Chunked;

/// HTTP/1.0: ends with the connection. HTTP/2: has its own frames, and its own end.
#[derive(Debug)]
pub(super) struct Plain;

impl Framing for Chunked {
    const NAME: &'static str = "http";
    const WAY: Option<usize> = Some(0);
    const TAIL: &'static [u8] = b"\r\n";

    fn head(len: usize, out: &mut [u8; MAX_HEAD]) -> usize {
        let mut rest = &mut out[..];
        // 16 digits and two bytes always fit.
        let _ = write!(rest, "{len:x}\r\n");
        MAX_HEAD - rest.len()
    }

    fn received(&mut self, _: &[u8], _: &mut Vec<Bytes>) -> Result<(), String> {
        // Such a viewer has nothing to say; a pipelined request is never answered, the connection ends with the stream.
        Ok(())
    }

    fn goodbye(&self, _: &str) -> Bytes {
        Bytes::from_static(b"0\r\n\r\n")
    }
}

impl Framing for Plain {
    const NAME: &'static str = "http";
    const WAY: Option<usize> = None;
    const TAIL: &'static [u8] = b"";

    fn head(_: usize, _: &mut [u8; MAX_HEAD]) -> usize {
        0
    }

    fn received(&mut self, _: &[u8], _: &mut Vec<Bytes>) -> Result<(), String> {
        Ok(())
    }

    fn goodbye(&self, _: &str) -> Bytes {
        Bytes::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_heads() {
        for len in [1, 0x1f, 10_000, usize::MAX] {
            let mut out = [0; MAX_HEAD];
            let n = Chunked::head(len, &mut out);
            assert_eq!(out[..n], *format!("{len:x}\r\n").as_bytes());
        }
    }
}
