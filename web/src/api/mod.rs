//! REST, `/api/v1`: one file per noun. Field names and their order are those of the original.

pub mod format;
pub mod server;
pub mod streams;
