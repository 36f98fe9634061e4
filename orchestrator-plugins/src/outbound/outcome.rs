//! What it means for an attempt that there is no answer.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Outcome;

use super::answer::NoAnswer;

/// The outcome of a request that was not answered; `what` names it. If it `changes` something and may have been carried out,
/// nobody can tell.
pub(crate) fn no_answer(error: &NoAnswer, changes: bool, what: &str) -> Outcome {
    let hint = if matches!(error, NoAnswer::TooLong(_)) { "; raise `max_bytes`" } else { "" };
    let told = StepError::new(error.class(), format!("{what}: {error}{hint}"));
    match changes && error.may_be_done() {
        true => Outcome::Unknown { error: told },
        false => Outcome::Failed { error: told, retry_after: error.wait() },
    }
}
