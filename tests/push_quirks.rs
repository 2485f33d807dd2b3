//! What publishers do that a hub must cope with, and what it tells its viewers instead. What cameras did to people, see the
//! table in `tests/support/publishers/README.md`.

#[path = "support/fake_publisher/mod.rs"]
mod publisher;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use publisher::{Fault, Publisher, Script};
use support::flv::{self, Tag};
use support::hub::Hub;
use support::json::Json;
use support::rtsp::Rtsp;
use support::viewer::{Recording, Viewer, Way};
use support::{SOON, ffmpeg, http, temporary, wait_until};

/// For what takes seconds of media on a busy machine.
const LATER: Duration = Duration::from_secs(60);
/// Pictures that are looked at: two key frames and more.
const PICTURES: usize = 60;
/// From one picture to the next, in milliseconds.
const INTERVAL: u32 = 40;

/// A publisher that shows one of the troubles that people had.
struct Quirk {
    /// What it shows: see the table.
    name: &'static str,
    faults: &'static [Fault],
    /// Viewers hear it.
    sound: bool,
    /// Video sequence headers that viewers get.
    headers: usize,
    /// Pictures are missing behind the fault.
    gap: bool,
    /// Its clocks change: single times may come twice, or lie a picture before the last.
    shift: bool,
}

fn quirk(name: &'static str, faults: &'static [Fault]) -> Quirk {
    Quirk { name, faults, sound: true, headers: 1, gap: false, shift: false }
}

fn mute(name: &'static str) -> Quirk {
    Quirk { sound: false, ..quirk(name, &[]) }
}

/// Files of requests (`MAKER_STEP.txt`), faults of the media, and what each shows:
///
/// | name | shows |
/// |---|---|
/// | `hikvision`, `honeywell` | no parameter sets in the description, absolute controls of the camera; no `a=fmtp`, no control |
/// | `sets_only_in_sdp`, `sets_change` | parameter sets never in the stream, or other ones after a while |
/// | `sprop-…` | sets without padding, in quotes and with spaces, one of two, no base64, nothing, cut off |
/// | `annex_b`, `one_packet` | start codes within packets and `sprop-parameter-sets`; a whole access unit with them in one packet |
/// | `rooted`, `joined` | controls that are paths of the host, with queries; controls joined as the RFC says |
/// | `escam`, `channelless` | `RTP/AVP` for interleaved packets, channels 7 and 2; no channels at all |
/// | `lower` | header names in lower and upper case, CSeq 0, 4,000,000,000 twice and 7, no User-Agent |
/// | `chatty` | keep-alives of every kind all the time |
/// | `marker`, `markerless` | the marker bit on SPS, PPS and SEI; never |
/// | `strangers`, `ssrc` | packets of another SSRC between; a new SSRC, sequence and clock |
/// | `generic`, `clockless` | LF only, no `v=` and `o=`, two `s=`, a broken `c=` and clock rate; no clock rate, odd letter case |
/// | `uniview`, `configless` | sound without a name, AAC without its configuration |
/// | `tracks` | A-law, video and two AAC tracks |
/// | `time`, `sequence` | clocks that go on an hour later; sequence numbers that go on elsewhere |
/// | `reports` | RTCP where RTP belongs, packets on unknown channels, cut packets |
fn quirks() -> Vec<Quirk> {
    vec![
        mute("hikvision"),
        mute("honeywell"),
        quirk("sets_only_in_sdp", &[Fault::NoSetsInStream]),
        Quirk { headers: 2, ..quirk("sets_change", &[Fault::SetsChange]) },
        mute("sprop-bare"),
        mute("sprop-quoted"),
        mute("sprop-half"),
        mute("sprop-garbage"),
        mute("sprop-empty"),
        mute("sprop-cut"),
        quirk("annex_b", &[Fault::AnnexB]),
        quirk("one_packet", &[Fault::OnePacket]),
        quirk("rooted", &[]),
        quirk("joined", &[]),
        quirk("escam", &[]),
        quirk("channelless", &[]),
        quirk("lower", &[]),
        quirk("chatty", &[]),
        quirk("marker", &[Fault::MarkerOnSets]),
        quirk("markerless", &[Fault::MarkerNever]),
        quirk("strangers", &[Fault::Strangers]),
        Quirk { gap: true, shift: true, ..quirk("ssrc", &[Fault::NewSsrc]) },
        mute("generic"),
        quirk("clockless", &[]),
        mute("uniview"),
        mute("configless"),
        quirk("tracks", &[]),
        Quirk { shift: true, ..quirk("time", &[Fault::TimeJump]) },
        Quirk { gap: true, ..quirk("sequence", &[Fault::SequenceJump]) },
        Quirk { shift: true, ..quirk("reports", &[Fault::Reports]) },
    ]
}

#[test]
fn odd_publishers() {
    let hub = Hub::start(&[], &[]);
    let mut quirks = quirks();
    while !quirks.is_empty() {
        // A few at a time: each plays for some seconds.
        let some: Vec<_> = quirks.drain(..quirks.len().min(5)).collect();
        std::thread::scope(|scope| some.iter().for_each(|quirk| drop(scope.spawn(|| check(&hub, quirk)))));
    }
}

fn check(hub: &Hub, quirk: &Quirk) {
    let (name, path) = (quirk.name, format!("/odd/{}", quirk.name));
    let publisher = Publisher::start(hub, &path, Script { maker: name, faults: quirk.faults });
    let said: Vec<_> = publisher.replies.iter().map(|reply| (reply.status, &reply.body)).collect();
    assert!(said.iter().all(|(status, _)| *status == 200), "{name}: {said:?}");
    let viewer = Viewer::record(hub, Way::Http, &format!("{path}.flv"));
    viewer.wait_pictures(LATER, 2);
    check_rtsp(hub, quirk, &path);
    viewer.wait_pictures(LATER, PICTURES);
    let seen = viewer.finish();
    flv::check(&seen.tags);
    check_pictures(quirk, &seen.tags);
    decode(name, &seen, quirk.shift);
    assert_eq!(seen.flags, if quirk.sound { 5 } else { 1 }, "{name}: flags of the FLV header");
    assert_eq!(seen.tags.iter().any(Tag::is_sound), quirk.sound, "{name}: sound");
    assert!(publisher.is_publishing(), "{name}: it was sent away");
}

fn check_pictures(quirk: &Quirk, tags: &[Tag]) {
    let name = quirk.name;
    if !quirk.gap {
        flv::check_no_gap(tags, INTERVAL);
    }
    let times = flv::picture_times(tags);
    // A GOP has a second; what is lost behind a fault is no more.
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest.is_some_and(|longest| longest <= 1100), "{name}: pictures at {times:?}");
    assert_eq!(flv::metadata_size(tags), Some((640.0, 360.0)), "{name}");
    let headers = tags.iter().filter(|tag| tag.is_video_header()).count();
    assert_eq!(headers, quirk.headers, "{name}: sequence headers");
}

/// ffmpeg has nothing to complain of, but of times where a clock changed.
fn decode(name: &str, seen: &Recording, shift: bool) {
    let file = temporary(&format!("push_quirks_{name}.flv"));
    std::fs::write(&file, &seen.bytes).expect("a recording can be written");
    let mut decoder = ffmpeg::start_decoding(file.to_str().expect("a name of our own"), &[]);
    let (status, _) = decoder.wait(LATER);
    let mut complaints = decoder.lines();
    let of_times = ["non monotonically increasing dts to muxer", "Last message repeated"];
    complaints.retain(|line| !shift || !of_times.iter().any(|word| line.contains(word)));
    assert!(status.success() && complaints.is_empty(), "{name}: {status} {complaints:#?}");
}

/// What players of RTSP are told and get: nothing of the camera's address and controls, the parameter sets, clean packets.
fn check_rtsp(hub: &Hub, quirk: &Quirk, path: &str) {
    let name = quirk.name;
    let mut rtsp = Rtsp::connect(hub, path);
    let sdp = rtsp.request("DESCRIBE", None, &[], "").body;
    for word in ["192.0.2", "2001:", "://", "ctype", "streamid"] {
        assert!(!sdp.contains(word), "{name}: {word} in {sdp}");
    }
    assert!(sdp.contains("c=IN IP4 0.0.0.0\r\n") && sdp.contains("H264/90000\r\n"), "{name}: {sdp}");
    assert_eq!(sdp.matches("sprop-parameter-sets=Z").count(), 1, "{name}: {sdp}");
    let tracks = sdp.matches("a=control:trackID=").count();
    assert_eq!(tracks, sdp.matches("m=").count(), "{name}: {sdp}");
    for (track, packets) in play(&mut rtsp, hub, path, tracks) {
        for pair in packets.windows(2) {
            let step =
                u16::from_be_bytes([pair[1][2], pair[1][3]]).wrapping_sub(u16::from_be_bytes([pair[0][2], pair[0][3]]));
            assert!(step == 1 || quirk.gap, "{name}: track {track} steps by {step}");
            assert_eq!(pair[0][8..12], pair[1][8..12], "{name}: SSRC of track {track}");
        }
        assert!(packets.iter().all(|packet| packet[12..].get(..2) != Some(&[0, 0])), "{name}: start codes in RTP");
    }
    if quirk.gap || quirk.shift {
        return;
    }
    let url = hub.url("rtsp", path);
    let picture_only = ["-map", "0:v", "-t", "1.5", "-fps_mode", "passthrough", "-enc_time_base", "-1"];
    ffmpeg::decode_with(&url, &["-rtsp_transport", "tcp"], &picture_only);
}

/// The RTP packets of each track until 60 of its first video's have come.
fn play(rtsp: &mut Rtsp, hub: &Hub, path: &str, tracks: usize) -> BTreeMap<u8, Vec<Vec<u8>>> {
    for track in 0..tracks {
        let url = format!("{}/trackID={track}", hub.url("rtsp", path));
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1);
        assert_eq!(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "").status, 200);
    }
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
    let mut seen: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
    while seen.values().map(Vec::len).sum::<usize>() < 200 {
        let (channel, packet) = rtsp.next_packet().expect("packets come").expect("the hub goes on");
        if channel % 2 == 0 {
            seen.entry(channel / 2).or_default().push(packet);
        }
    }
    seen
}

#[test]
fn refused_in_clear_words() {
    let hub = Hub::start(&[], &[]);
    for (name, status, words) in [
        ("nomedia", 400, "SDP line 5: the end, but no m= line with a payload type"),
        ("uncounted", 400, "CSeq header is missing"),
        ("other", 404, "No track of /bad/other has the URL"),
        ("secure", 461, "RTP/SAVP/TCP"),
        ("playing", 451, "expected mode=record"),
    ] {
        let publisher = Publisher::start(&hub, &format!("/bad/{name}"), Script { maker: name, faults: &[] });
        let last = publisher.last();
        assert!(last.status == status && last.body.contains(words), "{name}: {last:?}");
        assert!(!publisher.is_publishing() && hub.stream(&format!("/bad/{name}")).is_none());
    }
}

/// A video whose codec nobody names goes to players of RTSP as it is; viewers of FLV are told why not to them.
#[test]
fn a_video_without_a_name() {
    let hub = Hub::start(&[], &[]);
    let _publisher = Publisher::start(&hub, "/odd/nameless", Script { maker: "nameless", faults: &[] });
    let answer = || http::get(hub.address(), "/streams/odd/nameless.flv").text();
    let words = "cannot be sent as FLV: FLV has no place for payload type 96 without a=rtpmap";
    assert!(wait_until(SOON, || answer().contains(words)), "{}", answer());
    let mut rtsp = Rtsp::connect(&hub, "/odd/nameless");
    let sdp = rtsp.request("DESCRIBE", None, &[], "").body;
    assert!(sdp.contains("m=video 0 RTP/AVP 96\r\n") && !sdp.contains("rtpmap"), "{sdp}");
    assert!(play(&mut rtsp, &hub, "/odd/nameless", 1).contains_key(&0));
}

#[test]
fn several_tracks_of_sound() {
    let hub = Hub::start(&[], &[]);
    let _publisher = Publisher::start(&hub, "/odd/tracks", Script { maker: "tracks", faults: &[] });
    hub.wait_live("/odd/tracks");
    let mut rtsp = Rtsp::connect(&hub, "/odd/tracks");
    let sdp = rtsp.request("DESCRIBE", None, &[], "").body;
    let medias: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(medias, ["m=audio 0 RTP/AVP 8", "m=video 0 RTP/AVP 96", "m=audio 0 RTP/AVP 97", "m=audio 0 RTP/AVP 98"]);
    let seen = play(&mut rtsp, &hub, "/odd/tracks", 4);
    let types: Vec<_> = seen.iter().map(|(track, packets)| (*track, packets[0][1] & 0x7f)).collect();
    assert_eq!(types, [(0, 8), (1, 96), (2, 97), (3, 98)]);
    // FLV has place for one: the first that browsers play.
    let viewer = Viewer::record(&hub, Way::Http, "/odd/tracks.flv");
    viewer.wait_pictures(LATER, PICTURES);
    let seen = viewer.finish();
    flv::check(&seen.tags);
    let times: Vec<_> = seen.tags.iter().filter(|tag| tag.is_sound()).map(|tag| tag.time).collect();
    assert!(times.len() > 40 && times.windows(2).all(|pair| (20..=23).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn a_publisher_with_an_ipv6_address() {
    let hub = Hub::listen("[::1]:0", &[], &[]);
    let _publisher = Publisher::start(&hub, "/odd/ipv6", Script { maker: "ipv6", faults: &[] });
    hub.wait_live("/odd/ipv6");
    let sdp = Rtsp::connect(&hub, "/odd/ipv6").request("DESCRIBE", None, &[], "").body;
    assert!(sdp.contains("c=IN IP6 ::\r\n") && !sdp.contains("2001:") && !sdp.contains("IP4"), "{sdp}");
    let viewer = Viewer::record(&hub, Way::Http, "/odd/ipv6.flv");
    viewer.wait_pictures(LATER, PICTURES);
    let seen = viewer.finish();
    flv::check(&seen.tags);
    flv::check_no_gap(&seen.tags, INTERVAL);
    decode("ipv6", &seen, false);
    ffmpeg::decode_with(&hub.url("rtsp", "/odd/ipv6"), &["-rtsp_transport", "tcp"], &["-t", "1.5"]);
}

/// Media is enough of a sign of life: no keep-alive comes for longer than the session's timeout.
#[test]
fn a_publisher_without_keep_alives() {
    let hub = Hub::start(&[("IPCHUB_TIMEOUTS_SESSION", "1")], &[]);
    let publisher = Publisher::start(&hub, "/odd/silent", Script::default());
    let viewer = Viewer::record(&hub, Way::Http, "/odd/silent.flv");
    viewer.wait_pictures(LATER, 3 * PICTURES / 2);
    assert!(publisher.is_publishing());
    flv::check_no_gap(&viewer.finish().tags, INTERVAL);
}

#[test]
fn sound_goes_alone_until_the_picture_comes() {
    let hub = Hub::start(&[], &[]);
    let script = Script { maker: "", faults: &[Fault::LateVideo] };
    let _publisher = Publisher::start(&hub, "/odd/late", script);
    let viewers = [Way::Http, Way::WebSocket].map(|way| Viewer::record(&hub, way, "/odd/late.flv"));
    for viewer in &viewers {
        viewer.wait(LATER, "sound", |seen| seen.tags.iter().any(Tag::is_sound));
        assert_eq!(viewer.with(|seen| seen.flags), 4, "only sound is announced");
    }
    hub.wait_log(&["/odd/late", "no video comes"]);
    // One who comes meanwhile has it at once too, and so does a player of RTSP.
    let third = Viewer::record(&hub, Way::Http, "/odd/late.flv");
    let (mut rtsp, _) = played(&hub, "/odd/late");
    let mut next = || rtsp.next_packet().expect("packets come").expect("the hub goes on");
    let first = std::iter::from_fn(|| Some(next())).find(|(channel, _)| channel % 2 == 0);
    assert_eq!(first.map(|(channel, _)| channel), Some(2), "sound");
    for viewer in viewers.into_iter().chain([third]) {
        viewer.wait_pictures(LATER, PICTURES);
        let seen = viewer.finish();
        check_late(&seen);
        decode("late", &seen, false);
    }
    let first_picture = loop {
        let (channel, packet) = rtsp.next_packet().expect("packets come").expect("the hub goes on");
        if channel == 0 {
            break packet;
        }
    };
    assert_eq!(first_picture[12] & 0x1f, 7, "it begins with its parameter sets");
    // Who comes now begins with a picture.
    let seen = Viewer::record(&hub, Way::Http, "/odd/late.flv");
    seen.wait_pictures(LATER, 1);
    let seen = seen.finish();
    assert_eq!((seen.flags, flv::metadata_size(&seen.tags)), (5, Some((640.0, 360.0))));
}

/// Sound first; then metadata and headers with the first key frame; times go on.
fn check_late(seen: &Recording) {
    flv::check(&seen.tags);
    assert!(flv::metadata_size(&seen.tags).is_none(), "the first metadata tells of no picture");
    let key = seen.tags.iter().position(Tag::is_key).expect("pictures came");
    let alone = &seen.tags[..key];
    assert!(alone.iter().filter(|tag| tag.is_sound()).count() > 5 && !alone.iter().any(Tag::is_picture));
    let before: Vec<_> = alone[key - 3..].iter().map(|tag| (tag.kind, tag.is_video_header())).collect();
    assert_eq!(before, [(flv::SCRIPT, false), (flv::VIDEO, true), (flv::AUDIO, false)], "what comes with the picture");
    assert_eq!(flv::metadata_size(&seen.tags[key - 3..]), Some((640.0, 360.0)));
    flv::check_no_gap(&seen.tags, INTERVAL);
    let heard: Vec<_> = seen.tags.iter().filter(|tag| tag.is_sound()).map(|tag| tag.time).collect();
    assert!(heard.windows(2).all(|pair| pair[1] - pair[0] <= 44), "sound goes on: {heard:?}");
    assert!(seen.tags[key].time.abs_diff(*heard.first().expect("there is sound")) < 10_000);
}

/// Pictures without a key frame are none: sound goes alone, and who asks is told why.
#[test]
fn sound_goes_alone_until_a_key_frame_comes() {
    let hub = Hub::start(&[], &[]);
    let paths = ["/odd/keyless", "/odd/mute"];
    let _publishers = [("", paths[0]), ("hikvision", paths[1])]
        .map(|(maker, path)| Publisher::start(&hub, path, Script { maker, faults: &[Fault::LateKeys] }));
    let viewers = paths.map(|path| Viewer::record(&hub, Way::Http, &format!("{path}.flv")));
    viewers[0].wait(LATER, "sound", |seen| seen.tags.iter().any(Tag::is_sound));
    assert_eq!(viewers[0].with(|seen| seen.flags), 4, "only sound is announced");
    for (path, others) in paths.into_iter().zip([vec![Json::Text("AAC".into())], vec![]]) {
        hub.wait_log(&[path, "no key frame"]);
        let stream = hub.stream(path).expect("it is live");
        for output in ["flv", "ts", "fmp4", "hls"] {
            let carried = stream.list(&format!("outputs/{output}/carries"));
            assert_eq!(format!("{carried:?}"), format!("{others:?}"), "{path} {output}");
            let reason = stream.text(&format!("outputs/{output}/leaves_out/0/reason"));
            assert!(reason.contains("I-frame interval"), "{reason}");
        }
    }
    for (viewer, path) in viewers.into_iter().zip(paths) {
        viewer.wait_pictures(LATER, PICTURES);
        let seen = viewer.finish();
        decode("keyless", &seen, path == paths[1]);
        let stream = hub.stream(path).expect("it is live");
        assert_eq!(stream.text("outputs/flv/carries/0"), "H264", "{path}");
    }
}

fn played(hub: &Hub, path: &str) -> (Rtsp, usize) {
    let mut rtsp = Rtsp::connect(hub, path);
    let sdp = rtsp.request("DESCRIBE", None, &[], "").body;
    let tracks = sdp.matches("m=").count();
    for track in 0..tracks {
        let url = format!("{}/trackID={track}", hub.url("rtsp", path));
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * track, 2 * track + 1);
        assert_eq!(rtsp.request("SETUP", Some(&url), &[("Transport", &transport)], "").status, 200);
    }
    assert_eq!(rtsp.request("PLAY", None, &[], "").status, 200);
    (rtsp, tracks)
}

/// A camera that never sends another key frame: the caches are given up at their bound, viewers go on.
#[test]
fn an_endless_gop_fills_no_cache() {
    // A second of the clip is more than that.
    let hub = Hub::start(&[("IPCHUB_LIMITS_GOP_BYTES", "20000")], &[]);
    let _publisher = Publisher::start(&hub, "/odd/endless", Script { maker: "", faults: &[Fault::EndlessGop] });
    let viewer = Viewer::record(&hub, Way::Http, "/odd/endless.flv");
    let (mut rtsp, _) = played(&hub, "/odd/endless");
    viewer.wait_pictures(LATER, 2 * PICTURES);
    let late = Viewer::record(&hub, Way::Http, "/odd/endless.flv");
    let (mut late_rtsp, _) = played(&hub, "/odd/endless");
    late_rtsp.stream().set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
    // Both openings would come at once; there is none.
    let packet = std::iter::from_fn(|| late_rtsp.next_packet().ok().flatten()).find(|(channel, _)| channel % 2 == 0);
    assert_eq!(packet.map(|(channel, _)| channel), None, "an opening that should have been given up");
    assert_eq!(late.count(), 0, "{}", late.with(Recording::summary));
    viewer.wait_pictures(LATER, 3 * PICTURES);
    let seen = viewer.finish();
    flv::check(&seen.tags);
    // Where a key frame would be a picture is missing.
    flv::check_no_gap(&seen.tags, 2 * INTERVAL);
    assert_eq!(seen.tags.iter().filter(|tag| tag.is_key()).count(), 1);
    let mut pictures = 0;
    while pictures < 2 * PICTURES {
        let (channel, packet) = rtsp.next_packet().expect("packets come").expect("the hub goes on");
        pictures += usize::from(channel == 0 && packet[1] & 0x80 != 0);
    }
}
