//! What is said where nothing can be confined.

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;

/// A script that cannot be confined is not run.
pub(super) fn unavailable(why: &str) -> StepError {
    StepError::new(
        ErrorClass::Denied,
        format!(
            "sandbox_unavailable: the script was not run, because it cannot be confined here: {why}; `orchestrator doctor` tells what there is, and `sandbox: none` on the step runs it unconfined"
        ),
    )
}
