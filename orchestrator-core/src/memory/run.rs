//! A run as it is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::id::{RunId, Unit};
use crate::memory::compact::{Decisions, EventLog, StepTable};
use crate::port::store::{ApprovalRow, LogLine, LogQuery, NewRun, NumberedLine, RunQuery, RunRow, Summary};
use crate::time::Timestamp;
use crate::value::Digest;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) row: RunRow,
    pub(super) log: EventLog,
    pub(super) steps: StepTable,
    pub(super) decisions: Decisions,
    pub(super) values: HashMap<Digest, Arc<str>>,
    pub(super) approvals: BTreeMap<(Unit, u32), ApprovalRow>,
    pub(super) lines: Vec<LogLine>,
}

impl Run {
    pub(super) fn new(run: RunId, mut new: NewRun, at: Timestamp) -> Self {
        new.text = Arc::from("");
        let row = RunRow {
            run,
            new,
            status: Arc::from(""),
            intent: crate::machine::Intent::Proceed,
            seq: 0,
            generation: 1,
            driver: None,
            driver_epoch: 0,
            due_at: None,
            created_at: at,
            updated_at: at,
            started_at: None,
            finished_at: None,
            outputs: None,
            error: None,
            done: 0,
        };
        Self {
            row,
            log: EventLog::default(),
            steps: StepTable::default(),
            decisions: Decisions::default(),
            values: HashMap::new(),
            approvals: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn summarize(&mut self, summary: Summary) {
        let row = &mut self.row;
        if *row.status != *summary.status {
            row.status = Arc::from(summary.status);
        }
        row.intent = summary.intent;
        row.generation = summary.generation;
        row.driver = summary.driver;
        row.driver_epoch = summary.driver_epoch;
        row.due_at = summary.due_at;
        row.started_at = summary.started_at;
        row.finished_at = summary.finished_at;
        row.outputs = summary.outputs;
        row.error = summary.error;
        row.done = summary.done;
    }

    /// The lines that a query asks for.
    pub(super) fn lines(&self, query: &LogQuery) -> Vec<NumberedLine> {
        let lines = (1u64..).zip(&self.lines).filter(|(number, line)| {
            *number > query.after
                && query.step.is_none_or(|unit| {
                    line.step == unit.step && unit.item().is_none_or(|item| line.item == Some(item))
                })
        });
        let mut found: Vec<(u64, &LogLine)> = lines.collect();
        if query.tail {
            found.drain(..found.len().saturating_sub(query.limit));
        }
        found.truncate(query.limit);
        found.into_iter().map(|(number, line)| NumberedLine { number, line: line.clone() }).collect()
    }

    pub(super) fn matches(&self, query: &RunQuery) -> bool {
        let row = &self.row;
        query.project.as_deref().is_none_or(|project| *row.new.project == *project)
            && query.workflow.as_deref().is_none_or(|workflow| *row.new.workflow == *workflow)
            && (query.statuses.is_empty() || query.statuses.iter().any(|status| **status == *row.status))
            && (!query.open || row.finished_at.is_none())
            && (!query.top || row.new.parent.is_none())
            && query.parent.is_none_or(|run| row.new.parent.is_some_and(|parent| parent.run == run))
    }
}
