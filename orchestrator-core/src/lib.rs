//! The rules of orchestrator: durable workflows inside your process.

pub mod machine;

pub mod spec;

pub mod plan;

pub mod id;
pub mod time;
pub mod value;

pub use id::RunId;
pub use spec::Workflow;
