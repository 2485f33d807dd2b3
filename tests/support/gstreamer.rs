//! GStreamer as a player and as a publisher.

use std::process::Command;

use super::hub::Hub;
use super::process::Process;

/// Plays until it has so many decoded buffers of one track.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Pictures to decode; `None`: the stream has no video.
    pub pictures: Option<u32>,
    /// Buffers of sound to decode; `None`: the stream has no audio.
    pub sounds: Option<u32>,
}

/// Plays a stream; `protocols` as `rtspsrc` has them, empty for its default.
pub fn play(hub: &Hub, path: &str, protocols: &str, wanted: Wanted) -> Process {
    let mut command = Command::new("gst-launch-1.0");
    command.env("LC_ALL", "C").args(["-v", "rtspsrc", "name=source"]);
    command.arg(format!("location={}", hub.url("rtsp", path)));
    if !protocols.is_empty() {
        command.arg(format!("protocols={protocols}"));
    }
    // Times as the packets have them, not as they arrive on a busy machine.
    command.arg("buffer-mode=none");
    for (media, count) in [("video", wanted.pictures), ("audio", wanted.sounds)] {
        let Some(count) = count else { continue };
        command.args(["source.", "!", &format!("application/x-rtp,media={media}")]);
        command.args(["!", "identity", "silent=false", &format!("name={media}-packets")]);
        command.args(["!", "decodebin", "!", "identity", &format!("eos-after={count}")]);
        command.args(["!", "fakesink", "silent=false", "sync=false", &format!("name={media}-decoded")]);
    }
    Process::start(command)
}

/// What a player has seen of a track.
#[derive(Debug)]
pub struct Seen {
    pub packets: usize,
    /// Packets before which one is missing; the first has none before it.
    pub gaps: usize,
    /// When each decoded buffer is shown, in seconds.
    pub times: Vec<f64>,
    /// `640x360`; empty for sound.
    pub size: String,
}

/// Reads what [`play`] has written about `video` or `audio`.
pub fn seen(lines: &[String], media: &str) -> Seen {
    let buffers = |element: &str| {
        let name = format!(":{media}-{element}: last-message = chain");
        lines.iter().filter(move |line| line.contains(&name))
    };
    let field = |line: &str, name: &str| {
        let value = line.split_once(name)?.1;
        Some(value[..value.find([',', ')', ' ']).unwrap_or(value.len())].to_owned())
    };
    let discontinuous = |line: &&String| line.split_once("flags: ").is_some_and(|(_, flags)| flags.contains("discont"));
    let caps = lines.iter().find(|line| line.contains(&format!("{media}-decoded.GstPad:sink: caps = video")));
    let size = caps.and_then(|caps| Some(format!("{}x{}", field(caps, "width=(int)")?, field(caps, "height=(int)")?)));
    Seen {
        packets: buffers("packets").count(),
        gaps: buffers("packets").skip(1).filter(discontinuous).count(),
        times: buffers("decoded").filter_map(|line| seconds(&field(line, "pts: ")?)).collect(),
        size: size.unwrap_or_default(),
    }
}

/// `h:mm:ss.fraction`
fn seconds(time: &str) -> Option<f64> {
    time.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// Publishes H.264, 320x180 at 25 pictures a second, and Opus.
pub fn publish(hub: &Hub, path: &str, protocols: &str) -> Process {
    let mut command = Command::new("gst-launch-1.0");
    let sink = format!("rtspclientsink name=sink location={} protocols={protocols}", hub.url("rtsp", path));
    let video = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
                 ! openh264enc gop-size=25 ! h264parse ! sink.";
    let audio = "audiotestsrc is-live=true volume=0.1 ! audioconvert ! audioresample ! opusenc ! sink.";
    command.env("LC_ALL", "C").arg("-q").args(format!("{sink} {video} {audio}").split_whitespace());
    Process::start(command)
}
