//! The table of all calls. Each is served at the path and for the method of its own description, so that nothing is served
//! here that is not described.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};
use utoipa::__dev::{SchemaReferences, Tags};
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::{RefOr, Schema};

use super::{login, openapi, routes, runtime, server, streams, users};
use crate::error;

/// One call: what answers it, and what is said of it.
pub(super) struct Call {
    /// Below `/api/v1`, as in the description: `/users/{name}`.
    pub(super) path: String,
    pub(super) method: HttpMethod,
    pub(super) operation: Operation,
    /// What its description refers to, by name.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    route: Route,
}

impl Call {
    /// `description` is what `utoipa::path` made of the handler.
    fn new<D, H, A>(_: D, handler: H) -> Self
    where
        D: utoipa::Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let method = D::methods().pop().expect("a description has a method");
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        let mut operation = D::operation();
        operation.tags = Some(D::tags().into_iter().map(str::to_owned).collect());
        let route = web::method(http(&method)).to(handler);
        Self { path: D::path(), method, operation, schemas, route }
    }
}

fn http(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Delete => Method::DELETE,
        _ => unreachable!("the table below has no other"),
    }
}

/// Every call. Of two that fit, the first answers.
pub(super) fn calls() -> Vec<Call> {
    vec![
        Call::new(server::__path_server, server::server),
        Call::new(runtime::__path_runtime, runtime::runtime),
        Call::new(openapi::__path_description, openapi::description),
        Call::new(login::__path_login, login::login),
        Call::new(login::__path_refresh, login::refresh),
        Call::new(streams::__path_list, streams::list),
        Call::new(streams::__path_kick, streams::kick),
        Call::new(streams::__path_show, streams::show),
        Call::new(streams::__path_end, streams::end),
        Call::new(routes::__path_list, routes::list),
        Call::new(routes::__path_put, routes::put),
        Call::new(routes::__path_show, routes::show),
        Call::new(routes::__path_delete, routes::delete),
        Call::new(users::__path_list, users::list),
        Call::new(users::__path_put, users::put),
        Call::new(users::__path_show, users::show),
        Call::new(users::__path_delete, users::delete),
    ]
}

/// Serves them all.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut resources: Vec<(String, Vec<Call>)> = Vec::new();
    for call in calls() {
        match resources.iter_mut().find(|(path, _)| *path == call.path) {
            Some((_, calls)) => calls.push(call),
            None => resources.push((call.path.clone(), vec![call])),
        }
    }
    for (path, calls) in resources {
        let allowed: Vec<_> = calls.iter().map(|call| http(&call.method)).collect();
        let resource = web::resource(pattern(&path)).default_service(error::method(&allowed));
        config.service(calls.into_iter().fold(resource, |resource, call| resource.route(call.route)));
    }
}

/// As actix writes it: paths of streams and patterns of routes may have slashes.
pub(super) fn pattern(path: &str) -> String {
    path.replace("{path}", "{path:.*}").replace("{pattern}", "{pattern:.*}")
}
