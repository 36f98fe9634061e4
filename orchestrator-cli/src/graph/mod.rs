//! Pictures of workflows and runs: one neutral [`Graph`], one pure function from it to each format.

mod canvas;
mod dot;
mod fold;
mod layout;
mod listing;
mod mermaid;
mod model;
mod route;
mod source;
mod svg;
mod text;

pub(crate) use dot::dot;
pub(crate) use mermaid::mermaid;
pub(crate) use model::{Graph, Tally, sign};
pub(crate) use source::{of_run, of_workflow};
pub(crate) use svg::{escaped, svg};
pub(crate) use text::text;
