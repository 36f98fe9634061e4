//! Tree to workflow: every key of the language is read here, and every other one is refused.

mod ancestors;
mod check;
mod each;
mod fields;
mod inputs;
mod keys;
mod policy;
mod reader;
mod step;
mod value;
mod workflow;

pub(super) use reader::Reader;
