//! Reports about a run for those who run it in CI: JUnit XML, GitHub's annotations and job summary.

mod github;
mod junit;
mod write;

pub(crate) use write::{Place, Tail, after, check, write};
