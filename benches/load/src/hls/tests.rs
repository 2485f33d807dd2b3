use super::*;
use crate::stamp::Stamp;
use crate::target::Target;

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42c01f,x\"\n./a.m3u8?session=7\n";
const FIRST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
    #EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-MAP:URI=\"a/init0.mp4?session=7\"\n#EXTINF:2,\na/4.m4s\n\
    #EXT-X-PART:DURATION=0.5,URI=\"a/5.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"a/5.1.m4s\"\n#EXTINF:1,\na/5.m4s\n\
    #EXT-X-PART:DURATION=0.5,URI=\"a/6.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"a/6.1.m4s\"\n\
    #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a/6.2.m4s\"\n";

fn player() -> (Hls, Watch, Vec<u8>) {
    let target = Target::new("http://127.0.0.1:1/streams/a.m3u8", 0, false).expect("a URL");
    let mut out = Vec::new();
    (Hls::new(&target, &mut out).expect("a player"), Watch::new(0), out)
}

/// What it asks for, once it was answered in pieces of every size.
fn asks(player: &mut Hls, watch: &mut Watch, body: &[u8]) -> String {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    let mut out = Vec::new();
    for piece in answer.chunks(7) {
        player.received(piece, 5_000_000, watch, &mut out).expect("an answer");
    }
    line(&out)
}

fn line(out: &[u8]) -> String {
    String::from_utf8_lossy(out).lines().next().unwrap_or_default().to_owned()
}

fn part(frame: u32, slice: u8) -> Vec<u8> {
    let mut data = Vec::new();
    for nal in [&Stamp { micros: 1_000_000, frame, stream: 0 }.sei()[..], &[slice, 0x80]] {
        data.extend((nal.len() as u32).to_be_bytes());
        data.extend(nal);
    }
    let mut out = vec![0, 0, 0, 8];
    out.extend(b"moof");
    out.extend((data.len() as u32 + 8).to_be_bytes());
    out.extend(b"mdat");
    out.extend(data);
    out
}

#[test]
fn it_begins_with_the_newest_key_frame_and_waits_for_parts() {
    let (mut player, mut watch, out) = player();
    watch.record = true;
    assert_eq!(line(&out), "GET /streams/a.m3u8 HTTP/1.1");
    let mut next = |body: &[u8]| asks(&mut player, &mut watch, body);
    assert_eq!(next(MULTIVARIANT.as_bytes()), "GET /streams/a.m3u8?session=7 HTTP/1.1");
    assert_eq!(next(FIRST.as_bytes()), "GET /streams/a/init0.mp4?session=7 HTTP/1.1");
    assert_eq!(next(b"ftyp"), "GET /streams/a/6.0.m4s HTTP/1.1");
    assert_eq!(next(&part(10, 0x65)), "GET /streams/a/6.1.m4s HTTP/1.1");
    let reload = "GET /streams/a.m3u8?session=7&_HLS_msn=6&_HLS_part=2 HTTP/1.1";
    assert_eq!(next(&part(11, 0x41)), reload);
    // The segment is whole, and has one more part.
    let more = FIRST.replace(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a/6.2.m4s\"\n",
        "#EXT-X-PART:DURATION=0.5,URI=\"a/6.2.m4s\"\n#EXTINF:1.5,\na/6.m4s\n",
    );
    assert_eq!(next(more.as_bytes()), "GET /streams/a/6.2.m4s HTTP/1.1");
    assert_eq!(next(&part(13, 0x41)), "GET /streams/a.m3u8?session=7&_HLS_msn=7&_HLS_part=0 HTTP/1.1");
    assert_eq!((watch.seen.latencies.len(), watch.seen.lost), (3, 1));
    assert_eq!(watch.key_us, Some(5_000_000));
}

#[test]
fn a_server_without_parts_is_asked_again_in_time() {
    let (mut player, mut watch, _) = player();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:8\n#EXTINF:2,\n8.mp4\n#EXTINF:2,\n9.mp4\n";
    assert_eq!(asks(&mut player, &mut watch, text.as_bytes()), "GET /streams/9.mp4 HTTP/1.1");
    assert_eq!(asks(&mut player, &mut watch, &part(1, 0x65)), "GET /streams/a.m3u8 HTTP/1.1");
    assert_eq!(asks(&mut player, &mut watch, text.as_bytes()), "", "nothing is new");
    let mut out = Vec::new();
    player.tick(5_900_000, &mut out).expect("time");
    assert!(out.is_empty());
    player.tick(6_000_000, &mut out).expect("time");
    assert_eq!(line(&out), "GET /streams/a.m3u8 HTTP/1.1");
}

#[test]
fn answers_in_chunks_and_broken_ones() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nHTTP";
    for cut in 0..chunked.len() - 4 {
        assert_eq!(Answer::read(&chunked[..cut]).expect("whole or not"), None, "{cut}");
    }
    let (answer, len) = Answer::read(chunked).expect("right").expect("whole");
    assert_eq!((answer.body.as_slice(), len), (&b"abcde"[..], chunked.len() - 4));
    for wrong in
        ["HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"]
    {
        assert!(Answer::read(wrong.as_bytes()).is_err(), "{wrong}");
    }
    for wrong in [&b"\0\0\0\x07mdat"[..], b"\0\0\0\x10mdat", b"\0\0\0\x0dmdat\0\0\0\x09A", b"\0\0"] {
        assert!(pictures(wrong, |_| {}).is_err(), "{wrong:?}");
    }
    let (mut player, mut watch, _) = player();
    let gone = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let error = player.received(gone, 0, &mut watch, &mut Vec::new()).expect_err("refused").to_string();
    assert!(error.contains("503"), "{error}");
}
