//! Which moment of the wall clock a time of the stream is, for `EXT-X-PROGRAM-DATE-TIME`.

use std::time::Duration;

/// The stream's clock is followed by this much at a time: dates go on evenly although frames arrive unevenly.
const SLEW: Duration = Duration::from_millis(5);
/// How often it is followed, in nanoseconds of the stream: sound alone has a frame to note every 20 ms, several of which may come
/// in one packet.
const EVERY: u128 = 1_000_000_000;
/// A wall clock that was set, or a camera's clock that is far off: then dates step.
const STEP: Duration = Duration::from_secs(2);

/// Ties the two clocks together.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// Nanoseconds since 1970 of the stream's 0.
    origin: Option<i128>,
    /// Stream time at which that was last looked at.
    noted: i128,
}

impl Wall {
    /// A frame of that stream time, in nanoseconds, is there at `now`, which is since 1970.
    pub(super) fn note(&mut self, stream: i128, now: Duration) {
        let seen = now.as_nanos() as i128 - stream;
        let Some(origin) = &mut self.origin else {
            (self.origin, self.noted) = (Some(seen), stream);
            return;
        };
        if (stream - self.noted).unsigned_abs() < EVERY {
            return;
        }
        self.noted = stream;
        let off = seen - *origin;
        let slew = SLEW.as_nanos() as i128;
        *origin += if off.unsigned_abs() > STEP.as_nanos() { off } else { off.clamp(-slew, slew) };
    }

    /// Since 1970; 0 before the first frame.
    pub(super) fn of(&self, stream: i128) -> Duration {
        let nanos = (self.origin.unwrap_or(0) + stream).clamp(0, i128::from(u64::MAX));
        Duration::from_nanos(nanos as u64)
    }
}

/// RFC 3339 in UTC with milliseconds (days to a date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(super) fn date_time(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, since_1970.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(date_time(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn dates_go_on_evenly_and_follow_a_clock_that_was_set() {
        let mut wall = Wall::default();
        let begin = Duration::from_secs(1_000_000);
        wall.note(0, begin);
        // A frame that arrives 300 ms late moves the dates by 5 ms only.
        wall.note(1_000_000_000, begin + Duration::from_millis(1300));
        assert_eq!(wall.of(1_000_000_000), begin + Duration::from_millis(1005));
        wall.note(2_000_000_000, begin + Duration::from_secs(3600));
        assert_eq!(wall.of(2_000_000_000), begin + Duration::from_secs(3600));
    }

    /// Four frames of sound in each packet, which is there when the last of them is.
    #[test]
    fn dates_of_sound_do_not_follow_its_packets() {
        let mut wall = Wall::default();
        let frame = 23_000_000;
        for n in 0..170_i128 {
            let there = (n / 4 * 4 + 3) * frame;
            wall.note(n * frame, Duration::from_secs(1_000_000) + Duration::from_nanos(there as u64));
        }
        let moved = wall.of(0).as_nanos().abs_diff((1_000_000_000 + 69) * 1_000_000);
        assert!(moved <= 3 * SLEW.as_nanos(), "{moved} ns in four seconds");
    }
}
