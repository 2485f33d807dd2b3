use super::*;

fn tcp() -> Transport {
    Transport::new(Protocol::Tcp)
}

fn udp() -> Transport {
    Transport::new(Protocol::Udp)
}

/// What comes in, what it means, how the hub writes it.
#[test]
fn transports() {
    let record = Some(Mode::Record);
    let play = Some(Mode::Play);
    let pair = Some((2, 3));
    for (input, meaning, written) in [
        (
            "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
            Transport { interleaved: pair, mode: record, ..tcp() },
            "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
        ),
        ("RTP/AVP/TCP", tcp(), "RTP/AVP/TCP;unicast"),
        (
            "rtp/avp/tcp ; Interleaved = 2",
            Transport { interleaved: pair, ..tcp() },
            "RTP/AVP/TCP;unicast;interleaved=2-3",
        ),
        (
            "RTP/AVP/TCP;interleaved=2-3;mode=\"RECEIVE\"",
            Transport { interleaved: pair, mode: record, ..tcp() },
            "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
        ),
        ("RTP/AVP/TCP;mode=\"PLAY,RECORD\"", Transport { mode: record, ..tcp() }, "RTP/AVP/TCP;unicast;mode=record"),
        ("RTP/AVP/TCP;mode=Play;append", Transport { mode: play, ..tcp() }, "RTP/AVP/TCP;unicast;mode=play"),
        (
            "RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=6000-6001;source=10.0.0.1;ssrc=0000beef",
            Transport {
                client_port: Some((5000, 5001)),
                server_port: Some((6000, 6001)),
                source: Some("10.0.0.1".into()),
                ssrc: Some(0xbeef),
                ..udp()
            },
            "RTP/AVP;unicast;source=10.0.0.1;client_port=5000-5001;server_port=6000-6001;ssrc=0000BEEF",
        ),
        (
            "RTP/AVP;client_port=5000",
            Transport { client_port: Some((5000, 5001)), ..udp() },
            "RTP/AVP;unicast;client_port=5000-5001",
        ),
        ("RTP/AVP", Transport::new(Protocol::Multicast), "RTP/AVP;multicast"),
        (
            "RTP/AVP;multicast;destination=235.0.0.1;port=16666-16667;ttl=127",
            Transport {
                destination: Some("235.0.0.1".into()),
                port: Some((16666, 16667)),
                ttl: Some(127),
                ..Transport::new(Protocol::Multicast)
            },
            "RTP/AVP;multicast;destination=235.0.0.1;port=16666-16667;ttl=127",
        ),
        (
            "RTP/AVP/TCP;;interleaved=2-3;",
            Transport { interleaved: pair, ..tcp() },
            "RTP/AVP/TCP;unicast;interleaved=2-3",
        ),
        ("RTP/AVP/TCP;ssrc=xyz;ttl=999", tcp(), "RTP/AVP/TCP;unicast"),
    ] {
        assert_eq!(Transport::parse_list(input), std::slice::from_ref(&meaning), "{input}");
        assert_eq!(meaning.to_string(), written);
        assert_eq!(Transport::parse_list(written), [meaning], "{written}");
    }
}

#[test]
fn alternatives_keep_their_order_and_lose_what_cannot_be_read() {
    let list = Transport::parse_list(
        "RTP/SAVP;unicast, RTP/AVP/TCP;interleaved=256-257,RTP/AVP;unicast;client_port=65535,\
         RTP/AVP;unicast;client_port=a-b,RTP/AVP/TCP;mode=\"PLAY,RECORD\",RTP/AVP;unicast;client_port=70-71",
    );
    assert_eq!(list.iter().map(|transport| transport.protocol).collect::<Vec<_>>(), [Protocol::Tcp, Protocol::Udp]);
    for nothing in ["", ",;,", "RAW/RAW/UDP", "\"", "RTP/AVP/TCP;interleaved=-1", "RTP/AVP/TCP;interleaved=255"] {
        assert_eq!(Transport::parse_list(nothing), [], "{nothing}");
    }
    assert_eq!(Transport::parse_list(&"RTP/AVP/TCP,".repeat(10_000)).len(), MAX_ALTERNATIVES);
}

#[test]
fn session_ids() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (input, id, timeout, written) in [
        ("abc", "abc", None, "abc"),
        (" abc ; timeout=60", "abc", seconds(60), "abc;timeout=60"),
        ("abc;Timeout = 30;x=y", "abc", seconds(30), "abc;timeout=30"),
        ("abc;timeout=-1", "abc", None, "abc"),
        ("abc;timeout=x", "abc", None, "abc"),
        ("", "", None, ""),
    ] {
        let session = SessionId::parse(input);
        assert_eq!(session, SessionId { id: id.to_owned(), timeout }, "{input}");
        assert_eq!(session.to_string(), written);
    }
}

#[test]
fn ranges() {
    let from = |start, end: Option<u64>| {
        Some(Range::From { start: Duration::from_millis(start), end: end.map(Duration::from_millis) })
    };
    for (input, meaning, written) in [
        ("npt=now-", Some(Range::Now), "npt=now-"),
        ("NPT = NOW - ", Some(Range::Now), "npt=now-"),
        ("npt=0.000-", from(0, None), "npt=0.000-"),
        ("npt=10-20.5;time=19970123T143720Z", from(10_000, Some(20_500)), "npt=10.000-20.500"),
        ("npt=1:02:03.5-", from(3_723_500, None), "npt=3723.500-"),
        ("npt=-10", None, ""),
        ("npt=nan-", None, ""),
        ("npt=1e999-", None, ""),
        ("npt=x-y", None, ""),
        ("clock=19961108T142300Z-", None, ""),
        ("", None, ""),
    ] {
        assert_eq!(Range::parse(input), meaning, "{input}");
        assert_eq!(meaning.map(|range| range.to_string()).unwrap_or_default(), written);
    }
}

#[test]
fn rtp_infos() {
    let info = |url: &str, start: Option<(u16, u32)>| RtpInfo {
        url: url.to_owned(),
        start: start.map(|(sequence, timestamp)| RtpStart { sequence, timestamp }),
    };
    assert_eq!(
        rtp_info(&[
            info("rtsp://h/x/trackID=0", Some((65535, 4294967295))),
            info("rtsp://h/x/trackID=1", Some((0, 7)))
        ]),
        "url=rtsp://h/x/trackID=0;seq=65535;rtptime=4294967295,url=rtsp://h/x/trackID=1;seq=0;rtptime=7"
    );
    assert_eq!(rtp_info(&[info("a", None), info("b", Some((1, 2)))]), "url=a,url=b;seq=1;rtptime=2");
    assert_eq!(rtp_info(&[]), "");
}
