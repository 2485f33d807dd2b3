//! A network that loses, doubles and swaps RTP packets: an RTSP proxy that puts itself between the UDP ports of both ends. (The
//! kernel's own, netem, is missing in many a test machine's kernel.)

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::hub::Hub;
use super::lock;

/// How bad it is, in packets of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub lost: u32,
    pub doubled: u32,
    /// Comes after the next one.
    pub late: u32,
}

/// What it did.
#[derive(Debug, Default)]
pub struct Done {
    pub passed: AtomicUsize,
    pub lost: AtomicUsize,
    pub doubled: AtomicUsize,
    pub late: AtomicUsize,
}

/// Decides what happens to each packet of a stream.
pub struct Fate {
    faults: Faults,
    done: Arc<Done>,
    random: u32,
    held: Option<Vec<u8>>,
}

impl Fate {
    pub fn new(faults: Faults, done: &Arc<Done>) -> Self {
        Self { faults, done: Arc::clone(done), random: 0x2545_f491, held: None }
    }

    /// The packets that go on now.
    pub fn pass(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        // xorshift: the same faults in each run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let Faults { lost, doubled, late } = self.faults;
        let mut out = match self.random % 1000 {
            n if n < lost => {
                self.done.lost.fetch_add(1, Relaxed);
                vec![]
            }
            n if n < lost + doubled => {
                self.done.doubled.fetch_add(1, Relaxed);
                vec![packet.to_vec(), packet.to_vec()]
            }
            n if n < lost + doubled + late && self.held.is_none() => {
                self.done.late.fetch_add(1, Relaxed);
                self.held = Some(packet.to_vec());
                return vec![];
            }
            _ => vec![packet.to_vec()],
        };
        if !out.is_empty() {
            out.extend(self.held.take());
        }
        self.done.passed.fetch_add(out.len(), Relaxed);
        out
    }
}

/// The proxy. It ends when dropped.
pub struct Lossy {
    address: SocketAddr,
    pub done: Arc<Done>,
    stop: Arc<AtomicBool>,
}

/// Threads look this often whether they should end.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Shared {
    faults: Faults,
    done: Arc<Done>,
    stop: Arc<AtomicBool>,
    /// Of each SETUP that waits for its answer: what the server's ports are replaced by.
    waiting: Arc<Mutex<Vec<Pair>>>,
}

/// RTP and RTCP sockets of one track, towards the server and towards the client.
struct Pair {
    server: [UdpSocket; 2],
    client: [UdpSocket; 2],
    client_ports: [u16; 2],
}

impl Lossy {
    /// In front of a hub on 127.0.0.1.
    pub fn before(hub: &Hub, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (done, stop) = (Arc::new(Done::default()), Arc::new(AtomicBool::new(false)));
        let (server, ends) = (hub.address(), Arc::clone(&stop));
        let counts = Arc::clone(&done);
        listener.set_nonblocking(true).expect("non-blocking");
        std::thread::spawn(move || {
            while !ends.load(Relaxed) {
                let Ok((client, _)) = listener.accept() else {
                    std::thread::sleep(LOOK);
                    continue;
                };
                let (done, stop) = (Arc::clone(&counts), Arc::clone(&ends));
                let shared = Shared { faults, done, stop, waiting: Arc::default() };
                // A connection that fails is seen at its ends.
                let _ = connect(client, server, &shared);
            }
        });
        Self { address, done, stop }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://{}{path}", self.address)
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn connect(client: TcpStream, server: SocketAddr, shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(server)?;
    for (from, to, to_server) in
        [(client.try_clone()?, server.try_clone()?, true), (server.try_clone()?, client.try_clone()?, false)]
    {
        let shared = shared.clone();
        std::thread::spawn(move || {
            let _ = copy(from.try_clone(), &to, to_server, &shared);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    Ok(())
}

/// Passes messages on, with other ports.
fn copy(from: io::Result<TcpStream>, mut to: &TcpStream, to_server: bool, shared: &Shared) -> io::Result<()> {
    let mut input = BufReader::new(from?);
    loop {
        match input.fill_buf()?.first() {
            None => return Ok(()),
            Some(b'$') => {
                let mut head = [0; 4];
                input.read_exact(&mut head)?;
                let mut data = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
                input.read_exact(&mut data)?;
                to.write_all(&[&head[..], &data].concat())?;
                continue;
            }
            Some(_) => {}
        }
        let (mut out, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.to_ascii_lowercase().starts_with("transport:") {
                line = if to_server { request(&line, shared)? } else { reply(&line, shared)? };
            }
            out.extend(line.bytes());
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        out.extend(body);
        to.write_all(&out)?;
    }
}

/// The two ports behind `name=`.
fn ports(line: &str, name: &str) -> Option<(String, [u16; 2])> {
    let text = line.split(';').find_map(|part| part.trim().strip_prefix(name))?;
    let (first, second) = text.split_once('-')?;
    Some((format!("{name}{text}"), [first.parse().ok()?, second.parse().ok()?]))
}

fn request(line: &str, shared: &Shared) -> io::Result<String> {
    let Some((text, client_ports)) = ports(line, "client_port=") else { return Ok(line.to_owned()) };
    let pair = Pair { server: sockets()?, client: sockets()?, client_ports };
    let new = format!("client_port={}-{}", port(&pair.server[0])?, port(&pair.server[1])?);
    lock(&shared.waiting).push(pair);
    Ok(line.replace(&text, &new))
}

fn reply(line: &str, shared: &Shared) -> io::Result<String> {
    let Some((text, server_ports)) = ports(line, "server_port=") else { return Ok(line.to_owned()) };
    let Some(pair) = lock(&shared.waiting).pop() else { return Ok(line.to_owned()) };
    let new = format!("server_port={}-{}", port(&pair.client[0])?, port(&pair.client[1])?);
    let told = ports(line, "client_port=").map(|(text, _)| text).unwrap_or_default();
    let own = format!("client_port={}-{}", pair.client_ports[0], pair.client_ports[1]);
    let Pair { server, client, client_ports } = pair;
    for (n, (server, client)) in server.into_iter().zip(client).enumerate() {
        // Reports get through, so that tests can wait for them, unless nothing does.
        let faults = if n == 0 || shared.faults.lost == 1000 { shared.faults } else { Faults::default() };
        relay(server.try_clone()?, client.try_clone()?, client_ports[n], faults, shared);
        relay(client, server, server_ports[n], faults, shared);
    }
    Ok(line.replace(&text, &new).replace(&told, &own))
}

fn relay(from: UdpSocket, over: UdpSocket, to: u16, faults: Faults, shared: &Shared) {
    let mut fate = Fate::new(faults, &shared.done);
    let stop = Arc::clone(&shared.stop);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while !stop.load(Relaxed) {
            let Ok(length) = from.recv(&mut buffer) else { continue };
            for packet in fate.pass(&buffer[..length]) {
                let _ = over.send_to(&packet, ("127.0.0.1", to));
            }
        }
    });
}

fn port(socket: &UdpSocket) -> io::Result<u16> {
    Ok(socket.local_addr()?.port())
}

/// An even port and the next one, as ffmpeg expects.
pub fn sockets() -> io::Result<[UdpSocket; 2]> {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0")?;
        let even = port(&first)?;
        if even % 2 == 1 {
            continue;
        }
        if let Ok(second) = UdpSocket::bind(("127.0.0.1", even + 1)) {
            for socket in [&first, &second] {
                socket.set_read_timeout(Some(LOOK))?;
            }
            return Ok([first, second]);
        }
    }
    Err(io::Error::other("no pair of ports"))
}
