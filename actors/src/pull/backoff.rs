//! How long a route waits before it tries again.

use std::time::Duration;

use crate::rtsp::udp::random_u64;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Never longer than this.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a success.
const STABLE: Duration = Duration::from_secs(60);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: 1 s, doubled each time up to 30 s. A quarter of it is left to chance, so that the
    /// cameras of a site are not all called at the same moment when its network comes back.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(5)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        shaken(whole, random_u64())
    }

    /// A connection has lasted so long: after [`STABLE`] the failures before it are forgotten.
    pub(super) fn lasted(&mut self, so_long: Duration) -> bool {
        let stable = so_long >= STABLE;
        if stable {
            self.failures = 0;
        }
        stable
    }
}

/// Three quarters of it up to all of it.
fn shaken(whole: Duration, random: u64) -> Duration {
    whole - whole.mul_f64((random % 1024) as f64 / 4096.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        for whole in [1, 2, 4, 8, 16, 30, 30, 30] {
            let (wait, whole) = (backoff.next(), Duration::from_secs(whole));
            assert!(wait <= whole && wait >= whole.mul_f64(0.75), "{wait:?} of {whole:?}");
        }
        assert!(!backoff.lasted(STABLE - Duration::from_millis(1)) && backoff.next() > FIRST);
        assert!(backoff.lasted(STABLE) && backoff.next() <= FIRST);
        assert_eq!(shaken(LONGEST, 0), LONGEST);
    }
}
