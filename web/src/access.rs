//! Who asks, and whether they may: every call of REST comes through here, and has its line in the log.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, ResponseError, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::users::User;
use ipchub_actors::accounts::{Refusal, Right};
use serde::Deserialize;

use crate::api::body;
use crate::connection;
use crate::error::ApiError;

/// What anybody may ask, with any method: the wrong ones are told so.
const OPEN: [&str; 5] = ["/server", "/runtime", "/openapi.json", "/login", "/refreshtoken"];

#[derive(Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

/// The token of a request: `?token=`, or `Authorization: Bearer`.
pub fn token(query: &str, headers: &HeaderMap) -> Option<String> {
    let in_query = web::Query::<TokenQuery>::from_query(query).ok().and_then(|query| query.into_inner().token);
    in_query.or_else(|| {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    })
}

/// Middleware around `/api/v1`.
pub async fn check(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begin = Instant::now();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let peer = peer(request.request());
    let (user, admitted) = match caller(&request) {
        Ok(user) => (user.clone(), admit(&request, user.as_deref())),
        Err(error) => (None, Err(error)),
    };
    let response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => {
            if let Ok(payload) = request.extract::<web::Payload>().await {
                body::skip(payload).await;
            }
            request.into_response(error.error_response())
        }
    };
    let user = user.as_ref().map_or("-", |user| user.name.as_str());
    let (status, took) = (response.status().as_u16(), begin.elapsed().as_secs_f64() * 1000.0);
    // Without the query, where tokens are.
    log::info!("{peer} {user} {method} {} {status} {took:.1} ms", path.escape_debug());
    Ok(response)
}

/// The other end.
pub fn peer(request: &HttpRequest) -> String {
    let peer = connection::link(request).map(|link| link.peer).or(request.peer_addr());
    peer.map_or_else(|| "-".into(), |peer| peer.to_string())
}

/// Whose token a call has; `None` where none is asked for.
fn caller(request: &ServiceRequest) -> Result<Option<Arc<User>>, ApiError> {
    if OPEN.contains(&call(request)) {
        return Ok(None);
    }
    let hub = request.app_data::<web::Data<Hub>>().expect("the application was made with a hub");
    let token = token(request.query_string(), request.headers()).ok_or(Refusal::Token)?;
    Ok(Some(hub.gate.token(&token)?))
}

fn admit(request: &ServiceRequest, user: Option<&User>) -> Result<(), ApiError> {
    let call = call(request);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let of_streams = call == "/streams" || call.starts_with("/streams/");
    match user {
        Some(user) if !(user.admin || reads && of_streams) => {
            Err(ApiError::Forbidden(format!("the user {} is no administrator", user.name)))
        }
        _ => Ok(()),
    }
}

fn call(request: &ServiceRequest) -> &str {
    request.path().strip_prefix("/api/v1").unwrap_or_default()
}

/// Whose token a request for live media has; `None` where nobody is asked.
pub fn viewer(request: &HttpRequest, hub: &Hub) -> Result<Option<Arc<User>>, ApiError> {
    if !hub.gate.auth {
        return Ok(None);
    }
    let token = token(request.query_string(), request.headers()).ok_or(Refusal::Token)?;
    Ok(Some(hub.gate.token(&token)?))
}

/// Whether a request may watch a canonical path.
pub fn may_watch(request: &HttpRequest, hub: &Hub, path: &str) -> Result<(), ApiError> {
    match viewer(request, hub)? {
        Some(user) => Ok(hub.gate.may(&user, Right::Pull, path)?),
        None => Ok(()),
    }
}
