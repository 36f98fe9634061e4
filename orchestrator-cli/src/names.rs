//! The names of a run's steps by their position.

use std::borrow::Cow;
use std::sync::Arc;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::{StepIx, Unit};
use orchestrator_core::spec::Workflow;

/// Names by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Vec<Arc<str>>);

impl Names {
    /// The name of a step, with the item if it is one: `build`, `build[3]`.
    pub(crate) fn of(&self, unit: impl Into<Unit>) -> Cow<'_, str> {
        let unit = unit.into();
        let name = self.step(unit.step);
        match unit.item() {
            None => Cow::Borrowed(name),
            Some(item) => Cow::Owned(format!("{name}[{item}]")),
        }
    }

    /// The name of a step.
    pub(crate) fn step(&self, step: StepIx) -> &str {
        self.0.get(step.index()).map_or("?", |name| name)
    }

    /// The position of the step called `name`, or of its item.
    pub(crate) fn find(&self, name: &str) -> Option<Unit> {
        let item = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
        let (name, item) = match item {
            Some((name, item)) => (name, Some(item.parse().ok().filter(|item| *item < u32::MAX)?)),
            None => (name, None),
        };
        let step = self.0.iter().position(|held| **held == *name)?;
        // A workflow has fewer than 2^32 steps.
        Some(Unit::new(StepIx(step as u32), item))
    }

    /// All names, in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl From<&Workflow> for Names {
    fn from(workflow: &Workflow) -> Self {
        Self(workflow.steps.iter().map(|step| step.name.clone()).collect())
    }
}

impl From<&RunReport> for Names {
    /// A report has every step, in the order of the text.
    fn from(report: &RunReport) -> Self {
        let steps = report.steps.iter().filter(|step| step.item.is_none());
        Self(steps.map(|step| step.id.clone()).collect())
    }
}
