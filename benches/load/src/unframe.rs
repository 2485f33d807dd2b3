//! Takes FLV out of what wraps it on the connection (nothing, HTTP chunks, websocket frames), and NAL units out of FLV.

use anyhow::{Context, Result, bail, ensure};

/// Longest line with a chunk's size.
const MAX_LINE: usize = 100;
/// Longest payload of a websocket control frame (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;
/// Pong, masked with the key 0.
const PONG: u8 = 0x8a;

/// How FLV lies in the bytes of a connection.
#[derive(Debug)]
pub(crate) enum Framing {
    /// As it is.
    Raw,
    /// RFC 9112, section 7.1. `left` counts a chunk's data and its closing CRLF.
    Chunked { left: usize, line: Vec<u8> },
    /// RFC 6455, section 5.2. `head` collects a frame's header.
    Websocket { left: usize, opcode: u8, head: Vec<u8>, control: Vec<u8> },
}

impl Framing {
    pub(crate) fn chunked() -> Self {
        Self::Chunked { left: 0, line: Vec::new() }
    }

    pub(crate) fn websocket() -> Self {
        Self::Websocket { left: 0, opcode: 0, head: Vec::new(), control: Vec::new() }
    }

    /// Unwraps `data`, cut anywhere. Payload goes to `out`, what the protocol answers (a pong) to `reply`.
    pub(crate) fn push(&mut self, data: &[u8], reply: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Raw => out.extend_from_slice(data),
            Self::Chunked { left, line } => chunks(data, left, line, out)?,
            Self::Websocket { left, opcode, head, control } => {
                let mut data = data;
                while !data.is_empty() {
                    if *left > 0 {
                        let n = data.len().min(*left);
                        let to = if *opcode < 8 { &mut *out } else { &mut *control };
                        to.extend_from_slice(&data[..n]);
                        *left -= n;
                        data = &data[n..];
                    } else {
                        head.push(data[0]);
                        data = &data[1..];
                        let Some(len) = websocket_len(head)? else { continue };
                        (*opcode, *left) = (head[0] & 15, len);
                        ensure!(*opcode < 8 || len <= MAX_CONTROL, "websocket control frame of {len} bytes");
                        head.clear();
                        control.clear();
                    }
                    if *left == 0 {
                        match std::mem::take(opcode) {
                            8 => bail!("the server sent a websocket close frame: {}", reason(control)),
                            9 => {
                                reply.extend([PONG, 0x80 | control.len() as u8, 0, 0, 0, 0]);
                                reply.append(control);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn chunks(mut data: &[u8], left: &mut usize, line: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
    while !data.is_empty() {
        if *left > 0 {
            let n = data.len().min(*left);
            out.extend_from_slice(&data[..n.min(left.saturating_sub(2))]);
            *left -= n;
            data = &data[n..];
            continue;
        }
        line.push(data[0]);
        data = &data[1..];
        ensure!(line.len() < MAX_LINE, "a line of {MAX_LINE} bytes where a chunk's size was expected");
        if line.ends_with(b"\r\n") {
            let text = String::from_utf8_lossy(line);
            let size = text.trim().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {size:?}"))?;
            ensure!(size > 0, "the server ended the body");
            *left = size.checked_add(2).context("chunk size")?;
            line.clear();
        }
    }
    Ok(())
}

/// Payload length of the frame that `head` begins; `None`: more header bytes are needed.
fn websocket_len(head: &[u8]) -> Result<Option<usize>> {
    let Some(second) = head.get(1) else { return Ok(None) };
    ensure!(second & 0x80 == 0, "a masked websocket frame from the server");
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        len => return Ok(Some(len.into())),
    };
    let bytes = head.get(2..2 + extended);
    Ok(bytes.map(|bytes| bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))))
}

fn reason(close: &[u8]) -> String {
    String::from_utf8_lossy(close.get(2..).unwrap_or_default()).into_owned()
}

/// Cuts FLV into tags.
#[derive(Debug, Default)]
pub(crate) struct Flv {
    /// Not yet cut.
    pub(crate) bytes: Vec<u8>,
    begun: bool,
}

impl Flv {
    /// Gives `nal` all NAL units that are whole.
    pub(crate) fn drain(&mut self, mut nal: impl FnMut(&[u8])) -> Result<()> {
        let mut at = 0;
        if !self.begun {
            if self.bytes.len() < 13 {
                return Ok(());
            }
            ensure!(self.bytes.starts_with(b"FLV"), "no FLV signature at the start");
            (self.begun, at) = (true, 13);
        }
        while let Some(head) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<11>()) {
            let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            let (kind, end) = (head[0] & 0x1f, at + 11 + size);
            ensure!(matches!(kind, 8 | 9 | 18), "FLV tag of kind {kind}");
            let Some(previous) = self.bytes.get(end..).and_then(|rest| rest.first_chunk::<4>()) else { break };
            let previous = u32::from_be_bytes(*previous) as usize;
            ensure!(previous == size + 11, "PreviousTagSize {previous} behind a tag of {size} bytes");
            if let (9, [first, 1, _, _, _, units @ ..]) = (kind, &self.bytes[at + 11..end])
                && first & 15 == 7
            {
                avcc(units, &mut nal)?;
            }
            at = end + 4;
        }
        self.bytes.drain(..at);
        Ok(())
    }
}

/// NAL units behind their lengths of four bytes.
pub(crate) fn avcc(mut units: &[u8], nal: &mut impl FnMut(&[u8])) -> Result<()> {
    while let Some((len, rest)) = units.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        ensure!(len <= rest.len(), "a NAL unit of {len} bytes with {} left in its tag", rest.len());
        nal(&rest[..len]);
        units = &rest[len..];
    }
    Ok(())
}

#[cfg(test)]
mod tests;
