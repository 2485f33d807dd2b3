use bytes::BytesMut;

use super::announce::MAX_PATH;
use super::*;
use crate::rtsp::{Item, Parser};

const TCP: &[u8] = include_bytes!("../../../testdata/ffmpeg_publish_tcp.txt");
const UDP: &[u8] = include_bytes!("../../../testdata/ffmpeg_publish_udp.txt");

const SDP: &str = "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:streamid=0\n\
    m=audio 0 RTP/AVP 8\na=control:streamid=1\n";

fn session(udp_ports: Option<(u16, u16)>) -> Session {
    Session::new(SessionConfig {
        session_id: "abc".into(),
        timeout: Duration::from_secs(60),
        server_name: "ipchub/test".into(),
        udp_ports,
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

    /// In the state that `words` names: `announced`, `ready`, `recording`.
    fn at(state: &str) -> Self {
        let mut client = Self::new();
        for (name, method, uri, headers) in [
            ("announced", "ANNOUNCE", "rtsp://h/live/x", "Content-Type: application/sdp\r\n"),
            ("ready", "SETUP", "rtsp://h/live/x/streamid=0", "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record\r\n"),
            ("starting", "RECORD", "rtsp://h/live/x", ""),
        ] {
            let body = if method == "ANNOUNCE" { SDP } else { "" };
            let events = client.send(method, uri, headers, body);
            assert!(
                !matches!(events.as_slice(), [Event::Reply(reply)] if !reply.starts_with(b"RTSP/1.0 200")),
                "{events:?}"
            );
            if name == state {
                return client;
            }
        }
        let mut events = Vec::new();
        client.session.answer_publish(Ok(()), &mut events);
        assert_eq!(status(&events), 200);
        client
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

/// Plays a captured dialogue, accepting the publication; gives it and the responses.
fn play(session: &mut Session, dialogue: &[u8]) -> (Publish, Vec<Response>, Option<Event>) {
    let mut parser = Parser::new();
    let mut buf = BytesMut::from(dialogue);
    let (mut publish, mut responses, mut end) = (None, Vec::new(), None);
    while let Ok(Some(Item::Request(request))) = parser.next(&mut buf) {
        let mut events = Vec::new();
        session.request(request, &mut events);
        if let Some(Event::Publish(asked)) = events.first().cloned() {
            assert!(!session.is_publishing());
            publish = Some(asked);
            events.clear();
            session.answer_publish(Ok(()), &mut events);
            assert!(session.is_publishing());
            assert_eq!(session.path(), Some("/live/test"));
            assert_eq!(session.track_of_channel(9), None);
        }
        for event in events {
            match event {
                Event::Reply(_) => responses.push(response(&event)),
                other => end = Some(other),
            }
        }
    }
    (publish.expect("RECORD came"), responses, end)
}

#[test]
fn ffmpeg_publishes_over_tcp() {
    let (publish, responses, end) = play(&mut session(None), TCP);
    assert_eq!((publish.path.as_str(), publish.tracks.len()), ("/live/test", 2));
    assert_eq!(
        publish.transports,
        [TrackTransport::Interleaved { rtp: 0, rtcp: 1 }, TrackTransport::Interleaved { rtp: 2, rtcp: 3 }]
    );
    assert!(publish.user_agent.starts_with("Lavf"), "{}", publish.user_agent);
    for (index, response) in responses.iter().enumerate() {
        assert_eq!((response.status, response.headers.get("CSeq")), (200, Some((index + 1).to_string().as_str())));
        assert_eq!(response.headers.get("Server"), Some("ipchub/test"));
        assert_eq!(response.headers.get("Session"), (index >= 2).then_some("abc;timeout=60"), "{index}");
    }
    assert_eq!(responses[0].headers.get("Public"), Some(PUBLIC));
    assert_eq!(responses[3].headers.get("Transport"), Some("RTP/AVP/TCP;unicast;interleaved=2-3;mode=record"));
    assert_eq!((responses.len(), end), (6, Some(Event::End(EndReason::Teardown))));
}

#[test]
fn ffmpeg_publishes_over_udp() {
    let (publish, responses, _) = play(&mut session(Some((6970, 6971))), UDP);
    assert!(matches!(publish.transports[..], [TrackTransport::Udp { .. }, TrackTransport::Udp { .. }]));
    let transport = responses[2].headers.get("Transport").expect("one");
    assert!(transport.contains(";client_port=") && transport.contains(";server_port=6970-6971"), "{transport}");
    let refused = feed(&mut session(None), UDP);
    assert_eq!(
        refused
            .iter()
            .filter(|event| matches!(event, Event::Reply(_)))
            .map(|event| response(event).status)
            .collect::<Vec<_>>(),
        [200, 200, 461, 461, 455, 200]
    );
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
        ("init", [200, 501, 415, 455, 501, 501, 455, 200, 200, 200, 501, 501]),
        ("announced", [200, 501, 415, 404, 501, 501, 455, 200, 200, 200, 501, 501]),
        ("ready", [200, 501, 455, 404, 501, 501, 0, 200, 200, 200, 501, 501]),
        ("starting", [200, 501, 455, 455, 501, 501, 455, 200, 200, 200, 501, 501]),
        ("recording", [200, 501, 455, 455, 501, 501, 200, 200, 200, 200, 501, 501]),
    ] {
        for (method, expected) in methods.into_iter().zip(expected) {
            let mut client = if state == "init" { Client::new() } else { Client::at(state) };
            let events = client.send(method, "rtsp://h/live/x", "", "");
            let seen = if let Event::Publish(_) = events[0] { 0 } else { status(&events) };
            assert_eq!(seen, expected, "{method} in {state}");
            assert_eq!(client.session.is_closed(), method == "TEARDOWN");
            if method == "TEARDOWN" {
                assert_eq!(client.send("OPTIONS", "*", "", ""), []);
            }
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

#[test]
fn tracks_are_found_by_their_control() {
    let two = |a: &str, b: &str| {
        format!("m=video 0 RTP/AVP 96\na=control:{a}\nm=audio 0 RTP/AVP 8\na=control:{b}\n")
            .replace("a=control:-\n", "")
    };
    let one = |a: &str| format!("m=video 0 RTP/AVP 96\na=control:{a}\n").replace("a=control:-\n", "");
    for (sdp, base, uri, expected) in [
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "rtsp://h/live/x/streamid=1", Some(1)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "rtsp://other:99/LIVE/x/streamID=1/", Some(1)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "/live/x/streamid=0", Some(0)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "streamid=1", Some(1)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x?token=a", "rtsp://h/live/x?token=a/streamid=1", Some(1)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x?token=a", "rtsp://h/live/x/streamid=1?token=a", Some(1)),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "rtsp://h/live/x/streamid=2", None),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "rtsp://h/live/x/streamid=11", None),
        (two("streamid=0", "streamid=1"), "rtsp://h/live/x", "rtsp://h/live/x", None),
        (two("trackID=1/", "trackID=2?a=b"), "rtsp://h/x", "rtsp://h/x/trackID=2", Some(1)),
        (two("trackID=1/", "trackID=2?a=b"), "rtsp://h/x", "rtsp://h/x/trackID=1", Some(0)),
        (two("rtsp://cam/a/trackID=1", "rtsp://cam/a/trackID=2"), "rtsp://h/x", "rtsp://cam:554/a/trackID=2", Some(1)),
        (two("rtsp://h/x/1", "rtsp://h/x/2"), "rtsp://h/x/", "rtsp://h/x/2", Some(1)),
        (two("rtsp://h/x?t=video", "rtsp://h/x?t=audio"), "rtsp://h/x", "rtsp://h/x?t=audio", Some(1)),
        (two("?t=video", "?t=audio"), "rtsp://h/x", "rtsp://h/x?t=audio", Some(1)),
        (two("/x/v", "/x/a"), "rtsp://h/x", "rtsp://h/x/a", Some(1)),
        (two("1", "track/1"), "rtsp://h/x", "rtsp://h/x/track/1", Some(1)),
        (two("1", "2"), "rtsp://h/live/1", "rtsp://h/live/1", None),
        (two("1", "2"), "rtsp://h/live/1", "rtsp://h/live/1/1", Some(0)),
        (two("-", "-"), "rtsp://h/x", "rtsp://h/x/trackID=1", Some(1)),
        (one("-"), "rtsp://h/x", "rtsp://h/x", Some(0)),
        (one("*"), "rtsp://h/x", "rtsp://h/x/?q", Some(0)),
        (one("trackID=0"), "rtsp://h/x", "rtsp://h/x", Some(0)),
        (one("trackID=0"), "rtsp://h/x", "rtsp://h/y", None),
        (one("rtsp://h/x"), "rtsp://h/x", "rtsp://h/x", Some(0)),
    ] {
        let mut client = Client::new();
        client.send("ANNOUNCE", base, "Content-Type: application/sdp\r\n", &sdp);
        let seen = client.status("SETUP", uri, "Transport: RTP/AVP/TCP\r\n");
        assert_eq!(seen, if expected.is_some() { 200 } else { 404 }, "{uri} in {sdp}");
        if let State::Ready(announced) = &client.session.state {
            assert_eq!(announced.transports.iter().position(Option::is_some), expected, "{uri} in {sdp}");
        }
    }
}

#[test]
fn transports_that_are_taken_and_refused() {
    for (transport, status, words) in [
        ("RTP/AVP/TCP", 200, "RTP/AVP/TCP;unicast;interleaved=2-3"),
        ("RTP/AVP/TCP;interleaved=7-9;mode=RECORD", 200, "RTP/AVP/TCP;unicast;interleaved=7-9;mode=record"),
        ("RTP/AVP/TCP;interleaved=254;mode=\"receive\"", 200, "interleaved=254-255;mode=record"),
        ("RTP/AVP;multicast,RTP/AVP/TCP", 200, "interleaved=2-3"),
        ("RTP/AVP;unicast;client_port=5000", 200, "client_port=5000-5001;server_port=6970-6971"),
        ("RTP/AVP/TCP;interleaved=1-2", 461, "Channel 1 is in use by track 0"),
        ("RTP/AVP/TCP;interleaved=4-4", 461, "Channel 4"),
        ("RTP/AVP;unicast", 461, "client_port"),
        ("RTP/AVP;multicast", 461, "multicast"),
        ("RTP/SAVP;unicast;client_port=1-2", 461, "RTP/SAVP"),
        ("RTP/AVP/TCP;mode=play", 451, "expected mode=record"),
    ] {
        let mut client = Client::at("ready");
        let events = client.send("SETUP", "rtsp://h/live/x/streamid=1", &format!("Transport: {transport}\r\n"), "");
        let reply = response(&events[0]);
        assert_eq!(reply.status, status, "{transport}");
        let text = format!("{:?} {}", reply.headers.get("Transport"), String::from_utf8_lossy(&reply.body));
        assert!(text.contains(words), "{transport}: {text}");
    }
    let mut client = Client::at("ready");
    assert_eq!(client.status("SETUP", "rtsp://h/live/x/streamid=1", ""), 400);
    // The same track again may change its mind.
    assert_eq!(client.status("SETUP", "rtsp://h/live/x/streamid=0", "Transport: RTP/AVP/TCP;interleaved=1-0\r\n"), 200);
}

#[test]
fn only_tracks_that_were_set_up_are_published() {
    let mut client = Client::at("announced");
    client.status("SETUP", "rtsp://h/live/x/streamid=1", "Transport: RTP/AVP/TCP;interleaved=4-5\r\n");
    assert_eq!(client.session.track_of_channel(4), None);
    let events = client.send("RECORD", "rtsp://h/live/x", "", "");
    let [Event::Publish(publish)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((publish.tracks.len(), publish.tracks[0].payload_type, publish.transports.len()), (1, 8, 1));
    assert_eq!(client.session.track_of_channel(4), Some((0, false)));
    assert_eq!(client.session.track_of_channel(5), Some((0, true)));
    assert_eq!(client.session.track_of_channel(0), None);
}

#[test]
fn a_refused_publication_can_be_tried_again() {
    let mut client = Client::at("starting");
    let mut events = Vec::new();
    client.session.answer_publish(Err((403, "not\r\nyours".into())), &mut events);
    let reply = response(&events[0]);
    assert_eq!((reply.status, reply.reason.as_str(), reply.headers.get("CSeq")), (403, "Forbidden", Some("3")));
    assert_eq!((client.session.is_publishing(), client.session.path()), (false, None));
    let again = client.send("ANNOUNCE", "rtsp://h/y", "Session: abc\r\nContent-Type: application/sdp\r\n", SDP);
    assert_eq!(status(&again), 200);
}

#[test]
fn an_answer_after_teardown_says_nothing() {
    let mut client = Client::at("starting");
    client.send("TEARDOWN", "rtsp://h/live/x", "", "");
    let mut events = Vec::new();
    client.session.answer_publish(Ok(()), &mut events);
    assert_eq!((events.len(), client.session.is_publishing(), client.session.is_closed()), (0, false, true));
}
