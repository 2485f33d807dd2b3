//! Values as the original writes them in JSON.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local, SecondsFormat};
use serde::Serializer;

/// RFC 3339 with the local offset and as many digits of the second as are not zero, as Go's `RFC3339Nano`.
pub fn time(at: SystemTime) -> String {
    let text = DateTime::<Local>::from(at).to_rfc3339_opts(SecondsFormat::Nanos, true);
    let Some((seconds, rest)) = text.split_once('.') else { return text };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = rest[..end].trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    format!("{seconds}{dot}{digits}{}", &rest[end..])
}

/// As Go's `Duration.String`: `1h2m3.5s`, `23.319603373s`, `12.5ms`, `0s`.
pub fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (seconds, below) = (time.as_secs(), time.subsec_nanos());
    if nanos == 0 {
        return "0s".into();
    }
    if seconds == 0 {
        let (unit, digits) = match nanos {
            0..1_000 => return format!("{nanos}ns"),
            1_000..1_000_000 => ("µs", 3),
            _ => ("ms", 6),
        };
        return decimal(nanos as u64, digits) + unit;
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let rest = decimal(seconds * 1_000_000_000 + u64::from(below), 9) + "s";
    match (hours, minutes) {
        (0, 0) => rest,
        (0, _) => format!("{minutes}m{rest}"),
        _ => format!("{hours}h{minutes}m{rest}"),
    }
}

fn decimal(value: u64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let below = format!("{:0width$}", value % unit, width = digits as usize);
    let below = below.trim_end_matches('0');
    let dot = if below.is_empty() { "" } else { "." };
    format!("{}{dot}{below}", value / unit)
}

/// A whole number without `.0`, as JavaScript and Go write it.
pub fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (12_500_000, "12.5ms"),
            (1_000_000_000, "1s"),
            (23_319_603_373, "23.319603373s"),
            (60_000_000_000, "1m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
            (360_000_000_000_000, "100h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn times_have_no_trailing_zeros() {
        let at = |nanos| time(SystemTime::UNIX_EPOCH + Duration::new(1_563_200_000, nanos));
        assert!(at(638_804_000).contains(".638804"), "{}", at(638_804_000));
        assert!(!at(638_804_000).contains(".6388040"));
        assert!(!at(0).contains('.'));
        assert!(at(0).ends_with('Z') || at(0).as_bytes()[at(0).len() - 3] == b':');
    }
}
