use std::time::{Duration, Instant};

use super::*;

const DIALOGUE: &[u8] = include_bytes!("../../../testdata/ffmpeg_publish_tcp.txt");

fn all(input: &[u8]) -> Vec<Item> {
    let mut parser = Parser::new();
    let mut buf = BytesMut::from(input);
    let mut items = Vec::new();
    while let Some(item) = parser.next(&mut buf).expect("valid") {
        items.push(item);
    }
    assert_eq!(parser.consumed() as usize + buf.len(), input.len());
    items
}

/// Reads `input` in two pieces cut at every point, and byte by byte; all must give the same.
fn at_every_split(input: &[u8]) -> Vec<Item> {
    let whole = all(input);
    for cut in 0..=input.len() {
        let mut parser = Parser::new();
        let mut buf = BytesMut::new();
        let mut items = Vec::new();
        for part in [&input[..cut], &input[cut..]] {
            buf.extend_from_slice(part);
            while let Some(item) = parser.next(&mut buf).expect("valid") {
                items.push(item);
            }
        }
        assert_eq!(items, whole, "cut at {cut}");
    }
    let mut parser = Parser::new();
    let mut buf = BytesMut::new();
    let mut items = Vec::new();
    for byte in input {
        buf.extend_from_slice(&[*byte]);
        items.extend(parser.next(&mut buf).expect("valid"));
    }
    assert_eq!(items, whole, "byte by byte");
    whole
}

fn request(input: &[u8]) -> Request {
    match at_every_split(input).as_slice() {
        [Item::Request(request)] => request.clone(),
        other => panic!("{other:?}"),
    }
}

/// The first error, wherever the input is cut; a limit may be seen before all bytes have come, but never another fault.
fn error(input: &[u8]) -> ParseError {
    let fail = |parts: &[&[u8]]| {
        let mut parser = Parser::new();
        let mut buf = BytesMut::new();
        for part in parts {
            buf.extend_from_slice(part);
            loop {
                match parser.next(&mut buf) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(parser.next(&mut buf), Err(error.clone()), "asked again");
                        return error;
                    }
                }
            }
        }
        panic!("no error in {}", quoted(&String::from_utf8_lossy(input)));
    };
    let whole = fail(&[input]);
    for cut in (0..input.len()).step_by(1 + input.len() / 500) {
        assert_eq!(fail(&[&input[..cut], &input[cut..]]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn ffmpeg_publishing() {
    let methods: Vec<String> = at_every_split(DIALOGUE)
        .into_iter()
        .map(|item| match item {
            Item::Request(request) => format!("{} {}", request.method, request.body.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(methods, ["OPTIONS 0", "ANNOUNCE 495", "SETUP 0", "SETUP 0", "RECORD 0", "TEARDOWN 0"]);
}

#[test]
fn deviations_of_real_peers() {
    let plain = request(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: a b\r\n\r\n");
    assert_eq!((&plain.method, plain.uri.as_str()), (&Method::Options, "*"));
    assert_eq!(plain.headers.get("user-agent"), Some("a b"));
    for (name, input) in [
        ("bare LF", b"OPTIONS * RTSP/1.0\nCSeq: 1\nUser-Agent: a b\n\n".as_slice()),
        ("empty lines before", b"\r\n\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: a b\r\n\r\n"),
        ("folded", b"OPTIONS * RTSP/1.0\r\nCSeq:\r\n 1\r\nUser-Agent: a\r\n\t b\r\n\r\n"),
        ("spaces", b"OPTIONS  *  RTSP/1.0 \r\nCSeq :1 \r\nUser-Agent:  a b\r\n\r\n"),
        ("a line without colon", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nnonsense\r\nUser-Agent: a b\r\n\r\n"),
    ] {
        let read = request(input);
        assert_eq!((&read.method, &read.uri), (&plain.method, &plain.uri), "{name}");
        let value = |name| read.headers.get(name).map(str::trim);
        assert_eq!((value("CSEQ"), value("User-Agent")), (Some("1"), Some("a b")), "{name}");
    }
    assert_eq!(request(b"DESCRIBE live/my stream RTSP/1.0\r\n\r\n").uri, "live/my stream");
    assert_eq!(request(b"FOO /x RTSP/1.0\r\n\r\n").method, Method::Other("FOO".to_owned()));
    assert_eq!(request(b"OPTIONS /x RTSP/1.0\r\nX: \xff\xe9\r\n\r\n").headers.get("x"), Some("\u{fffd}\u{fffd}"));
    assert_eq!(&request(b"ANNOUNCE /x RTSP/1.0\r\ncontent-length: 5\r\n\r\n$\0\0\r\n").body[..], b"$\0\0\r\n");
}

#[test]
fn interleaved_packets_between_messages() {
    let items = at_every_split(
        b"$\x01\x00\x03abc$\x00\x00\x00RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n\r\n$\xff\x00\x01$TEARDOWN /x RTSP/1.0\r\n\r\n",
    );
    let [first, empty, Item::Response(response), last, Item::Request(_)] = items.as_slice() else {
        panic!("{items:?}")
    };
    assert_eq!(first, &Item::Interleaved { channel: 1, data: Bytes::from_static(b"abc") });
    assert_eq!(empty, &Item::Interleaved { channel: 0, data: Bytes::new() });
    assert_eq!(last, &Item::Interleaved { channel: 255, data: Bytes::from_static(b"$") });
    assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
}

#[test]
fn a_packet_is_a_slice_of_the_buffer() {
    let mut buf = BytesMut::from(b"$\x00\x00\x04abcd".as_slice());
    let at = buf[4..].as_ptr();
    let Ok(Some(Item::Interleaved { data, .. })) = Parser::new().next(&mut buf) else { panic!("no packet") };
    assert_eq!(data.as_ptr(), at);
}

#[test]
fn responses_read_back() {
    let response = Response::new(454).with("CSeq", "9").with_text("no session");
    let Item::Response(mut read) = at_every_split(&response.to_bytes())[0].clone() else { panic!("no response") };
    assert_eq!(read.headers.get("Content-Length"), Some("11"));
    read.headers = response.headers.clone();
    assert_eq!(read, response);
}

#[test]
fn faults_are_told_with_their_place() {
    let mut long_head = b"OPTIONS * RTSP/1.0\r\n".to_vec();
    for _ in 0..10 {
        long_head.extend(format!("X: {}\r\n", "x".repeat(10_000)).bytes());
    }
    let many = format!("OPTIONS * RTSP/1.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
    let million = format!("OPTIONS * RTSP/1.0\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let no_newline = "O".repeat(MAX_LINE + 1);
    for (input, offset, what) in [
        (b"\x16\x03\x01".as_slice(), 0, Malformed::Start(0x16)),
        (b"$\x00\x00\x01a\r\n\x00", 7, Malformed::Start(0)),
        (b"\r\nhello\r\n\r\n", 2, Malformed::StartLine("\"hello\"".into())),
        (b"GET / HTTP/1.1\r\n\r\n", 0, Malformed::Version("\"HTTP/1.1\"".into())),
        (b"PLAY / RTSP/2.0\r\n\r\n", 0, Malformed::Version("\"RTSP/2.0\"".into())),
        (b"OPTIONS RTSP/1.0\r\n\r\n", 0, Malformed::StartLine("\"OPTIONS RTSP/1.0\"".into())),
        (b"RTSP/1.0 \xc3\xa9\xc3\xa9\r\n\r\n", 0, Malformed::StartLine("\"RTSP/1.0 éé\"".into())),
        (b"RTSP/1.0 2\r\n\r\n", 0, Malformed::StartLine("\"RTSP/1.0 2\"".into())),
        (b"A / RTSP/1.0\nContent-Length: -1\n\n", 33, Malformed::ContentLength("\"-1\"".into())),
        (b"A / RTSP/1.0\nContent-Length: 1\nContent-Length: 2\n\n", 50, Malformed::ContentLength("\"2\"".into())),
        (b"A / RTSP/1.0\nContent-Length: 300000\n\n", 37, Malformed::Body(300_000)),
        (b"A / RTSP/1.0\nContent-Length: 99999999999999999999\n\n", 51, Malformed::Body(u64::MAX)),
        (&long_head, MAX_HEAD as u64, Malformed::Head),
        (many.as_bytes(), 20 + 129 * 6, Malformed::Headers),
        (million.as_bytes(), 20, Malformed::Line),
        (no_newline.as_bytes(), 0, Malformed::Line),
    ] {
        assert_eq!(error(input), ParseError { offset, what });
    }
}

#[test]
fn the_largest_allowed_message_is_taken() {
    let head = format!("A / RTSP/1.0\r\nContent-Length: {MAX_BODY}\r\n\r\n");
    let mut input = head.into_bytes();
    input.resize(input.len() + MAX_BODY, b'x');
    assert_eq!(all(&input).len(), 1);
    let headers = "X: y\r\n".repeat(MAX_HEADERS);
    assert_eq!(all(format!("A / RTSP/1.0\r\n{headers}\r\n").as_bytes()).len(), 1);
}

/// A parser that searched from the start for each byte would look at 2 * 10^9 bytes here, with this one it takes milliseconds.
#[test]
fn byte_by_byte_is_not_quadratic() {
    let mut input = b"OPTIONS * RTSP/1.0\r\n".to_vec();
    while input.len() < 60_000 {
        input.extend(format!("X: {}\r\n", "x".repeat(15_000)).bytes());
    }
    let start = Instant::now();
    let mut parser = Parser::new();
    let mut buf = BytesMut::new();
    for byte in &input {
        buf.extend_from_slice(&[*byte]);
        assert_eq!(parser.next(&mut buf), Ok(None));
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
