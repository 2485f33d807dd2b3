//! HTTP of the hub: REST, pages, and the viewers that come over HTTP and websockets.
//!
//! `actix-web` answers requests. A viewer's connection is then taken over by an actor that owns the socket (see
//! [`connection`]), so that media passes through no HTTP layer.

pub mod access;
pub mod api;
pub mod connection;
pub mod error;
mod hls;
mod http2;
pub mod live;
pub mod page;
pub mod path;
pub mod request;

use std::future::ready;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Protocol, Request};
use actix_service::boxed::BoxService;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use ipchub_actors::Hub;
use ipchub_actors::connection::Socket;

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

type Requests = BoxService<Request, ServiceResponse<BoxBody>, actix_web::Error>;

/// What answers HTTP on accepted connections, one for each thread.
pub struct HttpService {
    hub: Hub,
    /// HTTP/1.0 and 1.1.
    first: BoxService<(HttpStream, Protocol, Option<SocketAddr>), (), DispatchError>,
    /// HTTP/2.
    requests: Rc<Requests>,
}

impl HttpService {
    /// Serves a connection until it ends, or an actor took it.
    pub async fn serve(&self, socket: Socket) {
        if socket.speaks(b"h2") {
            return http2::serve(socket, Rc::clone(&self.requests), Arc::clone(&self.hub.settings)).await;
        }
        let peer = socket.link().peer;
        // Errors of a single connection: the peer left, or a viewer actor took the socket.
        let _ = self.first.call((HttpStream::new(socket), Protocol::Http1, Some(peer))).await;
    }
}

/// Starts it on this thread.
pub async fn service(hub: Hub) -> Result<HttpService, ()> {
    let app = App::new().app_data(web::Data::new(hub.clone())).configure(configure).wrap(from_fn(request::answer));
    let app = map_config(app.into_factory(), |()| AppConfig::default()).new_service(()).await?;
    let requests: Rc<Requests> = Rc::new(actix_service::boxed::service(app));
    let shared = Rc::clone(&requests);
    let first = actix_http::HttpService::<HttpStream, _, BoxBody>::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .h1_allow_half_closed(false)
        .on_connect_ext(|stream: &HttpStream, extensions| {
            extensions.insert(Rc::clone(stream.slot()));
            if let Some(link) = stream.link() {
                extensions.insert(link);
            }
        })
        .finish(fn_factory(move || ready(Ok::<_, ()>(Rc::clone(&shared)))));
    let first = actix_service::boxed::service(first.new_service(()).await?);
    Ok(HttpService { hub, first, requests })
}
