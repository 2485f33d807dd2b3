//! Sources that the hub fetches itself: one [`route::PullRoute`] for each path that is or was asked for.

mod backoff;
mod feed;
mod file;
mod ingest;
pub mod route;
mod rtsp_client;
pub mod status;
pub mod target;
mod tls;
mod udp;

pub use route::PullRoute;
