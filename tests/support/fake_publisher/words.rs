//! The publisher's requests: files named `maker_step.txt`, and what one without faults says where there is none.
//!
//! Names in braces are exchanged: `{url}` (of the stream), `{path}` (its path), `{cseq}`, `{control}`, `{session}`, `{channels}`
//! (a pair for the track), `{sets}` (`sprop-parameter-sets`), `{sps}` and `{pps}` of them, `{bare}` (the sets without padding), `{config}` (of the AAC) and
//! `{length}` (of the body). Line ends become CRLF.

use std::path::Path;

use super::clip::{self, Clip};
use super::media::Fault;
use super::{Reply, Script};

const ANNOUNCE: &str = "ANNOUNCE {url} RTSP/1.0\nCSeq: {cseq}\nUser-Agent: test\nContent-Type: application/sdp\n\
    Content-Length: {length}\n\nv=0\no=- 1 1 IN IP4 192.0.2.10\ns=test\nc=IN IP4 192.0.2.10\nt=0 0\n";
const SETUP: &str = "SETUP {control} RTSP/1.0\nCSeq: {cseq}\nUser-Agent: test\n\
    Transport: RTP/AVP/TCP;unicast;interleaved={channels};mode=record\n\n";
const SETUP_MORE: &str = "SETUP {control} RTSP/1.0\nCSeq: {cseq}\nSession: {session}\nUser-Agent: test\n\
    Transport: RTP/AVP/TCP;unicast;interleaved={channels};mode=record\n\n";
const PLAIN: &str =
    "{method} {url} RTSP/1.0\nCSeq: {cseq}\nSession: {session}\nUser-Agent: test\nRange: npt=0.000-\n\n";

pub struct Words {
    maker: &'static str,
    url: String,
    session: String,
    cseq: u32,
    /// The tracks' part of a plain description.
    sdp: String,
    others: Vec<(&'static str, String)>,
}

impl Words {
    pub fn new(clip: &Clip, script: &Script, url: String) -> Self {
        let (sps, pps) = (clip::base64(&clip.sps), clip::base64(&clip.pps));
        let path = url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        let others = vec![
            ("{sets}", clip.sets(script.has(Fault::AnnexB))),
            ("{bare}", format!("{},{}", sps.trim_end_matches('='), pps.trim_end_matches('='))),
            ("{sps}", sps),
            ("{pps}", pps),
            ("{config}", clip.audio_config.clone()),
            ("{path}", path),
        ];
        Self { maker: script.maker, url, session: String::new(), cseq: 0, sdp: clip.sdp(true), others }
    }

    /// Learns the session from an answer.
    pub fn session(&mut self, reply: &Reply) {
        let session = reply.header("Session").and_then(|value| value.split(';').next());
        self.session = session.expect("SETUP is answered with a session").to_owned();
    }

    pub fn announce(&mut self) -> String {
        let text = self.file("announce").unwrap_or_else(|| format!("{ANNOUNCE}{}", self.sdp));
        self.fill(&text, "", "")
    }

    pub fn setup(&mut self, track: usize, control: &str) -> String {
        let control = match control {
            whole if whole.contains("://") => whole.to_owned(),
            "" => self.url.clone(),
            relative => format!("{}/{}", self.url, relative.trim_start_matches('/')),
        };
        let plain = if track == 0 { SETUP } else { SETUP_MORE };
        let own = self.file(&format!("setup{}", track + 1)).or_else(|| self.file("setup"));
        self.fill(&own.unwrap_or_else(|| plain.to_owned()), &control, &format!("{}-{}", 2 * track, 2 * track + 1))
    }

    pub fn record(&mut self) -> String {
        let text = self.file("record").unwrap_or_else(|| PLAIN.replace("{method}", "RECORD"));
        self.fill(&text, "", "")
    }

    /// A request of what it says from time to time while it sends, if it does.
    pub fn between(&self, count: u32) -> Option<String> {
        let text = self.file("between")?.replace("{session}", &self.session).replace("{url}", &self.url);
        Some(text.replace("{cseq}", &(100 + count).to_string()).replace('\n', "\r\n"))
    }

    fn file(&self, step: &str) -> Option<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/publishers");
        std::fs::read_to_string(folder.join(format!("{}_{step}.txt", self.maker))).ok()
    }

    fn fill(&mut self, text: &str, control: &str, channels: &str) -> String {
        self.cseq += 1;
        let mut text = text.replace("{url}", &self.url).replace("{control}", control).replace("{channels}", channels);
        text = text.replace("{session}", &self.session).replace("{cseq}", &self.cseq.to_string());
        for (name, value) in &self.others {
            text = text.replace(name, value);
        }
        let mut text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        if text.contains("{bare line ends}") {
            // The body has LF only, its head CRLF as it must.
            let (head, body) = text.split_once("\r\n\r\n").expect("a body");
            text = format!("{head}\r\n\r\n{}", body.replace("{bare line ends}\r\n", "").replace("\r\n", "\n"));
        }
        let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        text.replace("{length}", &length.to_string())
    }
}
