use super::*;
use crate::codec::h264;
use crate::frame::{Codec, Kind, Parameters, Units};
use crate::hls::Uris;
use crate::hls::presentation::Lookup;

const RATE: i64 = 90_000;
const FRAME: i64 = RATE / 25;
const URIS: Uris<'static> = Uris { folder: "./door/", query: "?session=1" };

fn config() -> Config {
    Config {
        format: Format::Fmp4,
        part: Duration::from_millis(300),
        fragment: Duration::from_secs(2),
        window: 4,
        max_bytes: 1 << 20,
        first: 100,
        discontinuities: 0,
    }
}

fn video(fmtp: &str) -> Track {
    let parameters = h264::Parameters::from_fmtp(fmtp).expect("it has some").expect("they are right");
    let (encoding, control) = Default::default();
    let (kind, codec, fmtp) = (Kind::Video, Codec::H264, String::new());
    let parameters = Some(Parameters::H264(parameters));
    Track { kind, codec, encoding, payload_type: 96, clock_rate: RATE as u32, channels: 0, fmtp, control, parameters }
}

fn tracks() -> [Track; 1] {
    [video("sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==")]
}

fn frame(n: i64, gop: i64) -> Frame {
    let units = Units::single(Bytes::from_static(&[0x65; 100]));
    Frame { track: 0, pts: n * FRAME, dts: n * FRAME, key: n % gop == 0, units }
}

/// When frame `n` is there.
fn at(n: i64) -> Duration {
    Duration::from_secs(1_000_000) + Duration::from_millis(40 * n as u64)
}

/// Frames of a camera; checks after each what every player relies on.
fn feed(segmenter: &mut Segmenter, frames: impl Iterator<Item = Frame>) {
    let mut newest = (0, 0);
    for frame in frames {
        let n = frame.dts / FRAME;
        let news = segmenter.frame(frame, at(n)).expect("it can be written");
        let now = segmenter.presentation();
        assert!(news || now.hinted() == newest || newest == (0, 0), "a part that nobody is told of");
        assert!(now.hinted() >= newest, "it goes back");
        newest = now.hinted();
        check(&now);
    }
}

fn check(now: &Presentation) {
    let target = now.target_duration;
    let mut number = None;
    for segment in &now.segments {
        assert!(number.is_none_or(|before| segment.number == before + 1));
        number = Some(segment.number);
        assert!(segment.duration.as_secs_f64().round() as u64 <= target);
        let sum: Duration = segment.parts.iter().map(|part| part.duration).sum();
        assert_eq!(sum, segment.duration);
        assert!(segment.parts.iter().all(|part| part.duration <= now.part_target));
        let whole: Vec<u8> = segment.parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
        assert_eq!(segment.body.as_deref(), Some(&whole[..]));
    }
}

#[test]
fn segments_are_whole_gops_near_the_wanted_length() {
    for (gop, length) in [(25, 2.0), (24, 1.92), (50, 2.0), (38, 1.52), (100, 4.0), (60, 2.4)] {
        let mut segmenter = Segmenter::new(config(), &tracks());
        feed(&mut segmenter, (0..1000).map(|n| frame(n, gop)));
        let now = segmenter.presentation();
        for segment in now.segments.iter().filter(|segment| segment.number > 102) {
            assert!(segment.independent && !segment.discontinuity);
            assert!((segment.duration.as_secs_f64() - length).abs() < 1e-6, "GOP {gop}: {:?}", segment.duration);
        }
        assert_eq!(now.segments.len(), 4 + KEPT_UNLISTED);
        // All parts but the last of a segment have 85 percent of the target or more.
        for segment in now.segments.iter().skip(1) {
            let short = segment.parts.iter().rev().skip(1).find(|part| part.duration < now.part_target * 85 / 100);
            assert_eq!(short.map(|part| part.duration), None, "GOP {gop}, target {:?}", now.part_target);
        }
    }
}

/// Cameras declare 25 pictures a second, or nothing, and send what the light allows.
#[test]
fn parts_are_as_long_as_they_are_said_to_be_at_every_rate() {
    let rates = [2, 4, 5, 6, 8, 10, 12, 13, 15, 18, 20, 24, 25, 30, 48, 50, 60];
    for (rate, cached) in rates.into_iter().flat_map(|rate| [(rate, false), (rate, true)]) {
        let mut segmenter = Segmenter::new(config(), &tracks());
        let frame = |n: i64| {
            let dts = n * RATE / rate;
            Frame { pts: dts, dts, ..frame(n, rate) }
        };
        let cache = if cached { rate * 3 / 4 } else { 0 };
        segmenter.open((0..cache).map(frame), at(0)).expect("it can be written");
        for n in cache..rate * 20 {
            segmenter.frame(frame(n), at(0)).expect("it can be written");
        }
        let now = segmenter.presentation();
        check(&now);
        let target = now.part_target;
        let allowed = if rate == 2 { 500..=500 } else { 200..=500 };
        assert!(allowed.contains(&(target.as_millis() as u64)), "{rate} a second: {target:?}");
        for segment in &now.segments {
            let short = segment.parts.iter().rev().skip(1).find(|part| part.duration < target * 85 / 100);
            assert_eq!(short.map(|part| part.duration), None, "{rate} a second, cached {cached}, target {target:?}");
        }
    }
}

#[test]
fn the_cached_gop_can_be_played_at_once() {
    let mut segmenter = Segmenter::new(config(), &tracks());
    segmenter.open((0..20).map(|n| frame(n, 25)), at(19)).expect("it can be written");
    let now = segmenter.presentation();
    assert!(now.has_content());
    let first = &now.segments[0];
    assert_eq!(first.duration, Duration::from_millis(760), "all but the newest frame, whose length is not known");
    assert_eq!(first.date, at(0), "as long ago as the frames are long");
    // What follows begins within the GOP and ends with it, unless that would be a few frames only.
    for (cached, second) in [(10, 1440), (12, 560), (14, 480), (15, 1440), (20, 1240), (25, 1040)] {
        let mut segmenter = Segmenter::new(config(), &tracks());
        segmenter.open((0..cached).map(|n| frame(n, 25)), at(cached - 1)).expect("it can be written");
        feed(&mut segmenter, (cached..60).map(|n| frame(n, 25)));
        let now = segmenter.presentation();
        assert!(!now.segments[1].independent && now.segments[1].duration == Duration::from_millis(second), "{cached}");
        assert!(!now.media_playlist(URIS, false).contains("INDEPENDENT-SEGMENTS"));
    }
    // With little in the cache, or nothing, two parts are a segment: there is something to show until the next part comes.
    for cached in [0, 1, 2, 7, 10] {
        let mut segmenter = Segmenter::new(config(), &tracks());
        segmenter.open((0..cached).map(|n| frame(n, 25)), at(cached)).expect("it can be written");
        assert!(!segmenter.presentation().has_content(), "{cached}");
        feed(&mut segmenter, (cached..50).map(|n| frame(n, 25)));
        let now = segmenter.presentation();
        let (first, target) = (&now.segments[0], now.part_target);
        assert!(first.parts.len() == 2 && first.duration * 2 >= target * 3, "{cached}: {:?}", first.duration);
    }
}

#[test]
fn gaps_and_other_parameters_are_discontinuities() {
    let mut segmenter = Segmenter::new(config(), &tracks());
    feed(&mut segmenter, (0..100).map(|n| frame(n, 25)));
    // Four seconds without a picture, then the rest of a GOP.
    feed(&mut segmenter, (201..300).map(|n| frame(n, 25)));
    let other = [video("sprop-parameter-sets=Z0IAHpWoKA9k,aM48gA==")];
    segmenter.set_parameters(&tracks());
    segmenter.set_parameters(&other);
    feed(&mut segmenter, (300..400).map(|n| frame(n, 25)));
    segmenter.retune(&other);
    feed(&mut segmenter, (400..420).map(|n| frame(n, 25)));
    let now = segmenter.presentation();
    let all = || now.segments.iter().map(|segment| &**segment).chain(&now.open);
    assert_eq!(now.next_discontinuity() - now.discontinuities, 1 + all().filter(|s| s.discontinuity).count() as u64);
    let begins: Vec<_> = all().filter(|segment| segment.discontinuity).map(|segment| segment.independent).collect();
    assert_eq!(begins, [true, true, true]);
    let inits: Vec<_> = all().map(|segment| segment.init.number).collect();
    assert!(inits.windows(2).all(|pair| pair[0] <= pair[1]) && inits.contains(&101), "{inits:?}");
    assert!(inits.iter().all(|number| now.init(*number).is_some()));
    let text = now.media_playlist(URIS, false);
    let shown = text.matches("#EXT-X-DISCONTINUITY\n").count() as u64;
    let before = text.split("DISCONTINUITY-SEQUENCE:").nth(1).and_then(|rest| rest.lines().next()?.parse::<u64>().ok());
    assert_eq!(shown + before.expect("a number"), 3, "{text}");
}

#[test]
fn memory_has_a_bound_even_without_key_frames() {
    let mut segmenter = Segmenter::new(Config { max_bytes: 100_000, ..config() }, &tracks());
    feed(&mut segmenter, (0..5000).map(|n| frame(n, i64::MAX)));
    let now = segmenter.presentation();
    let bytes: usize = now.segments.iter().map(|segment| segment.len).sum();
    assert!(bytes <= 100_000 && now.open.is_some_and(|open| open.len <= 60_000), "{bytes}");
}

#[test]
fn what_a_reload_may_ask_for() {
    let mut segmenter = Segmenter::new(config(), &tracks());
    feed(&mut segmenter, (0..200).map(|n| frame(n, 25)));
    let now = segmenter.presentation();
    let (number, part) = now.hinted();
    assert!(now.has(number - 1, None) && !now.has(number, None));
    assert!(!now.has(number, Some(part)) && (part == 0 || now.has(number, Some(part - 1))));
    assert!(now.has(0, None) && now.has(number - 2, Some(1000)));
    assert!(!now.is_too_far(number + 2) && now.is_too_far(number + 3) && now.is_too_far(u64::MAX));
    assert_eq!(now.part(number, part), Lookup::Next);
    assert_eq!(now.part(number, part + 1), Lookup::Missing);
    assert_eq!(now.part(number + 1, 0), Lookup::Missing);
    assert!(matches!(now.part(number - 1, 0), Lookup::Found(bytes) if bytes[4..8] == *b"moof"));
    assert!(now.segment(0).is_none() && now.segment(u64::MAX).is_none());
    segmenter.release(number - 1);
    let now = segmenter.presentation();
    assert_eq!(now.part(number - 1, 0), Lookup::Missing);
    assert_eq!(now.segment(number - 1).map(|segment| segment.body.is_none()), Some(true));
}

#[test]
fn the_end_is_said() {
    let mut segmenter = Segmenter::new(config(), &tracks());
    feed(&mut segmenter, (0..60).map(|n| frame(n, 25)));
    segmenter.break_off();
    let now = Presentation { ended: true, ..segmenter.presentation() };
    let text = now.media_playlist(URIS, false);
    assert!(text.ends_with("#EXT-X-ENDLIST\n") && !text.contains("PRELOAD-HINT"), "{text}");
    let total: Duration = now.segments.iter().map(|segment| segment.duration).sum();
    assert_eq!(total, Duration::from_millis(2400), "no frame is lost");
    assert!(now.multivariant_playlist("x").is_some_and(|text| text.contains("RESOLUTION=") && text.ends_with("\nx\n")));
}
