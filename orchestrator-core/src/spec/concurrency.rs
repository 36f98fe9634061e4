//! How many attempts that name the same key may be executed at once, or how many runs be under way, over all runs of a project.

use serde::{Deserialize, Serialize};

use crate::spec::expr::Template;

/// The most bytes of a key.
pub const MAX_KEY: usize = 255;

/// The most places that a key can have.
pub const MAX_PLACES: u32 = 1_000_000;

/// The `concurrency:` of a step, or of a workflow.
#[derive(Debug)]
pub struct Concurrency {
    /// Which attempts count together, and which runs: in a project, those whose keys are equal. 1 to 255 bytes once rendered. That of
    /// a workflow is rendered when the run is created.
    pub key: Template,
    /// How many of them may be executed, or under way, at once.
    pub limit: u32,
    /// What becomes of one that is too many.
    pub on_full: OnFull,
}

/// What becomes of an attempt, or of a run, for which there is no place under its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnFull {
    /// It waits for one; those that have waited longest go first.
    #[default]
    Wait,
    /// The step fails, or the run does.
    Refuse,
    /// It waits, and the runs that came before it are cancelled, as many as it takes for it to be among those that fit.
    CancelOldest,
    /// Its run is cancelled.
    CancelNewest,
}
