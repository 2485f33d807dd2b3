//! `/login` and `/refreshtoken`: open to anyone; what is wrong is not told.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header::{CACHE_CONTROL, FORWARDED, HeaderName, X_FORWARDED_FOR};
use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::Refusal;
use ipchub_actors::accounts::tokens::Pair;
use ipchub_actors::messages::{LogIn, Refresh};
use serde::{Deserialize, Serialize};

use super::body;
use crate::error::ApiError;
use crate::{access, connection};

/// What a proxy adds: then the other end of the connection is not the client.
const PROXIED: [HeaderName; 3] = [FORWARDED, X_FORWARDED_FOR, actix_web::http::header::VIA];

/// The body of `POST /login`.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Two tokens.
#[derive(Serialize)]
struct Tokens {
    access_token: String,
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

/// `POST /login`
pub async fn login(request: HttpRequest, payload: web::Payload, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let Credentials { username, password } = body::json(&request, payload).await?;
    let link = connection::link(&request);
    // Only a test of handlers has no connection.
    let address = link.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |link| link.peer.ip());
    let direct = !PROXIED.iter().any(|name| request.headers().contains_key(name));
    let pair = hub.accounts.send(LogIn { username, password, address, direct }).await??;
    Ok(answer(pair))
}

/// `GET /refreshtoken?token=`
pub async fn refresh(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let token = access::token(request.query_string(), request.headers()).ok_or(Refusal::Token)?;
    let pair = hub.accounts.send(Refresh { token }).await??;
    Ok(answer(pair))
}
