//! What an author writes: the model of a workflow, its parser, its builder, its expressions.
//!
//! [`parse()`] makes a [`Workflow`] from YAML, [`WorkflowBuilder`] makes the same from Rust; both go the same way and
//! tell what is wrong in the same words.

mod builder;
mod concurrency;
mod diagnostic;
pub(crate) mod duration;
pub mod expr;
mod family;
mod gate;
pub mod inputs;
mod model;
mod names;
pub mod parse;
mod paths;
pub mod permissions;
mod placement;
mod problems;
mod rate;
mod read;
pub mod reference;
pub mod retry;
mod sandbox;
mod scalar;
pub mod schema;
mod size;
mod stage;
mod suggest;
mod task;
mod tree;
mod vocabulary;
mod yaml;

pub use builder::{Input, StepBuilder, WorkflowBuilder};
pub use concurrency::{Concurrency, MAX_KEY, MAX_PLACES, OnFull};
pub use diagnostic::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity, Span};
pub use family::{Found, MAX_WORKFLOW_DEPTH, MAX_WORKFLOWS_BELOW, Sources, WORKFLOW_KIND};
pub use gate::{Diff, Evidence, Qa};
pub(crate) use model::edition;
pub use model::{
    Each, EffectClass, InputKind, InputSpec, Matrix, OnExpiry, Over, Repeat, StepOptions, StepSpec, Timeout,
    Workflow,
};
pub use parse::{ParseOptions, Parsed, decode, parse, parse_stored, parse_with};
pub use paths::{
    DEFAULT_WORKSPACE, Glob, MAX_ALTERNATIVES, MAX_GLOB, MAX_GLOBS, MAX_WORKSPACE, Paths, PathsSpec,
};
pub use permissions::Permissions;
pub use placement::{DEFAULT_QUEUE, MAX_LABEL, MAX_LABELS, MAX_QUEUE_NAME, Placement, is_queue_name};
pub use rate::{MAX_PER, MAX_RATE_KEY, MAX_RATES, MIN_PER, Rate};
pub use sandbox::{Confinement, Sandbox};
pub use schema::{Catalog, ConfigIssue, Facts};
pub use stage::{Stage, Stages};
pub use suggest::nearest;
pub use task::TASK_KIND;
pub use vocabulary::check_schema;
