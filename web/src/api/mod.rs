//! REST, `/api/v1`: one file per noun. Field names and their order are those of the original.

mod body;
pub mod format;
pub mod login;
mod paging;
pub mod routes;
pub mod server;
pub mod streams;
pub mod users;
