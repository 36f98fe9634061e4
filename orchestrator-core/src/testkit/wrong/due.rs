//! In which order a wrong store gives what is due.

use std::sync::Arc;

use super::list::Wrong::*;
use super::store::Spoiled;
use crate::port::store::{DueRun, Store, StoreError, in_turns};

impl Spoiled {
    /// What is due, in an order of its own.
    pub(super) async fn unfair(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        let mut due: Vec<DueRun> = Vec::new();
        for DueRun { run, .. } in self.right.claim_due(usize::MAX).await? {
            let Some(row) = self.right.run(run).await? else { continue };
            let (project, since) = (row.new.project, row.due_at.unwrap_or(row.updated_at));
            let (project, priority): (Arc<str>, i32) = match self.wrong {
                LetsAFloodGoFirst => ("one line for all".into(), row.new.priority),
                IgnoresUrgency => (project, 0),
                // A head start of more than all time.
                LetsTheUrgentGoFirst => (project, row.new.priority.saturating_mul(1_000_000)),
                _ => (project, row.new.priority),
            };
            let is_first = !due.iter().any(|other| other.project == project);
            if is_first || !self.is(ClaimsTheFirstOfEachAlone) {
                due.push(DueRun::new(run, project, priority, since));
            }
        }
        Ok(in_turns(due, limit))
    }
}
