//! A publisher that nobody watches is not read with each packet: a hub with many cameras and few viewers would spend most of
//! its time waking up. The kernel keeps what comes; as soon as somebody watches it is read at once, and from then on as it
//! comes, so no viewer waits for that.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::audience::Audience;

/// Longest rest: requests wait as long for their answer, and a publisher that is gone is noticed as late.
const LONGEST: Duration = Duration::from_millis(100);
/// A shorter one would find no more than the next frame.
const SHORTEST: Duration = Duration::from_millis(30);
/// What comes more seldom is read as it comes: a rest that gathers a frame or none wakes up as often, and has a timer and a way out
/// of the poll set and back into it to pay.
const SELDOM: Duration = Duration::from_millis(50);
/// What is read later was not there when the longest rest ended.
const WAITED_FOR: Duration = Duration::from_millis(120);
/// What a rest may gather, in bytes: half of the least that a kernel keeps for a connection before its sender has to wait.
const GATHERED: f64 = 32_768.0;
/// After so long a publisher is known: its tracks were placed beside each other by when their first packets came.
const KNOWN: Duration = Duration::from_secs(3);
/// Rests end at multiples of this, so that a thread wakes up once for several publishers, but not for all of them together:
/// viewers of other sources would wait.
const GRID: Duration = Duration::from_millis(10);

/// When to read next.
#[derive(Debug)]
pub(super) struct Resting {
    origin: Instant,
    began: Instant,
    /// The end of the last read.
    read: Instant,
    /// Since then, in bytes.
    gathered: usize,
    sleep: Option<Pin<Box<Sleep>>>,
    is_asleep: bool,
}

impl Resting {
    /// `origin`: the same for all publishers.
    pub(super) fn new(now: Instant, origin: Instant) -> Self {
        Self { origin, began: now, read: now, gathered: 0, sleep: None, is_asleep: false }
    }

    /// Whether what is read now came just now, and not at any time of a rest.
    pub(super) fn is_awake(&self) -> bool {
        !self.is_asleep
    }

    /// Something was read, but not all that the kernel has.
    pub(super) fn more_is_there(&mut self, bytes: usize) {
        self.gathered += bytes;
    }

    /// The rest was read too. True: rests now.
    pub(super) fn after_read(&mut self, bytes: usize, now: Instant, audience: &Audience) -> bool {
        let bytes = bytes + std::mem::take(&mut self.gathered);
        let since = now.saturating_duration_since(std::mem::replace(&mut self.read, now));
        let is_seldom = since > if std::mem::take(&mut self.is_asleep) { WAITED_FOR } else { SELDOM };
        if is_seldom || audience.is_there() || now.saturating_duration_since(self.began) < KNOWN {
            return false;
        }
        let Some(rest) = rest(since, bytes) else { return false };
        let end = on_grid(now + rest, self.origin).into();
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(end),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(end))),
        }
        self.is_asleep = true;
        true
    }

    /// Ready when the socket may be read.
    pub(super) fn poll(&mut self, audience: &Audience, task: &mut Task<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.is_asleep) else { return Poll::Ready(()) };
        if audience.poll(task).is_ready() {
            return Poll::Ready(());
        }
        sleep.as_mut().poll(task)
    }
}

/// How long `GATHERED` takes at the rate of the last read.
fn rest(since: Duration, bytes: usize) -> Option<Duration> {
    let rest = since.as_secs_f64() * GATHERED / bytes.max(1) as f64;
    (rest >= SHORTEST.as_secs_f64()).then(|| Duration::from_secs_f64(rest.min(LONGEST.as_secs_f64())))
}

/// The next multiple of [`GRID`] after `origin`.
fn on_grid(at: Instant, origin: Instant) -> Instant {
    let past = at.saturating_duration_since(origin).as_nanos() % GRID.as_nanos();
    at + (GRID - Duration::from_nanos(past as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    #[test]
    fn a_rest_is_as_long_as_the_rate_allows() {
        assert_eq!(rest(FRAME, 10_000), Some(LONGEST));
        assert_eq!(rest(FRAME, 0), Some(LONGEST));
        let four_times = rest(FRAME, 40_000).expect("a rest");
        assert!((SHORTEST..FRAME).contains(&four_times), "{four_times:?}");
        assert_eq!(rest(FRAME, 80_000), None, "a key frame, or a source of 16 Mbit/s");
        assert_eq!(rest(Duration::ZERO, 10_000), None);
    }

    #[test]
    fn rests_end_together() {
        let origin = Instant::now();
        for (micros, end) in [(0, 10), (1, 10), (9_999, 10), (10_000, 20), (10_001, 20)] {
            let at = on_grid(origin + Duration::from_micros(micros), origin);
            assert_eq!(at - origin, Duration::from_millis(end));
        }
    }

    #[actix_rt::test]
    async fn nobody_rests_while_somebody_watches_or_before_the_publisher_is_known() {
        let origin = Instant::now();
        let (audience, mut resting) = (Audience::default(), Resting::new(origin, origin));
        let mut at = origin;
        let mut read = |resting: &mut Resting, after: Duration, audience: &Audience| {
            at += after;
            let rests = resting.after_read(10_000, at, audience);
            assert_eq!(rests, !resting.is_awake());
            !rests
        };
        assert!(read(&mut resting, FRAME, &audience));
        assert!(read(&mut resting, KNOWN, &audience));
        assert!(!read(&mut resting, FRAME, &audience));
        audience.set(true);
        let mut task = Task::from_waker(futures_util::task::noop_waker_ref());
        assert!(resting.poll(&audience, &mut task).is_ready(), "who comes is served at once");
        assert!(read(&mut resting, FRAME, &audience));
        audience.set(false);
        assert!(!read(&mut resting, FRAME, &audience));
    }

    #[actix_rt::test]
    async fn what_comes_seldom_is_read_as_it_comes() {
        let origin = Instant::now();
        let (audience, mut resting) = (Audience::default(), Resting::new(origin, origin));
        let mut at = origin + KNOWN;
        let mut rests = |after: u64, bytes: usize| {
            at += Duration::from_millis(after);
            resting.after_read(bytes, at, &audience)
        };
        assert!(!rests(200, 10_000), "five pictures a second");
        // In two reads.
        assert!(!rests(200, 5_000) && !rests(1, 5_000));
        assert!(rests(40, 10_000), "twenty-five");
        assert!(rests(105, 20_000), "what a rest gathered");
        assert!(!rests(200, 10_000), "a rest gathered nothing");
        assert!(!rests(200, 10_000));
    }
}
