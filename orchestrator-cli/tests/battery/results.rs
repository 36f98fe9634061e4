//! Which events end a step for good.

use serde_json::Value;

/// Whether nothing more happens to the step after this event.
pub(crate) fn is_result(event: &Value) -> bool {
    match event["kind"].as_str() {
        Some("step.succeeded" | "step.skipped" | "step.cancelled") => true,
        Some("step.failed") => event["data"]["retry_at"].is_null(),
        Some("step.resolved") => !event["data"]["output"].is_null(),
        Some("step.lost") => matches!(event["data"]["then"].as_str(), Some("fail" | "cancel")),
        _ => false,
    }
}
