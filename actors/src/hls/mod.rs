//! HLS of a source: an actor that cuts its frames while somebody watches, and what players' requests ask it for.
//!
//! Requests never come through the actor's mailbox, which is for media: it publishes a snapshot after each part, and a request
//! reads that, or waits for the next one.

mod handle;
mod muxer;
mod sessions;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use handle::{Handle, HlsError};
pub use muxer::HlsMuxer;
pub use sessions::Session;
pub use spool::Spool;

/// From the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Length of a part, about.
    pub part: Duration,
    /// Segments are about this long, in whole GOPs.
    pub fragment: Duration,
    /// Segments in a playlist.
    pub window: usize,
    /// Without a request for this long a player has left; without any player the work ends.
    pub idle: Duration,
    /// Bytes of one source's segments in memory at most.
    pub bytes: usize,
    /// Where complete segments are kept; `None`: in memory.
    pub path: Option<PathBuf>,
    /// Bytes of all sources' segments in that folder at most.
    pub path_bytes: u64,
}

impl Settings {
    /// The folder for segments. Where it cannot be used that is logged, and they stay in memory.
    pub(crate) fn open_folder(&self) -> Option<Arc<Spool>> {
        let path = self.path.as_ref()?;
        match Spool::open(path, self.path_bytes) {
            Ok(spool) => Some(Arc::new(spool)),
            Err(error) => {
                log::error!("hls.path = {}: {error}; segments stay in memory", path.display());
                None
            }
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            part: Duration::from_millis(300),
            fragment: Duration::from_secs(2),
            window: 10,
            idle: Duration::from_secs(30),
            bytes: 64 << 20,
            path: None,
            path_bytes: 4 << 30,
        }
    }
}
