//! Complete segments in a folder instead of memory. What cannot be written there stays in memory, and live goes on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

/// Names of our files: this, two numbers with a `-` between them, `.m4s`.
const PREFIX: &str = "ipchub-hls-";
const SUFFIX: &str = ".m4s";
/// Held while a hub uses the folder.
const LOCK: &str = "ipchub-hls.lock";

/// The folder. One for the hub.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    used: AtomicU64,
    runs: AtomicU64,
    /// Released with the process, however that ends.
    _lock: File,
}

/// A file of the folder; removed when dropped.
#[derive(Debug)]
pub(super) struct Kept {
    spool: Arc<Spool>,
    path: PathBuf,
    len: u64,
}

impl Spool {
    /// Makes the folder if there is none, and removes what a crashed hub left there: only files with our own names. Blocks.
    ///
    /// # Errors
    /// If the folder cannot be used, for instance because another hub does.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = File::options().create(true).append(true).open(folder.join(LOCK))?;
        lock.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another hub uses it"))?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_ours) && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        let (used, runs) = Default::default();
        Ok(Self { folder: folder.to_owned(), limit, used, runs, _lock: lock })
    }

    /// A number for files of one source while it is watched.
    pub(super) fn run(&self) -> u64 {
        self.runs.fetch_add(1, Relaxed)
    }

    /// Writes a segment. Blocks.
    ///
    /// # Errors
    /// If it cannot be written whole, or `hls.path_bytes` is reached; nothing is left of it then.
    pub(super) fn keep(self: &Arc<Self>, run: u64, number: u64, body: &Bytes) -> io::Result<Kept> {
        let len = body.len() as u64;
        let below = |used: u64| used.checked_add(len).filter(|sum| *sum <= self.limit);
        let full = |_| io::Error::new(io::ErrorKind::StorageFull, "hls.path_bytes are used");
        self.used.fetch_update(Relaxed, Relaxed, below).map_err(full)?;
        let path = self.folder.join(format!("{PREFIX}{run}-{number}{SUFFIX}"));
        // From here on dropping it undoes all.
        let kept = Kept { spool: Arc::clone(self), path, len };
        fs::write(&kept.path, body)?;
        Ok(kept)
    }
}

fn is_ours(name: &str) -> bool {
    let numbers = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX)?.split_once('-'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(run, number)| digits(run) && digits(number))
}

impl Kept {
    /// Reads it back. Blocks.
    pub(super) fn read(&self) -> io::Result<Bytes> {
        fs::read(&self.path).map(Bytes::from)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It may never have been made, or the folder may be gone.
        let _ = fs::remove_file(&self.path);
        self.spool.used.fetch_sub(self.len, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_bound_and_leave_nothing() {
        let folder = std::env::temp_dir().join(format!("ipchub-spool-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["ipchub-hls-0-1.m4s", "ipchub-hls-x-1.m4s", "mine.m4s"] {
            fs::write(folder.join(name), "x").expect("a file");
        }
        let spool = Arc::new(Spool::open(&folder, 10).expect("a folder"));
        assert!(Spool::open(&folder, 10).is_err(), "two hubs would remove each other's files");
        let names = || {
            let entries = fs::read_dir(&folder).expect("a folder").flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let others = ["ipchub-hls-x-1.m4s", "ipchub-hls.lock", "mine.m4s"];
        assert_eq!(names(), others);
        let kept = spool.keep(0, 7, &Bytes::from_static(b"12345678")).expect("room");
        assert_eq!(kept.read().expect("it is there"), Bytes::from_static(b"12345678"));
        assert!(spool.keep(0, 8, &Bytes::from_static(b"123")).is_err());
        drop(kept);
        assert_eq!(names(), others);
        assert!(spool.keep(0, 8, &Bytes::from_static(b"123")).is_ok());
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
