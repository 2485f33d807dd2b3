//! `/routes`: what is pulled from where, and how that goes. For administrators: URLs are shown with their passwords.

use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::messages::{DeleteRoute, FindRoute, ListRoutes, PutRoute, RouteInfo};
use ipchub_actors::pull::status::Snapshot;
use ipchub_actors::route_table::{self, RouteError};
use ipchub_media::path::canonical;
use serde::{Deserialize, Serialize};

use super::{body, format, paging};
use crate::error::ApiError;

/// Bytes of a pattern or a URL at most.
const MAX_TEXT: usize = 2048;

/// The query of the list.
#[derive(Debug, Deserialize)]
pub struct RoutesQuery {
    page_size: Option<String>,
    page_token: Option<String>,
}

#[derive(Serialize)]
struct Page {
    total: usize,
    next_page_token: String,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Route {
    pattern: String,
    url: String,
    keepalive: bool,
    status: Status,
}

/// Of a directory's pulls together.
#[derive(Serialize)]
struct Status {
    state: &'static str,
    error: String,
    retries: u64,
    bytes: u64,
    since: String,
}

impl From<RouteInfo> for Route {
    fn from(info: RouteInfo) -> Self {
        let Snapshot { state, since, error, retries, bytes } = info.status;
        let status = Status { state: state.name(), error, retries, bytes, since: format::time(since) };
        Self { pattern: info.pattern, url: info.url, keepalive: info.keepalive, status }
    }
}

/// `GET /routes`
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
#[derive(Deserialize)]
struct NewRoute {
    pattern: String,
    url: String,
    #[serde(default)]
    keepalive: bool,
}

/// `POST /routes`
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

/// `DELETE /routes/{pattern}`. What is not there is gone already: 200, as scripts of the original expect.
pub async fn delete(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    hub.routes.send(DeleteRoute { pattern: named(&request) }).await??;
    Ok(HttpResponse::Ok().finish())
}

/// `GET /routes/{pattern}`
pub async fn show(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let pattern = named(&request);
    let found = hub.routes.send(FindRoute { pattern: pattern.clone() }).await?;
    let found = found.ok_or_else(|| ApiError::NotFound(format!("no route has the pattern {pattern}")))?;
    Ok(HttpResponse::Ok().json(Route::from(found)))
}
