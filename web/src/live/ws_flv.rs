//! websocket-flv: one binary message (RFC 6455, section 5) a chunk, whole tags only. What the viewer sends is answered as the
//! protocol asks (ping, close) and otherwise passed over.

use actix_codec::{Decoder, Encoder};
use actix_http::ws::{CloseCode, CloseReason, Codec, Frame, Message};
use bytes::{Bytes, BytesMut};
use ipchub_actors::viewer::{Framing, MAX_HEAD};

/// A viewer has nothing to say that needs more.
const MAX_FRAME: usize = 4096;
/// Two bytes, the longest length, the mask (RFC 6455, section 5.2).
const MAX_FRAME_HEAD: usize = 14;

/// One viewer.
#[derive(Debug)]
pub(super) struct WsFlv {
    codec: Codec,
    pending: BytesMut,
}

impl Default for WsFlv {
    fn default() -> Self {
        Self { codec: Codec::new().max_size(MAX_FRAME), pending: BytesMut::new() }
    }
}

impl WsFlv {
    fn encode(&self, message: Message) -> Bytes {
        let mut out = BytesMut::new();
        // A single unfragmented message is always encoded; no state is changed by it.
        let _ = Codec::new().encode(message, &mut out);
        out.freeze()
    }
}

impl Framing for WsFlv {
    const NAME: &'static str = "websocket-flv";
    const TAIL: &'static [u8] = b"";

    /// FIN, binary, unmasked, with the shortest length that fits.
    fn head(&self, len: usize, out: &mut [u8; MAX_HEAD]) -> usize {
        out[0] = 0x82;
        if len < 126 {
            out[1] = len as u8;
            2
        } else if let Ok(len) = u16::try_from(len) {
            out[1] = 126;
            out[2..4].copy_from_slice(&len.to_be_bytes());
            4
        } else {
            out[1] = 127;
            out[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    }

    fn received(&mut self, bytes: &[u8], reply: &mut Vec<Bytes>) -> Result<(), String> {
        self.pending.extend_from_slice(bytes);
        loop {
            match self.codec.decode(&mut self.pending) {
                Ok(Some(Frame::Ping(data))) => reply.push(self.encode(Message::Pong(data))),
                Ok(Some(Frame::Close(_))) => return Err("the viewer left".into()),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(format!("bad websocket frame: {error}")),
            }
        }
        // The codec refuses a frame that is too large only once it is whole.
        if self.pending.len() > MAX_FRAME + MAX_FRAME_HEAD {
            return Err(format!("bad websocket frame: longer than {MAX_FRAME} bytes"));
        }
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
        Ok(())
    }

    fn goodbye(&self, reason: &str) -> Bytes {
        // A close frame holds at most 123 bytes of reason.
        let mut end = reason.len().min(123);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = CloseReason { code: CloseCode::Normal, description: Some(reason[..end].to_owned()) };
        self.encode(Message::Close(Some(reason)))
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
    fn heads_by_length() {
        let mut out = [0; MAX_HEAD];
        for (len, expected) in [
            (5, &[0x82, 5][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65535, &[0x82, 126, 0xff, 0xff]),
            (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let n = WsFlv::default().head(len, &mut out);
            assert_eq!(&out[..n], expected, "{len}");
        }
    }

    #[test]
    fn pings_are_answered_at_any_split() {
        let bytes = [client(1, b"hello"), client(9, b"are you there")].concat();
        for cut in 0..=bytes.len() {
            let (mut viewer, mut reply) = (WsFlv::default(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                viewer.received(part, &mut reply).expect("valid frames");
            }
            assert_eq!(reply, [Bytes::from_static(b"\x8a\x0dare you there")], "cut at {cut}");
        }
    }

    #[test]
    fn close_and_nonsense_end_it() {
        assert!(WsFlv::default().received(&client(8, &[3, 0xe8]), &mut Vec::new()).is_err());
        // An unmasked frame of a client is an error (RFC 6455, section 5.1).
        assert!(WsFlv::default().received(&[0x81, 1, b'x'], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_frame_that_never_ends_is_refused() {
        let (mut viewer, mut reply) = (WsFlv::default(), Vec::new());
        let head = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        let mut result = viewer.received(&head, &mut reply);
        for _ in 0..MAX_FRAME / 1024 + 1 {
            result = result.and_then(|()| viewer.received(&[0; 1024], &mut reply));
        }
        assert!(result.is_err());
    }

    #[test]
    fn goodbye_tells_why() {
        let long = "ä".repeat(100);
        let bye = WsFlv::default().goodbye(&long);
        assert_eq!((bye[0], usize::from(bye[1])), (0x88, 2 + 122));
    }
}
