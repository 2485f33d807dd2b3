//! Program specific information (section 2.4.4): what the program's streams are. Both tables fit one packet.

use bytes::{BufMut, BytesMut};

use super::PACKET;

/// PID of the program association table.
pub(super) const PAT_PID: u16 = 0;
/// PID of the program map table; any that is not reserved.
pub(super) const PMT_PID: u16 = 0x1000;
const PROGRAM: u16 = 1;

/// A stream as the program map table lists it: `stream_type` and PID.
pub(super) type Entry = (u8, u16);

/// A packet with the program association table.
pub(super) fn pat(counter: u8, out: &mut BytesMut) {
    let mut section = [0; 12];
    section[0] = 0; // table_id
    section[1..3].copy_from_slice(&(0xb000u16 | 13).to_be_bytes()); // length: what follows, with the checksum
    section[3..5].copy_from_slice(&1u16.to_be_bytes()); // transport_stream_id
    section[5] = 0xc1; // version 0, current
    section[8..10].copy_from_slice(&PROGRAM.to_be_bytes());
    section[10..12].copy_from_slice(&(0xe000 | PMT_PID).to_be_bytes());
    packet(PAT_PID, counter, &section, out);
}

/// A packet with the program map table; `version` of 5 bits is that of the list of streams, at most two.
pub(super) fn pmt(counter: u8, version: u8, pcr_pid: u16, entries: impl Iterator<Item = Entry>, out: &mut BytesMut) {
    let mut section = vec![2, 0, 0]; // table_id, length below
    section.extend(PROGRAM.to_be_bytes());
    section.extend([0xc1 | (version & 31) << 1, 0, 0]);
    section.extend((0xe000 | pcr_pid).to_be_bytes());
    section.extend([0xf0, 0]); // no descriptors of the program
    for (stream_type, pid) in entries {
        section.push(stream_type);
        section.extend((0xe000 | pid).to_be_bytes());
        section.extend([0xf0, 0]);
    }
    let length = (section.len() - 3 + 4) as u16;
    section[1..3].copy_from_slice(&(0xb000 | length).to_be_bytes());
    packet(PMT_PID, counter, &section, out);
}

/// Puts a section and its checksum into one packet.
fn packet(pid: u16, counter: u8, section: &[u8], out: &mut BytesMut) {
    let end = out.len() + PACKET;
    let [high, low] = pid.to_be_bytes();
    // payload_unit_start_indicator; payload only; pointer_field
    out.put_slice(&[0x47, 0x40 | high, low, 0x10 | counter & 15, 0]);
    out.put_slice(section);
    out.put_u32(crc(section));
    out.resize(end, 0xff);
}

/// CRC-32 of annex A.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}
