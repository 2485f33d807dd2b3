//! ffmpeg as the encoder that pushes, and as the judge of what viewers get.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::hub::Hub;
use super::json::Json;
use super::process::Process;

pub const H264: &str = "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p";
pub const H264_B_FRAMES: &str = "-c:v libx264 -preset superfast -bf 2 -x264-params b-adapt=0 -g 25 -pix_fmt yuv420p";
pub const H265: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=error -g 25 -pix_fmt yuv420p";
pub const AAC: &str = "-c:a aac -b:a 64k";
pub const PCMA: &str = "-c:a pcm_alaw -ar 8000 -ac 1";
pub const PCMU: &str = "-c:a pcm_mulaw -ar 8000 -ac 1";
pub const OPUS: &str = "-c:a libopus -ar 48000";
pub const MP3: &str = "-c:a libmp3lame -ar 44100";
pub const G722: &str = "-c:a g722 -ar 16000 -ac 1";

/// What is pushed.
#[derive(Debug, Clone, Copy)]
pub struct Media<'a> {
    /// Encoder options, see [`H264`]; `None`: no video.
    pub video: Option<&'a str>,
    /// Encoder options, see [`AAC`]; `None`: no audio.
    pub audio: Option<&'a str>,
    pub size: &'a str,
    /// Frames a second.
    pub rate: u32,
    /// A fifth of a second of picture and beep each second, else black and silence: shows the offset of audio and video.
    pub flash: bool,
    /// `tcp` or `udp`
    pub transport: &'a str,
}

impl Default for Media<'_> {
    fn default() -> Self {
        Self { video: Some(H264), audio: Some(AAC), size: "640x360", rate: 25, flash: false, transport: "tcp" }
    }
}

impl Media<'_> {
    /// Pushes it to a path until the process is dropped.
    pub fn push(&self, hub: &Hub, path: &str) -> Process {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-v", "error"]);
        let mut input = |source: &str| {
            command.args(["-re", "-f", "lavfi", "-i", source]);
        };
        if self.video.is_some() {
            let flash = if self.flash { ",drawbox=color=black:t=fill:enable='gte(mod(t,1),0.2)'" } else { "" };
            input(&format!("testsrc2=size={}:rate={}{flash}", self.size, self.rate));
        }
        if self.audio.is_some() {
            let volume = if self.flash { "lt(mod(t,1),0.2)" } else { "1" };
            input(&format!("aevalsrc='0.5*sin(2*PI*1000*t)*{volume}':s=44100"));
        }
        for options in [self.video, self.audio].into_iter().flatten() {
            command.args(options.split(' '));
        }
        command.args(["-f", "rtsp", "-rtsp_transport", self.transport, &hub.url("rtsp", path)]);
        Process::start(command)
    }
}

/// Decodes an input to nothing and panics at the first complaint.
pub fn decode(input: &str, options: &[&str]) {
    let mut process = start_decoding(input, options);
    finish_decoding(&mut process, input);
}

/// As [`decode`], with options of the input too.
pub fn decode_with(input: &str, before: &[&str], options: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-xerror"]).args(before).args(["-i", input]).args(options);
    let mut process = Process::start({
        command.args(["-f", "null", "-"]);
        command
    });
    finish_decoding(&mut process, input);
}

/// As [`decode`], without waiting for the end.
pub fn start_decoding(input: &str, options: &[&str]) -> Process {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-i", input]);
    // In the input's own time base: one guessed from the average rate rounds two frames after a pause to the same time.
    command.args(options).args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
    Process::start(command)
}

/// Waits for the end of a decoder and panics if it had anything to complain about.
pub fn finish_decoding(process: &mut Process, input: &str) {
    let (status, _) = process.wait(Duration::from_secs(90));
    let complaints = process.lines();
    assert!(status.success() && complaints.is_empty(), "ffmpeg on {input}: {status}\n{}", complaints.join("\n"));
}

/// What ffprobe says of a file: its streams and packets.
pub fn probe(file: &Path) -> Json {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-show_packets"]).arg(file);
    let output = command.output().expect("ffprobe is there");
    assert!(output.status.success(), "ffprobe on {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Json::parse(&String::from_utf8_lossy(&output.stdout))
}

/// When pictures come out of black and when beeps come out of silence, in seconds, see [`Media::flash`].
pub fn flashes_and_beeps(file: &Path) -> (Vec<f64>, Vec<f64>) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-i"]).arg(file);
    command.args(["-vf", "blackdetect=d=0.3", "-af", "silencedetect=n=-30dB:d=0.3", "-f", "null", "-"]);
    let output = command.output().expect("ffmpeg is there");
    let text = String::from_utf8_lossy(&output.stderr);
    let times = |name: &str| {
        let values = text.split(name).skip(1).filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        values.collect::<Vec<f64>>()
    };
    (times("black_end:"), times("silence_end: "))
}
