//! The names of a run's steps by their position.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::StepIx;
use orchestrator_core::spec::Workflow;

/// Names by position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<StepIx, Arc<str>>);

impl Names {
    /// The name of a step.
    pub(crate) fn of(&self, step: StepIx) -> &str {
        self.0.get(&step).map_or("?", |name| name)
    }

    /// The position of the step called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<StepIx> {
        self.0.iter().find(|(_, held)| ***held == *name).map(|(step, _)| *step)
    }

    /// All names, in the order of the text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|name| &**name)
    }
}

impl From<&Workflow> for Names {
    fn from(workflow: &Workflow) -> Self {
        Self((0u32..).map(StepIx).zip(workflow.steps.iter().map(|step| step.name.clone())).collect())
    }
}

impl From<&RunReport> for Names {
    /// A report has every step, in the order of the text.
    fn from(report: &RunReport) -> Self {
        Self((0u32..).map(StepIx).zip(report.steps.iter().map(|step| step.id.clone())).collect())
    }
}
