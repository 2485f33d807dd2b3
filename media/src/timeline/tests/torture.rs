//! A camera whose clocks do all that clocks can do: its tracks stay together and never go back.

use super::*;

/// Reproducible chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One track of the camera: real ticks a second, the rate it declares, microseconds from frame to frame, and its delay.
struct CameraTrack {
    ticks: f64,
    step: u64,
    delay: u64,
    base: u32,
    sent: u64,
    last: Option<i64>,
    times: DecodeTimes,
    rate: f64,
}

impl CameraTrack {
    fn rtp(&self, micros: u64) -> u32 {
        self.base.wrapping_add((micros as f64 * self.ticks / 1e6).round() as u64 as u32)
    }
}

fn torture(seed: u64) {
    let mut chance = Chance(seed);
    let mut timeline = Timeline::new();
    timeline.publisher([90_000, 48_000]);
    let base = |chance: &mut Chance| u32::MAX - chance.below(4_000_000) as u32;
    let mut tracks = [
        CameraTrack {
            ticks: 90_001.0,
            step: 40_000,
            delay: 0,
            base: base(&mut chance),
            sent: 0,
            last: None,
            times: DecodeTimes::new(Some(0), 1),
            rate: 90e3,
        },
        CameraTrack {
            ticks: 48_000.0,
            step: 21_333,
            delay: 120_000,
            base: base(&mut chance),
            sent: 0,
            last: None,
            times: DecodeTimes::new(Some(0), 1),
            rate: 48e3,
        },
    ];
    // Where the timeline has each track's moment of capture, in microseconds.
    let mut offsets = [0.0f64; 2];
    let mut together_from = 3_000_000;
    let mut next_jump = 20_000_000;
    let mut next_report = 1_000_000;
    let mut lies = false;
    loop {
        let n = usize::from(tracks[1].sent + tracks[1].delay < tracks[0].sent + tracks[0].delay);
        let now = tracks[n].sent;
        if now > 300_000_000 {
            return;
        }
        if now > next_jump {
            // Both clocks are set, or one of them, forth, back or to anything.
            next_jump = now + 15_000_000 + chance.below(10_000_000);
            together_from = now + 5_000_000;
            let which = chance.below(3);
            for (n, track) in tracks.iter_mut().enumerate() {
                if which == 2 || which == n as u64 {
                    track.base = track.base.wrapping_add(chance.below(u64::from(u32::MAX)) as u32);
                }
            }
        }
        let track = &mut tracks[n];
        let arrival = Duration::from_micros(now + track.delay + chance.below(8_000));
        let time = timeline.time(n, track.rtp(now), arrival).expect("a track");
        // What a sender report moves back is held up by decode times.
        let dts = track.times.next(time);
        assert!(track.last.is_none_or(|last| dts > last), "seed {seed}: track {n} goes back at {now}");
        track.last = Some(dts);
        track.sent += track.step;
        offsets[n] = time as f64 * 1e6 / track.rate - now as f64;
        let apart = (offsets[0] - offsets[1]).abs();
        assert!(now < together_from || apart < 40_000.0, "seed {seed}: {apart} us apart at {now}");
        if n == 0 && now > next_report {
            next_report = now + 1_000_000;
            // Never two in a row: those would be taken for the truth.
            lies = !lies && chance.below(10) == 0 && now > 3_000_000;
            for (n, track) in tracks.iter().enumerate() {
                // Of the audio, one report in ten is a second wrong.
                let wrong = if lies && n == 1 { 1_000 } else { 0 };
                timeline.sender_report(n, report(now / 1000 + wrong, track.rtp(now / 1000 * 1000)));
            }
        }
    }
}

#[test]
fn tracks_stay_together_whatever_the_clocks_do() {
    (0..50).for_each(torture);
}
