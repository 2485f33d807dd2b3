//! Sessions whose carrier names the stream: over websockets the URLs of requests matter for their control only.

use super::*;

fn bound(offer: Offer) -> Client {
    let mut client = Client { session: session(None), cseq: 0 };
    let name = StreamName { path: "/room/door.h264".into(), original_path: "/Room/Door.h264".into() };
    client.session.config.stream = Some(name);
    client.session.config.offer = offer;
    client
}

#[test]
fn the_carriers_stream_is_played_whatever_the_urls_say() {
    for (describe, setup) in [
        ("rtsp://other/some/where?token=x", "rtsp://other/some/where/trackID=1"),
        ("rtsp://h:1554", "rtsp://h:1554/trackID=1"),
        ("*", "trackID=1"),
    ] {
        let mut client = bound(Offer::Both);
        let [Event::Describe(asked)] = &client.send("DESCRIBE", describe, "", "")[..] else { panic!("{describe}") };
        assert_eq!((asked.path.as_str(), asked.original_path.as_str()), ("/room/door.h264", "/Room/Door.h264"));
        assert_eq!(asked.query.is_some(), describe.contains('?'));
        assert_eq!(response(&client.describe(SDP)[0]).status, 200);
        assert_eq!(client.status("SETUP", setup, "Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n"), 200);
        assert_eq!(client.status("DESCRIBE", "rtsp://yet/another", ""), 200, "again");
        let [Event::Play(play)] = &client.send("PLAY", "rtsp://x/y", "", "")[..] else { panic!("{describe}") };
        assert_eq!((play.path.as_str(), &play.transports[..]), ("/room/door.h264", &[None, interleaved(2)][..]));
    }
}

#[test]
fn setup_without_describe_means_the_carriers_stream_too() {
    let mut client = bound(Offer::Play);
    let events = client.send("SETUP", "rtsp://h/else/trackID=0", "Transport: RTP/AVP/TCP\r\n", "");
    assert!(matches!(&events[..], [Event::Describe(asked)] if asked.path == "/room/door.h264"), "{events:?}");
    assert_eq!(response(&client.describe(ONE)[0]).status, 200);
    assert_eq!(client.status("SETUP", "rtsp://h/else", "Transport: RTP/AVP/TCP\r\n"), 200, "its only track");
}

#[test]
fn the_carriers_stream_is_published_whatever_the_urls_say() {
    let mut client = bound(Offer::Both);
    let events = client.send("ANNOUNCE", "rtsp://h/not/that", "Content-Type: application/sdp\r\n", SDP);
    assert_eq!(status(&events), 200);
    const TRANSPORT: &str = "Transport: RTP/AVP/TCP;unicast;mode=record\r\n";
    assert_eq!(client.status("SETUP", "rtsp://h/not/that/streamid=1", TRANSPORT), 200);
    assert_eq!(client.status("SETUP", "rtsp://h/not/that", TRANSPORT), 404, "which track?");
    let [Event::Publish(publish)] = &client.send("RECORD", "rtsp://h/not/that", "", "")[..] else {
        panic!("no RECORD")
    };
    assert_eq!((publish.path.as_str(), publish.tracks.len()), ("/room/door.h264", 1));
}

#[test]
fn only_tcp_goes_through_a_websocket() {
    for transport in ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/UDP;multicast", "RTP/AVP;multicast"] {
        let mut client = bound(Offer::Both);
        client.send("DESCRIBE", "rtsp://h/x", "", "");
        client.describe(SDP);
        assert_eq!(client.status("SETUP", "rtsp://h/x/trackID=0", &format!("Transport: {transport}\r\n")), 461);
    }
}

#[test]
fn a_session_that_can_only_play_says_so() {
    let mut client = bound(Offer::Play);
    let options = response(&client.send("OPTIONS", "*", "", "")[0]);
    let public = options.headers.get("Public").expect("Public");
    assert!(public.contains("PAUSE") && !public.contains("ANNOUNCE") && !public.contains("RECORD"), "{public}");
    let refused = response(&client.send("ANNOUNCE", "rtsp://h/x", "Content-Type: application/sdp\r\n", SDP)[0]);
    assert_eq!((refused.status, refused.headers.get("Public")), (501, Some(public)));
    assert_eq!(client.status("RECORD", "rtsp://h/x", ""), 501);
    assert_eq!(client.status("GET_PARAMETER", "rtsp://h/x", ""), 200);
}
