//! Nobody is left behind: of every run that has not ended, who or what moves it next.

use crate::engine::loaded::Library;
use crate::id::RunId;
use crate::machine::{Intent, RunState, StepKind, fold, wake_at};
use crate::port::store::{KeyQuery, RunLog, RunRow, Store, StoreError};

/// Why a run is stranded: nobody drives it, it waits for nobody, and whoever looks for runs that are due will not find it.
/// `None`: it has ended, is not there, or one of these is so:
///
/// - a live owner drives it, or one that will be found dead when its time is over; and where it waits for places under keys, it
///   stands in their lines;
/// - it waits for something named: an approval, a signal, QA, a settlement, somebody who resumes it, or who executes what it
///   offers;
/// - it is due now, or will be at a time that its row says.
///
/// This is promised of every run in every store at every moment. For tests and for `doctor`: loads the whole run.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Corrupt`] if the log does not fold.
pub async fn stranded(store: &dyn Store, run: RunId) -> Result<Option<String>, StoreError> {
    let Some(RunLog { row, text, events }) = store.load(run).await? else { return Ok(None) };
    let loaded = Library::default().read(row.new.revision, &row.new.workflow, &text)?;
    let mut state = RunState::new(run, loaded.workflow.clone(), loaded.plan.clone());
    fold(&mut state, &events).map_err(|illegal| StoreError::Corrupt(format!("{run}: {illegal}")))?;
    if state.head().ended.is_some() {
        return Ok(None);
    }
    if let Some(driver) = row.driver {
        match store.owner(driver).await? {
            Some(owner) if !owner.dead => return not_in_line(store, &state).await,
            Some(_) => {}
            None => return Ok(Some(format!("it is driven by {driver}, whom the store does not know"))),
        }
    }
    Ok(unmoved(&state, &row))
}

/// Why a run that is driven will never be given a place that it waits for.
async fn not_in_line(store: &dyn Store, state: &RunState) -> Result<Option<String>, StoreError> {
    if state.wanted_holds().next().is_none() {
        return Ok(None);
    }
    let query = KeyQuery { runs: vec![state.run()], limit: usize::MAX, ..KeyQuery::default() };
    let lines = store.waiters(query).await?;
    let mut wanted = state.wanted_holds().map(|hold| hold.spot());
    let missing = wanted.find(|spot| !lines.iter().any(|row| row.spot() == *spot));
    Ok(missing.map(|spot| format!("it waits for {spot}, and is not in its line")))
}

/// Why nothing moves a run that nobody alive drives.
fn unmoved(state: &RunState, row: &RunRow) -> Option<String> {
    match (wake_at(state), row.due_at) {
        (Some(wake), Some(due)) if due <= wake => None,
        (Some(wake), Some(due)) => {
            Some(format!("there is something to do at {wake}, and its row says {due}"))
        }
        (Some(wake), None) => Some(format!("there is something to do at {wake}, and its row says never")),
        (None, _) if state.head().intent == Intent::Pause || waits_for_someone(state) => None,
        (None, _) => Some("it waits for nothing that anybody could name".into()),
    }
}

fn waits_for_someone(state: &RunState) -> bool {
    use StepKind::{Offered, OutcomeUnknown, Quarantined, Running, Waiting};
    // Where nothing is due, what runs is executed by those who have claimed it.
    [Waiting, OutcomeUnknown, Quarantined, Offered, Running].iter().any(|kind| state.count(*kind) > 0)
}
