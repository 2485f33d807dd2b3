//! From when to when a certificate counts (RFC 5280, section 4.1.2.5): the one thing that is needed of X.509 itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`
const VERSION: u8 = 0xa0;

/// Both ends, as seconds since 1970 and as the certificate writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validity {
    from: Time,
    until: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Time {
    seconds: i64,
    text: String,
}

impl Validity {
    /// Of a certificate in DER; `None` if it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(certificate, SEQUENCE)?;
        let (mut rest, _) = expect(certificate, SEQUENCE)?;
        if let Some((_, after)) = expect(rest, VERSION) {
            rest = after;
        }
        // serialNumber, signature, issuer
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (validity, _) = expect(rest, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }

    /// An error if `now` is not within it.
    pub(super) fn check(&self, now: SystemTime) -> Result<()> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() as i64;
        if now < self.from.seconds {
            bail!("the certificate counts from {} on only; this machine's clock may be wrong", self.from.text);
        }
        if now > self.until.seconds {
            bail!("the certificate has expired at {}", self.until.text);
        }
        Ok(())
    }
}

/// Tag, contents and what follows.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = input else { return None };
    let (length, rest) = match *length {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(input).filter(|(found, ..)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`
fn time(input: &[u8]) -> Option<(Time, &[u8])> {
    let (tag, text, rest) = element(input)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = if tag == UTC_TIME { 2 } else { 4 };
    if !matches!(tag, UTC_TIME | GENERALIZED_TIME) || text.len() != digits + 10 || !text.is_ascii() {
        return None;
    }
    let (year, text) = text.split_at(digits);
    let year: i64 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    let pair = |n: usize| text.get(2 * n..2 * n + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (pair(0)?, pair(1)?, pair(2)?, pair(3)?, pair(4)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    Some((Time { seconds, text }, rest))
}

/// Days since 1970-01-01 of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with their leap day; 400 of them have 146097 days.
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let len = contents.len();
        let mut out = vec![tag];
        match len {
            0..0x80 => out.push(len as u8),
            _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        out.extend(contents);
        out
    }

    fn certificate(from: (u8, &str), until: (u8, &str), version: bool) -> Vec<u8> {
        let validity = [der(from.0, from.1.as_bytes()), der(until.0, until.1.as_bytes())].concat();
        let mut parts = vec![der(2, &[5]), der(SEQUENCE, &[]), der(SEQUENCE, &[0; 200]), der(SEQUENCE, &validity)];
        if version {
            parts.insert(0, der(VERSION, &[2, 1, 2]));
        }
        der(SEQUENCE, &der(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn days_of_the_calendar() {
        for (date, expected) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2024, 12, 31), 20_088),
            ((4096, 1, 1), 776_506),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    #[test]
    fn within_and_without() {
        for version in [true, false] {
            let certificate = certificate((UTC_TIME, "240101000000Z"), (GENERALIZED_TIME, "20500101120000Z"), version);
            let validity = Validity::of(&certificate).expect("a certificate");
            let at = |seconds: u64| validity.check(UNIX_EPOCH + Duration::from_secs(seconds));
            assert!(at(1_704_067_199).is_err_and(|error| error.to_string().contains("2024-01-01T00:00:00Z")));
            assert!(at(1_704_067_200).is_ok());
            assert!(at(2_524_651_200).is_ok());
            assert!(at(2_524_651_201).is_err_and(|error| error.to_string().contains("2050-01-01T12:00:00Z")));
        }
    }

    #[test]
    fn what_is_none_is_refused_at_every_cut() {
        let whole = certificate((UTC_TIME, "240101000000Z"), (UTC_TIME, "990101000000Z"), true);
        assert!(Validity::of(&whole).is_some());
        for cut in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..cut]), None, "cut at {cut}");
        }
        for wrong in ["241301000000Z", "240101000000", "2401010000Z", "24010100000éZ"] {
            assert_eq!(Validity::of(&certificate((UTC_TIME, wrong), (UTC_TIME, wrong), true)), None, "{wrong}");
        }
        assert_eq!(Validity::of(&[SEQUENCE, 0xff]), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0x85, 1, 0, 0, 0, 0]), None);
    }
}
