//! The names of what a media playlist lists: `init1.m4s`, `7.m4s`, `7.2.m4s`, `1793500800.ts`.

use std::fmt;

use super::Format;

/// Segments of TS have at least this number: a stream's path may end with a number too, and `<path>/7.ts` is the stream
/// `<path>/7`. They are numbered from the seconds of the clock, see [`Config::first`](super::Config::first).
const FIRST_TS: u64 = 1_000_000_000;

/// One thing to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// An init section by its number.
    Init(u64),
    /// A segment by its media sequence number.
    Segment(u64),
    /// A part: its segment's number, its own within that from 0.
    Part(u64, usize),
}

impl Piece {
    /// Reads a name, in any case. `None`: it is none.
    pub fn parse(name: &str) -> Option<(Self, Format)> {
        let (stem, extension) = name.rsplit_once('.')?;
        let format =
            [Format::Fmp4, Format::Ts].into_iter().find(|format| extension.eq_ignore_ascii_case(format.extension()))?;
        let piece = match (stem.strip_prefix("init"), stem.split_once('.')) {
            (Some(number), _) => Self::Init(decimal(number)?),
            (None, Some((number, part))) => Self::Part(decimal(number)?, decimal(part)?.try_into().ok()?),
            (None, None) => Self::Segment(decimal(stem)?),
        };
        let is_one = match (format, piece) {
            (Format::Fmp4, _) => true,
            (Format::Ts, Self::Segment(number)) => number >= FIRST_TS,
            (Format::Ts, Self::Init(_) | Self::Part(..)) => false,
        };
        is_one.then_some((piece, format))
    }

    /// Its name.
    pub fn name(self, format: Format) -> Name {
        Name(self, format)
    }
}

/// A piece's name, for writing.
#[derive(Debug, Clone, Copy)]
pub struct Name(Piece, Format);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Piece::Init(number) => write!(f, "init{number}.")?,
            Piece::Segment(number) => write!(f, "{number}.")?,
            Piece::Part(number, part) => write!(f, "{number}.{part}.")?,
        }
        f.write_str(self.1.extension())
    }
}

/// Digits alone: neither sign nor blank, one name for one number.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for piece in [Piece::Init(0), Piece::Segment(1_793_500_800), Piece::Part(7, 12)] {
            let name = piece.name(Format::Fmp4).to_string();
            assert_eq!(Piece::parse(&name), Some((piece, Format::Fmp4)), "{name}");
        }
        assert_eq!(Piece::parse("7.M4S"), Some((Piece::Segment(7), Format::Fmp4)));
        assert_eq!(Piece::parse("1793500800.ts"), Some((Piece::Segment(1_793_500_800), Format::Ts)));
    }

    #[test]
    fn what_is_no_name() {
        let too_long = format!("{}.m4s", "9".repeat(30));
        for name in [
            "",
            "m4s",
            ".m4s",
            "7",
            "7.mp4",
            "7.ts",
            "init1793500800.ts",
            "1793500800.1.ts",
            "-7.m4s",
            "+7.m4s",
            " 7.m4s",
            "07.m4s",
            "7..m4s",
            "7.1.2.m4s",
            "init.m4s",
            "init-1.m4s",
            "inita.m4s",
            "7.x.m4s",
            "\u{662}.m4s",
            &too_long,
        ] {
            assert_eq!(Piece::parse(name), None, "{name:?}");
        }
    }
}
