//! What is written to stdout and stderr: for people, or as JSON.

pub(crate) mod block;
pub(crate) mod escape;
mod excerpt;
pub(crate) mod moment;
mod problem;
pub(crate) mod queued;
pub(crate) mod registered;
pub(crate) mod scheduled;
pub(crate) mod shapes;
pub(crate) mod size;
mod stream;
pub(crate) mod style;
pub(crate) mod suggest;
pub(crate) mod table;
pub(crate) mod tasked;

pub(crate) use problem::{Item, Problem};
pub(crate) use stream::{Json, Output, encoded as json_line, watched_size};
