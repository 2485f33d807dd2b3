//! Bits of parameter sets: emulation prevention, fixed fields and Exp-Golomb codes (H.264 and H.265, section 9).

use super::Error;

/// Reads fields from their highest bit on; names what it reads in its errors.
#[derive(Debug, Clone)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8], what: &'static str) -> Self {
        Self { data, at: 0, what }
    }

    /// Bits read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Bits left.
    pub(crate) fn left(&self) -> usize {
        self.data.len() * 8 - self.at
    }

    pub(crate) fn invalid(&self, field: &'static str) -> Error {
        Error::Invalid { what: self.what, field, bit: self.at }
    }

    /// At most 32 bits.
    pub(crate) fn read(&mut self, count: u32) -> Result<u32, Error> {
        debug_assert!(count <= 32, "a field has at most 32 bits");
        let mut value = 0u64;
        let end = self.at + count as usize;
        if end > self.data.len() * 8 {
            return Err(Error::Truncated { what: self.what, bit: self.data.len() * 8 });
        }
        while self.at < end {
            let free = 8 - self.at % 8;
            let take = free.min(end - self.at);
            let byte = u64::from(self.data[self.at / 8]);
            value = value << take | (byte >> (free - take)) & ((1 << take) - 1);
            self.at += take;
        }
        Ok(value as u32)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.read(1)? != 0)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Error> {
        if count > self.left() {
            return Err(Error::Truncated { what: self.what, bit: self.data.len() * 8 });
        }
        self.at += count;
        Ok(())
    }

    /// Unsigned Exp-Golomb code.
    pub(crate) fn ue(&mut self) -> Result<u32, Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(self.invalid("Exp-Golomb code"));
            }
        }
        Ok((1 << zeros) - 1 + self.read(zeros)?)
    }

    /// Unsigned Exp-Golomb code that may not exceed `max`.
    pub(crate) fn ue_to(&mut self, max: u32, field: &'static str) -> Result<u32, Error> {
        let value = self.ue()?;
        if value > max { Err(self.invalid(field)) } else { Ok(value) }
    }
}

/// Takes the emulation prevention bytes out (00 00 03 becomes 00 00). Sequences that may not occur are kept as they are:
/// some encoders forget the prevention in a field nobody needs.
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cross_bytes() {
        let mut bits = Bits::new(&[0b1010_1010, 0xff, 0x00, 0x12, 0x34, 0x56], "test");
        assert_eq!(bits.read(3), Ok(0b101));
        assert_eq!(bits.read(9), Ok(0b0_1010_1111));
        assert_eq!(bits.read(32), Ok(0xf001_2345));
        assert_eq!((bits.position(), bits.left()), (44, 4));
        assert_eq!(bits.read(5), Err(Error::Truncated { what: "test", bit: 48 }));
        assert_eq!(bits.read(4), Ok(6));
        assert!(bits.skip(1).is_err());
        assert_eq!(bits.read(0), Ok(0));
    }

    #[test]
    fn exp_golomb_codes() {
        // 1 | 010 | 011 | 00100 | 00111
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0011, 0b1000_0000], "test");
        let values: Vec<_> = (0..5).map(|_| bits.ue().expect("enough bits")).collect();
        assert_eq!(values, [0, 1, 2, 3, 6]);
        assert!(Bits::new(&[0; 8], "test").ue().is_err());
        assert_eq!(Bits::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], "test").ue(), Ok(u32::MAX - 1));
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(unescape(&[0, 3, 0, 0, 1]), [0, 3, 0, 0, 1]);
    }
}
