use super::*;
use crate::frame::Codec;

const FFMPEG_TCP: &[u8] = include_bytes!("../../../../testdata/ffmpeg_play_tcp.txt");
const FFMPEG_UDP: &[u8] = include_bytes!("../../../../testdata/ffmpeg_play_udp.txt");
const FFMPEG_461: &[u8] = include_bytes!("../../../../testdata/ffmpeg_play_461.txt");
const FFMPEG_FALLBACK: &[u8] = include_bytes!("../../../../testdata/ffmpeg_play_fallback.txt");
const GSTREAMER_TCP: &[u8] = include_bytes!("../../../../testdata/gstreamer_play_tcp.txt");
const GSTREAMER_UDP: &[u8] = include_bytes!("../../../../testdata/gstreamer_play_udp.txt");
const GSTREAMER_461: &[u8] = include_bytes!("../../../../testdata/gstreamer_play_461.txt");

const UDP_PORTS: Option<(u16, u16)> = Some((6970, 6971));
fn start(sequence: u16, timestamp: u32) -> Option<RtpStart> {
    Some(RtpStart { sequence, timestamp })
}

/// What a dialogue gave: the events that are no reply, and the replies.
#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    replies: Vec<Response>,
}

/// Feeds a captured dialogue and answers what the machine asks.
fn dialogue(udp_ports: Option<(u16, u16)>, bytes: &[u8]) -> Seen {
    let mut client = Client { session: session(udp_ports), cseq: 0 };
    let mut seen = Seen::default();
    let mut parser = Parser::new();
    let mut buf = BytesMut::from(bytes);
    while let Ok(Some(Item::Request(request))) = parser.next(&mut buf) {
        let mut events = Vec::new();
        client.session.request(request, &mut events);
        match events.last() {
            Some(Event::Describe(_)) => events.extend(client.describe(SDP)),
            Some(Event::Play(_)) => {
                assert!(!client.session.is_playing());
                events.extend(client.play(vec![start(7, 700), start(8, 800)]));
                assert!(client.session.is_playing() && !client.session.is_publishing());
                assert_eq!(client.session.path(), Some("/live/test"));
            }
            _ => {}
        }
        for event in events {
            match event {
                Event::Reply(_) => seen.replies.push(response(&event)),
                other => seen.events.push(other),
            }
        }
    }
    assert!(buf.is_empty(), "{buf:?}");
    seen
}

#[test]
fn ffmpeg_and_gstreamer_play() {
    for (name, bytes, udp_ports, query) in [
        ("ffmpeg over TCP", FFMPEG_TCP, None, None),
        ("ffmpeg over UDP", FFMPEG_UDP, UDP_PORTS, Some("token=a")),
        ("GStreamer over TCP", GSTREAMER_TCP, UDP_PORTS, None),
        ("GStreamer over UDP", GSTREAMER_UDP, UDP_PORTS, None),
    ] {
        let Seen { events, replies } = dialogue(udp_ports, bytes);
        let [Event::Describe(describe), Event::Play(play), Event::End(EndReason::Teardown)] = events.as_slice() else {
            panic!("{name}: {events:?}");
        };
        assert_eq!((describe.path.as_str(), describe.query.as_deref()), ("/live/test", query), "{name}");
        assert_eq!(play.path, describe.path);
        if name.ends_with("TCP") {
            assert_eq!(play.transports, [interleaved(0), interleaved(2)], "{name}");
        } else {
            assert!(matches!(
                play.transports[..],
                [Some(TrackTransport::Udp { .. }), Some(TrackTransport::Udp { .. })]
            ));
        }
        for (index, reply) in replies.iter().enumerate() {
            assert_eq!(
                (reply.status, reply.headers.get("CSeq")),
                (200, Some((index + 1).to_string().as_str())),
                "{name}"
            );
            assert_eq!(reply.headers.get("Session"), (index >= 2).then_some("abc;timeout=60"), "{name}");
        }
        let [options, description, first, second, playing, _] = replies.as_slice() else { panic!("{name}") };
        assert_eq!(options.headers.get("Public"), Some(public(Offer::Both)));
        assert_eq!(description.headers.get("Content-Type"), Some("application/sdp"));
        assert_eq!(description.headers.get("Content-Base"), Some("rtsp://127.0.0.1:1554/live/test/"), "{name}");
        let sdp = Description::parse(&description.body).expect("a description");
        assert_eq!((sdp.control.as_str(), sdp.name.as_str(), sdp.tracks.len()), ("*", "/live/test", 2));
        for (reply, ssrc) in [(first, ";ssrc=0000BEEF"), (second, ";ssrc=CAFE0001")] {
            let transport = reply.headers.get("Transport").expect("one");
            assert!(transport.ends_with(ssrc), "{transport}");
            assert_eq!(transport.contains(";server_port=6970-6971;"), name.ends_with("UDP"), "{transport}");
        }
        assert_eq!(playing.headers.get("Range"), Some("npt=now-"));
        assert_eq!(
            playing.headers.get("RTP-Info"),
            Some(
                "url=rtsp://127.0.0.1:1554/live/test/trackID=0;seq=7;rtptime=700,\
                 url=rtsp://127.0.0.1:1554/live/test/trackID=1;seq=8;rtptime=800"
            )
        );
    }
}

#[test]
fn players_that_are_refused_udp_take_tcp() {
    for (bytes, expected) in [
        (FFMPEG_461, [200, 200, 461, 200, 200, 200, 200].as_slice()),
        (GSTREAMER_461, &[200, 200, 461, 461, 200, 200, 200, 200]),
    ] {
        let Seen { events, replies } = dialogue(None, bytes);
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), expected);
        let [_, Event::Play(play), _] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(play.transports, [interleaved(0), interleaved(2)]);
    }
}

/// ffmpeg hears nothing over UDP: PAUSE, SETUP of both tracks over TCP without the session's id, PLAY.
#[test]
fn ffmpeg_that_hears_nothing_over_udp_takes_tcp() {
    let Seen { events, replies } = dialogue(UDP_PORTS, FFMPEG_FALLBACK);
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let [Event::Describe(_), Event::Play(udp), Event::Pause, Event::Play(tcp), Event::End(_)] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert!(matches!(udp.transports[..], [Some(TrackTransport::Udp { .. }), Some(TrackTransport::Udp { .. })]));
    assert_eq!(tcp.transports, [interleaved(0), interleaved(2)]);
}

#[test]
fn tracks_are_found_by_their_number() {
    for (sdp, uri, expected) in [
        (SDP, "rtsp://h/live/x/trackID=0", Some(0)),
        (SDP, "rtsp://h/live/x/trackID=1/", Some(1)),
        (SDP, "rtsp://other:99/LIVE/x/TRACKid=01", Some(1)),
        (SDP, "rtsp://h/live/x//trackID%3D1", Some(1)),
        (SDP, "/live/x/trackID=1", Some(1)),
        (SDP, "trackID=1", Some(1)),
        (SDP, "rtsp://h/live/x/trackID=1?token=a", Some(1)),
        (SDP, "rtsp://h/live/x?token=a/trackID=1/", Some(1)),
        (SDP, "rtsp://h/live/x/trackID=2", None),
        (SDP, "rtsp://h/live/x/trackID=+1", None),
        (SDP, "rtsp://h/live/x/trackID=99999999999999999999", None),
        (SDP, "rtsp://h/live/x/trackID=", None),
        (SDP, "rtsp://h/live/x/streamid=0", None),
        (SDP, "rtsp://h/live/x", None),
        (ONE, "rtsp://h/live/x", Some(0)),
        (ONE, "rtsp://h/Live/X/?token=a", Some(0)),
        (ONE, "rtsp://h/live/y", None),
        (ONE, "rtsp://h/live/x/trackID=0", Some(0)),
    ] {
        let mut client = Client::at("describing");
        client.describe(sdp);
        let seen = client.status("SETUP", uri, "Transport: RTP/AVP/TCP\r\n");
        assert_eq!(seen, if expected.is_some() { 200 } else { 404 }, "{uri}");
        assert_eq!(client.session.play_transports().iter().position(Option::is_some), expected, "{uri}");
    }
}

/// The second track, after the first was set up on channels 0 and 1.
#[test]
fn transports_that_are_taken_and_refused() {
    for (transport, status, words) in [
        ("RTP/AVP/TCP", 200, "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=CAFE0001\""),
        ("RTP/AVP/TCP;interleaved=7-9;mode=PLAY", 200, "interleaved=7-9;ssrc=CAFE0001;mode=play"),
        ("RTP/AVP/TCP;interleaved=0-1", 200, "interleaved=2-3"),
        ("RTP/AVP/TCP;interleaved=1-2", 200, "interleaved=2-3"),
        ("RTP/AVP/TCP;interleaved=4-4", 200, "interleaved=2-3"),
        ("RTP/AVP/TCP;interleaved=255", 461, "not offered"),
        ("RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000,RTP/AVP/TCP", 200, "interleaved=2-3"),
        ("RTP/AVP;unicast;client_port=5000", 461, "Track 0 goes another way"),
        ("RTP/AVP;multicast", 461, "Multicast"),
        ("RTP/SAVP;unicast;client_port=1-2", 461, "RTP/SAVP"),
        ("RTP/AVP/TCP;mode=record", 455, "expected mode=play"),
    ] {
        let mut client = Client::at("described");
        client.status("SETUP", "rtsp://h/live/x/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n");
        let events = client.send("SETUP", "rtsp://h/live/x/trackID=1", &format!("Transport: {transport}\r\n"), "");
        let reply = response(&events[0]);
        assert_eq!(reply.status, status, "{transport}");
        let text = format!("{:?} {}", reply.headers.get("Transport"), String::from_utf8_lossy(&reply.body));
        assert!(text.contains(words), "{transport}: {text}");
        assert_eq!(client.session.play_transports()[0], interleaved(0), "{transport}");
    }
    for (transport, status, words) in [
        ("RTP/AVP;unicast;client_port=5000", 200, "client_port=5000-5001;server_port=6970-6971;ssrc=0000BEEF"),
        (
            "RTP/AVP/UDP;unicast;client_port=5000-5000;destination=10.1.2.3",
            200,
            "RTP/AVP;unicast;client_port=5000-5000;s",
        ),
        ("RTP/AVP;unicast", 461, "client_port"),
        ("RTP/AVP;unicast;client_port=0-1", 461, "client_port"),
        ("RTP/AVP/TCP;interleaved=9-8", 200, "interleaved=9-8"),
        ("RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000", 200, "client_port=5000-5001"),
    ] {
        let mut client = Client::at("described");
        let events = client.send("SETUP", "rtsp://h/live/x/trackID=0", &format!("Transport: {transport}\r\n"), "");
        let reply = response(&events[0]);
        let text = format!("{:?} {}", reply.headers.get("Transport"), String::from_utf8_lossy(&reply.body));
        assert_eq!((reply.status, text.contains(words)), (status, true), "{transport}: {text}");
        assert!(!text.contains("destination"), "{text}");
    }
    assert_eq!(Client::at("described").status("SETUP", "rtsp://h/live/x/trackID=0", ""), 400);
}

#[test]
fn a_track_may_be_set_up_again_until_it_plays() {
    let url = "rtsp://h/live/x/trackID=0";
    for state in ["prepared", "paused"] {
        let mut client = Client::at(state);
        assert_eq!(client.status("SETUP", url, "Transport: RTP/AVP/TCP;interleaved=8-9\r\n"), 200);
        assert_eq!(client.session.play_transports(), [interleaved(8), interleaved(2)]);
        assert_eq!(client.status("SETUP", url, "Transport: RTP/AVP;multicast\r\n"), 461);
        assert_eq!(client.session.play_transports(), [interleaved(8), interleaved(2)]);
        // Another way: the other track has to follow.
        assert_eq!(client.status("SETUP", url, "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"), 200);
        let udp = Some(TrackTransport::Udp { client_rtp: 5000, client_rtcp: 5001 });
        assert_eq!(client.session.play_transports(), [udp, None]);
        assert!(matches!(&client.send("PLAY", "rtsp://h/live/x", "", "")[..], [Event::Play(play)]
            if play.transports == [udp, None]));
    }
    assert_eq!(Client::at("playing").status("SETUP", url, "Transport: RTP/AVP/TCP\r\n"), 455);
}

#[test]
fn more_tracks_than_usual_channels() {
    let mut client = Client::at("describing");
    client.describe(&ONE.repeat(16));
    for track in (0..16).rev() {
        let uri = format!("rtsp://h/live/x/trackID={track}");
        assert_eq!(client.status("SETUP", &uri, "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"), 200);
    }
    let channels = |client: &Client| -> Vec<u8> {
        (0..=255).filter(|channel| client.session.track_of_channel(*channel).is_some()).collect()
    };
    assert_eq!(channels(&client), []);
    client.send("PLAY", "rtsp://h/live/x", "", "");
    client.play(vec![None; 16]);
    assert_eq!(channels(&client), (0..32).collect::<Vec<u8>>());
    assert_eq!(client.session.track_of_channel(1), Some((15, true)));
    assert_eq!(client.session.track_of_channel(2), Some((14, false)));
}

#[test]
fn play_pause_and_play_again() {
    let mut client = Client::at("prepared");
    for (round, range) in
        ["", "Range: npt=0.000-\r\n", "Range: npt=12-20\r\n", "Range: clock=1-\r\n"].iter().enumerate()
    {
        let events = client.send("PLAY", "rtsp://h/live/x/", range, "");
        let transports = vec![interleaved(0), interleaved(2)];
        assert_eq!(events, [Event::Play(Play { path: "/live/x".into(), transports })], "{range}");
        let mut replies = client.play(vec![start(round as u16, 5), None]);
        assert!(client.session.is_playing());
        // Again: the same, and no event.
        replies.extend(client.send("PLAY", "rtsp://h/live/x/", range, ""));
        for reply in &replies {
            let reply = response(reply);
            assert_eq!((reply.status, reply.headers.get("Range")), (200, Some("npt=now-")), "{range}");
            let info = format!("url=rtsp://h/live/x/trackID=0;seq={round};rtptime=5,url=rtsp://h/live/x/trackID=1");
            assert_eq!(reply.headers.get("RTP-Info"), Some(info.as_str()));
            assert_eq!(reply.headers.get("Session"), Some("abc;timeout=60"));
        }
        assert_eq!(replies.len(), 2);
        assert_eq!(client.session.track_of_channel(3), Some((1, true)));
        let paused = client.send("PAUSE", "rtsp://h/live/x/", "", "");
        let [Event::Pause, reply] = paused.as_slice() else { panic!("{paused:?}") };
        assert_eq!((response(reply).status, client.session.is_playing()), (200, false));
        // Its reports may still come.
        assert_eq!(client.session.track_of_channel(3), Some((1, true)));
    }
}

#[test]
fn a_refused_play_can_be_tried_again() {
    for state in ["prepared", "paused"] {
        let mut client = Client::at(state);
        client.send("PLAY", "rtsp://h/live/x", "", "");
        let mut events = Vec::new();
        client.session.answer_play(Err((503, "too many".into())), &mut events);
        assert_eq!((status(&events), events.len(), client.session.is_playing()), (503, 1, false));
        assert!(matches!(client.send("PLAY", "rtsp://h/live/x", "", "")[..], [Event::Play(_)]));
        // Fewer starts than tracks, or more, do no harm.
        let reply = response(&client.play(vec![None; 50])[0]);
        assert_eq!(reply.headers.get("RTP-Info"), Some("url=rtsp://h/live/x/trackID=0,url=rtsp://h/live/x/trackID=1"));
    }
}

#[test]
fn fewer_ssrcs_than_tracks_do_no_harm() {
    let mut client = Client::at("describing");
    let tracks = Description::parse(SDP.as_bytes()).expect("a description").tracks;
    assert_eq!(tracks[0].codec, Codec::H264);
    client.session.answer_describe(Ok(Described { tracks, ssrcs: vec![] }), &mut Vec::new());
    let events = client.send("SETUP", "rtsp://h/live/x/trackID=1", "Transport: RTP/AVP/TCP\r\n", "");
    assert_eq!(response(&events[0]).headers.get("Transport"), Some("RTP/AVP/TCP;unicast;interleaved=2-3"));
}

#[test]
fn the_hub_ends_a_player() {
    for state in ["described", "prepared", "starting play", "playing", "paused"] {
        let mut client = Client::at(state);
        let mut events = Vec::new();
        client.session.teardown("source\r\nended", &mut events);
        let [Event::Reply(request), Event::End(EndReason::Told(_))] = events.as_slice() else { panic!("{events:?}") };
        assert!(request.starts_with(b"TEARDOWN rtsp://h/live/x RTSP/1.0\r\n"), "{request:?}");
        events.clear();
        client.session.answer_play(Ok(vec![]), &mut events);
        assert_eq!((events.len(), client.session.is_playing(), client.session.is_closed()), (0, false, true));
    }
}
