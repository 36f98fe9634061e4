//! What of a workspace an attempt reads and writes, and whether two attempts would be in each other's way.

mod glob;
mod set;
#[cfg(test)]
mod tests;

pub use glob::{Glob, MAX_ALTERNATIVES, MAX_GLOB};
pub use set::{DEFAULT_WORKSPACE, MAX_GLOBS, MAX_WORKSPACE, Paths, PathsSpec};
