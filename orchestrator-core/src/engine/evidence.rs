//! Whether what a step declares holds, before its attempt counts as a success.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::port::evidence::Inspector;
use crate::port::plugin::Outcome;
use crate::spec::retry::ErrorClass;
use crate::spec::schema::check_value;
use crate::spec::{Diff, Evidence};

/// The most that is told of one output.
const TOLD: usize = 5;

/// Executes an attempt, and takes its word for a success only if the evidence holds.
pub(crate) async fn witnessed(
    evidence: Arc<Evidence>,
    inspector: Option<Arc<dyn Inspector>>,
    folder: Arc<Path>,
    attempt: impl Future<Output = Outcome>,
) -> Outcome {
    let looks = evidence.diff.is_some() || !evidence.files.is_empty();
    if looks && inspector.is_none() {
        return Outcome::failed(ErrorClass::Invalid, "this engine cannot look at files: it has no inspector");
    }
    let before = match (&inspector, evidence.diff) {
        (Some(inspector), Some(_)) => match inspector.repository(&folder).await {
            Ok(mark) => Some(mark),
            Err(why) => return missing(&[format!("a diff cannot be told: {why}")]),
        },
        _ => None,
    };
    let outcome = attempt.await;
    let Outcome::Succeeded { output } = &outcome else { return outcome };
    let mut faults = faults_of(&evidence, output);
    if let Some(inspector) = &inspector {
        if !evidence.files.is_empty() {
            match inspector.missing(&folder, &evidence.files).await {
                Ok(missing) => faults.extend(missing),
                Err(why) => faults.push(why),
            }
        }
        if let (Some(before), Some(wanted)) = (before, evidence.diff) {
            match (inspector.repository(&folder).await, wanted) {
                (Ok(after), Diff::NonEmpty) if after == before => {
                    faults.push("nothing has changed in the repository".to_owned());
                }
                (Ok(after), Diff::Empty) if after != before => {
                    faults.push("something has changed in the repository".to_owned());
                }
                (Ok(_), _) => {}
                (Err(why), _) => faults.push(format!("a diff cannot be told: {why}")),
            }
        }
    }
    if faults.is_empty() { outcome } else { missing(&faults) }
}

/// What the output lacks.
fn faults_of(evidence: &Evidence, output: &Value) -> Vec<String> {
    let issues = evidence.output.as_ref().map(|schema| check_value(schema, output)).unwrap_or_default();
    let told = issues.iter().take(TOLD).map(|issue| {
        let place = issue.path.iter().fold(String::from("output"), |place, key| place + "." + key);
        format!("{place}: {}", issue.message)
    });
    told.collect()
}

fn missing(faults: &[String]) -> Outcome {
    Outcome::failed(ErrorClass::Evidence, format!("the evidence does not hold: {}", faults.join("; ")))
}
