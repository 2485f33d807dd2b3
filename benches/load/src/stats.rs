//! Percentiles and medians.

use serde::Serialize;

/// What is told of many values; `None` where there were none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
    /// How many values.
    pub(crate) n: usize,
}

impl Spread {
    /// Milliseconds of values in microseconds, by nearest rank.
    pub(crate) fn of_micros(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).map(|micros| *micros as f64 / 1e3)
        };
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0), n: values.len() }
    }
}

/// The middle value, of an even number the mean of the two in the middle; `None` of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// Rounded for people and JSON: three digits behind the point below 100, one above.
pub(crate) fn rounded(value: f64) -> f64 {
    let scale = if value.abs() >= 100.0 { 10.0 } else { 1000.0 };
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let spread = Spread::of_micros((1..=200).rev().map(|n| n * 1000).collect());
        assert_eq!((spread.p50, spread.p95, spread.p99), (Some(100.0), Some(190.0), Some(198.0)));
        assert_eq!((spread.max, spread.n), (Some(200.0), 200));
        assert_eq!(Spread::of_micros(vec![]), Spread::default());
        assert_eq!(Spread::of_micros(vec![5]).p99, Some(0.005));
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!((rounded(1.23456), rounded(1234.56)), (1.235, 1234.6));
    }
}
