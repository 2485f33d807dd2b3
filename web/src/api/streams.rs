//! `/streams`: what is live, who watches, and how to end both.

mod answer;

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::messages::{EndSource, Find, Kick, List, SourceList};
use ipchub_media::path::of_uri;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::openapi::Failure;
use super::paging;
use crate::error::ApiError;
use answer::{Page, Stream, Streams, stream};

/// A page of more is not made on a thread that has media to send: a thousand streams take milliseconds.
const SHORT: usize = 50;
/// Such pages are made one at a time, so that whoever asks for many leaves the other cores to media.
static LONG: Semaphore = Semaphore::const_new(1);

/// The query of the list, as text: each call says itself what is wrong with a value.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Entries of a page.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, example = 20)]
    page_size: Option<String>,
    /// Where the page before ended: its `next_page_token`.
    #[param(value_type = String, required = false, example = "/room/door")]
    page_token: Option<String>,
    /// `1`: with the consumers.
    #[param(value_type = String, required = false, example = "1")]
    c: Option<String>,
}

/// The query of one stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// `1`: with the consumers.
    #[param(value_type = String, required = false, example = "1")]
    c: Option<String>,
}

/// Which consumer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConsumerQuery {
    /// The consumer's `id`.
    #[param(value_type = u64, required = true, maximum = 4294967295_u64, example = 1073741825)]
    cid: Option<String>,
}

/// All live streams
#[utoipa::path(get, path = "/streams", tag = "streams", operation_id = "streams", params(ListQuery),
    responses((status = 200, description = "A page of them, ordered by path.", body = Page),
        Failure<400>, Failure<401>, Failure<503>))]
pub async fn list(query: web::Query<ListQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let limit = paging::size(query.page_size.as_deref())?;
    let after = query.page_token.clone().unwrap_or_default();
    let consumers = query.c.as_deref() == Some("1");
    // One more than asked for tells whether this is the last page.
    let mut found = hub.supervisor.send(List { after, limit: limit + 1 }).await?;
    let more = found.sources.len() > limit;
    found.sources.truncate(limit);
    if found.sources.len() <= SHORT {
        return Ok(HttpResponse::Ok().json(page(found, more, consumers)));
    }
    let _turn = LONG.acquire().await;
    let made = web::block(move || serde_json::to_string(&page(found, more, consumers))).await;
    let text = made.map_err(|_| ApiError::Unavailable("no thread could make this page".into()))?;
    let text = text.map_err(|error| ApiError::Unavailable(format!("this page cannot be written: {error}")))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text))
}

fn page(found: SourceList, more: bool, consumers: bool) -> Page {
    let last = found.sources.last().filter(|_| more);
    Page {
        total: found.total,
        next_page_token: last.map_or_else(String::new, |info| info.path.clone()),
        streams: Streams { sources: found.sources, consumers },
    }
}

/// The canonical path in a URL below `/api/v1/streams/`.
fn named(request: &HttpRequest) -> String {
    let rest = request.uri().path().strip_prefix("/api/v1/streams").unwrap_or_default();
    of_uri(rest.strip_suffix(":consumer").unwrap_or(rest)).0
}

/// One live stream
#[utoipa::path(get, path = "/streams/{path}", tag = "streams", operation_id = "stream", params(
    ("path" = String, Path, description = "All that follows `/streams/`, slashes too.", example = "room/door"),
    StreamQuery),
    responses((status = 200, description = "It.", body = Stream), Failure<401>, Failure<404>, Failure<503>))]
pub async fn show(
    request: HttpRequest,
    query: web::Query<StreamQuery>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    let path = named(&request);
    let found = hub.supervisor.send(Find { path: path.clone() }).await?;
    let found = found.ok_or_else(|| ApiError::NotFound(format!("{path} is not live")))?;
    Ok(HttpResponse::Ok().json(stream(&found.info, query.c.as_deref() == Some("1"))))
}

/// End a stream
///
/// With its publisher and its consumers. What is not there is gone already: 200.
#[utoipa::path(delete, path = "/streams/{path}", tag = "streams", operation_id = "end_stream", params(
    ("path" = String, Path, description = "All that follows `/streams/`, slashes too.", example = "room/door")),
    responses((status = 200, description = "It is ended."), Failure<401>, Failure<403>, Failure<503>))]
pub async fn end(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let reason = "ended by the administrator".into();
    hub.supervisor.send(EndSource { path: named(&request), reason }).await?;
    Ok(HttpResponse::Ok().finish())
}

/// End a consumer
///
/// At once, even one that does not read. Who is not there is gone already: 200.
#[utoipa::path(delete, path = "/streams/{path}:consumer", tag = "streams", operation_id = "end_consumer", params(
    ("path" = String, Path, description = "The path of its stream, slashes too.", example = "room/door"),
    ConsumerQuery),
    responses((status = 200, description = "It is ended."), Failure<400>, Failure<401>, Failure<403>, Failure<503>))]
pub async fn kick(
    request: HttpRequest,
    query: web::Query<ConsumerQuery>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    let text = query.cid.as_deref().unwrap_or_default();
    let problem = || ApiError::Parameter("cid", format!("{text:?} is no consumer's number"));
    let id = text.parse().map_err(|_| problem())?;
    hub.supervisor.send(Kick { path: named(&request), id }).await?;
    Ok(HttpResponse::Ok().finish())
}
