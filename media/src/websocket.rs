//! The frames of a websocket, the server's side (RFC 6455, section 5): bytes of a client go in, whole messages come out; and
//! the heads of what the server sends.
//!
//! Text is not checked for UTF-8: what is text here is read as lines of a protocol that has an answer of its own for nonsense.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest [`head`].
pub const MAX_HEAD: usize = 10;
/// Longest payload of a ping, pong or close (section 5.5).
const MAX_CONTROL: usize = 125;
/// Frames of one message at most: a message of many tiny frames costs more than its bytes.
const MAX_FRAMES: usize = 1024;

/// What a frame is (section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the RFC's
pub enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A whole message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text or binary: who reads it here takes both.
    Data(BytesMut),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// An answer, or a sign of life.
    Pong,
    /// The client says goodbye.
    Close,
}

/// Why nothing sensible can follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Fault {
    #[error("a websocket frame without mask, expected one (RFC 6455, section 5.1)")]
    Unmasked,
    #[error("websocket frame head {0:#04x}, expected a known kind and no extension")]
    Head(u8),
    #[error("a fragmented or long websocket control frame")]
    Control,
    #[error("a websocket frame that continues nothing, or a message within a message")]
    Order,
    #[error("a websocket message of more than {0} bytes or {MAX_FRAMES} frames")]
    TooLong(usize),
}

impl Fault {
    /// The close code that says so (section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TooLong(_) => 1009,
            _ => 1002,
        }
    }
}

/// Cuts the bytes of one client into messages.
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    /// Frames of a message that is not finished.
    partial: BytesMut,
    /// How many; 0: no message is begun.
    frames: usize,
    fault: Option<Fault>,
}

struct FrameHead {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Of head and payload.
    head: usize,
    payload: usize,
}

impl Decoder {
    /// For messages of at most `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self { max_message, partial: BytesMut::new(), frames: 0, fault: None }
    }

    /// Takes the next message out of `buf`, which holds what has come and was not taken yet; `None`: more bytes are needed.
    /// `buf` need never hold more than one frame of `max_message` bytes.
    ///
    /// # Errors
    /// Nothing sensible can follow, and asking again gives the same error.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Message>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let message = self.cut(buf);
        if let Err(fault) = &message {
            self.fault = Some(fault.clone());
            self.partial = BytesMut::new();
        }
        message
    }

    fn cut(&mut self, buf: &mut BytesMut) -> Result<Option<Message>, Fault> {
        while let Some(head) = self.frame_head(buf)? {
            if buf.len() - head.head < head.payload {
                return Ok(None);
            }
            buf.advance(head.head);
            let mut payload = buf.split_to(head.payload);
            unmask(&mut payload, head.mask);
            if let Some(message) = self.take(&head, payload) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Says what is wrong with a frame as soon as its head shows it.
    fn frame_head(&self, buf: &[u8]) -> Result<Option<FrameHead>, Fault> {
        let Some([first, second]) = buf.first_chunk::<2>().copied() else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) {
            return Err(Fault::Head(first));
        }
        if second & 0x80 == 0 {
            return Err(Fault::Unmasked);
        }
        let (at, payload) = match (second & 0x7f, buf) {
            (126, [_, _, a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [_, _, a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            (126 | 127, _) => return Ok(None),
            (len, _) => (2, u64::from(len)),
        };
        if opcode >= 8 && (!fin || payload > MAX_CONTROL as u64) {
            return Err(Fault::Control);
        }
        let continues = self.frames > 0;
        if opcode < 8 && continues != (opcode == 0) {
            return Err(Fault::Order);
        }
        let room = if opcode < 8 { self.max_message - self.partial.len() } else { MAX_CONTROL };
        let payload =
            usize::try_from(payload).ok().filter(|len| *len <= room).ok_or(Fault::TooLong(self.max_message))?;
        if self.frames >= MAX_FRAMES {
            return Err(Fault::TooLong(self.max_message));
        }
        let Some(mask) = buf.get(at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
        Ok(Some(FrameHead { fin, opcode, mask: *mask, head: at + 4, payload }))
    }

    fn take(&mut self, head: &FrameHead, payload: BytesMut) -> Option<Message> {
        match head.opcode {
            8 => Some(Message::Close),
            9 => Some(Message::Ping(payload.freeze())),
            10 => Some(Message::Pong),
            _ if head.fin && self.frames == 0 => Some(Message::Data(payload)),
            _ => {
                self.partial.extend_from_slice(&payload);
                self.frames += 1;
                head.fin.then(|| {
                    self.frames = 0;
                    Message::Data(std::mem::take(&mut self.partial))
                })
            }
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for chunk in &mut words {
        if let Ok(bytes) = <[u8; 4]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u32::from_ne_bytes(bytes) ^ word).to_ne_bytes());
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Appends the head of a server's whole message of `len` bytes: unmasked, with the shortest length that fits.
pub fn put_head(opcode: Opcode, len: usize, out: &mut impl BufMut) {
    out.put_u8(0x80 | opcode as u8);
    match (len, u16::try_from(len)) {
        (0..126, _) => out.put_u8(len as u8),
        (_, Ok(len)) => {
            out.put_u8(126);
            out.put_u16(len);
        }
        (_, Err(_)) => {
            out.put_u8(127);
            out.put_u64(len as u64);
        }
    }
}

/// A whole message.
pub fn message(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(MAX_HEAD + payload.len());
    put_head(opcode, payload.len(), &mut out);
    out.put_slice(payload);
    out.freeze()
}

/// A close frame; what is longer than a control frame allows of the reason is cut.
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
    let mut payload = BytesMut::with_capacity(MAX_CONTROL);
    payload.put_u16(code);
    payload.put_slice(reason.as_bytes());
    message(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests;
