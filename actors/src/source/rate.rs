//! Measures how many frames and bits a track has a second.

use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Rate {
    frames: u32,
    bytes: u64,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Frames a second.
    pub(super) frame_rate: f64,
    /// kbit/s
    pub(super) data_rate: f64,
}

impl Rate {
    pub(super) fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }

    /// What was added since the last call, over `period`. Rounded: more digits would be noise.
    pub(super) fn take(&mut self, period: Duration) -> Measured {
        let Self { frames, bytes } = std::mem::take(self);
        let seconds = period.as_secs_f64();
        Measured {
            frame_rate: (f64::from(frames) / seconds * 10.0).round() / 10.0,
            data_rate: (bytes as f64 * 8.0 / 1000.0 / seconds).round(),
        }
    }
}
