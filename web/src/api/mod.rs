//! REST, `/api/v1`: one file per noun. Field names and their order are those of the original.

pub mod format;
mod paging;
pub mod routes;
pub mod server;
pub mod streams;
