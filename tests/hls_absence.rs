//! HLS of a source that announced video and sends none yet: the sound plays alone, then the picture joins it.

#[path = "support/fake_publisher/mod.rs"]
mod publisher;
mod support;

use std::time::Duration;

use publisher::{Fault, Publisher, Script};
use support::hls::{self, Session, attributes};
use support::hub::Hub;
use support::json::Json;
use support::{ffmpeg, temporary, wait_for};

/// The sound goes alone after four seconds, the picture comes after six.
const LATER: Duration = Duration::from_secs(60);
const PATH: &str = "/odd/late";

/// Text of the playlist before and after its first discontinuity, once both have a complete segment.
fn two_runs(session: &Session<'_>) -> (String, String) {
    wait_for(LATER, "a discontinuity", || {
        let text = session.text("");
        let (before, after) = text.split_once("#EXT-X-DISCONTINUITY\n")?;
        (before.contains("#EXTINF") && after.contains("#EXTINF")).then(|| (before.to_owned(), after.to_owned()))
    })
}

/// The complete segments of a part of a playlist.
fn segments(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let complete = lines.windows(2).filter(|pair| pair[0].starts_with("#EXTINF"));
    complete.map(|pair| pair[1]).filter(|line| !line.starts_with('#')).collect()
}

/// What ffprobe reads of all segments together, behind their init section if they have one.
fn probe(session: &Session<'_>, text: &str, name: &str) -> Json {
    let maps = attributes(text, "#EXT-X-MAP", "URI");
    let files = maps.iter().map(String::as_str).take(1).chain(segments(text));
    let bytes = files.flat_map(|uri| {
        let answer = session.fetch(uri);
        assert_eq!(answer.status, 200, "{uri}");
        answer.body
    });
    let file = temporary(name);
    std::fs::write(&file, bytes.collect::<Vec<_>>()).expect("a file");
    ffmpeg::probe(&file)
}

fn kinds(probed: &Json) -> Vec<String> {
    let mut kinds: Vec<_> = probed.list("streams").iter().map(|stream| stream.text("codec_type").to_owned()).collect();
    kinds.sort();
    kinds
}

/// Plays it in both kinds from before there is anything, and begins again once the picture is there.
fn check(hub: &Hub, query: &str, map: bool) {
    let name = |part: &str| format!("hls-absence-{}-{map}-{part}", hub.address().port());
    let variant = hls::multivariant(hub, PATH, query).variants.remove(0);
    assert_eq!((variant.codecs.as_deref(), variant.resolution), (Some("mp4a.40.2"), None), "it begins with the sound");
    let session = Session::begin_with(hub, PATH, query);
    let (alone, together) = two_runs(&session);
    let (maps, more) = (attributes(&alone, "#EXT-X-MAP", "URI"), attributes(&together, "#EXT-X-MAP", "URI"));
    assert_eq!((maps.len(), more.len()), (usize::from(map), usize::from(map)), "{alone} and {together}");
    assert!(!map || maps != more, "each has its own init section: {maps:?}");
    assert_eq!(kinds(&probe(&session, &alone, &name("alone"))), ["audio"]);
    let probed = probe(&session, &together, &name("together"));
    assert_eq!(kinds(&probed), ["audio", "video"]);
    assert!(probed.list("packets").iter().any(|packet| packet.text("codec_type") == "video"), "pictures");
    // Numbers go on.
    let playlist = hls::parse(&session.text(""));
    assert!(playlist.segments.len() >= 2 && playlist.segments.iter().filter(|s| s.discontinuity).count() == 1);
    let variant = hls::multivariant(hub, PATH, query).variants.remove(0);
    let codecs = variant.codecs.unwrap_or_default();
    assert!(codecs.starts_with("avc1.") && codecs.ends_with(",mp4a.40.2"), "who comes now is told of both: {codecs}");
}

#[test]
fn sound_plays_alone_until_the_picture_comes() {
    let hub = Hub::start(&[], &[]);
    let _publisher = Publisher::start(&hub, PATH, Script { maker: "", faults: &[Fault::LateVideo] });
    hub.wait_live(PATH);
    std::thread::scope(|scope| {
        for (query, map) in [("", true), ("?type=ts", false)] {
            let hub = &hub;
            scope.spawn(move || check(hub, query, map));
        }
    });
}
