//! Conditions over an answer: `check: self.json.state == "done"`.

use std::sync::Arc;

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::expr::{Condition, Reference, Scope, StepView};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::Value;

use crate::config;

/// The fields of `self` that are the answer's. `self.status` is the step's, here as in every expression.
const FIELDS: [&str; 3] = ["headers", "body", "json"];

/// Compiles a `check`.
///
/// # Errors
/// What is wrong, as a fragment for a message.
pub(super) fn compile(text: &str) -> Result<Condition, String> {
    // A value that is put into it before it is compiled would be code.
    if config::is_open(text) {
        return Err("it is an expression by itself, without `${{ }}`, and sees only `self`".to_owned());
    }
    let condition = Condition::compile(text).map_err(|error| error.message)?;
    if condition.has_status_function() {
        return Err("it is about the answer: `success()` and its like have no place in it".to_owned());
    }
    for reference in condition.references() {
        match reference {
            Reference::Own(Some(field)) if &**field == "status" => {
                let why = "`self.status` is the status of the step; `expect` says which statuses of the answer are right";
                return Err(why.to_owned());
            }
            Reference::Own(Some(field)) if !FIELDS.contains(&&**field) => {
                return Err(format!("an answer has no `{field}`; it has {}", FIELDS.join(", ")));
            }
            Reference::Own(_) => {}
            _ => return Err("it sees only the answer, as `self`".to_owned()),
        }
    }
    Ok(condition)
}

/// Holds an answer against a `check`.
///
/// # Errors
/// Class `failed`, where it does not hold or cannot be evaluated.
pub(super) fn hold(condition: &Condition, output: &Value) -> Result<(), StepError> {
    let own = StepView {
        status: "completed",
        output: Some(Arc::new(output.clone())),
        error: None,
        attempts: 1,
        items: None,
    };
    let why = match condition.evaluate(&Scope { own: Some(own), ..Scope::default() }) {
        Ok(true) => return Ok(()),
        Ok(false) => format!("`check` does not hold of the answer: {}", condition.source()),
        Err(error) => format!("`check` cannot be told of the answer: {}", error.message),
    };
    Err(StepError::new(ErrorClass::Failed, why))
}
