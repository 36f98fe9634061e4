//! The same workflows, written in Rust.
//!
//! A builder writes the JSON that an author could have written (JSON is YAML) and gives it to the parser, so that both
//! ways mean the same and fail alike.

mod input;
mod step;
mod workflow;

pub use input::Input;
pub use step::StepBuilder;
pub use workflow::WorkflowBuilder;
