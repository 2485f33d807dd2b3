//! Where a clip's bytes are: in a file on disk or in the program.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::ClipError;

/// A clip's bytes.
#[derive(Debug)]
pub(crate) enum Medium {
    Memory(Bytes),
    File { file: File, path: PathBuf, identity: Identity },
}

/// What changes when a file is written or another one is put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    fn of(data: &Metadata) -> Self {
        Self { device: data.dev(), inode: data.ino(), len: data.len(), modified: data.modified().ok() }
    }
}

impl Medium {
    /// Opens a regular file. Others are not opened at all: a pipe would wait for its writer.
    pub(crate) fn file(path: &Path) -> Result<Self, ClipError> {
        regular(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let data = file.metadata()?;
        regular(&data)?;
        Ok(Self::File { file, path: path.to_owned(), identity: Identity::of(&data) })
    }

    /// Bytes there were when it was opened.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { identity, .. } => identity.len,
        }
    }

    /// Up to `len` bytes from byte `at` on, fewer at the end.
    pub(crate) fn peek(&self, at: u64, len: usize) -> Result<Bytes, ClipError> {
        let left = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
        self.read(at, len.min(left))
    }

    /// Exactly `len` bytes from byte `at` on. The caller bounds `len`.
    pub(crate) fn read(&self, at: u64, len: usize) -> Result<Bytes, ClipError> {
        let cut_off = || ClipError::CutOff { at, end: self.len() };
        if at.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(cut_off());
        }
        match self {
            // Both fit: they are within the bytes.
            Self::Memory(bytes) => Ok(bytes.slice(at as usize..at as usize + len)),
            Self::File { file, .. } => {
                let mut out = vec![0; len];
                file.read_exact_at(&mut out, at).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => ClipError::Changed,
                    _ => ClipError::Io(error),
                })?;
                Ok(out.into())
            }
        }
    }

    /// Whether the file at its path is still the one that is read.
    pub(super) fn check(&self) -> Result<(), ClipError> {
        match self {
            Self::File { path, identity, .. } if Identity::of(&std::fs::metadata(path)?) != *identity => {
                Err(ClipError::Changed)
            }
            _ => Ok(()),
        }
    }
}

fn regular(data: &Metadata) -> Result<(), ClipError> {
    match data {
        data if data.is_file() => Ok(()),
        data if data.is_dir() => Err(ClipError::NoFile("a folder")),
        _ => Err(ClipError::NoFile("a device, a pipe or a socket")),
    }
}
