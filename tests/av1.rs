//! A camera of AV1 with AAC: RTSP players get its packets, MP4 and HLS have both, FLV and MPEG-TS the sound and the reason.

mod support;

use std::path::Path;
use std::process::Command;

use support::av1::{self, Depacketizer, PICTURES, SIZE};
use support::hls::{self, Session, attributes};
use support::hub::Hub;
use support::rtsp::Rtsp;
use support::tracks::Publisher;
use support::{SOON, ffmpeg, http, temporary, wait_for, wait_until};

const PATH: &str = "/new/av1";
/// What libaom writes for that size: profile 0, level 2.0, 8 bits.
const CODEC: &str = "av01.0.00M.08";
const PICTURE: f64 = 0.04;

/// The pictures that ffmpeg decodes of a file, which it has nothing to complain about.
fn pictures(format: &[&str], file: &Path) -> usize {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(format).arg("-i").arg(file);
    let decoded = command.args(["-map", "0:v", "-f", "framecrc", "-"]).output().expect("ffmpeg is there");
    let text = String::from_utf8_lossy(&decoded.stdout);
    assert!(decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
    text.lines().filter(|line| line.starts_with("0,")).count()
}

/// From the next packets of a player so many temporal units, none of whose packets is missing.
fn play(player: &mut Rtsp, count: usize) -> Vec<av1::TemporalUnit> {
    let mut depacketizer = Depacketizer::default();
    let mut next = None;
    while depacketizer.units.len() < count {
        let (channel, packet) = player.next_packet().expect("packets come").expect("the hub goes on");
        if channel != 0 {
            continue;
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(next.unwrap_or(sequence), sequence, "a packet is missing");
        next = Some(sequence.wrapping_add(1));
        depacketizer.push(&packet[12..], packet[1] & 0x80 != 0);
    }
    depacketizer.units
}

#[test]
fn rtsp_players_get_what_was_sent() {
    let hub = Hub::start(&[], &[]);
    let units = av1::clip();
    let mut player = None;
    let _publisher = Publisher::start(&hub, PATH, av1::camera(&units), || {
        player = Some(Rtsp::play(&hub, PATH).0);
    });
    let seen = play(&mut player.expect("it plays"), PICTURES);
    assert!(seen == units, "what was sent is what came");
    let file = temporary(&format!("av1-{}.obu", hub.address().port()));
    std::fs::write(&file, av1::stream(&seen)).expect("a file can be written");
    assert_eq!(pictures(&["-f", "obu"], &file), PICTURES);
    // Who comes later begins at the last key frame.
    let first = play(&mut Rtsp::play(&hub, PATH).0, 1).remove(0);
    assert_eq!(first[0][0] >> 3 & 15, 1, "a sequence header is first");
}

#[test]
fn mp4_and_hls_have_it() {
    let hub = Hub::start(&[("IPCHUB_HLS_FRAGMENT", "1"), ("IPCHUB_HLS_WINDOW", "8")], &[]);
    let _publisher = Publisher::start(&hub, PATH, av1::camera(&av1::clip()), || {});
    hub.wait_live(PATH);
    let codecs = format!("{CODEC},mp4a.40.2");
    let mp4 = format!("/streams{PATH}.mp4");
    let head = wait_for(SOON, "its codecs", || {
        let head = http::request(hub.address(), "HEAD", &mp4, &[]);
        head.header("Content-Type").filter(|kind| kind.contains("av01")).map(str::to_owned)
    });
    assert_eq!(head, format!("video/mp4; codecs=\"{codecs}\""));
    ffmpeg::decode(&hub.url("http", &mp4), &["-t", "3"]);
    let stream = hub.stream(PATH).expect("it is live");
    assert_eq!((stream.number("video/width"), stream.number("video/height")), (f64::from(SIZE.0), f64::from(SIZE.1)));
    assert!(stream.list("outputs/hls/leaves_out").is_empty(), "{stream:?}");

    let variant = hls::multivariant(&hub, PATH, "").variants.remove(0);
    assert_eq!(variant.codecs.as_deref(), Some(codecs.as_str()));
    assert_eq!(variant.resolution.map(|r| (r.width, r.height)), Some((u64::from(SIZE.0), u64::from(SIZE.1))));
    assert!(variant.frame_rate.is_some_and(|rate| (rate - 25.0).abs() < 0.5), "{:?}", variant.frame_rate);
    let session = Session::begin(&hub, PATH);
    let text =
        wait_for(SOON, "segments", || Some(session.text("")).filter(|text| text.matches("#EXTINF").count() >= 4));
    let init = session.fetch(&attributes(&text, "#EXT-X-MAP", "URI").remove(0)).body;
    let segments = hls::parse(&text).segments;
    // Before they leave the playlist.
    let bodies: Vec<_> = segments.iter().map(|segment| session.fetch(&segment.uri).body).collect();
    let mut begins = Vec::new();
    for (segment, body) in segments.iter().zip(&bodies) {
        let file = temporary(&format!("av1-{}-{}.mp4", hub.address().port(), begins.len()));
        std::fs::write(&file, [&init[..], body].concat()).expect("a file can be written");
        let probed = ffmpeg::probe(&file);
        let packets: Vec<_> = probed.list("packets").iter().filter(|p| p.text("codec_type") == "video").collect();
        let length = packets.len() as f64 * PICTURE;
        assert!((length - f64::from(segment.duration)).abs() < PICTURE / 2.0, "{length} s: {}", segment.duration);
        // The first of all ends where the cached GOP did; each of the others is decoded alone.
        if begins.len() != 1 {
            assert!(packets[0].text("flags").starts_with('K'), "{segment:?}");
            assert_eq!(pictures(&[], &file), packets.len());
        }
        begins.push(packets[0].text("dts_time").parse::<f64>().expect("seconds"));
    }
    let whole: f64 = segments[..begins.len() - 1].iter().map(|s| f64::from(s.duration)).sum();
    assert!((begins[begins.len() - 1] - begins[0] - whole).abs() < 0.001, "{begins:?}: {whole} s");
    // ffmpeg begins three segments before the end, and has something to say of one that begins within a GOP.
    let independent = || session.text("").contains("#EXT-X-INDEPENDENT-SEGMENTS");
    assert!(wait_until(SOON, independent), "{}", session.text(""));
    ffmpeg::decode(&hub.url("http", &format!("/streams{PATH}.m3u8")), &["-t", "3"]);

    let still = http::get(hub.address(), &format!("{mp4}?snapshot"));
    assert!(still.status == 200 && still.header("Content-Type").is_some_and(|kind| kind.contains(CODEC)), "{still:?}");
    let file = temporary(&format!("av1-still-{}.mp4", hub.address().port()));
    std::fs::write(&file, still.body).expect("a file can be written");
    assert_eq!(pictures(&[], &file), 1);
}

#[test]
fn other_outputs_have_the_sound_and_the_reason() {
    let hub = Hub::start(&[], &[]);
    let _publisher = Publisher::start(&hub, PATH, av1::camera(&av1::clip()), || {});
    hub.wait_live(PATH);
    let stream = hub.stream(PATH).expect("it is live");
    for (output, reason) in [("flv", "FLV has no place for AV1"), ("ts", "players of TS know no AV1")] {
        let left = stream.list(&format!("outputs/{output}/leaves_out"));
        assert_eq!((left[0].text("codec"), left[0].text("reason")), ("AV1", reason), "{stream:?}");
        hub.wait_log(&[PATH, &format!("AV1 is not in {}: {reason}", output.to_uppercase())]);
    }
    for output in ["flv", "ts", "m3u8?type=ts"] {
        ffmpeg::decode(&hub.url("http", &format!("/streams{PATH}.{output}")), &["-map", "0:a", "-t", "1.5"]);
    }
}
