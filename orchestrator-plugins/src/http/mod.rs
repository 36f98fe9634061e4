//! `http`: calls an HTTP service.

mod body;
mod call;
mod check;
mod expect;
mod plugin;
mod request;
mod schema;

pub use plugin::Http;
