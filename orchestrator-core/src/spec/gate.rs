//! What stands between an attempt that has succeeded and its step: evidence, and a person's judgement.

use std::sync::Arc;

use serde_json::Value;

use crate::spec::Timeout;
use crate::spec::expr::Template;

/// The `qa:` of a step: someone passes what it gave, or does not.
#[derive(Debug)]
pub struct Qa {
    /// What is to be judged, in words; sees the output as `self`.
    pub message: Template,
    /// What the judge is shown; without it, the whole output. Sees the output as `self`.
    pub show: Option<Template>,
    /// How long the judge may take, and what silence means.
    pub timeout: Option<Timeout>,
}

impl Qa {
    /// What it is rendered from.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.message).chain(&self.show)
    }
}

/// The `evidence:` of a step: what must hold, or the attempt has failed with class `evidence`.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Files that must be there and hold something: relative paths, in which `*`, `?` and `**` are patterns.
    pub files: Vec<Arc<str>>,
    /// What the output must be, in the vocabulary of [`crate::spec::schema`].
    pub output: Option<Value>,
    /// What the attempt must have done to the repository.
    pub diff: Option<Diff>,
}

/// What an attempt must have done to the repository in which it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diff {
    /// Changed it.
    NonEmpty,
    /// Left it as it was.
    Empty,
}
