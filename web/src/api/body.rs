//! JSON that a request brings.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Bytes of a body at most: the longest has two lists of masks.
const MAX_BODY: usize = 64 << 10;
/// A body must have come within this.
const WITHIN: Duration = Duration::from_secs(10);

/// Reads what nobody wants and gives it away: a client that still sends while the connection is closed would lose the answer.
/// A body that is too long or too slow ends the connection all the same.
pub(crate) async fn skip(payload: web::Payload) {
    let _ = tokio::time::timeout(WITHIN, payload.to_bytes_limited(MAX_BODY)).await;
}

/// Reads the body. What `Content-Type` says does not matter: scripts of the original send JSON with curl's default.
pub(super) async fn json<T: DeserializeOwned>(request: &HttpRequest, payload: web::Payload) -> Result<T, ApiError> {
    let bytes = match tokio::time::timeout(WITHIN, payload.to_bytes_limited(MAX_BODY)).await {
        Err(_) => return Err(ApiError::Slow),
        Ok(Err(_)) => return Err(ApiError::TooLarge(MAX_BODY)),
        Ok(Ok(Err(error))) => return Err(ApiError::Body(format!("the body cannot be read: {error}"))),
        Ok(Ok(Ok(bytes))) => bytes,
    };
    if bytes.is_empty() {
        return Err(ApiError::Body("the body is empty, expected JSON".into()));
    }
    let begins_like_json = bytes.trim_ascii_start().starts_with(b"{");
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let at = error.path().to_string();
        let field = if at == "." { String::new() } else { format!("{at}: ") };
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if begins_like_json || kind.is_empty() || kind.contains("json") {
            ApiError::Body(format!("{field}{}", error.inner()))
        } else {
            ApiError::MediaType(format!("the body is no JSON object (its content type is {kind})"))
        }
    })?;
    json.end().map_err(|error| ApiError::Body(error.to_string()))?;
    Ok(read)
}
