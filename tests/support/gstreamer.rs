//! GStreamer as a player and as a publisher.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::hub::Hub;
use super::process::Process;
use super::{temporary, wait_until};

/// For some tens of seconds of HLS on a busy machine.
const HLS_DEADLINE: Duration = Duration::from_secs(120);

/// Plays until it has so many decoded buffers of one track.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Width and height of the pictures; others are an error.
    pub size: (u32, u32),
    /// Pictures to decode; `None`: the stream has no video.
    pub pictures: Option<u32>,
    /// Buffers of sound to decode, 20 ms each; `None`: the stream has no audio.
    pub sounds: Option<u32>,
}

/// A player, and where it writes the packets of each track.
pub struct Player {
    pub process: Process,
    files: [PathBuf; 2],
}

const KINDS: [&str; 2] = ["video", "audio"];

/// Plays a stream; `protocols` as `rtspsrc` has them, empty for its default.
pub fn play(hub: &Hub, path: &str, protocols: &str, wanted: Wanted) -> Player {
    let name = format!("gstreamer_{}{}_{protocols}", hub.address().port(), path.replace('/', "_"));
    let files = KINDS.map(|kind| temporary(&format!("{name}_{kind}.rtp")));
    let mut command = Command::new("gst-launch-1.0");
    command.env("LC_ALL", "C").args(["rtspsrc", "name=source"]);
    command.arg(format!("location={}", hub.url("rtsp", path)));
    if !protocols.is_empty() {
        command.arg(format!("protocols={protocols}"));
    }
    for ((kind, count), file) in KINDS.into_iter().zip([wanted.pictures, wanted.sounds]).zip(&files) {
        let Some(count) = count else { continue };
        // Sound in buffers of 20 ms, whatever its packets have.
        let decoded = match kind {
            "audio" => "audioconvert ! audiobuffersplit output-buffer-duration=1/50".to_owned(),
            _ => format!("video/x-raw,width={},height={}", wanted.size.0, wanted.size.1),
        };
        // What comes out of the jitter buffer, as RFC 4571 frames it, and decoded.
        let pipeline = format!(
            "source. ! application/x-rtp,media={kind} ! tee name={kind} \
             {kind}. ! queue ! rtpstreampay ! filesink buffer-mode=unbuffered location={} \
             {kind}. ! queue ! decodebin ! {decoded} ! identity eos-after={count} ! fakesink sync=false",
            file.display()
        );
        command.args(pipeline.split_whitespace());
    }
    Player { process: Process::start(command), files }
}

/// What a player has seen of a track.
#[derive(Debug)]
pub struct Seen {
    pub packets: usize,
    /// Packets that are followed by another than the next.
    pub gaps: usize,
    /// Packets that end a picture, or begin a talk spurt.
    pub marked: usize,
}

impl Player {
    /// Waits until it ends, and panics unless all that was wanted is decoded and nothing was complained of. Its own fault at
    /// the end is passed over: one thread of rtspsrc sends PAUSE while another closes and cancels that, and it calls it an
    /// error that a write got an end of file. (Where the peer has closed, it is a system error.)
    pub fn finish(&mut self, what: &str, deadline: Duration) {
        let (status, _) = self.process.wait(deadline);
        let lines = self.process.lines();
        let cancelled = lines.iter().filter(|line| *line == "Could not send message. (Received end-of-file)").count();
        let (own, others): (Vec<_>, Vec<_>) = lines
            .iter()
            .filter(|line| line.starts_with("ERROR") || line.starts_with("WARNING"))
            .partition(|line| line.ends_with("source: Could not write to resource."));
        let done = lines.iter().any(|line| line.starts_with("Got EOS from element"));
        let ended = done && (status.success() || !own.is_empty());
        assert!(ended && others.is_empty() && own.len() == cancelled, "{what}: {status} {lines:#?}");
    }

    /// What it has seen of the video (0) or the audio (1).
    pub fn seen(&self, kind: usize) -> Seen {
        let bytes = std::fs::read(&self.files[kind]).expect("GStreamer wrote its packets");
        let mut rest = &bytes[..];
        let mut packets = Vec::new();
        // The last packet may be cut off by the end.
        while let Some((head, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*head));
            let Some((packet, after)) = after.split_at_checked(length) else { break };
            packets.push((u16::from_be_bytes([packet[2], packet[3]]), packet[1] >> 7 == 1));
            rest = after;
        }
        Seen {
            packets: packets.len(),
            gaps: packets.windows(2).filter(|pair| pair[1].0 != pair[0].0.wrapping_add(1)).count(),
            marked: packets.iter().filter(|packet| packet.1).count(),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        for file in &self.files {
            // One of a track that is not played is not there.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Plays HLS with 25 pictures of 320x180 a second and sound, for so many seconds.
pub fn play_hls(url: &str, seconds: u32) {
    let mut command = Command::new("gst-launch-1.0");
    let pipeline = format!(
        "-v uridecodebin3 name=source uri={url} \
         source. ! video/x-raw,width=320,height=180 ! queue ! fakesink name=pictures silent=false \
         source. ! audio/x-raw ! queue ! fakesink name=sounds silent=false",
    );
    command.env("LC_ALL", "C").args(pipeline.split_whitespace());
    let mut player = Process::start(command);
    let times = |sink: &str, lines: &[String]| {
        let buffers = lines.iter().filter(|line| line.contains(&format!("({sink}:sink) (")));
        let time =
            |line: &String| line.split("pts: ").nth(1)?.split(',').next()?.rsplit(':').next()?.parse::<f64>().ok();
        buffers.filter_map(time).collect::<Vec<_>>()
    };
    let enough = wait_until(HLS_DEADLINE, || {
        let lines = player.lines();
        times("pictures", &lines).len() >= 25 * seconds as usize
            && times("sounds", &lines).len() >= 40 * seconds as usize
            || !player.is_running()
    });
    let lines = player.lines();
    let complaints: Vec<_> =
        lines.iter().filter(|line| line.starts_with("ERROR") || line.starts_with("WARNING")).collect();
    assert!(enough && player.is_running() && complaints.is_empty(), "{complaints:#?} of {lines:#?}");
    assert!(lines.iter().any(|line| line.contains("GstHLSDemux2")), "it took another element for HLS");
    // Seconds of a minute: they begin again at 0.
    let steps: Vec<_> = times("pictures", &lines).windows(2).map(|pair| (pair[1] - pair[0] + 60.0) % 60.0).collect();
    // It prints each sink's newest message: on a busy machine one is printed twice, or late, and others not at all. What is
    // missing in the media itself ffmpeg would tell.
    let (small, large): (Vec<f64>, Vec<f64>) = steps.iter().partition(|step| **step < 0.5);
    assert!(large.len() * 20 <= steps.len(), "{steps:?}");
    let span: f64 = small.iter().sum();
    assert!(span > f64::from(seconds) * 0.8, "{} steps in {span} s", steps.len());
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
