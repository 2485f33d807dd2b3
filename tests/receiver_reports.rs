//! The hub tells a publisher how its packets arrive (RFC 3550, section 6.4.2).

mod support;

use support::hub::Hub;
use support::rtsp::{Rtsp, rtp};

#[test]
fn a_publisher_is_told_of_loss() {
    let hub = Hub::start(&[], &[]);
    let mut rtsp = Rtsp::publish(&hub, "/cam");
    rtsp.key_frame(0).expect("it is open");
    // The key frame's packets have the numbers 1 to 3; of the ten from 4 on every second is lost.
    for sequence in (5..=13).step_by(2) {
        let packet = rtp(96, sequence, 3600, true, &[0x41, 0x9a, 0x84, 0x55]);
        rtsp.interleaved(0, &packet).expect("it is open");
    }
    let (channel, report) = rtsp.next_packet().expect("a report comes").expect("the hub keeps the connection");
    assert_eq!((channel, report[1], report[0] & 0x1f), (1, 201, 1), "a receiver report with one block");
    assert_eq!(report[8..12], 0x1234_5678_u32.to_be_bytes(), "about our SSRC");
    assert_eq!(report[13..16], [0, 0, 5], "packets lost");
    assert_eq!(report[16..20], 13_u32.to_be_bytes(), "the highest sequence number");
}
