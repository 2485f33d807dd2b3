//! A camera that plays the demo clip by RTSP and has the faults that a test gives it.

// Each test file compiles this for itself and uses a part of it.
#![allow(dead_code, unreachable_pub)]

mod clip;
mod login;
mod replies;
pub mod routes;
mod sending;
mod session;
pub mod tls;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clip::Clip;
// Not every test file has a camera that asks for a login.
#[allow(unused_imports)]
pub use login::{Challenge, Login};
use session::Session;

/// What it does.
#[derive(Debug, Clone)]
pub struct Script {
    pub login: Option<Login>,
    /// Answers with the files `tests/support/cameras/MAKER_STEP.txt`, where there is one for a step.
    pub maker: Option<&'static str>,
    /// Paths (with query) that SETUP finds; any if there is none.
    pub set_up_at: &'static [&'static str],
    /// Where a redirect leads.
    pub elsewhere: String,
    /// Faults of its media.
    pub faults: &'static [Fault],
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
    /// It forgets its nonce once, after DESCRIBE.
    pub stale_nonce: bool,
    /// `Session: ...;timeout=`
    pub timeout: u32,
}

/// What can be wrong with its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The stream has no parameter sets: only the description tells them.
    NoSetsInStream,
    /// After 30 pictures the stream's SPS is another.
    SetsChange,
    /// Each NAL unit that is sent whole begins with 00 00 00 01, those of the description too.
    AnnexB,
    /// The marker bit is set on SPS, PPS and SEI: TP-Link TC70, Reolink Duo 2.
    MarkerOnSets,
    /// A new SSRC, sequence and clock after 30 pictures of a session.
    NewSsrc,
    /// Packets of an earlier session come from the first moment on: Reolink.
    StrangersFromTheStart,
    /// Every second packet of video comes after the one behind it.
    Reordered,
    /// The first session is sound only from its first packet on.
    SoundOnlyFirst,
    /// The packets of the first second have come before the answer to PLAY.
    EarlyMedia,
    /// OPTIONS makes it close the connection.
    ClosesOnOptions,
}

impl Script {
    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            login: None,
            maker: None,
            set_up_at: &[],
            elsewhere: String::new(),
            faults: &[],
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
    address: SocketAddr,
    script: Script,
    clip: Clip,
    alive: AtomicBool,
    connections: AtomicUsize,
    plays: AtomicUsize,
    refused: AtomicUsize,
    /// Nonces that have run out.
    nonces: AtomicUsize,
    requests: Mutex<Vec<String>>,
    /// Their headers, names in lower case.
    headers: Mutex<Vec<HashMap<String, String>>>,
    /// RTCP packets that came.
    reports: AtomicUsize,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn nonce(&self) -> String {
        format!("4b3f8a{}", self.nonces.load(SeqCst))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Camera {
    pub fn start(script: Script) -> Self {
        Self::start_on("127.0.0.1:0", script)
    }

    pub fn start_on(address: &str, script: Script) -> Self {
        let listener = TcpListener::bind(address).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let camera = Self {
            address,
            shared: Arc::new(Shared {
                address,
                script,
                clip: Clip::read(),
                alive: AtomicBool::new(true),
                connections: AtomicUsize::new(0),
                plays: AtomicUsize::new(0),
                refused: AtomicUsize::new(0),
                nonces: AtomicUsize::new(0),
                requests: Mutex::default(),
                headers: Mutex::default(),
                reports: AtomicUsize::new(0),
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// RTCP packets that it was sent.
    pub fn reports(&self) -> usize {
        self.shared.reports.load(SeqCst)
    }

    /// The headers of every request by their names in lower case.
    pub fn headers(&self) -> Vec<HashMap<String, String>> {
        lock(&self.shared.headers).clone()
    }

    /// The URLs of all requests of a method.
    pub fn urls(&self, method: &str) -> Vec<String> {
        let requests = self.requests();
        requests.iter().filter_map(|r| r.strip_prefix(method)?.strip_prefix(' ')).map(str::to_owned).collect()
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
