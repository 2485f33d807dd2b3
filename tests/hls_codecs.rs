//! HLS of each kind of camera, in fragmented MP4 and in TS: what is in the playlists and the segments, that their durations are
//! those of the media and of the clock, and the reasons for what is not there.

mod support;

use support::ffmpeg::{self, AAC, H264, H265, MP3, Media, PCMA, PCMU};
use support::hls::{self, Session};
use support::hub::Hub;
use support::json::Json;
use support::{SOON, http, temporary, wait_for};

/// Seconds of a picture, and of a frame of AAC or MP3 at 44.1 kHz.
const PICTURE: f64 = 0.04;
const AAC_FRAME: f64 = 1024.0 / 44_100.0;
const MP3_FRAME: f64 = 1152.0 / 44_100.0;
const CONTAINERS: [(&str, &str); 2] = [("", "fMP4"), ("?type=ts", "TS")];

struct Case {
    path: &'static str,
    video: Option<&'static str>,
    audio: Option<&'static str>,
    /// `codec_name`s that ffprobe finds, in fMP4 and in TS; none: there is no such playlist.
    found: [&'static [&'static str]; 2],
    /// What is left out, with a part of the reason, in fMP4 and in TS.
    left_out: [Option<(&'static str, &'static str)>; 2],
    /// Of what leads.
    frame: f64,
}

const CASES: [Case; 7] = [
    Case {
        path: "/kinds/hevc",
        video: Some(H265),
        audio: Some(AAC),
        found: [&["hevc", "aac"]; 2],
        left_out: [None; 2],
        frame: PICTURE,
    },
    Case {
        path: "/kinds/silent_hevc",
        video: Some(H265),
        audio: None,
        found: [&["hevc"]; 2],
        left_out: [None; 2],
        frame: PICTURE,
    },
    Case {
        path: "/kinds/silent",
        video: Some(H264),
        audio: None,
        found: [&["h264"]; 2],
        left_out: [None; 2],
        frame: PICTURE,
    },
    Case {
        path: "/kinds/radio",
        video: None,
        audio: Some(AAC),
        found: [&["aac"]; 2],
        left_out: [None; 2],
        frame: AAC_FRAME,
    },
    Case {
        path: "/kinds/phone",
        video: Some(H264),
        audio: Some(PCMA),
        found: [&["h264"]; 2],
        left_out: [Some(("PCMA", "players know no PCMA in MP4")), Some(("PCMA", "players of TS know no PCMA"))],
        frame: PICTURE,
    },
    Case {
        path: "/kinds/microphone",
        video: None,
        audio: Some(PCMU),
        found: [&[]; 2],
        left_out: [Some(("PCMU", "players know no PCMU in MP4")), Some(("PCMU", "players of TS know no PCMU"))],
        frame: PICTURE,
    },
    Case {
        path: "/kinds/jukebox",
        video: None,
        audio: Some(MP3),
        found: [&[], &["mp3"]],
        left_out: [Some(("MP3", "browsers play no MP3 in MP4")), None],
        frame: MP3_FRAME,
    },
];

#[test]
fn each_kind_of_camera_in_both_containers() {
    let hub = Hub::start(&[], &[]);
    let publishers: Vec<_> = CASES
        .iter()
        .map(|case| {
            Media { video: case.video, audio: case.audio, size: "320x180", ..Media::default() }.push(&hub, case.path)
        })
        .collect();
    std::thread::scope(|scope| {
        for case in &CASES {
            let hub = &hub;
            scope.spawn(move || {
                let stream = wait_for(SOON, case.path, || {
                    hub.stream(case.path).filter(|stream| {
                        !stream.list("outputs/hls/carries").is_empty() || {
                            !stream.list("outputs/hls/leaves_out").is_empty()
                        }
                    })
                });
                for (n, container) in CONTAINERS.into_iter().enumerate() {
                    check_left_out(hub, case, &stream, n);
                    match case.found[n] {
                        [] => check_refused(hub, case, container, n),
                        found => check_media(hub, case, container, found),
                    }
                }
            });
        }
    });
    drop(publishers);
}

/// `outputs` has `hls` for the default, and `ts` for everything in that container.
fn check_left_out(hub: &Hub, case: &Case, stream: &Json, n: usize) {
    let name = ["hls", "ts"][n];
    let left: Vec<_> = stream.list(&format!("outputs/{name}/leaves_out")).iter().collect();
    let expected = case.left_out[n];
    assert_eq!(left.len(), usize::from(expected.is_some()), "{}: {stream:?}", case.path);
    let Some((codec, reason)) = expected else { return };
    assert!(left[0].text("codec") == codec && left[0].text("reason").contains(reason), "{}: {stream:?}", case.path);
    hub.wait_log(&[case.path, &format!("{codec} is not in {}: ", name.to_uppercase()), reason]);
}

fn check_refused(hub: &Hub, case: &Case, (query, container): (&str, &str), n: usize) {
    let answer = http::get(hub.address(), &format!("/streams{}.m3u8{query}", case.path));
    let reason = case.left_out[n].map_or("", |(_, reason)| reason);
    assert!(answer.status == 404 && answer.text().contains(reason), "{} {container}: {}", case.path, answer.text());
}

fn check_media(hub: &Hub, case: &Case, (query, container): (&str, &str), found: &[&str]) {
    let what = format!("{} in {container}", case.path);
    hub.wait_live(case.path);
    let variant = hls::multivariant(hub, case.path, query).variants.remove(0);
    let codecs = variant.codecs.unwrap_or_default();
    assert_eq!(codecs.split(',').count(), found.len(), "{what}: {codecs}");
    assert_eq!(variant.resolution.map(|r| (r.width, r.height)), case.video.map(|_| (320, 180)), "{what}");
    let session = Session::begin_with(hub, case.path, query);
    let text =
        wait_for(SOON, "segments", || Some(session.text("")).filter(|text| text.matches("#EXTINF").count() >= 4));
    let playlist = hls::parse(&text);
    let init = hls::attributes(&text, "#EXT-X-MAP", "URI").first().map(|map| session.fetch(map).body);
    assert_eq!(init.is_some(), query.is_empty(), "{what}: {text}");
    // Of the leading track: how many frames, and the time of the first of each segment.
    let mut begins = Vec::new();
    let mut frames = 0;
    for (n, segment) in playlist.segments.iter().enumerate() {
        let file = temporary(&format!("kinds-{}-{}-{container}-{n}", hub.address().port(), &case.path[7..]));
        let body = session.fetch(&segment.uri).body;
        std::fs::write(&file, [init.clone().unwrap_or_default(), body].concat()).expect("a file");
        let probed = ffmpeg::probe(&file);
        let mut names: Vec<_> = probed.list("streams").iter().map(|stream| stream.text("codec_name")).collect();
        // TS tells tracks in the order of their packets.
        names.sort_by_key(|name| found.iter().position(|known| known == name));
        assert_eq!(names, found, "{what}, segment {n}");
        let lead = probed.list("streams").iter().find(|stream| stream.text("codec_name") == found[0]);
        let lead = lead.expect("it is there").number("index");
        let packets = probed.list("packets").iter().filter(|packet| packet.number("stream_index") == lead);
        let times: Vec<f64> = packets.map(|packet| packet.text("dts_time").parse().expect("seconds")).collect();
        let length = times.len() as f64 * case.frame;
        assert!((length - f64::from(segment.duration)).abs() < case.frame, "{what}: {length} s: {}", segment.duration);
        begins.push(times[0]);
        frames += times.len();
    }
    let sum: f64 = playlist.segments.iter().map(|segment| f64::from(segment.duration)).sum();
    assert!((sum - frames as f64 * case.frame).abs() < case.frame, "{what}: {sum} s of {frames} frames");
    // The dates are the clock's, which they follow slowly; the times within the segments are the media's.
    let last = playlist.segments.len() - 1;
    let before: f64 = playlist.segments[..last].iter().map(|segment| f64::from(segment.duration)).sum();
    let media = begins[last] - begins[0];
    assert!((before - media).abs() < case.frame, "{what}: {before} s of segments for {media} s of media");
    let dates: Vec<_> = playlist.segments.iter().filter_map(|segment| segment.program_date_time).collect();
    let wall = (dates[last] - dates[0]).num_milliseconds() as f64 / 1000.0;
    assert!((before - wall).abs() <= case.frame, "{what}: {before} s of segments in {wall} s");
}
