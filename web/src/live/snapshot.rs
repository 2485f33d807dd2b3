//! `<path>.mp4?snapshot`: the last key frame as a file of one picture. It ends by itself, starts no pull and counts no viewer.

use actix_web::{HttpRequest, HttpResponse};
use ipchub_actors::Hub;
use ipchub_actors::messages::Find;
use ipchub_actors::source::snapshot::{Snapshot, SnapshotError};

use crate::error::ApiError;
use crate::hls::answer::{self, Cache, Meta};

/// For so many seconds a picture is new enough for whoever asks again: as long as the hub keeps it.
const FRESH: u64 = 2;

/// Answers for a path that the request may watch.
pub(super) async fn answer(request: &HttpRequest, hub: &Hub, path: &str) -> Result<HttpResponse, ApiError> {
    let found = hub.supervisor.send(Find { path: path.to_owned() }).await?;
    let found = found.ok_or_else(|| ApiError::NotFound(format!("{path} is not live")))?;
    let snapshot = Snapshot::of(&found).await.map_err(|error| refusal(path, &error))?;
    let media_type = format!("video/mp4; codecs=\"{}\"", snapshot.still.codec);
    let cache = if hub.gate.auth { Cache::Seconds(FRESH) } else { Cache::SharedSeconds(FRESH) };
    let meta = Meta { media_type: &media_type, tag: snapshot.tag.clone(), cache };
    Ok(match answer::ranged(request, snapshot.still.bytes.clone(), &meta) {
        (mut response, Some(body)) => response.body(body),
        (mut response, None) => response.finish(),
    })
}

fn refusal(path: &str, error: &SnapshotError) -> ApiError {
    let text = format!("{path} has no snapshot: {error}");
    match error {
        SnapshotError::NotYet => ApiError::Unavailable(text),
        _ => ApiError::NotFound(text),
    }
}
