//! The table of legal transitions of a step. It prints the chart in `docs/state-machine.md`, checks `apply`, and
//! measures which transitions the properties reach.

use std::fmt::Write as _;

use crate::machine::StepKind::{
    self, Arrived, Backoff, Cancelled, Expanded, Failed, Offered, OutcomeUnknown, Parked, Pending,
    Quarantined, Ready, Running, Skipped, Succeeded, Waiting,
};

/// A row: from this state, on this kind of event, to that state.
pub type Row = (StepKind, &'static str, StepKind);

/// Every transition there is. A step becomes ready without an event of its own: by the event that ends its last
/// need, or, for an item, by the one that ends an item before it.
pub const TRANSITIONS: &[Row] = &[
    (Ready, "step.begun", Running),
    (Ready, "step.parked", Parked),
    (Arrived, "step.parked", Parked),
    (Parked, "step.parked", Parked),
    (Parked, "step.begun", Running),
    (Parked, "step.continued", Running),
    (Parked, "step.offered", Offered),
    (Parked, "step.waiting", Waiting),
    (Parked, "step.failed", Failed),
    (Parked, "step.skipped", Skipped),
    (Parked, "step.cancelled", Cancelled),
    (Arrived, "step.continued", Running),
    (Ready, "step.offered", Offered),
    (Arrived, "step.offered", Offered),
    (Offered, "step.claimed", Running),
    (Offered, "step.withdrawn", Ready),
    (Offered, "step.withdrawn", Arrived),
    (Running, "step.succeeded", Succeeded),
    (Running, "step.failed", Backoff),
    (Running, "step.failed", Failed),
    (Ready, "step.failed", Failed),
    (Waiting, "step.failed", Failed),
    (Pending, "step.failed", Failed),
    (Backoff, "step.failed", Failed),
    (Arrived, "step.failed", Failed),
    (Ready, "step.kept", Succeeded),
    (Ready, "step.kept", Failed),
    (Ready, "step.kept", Skipped),
    (Pending, "step.kept", Succeeded),
    (Pending, "step.kept", Failed),
    (Running, "step.overdue", Running),
    (Offered, "step.overdue", Offered),
    (Waiting, "step.overdue", Waiting),
    (Expanded, "step.overdue", Expanded),
    (Running, "step.lost", Ready),
    (Running, "step.lost", Arrived),
    (Running, "step.lost", OutcomeUnknown),
    (Running, "step.lost", Quarantined),
    (Running, "step.lost", Failed),
    (Running, "step.lost", Cancelled),
    (Running, "step.outcome_unknown", OutcomeUnknown),
    (Running, "step.interrupted", Ready),
    (Running, "step.interrupted", Arrived),
    (Running, "step.waiting", Waiting),
    (Ready, "step.waiting", Waiting),
    (Waiting, "step.waiting", Waiting),
    (Waiting, "step.succeeded", Succeeded),
    (Waiting, "step.iterated", Ready),
    (Waiting, "step.failed", Backoff),
    (Waiting, "step.arrived", Arrived),
    (Waiting, "step.arrived", Ready),
    (Waiting, "step.judged", Waiting),
    (Waiting, "step.succeeded", Succeeded),
    (Waiting, "step.iterated", Ready),
    (Waiting, "step.failed", Backoff),
    (Backoff, "step.due", Ready),
    (Running, "step.iterated", Ready),
    (Ready, "step.repeated", Ready),
    (Ready, "step.repeated", Backoff),
    (Ready, "step.succeeded", Succeeded),
    (Ready, "step.expanded", Expanded),
    (Expanded, "step.collected", Succeeded),
    (Expanded, "step.collected", Failed),
    (Expanded, "step.collected", Cancelled),
    (Ready, "step.skipped", Skipped),
    (Pending, "step.cancelled", Cancelled),
    (Ready, "step.cancelled", Cancelled),
    (Backoff, "step.cancelled", Cancelled),
    (Waiting, "step.cancelled", Cancelled),
    (Arrived, "step.cancelled", Cancelled),
    (Quarantined, "step.cancelled", Cancelled),
    (Running, "step.cancelled", Cancelled),
    (OutcomeUnknown, "step.resolved", Succeeded),
    (OutcomeUnknown, "step.resolved", Ready),
    (Quarantined, "step.resolved", Succeeded),
    (Quarantined, "step.resolved", Ready),
    (Quarantined, "step.resolved", Arrived),
];

/// Whether the table has a row.
#[must_use]
pub fn is_legal(from: StepKind, event: &str, to: StepKind) -> bool {
    TRANSITIONS.iter().any(|row| row.0 == from && row.2 == to && row.1 == event)
}

/// The table as the page `docs/state-machine.md`: a Mermaid chart and a list.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# The states of a step\n\nPrinted from the table in `orchestrator-core/src/machine/transitions.rs`; a test \
         holds the two together.\n\n```mermaid\nstateDiagram-v2\n    [*] --> Pending\n    Pending --> Ready: last need \
         ended\n",
    );
    for (from, event, to) in TRANSITIONS {
        let _ = writeln!(page, "    {from:?} --> {to:?}: {event}");
    }
    page.push_str(
        "```\n\nA reopened run (`run.reopened`) puts the named steps back to `Pending` or `Ready`.\n\n",
    );
    page.push_str("| state | shown as | ended |\n|---|---|---|\n");
    for kind in StepKind::ALL {
        let _ = writeln!(
            page,
            "| {kind:?} | `{}`{} | {} |",
            kind.shown(),
            match kind {
                StepKind::Waiting => " or, for QA, `needs_qa`",
                StepKind::Running => " or, by one who has claimed it, `claimed`",
                _ => "",
            },
            if kind.is_terminal() { "yes" } else { "no" }
        );
    }
    page
}
