//! What each packet and frame costs before it reaches a viewer's socket: RTSP parse, RTP receive, depacketize, FLV mux.
//! A 10 KB frame is what a 2 Mbit/s camera with 25 frames a second sends.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ipchub_actors::accounts::users::Users;
use ipchub_actors::route_table::Routes;
use ipchub_actors::store::Document;
use ipchub_media::flv::{Muxer, Options};
use ipchub_media::path::canonical;
use ipchub_media::rtp::Packet;
use ipchub_media::rtp::depacketize::Depacketizer;
use ipchub_media::rtp::packetize::Packetizer;
use ipchub_media::rtp::receiver::{Order, Received, Receiver};
use ipchub_media::rtsp::parser::Parser;
use ipchub_media::sdp::Description;
use ipchub_media::timeline::{DecodeTimes, Timeline};
use ipchub_media::{Codec, Frame, Track, Units};

const FRAME: usize = 10_000;
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=bench\r\nt=0 0\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LACtkEPnnwEQAAAwABAAADADIPEiZI,aMuDyyA=\r\n\
    a=control:streamid=0\r\n\
    m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/44100/1\r\n\
    a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1208\r\na=control:streamid=1\r\n";

fn track() -> Track {
    Description::parse(SDP.as_bytes()).expect("valid").tracks.swap_remove(0)
}

fn picture() -> Units {
    let mut data = vec![0x5a; FRAME];
    data[0] = 0x65;
    data[1] = 0x88;
    Units::single(data.into())
}

fn packets() -> Vec<Packet> {
    let mut out = Vec::new();
    let mut packetizer = Packetizer::new(Codec::H264, 96, 1, 1400).expect("H.264");
    packetizer.packetize(&picture(), 3600, &mut out);
    out
}

/// One frame's packets as they stand in the read buffer.
fn interleaved() -> Bytes {
    let mut out = BytesMut::new();
    for packet in packets() {
        let mut bytes = BytesMut::new();
        packet.write_to(&mut bytes);
        out.put_slice(&[b'$', 0]);
        out.put_u16(bytes.len() as u16);
        out.put_slice(&bytes);
    }
    out.freeze()
}

fn media(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame of 10 KB");
    group.throughput(Throughput::Bytes(FRAME as u64));
    let wire = interleaved();
    group.bench_function("cut interleaved packets", |b| {
        b.iter_batched(
            || BytesMut::from(&wire[..]),
            |mut buffer| {
                let mut parser = Parser::default();
                while let Ok(Some(item)) = parser.next(&mut buffer) {
                    black_box(item);
                }
            },
            BatchSize::SmallInput,
        );
    });
    let packets = packets();
    group.bench_function("receive in order", |b| {
        b.iter_batched(
            || (packets.clone(), Receiver::new(96, 90_000, Order::Kept), Vec::<Received>::with_capacity(16)),
            |(packets, mut receiver, mut out)| {
                for packet in packets {
                    let _ = receiver.push(packet, Duration::ZERO, &mut out);
                }
                out
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("depacketize", |b| {
        let track = track();
        b.iter_batched(
            || Depacketizer::new(&track).expect("H.264"),
            |mut depacketizer| {
                let mut out = Vec::with_capacity(1);
                for packet in &packets {
                    let _ = depacketizer.push(packet, false, &mut out);
                }
                out
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("mux as FLV", |b| {
        let muxer = Muxer::new(&[track()], Options::default()).expect("fits");
        let mut units = Vec::new();
        let mut depacketizer = Depacketizer::new(&track()).expect("H.264");
        for packet in &packets {
            let _ = depacketizer.push(packet, false, &mut units);
        }
        let unit = units.pop().expect("a frame");
        let frame = Frame { track: 0, pts: 3600, dts: 3600, key: unit.key, units: unit.units };
        b.iter(|| {
            let mut out = BytesMut::with_capacity(frame.units.len() + Muxer::overhead(&frame));
            muxer.write(black_box(&frame), &mut out);
            out.freeze()
        });
    });
    group.finish();
}

fn times(c: &mut Criterion) {
    c.bench_function("time of a frame", |b| {
        let mut timeline = Timeline::new();
        timeline.publisher([90_000]);
        let mut times = DecodeTimes::new(Some(2), 3600);
        let mut n = 0u32;
        b.iter(|| {
            n = n.wrapping_add(1);
            let pts = timeline.time(0, n.wrapping_mul(3600), Duration::from_millis(u64::from(n) * 40));
            times.next(pts.unwrap_or(0))
        });
    });
    c.bench_function("read an SDP", |b| b.iter(|| Description::parse(black_box(SDP.as_bytes()))));
    c.bench_function("canonical path", |b| b.iter(|| canonical(black_box("/Building%201//Room/../Door.main"))));
}

const SETUP: &[u8] =
    b"SETUP rtsp://hub.example:1554/room/door/streamid=0 RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: Lavf61.7.100\r\n\
    Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 0123456789abcdef\r\n\r\n";
const ROUTES: usize = 10_000;

/// Half of the routes are for one path, half for a folder.
fn routes() -> Routes {
    let route = |i: usize| {
        let end = if i.is_multiple_of(2) { "" } else { "/" };
        format!(r#"{{"pattern":"/site{}/room{i}{end}","url":"rtsp://10.0.0.1/cam{i}"}}"#, i % 100)
    };
    let text = format!("[{}]", (0..ROUTES).map(route).collect::<Vec<_>>().join(","));
    Routes::parse(&text).expect("valid")
}

fn control(c: &mut Criterion) {
    c.bench_function("read a SETUP", |b| {
        b.iter_batched(
            || BytesMut::from(SETUP),
            |mut buffer| Parser::default().next(&mut buffer),
            BatchSize::SmallInput,
        );
    });
    let routes = routes();
    assert_eq!(routes.len(), ROUTES);
    let mut group = c.benchmark_group("route among 10,000");
    for (name, path, found) in [
        ("of one path", "/site42/room4242", true),
        ("of a folder", "/site43/room4243/a/b/door", true),
        ("none", "/site42/nowhere/a/b/door", false),
    ] {
        assert_eq!(routes.find(path, path).is_some(), found, "{path}");
        group.bench_function(name, |b| b.iter(|| black_box(routes.find(black_box(path), path)).is_some()));
    }
    group.finish();
    let users = users();
    assert_eq!(users.len(), USERS);
    let mut group = c.benchmark_group("a right of one of 1,000 users");
    for (name, path, right) in [
        ("by the last mask", "/yard/777/door", true),
        ("by a mask with +", "/site7/any/main", true),
        ("none", "/yard/778/door", false),
    ] {
        let may = |path: &str| users.user(black_box("user777")).is_some_and(|user| user.pull.allow(path));
        assert_eq!(may(path), right, "{path}");
        group.bench_function(name, |b| b.iter(|| may(black_box(path))));
    }
    group.finish();
}

const USERS: usize = 1000;

/// Each with rights to four folders.
fn users() -> Users {
    let user = |i: usize| {
        let masks = format!("/lobby;/site{}/+/main;/hall{i}/*;/yard/{i}/*", i % 10);
        format!(r#"{{"name":"user{i}","password":"p","pull":"{masks}"}}"#)
    };
    let text = format!("[{}]", (0..USERS).map(user).collect::<Vec<_>>().join(","));
    Users::parse(&text).expect("valid")
}

criterion_group!(benches, media, times, control);
criterion_main!(benches);
