//! A log as `runs events --json` prints it.

use serde_json::Value;

/// Whether nothing more happens to the step or item after this event, within a generation.
pub(crate) fn is_result(event: &Value) -> bool {
    match event["kind"].as_str() {
        Some("step.succeeded" | "step.skipped" | "step.cancelled" | "step.collected") => true,
        Some("step.failed") => event["data"]["retry_at"].is_null(),
        Some("step.resolved") => !event["data"]["output"].is_null(),
        Some("step.lost") => matches!(event["data"]["then"].as_str(), Some("fail" | "cancel")),
        _ => false,
    }
}

/// Says so where a right is not larger than every earlier one.
pub(crate) fn rising<'f>(whose: &str, events: impl Iterator<Item = &'f Value>, faults: &mut Vec<String>) {
    let epochs: Vec<Option<u64>> = events.map(|event| event["epoch"].as_u64()).collect();
    if epochs.iter().any(|epoch| epoch.is_none_or(|epoch| epoch == 0))
        || epochs.windows(2).any(|pair| pair[0] >= pair[1])
    {
        faults.push(format!("{whose} has been given the rights {epochs:?}"));
    }
}
