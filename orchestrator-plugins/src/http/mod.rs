//! `http`: calls an HTTP service.

mod call;
mod expect;
mod plugin;

pub use plugin::Http;
