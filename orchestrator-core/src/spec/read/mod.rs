//! Tree to workflow: every key of the language is read here, and every other one is refused.

mod ancestors;
mod check;
mod child;
mod concurrency;
mod each;
mod fields;
mod gate;
mod inputs;
mod kinds;
mod needs;
mod paths;
mod permissions;
mod placement;
mod policy;
mod rate;
mod reader;
mod sandbox;
mod secrets;
mod stages;
mod step;
mod task;
mod triggers;
mod value;
mod workflow;

pub(super) use reader::Reader;

// The keys are those of the reference: there is no second list of them.
use crate::spec::reference as keys;
