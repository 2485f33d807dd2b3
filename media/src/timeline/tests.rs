mod torture;

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ntp(ms: u64) -> u64 {
    ((1_000_000 + ms / 1000) << 32) | (((ms % 1000) << 32) / 1000)
}

fn report(at_ms: u64, rtp: u32) -> SenderReport {
    SenderReport { ssrc: 1, ntp: ntp(at_ms), rtp }
}

#[test]
fn time_goes_through_a_wrap() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000]);
    let start = u32::MAX - 90_000;
    let times: Vec<_> = (0..100u32)
        .map(|n| timeline.time(0, start.wrapping_add(n * 3600), ms(u64::from(n) * 40)).expect("track"))
        .collect();
    assert_eq!(times, (0..100).map(|n| n * 3600).collect::<Vec<i64>>());
}

#[test]
fn a_year_of_wraps_stays_right() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000]);
    let (mut rtp, mut expected) = (5u32, 0i64);
    for n in 0..4000u64 {
        // Steps of two hours: 4000 of them are 11 months and 151 wraps.
        assert_eq!(timeline.time(0, rtp, Duration::from_secs(7200 * n)), Some(expected));
        rtp = rtp.wrapping_add(7200 * 90_000);
        expected += 7200 * 90_000;
    }
}

#[test]
fn jumps_of_the_cameras_clock_are_taken_out() {
    for jump in [500_000_000u32, 0u32.wrapping_sub(500_000_000), 1 << 31] {
        let mut timeline = Timeline::new();
        timeline.publisher([90_000]);
        timeline.time(0, 1000, ms(0));
        timeline.time(0, 4600, ms(40));
        assert_eq!(timeline.time(0, 8200u32.wrapping_add(jump), ms(80)), Some(7200), "jump {jump}");
        assert_eq!(timeline.time(0, 11800u32.wrapping_add(jump), ms(120)), Some(10800));
        assert_eq!(timeline.jumps(), 1);
    }
}

#[test]
fn a_pause_and_reordering_are_no_jumps() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000]);
    timeline.time(0, 0, ms(0));
    assert_eq!(timeline.time(0, 7200, ms(40)), Some(7200));
    assert_eq!(timeline.time(0, 3600, ms(80)), Some(3600));
    // Twenty seconds of outage, then what was captured meanwhile comes in a burst.
    assert_eq!(timeline.time(0, 10800, ms(20_000)), Some(10800));
    assert_eq!(timeline.time(0, 90_000 * 20, ms(20_001)), Some(90_000 * 20));
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn sender_reports_align_tracks() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000, 48_000]);
    // The audio arrives 300 ms late but was captured at the same moment.
    assert_eq!(timeline.time(0, 1000, ms(0)), Some(0));
    assert_eq!(timeline.time(1, 77, ms(300)), Some(14_400));
    timeline.sender_report(0, report(0, 1000));
    timeline.sender_report(1, report(0, 77));
    assert_eq!(timeline.time(1, 77 + 1024, ms(321)), Some(1024));
    // A small scatter is not followed, a lasting offset is, once two reports say it.
    timeline.sender_report(1, report(1010, 77 + 48_000));
    assert_eq!(timeline.time(1, 77 + 48_000, ms(1300)), Some(48_000));
    timeline.sender_report(1, report(2100, 77 + 96_000));
    assert_eq!(timeline.time(1, 77 + 96_000, ms(2300)), Some(96_000));
    timeline.sender_report(1, report(3100, 77 + 144_000));
    assert_eq!(timeline.time(1, 77 + 144_000, ms(3300)), Some(144_000 + 4800));
}

#[test]
fn reports_before_the_first_packet_count_and_lies_do_not() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000, 8_000, 8_000]);
    timeline.sender_report(0, report(500, 0));
    timeline.sender_report(1, report(500, 0));
    timeline.sender_report(2, report(900_500, 0));
    assert_eq!(timeline.time(0, 0, ms(100)), Some(0));
    assert_eq!(timeline.time(1, 800, ms(900)), Some(800));
    assert_eq!(timeline.time(2, 0, ms(900)), Some(6400));
}

#[test]
fn a_new_publisher_goes_on() {
    let mut timeline = Timeline::new();
    timeline.publisher([90_000]);
    timeline.time(0, 5, ms(1000));
    timeline.publisher([1_000]);
    assert_eq!(timeline.time(0, 123_456, ms(3500)), Some(2500));
    assert_eq!(timeline.time(7, 0, ms(3500)), None);
}

/// Presentation order of frames in decode order, as encoders send it.
fn decode_times(depth: Option<u8>, order: &[i64]) -> Vec<(i64, i64)> {
    let mut times = DecodeTimes::new(depth, 10);
    order.iter().map(|n| (n * 10, times.next(n * 10))).collect()
}

#[test]
fn decode_times_fit_b_frames() {
    let cases: [(&str, u8, &[i64]); 6] = [
        ("no B-frames", 0, &[0, 1, 2, 3, 4]),
        ("one B-frame", 1, &[0, 2, 1, 4, 3, 6, 5]),
        ("pyramid", 2, &[0, 4, 2, 1, 3, 8, 6, 5, 7]),
        ("open GOP", 2, &[0, 3, 1, 2, 6, 4, 5]),
        ("pyramid of eight", 3, &[0, 8, 4, 2, 1, 3, 6, 5, 7, 16, 12, 10, 9, 11, 14, 13, 15]),
        ("pyramid of sixteen", 4, &[0, 16, 8, 4, 2, 1, 3, 6, 5, 7, 12, 10, 9, 11, 14, 13, 15, 32, 24, 20, 18, 17, 19]),
    ];
    for (name, depth, order) in cases {
        let times = decode_times(Some(depth), order);
        assert!(times.iter().all(|(pts, dts)| dts <= pts), "{name}: {times:?}");
        assert!(times.windows(2).all(|w| w[0].1 < w[1].1), "{name}: {times:?}");
        assert!(times.windows(2).all(|w| w[1].1 - w[0].1 == 10), "{name}: evenly: {times:?}");
    }
}

#[test]
fn unknown_depth_is_found() {
    let order: Vec<i64> = (0..40).flat_map(|n| [n * 4 + 4, n * 4 + 2, n * 4 + 1, n * 4 + 3]).collect();
    let times = decode_times(None, &order);
    assert!(times.windows(2).all(|w| w[0].1 < w[1].1), "{times:?}");
    assert!(times[12..].iter().all(|(pts, dts)| dts <= pts), "{times:?}");
}

#[test]
fn a_track_that_is_moved_is_not_reordered() {
    let mut times = DecodeTimes::new(Some(1), 40);
    let mut next = |moved: i64, pts: i64| {
        times.moved_to(moved);
        (pts, times.next(pts))
    };
    // Shown 0, 120, 40, 80, 240, 160, 200.
    let before: Vec<_> = [0, 120, 40, 80, 240, 160, 200].map(|pts| next(0, pts)).into_iter().collect();
    assert!(before.iter().all(|(pts, dts)| pts >= dts), "{before:?}");
    // From here on everything is 100 earlier: held up at first, then a picture behind as before.
    let after = [360, 280, 320, 480, 400, 440, 600, 520, 560].map(|pts| next(-100, pts - 100).1);
    assert_eq!(after, [201, 202, 220, 260, 300, 340, 380, 420, 460]);
    let mut sound = DecodeTimes::in_order();
    let heard = [0, 20, 40, 10, 30, 50, 70].map(|pts| sound.next(pts));
    assert_eq!(heard, [0, 20, 40, 41, 42, 50, 70]);
}
