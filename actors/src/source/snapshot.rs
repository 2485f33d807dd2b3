//! The picture of a source: its last key frame, as a file that ends. Who looks at it is no consumer: nothing is begun, and
//! nothing is kept alive.

use std::sync::Arc;

use actix::prelude::*;
use ipchub_media::{Frame, Kind, Track, fmp4};

use super::Source;
use crate::messages::Found;

/// A source's last key frame.
#[derive(Debug)]
pub struct Snapshot {
    /// The picture as MP4.
    pub still: fmp4::Still,
    /// Which one it is; another for each picture of each source.
    pub tag: String,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SnapshotError {
    #[error("it has no picture")]
    NoVideo,
    #[error("{0}")]
    NotCarried(String),
    #[error("no key frame has come yet")]
    NotYet,
    #[error("the stream has ended")]
    Ended,
    #[error("its picture cannot be written: {0}")]
    Unwritable(#[from] fmp4::Error),
}

/// To a source: its last key frame, and the track that it is of.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Track, Frame), SnapshotError>")]
pub struct TakeKeyFrame;

impl Handler<TakeKeyFrame> for Source {
    type Result = Result<(Track, Frame), SnapshotError>;

    fn handle(&mut self, _: TakeKeyFrame, _: &mut Self::Context) -> Self::Result {
        let first = self.tracks.iter().map(|state| &state.track).find(|track| track.kind == Kind::Video);
        let first = first.ok_or(SnapshotError::NoVideo)?;
        let Some(key) = self.gop.key() else {
            return Err(fmp4::refusal(first).map_or(SnapshotError::NotYet, SnapshotError::NotCarried));
        };
        let track = self.tracks.get(key.track).map(|state| state.track.clone()).ok_or(SnapshotError::NotYet)?;
        match fmp4::refusal(&track) {
            Some(reason) => Err(SnapshotError::NotCarried(reason)),
            None if track.parameters.is_none() => Err(SnapshotError::NotYet),
            None => Ok((track, key.clone())),
        }
    }
}

impl Snapshot {
    /// That of a live source. It is made once for all who ask, who wait for each other, and made anew after
    /// [`super::MEASURE`]: whoever asks often costs the source nothing.
    ///
    /// # Errors
    /// If there is no picture, or none that can be sent.
    pub async fn of(found: &Found) -> Result<Arc<Self>, SnapshotError> {
        let mut kept = found.info.snapshot.lock().await;
        if let Some(snapshot) = &*kept {
            return Ok(Arc::clone(snapshot));
        }
        let (track, frame) = found.source.send(TakeKeyFrame).await.map_err(|_| SnapshotError::Ended)??;
        let still = fmp4::still(&track, &frame)?;
        let began = found.info.started.on.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let snapshot = Arc::new(Self { still, tag: format!("\"{began:x}-{:x}\"", frame.dts) });
        *kept = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
