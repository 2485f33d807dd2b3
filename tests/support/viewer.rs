//! A viewer that reads as fast as it can, on a thread of its own, and keeps what it got.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::{Reader, Tag};
use super::http::Answer;
use super::hub::Hub;
use super::websocket::{Message, WebSocket};
use super::{lock, wait_until};

/// Which way it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `http://.../x.flv`
    Http,
    /// `ws://.../x.flv`
    WebSocket,
}

/// How its connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The chunked body was terminated.
    Complete,
    /// A websocket close frame.
    Close { code: u16, reason: String },
    /// Anything else.
    Broken(String),
}

/// What came.
#[derive(Debug, Default)]
pub struct Recording {
    /// All bytes of the FLV up to the end of the last whole tag, if they are kept.
    pub bytes: Vec<u8>,
    pub tags: Vec<Tag>,
    /// Flags of the FLV header.
    pub flags: u8,
    pub end: Option<End>,
    /// When the last bytes came.
    pub last: Option<Instant>,
    /// The longest time without bytes after the first.
    pub longest_wait: Duration,
}

/// A viewer at work.
pub struct Viewer {
    shared: Arc<Mutex<Recording>>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

enum Input {
    Http(Box<Answer>),
    WebSocket(WebSocket),
}

impl Viewer {
    /// Watches and keeps every byte. Panics if it is not let in.
    pub fn record(hub: &Hub, way: Way, path: &str) -> Self {
        Self::open(hub, way, path, true).unwrap_or_else(|error| panic!("watching {path}: {error}"))
    }

    /// Watches and keeps the heads of the tags only.
    pub fn watch(hub: &Hub, way: Way, path: &str) -> Self {
        Self::open(hub, way, path, false).unwrap_or_else(|error| panic!("watching {path}: {error}"))
    }

    /// `path` is that of the stream with its query: `/a.flv?audio=all`.
    pub fn open(hub: &Hub, way: Way, path: &str, all: bool) -> io::Result<Self> {
        let url = format!("/streams{path}");
        let input = match way {
            Way::WebSocket => Input::WebSocket(WebSocket::open(hub.address(), &url)?),
            Way::Http => {
                let answer = Answer::to(hub.address(), "GET", &url, "HTTP/1.1", &[])?;
                if answer.status != 200 {
                    return Err(io::Error::other(format!("status {}", answer.status)));
                }
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
            let end = run(input, &writer, all);
            lock(&writer).end = Some(end);
        });
        Ok(Self { shared, socket, thread: Some(thread) })
    }

    /// Looks at what has come so far.
    pub fn with<T>(&self, look: impl FnOnce(&Recording) -> T) -> T {
        look(&lock(&self.shared))
    }

    /// Waits until what has come satisfies `condition`.
    pub fn wait(&self, deadline: Duration, what: &str, mut condition: impl FnMut(&Recording) -> bool) {
        let holds = wait_until(deadline, || self.with(&mut condition));
        assert!(holds, "{what}: not within {deadline:?}; {}", self.with(Recording::summary));
    }

    /// Waits for that many pictures.
    pub fn wait_pictures(&self, deadline: Duration, count: usize) {
        self.wait(deadline, &format!("{count} pictures"), |seen| {
            seen.tags.iter().filter(|tag| tag.is_picture()).count() >= count
        });
    }

    /// Waits until its connection has ended, and tells how.
    pub fn wait_end(&self, deadline: Duration) -> End {
        self.wait(deadline, "the end of the connection", |seen| seen.end.is_some());
        self.with(|seen| seen.end.clone()).expect("it was waited for")
    }

    /// How many tags have come.
    pub fn count(&self) -> usize {
        self.with(|seen| seen.tags.len())
    }

    /// The address that the hub sees.
    pub fn local_address(&self) -> String {
        self.socket.local_addr().expect("it is connected").to_string()
    }

    /// Closes its connection; what has come stays.
    pub fn leave_now(&self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Leaves and gives what has come.
    pub fn finish(mut self) -> Recording {
        self.leave();
        std::mem::take(&mut lock(&self.shared))
    }

    fn leave(&mut self) {
        self.leave_now();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the viewer found an error, see above");
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Recording {
    /// For messages.
    pub fn summary(&self) -> String {
        let pictures = self.tags.iter().filter(|tag| tag.is_picture()).count();
        let last = self.tags.last().map(|tag| tag.time);
        format!("{} tags, {pictures} pictures, last at {last:?} ms, end {:?}", self.tags.len(), self.end)
    }

    fn take(&mut self, reader: &mut Reader, bytes: &[u8], all: bool) -> Result<(), String> {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.longest_wait = self.longest_wait.max(now - last);
        }
        if all {
            self.bytes.extend_from_slice(bytes);
        }
        let result = reader.push(bytes, all, &mut self.tags);
        self.flags = reader.flags;
        result
    }
}

fn run(input: Input, shared: &Mutex<Recording>, all: bool) -> End {
    let mut reader = Reader::default();
    let end = match input {
        Input::Http(answer) => read_http(*answer, &mut reader, shared, all),
        Input::WebSocket(socket) => read_websocket(socket, &mut reader, shared, all),
    };
    lock(shared).bytes.truncate(reader.whole);
    end
}

fn read_http(mut answer: Answer, reader: &mut Reader, shared: &Mutex<Recording>, all: bool) -> End {
    let mut bytes = vec![0; 64 << 10];
    loop {
        match answer.read(&mut bytes) {
            Ok(0) if answer.complete => return End::Complete,
            Ok(0) => return End::Broken("closed".into()),
            Ok(n) => {
                if let Err(error) = lock(shared).take(reader, &bytes[..n], all) {
                    return End::Broken(error);
                }
            }
            Err(error) => return End::Broken(error.to_string()),
        }
    }
}

fn read_websocket(mut socket: WebSocket, reader: &mut Reader, shared: &Mutex<Recording>, all: bool) -> End {
    loop {
        match socket.read() {
            Ok(Message::Binary(data)) => {
                if let Err(error) = lock(shared).take(reader, &data, all) {
                    return End::Broken(error);
                }
                if !reader.is_at_boundary() {
                    return End::Broken("a message ends within a tag".into());
                }
            }
            Ok(Message::Close { code, reason }) => return End::Close { code, reason },
            Ok(Message::Text(text)) => return End::Broken(format!("text in FLV: {text}")),
            Ok(Message::Pong(_)) => {}
            Err(error) => return End::Broken(error.to_string()),
        }
    }
}
