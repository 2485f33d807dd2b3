mod describe;
mod multicast;
mod play;
mod publish;
mod websocket;

use std::time::Duration;

use bytes::BytesMut;

use super::*;
use crate::rtsp::{Item, Parser};
use crate::sdp::{AddressFamily, Description};

const SDP: &str = "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:streamid=0\n\
    m=audio 0 RTP/AVP 8\na=control:streamid=1\n";

/// A description of one track.
const ONE: &str = "m=audio 0 RTP/AVP 8\n";

fn interleaved(rtp: u8) -> Option<TrackTransport> {
    Some(TrackTransport::Interleaved { rtp, rtcp: rtp + 1 })
}

fn session(udp_ports: Option<(u16, u16)>) -> Session {
    Session::new(SessionConfig {
        session_id: "abc".into(),
        timeout: Duration::from_secs(60),
        server_name: "ipchub/test".into(),
        udp_ports,
        multicast: false,
        address_family: AddressFamily::V4,
        stream: None,
        offer: Offer::Both,
    })
}

/// A client that speaks through the parser, as a connection does.
struct Client {
    session: Session,
    cseq: u64,
}

impl Client {
    fn new() -> Self {
        Self { session: session(Some((6970, 6971))), cseq: 0 }
    }

    /// In the state that `state` names. Tracks are interleaved on 0 and 1, when playing also on 2 and 3.
    fn at(state: &str) -> Self {
        let mut client = Self::new();
        const URL: &str = "rtsp://h/live/x";
        const RECORD: &str = "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record\r\n";
        let setup = |client: &mut Self, control: &str, transport: &str| {
            assert_eq!(client.status("SETUP", &format!("{URL}/{control}"), transport), 200);
        };
        let past = |states: &[&str]| !states.contains(&state);
        match state {
            "init" => {}
            "announced" | "ready" | "starting" | "recording" => {
                let events = client.send("ANNOUNCE", URL, "Content-Type: application/sdp\r\n", SDP);
                assert_eq!(status(&events), 200);
                if past(&["announced"]) {
                    setup(&mut client, "streamid=0", RECORD);
                }
                if past(&["announced", "ready"]) {
                    assert!(matches!(client.send("RECORD", URL, "", "")[..], [Event::Publish(_)]));
                }
                if past(&["announced", "ready", "starting"]) {
                    let mut events = Vec::new();
                    client.session.answer_publish(Ok(()), &mut events);
                    assert_eq!(status(&events), 200);
                }
            }
            _ => {
                assert!(matches!(client.send("DESCRIBE", URL, "", "")[..], [Event::Describe(_)]));
                if past(&["describing"]) {
                    assert_eq!(response(&client.describe(SDP)[0]).status, 200);
                }
                if past(&["describing", "described"]) {
                    setup(&mut client, "trackID=0", "Transport: RTP/AVP/TCP\r\n");
                    setup(&mut client, "trackID=1", "Transport: RTP/AVP/TCP\r\n");
                }
                if past(&["describing", "described", "prepared"]) {
                    assert!(matches!(client.send("PLAY", URL, "", "")[..], [Event::Play(_)]));
                }
                if past(&["describing", "described", "prepared", "starting play"]) {
                    assert_eq!(status(&client.play(vec![None; 2])), 200);
                }
                if past(&["describing", "described", "prepared", "starting play", "playing"]) {
                    assert_eq!(state, "paused");
                    assert!(matches!(client.send("PAUSE", URL, "", "")[..], [Event::Pause, Event::Reply(_)]));
                }
            }
        }
        client
    }

    /// Answers DESCRIBE with the tracks of `sdp`.
    fn describe(&mut self, sdp: &str) -> Vec<Event> {
        let tracks = Description::parse(sdp.as_bytes()).expect("a description").tracks;
        let mut events = Vec::new();
        self.session.answer_describe(Ok(Described { tracks, ssrcs: vec![0xbeef, 0xcafe_0001] }), &mut events);
        events
    }

    /// Answers PLAY.
    fn play(&mut self, starts: Vec<Option<RtpStart>>) -> Vec<Event> {
        let mut events = Vec::new();
        self.session.answer_play(Ok(starts), &mut events);
        events
    }

    fn send(&mut self, method: &str, uri: &str, headers: &str, body: &str) -> Vec<Event> {
        self.cseq += 1;
        let cseq = format!("CSeq: {}\r\n", self.cseq);
        self.send_raw(&format!(
            "{method} {uri} RTSP/1.0\r\n{cseq}{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn send_raw(&mut self, text: &str) -> Vec<Event> {
        feed(&mut self.session, text.as_bytes())
    }

    fn status(&mut self, method: &str, uri: &str, headers: &str) -> u16 {
        status(&self.send(method, uri, headers, ""))
    }
}

fn feed(session: &mut Session, bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut buf = BytesMut::from(bytes);
    let mut parser = Parser::new();
    loop {
        match parser.next(&mut buf) {
            Ok(Some(Item::Request(request))) => session.request(request, &mut events),
            Ok(Some(_)) => {}
            Ok(None) => return events,
            Err(error) => {
                session.malformed(error, &mut events);
                return events;
            }
        }
    }
}

fn response(event: &Event) -> Response {
    let Event::Reply(bytes) = event else { panic!("{event:?}") };
    match Parser::new().next(&mut BytesMut::from(&bytes[..])) {
        Ok(Some(Item::Response(response))) => response,
        other => panic!("{other:?}"),
    }
}

fn status(events: &[Event]) -> u16 {
    response(&events[0]).status
}

/// Every state and method: the status, or 0 for an event that is no reply.
#[test]
fn every_pair_of_state_and_method() {
    let methods = [
        "OPTIONS",
        "DESCRIBE",
        "ANNOUNCE",
        "SETUP",
        "PLAY",
        "PAUSE",
        "RECORD",
        "TEARDOWN",
        "GET_PARAMETER",
        "SET_PARAMETER",
        "REDIRECT",
        "FOO",
    ];
    for (state, expected) in [
        ("init", [200, 0, 415, 400, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("announced", [200, 455, 415, 404, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("ready", [200, 455, 455, 404, 455, 455, 0, 200, 200, 200, 501, 501]),
        ("starting", [200, 455, 455, 455, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("recording", [200, 455, 455, 455, 455, 455, 200, 200, 200, 200, 501, 501]),
        ("describing", [200, 455, 455, 455, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("described", [200, 0, 415, 404, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("prepared", [200, 200, 455, 404, 0, 455, 455, 200, 200, 200, 501, 501]),
        ("starting play", [200, 455, 455, 455, 455, 455, 455, 200, 200, 200, 501, 501]),
        ("playing", [200, 200, 455, 455, 200, 0, 455, 200, 200, 200, 501, 501]),
        ("paused", [200, 200, 455, 404, 0, 200, 455, 200, 200, 200, 501, 501]),
    ] {
        for (method, expected) in methods.into_iter().zip(expected) {
            let mut client = Client::at(state);
            let events = client.send(method, "rtsp://h/live/x", "", "");
            let seen = if let Event::Reply(_) = events[0] { status(&events) } else { 0 };
            assert_eq!(seen, expected, "{method} in {state}");
            assert_eq!(client.session.is_closed(), method == "TEARDOWN");
            // Every request has its reply, now or with the shell's answer.
            let awaited = matches!(events[0], Event::Publish(_) | Event::Describe(_) | Event::Play(_));
            assert_eq!(events.iter().any(|event| matches!(event, Event::Reply(_))), !awaited, "{method} in {state}");
            if let Some(Event::Reply(reply)) = events.last().filter(|_| seen == 455) {
                let text = String::from_utf8_lossy(reply);
                assert!(text.contains(&format!("\n{method} is not possible ")), "{text}");
            }
            if method == "TEARDOWN" {
                assert_eq!(client.send("OPTIONS", "*", "", ""), []);
            }
            // Answers that nothing waits for say nothing.
            let (mut late, path) = (Vec::new(), client.session.path().map(str::to_owned));
            if !matches!(client.session.state, State::Starting { .. }) {
                client.session.answer_publish(Ok(()), &mut late);
            }
            if !matches!(client.session.state, State::Describing(_)) {
                client.session.answer_describe(Err((404, "no".into())), &mut late);
            }
            if !matches!(client.session.state, State::StartingPlay { .. }) {
                client.session.answer_play(Ok(Vec::new()), &mut late);
            }
            assert_eq!((late, client.session.path()), (Vec::new(), path.as_deref()), "{method} in {state}");
        }
    }
}

#[test]
fn bad_requests() {
    let announce = |uri: &str, content_type: &str, body: &str| {
        let mut client = Client::new();
        let events = client.send("ANNOUNCE", uri, &format!("Content-Type: {content_type}\r\n"), body);
        let reply = response(&events[0]);
        assert_eq!(client.session.path().is_some(), reply.status == 200);
        (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
    };
    let many = "m=audio 0 RTP/AVP 0\n".repeat(200);
    for (uri, content_type, body, status, words) in [
        ("rtsp://h/x", "Application/SDP; charset=utf-8", SDP, 200, ""),
        ("/x", "application/sdp", SDP, 200, ""),
        ("rtsp://h/x", "application/sdp", "m=video 0 RTP/AVP 96", 200, ""),
        ("rtsp://h/x", "application/sdp", "m=video 0 RTP/AVP 96\na=rtpmap:96 FOO/1", 200, ""),
        ("rtsp://h/x", "text/plain", SDP, 415, "\"text/plain\""),
        ("rtsp://h/x", "", SDP, 415, "expected application/sdp"),
        ("rtsp://h/", "application/sdp", SDP, 400, "no path"),
        ("rtsp://h", "application/sdp", SDP, 400, "no path"),
        ("rtsp://h/../?x", "application/sdp", SDP, 400, "no path"),
        (&format!("rtsp://h/{}", "x".repeat(MAX_PATH)), "application/sdp", SDP, 414, "1025 bytes"),
        ("rtsp://h/x", "application/sdp", "v=0\ns=x\n", 400, "SDP line 3"),
        ("rtsp://h/x", "application/sdp", "", 400, "SDP line 1"),
        ("rtsp://h/x", "application/sdp", &many, 400, "line 17: more than 16"),
    ] {
        let (seen, text) = announce(uri, content_type, body);
        assert_eq!(seen, status, "{uri} {content_type}: {text}");
        assert!(text.contains(words), "{text}");
    }
    let mut client = Client::new();
    for (text, status_expected, cseq) in [
        ("OPTIONS * RTSP/1.0\r\n\r\n", 400, None),
        ("OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n", 400, None),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 7\r\nSession: other\r\n\r\n", 454, Some("7")),
        ("OPTIONS * RTSP/1.0\r\ncseq: 007\r\nsession: abc;timeout=60\r\n\r\n", 200, Some("7")),
    ] {
        let events = client.send_raw(text);
        let reply = response(&events[0]);
        assert_eq!((reply.status, reply.headers.get("CSeq")), (status_expected, cseq), "{text}");
    }
}

#[test]
fn malformed_bytes_are_answered_and_end_the_session() {
    for (bytes, expected) in [
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n".as_slice(), 413),
        (b"OPTIONS * RTSP/2.0\r\n\r\n", 505),
        (b"\0\0", 400),
    ] {
        let mut session = session(None);
        let events = feed(&mut session, bytes);
        let [reply, Event::End(EndReason::Malformed(_))] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(response(reply).status, expected);
        assert!(session.is_closed());
    }
}

#[test]
fn a_reply_cannot_be_split_by_what_it_quotes() {
    let mut client = Client::at("announced");
    let events = client.send("SETUP", "rtsp://h/live/x/streamid=0", "Transport: RAW\r\n \u{0}\rX-Evil: 1\r\n", "");
    let Event::Reply(bytes) = &events[0] else { panic!("{events:?}") };
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    assert!(!bytes[head_end + 4..bytes.len() - 1].iter().any(u8::is_ascii_control), "{bytes:?}");
    assert_eq!(response(&events[0]).headers.get("X-Evil"), None);
}
