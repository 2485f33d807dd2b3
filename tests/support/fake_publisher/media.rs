//! The publisher's media, in real time, with the faults of its script.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::clip::{AUDIO, Clip, START_CODE, VIDEO};
use super::words::Words;
use super::{Rtsp, Script};

/// What can be wrong with its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The stream has no parameter sets: only the description tells them.
    NoSetsInStream,
    /// After 30 pictures the stream's SPS is another.
    SetsChange,
    /// Each NAL unit that is sent whole begins with 00 00 00 01, those of the description too.
    AnnexB,
    /// Each access unit is one packet, its NAL units with start codes between them.
    OnePacket,
    /// The marker bit is set on SPS, PPS and SEI.
    MarkerOnSets,
    /// The marker bit is never set on video.
    MarkerNever,
    /// A new SSRC, sequence and clock after 30 pictures.
    NewSsrc,
    /// After 30 pictures both clocks go on an hour later.
    TimeJump,
    /// After 30 pictures the video's sequence numbers go on elsewhere.
    SequenceJump,
    /// Packets of another SSRC between those of the video.
    Strangers,
    /// Sender reports on their channels and on those of RTP; packets on channels that nobody set up; broken packets.
    Reports,
    /// The first six seconds have no video.
    LateVideo,
    /// The first 14 seconds have no key frame.
    LateKeys,
    /// One key frame, then never another.
    EndlessGop,
}

impl Script {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

/// A track of its description.
#[derive(Debug)]
pub struct Track {
    /// `VIDEO` or `AUDIO`
    source: usize,
    payload_type: u8,
    /// The clip's sound, else A-law silence.
    is_clip: bool,
    pub control: String,
    pub channel: u8,
    pub control_channel: u8,
}

/// How long `Fault::LateVideo` is late.
const LATE: Duration = Duration::from_secs(6);
/// How long `Fault::LateKeys` are late.
const LATE_KEYS: Duration = Duration::from_secs(14);

/// The tracks of a description.
pub fn tracks(sdp: &str) -> Vec<Track> {
    let mut found: Vec<Track> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let source = if media.starts_with("video") { VIDEO } else { AUDIO };
            let payload_type = media.split_whitespace().nth(3).and_then(|number| number.parse().ok());
            let payload_type = payload_type.expect("our own descriptions have one");
            let control = String::new();
            let (is_clip, channel, control_channel) = (source == VIDEO, 0, 1);
            found.push(Track { source, payload_type, is_clip, control, channel, control_channel });
        } else if let Some(track) = found.last_mut() {
            track.is_clip |= line.to_lowercase().contains("mpeg4-generic");
            if let Some(control) = line.strip_prefix("a=control:") {
                track.control = control.trim().to_owned();
            }
        }
    }
    found
}

pub fn send(
    clip: &Clip,
    rtsp: &mut Rtsp,
    tracks: &[Track],
    script: &Script,
    (words, stop): (&Words, &AtomicBool),
) -> io::Result<()> {
    let mut player = clip.play(7);
    let start = Instant::now();
    let (mut pictures, mut sounds, mut moved, mut said) = (0, 0_u32, 0_u16, 0);
    while !stop.load(SeqCst) {
        let (source, at, packets) = player.frame();
        std::thread::sleep((start + at).saturating_duration_since(Instant::now()));
        let is_video = source == VIDEO;
        pictures += u32::from(is_video);
        sounds += u32::from(!is_video);
        if is_video && pictures.is_multiple_of(10) {
            said += 1;
            words.between(said).map_or(Ok(()), |text| rtsp.send(text.as_bytes()))?;
        }
        if is_video && script.has(Fault::LateVideo) && at < LATE {
            // Its numbers begin with what is sent.
            moved = moved.wrapping_add(packets.len() as u16);
            continue;
        }
        let is_key = packets.iter().any(|packet| packet[12] & 0x1f == 7);
        let is_missing = script.has(Fault::EndlessGop) && pictures > 1 || script.has(Fault::LateKeys) && at < LATE_KEYS;
        if is_video && is_key && is_missing {
            moved = moved.wrapping_add(packets.len() as u16);
            continue;
        }
        for track in tracks.iter().filter(|track| track.source == source) {
            if !track.is_clip {
                rtsp.interleaved(track.channel, &silence(track.payload_type, sounds))?;
                continue;
            }
            let mut out = Vec::new();
            for mut packet in packets.iter().cloned() {
                packet[1] = packet[1] & 0x80 | track.payload_type;
                // Each track is a source of its own.
                packet[11] ^= track.channel;
                if is_video {
                    renumber(&mut packet, moved.wrapping_neg(), 0);
                    spoil(script, pictures, &mut packet);
                }
                jump(script, pictures, is_video, &mut packet);
                out.push(packet);
            }
            if is_video && script.has(Fault::OnePacket) {
                (out, moved) = (vec![joined(&out)], moved.wrapping_add(out.len() as u16 - 1));
            }
            for packet in out {
                rtsp.interleaved(track.channel, &packet)?;
                disturb(script, (pictures, at), track, &packet, rtsp)?;
            }
        }
    }
    Ok(())
}

/// 1024 samples at 48 kHz are as long as 170 2/3 at 8 kHz.
fn silence(payload_type: u8, count: u32) -> Vec<u8> {
    let time = |count: u32| count * 512 / 3;
    let mut packet = vec![0x80, payload_type];
    packet.extend((count as u16).to_be_bytes());
    packet.extend(time(count).to_be_bytes());
    packet.extend([9, 9, 9, payload_type]);
    packet.resize(12 + (time(count + 1) - time(count)) as usize, 0xd5);
    packet
}

fn renumber(packet: &mut [u8], numbers: u16, ticks: u32) {
    let sequence = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(numbers);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]).wrapping_add(ticks);
    packet[4..8].copy_from_slice(&time.to_be_bytes());
}

/// Faults of a packet of video.
fn spoil(script: &Script, pictures: u32, packet: &mut Vec<u8>) {
    let kind = packet[12] & 0x1f;
    let is_set = matches!(kind, 7 | 8);
    if is_set && script.has(Fault::NoSetsInStream) {
        // In its place something that decoders pass over, or a packet would be missing.
        packet.truncate(12);
        packet.extend([0x0c, 0xff, 0x80]);
    }
    if kind == 7 && script.has(Fault::SetsChange) && pictures > 30 {
        // A reserved bit of the constraint flags: decoders do not mind.
        packet[14] ^= 0x04;
    }
    if (is_set || kind == 6) && script.has(Fault::MarkerOnSets) {
        packet[1] |= 0x80;
    }
    if script.has(Fault::MarkerNever) {
        packet[1] &= 0x7f;
    }
    if (1..=23).contains(&kind) && script.has(Fault::AnnexB) {
        packet.splice(12..12, START_CODE);
    }
}

/// Clocks and numbers that go on elsewhere.
fn jump(script: &Script, pictures: u32, is_video: bool, packet: &mut [u8]) {
    if pictures <= 30 {
        return;
    }
    if script.has(Fault::NewSsrc) {
        renumber(packet, 31_000, 900_000_000_u32.wrapping_neg());
        packet[8] ^= 0x55;
    }
    if script.has(Fault::TimeJump) {
        renumber(packet, 0, 3600 * if is_video { 90_000 } else { 48_000 });
    }
    if script.has(Fault::SequenceJump) && is_video {
        renumber(packet, 20_000, 0);
    }
}

/// The packets of an access unit as one, fragments put together.
fn joined(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = packets[0][..12].to_vec();
    out[1] |= 0x80;
    for packet in packets {
        let payload = &packet[12..];
        if payload[0] & 0x1f != 28 {
            out.extend(START_CODE);
            out.extend(payload);
            continue;
        }
        if payload[1] & 0x80 != 0 {
            out.extend(START_CODE);
            out.push(payload[0] & 0xe0 | payload[1] & 0x1f);
        }
        out.extend(&payload[2..]);
    }
    out
}

/// What comes between the packets.
fn disturb(
    script: &Script,
    (pictures, at): (u32, Duration),
    track: &Track,
    packet: &[u8],
    rtsp: &mut Rtsp,
) -> io::Result<()> {
    if script.has(Fault::Strangers) && track.source == VIDEO && pictures % 10 == 3 {
        let mut strange = packet.to_vec();
        strange[8..12].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        rtsp.interleaved(track.channel, &strange)?;
    }
    if !script.has(Fault::Reports) || pictures % 10 != 3 {
        return Ok(());
    }
    // A sender report of the moment (RFC 3550, section 6.4.1).
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(&packet[8..12]);
    report.extend((((at.as_millis() as u64) << 32) / 1000).to_be_bytes());
    report.extend(&packet[4..8]);
    report.extend([0; 8]);
    rtsp.interleaved(track.control_channel, &report)?;
    rtsp.interleaved(track.channel, &report)?;
    rtsp.interleaved(200, packet)?;
    rtsp.interleaved(track.control_channel, &[0x81, 202, 0, 40, 1, 2])?;
    rtsp.interleaved(track.channel, &[])?;
    rtsp.interleaved(track.channel, &[0x80, 0x60, 1])
}
