use super::*;
use crate::rtsp::mutation_tests::Random;

const SDP: &str = "v=0\r\ns=cam\r\nm=audio 0 RTP/AVP 8\r\na=control:t2\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=control:t1\r\n";
const NOW: Duration = Duration::from_secs(100);

fn config(wanted: Wanted) -> Config {
    let credentials = Some(Credentials { user: "u".into(), password: "p".into() });
    Config { url: "rtsp://h/live".into(), user_agent: "test/1".into(), credentials, wanted, options: true }
}

fn answer(cseq: u32, more: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{more}{length}\r\n{body}")
}

/// Everything that a camera says, from OPTIONS to the answer to the first keep-alive.
fn dialogue() -> Vec<u8> {
    let packet = |channel: u8, text: &[u8]| [&[b'$', channel, 0, text.len() as u8], text].concat();
    [
        packet(0, b"of an earlier session"),
        answer(1, "Public: OPTIONS, GET_PARAMETER\r\n", "").into_bytes(),
        b"RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\r\n".to_vec(),
        answer(3, "Content-Base: rtsp://h/live/\r\n", SDP).into_bytes(),
        packet(0, b"of an earlier session too"),
        answer(4, "Transport: RTP/AVP/TCP;interleaved=6-7;ssrc=2A\r\nSession: 7;timeout=20\r\n", "").into_bytes(),
        answer(5, "Session: 7\r\n", "").into_bytes(),
        packet(6, b"before the answer"),
        answer(6, "", "").into_bytes(),
        packet(2, b"sound"),
        packet(3, b"report"),
        b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n".to_vec(),
        packet(9, b"?"),
    ]
    .concat()
}

/// What is sent, without what is the same in all requests.
fn sent(event: &Event) -> Option<String> {
    let Event::Send(bytes) = event else { return None };
    let text = String::from_utf8_lossy(bytes).replace("User-Agent: test/1\r\n", "").replace("\r\n", "|");
    Some(text.replace(" RTSP/1.0|CSeq:", "").replace("||", ""))
}

fn feed(client: &mut Client, bytes: &[u8]) -> (Vec<Event>, Result<(), Error>) {
    let mut out = Vec::new();
    let result = client.read(&mut BytesMut::from(bytes), NOW, &mut out);
    (out, result)
}

fn started(wanted: Wanted) -> (Client, Vec<Event>) {
    let (mut client, mut out) = (Client::new(config(wanted)), Vec::new());
    client.start(NOW, &mut out);
    (client, out)
}

/// In the state that follows that many answers of the dialogue's camera.
fn after(answers: &[String]) -> Client {
    let (mut client, _) = started(Wanted::Any);
    let (_, result) = feed(&mut client, answers.concat().as_bytes());
    result.expect("they are right");
    client
}

#[test]
fn a_dialogue() {
    let (mut client, mut events) = started(Wanted::Any);
    let (more, result) = feed(&mut client, &dialogue());
    events.extend(more);
    assert_eq!(result, Ok(()));
    let requests: Vec<_> = events.iter().filter_map(sent).collect();
    let login = "Authorization: Basic dTpw";
    assert_eq!(
        requests,
        [
            "OPTIONS rtsp://h/live 1".to_owned(),
            "DESCRIBE rtsp://h/live 2|Accept: application/sdp".into(),
            format!("DESCRIBE rtsp://h/live 3|{login}|Accept: application/sdp"),
            format!("SETUP rtsp://h/live/t1 4|{login}|Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
            format!("SETUP rtsp://h/live/t2 5|{login}|Session: 7|Transport: RTP/AVP/TCP;unicast;interleaved=2-3"),
            format!("PLAY rtsp://h/live/ 6|{login}|Session: 7|Range: npt=0.000-"),
            "RTSP/1.0 200 OK|CSeq: 9".into(),
        ]
    );
    let packet = |track, rtcp, data: &'static str| Event::Packet { track, rtcp, data: data.into() };
    let others: Vec<_> = events.into_iter().filter(|event| sent(event).is_none()).collect();
    assert_eq!(
        others,
        [
            packet(0, false, "before the answer"),
            Event::Playing,
            packet(1, false, "sound"),
            packet(1, true, "report"),
            Event::Stray { channel: 9, len: 1 },
        ]
    );
    assert_eq!(client.tracks()[0].ssrc, Some(0x2a));
    assert_eq!(client.frame(0, b"rr").as_deref(), Some(&b"$\x07\0\x02rr"[..]));
    // Half of 20 s.
    assert_eq!(client.wake(), Some(NOW + Duration::from_secs(10)));
    let mut out = Vec::new();
    client.close(NOW, &mut out);
    assert_eq!(sent(&out[0]), Some(format!("TEARDOWN rtsp://h/live/ 7|{login}|Session: 7")));
    assert_eq!(feed(&mut client, answer(7, "", "").as_bytes()), (vec![Event::Closed], Ok(())));
}

#[test]
fn the_same_however_it_is_cut() {
    let bytes = dialogue();
    let (mut whole, _) = started(Wanted::Any);
    let expected = feed(&mut whole, &bytes).0;
    for cut in 0..=bytes.len() {
        let (mut client, _) = started(Wanted::Any);
        let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
        for part in [&bytes[..cut], &bytes[cut..]] {
            buffer.extend_from_slice(part);
            client.read(&mut buffer, NOW, &mut out).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        }
        assert_eq!(out, expected, "cut at {cut}");
    }
}

/// Answers that end it or lead elsewhere, after that many good ones.
#[test]
fn refusals() {
    let good = [answer(1, "", ""), answer(2, "", SDP), answer(3, "Session: 7\r\n", ""), answer(4, "", "")];
    let line = |line: &str| format!("RTSP/1.0 {line}\r\n\r\n");
    for (done, text, part) in [
        (1, line("404 Not Found"), "the answer to DESCRIBE is 404 \"Not Found\""),
        (1, line("403 Forbidden"), "DESCRIBE: 403"),
        (1, line("401 Unauthorized"), "neither Digest nor Basic"),
        (1, answer(2, "", ""), "no m= line"),
        (1, answer(2, "", "m=application 0 RTP/AVP 107\n"), "neither video nor audio"),
        (1, "nonsense\r\n\r\n".into(), "start line"),
        (1, "HTTP/1.1 400 Bad Request\r\n\r\n".into(), "at byte"),
        (2, line("500 Oh"), "SETUP is 500"),
        (4, line("454 Session Not Found"), "PLAY is 454"),
        (4, "TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n".into(), "ended the session by TEARDOWN"),
    ] {
        let mut client = after(&good[..done]);
        let error = feed(&mut client, text.as_bytes()).1.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    for location in ["rtsp://other/x", "/x"] {
        for done in 0..5 {
            let mut client = after(&good[..done]);
            let text = format!("RTSP/1.0 302 Moved\r\nLocation: {location}\r\n\r\n$\0\0\x01x");
            let to = if location == "/x" { "rtsp://h/x" } else { location };
            assert_eq!(feed(&mut client, text.as_bytes()), (vec![Event::Redirect(to.into())], Ok(())), "after {done}");
        }
    }
}

#[test]
fn out_of_time() {
    let mut client = Client::new(config(Wanted::Any));
    assert!(matches!(client.bound((2, 3), NOW, &mut Vec::new()), Err(Error::State(_))));
    // Before anything was asked an answer is nobody's.
    let mut client = Client::new(config(Wanted::Any));
    assert_eq!(feed(&mut client, answer(1, "", SDP).as_bytes()), (vec![], Ok(())));
    // Nothing was set up: there is nothing to tear down.
    let (mut client, mut out) = started(Wanted::Any);
    client.close(NOW, &mut out);
    assert_eq!(out.last(), Some(&Event::Closed));
    assert_eq!(feed(&mut client, b"garbage").1, Ok(()));
}

#[test]
fn options_is_not_waited_for() {
    let (mut client, _) = started(Wanted::Any);
    let mut out = Vec::new();
    client.wake_up(NOW, &mut out);
    assert_eq!((out.len(), client.step()), (0, "answer to OPTIONS"));
    client.wake_up(NOW + OPTIONS_PATIENCE, &mut out);
    assert_eq!((out.len(), client.step(), client.wake()), (1, "answer to DESCRIBE", None));
    // The late answer is not taken for the description, but for what it says.
    assert_eq!(feed(&mut client, answer(1, "Public: OPTIONS\r\n", "").as_bytes()), (vec![], Ok(())));
    assert_eq!(
        (client.keep_alive.method(), feed(&mut client, answer(2, "", SDP).as_bytes()).0.len()),
        (Method::Options, 1)
    );
}

#[test]
fn keep_alives_need_no_answer() {
    let mut client =
        after(&[answer(1, "", ""), answer(2, "", SDP), answer(3, "", ""), answer(4, "", ""), answer(5, "", "")]);
    let mut now = NOW;
    for number in 6..20 {
        now = client.wake().expect("it plays");
        let mut out = Vec::new();
        client.wake_up(now, &mut out);
        assert_eq!(sent(&out[0]), Some(format!("GET_PARAMETER rtsp://h/live {number}")));
    }
    assert_eq!(now, NOW + Duration::from_secs(30 * 14));
    // What is answered in the end, and how, changes nothing but the method.
    for line in ["401 No", "454 No", "302 Moved\r\nLocation: rtsp://o/", "501 No"] {
        let mut out = Vec::new();
        client.wake_up(client.wake().expect("it plays"), &mut out);
        let text = format!("RTSP/1.0 {line}\r\n\r\n");
        assert_eq!(feed(&mut client, text.as_bytes()), (vec![], Ok(())), "{line}");
    }
    assert_eq!(client.keep_alive.method(), Method::Options);
}

#[test]
fn udp() {
    let (mut client, _) = started(Wanted::Any);
    let start = [answer(1, "", ""), answer(2, "", SDP), "RTSP/1.0 461 No\r\n\r\n".into()].concat();
    let (events, _) = feed(&mut client, start.as_bytes());
    assert_eq!(events.last(), Some(&Event::Bind(0)));
    let mut out = Vec::new();
    client.bound((5000, 5001), NOW, &mut out).expect("it waits for them");
    assert_eq!(
        sent(&out[0]).as_deref(),
        Some("SETUP rtsp://h/live/t1 4|Transport: RTP/AVP;unicast;client_port=5000-5001")
    );
    let transport = "Transport: RTP/AVP;unicast;source=10.0.0.9;client_port=5000-5001;server_port=7000-7001\r\n";
    let (events, _) = feed(&mut client, answer(4, transport, "").as_bytes());
    let source = Some("10.0.0.9".parse().expect("an address"));
    assert_eq!(events, [Event::Remote { track: 0, source, ports: Some((7000, 7001)) }, Event::Bind(1)]);
    client.bound((5002, 5003), NOW, &mut out).expect("it waits for them");
    let (events, _) = feed(&mut client, answer(5, "Transport: RTP/AVP;unicast;source=0.0.0.0\r\n", "").as_bytes());
    assert_eq!(events[0], Event::Remote { track: 1, source: None, ports: None });
    assert_eq!(feed(&mut client, answer(6, "", "").as_bytes()).0, [Event::Playing]);
    assert_eq!(client.step(), "packet by UDP after PLAY");
    // TCP only stays so.
    let (mut client, _) = started(Wanted::Tcp);
    assert!(feed(&mut client, start.as_bytes()).1.is_err_and(|error| error.to_string().contains("461")));
}

#[test]
fn sound_may_be_refused() {
    let mut client = after(&[answer(1, "", ""), answer(2, "", SDP), answer(3, "", "")]);
    let (events, result) = feed(&mut client, b"RTSP/1.0 453 No\r\n\r\n");
    assert_eq!((result, client.tracks().len()), (Ok(()), 1));
    assert!(events.iter().filter_map(sent).all(|request| request.starts_with("PLAY")));
    assert!(client.take_notes().iter().any(|note| note.contains("left out")));
}

#[test]
fn a_second_connection_only_where_it_helps() {
    let (client, _) = started(Wanted::Any);
    let mut client = client.again().expect("OPTIONS was taken ill");
    let mut out = Vec::new();
    client.start(NOW, &mut out);
    assert!(sent(&out[0]).is_some_and(|request| request.starts_with("DESCRIBE")));
    assert!(client.again().is_none());
    // Closed after its challenge, as HTTP servers do.
    let mut client = after(&[answer(1, "", "")]);
    let challenge = "RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n";
    feed(&mut client, challenge.as_bytes()).1.expect("it can be answered");
    let mut client = client.again().expect("the answer may be given in a new connection");
    out.clear();
    client.start(NOW, &mut out);
    assert!(sent(&out[0]).is_some_and(|request| request.contains("nonce=\"n\"")));
    assert!(after(&[answer(1, "", "")]).again().is_none());
}

#[test]
fn broken_dialogues() {
    let mut random = Random(0x322);
    let seed = dialogue();
    for round in 0..8_000 {
        let mut bytes = seed.clone();
        random.mutate(&mut bytes);
        let (mut client, _) = started([Wanted::Any, Wanted::Tcp, Wanted::Udp][round % 3]);
        let (mut buffer, mut now, mut rest) = (BytesMut::new(), NOW, &bytes[..]);
        let mut requests = 0;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + random.below(rest.len()));
            rest = after;
            buffer.extend_from_slice(part);
            let mut out = Vec::new();
            let result = client.read(&mut buffer, now, &mut out);
            if out.iter().any(|event| matches!(event, Event::Bind(_))) {
                let _ = client.bound((5000, 5001), now, &mut out);
            }
            now += Duration::from_secs(random.below(20) as u64);
            client.wake_up(now, &mut out);
            for event in &out {
                if let Event::Send(bytes) = event {
                    requests += 1;
                    let read = Parser::new().next(&mut BytesMut::from(&bytes[..]));
                    assert!(matches!(read, Ok(Some(Item::Request(_) | Item::Response(_)))), "{bytes:?}");
                }
            }
            assert!(client.tracks().len() <= crate::sdp::MAX_TRACKS && client.given_up.len() <= 2);
            if result.is_err() || rest.is_empty() {
                client.close(now, &mut Vec::new());
                break;
            }
        }
        assert!(requests <= bytes.len(), "no request without a reason");
    }
}
