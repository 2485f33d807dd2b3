//! A camera whose clocks do all that clocks can do, from its RTP packets to what players read: FLV, MPEG-TS and fragmented MP4
//! never go back, and sound and picture stay together.
//!
//! Every case has a seed, which a failure names. Each picture and sound carries the moment it was taken in its own bytes.

#[path = "../src/ts/tests/reader.rs"]
#[allow(dead_code, unreachable_pub)] // tests of the whole hub have it too
mod reader;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ipchub_media::codec::{aac, h264};
use ipchub_media::flv::{self, demux};
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::depacketize::{AccessUnit, Depacketizer};
use ipchub_media::rtp::packetize::Packetizer;
use ipchub_media::rtp::receiver::{Order, Receiver};
use ipchub_media::rtp::rtcp::SenderReport;
use ipchub_media::timeline::{DecodeTimes, Timeline};
use ipchub_media::{Codec, Frame, Kind, Mux, Output, Parameters, Track, Units};
use mp4_atom::{Any, DecodeMaybe};
use reader::Reader;

const VIDEO: usize = 0;
const AUDIO: usize = 1;
/// Microseconds of each case.
const LENGTH: u64 = 120_000_000;
const CASES: u64 = 40;
/// Stands before the moment in a frame's bytes.
const MARK: &[u8; 8] = b"taken-at";
/// From a change of the clocks until two sender reports have put the tracks together again, in microseconds.
const SETTLED: u64 = 5_000_000;

/// Reproducible chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn track(kind: Kind, codec: Codec, clock_rate: u32, parameters: Parameters) -> Track {
    let (control, fmtp) = Default::default();
    let encoding = if kind == Kind::Video { "H264" } else { "mpeg4-generic" }.to_owned();
    let parameters = Some(parameters);
    Track { kind, codec, encoding, payload_type: 96, clock_rate, channels: 2, fmtp, control, parameters }
}

fn tracks() -> Vec<Track> {
    let fmtp = "sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==";
    let h264 = h264::Parameters::from_fmtp(fmtp).expect("it has some").expect("they are right");
    let aac = aac::Config::parse(Bytes::from_static(&[0x11, 0x90])).expect("AAC-LC, 48 kHz, stereo");
    let mut audio = track(Kind::Audio, Codec::Aac, 48_000, Parameters::Aac(aac));
    audio.fmtp = "mode=AAC-hbr;config=1190;sizeLength=13;indexLength=3;indexDeltaLength=3".into();
    vec![track(Kind::Video, Codec::H264, 90_000, Parameters::H264(h264)), audio]
}

/// One of the camera's tracks.
struct CameraTrack {
    /// What its clock really does in a second.
    ticks: f64,
    base: u32,
    packetizer: Packetizer,
    /// How long its packets are on their way, in microseconds.
    delay: u64,
    /// Added to the sequence numbers.
    numbers: u16,
}

impl CameraTrack {
    fn rtp(&self, micros: u64) -> u32 {
        self.base.wrapping_add((micros as f64 * self.ticks / 1e6).round() as u64 as u32)
    }

    fn packets(&mut self, taken: u64, units: &Units) -> Vec<Packet> {
        let (time, mut out) = (self.rtp(taken), Vec::new());
        self.packetizer.packetize(units, time, &mut out);
        out.iter_mut().for_each(|packet| packet.sequence = packet.sequence.wrapping_add(self.numbers));
        out
    }
}

/// A frame's bytes, with the moment in them. No byte of it looks like a start code.
fn bytes_of(head: u8, taken: u64) -> Bytes {
    let moment = (0..7).map(|i| 0x80 | (taken >> (7 * i)) as u8);
    let size = if head == 0x65 { 4000 } else { 900 };
    [head, 0x9a].into_iter().chain(*MARK).chain(moment).chain(std::iter::repeat_n(0x5a, size)).collect()
}

fn moment_in(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let moment = bytes.get(at..at + 7)?;
    Some(moment.iter().enumerate().map(|(i, byte)| u64::from(byte & 0x7f) << (7 * i)).sum())
}

/// What the hub makes of a track, as its source actor does.
struct State {
    depacketizer: Depacketizer,
    receiver: Receiver,
    times: DecodeTimes,
    placed: Option<(u32, i64)>,
    last: i64,
}

impl State {
    fn new(track: &Track, depth: Option<u8>, after: Option<i64>) -> Self {
        let mut times = match track.kind {
            Kind::Audio => DecodeTimes::in_order(),
            _ => DecodeTimes::new(depth, i64::from(track.clock_rate) / 25),
        };
        after.into_iter().for_each(|after| times.stay_above(after));
        let receiver = Receiver::new(96, track.clock_rate, Order::Kept);
        let depacketizer = Depacketizer::new(track).expect("a codec that it reads");
        Self { depacketizer, receiver, times, placed: None, last: after.unwrap_or(0) }
    }
}

struct Source {
    tracks: Vec<Track>,
    depth: Option<u8>,
    timeline: Timeline,
    states: Vec<State>,
    lanes: Vec<Lane>,
}

impl Source {
    fn new(depth: Option<u8>) -> Self {
        let tracks = tracks();
        let outputs = [Output::Flv(flv::mux::Options::default()), Output::Ts, Output::Fmp4];
        let lanes = outputs.iter().map(|output| Lane::new(output.muxer(&tracks))).collect();
        Self { tracks, depth, timeline: Timeline::new(), states: Vec::new(), lanes }
    }

    fn publish(&mut self) {
        self.timeline.publisher(self.tracks.iter().map(|track| track.clock_rate));
        let ends: Vec<_> = (0..self.tracks.len()).map(|n| self.states.get(n).map(|state| state.last + 1)).collect();
        let depth = |n| if n == VIDEO { self.depth } else { Some(0) };
        let new = self.tracks.iter().zip(ends).enumerate();
        self.states = new.map(|(n, (track, end))| State::new(track, depth(n), end)).collect();
        self.lanes.iter_mut().for_each(|lane| lane.retune(&self.tracks));
    }

    fn packet(&mut self, n: usize, packet: Packet, arrival: Duration) {
        let mut received = Vec::new();
        // What the receiver does not take is lost, as it is in the hub.
        let _ = self.states[n].receiver.push(packet, arrival, &mut received);
        for received in received {
            let state = &mut self.states[n];
            let mut units = Vec::new();
            state.depacketizer.push(&received.packet, received.lost, &mut units).expect("right packets");
            let timestamp = received.packet.timestamp;
            let before = state.placed;
            let pts = match before {
                Some((placed, pts)) if placed == timestamp => pts,
                _ => self.timeline.time(n, timestamp, arrival).expect("a track"),
            };
            self.states[n].placed = Some((timestamp, pts));
            for unit in units {
                let (near, pts) = match before {
                    Some((earlier, at)) if unit.timestamp != timestamp && unit.timestamp == earlier => (earlier, at),
                    _ => (timestamp, pts),
                };
                let pts = pts + i64::from(unit.timestamp.wrapping_sub(near) as i32);
                self.unit(n, unit, pts);
            }
        }
    }

    fn unit(&mut self, track: usize, unit: AccessUnit, pts: i64) {
        let state = &mut self.states[track];
        state.times.moved_to(self.timeline.moved(track));
        let dts = state.times.next(pts);
        state.last = dts;
        let frame = Frame { track, pts: pts.max(dts), dts, key: unit.key, units: unit.units };
        self.lanes.iter_mut().for_each(|lane| lane.frame(&frame));
    }
}

/// A muxer, and one viewer of what it writes.
struct Lane {
    muxer: Box<dyn Mux>,
    out: BytesMut,
    begun: bool,
    /// The next must be a key frame, and follows a break.
    broken: bool,
}

impl Lane {
    fn new(muxer: Box<dyn Mux>) -> Self {
        Self { muxer, out: BytesMut::new(), begun: false, broken: true }
    }

    fn retune(&mut self, tracks: &[Track]) {
        self.muxer.retune(tracks);
        self.broken = true;
    }

    fn frame(&mut self, frame: &Frame) {
        if self.broken {
            if !(frame.key && self.muxer.leads(frame.track)) {
                return;
            }
            let before = match self.begun {
                false => vec![self.muxer.head(frame)],
                true => vec![self.muxer.headers(frame), self.muxer.resumption(frame)],
            };
            before.iter().for_each(|part| self.out.extend_from_slice(part));
            (self.begun, self.broken) = (true, false);
        }
        assert!(self.muxer.write(frame, &mut self.out), "{frame:?}");
    }
}

/// One frame as a player reads it. Times in microseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    track: usize,
    taken: u64,
    dts: i64,
    pts: i64,
}

fn read_flv(bytes: &Bytes) -> Vec<Seen> {
    let tags = demux::tags(bytes).expect("FLV");
    let seen = tags.iter().filter_map(|tag| {
        let taken = moment_in(&tag.data)?;
        let video = tag.kind == flv::tag::VIDEO;
        // Composition time: 24 bits with a sign.
        let later = if video { i32::from_be_bytes([tag.data[2], tag.data[3], tag.data[4], 0]) >> 8 } else { 0 };
        let dts = i64::from(tag.timestamp) * 1000;
        let track = if video { VIDEO } else { AUDIO };
        Some(Seen { track, taken, dts, pts: dts + i64::from(later) * 1000 })
    });
    seen.collect()
}

fn read_ts(bytes: &[u8]) -> Vec<Seen> {
    let mut reader = Reader::default();
    reader.push(bytes).and_then(|()| reader.finish()).expect("a valid stream");
    let micros = |ticks: i64| ticks * 100 / 9;
    let all = reader.found.iter().flat_map(|pes| {
        // A packet may hold several sounds; each has its own moment, and the first has the packet's time.
        let track = if reader.streams.get(&pes.pid) == Some(&0x1b) { VIDEO } else { AUDIO };
        let taken = moment_in(&pes.data)?;
        Some(Seen { track, taken, dts: micros(pes.dts), pts: micros(pes.pts) })
    });
    all.collect()
}

fn read_fmp4(mut bytes: &[u8]) -> Vec<Seen> {
    let (mut seen, mut moof) = (Vec::new(), None);
    while let Some(any) = Any::decode_maybe(&mut bytes).expect("MP4") {
        match any {
            Any::Moof(next) => moof = Some(next),
            Any::Mdat(data) => {
                let traf = &moof.take().expect("a fragment's head").traf[0];
                let rate = if traf.tfhd.track_id == 1 { 90_000 } else { 48_000 };
                let sample = traf.trun[0].samples.iter().next().expect("a sample");
                let begin = traf.tfdt.as_ref().expect("its time").base_media_decode_time;
                let micros = |ticks: i64| ticks * 1_000_000 / rate;
                let dts = i64::try_from(begin).expect("below 2^63");
                let pts = dts + sample.cts.unwrap_or(0);
                let track = if rate == 90_000 { VIDEO } else { AUDIO };
                let taken = moment_in(&data.data).expect("one of ours");
                seen.push(Seen { track, taken, dts: micros(dts), pts: micros(pts) });
            }
            _ => {}
        }
    }
    assert!(bytes.is_empty(), "{} bytes that are no box", bytes.len());
    seen
}

/// `unsettled`: from when to when tracks may be apart. What was on its way at its begin was taken before.
fn check(what: &str, seen: &[Seen], unsettled: &[Range<u64>]) {
    let mut last = BTreeMap::<usize, Seen>::new();
    let mut compared = 0;
    for now in seen {
        assert!(now.pts >= now.dts, "{what}: shown before it is decoded: {now:?}");
        let before = last.insert(now.track, *now);
        assert!(before.is_none_or(|before| before.dts <= now.dts), "{what}: {now:?} behind {before:?}");
        let settled =
            unsettled.iter().all(|apart| !(apart.start.saturating_sub(500_000)..apart.end).contains(&now.taken));
        if !settled || now.track == VIDEO {
            continue;
        }
        let Some(picture) = last.get(&VIDEO).filter(|picture| picture.taken.abs_diff(now.taken) < 1_000_000) else {
            continue;
        };
        let offset = |seen: &Seen| seen.pts - seen.taken as i64;
        let apart = offset(picture) - offset(now);
        assert!(apart.abs() < 40_000, "{what}: {apart} us apart: {picture:?} {now:?}");
        compared += 1;
    }
    let (first, end) = (seen.first().expect("frames"), seen.last().expect("frames"));
    let (taken, shown) = (end.taken - first.taken, end.pts - first.pts);
    assert!((shown - taken as i64).abs() < 2_000_000, "{what}: {shown} us of {taken}");
    assert!(compared > 1000 && last.len() == 2, "{what}: only {compared} of {} compared", seen.len());
}

fn ntp(micros: u64) -> u64 {
    ((micros as u128) << 32).div_euclid(1_000_000) as u64
}

/// Where the `n`th picture of a GOP that is sent is shown: with two B-frames behind each other one where reordered.
fn place(n: u64, reordered: bool) -> u64 {
    // A GOP is closed: its first picture stays in its place, and so does what is left of 50 behind groups of three.
    match (n + 2) % 3 {
        _ if !reordered || n == 0 || n == 49 => n,
        0 => n + 2,
        _ => n - 1,
    }
}

fn torture(seed: u64) {
    let mut chance = Chance(seed);
    let reordered = seed % 2 == 1;
    let depth = [Some(0), Some(1), None, None][(seed % 4) as usize];
    let mut source = Source::new(depth);
    source.publish();
    let new = |codec, ticks, delay, chance: &mut Chance| CameraTrack {
        ticks,
        // They wrap within the first minute, and the numbers at once.
        base: u32::MAX - chance.below(4_000_000) as u32,
        packetizer: Packetizer::new(codec, 96, 7, 1200).expect("a codec that it knows"),
        delay,
        numbers: u16::MAX - chance.below(300) as u16,
    };
    let mut camera = [
        new(Codec::H264, 90_001.0, 0, &mut chance),
        new(Codec::Aac, 48_000.0, 30_000 + chance.below(120_000), &mut chance),
    ];
    // At first until the first report of each track.
    let mut unsettled = vec![Range { start: 0, end: u64::MAX }];
    let (mut pictures, mut sounds) = (0, 0);
    let (mut next_change, mut next_report, mut honest) = (15_000_000, 1_000_000 + chance.below(500_000), 0);
    loop {
        let (picture_at, sound_at) = (pictures * 40_000, sounds * 64_000 / 3);
        let n = usize::from(sound_at + camera[AUDIO].delay < picture_at);
        let now = if n == VIDEO { picture_at } else { sound_at };
        if now > LENGTH {
            break;
        }
        if n == VIDEO && pictures % 50 == 0 && now > next_change {
            next_change = now + 10_000_000 + chance.below(10_000_000);
            unsettled.push(now..now + SETTLED);
            change(&mut camera, &mut source, &mut chance);
            honest = 0;
        }
        // Packets of a track are not sent before the moment they are of.
        let arrival = Duration::from_micros(now + camera[n].delay + 200_000 + chance.below(8_000));
        let (taken, units) = if n == VIDEO {
            let key = pictures % 50 == 0;
            let taken = (pictures - pictures % 50 + place(pictures % 50, reordered)) * 40_000;
            pictures += 1;
            (taken, Units::single(bytes_of(if key { 0x65 } else { 0x41 }, taken)))
        } else {
            sounds += 1;
            (now, Units::single(bytes_of(0x21, now)))
        };
        for packet in camera[n].packets(taken, &units) {
            source.packet(n, packet, arrival);
        }
        if now > next_report {
            // Late ones too, and now and then one of the sound that is a second wrong, between honest ones.
            next_report = now + 1_000_000;
            let lies = honest >= 3 && chance.below(4) == 0;
            honest = if lies { 0 } else { honest + 1 };
            unsettled[0].end = unsettled[0].end.min(now);
            for (n, track) in camera.iter().enumerate() {
                let of = now.saturating_sub(chance.below(500_000));
                let wrong = if lies && n == AUDIO { 1_000_000 } else { 0 };
                let report = SenderReport { ssrc: 7, ntp: ntp(3_000_000_000_000 + of + wrong), rtp: track.rtp(of) };
                source.timeline.sender_report(n, report);
            }
        }
    }
    let [flv, ts, fmp4] = [0, 1, 2].map(|n| source.lanes[n].out.split().freeze());
    check(&format!("seed {seed}, FLV"), &read_flv(&flv), &unsettled);
    check(&format!("seed {seed}, TS"), &read_ts(&ts), &unsettled);
    check(&format!("seed {seed}, fMP4"), &read_fmp4(&fmp4), &unsettled);
}

/// Clocks are set, forth, back or to anything; sequence numbers too; or the camera begins anew.
fn change(camera: &mut [CameraTrack; 2], source: &mut Source, chance: &mut Chance) {
    let which = chance.below(5);
    for (n, track) in camera.iter_mut().enumerate().filter(|(n, _)| which >= 2 || which == *n as u64) {
        match which {
            // An hour forth, or back.
            2 => track.base = track.base.wrapping_add(3600 * track.ticks as u32),
            3 => track.base = track.base.wrapping_sub(3600 * track.ticks as u32),
            _ => track.base = track.base.wrapping_add(1 << 30).wrapping_add(chance.below(1 << 31) as u32),
        }
        track.numbers = track.numbers.wrapping_add(if n == VIDEO { 20_000 } else { 0 });
    }
    if which == 4 {
        source.publish();
    }
}

#[test]
fn players_see_one_time_whatever_the_clocks_do() {
    (0..CASES).for_each(torture);
}
