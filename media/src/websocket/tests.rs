use super::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A masked frame, as clients send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = Vec::new();
    put_head(Opcode::Text, payload.len(), &mut head);
    out.push(first);
    out.push(head[1] | 0x80);
    out.extend(&head[2..]);
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn all(decoder: &mut Decoder, buf: &mut BytesMut) -> Result<Vec<Message>, Fault> {
    std::iter::from_fn(|| decoder.next(buf).transpose()).collect()
}

fn data(bytes: &'static [u8]) -> Message {
    Message::Data(BytesMut::from(bytes))
}

#[test]
fn messages_at_every_split_point() {
    let bytes = [
        frame(0x81, b"hello"),
        frame(0x02, b"one, "),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x80, b"two"),
        frame(0x82, &[7; 300]),
        frame(0x8a, b""),
        frame(0x88, &[3, 0xe8]),
    ]
    .concat();
    let expected = [
        data(b"hello"),
        Message::Ping(Bytes::from_static(b"are you there")),
        data(b"one, two"),
        Message::Data(BytesMut::from(&[7; 300][..])),
        Message::Pong,
        Message::Close,
    ];
    for cut in 0..=bytes.len() {
        let (mut decoder, mut buf, mut found) = (Decoder::new(1000), BytesMut::new(), Vec::new());
        for part in [&bytes[..cut], &bytes[cut..]] {
            buf.extend_from_slice(part);
            found.extend(all(&mut decoder, &mut buf).expect("valid frames"));
        }
        assert_eq!(found, expected, "cut at {cut}");
        assert!(buf.is_empty());
    }
}

#[test]
fn faults_are_told_at_the_head_and_stay() {
    for (bytes, fault) in [
        (vec![0x81, 1, b'x'], Fault::Unmasked),
        (frame(0xc1, b"x"), Fault::Head(0xc1)),
        (frame(0x83, b"x"), Fault::Head(0x83)),
        (frame(0x8f, b"x"), Fault::Head(0x8f)),
        (frame(0x09, b""), Fault::Control),
        (frame(0x89, &[0; 126])[..4].to_vec(), Fault::Control),
        (frame(0x80, b"x"), Fault::Order),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), Fault::Order),
        (frame(0x82, &[0; 1001])[..4].to_vec(), Fault::TooLong(1000)),
        ([frame(0x02, &[0; 600]), frame(0x00, &[0; 600])[..8].to_vec()].concat(), Fault::TooLong(1000)),
        (vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Fault::TooLong(1000)),
    ] {
        let (mut decoder, mut buf) = (Decoder::new(1000), BytesMut::from(&bytes[..]));
        assert_eq!(all(&mut decoder, &mut buf), Err(fault.clone()), "{bytes:?}");
        buf.extend_from_slice(&frame(0x81, b"hello"));
        assert_eq!(decoder.next(&mut buf), Err(fault), "it stays");
    }
}

#[test]
fn a_message_of_endless_tiny_frames_is_refused() {
    let (mut decoder, mut buf) = (Decoder::new(1000), BytesMut::from(&frame(0x02, b"")[..]));
    for _ in 0..2 * MAX_FRAMES {
        buf.extend_from_slice(&frame(0x00, b""));
    }
    assert_eq!(all(&mut decoder, &mut buf), Err(Fault::TooLong(1000)));
}

#[test]
fn any_bytes_end_in_messages_or_a_fault() {
    // xorshift: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let len = (random() % 64) as usize;
        let mut buf: BytesMut = (0..len).map(|_| random() as u8).collect();
        let before = buf.len();
        let found = all(&mut Decoder::new(32), &mut buf);
        assert!(found.map_or(0, |messages| messages.len()) <= before / 6);
    }
}

#[test]
fn heads_by_length() {
    for (len, expected) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65535, &[0x82, 126, 0xff, 0xff]),
        (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        put_head(Opcode::Binary, len, &mut out);
        assert_eq!(out, expected, "{len}");
        assert!(out.len() <= MAX_HEAD);
    }
}

#[test]
fn a_close_frame_holds_what_fits_of_its_reason() {
    let bye = close(1000, &"ä".repeat(100));
    assert_eq!((bye[0], usize::from(bye[1]), &bye[2..4]), (0x88, 2 + 122, &[3, 0xe8][..]));
    assert_eq!(&close(1001, "bye")[..], b"\x88\x05\x03\xe9bye");
}
