//! `/users`: who may do what. For administrators.

use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::users;
use ipchub_actors::messages::{DeleteUser, PutUser};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::openapi::Failure;
use super::{body, paging};
use crate::error::ApiError;

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    /// Entries of a page.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, example = 20)]
    page_size: Option<String>,
    /// Where the page before ended: its `next_page_token`.
    #[param(value_type = String, required = false, example = "alice")]
    page_token: Option<String>,
}

/// The query of `POST /users`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// `1`: the password of a user that exists is changed too. Its tokens are over then.
    #[param(value_type = String, required = false, example = "1")]
    update_password: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserPage)]
struct Page {
    /// Of all pages.
    #[schema(example = 1)]
    total: usize,
    /// Where the next page begins; empty on the last one.
    #[schema(example = "")]
    next_page_token: String,
    users: Vec<User>,
}

/// Without its password, in any form.
#[derive(Serialize, ToSchema)]
struct User {
    /// In lower case.
    #[schema(example = "alice")]
    name: String,
    /// May do everything in REST.
    #[schema(example = false)]
    admin: bool,
    /// Masks of where it may push to, separated by `;`.
    #[schema(example = "/hr/*")]
    push: String,
    /// Masks of what it may watch, separated by `;`.
    #[schema(example = "/hr/*;/lobby/+")]
    pull: String,
}

/// The body of `POST /users`.
#[derive(Deserialize, ToSchema)]
struct NewUser {
    /// In any case.
    #[schema(example = "alice")]
    name: String,
    /// Of a new user; of another only with `update_password=1`.
    #[schema(example = "correct horse", format = Password)]
    password: Option<String>,
    /// May do everything in REST.
    #[serde(default)]
    #[schema(example = false)]
    admin: bool,
    /// Masks of where it may push to, separated by `;`: `/hr/*` is everything below `/hr`, `+` one segment.
    #[serde(default)]
    #[schema(example = "/hr/*")]
    push: String,
    /// Masks of what it may watch, separated by `;`.
    #[serde(default)]
    #[schema(example = "/hr/*;/lobby/+")]
    pull: String,
}

impl From<&users::User> for User {
    fn from(user: &users::User) -> Self {
        let (push, pull) = (user.push.text().to_owned(), user.pull.text().to_owned());
        Self { name: user.name.clone(), admin: user.admin, push, pull }
    }
}

/// All users
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "users", params(UsersQuery),
    responses((status = 200, description = "A page of them, ordered by name.", body = Page),
        Failure<400>, Failure<401>, Failure<403>, Failure<503>))]
pub async fn list(query: web::Query<UsersQuery>, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let limit = paging::size(query.page_size.as_deref())?;
    let users = hub.gate.users();
    // One more than asked for tells whether this is the last page.
    let mut found: Vec<_> = users.after(query.page_token.as_deref().unwrap_or_default()).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(HttpResponse::Ok().json(Page {
        total: users.len(),
        next_page_token: last.map_or_else(String::new, |user| user.name.clone()),
        users: found.into_iter().map(|user| User::from(&**user)).collect(),
    }))
}

/// The name in the URL, percent-decoded.
fn named(request: &HttpRequest) -> String {
    request.match_info().query("name").trim().to_lowercase()
}

/// One user
#[utoipa::path(get, path = "/users/{name}", tag = "users", operation_id = "user",
    params(("name" = String, Path, description = "In any case.", example = "alice")),
    responses((status = 200, description = "It, without its password.", body = User),
        Failure<401>, Failure<403>, Failure<404>, Failure<503>))]
pub async fn show(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let name = named(&request);
    match hub.gate.users().user(&name) {
        Some(user) => Ok(HttpResponse::Ok().json(User::from(&**user))),
        None => Err(ApiError::NotFound(format!("there is no user {name:?}"))),
    }
}

/// Create a user, or replace its rights
///
/// It counts at once for what begins after it; connections that are there go on.
#[utoipa::path(post, path = "/users", tag = "users", operation_id = "put_user", params(PutQuery), request_body = NewUser,
    responses((status = 200, description = "It is kept."), Failure<400>, Failure<401>, Failure<403>, Failure<408>,
        Failure<409>, Failure<413>, Failure<415>, Failure<500>, Failure<503>))]
pub async fn put(
    request: HttpRequest,
    payload: web::Payload,
    query: web::Query<PutQuery>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, ApiError> {
    let NewUser { name, password, admin, push, pull } = body::json(&request, payload).await?;
    let update_password = query.update_password.as_deref() == Some("1");
    hub.accounts.send(PutUser { name, password, update_password, admin, push, pull }).await??;
    Ok(HttpResponse::Ok().finish())
}

/// Delete a user
///
/// Its tokens are over at once, its connections go on. Who is not there is gone already: 200.
#[utoipa::path(delete, path = "/users/{name}", tag = "users", operation_id = "delete_user",
    params(("name" = String, Path, description = "In any case.", example = "alice")),
    responses((status = 200, description = "It is gone."),
        Failure<401>, Failure<403>, Failure<409>, Failure<500>, Failure<503>))]
pub async fn delete(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    hub.accounts.send(DeleteUser { name: named(&request) }).await??;
    Ok(HttpResponse::Ok().finish())
}
