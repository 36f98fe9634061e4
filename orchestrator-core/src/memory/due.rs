//! Which runs are due.

use std::collections::BTreeMap;

use super::Inner;
use crate::id::RunId;
use crate::port::store::{DueRun, in_turns};
use crate::time::Timestamp;

impl Inner {
    /// The first of the runs that nobody alive drives, and that are due or have something in their inbox.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<DueRun> {
        let waiting: BTreeMap<RunId, Timestamp> = self.desk.waiting();
        let mut due = Vec::new();
        for line in self.due.values() {
            let is_due = |(due, _): &&(Timestamp, RunId)| *due <= now;
            let of_line = line.iter().take_while(is_due).filter(|(_, run)| !waiting.contains_key(run));
            // No more of one line are wanted than of all together.
            due.extend(of_line.filter_map(|(since, run)| self.free(*run, *since)).take(limit));
        }
        due.extend(waiting.iter().filter_map(|(run, told)| {
            let since = self.runs.get(run).and_then(|run| run.row.due_at);
            self.free(*run, since.map_or(*told, |due| due.min(*told)))
        }));
        in_turns(due, limit)
    }

    /// A run that is due since a moment, unless somebody alive drives it.
    fn free(&self, run: RunId, since: Timestamp) -> Option<DueRun> {
        let row = &self.runs.get(&run)?.row;
        let is_free = row.driver.is_none_or(|driver| self.is_dead(driver));
        is_free.then(|| DueRun::new(run, row.new.project.clone(), row.new.priority, since))
    }
}
