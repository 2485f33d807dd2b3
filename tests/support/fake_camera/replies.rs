//! The camera's words: files named `maker_step.txt`, and what a camera without faults says where there is none.
//!
//! Names in braces are exchanged: `{cseq}`, `{url}` (of the request), `{address}` (the camera's, with its port), `{session}`,
//! `{timeout}`, `{transport}` (what a camera without faults says), `{sets}` (`sprop-parameter-sets`), `{config}` (of the
//! AAC), `{ssrc}`, `{nonce}`, `{elsewhere}` (of the script) and `{length}` (of the body). Line ends become CRLF. An empty file is no answer.

use std::path::Path;

use super::clip::Clip;
use super::{Fault, Login, Script, Shared};

pub const PLAIN: &str = "RTSP/1.0 200 OK\nCSeq: {cseq}\nSession: {session};timeout={timeout}\n\
    Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\n\n";
pub const SETUP: &str =
    "RTSP/1.0 200 OK\nCSeq: {cseq}\nTransport: {transport}\nSession: {session};timeout={timeout}\n\n";
pub const PLAY: &str = "RTSP/1.0 200 OK\nCSeq: {cseq}\nSession: {session};timeout={timeout}\nRange: npt=0.000-\n\n";

/// The values of one answer.
pub struct Values {
    pub transport: String,
    /// Of the track that is set up.
    pub ssrc: u32,
    others: Vec<(&'static str, String)>,
}

impl Values {
    pub fn new(shared: &Shared, url: &str, cseq: &str) -> Self {
        let (clip, script) = (&shared.clip, &shared.script);
        let others = vec![
            ("{cseq}", cseq.to_owned()),
            ("{url}", url.to_owned()),
            ("{base}", if script.base_without_scheme { url["rtsp://".len()..].to_owned() } else { url.to_owned() }),
            ("{address}", shared.address.to_string()),
            ("{session}", "9c1f".to_owned()),
            ("{timeout}", script.timeout.to_string()),
            ("{sets}", clip.sets(script.has(Fault::AnnexB))),
            ("{config}", clip.audio_config.clone()),
            ("{nonce}", shared.nonce()),
            ("{elsewhere}", script.elsewhere.clone()),
        ];
        Self { transport: String::new(), ssrc: 0, others }
    }

    /// A text with its names exchanged, as it goes over the wire.
    pub fn fill(&self, text: &str) -> String {
        let mut text = text.replace("{transport}", &self.transport).replace("{ssrc}", &format!("{:08X}", self.ssrc));
        for (name, value) in &self.others {
            text = text.replace(name, value);
        }
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        text.replace("{length}", &length.to_string())
    }
}

/// `maker_step2.txt` for the second answer of that step, else `maker_step.txt`, if there is one.
pub fn file(maker: &str, step: &str, count: usize) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cameras");
    let read = |name: String| std::fs::read_to_string(folder.join(name)).ok();
    read(format!("{maker}_{step}{count}.txt")).or_else(|| read(format!("{maker}_{step}.txt")))
}

pub fn status(line: &str) -> String {
    format!("RTSP/1.0 {line}\nCSeq: {{cseq}}\n\n")
}

pub fn unauthorized(login: &Login, nonce: &str, stale: bool) -> String {
    let offers: Vec<_> = login.headers(nonce, stale).iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("RTSP/1.0 401 Unauthorized\nCSeq: {{cseq}}\n{}\n", offers.concat())
}

pub fn describe(script: &Script, clip: &Clip) -> String {
    format!(
        "RTSP/1.0 200 OK\nCSeq: {{cseq}}\nContent-Base: {{base}}/\nContent-Type: application/sdp\n\
         Content-Length: {{length}}\n\nv=0\no=- 1 1 IN IP4 192.168.1.10\ns=camera\nt=0 0\na=control:*\n{}",
        clip.sdp(script.sprop)
    )
}
