//! A batch as one text of SQL with its arguments: what is sent to the database in one awaited call.

mod arg;
mod batch;
mod section;
mod text;
mod with;

use std::sync::Arc;

pub(crate) use arg::IntoArg;
pub use arg::{Arg, Kind};
pub(crate) use batch::{Batch, Texts};
pub(crate) use section::{Check, Condition, Lock, Rows, Section, Verb};
pub use text::TextWords;
pub use with::WithWords;

/// A text with its arguments, in the order of its places.
#[derive(Debug, Clone)]
pub struct Script {
    /// One or more statements.
    pub text: Arc<str>,
    /// What stands for the places.
    pub args: Vec<Arg>,
}

/// How a database wants texts.
#[derive(Debug, Clone, Copy)]
pub enum Words {
    /// Several statements with a place for each cell, one after the other in one text.
    Text(TextWords),
    /// One statement that holds all others, with an array for each column. It is a transaction by itself.
    With(WithWords),
}
