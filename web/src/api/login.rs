//! `/login` and `/refreshtoken`: open to anyone; what is wrong is not told.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header::{CACHE_CONTROL, FORWARDED, HeaderName, X_FORWARDED_FOR};
use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::Refusal;
use ipchub_actors::accounts::tokens::Pair;
use ipchub_actors::messages::{LogIn, Refresh};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::openapi::Failure;
use crate::error::ApiError;
use crate::{access, connection};

/// What a proxy adds: then the other end of the connection is not the client.
const PROXIED: [HeaderName; 3] = [FORWARDED, X_FORWARDED_FOR, actix_web::http::header::VIA];

/// The body of `POST /login`.
#[derive(Deserialize, ToSchema)]
struct Credentials {
    /// In any case.
    #[schema(example = "admin")]
    username: String,
    #[schema(example = "admin", format = Password)]
    password: String,
}

/// Two tokens.
#[derive(Serialize, ToSchema)]
struct Tokens {
    /// Good for two hours, as `?token=` or `Authorization: Bearer`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl")]
    access_token: String,
    /// Good for seven days, once: `GET /refreshtoken`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.YW5vdGhlcg")]
    refresh_token: String,
}

impl From<Pair> for Tokens {
    fn from(Pair { access, refresh }: Pair) -> Self {
        Self { access_token: access, refresh_token: refresh }
    }
}

fn answer(pair: Pair) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Tokens::from(pair))
}

/// Log in
///
/// `admin`/`admin`, with which a new hub begins, logs in from the hub's own machine only.
#[utoipa::path(post, path = "/login", tag = "login", security(()), request_body = Credentials,
    responses((status = 200, description = "Logged in.", body = Tokens),
        Failure<400>, Failure<401>, Failure<408>, Failure<413>, Failure<415>, Failure<429>, Failure<503>))]
pub async fn login(request: HttpRequest, payload: web::Payload, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let Credentials { username, password } = body::json(&request, payload).await?;
    let link = connection::link(&request);
    // Only a test of handlers has no connection.
    let address = link.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |link| link.peer.ip());
    let direct = !PROXIED.iter().any(|name| request.headers().contains_key(name));
    let pair = hub.accounts.send(LogIn { username, password, address, direct }).await??;
    Ok(answer(pair))
}

/// Exchange a refresh token for a new pair
///
/// The token is used up by it. Used a second time, it ends the login.
#[utoipa::path(get, path = "/refreshtoken", tag = "login", security(()),
    params(("token" = String, Query, description = "The refresh token; it may come as `Authorization: Bearer` instead.",
        example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.YW5vdGhlcg")),
    responses((status = 200, description = "A new pair.", body = Tokens), Failure<401>, Failure<503>))]
pub async fn refresh(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let token = access::token(request.query_string(), request.headers()).ok_or(Refusal::Token)?;
    let pair = hub.accounts.send(Refresh { token }).await??;
    Ok(answer(pair))
}
