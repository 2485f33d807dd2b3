//! websocket-flv and websocket-ts: one binary message (RFC 6455, section 5) a chunk: whole tags, whole transport packets. What the viewer sends is answered as the
//! protocol asks (ping, close) and otherwise passed over.

use bytes::{Bytes, BytesMut};
use ipchub_actors::viewer::{Framing, MAX_HEAD};
use ipchub_media::websocket::{self, Decoder, Message, Opcode};

/// A viewer has nothing to say that needs more.
const MAX_MESSAGE: usize = 4096;

/// One viewer.
#[derive(Debug)]
pub(super) struct Websocket {
    decoder: Decoder,
    pending: BytesMut,
}

impl Default for Websocket {
    fn default() -> Self {
        Self { decoder: Decoder::new(MAX_MESSAGE), pending: BytesMut::new() }
    }
}

impl Framing for Websocket {
    const NAME: &'static str = "websocket";
    const WAY: Option<usize> = Some(1);
    const TAIL: &'static [u8] = b"";

    fn head(len: usize, out: &mut [u8; MAX_HEAD]) -> usize {
        let mut rest = &mut out[..];
        websocket::put_head(Opcode::Binary, len, &mut rest);
        MAX_HEAD - rest.len()
    }

    fn received(&mut self, bytes: &[u8], reply: &mut Vec<Bytes>) -> Result<(), String> {
        self.pending.extend_from_slice(bytes);
        loop {
            match self.decoder.next(&mut self.pending) {
                Ok(Some(Message::Ping(data))) => reply.push(websocket::message(Opcode::Pong, &data)),
                Ok(Some(Message::Close)) => return Err("the viewer left".into()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        Ok(())
    }

    fn goodbye(&self, reason: &str) -> Bytes {
        websocket::close(1000, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame, as clients send it.
    fn client(opcode: u8, data: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![0x80 | opcode, 0x80 | data.len() as u8];
        out.extend(mask);
        out.extend(data.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        out
    }

    #[test]
    fn pings_are_answered_at_any_split() {
        let bytes = [client(1, b"hello"), client(9, b"are you there")].concat();
        for cut in 0..=bytes.len() {
            let (mut viewer, mut reply) = (Websocket::default(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                viewer.received(part, &mut reply).expect("valid frames");
            }
            assert_eq!(reply, [Bytes::from_static(b"\x8a\x0dare you there")], "cut at {cut}");
        }
    }

    #[test]
    fn close_and_nonsense_end_it() {
        assert!(Websocket::default().received(&client(8, &[3, 0xe8]), &mut Vec::new()).is_err());
        // An unmasked frame of a client is an error (RFC 6455, section 5.1).
        assert!(Websocket::default().received(&[0x81, 1, b'x'], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_at_its_head() {
        let head = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert!(Websocket::default().received(&head, &mut Vec::new()).is_err());
    }
}
