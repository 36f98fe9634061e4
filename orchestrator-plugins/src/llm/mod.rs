//! `llm`: asks a language model.

mod answer;
mod call;
mod dialogue;
mod mock;
mod plugin;
mod price;
mod question;
mod schema;
mod server;
mod shape;
mod stream;
mod wire;
mod with;

pub use plugin::Llm;
pub use price::{Price, Prices};
