//! A publisher that pushes the demo clip by RTSP over TCP in its own words, with the faults that a test gives it.

// Each test file compiles this for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

#[path = "../fake_camera/clip.rs"]
mod clip;
mod media;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

use crate::support::hub::Hub;
use crate::support::rtsp::{Reply, Rtsp};
use clip::Clip;
pub use media::Fault;
use words::Words;

/// What it says and sends.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its requests are the files `tests/support/publishers/MAKER_STEP.txt`, where there is one for a step.
    pub maker: &'static str,
    /// Faults of its media.
    pub faults: &'static [Fault],
}

/// It publishes until it is dropped.
pub struct Publisher {
    /// The answers to its requests, in order; the last may be a refusal, after which it says nothing more.
    pub replies: Vec<Reply>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Announces, sets up and records as far as the hub lets it, and sends.
    pub fn start(hub: &Hub, path: &str, script: Script) -> Self {
        let clip = Clip::read();
        let mut words = Words::new(&clip, &script, hub.url("rtsp", path));
        let mut rtsp = Rtsp::connect(hub, path);
        let stop = Arc::new(AtomicBool::new(false));
        let mut publisher = Self { replies: Vec::new(), stop: Arc::clone(&stop), thread: None };
        let mut ask = |text: String| {
            rtsp.send(text.as_bytes()).expect("the hub reads");
            let reply = rtsp.reply().expect("an answer");
            let status = reply.status;
            publisher.replies.push(reply.clone());
            (status == 200).then_some(reply)
        };
        let announce = words.announce();
        let mut tracks = media::tracks(&announce);
        let Some(_) = ask(announce) else { return publisher };
        for (n, track) in tracks.iter_mut().enumerate() {
            let Some(reply) = ask(words.setup(n, &track.control)) else { return publisher };
            words.session(&reply);
            let transport = reply.header("Transport").unwrap_or_default();
            let channels = transport.split_once("interleaved=").and_then(|(_, rest)| rest.split_once('-'));
            track.channel = channels.and_then(|(rtp, _)| rtp.parse().ok()).expect("it is told its channels");
            let rtcp = channels.map(|(_, rest)| rest.split(';').next().unwrap_or_default());
            track.control_channel = rtcp.and_then(|rtcp| rtcp.parse().ok()).expect("it is told its channels");
        }
        let Some(_) = ask(words.record()) else { return publisher };
        publisher.thread = Some(std::thread::spawn(move || {
            // An error is the end of the connection.
            let _ = media::send(&clip, &mut rtsp, &tracks, &script, (&words, &stop));
        }));
        publisher
    }

    /// What the hub said last.
    pub fn last(&self) -> &Reply {
        self.replies.last().expect("it asked something")
    }

    /// It was let in and not sent away since.
    pub fn is_publishing(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
