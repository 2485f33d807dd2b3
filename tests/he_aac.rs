//! HE-AAC, whose decoders give twice the samples a second of its core: rates, times and names in every output, whether its
//! configuration says so first (explicit) or behind what older decoders read (backward compatible). The frames are those of a
//! core alone, which every decoder of HE-AAC takes.

mod support;

use std::process::Command;
use std::time::Duration;

use support::ffmpeg;
use support::hls::{self, Session};
use support::hub::Hub;
use support::json::Json;
use support::rtsp::Rtsp;
use support::tracks::{self, Publisher};
use support::ts::{self, TsViewer};
use support::viewer::Way;
use support::{SOON, temporary, wait_for};

const DEADLINE: Duration = Duration::from_secs(60);
/// 1024 samples of a core of 24 kHz, in seconds.
const FRAME: f64 = 1024.0 / 24_000.0;

/// Path, configuration, and the RTP clock: that of the output (RFC 3640, section 3.3.6), or of the core, as many cameras have it.
const CASES: [(&str, &str, u32); 3] = [
    ("/he/explicit", "2b118800", 48_000),
    ("/he/core_clock", "2b118800", 24_000),
    ("/he/behind", "131056e598", 48_000),
];

/// A second of AAC-LC, 24 kHz, stereo.
fn core() -> Vec<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args("-nostdin -v error -f lavfi -i sine=frequency=440:sample_rate=24000:duration=2".split(' '));
    command.args("-ac 2 -c:a aac -b:a 48k -f adts -".split(' '));
    tracks::adts_frames(&command.output().expect("ffmpeg is there").stdout)
}

/// The beginning of a live stream, as ffprobe sees it.
fn probe(url: &str) -> Json {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-show_packets", "-read_intervals", "%+2", url]);
    let output = command.output().expect("ffprobe is there");
    assert!(output.status.success(), "ffprobe on {url}: {}", String::from_utf8_lossy(&output.stderr));
    Json::parse(&String::from_utf8_lossy(&output.stdout))
}

/// From each packet to the next there is a frame's time, to the output's own unit.
fn check_steps(what: &str, probed: &Json, unit: f64) {
    let times: Vec<f64> =
        probed.list("packets").iter().map(|packet| packet.text("dts_time").parse().expect("seconds")).collect();
    assert!(times.len() > 20, "{what}: {} frames", times.len());
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (step - FRAME).abs() <= unit), "{what}: {steps:?}");
}

#[test]
fn rates_times_and_names_are_right_in_every_output() {
    let hub = Hub::start(&[], &[]);
    let frames = core();
    let publishers: Vec<_> = CASES
        .iter()
        .map(|(path, config, clock_rate)| {
            let step = clock_rate / 24_000 * 1024;
            Publisher::start(&hub, path, vec![tracks::aac(97, *clock_rate, step, config, &frames)], || {})
        })
        .collect();
    std::thread::scope(|scope| {
        for case in CASES {
            let hub = &hub;
            scope.spawn(move || check(hub, case));
        }
    });
    drop(publishers);
}

fn check(hub: &Hub, (path, config, clock_rate): (&str, &str, u32)) {
    hub.wait_live(path);
    let stream = hub.stream(path).expect("it is live");
    assert_eq!((stream.text("audio/codec"), stream.number("audio/samplerate")), ("AAC", 48_000.0), "{path}");
    let sdp = Rtsp::connect(hub, path).request("DESCRIBE", None, &[], "").body;
    assert!(
        sdp.contains(&format!("/{clock_rate}/2")) && sdp.to_lowercase().contains(&format!("config={config}")),
        "{sdp}"
    );
    for (extension, unit) in [("flv", 0.002), ("mp4", 0.001)] {
        let what = format!("{path}.{extension}");
        let probed = probe(&hub.url("http", &format!("/streams{what}")));
        assert_eq!(probed.list("streams")[0].text("sample_rate"), "48000", "{what}: {probed:?}");
        check_steps(&what, &probed, unit);
    }
    // ADTS names the core; what is beyond it a decoder finds in the frames.
    let viewer = TsViewer::watch(hub, Way::Http, path);
    viewer.wait(DEADLINE, "two seconds", |seen| seen.reader.of_type(ts::AAC).len() > 47);
    let seen = viewer.finish();
    let sounds = seen.reader.of_type(ts::AAC);
    assert!(sounds.windows(2).all(|pair| pair[1].dts - pair[0].dts == 3840), "{path}: no gap");
    assert_eq!(sounds[0].data[2] >> 2 & 15, 6, "{path}: 24 kHz");
    for (query, container) in [("", "fMP4"), ("?type=ts", "TS")] {
        check_hls(hub, path, query, container);
    }
}

fn check_hls(hub: &Hub, path: &str, query: &str, container: &str) {
    let what = format!("{path} in {container}");
    let variant = hls::multivariant(hub, path, query).variants.remove(0);
    assert_eq!(variant.codecs.as_deref(), Some("mp4a.40.5"), "{what}");
    let session = Session::begin_with(hub, path, query);
    let text =
        wait_for(SOON, "segments", || Some(session.text("")).filter(|text| text.matches("#EXTINF").count() >= 3));
    let playlist = hls::parse(&text);
    let init = hls::attributes(&text, "#EXT-X-MAP", "URI").first().map(|map| session.fetch(map).body);
    for (n, segment) in playlist.segments.iter().enumerate() {
        let file = temporary(&format!("he-{}-{}-{container}-{n}", hub.address().port(), &path[4..]));
        let body = session.fetch(&segment.uri).body;
        std::fs::write(&file, [init.clone().unwrap_or_default(), body].concat()).expect("a file");
        let probed = ffmpeg::probe(&file);
        if container == "fMP4" {
            assert_eq!(probed.list("streams")[0].text("sample_rate"), "48000", "{what}");
        }
        let length = probed.list("packets").len() as f64 * FRAME;
        assert!((length - f64::from(segment.duration)).abs() < FRAME, "{what}: {length} s for {}", segment.duration);
    }
}
