//! The limit: a process that does nothing but write the same frames to every socket, or read what is pushed. Viewers and
//! measuring are the same as for any server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::Stream;

mod feed;
mod peer;
mod server;

pub(crate) use server::serve;

/// What the child says when it can be connected to; its address follows.
const READY: &str = "listening on ";

/// The limit's process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Limit {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Limit {
    /// Starts this program again as the limit.
    pub(crate) fn start(stream: &Stream) -> Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        let mut command = Command::new(program);
        command.arg("limit-server").stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in [("--bitrate", stream.bitrate), ("--fps", stream.fps), ("--gop", f64::from(stream.gop))] {
            command.arg(name).arg(value.to_string());
        }
        let mut child = command.spawn().context("starting the limit")?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output is piped")?;
        let read = BufReader::new(output).read_line(&mut line);
        let address = line.trim().strip_prefix(READY).and_then(|address| address.parse().ok());
        match (read, address) {
            (Ok(_), Some(address)) => Ok(Self { child, address }),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                anyhow::bail!("the limit did not start: {line:?}")
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // It ends by itself when its input closes; this is sooner.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: tells the parent, and gives a sign when the parent is gone.
fn announce(address: SocketAddr) -> Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    let mut out = std::io::stdout();
    writeln!(out, "{READY}{address}")?;
    out.flush()?;
    let gone = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let flag = std::sync::Arc::clone(&gone);
    std::thread::spawn(move || {
        let mut input = std::io::stdin();
        let mut nothing = [0; 64];
        while matches!(input.read(&mut nothing), Ok(1..)) {}
        flag.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    Ok(gone)
}
