//! Which runs are due.

use std::collections::BTreeMap;

use super::Inner;
use crate::id::RunId;
use crate::time::Timestamp;

impl Inner {
    /// The runs that are due or have something in their inbox, the longest due first.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = RunId> {
        let waiting: BTreeMap<RunId, Timestamp> = self.desk.waiting();
        let is_due = move |(due, _): &&(Timestamp, RunId)| *due <= now;
        let since = |(run, at): (&RunId, &Timestamp)| {
            let due = self.runs.get(run).and_then(|run| run.row.due_at);
            (due.map_or(*at, |due| due.min(*at)), *run)
        };
        let mut others: Vec<(Timestamp, RunId)> = waiting.iter().map(since).collect();
        others.sort_unstable();
        let (mut others, mut due) = (
            others.into_iter().peekable(),
            self.due.iter().take_while(is_due).filter(move |(_, run)| !waiting.contains_key(run)).peekable(),
        );
        std::iter::from_fn(move || match (others.peek(), due.peek()) {
            (Some(other), due) if due.is_none_or(|due| other < *due) => others.next(),
            _ => due.next().copied(),
        })
        .map(|(_, run)| run)
    }
}
