//! A table in a file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{MAX_BYTES, Store, StoreError};

/// A file that is replaced as a whole: written beside itself, synced, renamed, and its folder synced. Only its owner may read
/// it: users have hashes and routes have passwords.
#[derive(Debug)]
pub struct JsonFile {
    file: PathBuf,
    /// Of what was read last.
    read: Option<Stamp>,
    /// Of what was accepted or written last; `None`: there was none.
    known: Option<Stamp>,
}

/// By which a change is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    len: u64,
    inode: u64,
}

impl From<Metadata> for Stamp {
    fn from(data: Metadata) -> Self {
        Self { modified: (data.mtime(), data.mtime_nsec()), len: data.len(), inode: data.ino() }
    }
}

impl JsonFile {
    /// The file of that name; it need not be there.
    pub fn new(file: PathBuf) -> Self {
        Self { file, read: None, known: None }
    }

    fn error(&self, source: io::Error) -> StoreError {
        StoreError::Io { file: self.file.clone(), source }
    }

    fn stamp(&self) -> Option<Stamp> {
        fs::metadata(&self.file).ok().map(Stamp::from)
    }
}

impl Store for JsonFile {
    fn name(&self) -> &Path {
        &self.file
    }

    fn read(&mut self) -> Result<Option<String>, StoreError> {
        let mut file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(error)),
        };
        let data = file.metadata().map_err(|error| self.error(error))?;
        if data.len() > MAX_BYTES {
            return Err(StoreError::TooLarge { file: self.file.clone(), len: data.len() });
        }
        let mut text = String::new();
        (&mut file).take(MAX_BYTES).read_to_string(&mut text).map_err(|error| self.error(error))?;
        self.read = Some(data.into());
        Ok(Some(text))
    }

    fn accept(&mut self) {
        self.known = self.read;
    }

    fn is_changed(&mut self) -> bool {
        self.stamp() != self.known
    }

    fn write(&mut self, text: &str) -> Result<(), StoreError> {
        if text.len() as u64 > MAX_BYTES {
            return Err(StoreError::TooLarge { file: self.file.clone(), len: text.len() as u64 });
        }
        let data = replace(&self.file, text.as_bytes()).map_err(|error| self.error(error))?;
        self.known = Some(data.into());
        Ok(())
    }
}

/// Replaces a file, or makes it with its folder.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<Metadata> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // One hub owns a data folder, and it writes a table once at a time: what a crash left under this name is overwritten.
    let beside = file.with_extension("tmp");
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    File::open(folder)?.sync_all()?;
    new.metadata()
}
