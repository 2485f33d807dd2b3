use super::*;

#[test]
fn descriptions_are_the_hubs_own() {
    const FROM: &str = "v=0\r\no=- 1 1 IN IP4 10.1.2.3\r\ns=Cam\r\nc=IN IP4 10.1.2.3\r\na=control:rtsp://10.1.2.3/x\r\n\
        m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:rtsp://10.1.2.3/x/video\r\n";
    for (family, address) in [(AddressFamily::V4, "IN IP4 0.0.0.0"), (AddressFamily::V6, "IN IP6 ::")] {
        let mut client = Client::new();
        client.session.config.address_family = family;
        client.send("DESCRIBE", "rtsp://[::1]:1554/Live/X?token=secret", "", "");
        let reply = response(&client.describe(FROM)[0]);
        assert_eq!(reply.headers.get("Content-Base"), Some("rtsp://[::1]:1554/Live/X/"));
        assert_eq!(
            String::from_utf8_lossy(&reply.body),
            format!(
                "v=0\r\no=- 0 0 {address}\r\ns=/live/x\r\nc={address}\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n\
                 m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"
            )
        );
    }
}

#[test]
fn bases_of_urls() {
    for (uri, expected) in [
        ("rtsp://h/x", "rtsp://h/x"),
        ("rtsp://h:554/Live/X//?a=/b", "rtsp://h:554/Live/X"),
        ("rtsps://user:p@ss@h/x", "rtsps://h/x"),
        ("rtsp://h/x@y", "rtsp://h/x@y"),
        ("rtsp://h", "rtsp://h"),
        ("/live/x", "/live/x"),
        ("user@x", "user@x"),
        ("*", "*"),
        ("", ""),
        ("rtsp://h/a b;c,d\"%20é", "rtsp://h/a%20b%3Bc%2Cd%22%20%C3%A9"),
    ] {
        assert_eq!(super::super::describe::base(uri), expected, "{uri}");
    }
}

#[test]
fn only_sdp_is_offered() {
    for (accept, expected) in [
        ("", None),
        ("Accept: \r\n", None),
        ("Accept: application/sdp\r\n", None),
        ("Accept: application/rtsl, Application/SDP;level=-2\r\n", None),
        ("Accept: application/rtsl\r\nAccept: application/sdp\r\n", None),
        ("Accept: */*\r\n", None),
        ("Accept: text/plain\r\n", Some(406)),
        ("Accept: application/sdpx, application\r\n", Some(406)),
    ] {
        let mut client = Client::new();
        let events = client.send("DESCRIBE", "rtsp://h/live/x", accept, "");
        let refused = matches!(events[0], Event::Reply(_)).then(|| status(&events));
        assert_eq!(refused, expected, "{accept}");
        let again = Client::at("playing").status("DESCRIBE", "rtsp://h/live/x", accept);
        assert_eq!(again, expected.unwrap_or(200), "{accept}");
    }
    let long = format!("rtsp://h/{}", "x".repeat(MAX_PATH));
    assert_eq!(Client::new().status("DESCRIBE", &long, ""), 414);
    assert_eq!(Client::new().status("SETUP", &long, "Transport: RTP/AVP/TCP\r\n"), 414);
    assert_eq!(Client::at("playing").status("DESCRIBE", "rtsp://h/live/y", ""), 455);
}

#[test]
fn a_stream_that_is_not_there() {
    let mut client = Client::new();
    for (method, headers) in [("DESCRIBE", ""), ("SETUP", "Transport: RTP/AVP/TCP\r\n")] {
        assert!(matches!(client.send(method, "rtsp://h/live/x", headers, "")[..], [Event::Describe(_)]), "{method}");
        let mut events = Vec::new();
        client.session.answer_describe(Err((404, "no\r\nsuch stream".into())), &mut events);
        let reply = response(&events[0]);
        assert_eq!((reply.status, reply.reason.as_str(), events.len()), (404, "Not Found", 1), "{method}");
        assert_eq!((client.session.path(), reply.headers.get("Session")), (None, None));
    }
    // Another stream, or publishing one, may be tried.
    assert!(matches!(client.send("DESCRIBE", "rtsp://h/live/y", "", "")[..], [Event::Describe(_)]));
    client.describe(SDP);
    assert_eq!(client.session.path(), Some("/live/y"));
    assert!(matches!(client.send("DESCRIBE", "rtsp://h/live/z", "", "")[..], [Event::Describe(_)]));
    client.describe(ONE);
    assert_eq!((client.session.path(), client.session.play_transports()), (Some("/live/z"), [None].as_slice()));
    let announce = client.send("ANNOUNCE", "rtsp://h/live/z", "Content-Type: application/sdp\r\n", SDP);
    assert_eq!((status(&announce), client.session.play_transports().len()), (200, 0));
}

/// What a SETUP without DESCRIBE asks for, and where it leads.
#[test]
fn setup_without_describe() {
    for (uri, path, query, expected) in [
        ("rtsp://h/live/x/trackID=1", "/live/x", None, 200),
        ("rtsp://h/live/x/trackID=1?token=a", "/live/x", Some("token=a"), 200),
        ("rtsp://h/live/x?token=a/trackID=1", "/live/x", Some("token=a"), 200),
        ("rtsp://h/live/x", "/live/x", None, 404),
        ("rtsp://h/live/x/trackID=2", "/live/x", None, 404),
        ("rtsp://h/live/x/video", "/live/x/video", None, 404),
        ("trackID=1", "/", None, 200),
    ] {
        let mut client = Client::new();
        let events = client.send("SETUP", uri, "Transport: RTP/AVP/TCP;unicast\r\n", "");
        let asked = Describe { path: path.into(), original_path: path.into(), query: query.map(str::to_owned) };
        assert_eq!(events, [Event::Describe(asked)], "{uri}");
        let events = client.describe(SDP);
        let reply = response(&events[0]);
        assert_eq!((reply.status, reply.headers.get("CSeq"), events.len()), (expected, Some("1"), 1), "{uri}");
        if expected == 200 {
            assert_eq!(client.session.play_transports(), [None, interleaved(2)], "{uri}");
            let events = client.send("PLAY", uri, "", "");
            assert_eq!(events, [Event::Play(Play { path: path.into(), transports: vec![None, interleaved(2)] })]);
        } else {
            assert!(matches!(client.session.state, State::Described(_)), "{uri}");
        }
    }
    for (transport, expected) in
        [("", 400), ("Transport: RTP/SAVP;unicast\r\n", 461), ("Transport: RTP/AVP/TCP;mode=record\r\n", 455)]
    {
        assert_eq!(Client::new().status("SETUP", "rtsp://h/live/x/trackID=0", transport), expected, "{transport}");
    }
}
