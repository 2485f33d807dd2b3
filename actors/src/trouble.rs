//! Repeated trouble is one line a second with a count, so that a broken camera cannot fill a disk.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often the same trouble is told.
const PERIOD: Duration = Duration::from_secs(1);

/// One kind of trouble at one place.
#[derive(Debug, Default)]
pub struct Trouble {
    told: Option<Instant>,
    untold: u64,
    total: u64,
}

impl Trouble {
    /// Tells of it now, or counts it for the next line.
    pub fn warn(&mut self, place: &dyn Display, what: &dyn Display) {
        self.total += 1;
        if self.told.is_some_and(|at| at.elapsed() < PERIOD) {
            self.untold += 1;
            return;
        }
        match std::mem::take(&mut self.untold) {
            0 => log::warn!("{place}: {what}"),
            untold => log::warn!("{place}: {what} (and {untold} more like it since the line before)"),
        }
        self.told = Some(Instant::now());
    }

    /// How often it happened.
    pub fn total(&self) -> u64 {
        self.total
    }
}
