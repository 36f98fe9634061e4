//! Whose turn it is: in which order runs that are due are given to those who look for some.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::RunId;
use crate::time::Timestamp;

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRun {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub project: Arc<str>,
    /// Its place in the line of its project, in milliseconds: the smallest goes first.
    pub place: i64,
}

impl DueRun {
    /// A run that is due since a moment: its place is [`Timestamp::place`].
    #[must_use]
    pub fn new(run: RunId, project: Arc<str>, priority: i32, since: Timestamp) -> Self {
        Self { run, project, place: since.place(priority) }
    }
}

/// The first `limit` of these runs, in the order of [`super::Store::claim_due`]: the first of each project, then the second of
/// each, and so on. Among those of one turn the smallest place goes first, and of one place the smallest id.
///
/// Of each project it suffices to give as many of its first as are wanted at all.
#[must_use]
pub fn in_turns(mut due: Vec<DueRun>, limit: usize) -> Vec<DueRun> {
    due.sort_unstable_by_key(|run| (run.place, run.run));
    let mut seen: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let turn_of = |run: DueRun| {
        let turn = seen.entry(run.project.clone()).or_default();
        *turn += 1;
        (*turn, run)
    };
    let mut turns: Vec<(usize, DueRun)> = due.into_iter().map(turn_of).collect();
    turns.sort_unstable_by_key(|(turn, run)| (*turn, run.place, run.run));
    turns.into_iter().take(limit).map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(number: u128, project: &str, priority: i32, since: i64) -> DueRun {
        let run = RunId::from_uuid(uuid::Uuid::from_u128(number));
        DueRun::new(run, project.into(), priority, Timestamp::from_millis(since))
    }

    fn numbers(due: Vec<DueRun>, limit: usize) -> Vec<u128> {
        in_turns(due, limit).into_iter().map(|due| due.run.as_uuid().as_u128()).collect()
    }

    #[test]
    fn projects_take_turns_however_many_runs_they_have() {
        let flood = (0..100).map(|number| due(number, "flood", 0, 0));
        let due = flood.chain([due(200, "a", 0, 9), due(201, "a", 0, 9), due(300, "b", 0, 8)]);
        assert_eq!(numbers(due.collect(), 8), [0, 300, 200, 1, 201, 2, 3, 4]);
    }

    #[test]
    fn a_point_of_priority_is_a_minute() {
        let three = [due(1, "p", 0, 0), due(2, "p", 1, 59_999), due(3, "p", 1, 60_001)];
        assert_eq!(numbers(three.to_vec(), 9), [2, 1, 3]);
        let late = [due(1, "p", i32::MAX, i64::MIN), due(2, "p", i32::MIN, i64::MAX), due(3, "p", 0, 0)];
        assert_eq!(numbers(late.to_vec(), 9), [1, 3, 2], "no place is beyond the ends of time");
    }

    #[test]
    fn of_one_place_the_smallest_id_goes_first_and_no_more_are_given_than_wanted() {
        let equal = [due(3, "p", 0, 5), due(1, "p", 0, 5), due(2, "q", 0, 5)];
        assert_eq!(numbers(equal.to_vec(), 9), [1, 2, 3]);
        assert_eq!(numbers(equal.to_vec(), 2), [1, 2]);
        assert_eq!(numbers(equal.to_vec(), 0), []);
    }
}
