//! Boxes (ISO 14496-12, section 4.2): a length, a kind and a body, one within the other.

use std::fmt;

use bytes::Bytes;

use super::Error;

/// Bytes of a box's head at most: length, kind, 64-bit length.
pub const MAX_HEAD: usize = 16;

/// The four characters that name a box or a codec.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The head of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its kind.
    pub kind: FourCc,
    /// Bytes of the head: 8 or 16.
    pub head: u64,
    /// Bytes of the box, head and body.
    pub len: u64,
}

impl Head {
    /// Reads the head of a box at byte `at` of a file, of which `room` bytes are left there. `bytes` are the first of these,
    /// at least [`MAX_HEAD`] or all.
    ///
    /// # Errors
    /// If the head is cut, says less than its own length, or more than there is.
    pub fn parse(bytes: &[u8], at: u64, room: u64) -> Result<Self, Error> {
        let Some([s0, s1, s2, s3, k0, k1, k2, k3]) = bytes.first_chunk().copied() else {
            return Err(Error::Truncated { what: FourCc(*b"head"), at });
        };
        let kind = FourCc([k0, k1, k2, k3]);
        let (head, len) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            // To the end of what it lies in.
            0 => (8, room),
            1 => match bytes.get(8..).and_then(|rest| rest.first_chunk()) {
                Some(long) => (16, u64::from_be_bytes(*long)),
                None => return Err(Error::Truncated { what: kind, at }),
            },
            len => (8, u64::from(len)),
        };
        if len < head {
            return Err(Error::Length { what: kind, at, len });
        }
        if len > room {
            return Err(Error::Truncated { what: kind, at });
        }
        Ok(Self { kind, head, len })
    }
}

/// A box in memory.
#[derive(Debug, Clone)]
pub(super) struct Boxed {
    pub(super) kind: FourCc,
    /// Where its body stands in the file.
    pub(super) at: u64,
    pub(super) body: Bytes,
}

impl Boxed {
    /// The boxes in its body from byte `skip` on.
    pub(super) fn children(&self, skip: usize) -> Children {
        let skip = skip.min(self.body.len());
        Children { rest: self.body.slice(skip..), at: self.at + skip as u64 }
    }

    /// The first child of a kind.
    ///
    /// # Errors
    /// If a box before it is broken, or if there is none.
    pub(super) fn child(&self, kind: &[u8; 4]) -> Result<Boxed, Error> {
        self.find(kind)?.ok_or(Error::Missing { what: FourCc(*kind), within: self.kind, at: self.at })
    }

    /// As [`Boxed::child`], where there may be none.
    pub(super) fn find(&self, kind: &[u8; 4]) -> Result<Option<Boxed>, Error> {
        self.children(0).find(|found| !matches!(found, Ok(found) if found.kind.0 != *kind)).transpose()
    }

    /// A big-endian number of the body.
    pub(super) fn u32(&self, at: usize) -> Result<u32, Error> {
        let bytes = self.body.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Error::Truncated { what: self.kind, at: self.at })
    }

    /// As [`Boxed::u32`], of 64 bits.
    pub(super) fn u64(&self, at: usize) -> Result<u64, Error> {
        let bytes = self.body.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map(|bytes| u64::from_be_bytes(*bytes)).ok_or(Error::Truncated { what: self.kind, at: self.at })
    }

    /// The entries of a table whose count stands at `count` and which begins behind it.
    pub(super) fn entries(&self, count: usize, size: usize) -> Result<Bytes, Error> {
        let short = Error::Truncated { what: self.kind, at: self.at };
        let len = (self.u32(count)? as usize).checked_mul(size).ok_or(short)?;
        let start = count + 4;
        let end = start.checked_add(len).filter(|end| *end <= self.body.len()).ok_or(short)?;
        Ok(self.body.slice(start..end))
    }
}

/// Walks over boxes that follow each other.
pub(super) struct Children {
    rest: Bytes,
    at: u64,
}

impl Iterator for Children {
    type Item = Result<Boxed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // QuickTime ends some lists of boxes with four zeros.
        if self.rest.is_empty() || self.rest.len() < 8 && self.rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        let head = match Head::parse(&self.rest, self.at, self.rest.len() as u64) {
            Ok(head) => head,
            Err(error) => {
                self.rest = Bytes::new();
                return Some(Err(error));
            }
        };
        // Both are at most what is in memory.
        let mut whole = self.rest.split_to(head.len as usize);
        let body = whole.split_off(head.head as usize);
        let at = self.at + head.head;
        self.at += head.len;
        Some(Ok(Boxed { kind: head.kind, at, body }))
    }
}
