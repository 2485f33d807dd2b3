//! `/users`: who may do what. For administrators.

use actix_web::{HttpRequest, HttpResponse, web};
use ipchub_actors::Hub;
use ipchub_actors::accounts::users;
use ipchub_actors::messages::{DeleteUser, PutUser};
use serde::{Deserialize, Serialize};

use super::{body, paging};
use crate::error::ApiError;

/// The query of the list.
#[derive(Debug, Deserialize)]
pub struct UsersQuery {
    page_size: Option<String>,
    page_token: Option<String>,
}

/// The query of `POST /users`.
#[derive(Debug, Deserialize)]
pub struct PutQuery {
    update_password: Option<String>,
}

#[derive(Serialize)]
struct Page {
    total: usize,
    next_page_token: String,
    users: Vec<User>,
}

/// Without its password, in any form.
#[derive(Serialize)]
struct User {
    name: String,
    admin: bool,
    push: String,
    pull: String,
}

/// The body of `POST /users`.
#[derive(Deserialize)]
struct NewUser {
    name: String,
    password: Option<String>,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    push: String,
    #[serde(default)]
    pull: String,
}

impl From<&users::User> for User {
    fn from(user: &users::User) -> Self {
        let (push, pull) = (user.push.text().to_owned(), user.pull.text().to_owned());
        Self { name: user.name.clone(), admin: user.admin, push, pull }
    }
}

/// `GET /users`
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

/// `GET /users/{name}`
pub async fn show(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    let name = named(&request);
    match hub.gate.users().user(&name) {
        Some(user) => Ok(HttpResponse::Ok().json(User::from(&**user))),
        None => Err(ApiError::NotFound(format!("there is no user {name:?}"))),
    }
}

/// `POST /users[?update_password=1]`
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

/// `DELETE /users/{name}`. Who is not there is gone already: 200, as scripts of the original expect.
pub async fn delete(request: HttpRequest, hub: web::Data<Hub>) -> Result<HttpResponse, ApiError> {
    hub.accounts.send(DeleteUser { name: named(&request) }).await??;
    Ok(HttpResponse::Ok().finish())
}
