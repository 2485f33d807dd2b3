//! A camera that plays the demo clip by RTSP and has the faults that a test gives it.

// Each test file compiles this for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

mod clip;
mod login;
pub mod routes;
mod sending;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clip::Clip;
// Not every test file has a camera that asks for a login.
#[allow(unused_imports)]
pub use login::{Challenge, Login};
use sending::Output;

/// What it does.
#[derive(Debug, Clone)]
pub struct Script {
    pub login: Option<Login>,
    /// After answering this method it says nothing more.
    pub silent_after: Option<&'static str>,
    /// Closes the connection after this many pictures.
    pub dies_after: Option<usize>,
    /// After this many pictures of its first session it sends nothing more.
    pub stalls_after: Option<usize>,
    /// After this many pictures of its first session it sends sound only.
    pub video_stalls_after: Option<usize>,
    /// The description has the parameter sets.
    pub sprop: bool,
    /// `192.168.1.10:554/stream/` instead of a URL: Anjvision.
    pub base_without_scheme: bool,
    /// Answers SETUP with channels of its own choice: Escam.
    pub other_channels: bool,
    /// 461 to interleaved transport: cvlc.
    pub refuses_tcp: bool,
    /// Sends on packets of a session that is gone: Reolink.
    pub strangers: bool,
    /// In its first session it forgets its nonce after DESCRIBE.
    pub stale_nonce: bool,
    /// `Session: ...;timeout=`
    pub timeout: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            login: None,
            silent_after: None,
            dies_after: None,
            stalls_after: None,
            video_stalls_after: None,
            sprop: true,
            base_without_scheme: false,
            other_channels: false,
            refuses_tcp: false,
            strangers: false,
            stale_nonce: false,
            timeout: 60,
        }
    }
}

/// A camera; gone when dropped.
pub struct Camera {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    clip: Clip,
    alive: AtomicBool,
    connections: AtomicUsize,
    plays: AtomicUsize,
    refused: AtomicUsize,
    requests: Mutex<Vec<String>>,
    sockets: Mutex<Vec<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Camera {
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let camera = Self {
            address: listener.local_addr().expect("it is bound"),
            shared: Arc::new(Shared {
                script,
                clip: Clip::read(),
                alive: AtomicBool::new(true),
                connections: AtomicUsize::new(0),
                plays: AtomicUsize::new(0),
                refused: AtomicUsize::new(0),
                requests: Mutex::default(),
                sockets: Mutex::default(),
            }),
        };
        camera.listen(listener);
        camera
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        listener.set_nonblocking(true).expect("it can be polled");
        std::thread::spawn(move || {
            while shared.alive.load(SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).expect("it can block");
                shared.connections.fetch_add(1, SeqCst);
                lock(&shared.sockets).push(stream.try_clone().expect("it is open"));
                let shared = Arc::clone(&shared);
                // Its end is seen on the other side.
                std::thread::spawn(move || drop(Session::new(&shared, stream).serve()));
            }
        });
    }

    /// Pulls the plug.
    pub fn kill(&self) {
        self.shared.alive.store(false, SeqCst);
        // The listener's thread looks every 5 ms.
        std::thread::sleep(Duration::from_millis(50));
        for socket in lock(&self.shared.sockets).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Plugs it in again, on the same port.
    pub fn restart(&self) {
        self.shared.alive.store(true, SeqCst);
        self.listen(TcpListener::bind(self.address).expect("its port is still its own"));
    }

    /// `rtsp://127.0.0.1:port/path`, with what stands before the host.
    pub fn url(&self, user: &str, path: &str) -> String {
        format!("rtsp://{user}{}{path}", self.address)
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// How often it began to play.
    pub fn plays(&self) -> usize {
        self.shared.plays.load(SeqCst)
    }

    /// Wrong logins.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(SeqCst)
    }

    /// `METHOD url` of every request.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    input: BufReader<TcpStream>,
    output: Arc<Mutex<TcpStream>>,
    /// By track.
    outputs: HashMap<usize, Output>,
    gone: Arc<AtomicBool>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.gone.store(true, SeqCst);
    }
}

impl<'a> Session<'a> {
    fn new(shared: &'a Arc<Shared>, stream: TcpStream) -> Self {
        let output = Arc::new(Mutex::new(stream.try_clone().expect("it is open")));
        Self { shared, input: BufReader::new(stream), output, outputs: HashMap::new(), gone: Arc::default() }
    }

    fn serve(&mut self) -> io::Result<()> {
        let script = &self.shared.script;
        loop {
            let (method, url, headers) = self.request()?;
            lock(&self.shared.requests).push(format!("{method} {url}"));
            let header = |name: &str| headers.get(name).map(String::as_str);
            let cseq = header("cseq").unwrap_or_default().to_owned();
            if let Some(login) = &script.login {
                let given = header("authorization");
                let stale = script.stale_nonce && method == "SETUP" && self.shared.connections.load(SeqCst) == 1;
                if stale || !given.is_some_and(|given| login.accepts(given, &method)) {
                    self.shared.refused.fetch_add(usize::from(given.is_some()), SeqCst);
                    self.reply("401 Unauthorized", &cseq, &login.headers(), "")?;
                    continue;
                }
            }
            let session = ("Session", format!("9c1f;timeout={}", script.timeout));
            match method.as_str() {
                "OPTIONS" => {
                    let public = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER".to_owned();
                    self.reply("200 OK", &cseq, &[("Public", public)], "")?;
                }
                "DESCRIBE" => {
                    let base = if script.base_without_scheme { &url["rtsp://".len()..] } else { url.as_str() };
                    let headers = [("Content-Base", format!("{base}/")), ("Content-Type", "application/sdp".into())];
                    let sdp = format!(
                        "v=0\r\no=- 1 1 IN IP4 192.168.1.10\r\ns=camera\r\nt=0 0\r\na=control:*\r\n{}",
                        self.shared.clip.sdp(script.sprop)
                    );
                    self.reply("200 OK", &cseq, &headers, &sdp)?;
                }
                "SETUP" => match self.set_up(&url, header("transport").unwrap_or_default()) {
                    Some(transport) => self.reply("200 OK", &cseq, &[("Transport", transport), session], "")?,
                    None => self.reply("461 Unsupported Transport", &cseq, &[], "")?,
                },
                "PLAY" => {
                    let count = self.shared.plays.fetch_add(1, SeqCst);
                    self.reply("200 OK", &cseq, &[session, ("Range", "npt=0.000-".into())], "")?;
                    if script.silent_after != Some("PLAY") {
                        sending::start(Arc::clone(self.shared), count, std::mem::take(&mut self.outputs));
                    }
                }
                "TEARDOWN" => {
                    self.reply("200 OK", &cseq, &[session], "")?;
                    return lock(&self.output).shutdown(Shutdown::Both);
                }
                _ => self.reply("200 OK", &cseq, &[session], "")?,
            }
            if script.silent_after == Some(method.as_str()) {
                // Open and silent until the other side has enough.
                return io::copy(&mut self.input, &mut io::sink()).map(|_| ());
            }
        }
    }

    fn set_up(&mut self, url: &str, transport: &str) -> Option<String> {
        let track = usize::from(url.ends_with("track2"));
        let option = |name: &str| {
            let value = transport.split(';').find_map(|part| part.strip_prefix(name))?;
            value.split('-').next()?.parse::<u16>().ok()
        };
        if let Some(asked) = option("interleaved=") {
            if self.shared.script.refuses_tcp {
                return None;
            }
            let channel = if self.shared.script.other_channels { 20 + 2 * track as u8 } else { asked as u8 };
            self.outputs.insert(track, Output::Tcp(Arc::clone(&self.output), channel));
            return Some(format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1));
        }
        let client = option("client_port=")?;
        let peer = lock(&self.output).peer_addr().ok()?.ip();
        let rtp = UdpSocket::bind("127.0.0.1:0").ok()?;
        rtp.connect((peer, client)).ok()?;
        let port = rtp.local_addr().ok()?.port();
        let output = Output::Udp(rtp, Arc::clone(&self.gone), Arc::clone(&self.output));
        self.outputs.insert(track, output);
        Some(format!("RTP/AVP/UDP;unicast;client_port={client}-{};server_port={port}-{}", client + 1, port + 1))
    }

    /// Method, URL and headers by their lower-case names; interleaved packets before it are passed over.
    fn request(&mut self) -> io::Result<(String, String, HashMap<String, String>)> {
        while self.input.fill_buf()?.first() == Some(&b'$') {
            let mut head = [0; 4];
            self.input.read_exact(&mut head)?;
            let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            self.input.read_exact(&mut data)?;
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut words = lines.first().map(String::as_str).unwrap_or_default().split(' ').map(str::to_owned);
        let (method, url) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        Ok((method, url, headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect()))
    }

    fn reply(&self, status: &str, cseq: &str, headers: &[(&str, String)], body: &str) -> io::Result<()> {
        let mut text = format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        lock(&self.output).write_all(format!("{text}\r\n{body}").as_bytes())
    }
}
