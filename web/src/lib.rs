//! HTTP of the hub: REST, pages, and the viewers that come over HTTP and websockets.
//!
//! `actix-web` answers requests. A viewer's connection is then taken over by an actor that owns the socket (see
//! [`connection`]), so that media passes through no HTTP layer.

pub mod access;
pub mod api;
pub mod connection;
pub mod error;
pub mod live;
pub mod page;
pub mod path;
pub mod request;

use std::rc::Rc;
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactory, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use ipchub_actors::Hub;

use connection::HttpStream;

/// A request's head must be there within this; a slow one keeps a connection for nobody.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is kept for this long for a next request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The whole URL map.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::QueryConfig::default().error_handler(error::query))
        .service(
            web::scope("/api")
                .service(
                    web::scope("/v1")
                        .wrap(from_fn(access::check))
                        .configure(api::calls::configure)
                        .default_service(web::to(error::not_found)),
                )
                .service(web::resource("").route(web::get().to(page::to_reference)))
                .service(web::resource("/").route(web::to(page::reference)))
                .route("/{any:(.*/)?crossdomain.xml}", web::get().to(page::crossdomain))
                .default_service(web::to(error::not_found)),
        )
        .service(web::resource("/streams/{path:.*}").route(web::to(live::live)))
        .service(web::resource("/demos").route(web::get().to(page::to_home)))
        .default_service(web::to(page::page));
}

/// What answers HTTP on accepted connections, once per thread.
pub fn service(hub: Hub) -> impl ServiceFactory<Accepted, Config = (), Response = (), InitError = ()> {
    let app = App::new().app_data(web::Data::new(hub)).configure(configure).wrap(from_fn(request::answer));
    HttpService::<HttpStream, _, BoxBody>::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .h1_allow_half_closed(false)
        .on_connect_ext(|stream: &HttpStream, extensions| {
            extensions.insert(Rc::clone(stream.slot()));
        })
        .finish(map_config(app.into_factory(), |()| AppConfig::default()))
}

/// A connection as `actix-http` takes it.
pub type Accepted = (HttpStream, actix_http::Protocol, Option<std::net::SocketAddr>);
