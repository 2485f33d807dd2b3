//! Codecs that the hub keeps as RTP only: RTSP players get each whole, other outputs tell why they have none of it, and what is
//! beside it plays.

mod support;

use std::collections::VecDeque;
use std::process::Command;
use std::time::Duration;

use support::ffmpeg::{self, AAC, G722, Media};
use support::hub::Hub;
use support::process::Process;
use support::rtsp::Rtsp;
use support::tracks::{self, Payloads, Publisher, Track};
use support::{SOON, http, temporary, wait_for};

const DEADLINE: Duration = Duration::from_secs(60);
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 10 -b:v 500k -strict experimental";
/// As `rtpenc` and `rtpdec` want it: standard Huffman tables, and both quantization tables.
const MJPEG: &str = "-c:v mjpeg -huffman default -force_duplicated_matrix 1 -pix_fmt yuvj420p -q:v 5";
/// Payload bytes of a packet.
const MTU: usize = 1200;
/// Pictures of the clip of AV1.
const PICTURES: usize = 50;

/// The reasons in `outputs`, in the log and in the answer to who asks for what is not there; the sound plays.
fn check_outputs(hub: &Hub, path: &str, codec: &str) {
    let stream = wait_for(SOON, path, || {
        hub.stream(path).filter(|stream| stream.at("audio").is_some() && !stream.list("outputs/hls/carries").is_empty())
    });
    let reasons = [
        ("flv", format!("FLV has no place for {codec}")),
        ("ts", format!("players of TS know no {codec}")),
        ("fmp4", format!("the hub writes no {codec} into MP4")),
        ("hls", format!("the hub writes no {codec} into MP4")),
    ];
    for (output, reason) in &reasons {
        let left = stream.list(&format!("outputs/{output}/leaves_out"));
        assert_eq!(left.len(), 1, "{path}: {stream:?}");
        assert_eq!((left[0].text("codec"), left[0].text("reason")), (codec, reason.as_str()), "{path}: {stream:?}");
        hub.wait_log(&[path, &format!("{codec} is not in {}: {reason}", output.to_uppercase())]);
    }
    for output in ["flv", "ts", "mp4", "m3u8", "m3u8?type=ts"] {
        let url = hub.url("http", &format!("/streams{path}.{output}"));
        ffmpeg::decode(&url, &["-map", "0:a", "-t", "1.5"]);
    }
}

fn push(hub: &Hub, path: &str, video: Option<&str>, audio: Option<&str>) -> Process {
    Media { video, audio, size: "320x176", ..Media::default() }.push(hub, path)
}

/// ffmpeg decodes so many pictures of that size. What it says before the first key frame is no complaint about the hub.
fn check_pictures(hub: &Hub, path: &str, transport: &str, count: usize) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "fatal", "-rtsp_transport", transport]);
    command.args(["-i", &hub.url("rtsp", path), "-map", "0:v", "-frames:v", &count.to_string()]);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-"]);
    let mut player = Process::start(command);
    let (status, _) = player.wait(DEADLINE);
    let lines = player.lines();
    let seen = lines.iter().filter(|line| line.starts_with("0,")).count();
    assert!(status.success() && seen == count, "{path} over {transport}: {status}, {seen} pictures of {count}");
    assert!(lines.contains(&"#dimensions 0: 320x176".to_owned()), "{path} over {transport}: {lines:#?}");
}

#[test]
fn vp9_beside_aac() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/vp9", Some(VP9), Some(AAC));
    check_outputs(&hub, "/rtp/vp9", "VP9");
    for transport in ["tcp", "udp"] {
        check_pictures(&hub, "/rtp/vp9", transport, 50);
    }
    assert_eq!(hub.stream("/rtp/vp9").expect("it is live").text("video/codec"), "VP9");
}

#[test]
fn jpeg_beside_aac() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/jpeg", Some(MJPEG), Some(AAC));
    check_outputs(&hub, "/rtp/jpeg", "JPEG");
    // Each picture is one to begin with: nothing may be wrong with any.
    ffmpeg::decode_with(&hub.url("rtsp", "/rtp/jpeg"), &["-rtsp_transport", "tcp"], &["-map", "0:v", "-t", "2"]);
    check_pictures(&hub, "/rtp/jpeg", "udp", 50);
}

#[test]
fn g722_alone() {
    let hub = Hub::start(&[], &[]);
    let _publisher = push(&hub, "/rtp/g722", None, Some(G722));
    hub.wait_live("/rtp/g722");
    ffmpeg::decode_with(&hub.url("rtsp", "/rtp/g722"), &["-rtsp_transport", "tcp"], &["-t", "2"]);
    let reasons = [
        ("flv", "FLV has no place for G722"),
        ("ts", "players of TS know no G722"),
        ("mp4", "players know no G722 in MP4"),
        ("m3u8", "players know no G722 in MP4"),
        ("m3u8?type=ts", "players of TS know no G722"),
    ];
    for (output, reason) in reasons {
        let answer = http::get(hub.address(), &format!("/streams/rtp/g722.{output}"));
        assert!(answer.status == 404 && answer.text().contains(reason), "{output}: {}", answer.text());
    }
}

/// Neither ffmpeg nor GStreamer as Debian has them send or read AV1 in RTP: it is sent and put together here, and decoded by
/// ffmpeg as what it was before.
#[test]
fn av1_beside_aac() {
    let hub = Hub::start(&[], &[]);
    let units = av1();
    let video = Track {
        sdp: "m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n".into(),
        payload_type: 96,
        clock_rate: 90_000,
        step: 3600,
        units: units.iter().map(packetize).collect(),
    };
    assert!(video.units.iter().any(|payloads| payloads.len() > 1), "some go in several packets");
    let sound = tracks::aac(97, 44_100, 1024, "1210", &sound());
    let mut player = None;
    let _publisher = Publisher::start(&hub, "/rtp/av1", vec![video, sound], || {
        player = Some(Rtsp::play(&hub, "/rtp/av1").0);
    });
    let mut player = player.expect("it plays");
    let mut depacketizer = Depacketizer::default();
    let mut next = None;
    while depacketizer.units.len() < PICTURES {
        let (channel, packet) = player.next_packet().expect("packets come").expect("the hub goes on");
        if channel != 0 {
            continue;
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(next.unwrap_or(sequence), sequence, "a packet is missing");
        next = Some(sequence.wrapping_add(1));
        depacketizer.push(&packet[12..], packet[1] & 0x80 != 0);
    }
    assert!(depacketizer.units == units, "what was sent is what came");
    let file = temporary(&format!("av1-{}.obu", hub.address().port()));
    std::fs::write(&file, stream(&depacketizer.units)).expect("a file can be written");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-f", "obu", "-i"]).arg(&file).args(["-f", "framecrc", "-"]);
    let decoded = command.output().expect("ffmpeg is there");
    let text = String::from_utf8_lossy(&decoded.stdout);
    assert!(decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("0,")).count(), PICTURES, "{text}");
    check_outputs(&hub, "/rtp/av1", "AV1");
}

fn made(arguments: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(arguments.split_whitespace());
    let output = command.output().expect("ffmpeg is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn sound() -> Vec<Vec<u8>> {
    let tone = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=2 -ac 2 -c:a aac -b:a 64k -f adts -";
    tracks::adts_frames(&made(tone))
}

/// The OBUs of each temporal unit, without their lengths and without delimiters.
type TemporalUnit = Vec<Vec<u8>>;

/// Two seconds, with a key frame each second.
fn av1() -> Vec<TemporalUnit> {
    let ivf = made(
        "-f lavfi -i testsrc2=size=320x176:rate=25:duration=2 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 \
         -lag-in-frames 0 -b:v 800k -f ivf -",
    );
    let mut rest = &ivf[32..];
    let mut units = Vec::new();
    // Four bytes of length, eight of time.
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after[8..].split_at(u32::from_le_bytes(*length) as usize);
        units.push(obus(unit));
        rest = after;
    }
    assert_eq!(units.len(), PICTURES);
    units
}

fn leb128(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    for shift in (0..56).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn put_leb128(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn obus(mut unit: &[u8]) -> TemporalUnit {
    let mut found = Vec::new();
    while !unit.is_empty() {
        let head = 1 + usize::from(unit[0] >> 2 & 1);
        assert_eq!(unit[0] & 2, 2, "it has a length");
        let mut at = head;
        let length = leb128(unit, &mut at);
        let obu = [&[unit[0] & !2][..], &unit[1..head], &unit[at..at + length]].concat();
        if obu[0] >> 3 & 15 != 2 {
            found.push(obu);
        }
        unit = &unit[at + length..];
    }
    found
}

/// As a file has them, each with its length, behind a delimiter.
fn stream(units: &[TemporalUnit]) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        out.extend([0x12, 0]);
        for obu in unit {
            let head = 1 + usize::from(obu[0] >> 2 & 1);
            out.push(obu[0] | 2);
            out.extend(&obu[1..head]);
            put_leb128(obu.len() - head, &mut out);
            out.extend(&obu[head..]);
        }
    }
    out
}

/// "RTP Payload Format For AV1", section 4.4: an OBU element a packet, each with its length.
fn packetize(unit: &TemporalUnit) -> Payloads {
    let mut payloads = Vec::new();
    for (n, obu) in unit.iter().enumerate() {
        let count = obu.len().div_ceil(MTU);
        for (i, piece) in obu.chunks(MTU).enumerate() {
            // Z: goes on from before; Y: goes on behind; N: a coded video sequence begins, with its header (type 1)
            let begins = n == 0 && i == 0 && obu[0] >> 3 & 15 == 1;
            let mut payload = vec![u8::from(i > 0) << 7 | u8::from(i + 1 < count) << 6 | u8::from(begins) << 3];
            put_leb128(piece.len(), &mut payload);
            payload.extend(piece);
            payloads.push(payload);
        }
    }
    payloads
}

#[derive(Default)]
struct Depacketizer {
    open: TemporalUnit,
    units: Vec<TemporalUnit>,
}

impl Depacketizer {
    fn push(&mut self, payload: &[u8], ends: bool) {
        let goes_on = payload[0] & 0x80 != 0;
        let mut elements = VecDeque::new();
        let mut at = 1;
        while at < payload.len() {
            let length = leb128(payload, &mut at);
            elements.push_back(payload[at..at + length].to_vec());
            at += length;
        }
        if goes_on {
            let more = elements.pop_front().expect("an element goes on");
            self.open.last_mut().expect("it began").extend(more);
        }
        self.open.extend(elements);
        if ends {
            self.units.push(std::mem::take(&mut self.open));
        }
    }
}
