//! What of a workflow runs inside of the sandbox, and what outside.

use std::sync::Arc;

use orchestrator_core::spec::{Sandbox, StepSpec, Workflow};

use crate::workflow::family;

/// The plugin that the sandbox confines.
const SCRIPT: &str = "script";

/// The plugin that starts programs only outside of it.
const MCP: &str = "mcp";

/// The steps of a workflow that `sandbox: none` lets out of the sandbox, and those whose own workflows have such steps.
pub(crate) fn unconfined(workflow: &Arc<Workflow>) -> Vec<&str> {
    let lets_out = |step: &&StepSpec| {
        let child = step.options().child.as_ref().and_then(|child| workflow.children.get(child));
        let mut below = child.into_iter().flat_map(family).flat_map(|workflow| &workflow.steps);
        is_unconfined(step) || below.any(is_unconfined)
    };
    workflow.steps.iter().filter(lets_out).map(|step| &*step.name).collect()
}

fn is_unconfined(step: &StepSpec) -> bool {
    [SCRIPT, MCP].contains(&&*step.uses) && step.options().sandbox.as_ref().is_some_and(Sandbox::is_none)
}

/// What a step would do beyond this process, with what confines it.
pub(crate) fn reaches(step: &StepSpec, does: Vec<String>) -> Vec<String> {
    if &*step.uses != SCRIPT {
        return does;
    }
    let how = match &step.options().sandbox {
        Some(Sandbox::None) => "unconfined on this machine".to_owned(),
        sandbox => {
            let grants = sandbox.as_ref().map(Sandbox::grants).unwrap_or_default();
            let but = if grants.is_empty() { String::new() } else { format!(", with {}", grants.join(", ")) };
            format!("in the sandbox{but}")
        }
    };
    does.into_iter().map(|does| format!("{does} {how}")).collect()
}
