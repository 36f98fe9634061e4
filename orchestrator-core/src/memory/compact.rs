//! The parts of a run that grow with its steps, packed: a hundred thousand steps must fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use crate::machine::{Event, Recorded};
use crate::port::policy::Decision;
use crate::port::store::StepRow;
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// A run's events, by commit: what the events of a commit share is kept once.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    commits: Vec<Written>,
    last: u64,
}

#[derive(Debug)]
struct Written {
    /// Number of the first of the events.
    first: u64,
    at: Timestamp,
    transition: TransitionId,
    events: Box<[Event]>,
}

impl EventLog {
    pub(super) fn append(&mut self, at: Timestamp, transition: TransitionId, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let first = self.last + 1;
        self.last += events.len() as u64;
        self.commits.push(Written { first, at, transition, events: events.into_boxed_slice() });
    }

    /// Number of the last event.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// The events with a larger number than `after`, at most `limit`.
    pub(super) fn after(&self, after: u64, limit: usize) -> Vec<Recorded> {
        // The last commit that begins at or before the first event asked for.
        let from =
            self.commits.partition_point(|commit| commit.first <= after.saturating_add(1)).saturating_sub(1);
        let left = usize::try_from(self.last.saturating_sub(after)).unwrap_or(usize::MAX);
        let mut found = Vec::with_capacity(left.min(limit));
        for commit in &self.commits[from..] {
            for (seq, event) in (commit.first..).zip(&commit.events) {
                if found.len() == limit {
                    return found;
                }
                if seq > after {
                    let (at, transition) = (commit.at, commit.transition);
                    found.push(Recorded { seq, at, transition, event: event.clone() });
                }
            }
        }
        found
    }
}

/// A run's step rows: of steps by position, of items by both.
#[derive(Debug, Default)]
pub(super) struct StepTable {
    steps: Vec<Option<PackedStep>>,
    items: BTreeMap<Unit, PackedStep>,
}

/// A [`StepRow`] without its position, and with its times in half the space.
#[derive(Debug)]
struct PackedStep {
    name: Arc<str>,
    status: &'static str,
    effect: Option<&'static str>,
    output: Option<ValueRef>,
    error: Option<Arc<str>>,
    epoch: u64,
    due_at: PackedTime,
    started_at: PackedTime,
    finished_at: PackedTime,
    attempts: u32,
    owner: Option<OwnerId>,
}

/// An optional time in eight bytes. The earliest time there is stands for none.
#[derive(Debug, Clone, Copy)]
struct PackedTime(i64);

impl From<Option<Timestamp>> for PackedTime {
    fn from(time: Option<Timestamp>) -> Self {
        Self(time.map_or(i64::MIN, Timestamp::as_millis))
    }
}

impl From<PackedTime> for Option<Timestamp> {
    fn from(time: PackedTime) -> Self {
        (time.0 != i64::MIN).then_some(Timestamp::from_millis(time.0))
    }
}

impl StepTable {
    /// Makes room for as many steps as the run has, once the first of them begins.
    pub(super) fn reserve(&mut self, steps: u32) {
        if self.steps.capacity() == 0 {
            self.steps.reserve_exact(steps as usize);
        }
    }

    pub(super) fn put(&mut self, row: StepRow) {
        let (step, item) = (row.step, row.item);
        let packed = PackedStep {
            name: row.name,
            status: row.status,
            effect: row.effect,
            output: row.output,
            error: row.error,
            epoch: row.epoch,
            due_at: row.due_at.into(),
            started_at: row.started_at.into(),
            finished_at: row.finished_at.into(),
            attempts: row.attempts,
            owner: row.owner,
        };
        if item.is_some() {
            self.items.insert(Unit::new(step, item), packed);
            return;
        }
        let index = step.index();
        if index >= self.steps.len() {
            self.steps.resize_with(index + 1, || None);
        }
        self.steps[index] = Some(packed);
    }

    /// The rows in the order of the text, the items of a step after it.
    pub(super) fn rows(&self) -> Vec<StepRow> {
        let steps = (0u32..).map(StepIx).zip(&self.steps);
        let steps = steps.filter_map(|(step, row)| row.as_ref().map(|row| row.unpack(step.into())));
        let mut rows: Vec<StepRow> =
            steps.chain(self.items.iter().map(|(unit, row)| row.unpack(*unit))).collect();
        if !self.items.is_empty() {
            rows.sort_by_key(|row| Unit::new(row.step, row.item));
        }
        rows
    }
}

impl PackedStep {
    fn unpack(&self, unit: Unit) -> StepRow {
        StepRow {
            step: unit.step,
            item: unit.item(),
            name: self.name.clone(),
            status: self.status,
            attempts: self.attempts,
            epoch: self.epoch,
            owner: self.owner,
            effect: self.effect,
            due_at: self.due_at.into(),
            started_at: self.started_at.into(),
            finished_at: self.finished_at.into(),
            output: self.output.clone(),
            error: self.error.clone(),
        }
    }
}

/// A run's policy decisions, in order. Decisions in a row that say the same share their words.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    rows: Vec<PackedDecision>,
    words: Vec<Words>,
}

#[derive(Debug)]
struct PackedDecision {
    at: Timestamp,
    id: DecisionId,
    input: Digest,
    unit: Unit,
    /// Position in [`Decisions::words`].
    words: u32,
}

#[derive(Debug, PartialEq)]
struct Words {
    verdict: Arc<str>,
    policy: Arc<str>,
    rule: Option<Arc<str>>,
    reason: Option<Arc<str>>,
}

impl Decisions {
    pub(super) fn push(&mut self, decision: Decision) {
        let Decision { id, run: _, step, item, verdict, policy, rule, reason, input, at } = decision;
        let words = Words { verdict, policy, rule, reason };
        if self.words.last() != Some(&words) {
            self.words.push(words);
        }
        // There are fewer than 2^32 decisions: they would not fit into memory.
        let words = (self.words.len() - 1) as u32;
        self.rows.push(PackedDecision { at, id, input, unit: Unit::new(step, item), words });
    }

    pub(super) fn rows(&self, run: RunId) -> Vec<Decision> {
        self.rows.iter().map(|row| self.unpack(run, row)).collect()
    }

    fn unpack(&self, run: RunId, row: &PackedDecision) -> Decision {
        let words = &self.words[row.words as usize];
        Decision {
            id: row.id,
            run,
            step: row.unit.step,
            item: row.unit.item(),
            verdict: words.verdict.clone(),
            policy: words.policy.clone(),
            rule: words.rule.clone(),
            reason: words.reason.clone(),
            input: row.input,
            at: row.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a step costs here: two events, a row, a decision, a commit. The whole of core may take 1 KiB for a step.
    #[test]
    fn a_step_takes_little_memory() {
        let sizes = 2 * size_of::<Event>()
            + size_of::<Option<PackedStep>>()
            + size_of::<PackedDecision>()
            + size_of::<Written>();
        assert!(sizes <= 512, "{sizes} bytes");
    }
}
