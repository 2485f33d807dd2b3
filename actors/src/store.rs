//! Where tables (users, routes, ended tokens) are kept: a text that is read and written as a whole.
//!
//! [`Kept`] is a table with its store. Readers share a snapshot and wait for nobody; changes come one after the other, off
//! the actors' threads, and are answered when the store holds them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

mod file;

pub use file::JsonFile;
pub(crate) use file::replace as file_replace;

/// Bytes of a table at most. An entry takes about a hundred to three hundred: this is room for fifty thousand.
pub const MAX_BYTES: u64 = 16 << 20;

/// Where one table is kept. Its calls may block; they are made off the actors' threads, and never two at once.
pub trait Store: fmt::Debug + Send {
    /// What messages call it: the name of the file.
    fn name(&self) -> &Path;
    /// The text as it is now; `None` if there is none.
    fn read(&mut self) -> Result<Option<String>, StoreError>;
    /// What was read last makes sense: it counts as known.
    fn accept(&mut self) {}
    /// Whether it is another than the last that was accepted or written.
    fn is_changed(&mut self) -> bool;
    /// Replaces the text. When this returns, the new text is there even after a power failure, and whenever it is
    /// interrupted there is the old text or the new one.
    fn write(&mut self, text: &str) -> Result<(), StoreError>;
}

/// Which store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// A file in the data folder.
    #[default]
    Json,
    /// None: what is changed is gone when the hub ends.
    Memory,
}

impl Provider {
    /// By its name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }

    /// The store of a table whose file has that name.
    pub fn store(self, file: PathBuf) -> Box<dyn Store> {
        match self {
            Self::Json => Box::new(JsonFile::new(file)),
            Self::Memory => Box::new(Memory { name: file, text: None }),
        }
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    #[error("{}: {len} bytes, expected at most {MAX_BYTES}", file.display())]
    TooLarge { file: PathBuf, len: u64 },
    #[error("{} is gone; what it said counts until the hub ends", file.display())]
    Gone { file: PathBuf },
    /// With line and column.
    #[error("{}: {problem}", file.display())]
    Parse { file: PathBuf, problem: String },
    #[error("the hub is shutting down")]
    Closing,
}

/// Keeps nothing beyond the process.
#[derive(Debug)]
struct Memory {
    name: PathBuf,
    text: Option<String>,
}

impl Store for Memory {
    fn name(&self) -> &Path {
        &self.name
    }

    fn read(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.text.clone())
    }

    fn is_changed(&mut self) -> bool {
        false
    }

    fn write(&mut self, text: &str) -> Result<(), StoreError> {
        self.text = Some(text.to_owned());
        Ok(())
    }
}

/// A table that has a text.
pub trait Document: Clone + fmt::Debug + Send + Sync + 'static {
    /// Reads it, without a byte order mark; the error names line and column where it can.
    fn parse(text: &str) -> Result<Self, String>;
    /// What it is when nothing is kept yet.
    fn absent() -> Self;
    /// Made ready to be written; may take long.
    fn prepare(&mut self) {}
    /// Its text.
    fn text(&self) -> String;
}

/// A table and where it is kept. Clones are the same table.
#[derive(Debug)]
pub struct Kept<D> {
    store: Arc<Mutex<Box<dyn Store>>>,
    current: Arc<RwLock<Arc<D>>>,
}

impl<D> Clone for Kept<D> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), current: Arc::clone(&self.current) }
    }
}

impl<D: Document> Kept<D> {
    /// Reads the table. Blocks: for the start.
    pub fn open(mut store: Box<dyn Store>) -> Result<Self, StoreError> {
        let table = match store.read()? {
            Some(text) => parse(&text, &mut *store)?,
            None => D::absent(),
        };
        Ok(Self { store: Arc::new(Mutex::new(store)), current: Arc::new(RwLock::new(Arc::new(table))) })
    }

    /// The table as it is now.
    pub fn current(&self) -> Arc<D> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the table and writes it. If somebody else wrote it meanwhile, that is what is changed; what they wrote is
    /// never overwritten when it cannot be read. An error leaves table and store as they were.
    pub fn change<R, E, F>(&self, change: F) -> impl Future<Output = Result<R, E>> + Send + use<D, R, E, F>
    where
        F: FnOnce(&mut D) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let kept = self.clone();
        async move {
            let mut store = Arc::clone(&kept.store).lock_owned().await;
            let changed = tokio::task::spawn_blocking(move || {
                match kept.reload(&mut **store) {
                    Ok(_) | Err(StoreError::Gone { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                let mut table = (*kept.current()).clone();
                let result = change(&mut table)?;
                table.prepare();
                store.write(&table.text())?;
                kept.set(table);
                Ok(result)
            });
            changed.await.unwrap_or_else(|_| Err(StoreError::Closing.into()))
        }
    }

    /// Looks whether somebody else changed what is kept, and takes that over. False if nothing changed. An error leaves the
    /// table as it was.
    pub fn look(&self) -> impl Future<Output = Result<bool, StoreError>> + Send + use<D> {
        let kept = self.clone();
        async move {
            // Whoever is writing looks, too.
            let Ok(mut store) = Arc::clone(&kept.store).try_lock_owned() else { return Ok(false) };
            let looked = tokio::task::spawn_blocking(move || kept.reload(&mut **store));
            looked.await.unwrap_or(Err(StoreError::Closing))
        }
    }

    fn reload(&self, store: &mut dyn Store) -> Result<bool, StoreError> {
        if !store.is_changed() {
            return Ok(false);
        }
        let text = store.read()?.ok_or_else(|| StoreError::Gone { file: store.name().to_owned() })?;
        self.set(parse(&text, store)?);
        Ok(true)
    }

    fn set(&self, table: D) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

/// Writers save with a byte order mark on some systems; an empty file is an empty table.
fn parse<D: Document>(text: &str, store: &mut dyn Store) -> Result<D, StoreError> {
    let text = text.trim_start_matches('\u{feff}');
    let table = match text.trim() {
        "" => Ok(D::absent()),
        _ => D::parse(text),
    };
    let table = table.map_err(|problem| StoreError::Parse { file: store.name().to_owned(), problem })?;
    store.accept();
    Ok(table)
}

/// JSON as the original wrote it: one tab for each level.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut serializer).expect("our own tables have string keys and no failing fields");
    out.push(b'\n');
    String::from_utf8(out).expect("serde_json writes UTF-8")
}

#[cfg(test)]
mod tests;
