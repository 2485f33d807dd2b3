//! Broken variants of real dialogues through parser, session and SDP: whatever comes, nothing panics or grows without a
//! bound. The variants are the same at every run.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;

use super::headers::{Range, SessionId, Transport};
use super::{Described, Event, Group, Item, Offer, Parser, RtpStart, Session, SessionConfig, TrackTransport};
use crate::path::{canonical, of_uri};
use crate::sdp::{AddressFamily, Description, write};
use crate::sniff::looks_like_rtsp;

const DIALOGUES: [&[u8]; 6] = [
    include_bytes!("../../testdata/ffmpeg_publish_tcp.txt"),
    include_bytes!("../../testdata/ffmpeg_publish_udp.txt"),
    include_bytes!("../../testdata/ffmpeg_play_tcp.txt"),
    include_bytes!("../../testdata/ffmpeg_play_fallback.txt"),
    include_bytes!("../../testdata/gstreamer_play_udp.txt"),
    include_bytes!("../../testdata/gstreamer_play_461.txt"),
];

/// What the played dialogues are about.
const PLAYED: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 8\n";

/// Pieces that stand for something in RTSP, SDP or a path.
const PIECES: [&[u8]; 21] = [
    b"\r\n",
    b"\n\n",
    b"$\0\0\x05",
    b"$\x01\xff\xff",
    b":",
    b"/",
    b"?",
    b"%",
    b"%00",
    b"..",
    b"-",
    b",",
    b";",
    b"\"",
    b"=",
    b"99999999999",
    b"\xff\xfe",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"a=rtpmap:96 ",
    b"trackID=",
    b" ",
];

/// Xorshift64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    pub(super) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.below(256) as u8;
                    }
                }
                1 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                2 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                3 => {
                    let end = (at + self.below(200)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => bytes.truncate(at.max(bytes.len() / 2)),
            }
        }
    }
}

/// Answers as a shell would, or refuses.
fn answer(session: &mut Session, random: &mut Random, events: &mut Vec<Event>) {
    let refused = (random.below(8) == 0).then(|| (500, "no".into()));
    match events.last().cloned() {
        Some(Event::Publish(publish)) => {
            assert_eq!(publish.tracks.len(), publish.transports.len());
            let _ = write(&publish.path, &publish.tracks, AddressFamily::V4);
            session.answer_publish(refused.map_or(Ok(()), Err), events);
        }
        Some(Event::Describe(describe)) => {
            assert!(describe.path.starts_with('/'));
            let tracks = Description::parse(PLAYED.as_bytes()).expect("a description").tracks;
            session.answer_describe(refused.map_or(Ok(Described { tracks, ssrcs: vec![1, 2] }), Err), events);
            if events.last() == Some(&Event::Group) {
                answer(session, random, events);
            }
        }
        Some(Event::Group) => {
            let address = Ipv4Addr::new(239, 200, 0, 1);
            let group = Group { address, source: Ipv4Addr::LOCALHOST, first_port: u16::MAX - 2, ttl: 1 };
            session.answer_group(refused.map_or(Ok(group), Err), events);
        }
        Some(Event::Play(play)) => {
            assert_eq!((play.transports.len(), session.is_playing()), (2, false));
            assert!(play.transports.iter().any(Option::is_some));
            let udp = |transport: &&TrackTransport| matches!(transport, TrackTransport::Udp { .. });
            let over_udp = play.transports.iter().flatten().filter(udp).count();
            assert!(over_udp == 0 || over_udp == play.transports.iter().flatten().count(), "{play:?}");
            let starts = vec![Some(RtpStart { sequence: 1, timestamp: 2 }), None];
            session.answer_play(refused.map_or(Ok(starts), Err), events);
        }
        _ => {}
    }
}

fn run(bytes: &[u8], random: &mut Random) {
    let mut session = Session::new(SessionConfig {
        session_id: "abc".into(),
        timeout: Duration::from_secs(60),
        server_name: "ipchub/test".into(),
        udp_ports: Some((6970, 6971)),
        multicast: true,
        address_family: AddressFamily::V4,
        stream: None,
        offer: Offer::Both,
    });
    let mut parser = Parser::new();
    let mut buf = BytesMut::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(1 + random.below(rest.len()));
        rest = after;
        buf.extend_from_slice(part);
        loop {
            let mut events = Vec::new();
            match parser.next(&mut buf) {
                Ok(Some(Item::Request(request))) => {
                    let _ = (of_uri(&request.uri), Description::parse(&request.body));
                    session.request(request, &mut events);
                }
                Ok(Some(Item::Interleaved { channel, .. })) => drop(session.track_of_channel(channel)),
                Ok(Some(Item::Response(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    session.malformed(error, &mut events);
                    rest = &[];
                }
            }
            answer(&mut session, random, &mut events);
            for event in &events {
                if let Event::Reply(reply) = event {
                    let read = Parser::new().next(&mut BytesMut::from(&reply[..]));
                    assert!(matches!(read, Ok(Some(Item::Response(_)))), "{reply:?}");
                }
            }
            if rest.is_empty() && session.is_closed() {
                return;
            }
        }
    }
}

#[test]
fn broken_dialogues() {
    let mut random = Random(0x1554);
    for round in 0..12_000 {
        let mut bytes = DIALOGUES[round % DIALOGUES.len()].to_vec();
        random.mutate(&mut bytes);
        run(&bytes, &mut random);
    }
}

#[test]
fn broken_texts() {
    let seeds = [
        "RTP/AVP/TCP;unicast;interleaved=0-1;mode=\"record\",RTP/AVP;client_port=5000-5001;ssrc=00ff;ttl=1",
        "abc;timeout=60",
        "npt=1:02:03.5-20",
        "rtsp://user:pass@h:554/live/%41/../Test//?token=a/streamid=0",
        "OPTIONS * RTSP/1.0\r\n",
    ];
    let mut random = Random(7);
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        random.mutate(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = (Transport::parse_list(&text), SessionId::parse(&text), Range::parse(&text), looks_like_rtsp(&bytes));
        let path = canonical(&text);
        assert!(path.starts_with('/') && !path.contains("//") && !path.contains("/../"), "{text:?} gave {path:?}");
        assert!(!path.chars().any(|c| c.is_ascii_control()), "{text:?} gave {path:?}");
    }
}

#[test]
fn broken_descriptions() {
    let seed = DIALOGUES[0].windows(4).position(|four| four == b"v=0\r").map_or(DIALOGUES[0], |at| &DIALOGUES[0][at..]);
    let mut random = Random(99);
    for _ in 0..10_000 {
        let mut bytes = seed[..seed.len().min(600)].to_vec();
        random.mutate(&mut bytes);
        if let Ok(sdp) = Description::parse(&bytes) {
            assert!(sdp.tracks.iter().all(|track| track.clock_rate > 0 && track.payload_type < 128));
            let written = write(&sdp.name, &sdp.tracks, AddressFamily::V6);
            let read = Description::parse(written.as_bytes()).expect("what the hub writes can be read");
            assert_eq!(read.tracks.len(), sdp.tracks.len());
        }
    }
}
