//! Scripts that call a hub's REST without a pause, beside media: each connection asks again once it has its answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// An answer that takes longer will never come.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a page of a thousand streams, several times over.
const MAX_ANSWER: usize = 16 << 20;

/// What calls, in a process of the least priority: scripts run on other machines, and are not to take the cores from the hub and
/// its viewers here.
#[derive(Debug)]
pub(crate) struct Callers {
    start: Instant,
    process: Child,
}

impl Callers {
    /// `connections` that ask for `path` with an administrator's token, from now on.
    pub(crate) fn start(address: SocketAddr, path: &str, connections: usize) -> Result<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe()?).arg("call");
        command.args(["--address", &address.to_string(), "--path", path, "--connections", &connections.to_string()]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting callers")?;
        Ok(Self { start: Instant::now(), process })
    }

    /// Calls a second. An error: one was not answered well.
    pub(crate) fn finish(mut self) -> Result<f64> {
        let seconds = self.start.elapsed().as_secs_f64();
        // They stop when nobody holds the other end any more.
        drop(self.process.stdin.take());
        let mut told = String::new();
        self.process.stdout.take().context("callers tell something")?.read_to_string(&mut told)?;
        ensure!(self.process.wait()?.success(), "calls were not answered well");
        Ok(told.trim().parse::<u64>().with_context(|| format!("callers told {told:?}"))? as f64 / seconds)
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process: calls until its standard input ends, then tells how often.
pub(crate) fn call(address: SocketAddr, path: &str, connections: usize) -> Result<()> {
    let token = log_in(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let caller = |_| {
        let (request, stop, calls) = (request.clone(), Arc::clone(&stop), Arc::clone(&calls));
        std::thread::spawn(move || {
            let mut connection = Connection::open(address)?;
            while !stop.load(Relaxed) {
                connection.call(request.as_bytes())?;
                calls.fetch_add(1, Relaxed);
            }
            Ok(())
        })
    };
    let threads: Vec<JoinHandle<Result<()>>> = (0..connections).map(caller).collect();
    std::io::stdin().read_to_end(&mut Vec::new())?;
    stop.store(true, Relaxed);
    for thread in threads {
        match thread.join() {
            Ok(result) => result?,
            Err(_) => bail!("a caller panicked"),
        }
    }
    println!("{}", calls.load(Relaxed));
    Ok(())
}

/// The first account of a hub without `users.json` is taken from this machine.
fn log_in(address: SocketAddr) -> Result<String> {
    let body = r#"{"username": "admin", "password": "admin"}"#;
    let request =
        format!("POST /api/v1/login HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = Connection::open(address)?.call(request.as_bytes()).context("logging in")?;
    let answer: serde_json::Value = serde_json::from_slice(&answer).context("the answer to a login")?;
    let token = answer.get("access_token").and_then(serde_json::Value::as_str);
    Ok(token.context("the answer to a login has no access_token")?.to_owned())
}

/// One connection, one call at a time.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The body of a good answer.
    fn call(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut piece = [0; 64 << 10];
        loop {
            if let Some((head, len)) = head(&self.buffer)?
                && self.buffer.len() >= head + len
            {
                return Ok(self.buffer[head..head + len].to_vec());
            }
            let n = self.stream.read(&mut piece)?;
            ensure!(n > 0, "the connection was closed before its answer");
            self.buffer.extend_from_slice(&piece[..n]);
        }
    }
}

/// Lengths of head and body of an answer, once its head is there.
fn head(answer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "answered with {status}");
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.context("an answer without Content-Length")?.1.trim().parse()?;
    ensure!(length <= MAX_ANSWER, "an answer of {length} bytes");
    Ok(Some((end + 4, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for cut in 0..38 {
            assert_eq!(head(&answer[..cut]).expect("not yet whole"), None, "{cut}");
        }
        for cut in 38..=answer.len() {
            assert_eq!(head(&answer[..cut]).expect("good"), Some((38, 5)), "{cut}");
        }
        for bad in [
            "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        ] {
            assert!(head(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
