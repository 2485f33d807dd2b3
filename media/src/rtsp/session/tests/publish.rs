use super::*;

const TCP: &[u8] = include_bytes!("../../../../testdata/ffmpeg_publish_tcp.txt");
const UDP: &[u8] = include_bytes!("../../../../testdata/ffmpeg_publish_udp.txt");

/// Plays a captured dialogue, accepting the publication; gives it and the responses.
fn publish(session: &mut Session, dialogue: &[u8]) -> (Publish, Vec<Response>, Option<Event>) {
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
    let (publish, responses, end) = publish(&mut session(None), TCP);
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
    assert_eq!(responses[0].headers.get("Public"), Some(public(Offer::Both)));
    assert_eq!(responses[3].headers.get("Transport"), Some("RTP/AVP/TCP;unicast;interleaved=2-3;mode=record"));
    assert_eq!((responses.len(), end), (6, Some(Event::End(EndReason::Teardown))));
}

#[test]
fn ffmpeg_publishes_over_udp() {
    let (publish, responses, _) = publish(&mut session(Some((6970, 6971))), UDP);
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
