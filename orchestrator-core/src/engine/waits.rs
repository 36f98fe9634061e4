//! What a run and its steps wait for, beside what is asked in approvals: read from the log, because the rows do not tell.

use std::collections::HashMap;
use std::sync::Arc;

use crate::id::Unit;
use crate::machine::{Event, Hold, Intent, StepError, WaitOn};
use crate::port::store::{ApprovalRow, EventsAfter, KeyQuery, RunRow, StepRow, Store, StoreError};
use crate::time::Timestamp;

/// How many events are read at once.
const PAGE: usize = 10_000;

/// Why each waiting step or item waits, and the run itself.
pub(crate) type Waits = HashMap<Unit, Cause>;

/// Why a step does not go on now, or a run.
#[derive(Debug)]
pub(crate) enum Cause {
    /// It waits for this.
    On(WaitOn),
    /// Its last attempt has failed, and the next one is not due.
    Failed(StepError),
    /// All that may hold a place under its key do.
    Parked(Arc<Hold>),
}

/// Reads what the waiting steps wait for. Costs little where every one of them waits for an approval, else as much as
/// the log is long.
pub(crate) async fn waits(
    store: &dyn Store,
    of: &RunRow,
    rows: &[StepRow],
    approvals: &[ApprovalRow],
) -> Result<Waits, StoreError> {
    let (run, mut waits) = (of.run, Waits::new());
    let is_asked = |row: &StepRow| {
        approvals.iter().any(|approval| (approval.step, approval.item) == (row.step, row.item))
    };
    let is_dark = |row: &StepRow| match row.status {
        "needs_qa" => true,
        "waiting" => !is_asked(row),
        "queued" => row.due_at.is_some(),
        _ => false,
    };
    let is_queued = rows.iter().any(|row| row.status == "queued" && row.due_at.is_none());
    let in_line = KeyQuery { runs: vec![run], limit: 1, ..KeyQuery::default() };
    let is_parked = is_queued && !store.waiters(in_line).await?.is_empty();
    // Nothing of it goes on: it has not begun, or waits for its own place.
    let may_wait = &*of.status == "pending" && of.finished_at.is_none();
    if !is_parked && !may_wait && !rows.iter().any(is_dark) {
        return Ok(waits);
    }
    let mut after = 0;
    loop {
        let events = store.events_after(EventsAfter { run, after, limit: PAGE }).await?;
        let Some(last) = events.last() else { return Ok(waits) };
        after = last.seq;
        for recorded in events {
            match recorded.event {
                Event::StepWaiting(waiting) => _ = waits.insert(waiting.step, Cause::On(waiting.on)),
                Event::StepFailed(failed) => _ = waits.insert(failed.step, Cause::Failed(failed.error)),
                Event::RunReopened(_) => waits.clear(),
                Event::RunParked(parked) => _ = waits.insert(Unit::RUN, Cause::Parked(parked.hold)),
                Event::RunEntered(_) => _ = waits.remove(&Unit::RUN),
                Event::StepParked(parked) => _ = waits.insert(parked.step, Cause::Parked(parked.hold)),
                Event::StepBegun(begun) => _ = waits.remove(&begun.step),
                Event::StepContinued(continued) => _ = waits.remove(&continued.step),
                Event::StepOffered(offered) => _ = waits.remove(&offered.step),
                // A repetition waits without having failed.
                Event::StepRepeated(repeated) => _ = waits.remove(&repeated.step),
                _ => {}
            }
        }
    }
}

/// When a run is to begin that is put off: until that time is noted to have come, or somebody cancels.
pub(crate) async fn not_before(store: &dyn Store, row: &RunRow) -> Result<Option<Timestamp>, StoreError> {
    let has_begun = row.started_at.or(row.finished_at).is_some() || row.generation > 1;
    // What is not put off has something to do from its creation on.
    if has_begun || row.due_at.is_none_or(|due| due <= row.created_at) {
        return Ok(None);
    }
    let mut not_before = None;
    for recorded in store.events_after(EventsAfter { run: row.run, after: 0, limit: PAGE }).await? {
        match recorded.event {
            Event::RunCreated(created) => not_before = created.not_before,
            Event::RunDue(_) => not_before = None,
            Event::IntentChanged(changed) if changed.intent == Intent::Cancel => not_before = None,
            _ => {}
        }
    }
    Ok(not_before)
}
