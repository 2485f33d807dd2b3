use super::*;

fn nals() -> Vec<Vec<u8>> {
    let slice = |first: u8, n: usize| [vec![first, 0x80], (0..n).map(|i| i as u8).collect()].concat();
    vec![slice(0x06, 30), slice(0x65, 5000), slice(0x41, 3)]
}

fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32).to_be_bytes();
    let head = [kind, size[1], size[2], size[3], 0, 0, 0, 0, 0, 0, 0];
    [&head[..], body, &(body.len() as u32 + 11).to_be_bytes()].concat()
}

fn file() -> Vec<u8> {
    let mut video = vec![0x17, 1, 0, 0, 0];
    for nal in nals() {
        video.extend((nal.len() as u32).to_be_bytes());
        video.extend(nal);
    }
    [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tag(8, &[0xaf, 1, 2]), tag(9, &[0x17, 0, 0, 0, 0, 1]), tag(9, &video)]
        .concat()
}

fn unframed(mut framing: Framing, wire: &[u8], piece: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut flv, mut found, mut reply) = (Flv::default(), Vec::new(), Vec::new());
    for piece in wire.chunks(piece) {
        framing.push(piece, &mut reply, &mut flv.bytes).expect("right framing");
        flv.drain(|nal| found.push(nal.to_vec())).expect("right FLV");
    }
    (found, reply)
}

#[test]
fn flv_comes_out_of_every_framing_in_pieces_of_any_size() {
    let (mut chunked, mut websocket) = (Vec::new(), Vec::new());
    for part in file().chunks(700) {
        chunked.extend(format!("{:x};x=y\r\n", part.len()).into_bytes());
        chunked.extend([part, b"\r\n"].concat());
        websocket.extend([&[0x82, 126, (part.len() >> 8) as u8, part.len() as u8], part].concat());
        websocket.extend([0x89, 2, b'h', b'i']);
    }
    for piece in [1, 2, 3, 7, 1000, usize::MAX] {
        assert_eq!(unframed(Framing::Raw, &file(), piece).0, nals());
        assert_eq!(unframed(Framing::chunked(), &chunked, piece).0, nals());
        let (found, reply) = unframed(Framing::websocket(), &websocket, piece);
        assert_eq!(found, nals());
        assert_eq!(reply[..8], [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
}

#[test]
fn long_websocket_frames() {
    let body = vec![7; 70_000];
    let wire = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70], &body[..]].concat();
    let mut out = Vec::new();
    Framing::websocket().push(&wire, &mut Vec::new(), &mut out).expect("right framing");
    assert_eq!(out, body);
}

#[test]
fn what_is_wrong_is_said() {
    let push = |mut framing: Framing, wire: &[u8]| {
        framing.push(wire, &mut Vec::new(), &mut Vec::new()).expect_err("wrong").to_string()
    };
    assert!(push(Framing::chunked(), b"xyz\r\n").contains("xyz"));
    assert!(push(Framing::chunked(), b"0\r\n").contains("ended"));
    assert!(push(Framing::chunked(), &[b'1'; 200]).contains("chunk"));
    assert!(push(Framing::websocket(), &[0x82, 0x85]).contains("masked"));
    assert!(push(Framing::websocket(), b"\x88\x05\x03\xe8bye").contains("bye"));
    let flv = |bytes: Vec<u8>| Flv { bytes, begun: false }.drain(|_| {}).expect_err("wrong").to_string();
    assert!(flv(b"not an FLV file".to_vec()).contains("signature"));
    let mut wrong = file();
    wrong[13] = 7;
    assert!(flv(wrong).contains("kind 7"));
    let mut wrong = file();
    wrong[13 + 11 + 3 + 3] = 99;
    assert!(flv(wrong).contains("PreviousTagSize 99"));
}
