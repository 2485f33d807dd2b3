//! A hub that the standard set starts for each of its runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// It must listen within this.
const START: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// A running hub, killed when dropped.
#[derive(Debug)]
pub(crate) struct Hub {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Hub {
    /// Starts `program` on ports of the system's choice, with its defaults. `settings` are its environment: `IPCHUB_...`.
    pub(crate) fn start(program: &Path, settings: &[String]) -> Result<Self> {
        let folder = std::env::temp_dir();
        let log = folder.join(format!("hub-load-{}.log", std::process::id()));
        let file = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        let program = program.canonicalize().with_context(|| program.display().to_string())?;
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("IPCHUB_")) {
            command.env_remove(name);
        }
        command.envs(settings.iter().filter_map(|setting| setting.split_once('=')));
        // A config.toml where we stand is not for this.
        command.current_dir(&folder).args(["--listen", "127.0.0.1:0", "--udp-port", "0"]);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let mut hub = Self { child, log, address: ([127, 0, 0, 1], 0).into() };
        let start = Instant::now();
        while start.elapsed() < START {
            let text = std::fs::read_to_string(&hub.log).unwrap_or_default();
            // A line that is not yet whole has no address that parses, or a port that is cut.
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found = whole.filter_map(|line| line.split_once(" listening on ")?.1.trim().parse().ok()).next();
            if let Some(address) = found {
                hub.address = address;
                return Ok(hub);
            }
            if let Some(status) = hub.child.try_wait()? {
                bail!("{} ended with {status}:\n{text}", program.display());
            }
            std::thread::sleep(LOOK);
        }
        bail!("{} did not listen within {START:?}", program.display())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
