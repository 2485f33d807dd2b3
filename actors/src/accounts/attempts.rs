//! Failed logins by address: slowed down, then refused for a while. A right login is never delayed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// From this failure on the answer comes later: people mistype once or twice.
const SLOW_FROM: u32 = 3;
/// The first delay; it doubles with each failure.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(4);
/// So many failures within [`MEMORY`] and the address is refused.
const LIMIT: u32 = 10;
/// How long it is refused after its last failure, and its failures are remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// Logins of one address that are being checked at once; a flood of them may not outrun the count of failures.
const AT_ONCE: u32 = 16;
/// Addresses that are remembered. The ones that failed longest ago are forgotten when there are more.
const ADDRESSES: usize = 10_000;

/// What is known of each address.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_address: HashMap<IpAddr, Attempt>,
}

#[derive(Debug)]
struct Attempt {
    failures: u32,
    running: u32,
    last: Instant,
}

/// It failed too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// Until it may try again.
    pub(super) wait: Duration,
}

/// Whoever has one IPv6 address usually has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

impl Attempts {
    /// A login begins; [`Attempts::end`] must follow.
    pub(super) fn begin(&mut self, address: IpAddr, now: Instant) -> Result<(), Refused> {
        let found = self.by_address.get_mut(&network(address));
        let Some(attempt) = found else {
            self.make_room(now);
            self.by_address.insert(network(address), Attempt { failures: 0, running: 1, last: now });
            return Ok(());
        };
        let since = now.saturating_duration_since(attempt.last);
        if since >= MEMORY {
            attempt.failures = 0;
        }
        if attempt.failures >= LIMIT {
            return Err(Refused { wait: MEMORY.saturating_sub(since) });
        }
        if attempt.running >= AT_ONCE {
            return Err(Refused { wait: FIRST_DELAY });
        }
        attempt.running += 1;
        Ok(())
    }

    /// A login ended. Gives how long the answer to a failure is to wait.
    pub(super) fn end(&mut self, address: IpAddr, right: bool, now: Instant) -> Duration {
        let address = network(address);
        let Some(attempt) = self.by_address.get_mut(&address) else { return Duration::ZERO };
        attempt.running = attempt.running.saturating_sub(1);
        if right {
            // The failures stay: whoever has one account may not use it to try out others.
            if attempt.failures == 0 && attempt.running == 0 {
                self.by_address.remove(&address);
            }
            return Duration::ZERO;
        }
        attempt.failures = attempt.failures.saturating_add(1);
        attempt.last = now;
        match attempt.failures.checked_sub(SLOW_FROM) {
            Some(n) => (FIRST_DELAY * 2_u32.saturating_pow(n.min(8))).min(LONGEST_DELAY),
            None => Duration::ZERO,
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.by_address.len() < ADDRESSES {
            return;
        }
        self.by_address
            .retain(|_, attempt| attempt.running > 0 || now.saturating_duration_since(attempt.last) < MEMORY);
        if self.by_address.len() >= ADDRESSES {
            let mut times: Vec<_> = self.by_address.values().map(|attempt| attempt.last).collect();
            let (_, middle, _) = times.select_nth_unstable(ADDRESSES / 2);
            let middle = *middle;
            self.by_address.retain(|_, attempt| attempt.last > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn failures_are_slowed_and_then_refused_for_a_while() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        let mut fail = |address, at| attempts.begin(address, at).map(|()| attempts.end(address, false, at));
        let waits: Vec<_> = (0..10).map(|_| fail(A, begin).expect("not yet refused").as_millis()).collect();
        assert_eq!(waits, [0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
        let at = begin + Duration::from_secs(20);
        assert_eq!(fail(A, at), Err(Refused { wait: Duration::from_secs(40) }));
        assert_eq!(fail(B, at), Ok(Duration::ZERO), "others are not");
        assert_eq!(fail(A, begin + MEMORY), Ok(Duration::ZERO), "and it starts anew");
    }

    #[test]
    fn a_right_login_is_not_delayed_and_forgives_nothing() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..9 {
            attempts.begin(A, now).expect("not yet refused");
            attempts.end(A, false, now);
            attempts.begin(A, now).expect("not yet refused");
            assert_eq!(attempts.end(A, true, now), Duration::ZERO);
        }
        attempts.begin(A, now).expect("not yet refused");
        attempts.end(A, false, now);
        assert!(attempts.begin(A, now).is_err());
        attempts.begin(B, now).expect("not refused");
        attempts.end(B, true, now);
        assert_eq!(attempts.by_address.len(), 1, "a right login leaves nothing");
    }

    #[test]
    fn a_flood_cannot_outrun_the_count() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let begun = (0..100).filter(|_| attempts.begin(A, now).is_ok()).count();
        assert_eq!(begun, AT_ONCE as usize);
    }

    #[test]
    fn addresses_are_bounded_and_a_network_counts_as_one() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..3 * ADDRESSES as u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            attempts.begin(address, now + Duration::from_micros(u64::from(n))).expect("none failed often");
            attempts.end(address, false, now + Duration::from_micros(u64::from(n)));
        }
        assert!(attempts.by_address.len() <= ADDRESSES);
        let mut attempts = Attempts::default();
        for n in 0..LIMIT {
            let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n as u16));
            attempts.begin(address, now).expect("not yet refused");
            attempts.end(address, false, now);
        }
        assert!(attempts.begin(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9)), now).is_err());
    }
}
