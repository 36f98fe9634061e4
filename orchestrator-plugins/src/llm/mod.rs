//! `llm`: asks a language model.

mod chat;
mod mock;
mod plugin;

pub use plugin::Llm;
