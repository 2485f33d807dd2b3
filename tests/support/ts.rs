//! A viewer of MPEG-TS on a thread of its own, which takes nothing but what the standard allows.

#[path = "../../media/src/ts/tests/reader.rs"]
mod reader;

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::http::Answer;
use super::hub::Hub;
use super::viewer::{End, Way};
use super::websocket::{Message, WebSocket};
use super::{lock, wait_until};
pub use reader::Reader;

/// `stream_type`s.
pub const MP3: u8 = 0x03;
pub const AAC: u8 = 0x0f;
pub const H264: u8 = 0x1b;
pub const H265: u8 = 0x24;

/// What came.
#[derive(Debug, Default)]
pub struct Recording {
    pub bytes: Vec<u8>,
    pub reader: Reader,
    pub end: Option<End>,
}

/// A viewer at work.
pub struct TsViewer {
    shared: Arc<Mutex<Recording>>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

enum Input {
    Http(Box<Answer>),
    WebSocket(WebSocket),
}

impl TsViewer {
    /// Watches `<path>.ts`. Panics if it is not let in.
    pub fn watch(hub: &Hub, way: Way, path: &str) -> Self {
        Self::open(hub, way, path, || {}).unwrap_or_else(|error| panic!("watching {path}: {error}"))
    }

    /// As [`TsViewer::watch`]; it reads the body only when `wait` has returned.
    pub fn open(hub: &Hub, way: Way, path: &str, wait: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let url = format!("/streams{path}.ts");
        let input = match way {
            Way::WebSocket => Input::WebSocket(WebSocket::open(hub.address(), &url)?),
            Way::Http => {
                let answer = Answer::to(hub.address(), "GET", &url, "HTTP/1.1", &[])?;
                assert_eq!(answer.status, 200, "{url}");
                let kind = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                assert_eq!(kind.map(|(_, value)| value.as_str()), Some("video/mp2t"));
                Input::Http(Box::new(answer))
            }
        };
        let socket = match &input {
            Input::Http(answer) => answer.stream().try_clone()?,
            Input::WebSocket(socket) => socket.stream().try_clone()?,
        };
        let shared = Arc::new(Mutex::new(Recording::default()));
        let writer = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            wait();
            let end = run(input, &writer);
            lock(&writer).end = Some(end);
        });
        Ok(Self { shared, socket, thread: Some(thread) })
    }

    /// Looks at what has come so far.
    pub fn with<T>(&self, look: impl FnOnce(&Recording) -> T) -> T {
        look(&lock(&self.shared))
    }

    /// Waits until what has come satisfies `condition`; nothing may be wrong with it until then.
    pub fn wait(&self, deadline: Duration, what: &str, mut condition: impl FnMut(&Recording) -> bool) {
        let holds =
            wait_until(deadline, || self.with(|seen| condition(seen) || matches!(seen.end, Some(End::Broken(_)))));
        self.with(|seen| {
            assert!(holds && condition(seen), "{what}: {} PES packets, end {:?}", seen.reader.found.len(), seen.end);
        });
    }

    /// The address that the hub sees.
    pub fn local_address(&self) -> String {
        self.socket.local_addr().expect("it is connected").to_string()
    }

    /// Leaves and gives what has come.
    pub fn finish(mut self) -> Recording {
        self.leave();
        std::mem::take(&mut lock(&self.shared))
    }

    fn leave(&mut self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the viewer found an error, see above");
        }
    }
}

impl Drop for TsViewer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Recording {
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        self.reader.push(bytes)
    }
}

fn run(input: Input, shared: &Mutex<Recording>) -> End {
    let result = match input {
        Input::Http(answer) => read_http(*answer, shared),
        Input::WebSocket(socket) => read_websocket(socket, shared),
    };
    result.unwrap_or_else(End::Broken)
}

fn read_http(mut answer: Answer, shared: &Mutex<Recording>) -> Result<End, String> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        match answer.read(&mut bytes).map_err(|error| error.to_string())? {
            0 if answer.complete => return Ok(End::Complete),
            0 => return Err("closed".into()),
            n => lock(shared).take(&bytes[..n])?,
        }
    }
}

fn read_websocket(mut socket: WebSocket, shared: &Mutex<Recording>) -> Result<End, String> {
    loop {
        match socket.read().map_err(|error| error.to_string())? {
            Message::Binary(data) => {
                let mut seen = lock(shared);
                seen.take(&data)?;
                if !seen.reader.is_at_boundary() {
                    return Err("a message ends within a packet".into());
                }
            }
            Message::Close { code, reason } => return Ok(End::Close { code, reason }),
            Message::Text(text) => return Err(format!("text in TS: {text}")),
            Message::Pong(_) => {}
        }
    }
}
