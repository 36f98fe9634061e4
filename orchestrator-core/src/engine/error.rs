//! Why the engine could not do what it was asked.

use std::sync::Arc;

use crate::id::{OwnerId, RunId};
use crate::machine::{Rejection, Spot};
use crate::port::store::StoreError;
use crate::spec::Diagnostics;

/// Why a run could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The inputs do not fit the workflow.
    #[error("the inputs do not fit the workflow: {0}")]
    Inputs(Diagnostics),
    /// A step needs a plugin that this engine does not have.
    #[error("step `{step}` uses `{plugin}`, which this engine does not have")]
    UnknownPlugin {
        /// The step.
        step: Arc<str>,
        /// The plugin.
        plugin: Arc<str>,
    },
    /// A step names a workflow that is not known.
    #[error("step `{step}` runs workflow `{workflow}`, which is not known here: {why}")]
    UnknownWorkflow {
        /// The step.
        step: Arc<str>,
        /// What it calls the workflow.
        workflow: Arc<str>,
        /// Why, and what to do.
        why: String,
    },
    /// The idempotency key has started another content before.
    #[error("the idempotency key has already started {run} with other content")]
    KeyReused {
        /// What it started.
        run: RunId,
    },
    /// A value cannot be kept by any store.
    #[error("the request cannot be stored: {0}")]
    Invalid(String),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a run cannot be forked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// No run can begin there.
    #[error("{0}")]
    Rejected(#[from] Rejection),
    /// The run of a step cannot go on there.
    #[error("in `{level}`: {rejection}")]
    RejectedInside {
        /// The steps down to it: `build/test[3]`.
        level: String,
        /// Why.
        rejection: Rejection,
    },
    /// What is named inside of a step is not there.
    #[error("{message}")]
    UnknownPlace {
        /// What is wrong, and in which run.
        message: String,
        /// The name that is not known; empty if it is not about a name.
        name: String,
        /// The names that there are, in the order of the text.
        known: Vec<String>,
    },
    /// The new run cannot be created.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a run cannot be driven here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// Somebody alive drives it.
    #[error("the run is driven by {label} ({owner})")]
    Driven {
        /// Who.
        owner: OwnerId,
        /// Host and process.
        label: String,
    },
    /// A step needs a plugin that this engine does not have.
    #[error("step `{step}` uses `{plugin}`, which this engine does not have")]
    UnknownPlugin {
        /// The step.
        step: Arc<str>,
        /// The plugin.
        plugin: Arc<str>,
    },
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopping,
    /// The store failed, or holds what this version cannot read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such run.
    #[error("there is no run {0}")]
    NotFound(RunId),
    /// The run does not allow it in its present state.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Others were changing the run all the time; try again.
    #[error("the run was being changed by others all the time; try again")]
    Contended,
    /// No step of the workflow ever waits for a signal of this name.
    #[error("no step of the workflow waits for a signal `{name}`")]
    UnknownSignal {
        /// The name.
        name: Arc<str>,
        /// The names that there are, in the order of the text.
        known: Vec<String>,
    },
    /// The data of a signal is not what the step that waits for it says, or cannot be stored.
    #[error("the data of the signal does not fit what the step says: {0}")]
    InvalidSignal(String),
    /// The run carries out a step of another, whose outcome may be settled: that one is retried, and this with it.
    #[error("{run} carries out a step of {parent}: retry that run")]
    OfParent {
        /// The run.
        run: RunId,
        /// The run of the step.
        parent: RunId,
    },
    /// What it would hold under keys is held by others, or they wait for it and came before: these places, paths and rates.
    #[error("there is no room now for {}: others have it, or came before", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))]
    Full(Vec<Spot>),
    /// Only an engine that drives the run may say this.
    #[error("only the driver of a run may say this")]
    NotForOutsiders,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
