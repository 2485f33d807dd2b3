//! REST, `/api/v1`: one file per noun. Field names and their order are those of the original.

pub(crate) mod body;
pub(crate) mod calls;
pub mod format;
pub mod login;
pub mod openapi;
mod paging;
pub mod routes;
pub mod runtime;
pub mod server;
pub mod streams;
pub mod users;
