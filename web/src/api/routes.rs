//! `/routes`: what is pulled from where, and how that goes. For administrators: URLs are shown with their passwords.

use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::messages::{DeleteRoute, FindRoute, ListRoutes, PutRoute, RouteInfo};
use ipchub_actors::pull::status::Snapshot;
use ipchub_actors::route_table::{self, RouteError};
use ipchub_media::path::canonical;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::openapi::Failure;
use super::{body, format, paging};
use crate::error::ApiError;

/// Bytes of a pattern or a URL at most.
const MAX_TEXT: usize = 2048;

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RoutesQuery {
    /// Entries of a page.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, example = 20)]
    page_size: Option<String>,
    /// Where the page before ended: its `next_page_token`.
    #[param(value_type = String, required = false, example = "/room/door")]
    page_token: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RoutePage)]
struct Page {
    /// Of all pages.
    #[schema(example = 1)]
    total: usize,
    /// Where the next page begins; empty on the last one.
    #[schema(example = "")]
    next_page_token: String,
    routes: Vec<Route>,
}

/// What is pulled, from where, and how that goes.
#[derive(Serialize, ToSchema)]
struct Route {
    /// A path; everything below it if it ends in `/`.
    #[schema(example = "/room/door")]
    pattern: String,
    /// With its password.
    #[schema(example = "rtsp://viewer:secret@192.0.2.7/main")]
    url: String,
    /// Connected all the time.
    #[schema(example = true)]
    keepalive: bool,
    status: Status,
}

/// Of a directory's pulls together.
#[derive(Serialize, ToSchema)]
#[schema(as = RouteStatus)]
struct Status {
    /// The most alive of its pulls: `idle`, `waiting` (it failed and is tried again later), `connecting` or `live`.
    #[schema(example = "live")]
    state: &'static str,
    /// What went wrong last, in words; empty after a minute without trouble.
    #[schema(example = "")]
    error: String,
    /// How often it was tried again.
    #[schema(example = 0)]
    retries: u64,
    /// Bytes of RTP and RTCP received.
    #[schema(example = 7340032)]
    bytes: u64,
    /// When the state began, RFC 3339.
    #[schema(example = "2030-01-02T15:04:05.123456789+01:00")]
    since: String,
}

impl From<RouteInfo> for Route {
    fn from(info: RouteInfo) -> Self {
        let Snapshot { state, since, error, retries, bytes } = info.status;
        let status = Status { state: state.name(), error, retries, bytes, since: format::time(since) };
        Self { pattern: info.pattern, url: info.url, keepalive: info.keepalive, status }
    }
}

/// All routes
#[utoipa::path(get, path = "/routes", tag = "routes", operation_id = "routes", params(RoutesQuery),
    responses((status = 200, description = "A page of them, ordered by pattern.", body = Page),
        Failure<400>, Failure<401>, Failure<403>, Failure<503>))]
pub async fn list(query: web::Query<RoutesQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let limit = paging::size(query.page_size.as_deref())?;
    let after = query.page_token.clone().unwrap_or_default();
    // One more than asked for tells whether this is the last page.
    let mut found = hub.routes.send(ListRoutes { after, limit: limit + 1 }).await?;
    let more = found.routes.len() > limit;
    found.routes.truncate(limit);
    let last = found.routes.last().filter(|_| more);
    Ok(HttpResponse::Ok().json(Page {
        total: found.total,
        next_page_token: last.map_or_else(String::new, |info| info.pattern.clone()),
        routes: found.routes.into_iter().map(Route::from).collect(),
    }))
}

/// The body of `POST /routes`.
#[derive(Deserialize, ToSchema)]
struct NewRoute {
    /// A path; everything below it if it ends in `/`.
    #[schema(example = "/room/door", max_length = 2048)]
    pattern: String,
    /// Where the camera is; below a folder the rest of the path is appended to it.
    #[schema(example = "rtsp://viewer:secret@192.0.2.7/main", max_length = 2048)]
    url: String,
    /// Connected all the time; below a folder from its first success on.
    #[serde(default)]
    #[schema(example = true)]
    keepalive: bool,
}

/// Add a route, or change the one of its pattern
///
/// It counts at once: a changed URL reconnects under its viewers.
#[utoipa::path(post, path = "/routes", tag = "routes", operation_id = "put_route", request_body = NewRoute,
    responses((status = 200, description = "It is kept."), Failure<400>, Failure<401>, Failure<403>, Failure<408>,
        Failure<409>, Failure<413>, Failure<415>, Failure<500>, Failure<503>))]
pub async fn put(request: HttpRequest, payload: web::Payload, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let NewRoute { pattern, url, keepalive } = body::json(&request, payload).await?;
    for (name, text) in [("pattern", &pattern), ("url", &url)] {
        if text.len() > MAX_TEXT {
            return Err(ApiError::Parameter(name, format!("longer than {MAX_TEXT} bytes")));
        }
    }
    let route = route_table::Route::new(pattern, url, keepalive).map_err(|error| match error {
        RouteError::NoPattern => ApiError::Parameter("pattern", error.to_string()),
        RouteError::Url { source, .. } => ApiError::Parameter("url", source.to_string()),
    })?;
    hub.routes.send(PutRoute(route)).await??;
    Ok(HttpResponse::Ok().finish())
}

/// The pattern in the URL; a trailing `/` matters.
fn named(request: &HttpRequest) -> String {
    canonical(request.uri().path().strip_prefix("/api/v1/routes").unwrap_or_default())
}

/// Delete a route
///
/// What is live goes on. What is not there is gone already: 200.
#[utoipa::path(delete, path = "/routes/{pattern}", tag = "routes", operation_id = "delete_route",
    params(("pattern" = String, Path, description = "All that follows `/routes/`, slashes too; one at the end matters.",
        example = "room/door")),
    responses((status = 200, description = "It is gone."),
        Failure<401>, Failure<403>, Failure<409>, Failure<500>, Failure<503>))]
pub async fn delete(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    hub.routes.send(DeleteRoute { pattern: named(&request) }).await??;
    Ok(HttpResponse::Ok().finish())
}

/// One route
#[utoipa::path(get, path = "/routes/{pattern}", tag = "routes", operation_id = "route",
    params(("pattern" = String, Path, description = "All that follows `/routes/`, slashes too; one at the end matters.",
        example = "room/door")),
    responses((status = 200, description = "It.", body = Route),
        Failure<401>, Failure<403>, Failure<404>, Failure<503>))]
pub async fn show(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let pattern = named(&request);
    let found = hub.routes.send(FindRoute { pattern: pattern.clone() }).await?;
    let found = found.ok_or_else(|| ApiError::NotFound(format!("no route has the pattern {pattern}")))?;
    Ok(HttpResponse::Ok().json(Route::from(found)))
}
