use super::*;
use crate::frame::{Codec, Kind};

fn parse(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Codec, payload type, clock rate, channels.
fn brief(track: &Track) -> (Codec, u8, u32, u8) {
    (track.codec, track.payload_type, track.clock_rate, track.channels)
}

const FFMPEG: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    a=tool:libavformat LIBAVFORMAT_VERSION\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z/QAC5GWgUH7ARAAAAMAEAAAAwFA8UKq,aM4PGSA=; profile-level-id=F4000B\r\n\
    a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\nb=AS:69\r\na=rtpmap:97 MPEG4-GENERIC/44100/1\r\n\
    a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=120856E500\r\n\
    a=control:streamid=1\r\n";

#[test]
fn ffmpeg_as_it_is() {
    let sdp = parse(FFMPEG);
    assert_eq!((sdp.name.as_str(), sdp.control.as_str(), sdp.notes.len()), ("No Name", "", 0));
    let [video, audio] = sdp.tracks.as_slice() else { panic!("{sdp:?}") };
    assert_eq!((video.kind, brief(video)), (Kind::Video, (Codec::H264, 96, 90_000, 0)));
    assert_eq!((audio.kind, brief(audio)), (Kind::Audio, (Codec::Aac, 97, 44_100, 1)));
    assert_eq!((video.control.as_str(), audio.control.as_str()), ("streamid=0", "streamid=1"));
    assert_eq!((video.encoding.as_str(), audio.encoding.as_str()), ("H264", "MPEG4-GENERIC"));
    assert!(video.fmtp.starts_with("packetization-mode=1; sprop") && video.fmtp.ends_with("F4000B"));
    assert!(video.parameters.is_some() && audio.parameters.is_some());
}

/// Line ends, byte order mark, spaces and broken text change nothing.
#[test]
fn the_same_in_other_dress() {
    let plain = parse(FFMPEG);
    for (name, text) in [
        ("bare LF", FFMPEG.replace("\r\n", "\n")),
        ("byte order mark", format!("\u{feff}{FFMPEG}")),
        ("trailing spaces", FFMPEG.replace("\r\n", " \t\r\n")),
        ("NUL at the end", format!("{FFMPEG}\0")),
        ("no v=, o=, t=, c=", FFMPEG[FFMPEG.find("s=").unwrap_or(0)..].replace("t=0 0\r\n", "").replace("c=", "x")),
        ("a second s= and an empty line", FFMPEG.replace("m=audio", "s=other\r\n\r\nm=audio")),
        ("no end of the last line", FFMPEG.trim_end().to_owned()),
        ("nonsense lines", FFMPEG.replace("t=0 0", "garbage\r\n===\r\nc=IN IP4\r\na=\r\na=rtpmap\r\na=fmtp:x")),
    ] {
        assert_eq!(parse(&text), plain, "{name}");
    }
    let bytes = [b"i=\xff\xfe\r\n".as_slice(), FFMPEG.as_bytes()].concat();
    assert_eq!(Description::parse(&bytes), Ok(plain));
}

#[test]
fn what_cameras_say_of_a_track() {
    let other = Codec::Other;
    for (name, lines, expected, notes) in [
        ("PCMU by number", "m=audio 0 RTP/AVP 0", (Codec::Pcmu, 0, 8_000, 1), 0),
        ("PCMA by number", "m=audio 0 RTP/AVP 8", (Codec::Pcma, 8, 8_000, 1), 0),
        ("G722 by number", "m=audio 0 RTP/AVP 9", (Codec::G722, 9, 8_000, 1), 0),
        ("L16 stereo", "m=audio 0 RTP/AVP 10", (Codec::L16, 10, 44_100, 2), 0),
        ("L16 mono", "m=audio 0 RTP/AVP 11", (Codec::L16, 11, 44_100, 1), 0),
        ("MPA by number", "m=audio 0 RTP/AVP 14", (Codec::Mp3, 14, 90_000, 0), 0),
        ("JPEG by number", "m=video 0 RTP/AVP 26", (Codec::Jpeg, 26, 90_000, 0), 0),
        ("MP2T by number", "m=video 0 RTP/AVP 33", (other, 33, 90_000, 0), 0),
        ("lower case", "m=video 0 RTP/AVP 96\na=rtpmap:96 h264/90000", (Codec::H264, 96, 90_000, 0), 0),
        ("space behind the rate", "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000 ", (Codec::H265, 96, 90_000, 0), 0),
        ("no rate", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264", (Codec::H264, 96, 90_000, 0), 1),
        ("rate 0", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0", (Codec::H264, 96, 90_000, 0), 1),
        ("broken rate", "m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMA/x", (Codec::Pcma, 97, 8_000, 1), 1),
        ("rate with a tail", "m=audio 0 RTP/AVP 97\na=rtpmap:97 L16/16000Hz/2", (Codec::L16, 97, 16_000, 2), 0),
        ("huge rate", "m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/99999999999", (Codec::Opus, 97, 48_000, 2), 1),
        (
            "first known of several",
            "m=audio 0 RTP/AVP 101 8 0\na=rtpmap:101 telephone-event/8000",
            (Codec::Pcma, 8, 8_000, 1),
            0,
        ),
        ("Uniview: no rtpmap", "m=audio 0 RTP/AVP 104", (other, 104, 8_000, 0), 1),
        ("unknown codec", "m=video 0 RTP/AVP 98\na=rtpmap:98 SMART/1/10/90000", (other, 98, 1, 10), 0),
        ("metadata", "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000", (other, 107, 90_000, 0), 0),
        ("type only in rtpmap", "m=video 0 RTP/AVP\na=rtpmap:96 H264/90000", (Codec::H264, 96, 90_000, 0), 0),
        ("wrong name of a static type", "m=audio 0 RTP/AVP 0\na=rtpmap:0 X/1", (Codec::Pcmu, 0, 8_000, 1), 0),
        ("rtpmap of a static type", "m=audio 0 RTP/AVP 8\na=rtpmap:8 PCMA/16000/1", (Codec::Pcma, 8, 16_000, 1), 0),
        (
            "repeated rtpmap",
            "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=rtpmap:96 X/1",
            (Codec::H264, 96, 90_000, 0),
            0,
        ),
    ] {
        let sdp = parse(lines);
        let (codec, payload_type, clock_rate, channels) = expected;
        let channels = if sdp.tracks[0].kind == Kind::Audio { channels } else { 0 };
        assert_eq!(brief(&sdp.tracks[0]), (codec, payload_type, clock_rate, channels), "{name}");
        assert_eq!(sdp.notes.len(), notes, "{name}: {:?}", sdp.notes);
    }
}

#[test]
fn controls_and_formats_go_to_their_place() {
    let sdp = parse(
        "s=Cam\na=control:rtsp://h/x/ \nm=video 0 RTP/AVP 96 97\na=rtpmap:97 H264/90000\na=fmtp:96 no\na=fmtp:97  yes\n\
         a=CONTROL: trackID=1 \nm=foo\nm=text 0 TCP/BFCP *\n",
    );
    assert_eq!((sdp.name.as_str(), sdp.control.as_str()), ("Cam", "rtsp://h/x/"));
    let [track] = sdp.tracks.as_slice() else { panic!("{sdp:?}") };
    assert_eq!((track.payload_type, track.fmtp.as_str(), track.control.as_str()), (97, "yes", "trackID=1"));
    assert_eq!(
        sdp.notes,
        ["line 8: m= without an RTP payload type, left out", "line 9: m= without an RTP payload type, left out"]
    );
}

#[test]
fn broken_parameters_are_a_note() {
    let sdp = parse("m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/8000\na=fmtp:97 mode=AAC-hbr;config=zz");
    assert_eq!(sdp.tracks[0].parameters, None);
    assert_eq!(sdp.notes.len(), 1, "{:?}", sdp.notes);
    assert!(sdp.notes[0].starts_with("line 1: a=fmtp"), "{:?}", sdp.notes);
}

#[test]
fn errors_name_the_line() {
    let tracks = |n: usize| "v=0\n".to_owned() + &"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n".repeat(n);
    assert_eq!(parse(&tracks(MAX_TRACKS)).tracks.len(), MAX_TRACKS);
    let long = format!("v=0\ns={}\nm=audio 0 RTP/AVP 0\n", "x".repeat(MAX_LINE));
    for (text, expected) in [
        (String::new(), SdpError::NoMedia { line: 1 }),
        ("v=0\ns=x".to_owned(), SdpError::NoMedia { line: 2 }),
        ("v=0\nm=\nm=video 0 RTP/AVP x 128 -1".to_owned(), SdpError::NoMedia { line: 3 }),
        (tracks(200), SdpError::TooManyTracks { line: 2 + 2 * MAX_TRACKS }),
        (long, SdpError::LineTooLong { line: 2, len: MAX_LINE + 2 }),
    ] {
        let error = Description::parse(text.as_bytes()).expect_err("no use");
        assert_eq!((error, error.line()), (expected, expected.line()));
        assert!(error.to_string().contains(&format!("line {}", error.line())));
    }
}

#[test]
fn what_is_written_reads_back() {
    let source = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\nm=audio 0 RTP/AVP 8\n\
        m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/44100/2\nm=application 0 RTP/AVP 33\nm=audio 0 RTP/AVP 14\n";
    let sdp = parse(source);
    let text = write("Door\r\nm=video 1 RTP/AVP 1", &sdp.tracks, AddressFamily::V4);
    assert!(text.contains("s=Door  m=video 1 RTP/AVP 1\r\nc=IN IP4 0.0.0.0\r\n"), "{text}");
    assert!(text.contains("m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000/1\r\na=control:trackID=1\r\n"), "{text}");
    let read = parse(&text);
    assert_eq!((read.control.as_str(), read.notes.len()), ("*", 0));
    for (index, (read, written)) in read.tracks.iter().zip(&sdp.tracks).enumerate() {
        assert_eq!((read.kind, brief(read), &read.fmtp), (written.kind, brief(written), &written.fmtp));
        assert_eq!(read.control, format!("trackID={index}"));
    }
    assert_eq!(read.tracks.len(), sdp.tracks.len());
    assert!(write("", &sdp.tracks, AddressFamily::V6).contains("o=- 0 0 IN IP6 ::\r\ns=-\r\nc=IN IP6 ::\r\n"));
}

/// A track of a file or of the hub's own clip has no description that it came from.
#[test]
fn tracks_without_an_encoding_name() {
    let mut track = parse("m=audio 0 RTP/AVP 97\na=rtpmap:97 X/48000/2\n").tracks.remove(0);
    track.encoding.clear();
    for (codec, expected) in [
        (Codec::H264, "a=rtpmap:97 H264/48000/2"),
        (Codec::Aac, "a=rtpmap:97 MPEG4-GENERIC/48000/2"),
        (Codec::Opus, "a=rtpmap:97 opus/48000/2"),
        (Codec::Mp3, "a=rtpmap:97 MPA/48000/2"),
    ] {
        track.codec = codec;
        let text = write("", std::slice::from_ref(&track), AddressFamily::V4);
        assert!(text.contains(&format!("{expected}\r\n")), "{text}");
        assert_eq!(parse(&text).tracks[0].codec, codec);
    }
}
