//! What an expression may look at, what it refers to, and how it fails.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::Value;

/// What an expression may look at. Built by the engine for one step, from what the expression refers to.
#[derive(Debug, Default)]
pub struct Scope {
    /// The run's inputs (an object).
    pub inputs: Arc<Value>,
    /// The workflow's `env`, rendered; empty while that itself is rendered.
    pub env: BTreeMap<Arc<str>, String>,
    /// The run itself: `run.id` and `run.workflow`; after the steps proper, `run.status` and `run.error`.
    pub run: BTreeMap<Arc<str>, Value>,
    /// The item for which the step runs: an element of a list, or a combination of a matrix.
    pub item: Option<Value>,
    /// The position of that item: 0, 1, 2 …
    pub index: Option<u32>,
    /// The step's own output, where what it has done is judged.
    pub own: Option<StepView>,
    /// The ended steps that the expression refers to.
    pub steps: BTreeMap<Arc<str>, StepView>,
    /// What the status functions answer.
    pub standing: Standing,
}

/// A step that has ended, as an expression sees it.
#[derive(Debug, Clone)]
pub struct StepView {
    /// `completed`, `failed`, `cancelled` or `skipped`.
    pub status: &'static str,
    /// Its output; `None` where there is none: then every field is `none`.
    pub output: Option<Arc<Value>>,
    /// What went wrong, if it failed.
    pub error: Option<String>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// What became of its items, in order: a list of `{status, output, error}`. `None` if it has none.
    pub items: Option<Value>,
}

/// What `success()`, `failure()` and `cancelled()` answer for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Every need completed.
    pub success: bool,
    /// A step this one depends on, directly or not, has failed.
    pub failure: bool,
    /// The run is being cancelled.
    pub cancelled: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { success: true, failure: false, cancelled: false }
    }
}

/// What an expression refers to, found when it is compiled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reference {
    /// `inputs.NAME`
    Input(Arc<str>),
    /// `env.NAME`
    Env(Arc<str>),
    /// `steps.NAME` or `steps.NAME.FIELD`
    Step(Arc<str>, Option<Arc<str>>),
    /// What a filter looks at in each of `steps.NAME.items`: `map(attribute='output.FIELD')`.
    EachItem(Arc<str>, Arc<str>),
    /// `item` or `index`
    Item,
    /// `self` or `self.FIELD`
    Own(Option<Arc<str>>),
    /// `run.status` or `run.error`
    Verdict(Arc<str>),
    /// `matrix` or `matrix.AXIS`
    Matrix(Option<Arc<str>>),
    /// `secrets.NAME`
    Secret(Arc<str>),
}

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// A stable name: `undefined_variable`, `template.fuel`, `template.output_limit`, `type_mismatch` …
    pub code: &'static str,
    /// What went wrong, with the expression.
    pub message: String,
    /// The line of the expression in the text of the workflow, where there is one.
    pub line: Option<NonZeroU32>,
    /// The keys that lead to its text inside of the value, from the inside out.
    pub(super) keys: Vec<String>,
}

impl ExprError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), line: None, keys: Vec::new() }
    }

    pub(super) fn on(mut self, line: Option<NonZeroU32>) -> Self {
        self.line = self.line.or(line);
        self
    }

    pub(super) fn inside(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// As an error of what is written under `key`: `with.prompt (line 12): …`.
    #[must_use]
    pub fn told(&self, key: &str) -> String {
        let path = self.keys.iter().rev().fold(key.to_owned(), |path, key| path + "." + key);
        format!("{}: {}", place(&path, self.line), self.message)
    }
}

/// A key as messages name it, with its line where that is known: `with.prompt (line 12)`.
pub(crate) fn place(path: &str, line: Option<NonZeroU32>) -> String {
    line.map_or_else(|| path.to_owned(), |line| format!("{path} (line {line})"))
}
