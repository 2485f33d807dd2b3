use std::net::Ipv4Addr;

use super::*;

const URL: &str = "rtsp://h/live/x";
const MULTICAST: &str = "Transport: RTP/AVP;multicast\r\n";

fn group() -> Group {
    let (address, source) = (Ipv4Addr::new(239, 200, 0, 1), Ipv4Addr::new(192, 0, 2, 1));
    Group { address, source, first_port: 16_666, ttl: 3 }
}

fn client(family: AddressFamily) -> Client {
    let mut client = Client::new();
    client.session.config.multicast = true;
    client.session.config.address_family = family;
    client
}

fn described() -> Client {
    let mut client = client(AddressFamily::V4);
    client.send("DESCRIBE", URL, "", "");
    client.describe(SDP);
    client
}

impl Client {
    fn group(&mut self, result: Result<Group, (u16, String)>) -> Response {
        let mut events = Vec::new();
        self.session.answer_group(result, &mut events);
        response(&events[0])
    }
}

#[test]
fn all_tracks_of_a_stream_go_to_its_group() {
    let mut client = described();
    assert_eq!(client.send("SETUP", &format!("{URL}/trackID=0"), MULTICAST, ""), [Event::Group]);
    assert_eq!(client.status("PLAY", URL, ""), 455, "it waits");
    let reply = client.group(Ok(group()));
    let transport = "RTP/AVP;multicast;destination=239.200.0.1;source=192.0.2.1;port=16666-16667;ttl=3;ssrc=0000BEEF";
    assert_eq!((reply.status, reply.headers.get("Transport")), (200, Some(transport)));
    let events = client.send("SETUP", &format!("{URL}/trackID=1"), MULTICAST, "");
    let second = response(&events[0]);
    assert!(second.headers.get("Transport").is_some_and(|t| t.contains("port=16668-16669;ttl=3;ssrc=CAFE0001")));
    let both = [Some(TrackTransport::Multicast); 2];
    assert!(matches!(&client.send("PLAY", URL, "", "")[..], [Event::Play(play)] if play.transports == both));
}

#[test]
fn a_setup_that_comes_first_may_be_for_multicast() {
    let mut client = client(AddressFamily::V4);
    assert!(matches!(client.send("SETUP", &format!("{URL}/trackID=1"), MULTICAST, "")[..], [Event::Describe(_)]));
    assert_eq!(client.describe(SDP), [Event::Group]);
    assert_eq!(client.group(Ok(group())).status, 200);
    assert_eq!(client.session.play_transports(), [None, Some(TrackTransport::Multicast)]);
}

#[test]
fn without_a_group_the_next_transport_is_taken() {
    let full = || Err((453, "All groups are taken.".to_owned()));
    let mut client = described();
    client.send("SETUP", &format!("{URL}/trackID=0"), MULTICAST, "");
    let reply = client.group(full());
    assert_eq!((reply.status, String::from_utf8_lossy(&reply.body).contains("All groups")), (453, true));
    let both = "Transport: RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000\r\n";
    assert_eq!(client.send("SETUP", &format!("{URL}/trackID=0"), both, ""), [Event::Group], "it is asked anew");
    assert!(client.group(full()).headers.get("Transport").is_some_and(|t| t.contains("client_port=5000-5001")));
    assert_eq!(client.send("SETUP", &format!("{URL}/trackID=1"), MULTICAST, ""), [Event::Group]);
    assert_eq!(client.group(Ok(group())).status, 461, "the other track goes another way");
    let first = "Transport: RTP/AVP;unicast;client_port=5002,RTP/AVP;multicast\r\n";
    assert_eq!(client.status("SETUP", &format!("{URL}/trackID=1"), first), 200, "no group is needed");
}

#[test]
fn multicast_is_refused_over_ipv6() {
    let mut client = client(AddressFamily::V6);
    client.send("DESCRIBE", URL, "", "");
    client.describe(SDP);
    let events = client.send("SETUP", &format!("{URL}/trackID=0"), MULTICAST, "");
    let reply = response(&events[0]);
    assert_eq!((reply.status, String::from_utf8_lossy(&reply.body).contains("IPv4")), (461, true));
}

#[test]
fn one_track_of_several_may_end() {
    for state in ["prepared", "playing", "paused"] {
        let mut client = Client::at(state);
        assert_eq!(client.status("TEARDOWN", &format!("{URL}/trackID=1"), ""), 200);
        assert_eq!(client.session.play_transports(), [interleaved(0), None], "{state}");
        assert_eq!(client.status("TEARDOWN", &format!("{URL}/trackID=1"), ""), 404);
        assert_eq!(client.status("TEARDOWN", &format!("{URL}/trackID=9"), ""), 404);
        assert!(!client.session.is_closed());
        let events = client.send("TEARDOWN", &format!("{URL}/trackID=0"), "", "");
        assert!(matches!(events[..], [Event::Reply(_), Event::End(EndReason::Teardown)]), "the last: {events:?}");
    }
    let events = Client::at("playing").send("TEARDOWN", URL, "", "");
    assert!(matches!(events[..], [Event::Reply(_), Event::End(EndReason::Teardown)]));
}
