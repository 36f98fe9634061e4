//! Stores that write a member in two transactions. A task that dies between the two leaves the first.

use crate::id::{DecisionId, RunId};
use crate::machine::Recorded;
use crate::port::policy::Decision;
use crate::port::store::{Member, NumberedLine, RunRow, StepRow};
use crate::value::Digest;

use super::list::Wrong;
use super::place::lock;
use super::store::Spoiled;

/// What the second transaction has not written yet.
#[derive(Debug)]
pub(super) struct Unwritten {
    run: RunId,
    after: u64,
    member: Member,
    before: Vec<StepRow>,
}

/// How often others get a turn between the two transactions.
const TURNS: u32 = 12;

impl Spoiled {
    fn is_in_two(&self) -> bool {
        matches!(
            self.wrong,
            Wrong::RowsInASecondTransaction
                | Wrong::EventsInASecondTransaction
                | Wrong::SchedulesInASecondTransaction
                | Wrong::ValuesInASecondTransaction
        )
    }

    /// The first transaction is about to be written: what is left for the second.
    pub(super) async fn before_the_first(&self, batch: &[Member]) {
        if !self.is_in_two() {
            return;
        }
        for member in batch.iter().filter(|member| member.create.is_none()) {
            let before = self.shown_steps(member.run).await.unwrap_or_default();
            lock(&self.world.unwritten).push(Unwritten {
                run: member.run,
                after: member.expected,
                member: member.clone(),
                before,
            });
        }
    }

    /// The second transaction.
    pub(super) async fn write_the_second(&self, batch: &[Member]) {
        // What creates a run is written at once.
        if !self.is_in_two() || batch.iter().all(|member| member.create.is_some()) {
            return;
        }
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let is_of_batch = |unwritten: &Unwritten| {
            batch.iter().any(|member| member.transition == unwritten.member.transition)
        };
        lock(&self.world.unwritten).retain(|unwritten| !is_of_batch(unwritten));
    }

    fn unwritten<T>(&self, wrong: Wrong, run: RunId, each: impl Fn(&Unwritten) -> T) -> Vec<T> {
        if self.wrong != wrong {
            return Vec::new();
        }
        lock(&self.world.unwritten).iter().filter(|unwritten| unwritten.run == run).map(each).collect()
    }

    pub(super) fn hide_steps(&self, run: RunId, rows: &mut Vec<StepRow>) {
        let hidden = self.unwritten(Wrong::RowsInASecondTransaction, run, |unwritten| {
            (unwritten.member.steps.clone(), unwritten.before.clone())
        });
        for (new, before) in hidden {
            if rows.iter().any(|row| new.contains(row)) {
                *rows = before;
            }
        }
    }

    pub(super) fn hide_decisions(&self, run: RunId, rows: &mut Vec<Decision>) {
        let ids = |unwritten: &Unwritten| -> Vec<DecisionId> {
            unwritten.member.decisions.iter().map(|decision| decision.id).collect()
        };
        let hidden = self.unwritten(Wrong::RowsInASecondTransaction, run, ids).concat();
        rows.retain(|row| !hidden.contains(&row.id));
    }

    pub(super) fn hide_lines(&self, run: RunId, rows: &mut Vec<NumberedLine>) {
        let hidden =
            self.unwritten(Wrong::RowsInASecondTransaction, run, |unwritten| unwritten.member.logs.clone());
        let hidden = hidden.concat();
        rows.retain(|row| !hidden.contains(&row.line));
    }

    pub(super) fn hide_events(&self, run: RunId, events: &mut Vec<Recorded>) {
        let last = self.unwritten(Wrong::EventsInASecondTransaction, run, |unwritten| unwritten.after);
        if let Some(last) = last.iter().min() {
            events.retain(|recorded| recorded.seq <= *last);
        }
    }

    pub(super) fn hide_in_row(&self, row: &mut RunRow) {
        if !self.unwritten(Wrong::SchedulesInASecondTransaction, row.run, |_| ()).is_empty() {
            row.due_at = None;
        }
    }

    pub(super) fn hides_value(&self, run: RunId, digest: Digest) -> bool {
        let hidden = self.unwritten(Wrong::ValuesInASecondTransaction, run, |unwritten| {
            unwritten.member.values.iter().any(|value| value.digest == digest)
        });
        hidden.contains(&true)
    }

    pub(super) fn hides_due(&self, run: RunId) -> bool {
        !self.unwritten(Wrong::SchedulesInASecondTransaction, run, |_| ()).is_empty()
    }
}
