//! The stable JSON shape of schedules. Keys may be added.

use std::collections::BTreeMap;

use orchestrator_core::engine::StoredSchedule;
use orchestrator_core::id::RunId;
use orchestrator_core::schedule::{Failing, Missed, Overlap};
use orchestrator_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::span::millis;

/// A schedule.
#[derive(Debug, Serialize)]
pub(crate) struct ScheduleItem<'a> {
    schedule: &'a str,
    project: &'a str,
    /// `active`, `paused`, `failing` (the last run could not be started) or `over` (no time ever comes).
    pub(crate) status: &'static str,
    workflow: &'a str,
    cron: &'a str,
    zone: &'a str,
    inputs: &'a BTreeMap<String, Value>,
    time_input: Option<&'a str>,
    missed: Missed,
    overlap: Overlap,
    window_ms: Option<u64>,
    next_at: Option<Timestamp>,
    last_fire: Option<Timestamp>,
    last_run: Option<RunId>,
    last_missed: Option<Timestamp>,
    last_error: Option<&'a Failing>,
    /// Whether it stands in the text of its workflow.
    of_text: bool,
    by: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> From<&'a StoredSchedule> for ScheduleItem<'a> {
    fn from(stored: &'a StoredSchedule) -> Self {
        let (schedule, past) = (&stored.schedule, &stored.past);
        Self {
            schedule: &stored.name,
            project: &stored.project,
            status: status(stored),
            workflow: &schedule.workflow,
            cron: &schedule.cron,
            zone: &schedule.zone,
            inputs: &schedule.inputs,
            time_input: schedule.time_input.as_deref(),
            missed: schedule.missed,
            overlap: schedule.overlap,
            window_ms: schedule.window().map(millis),
            next_at: stored.next,
            last_fire: past.last_fire,
            last_run: past.last_run,
            last_missed: past.last_missed,
            last_error: past.last_error.as_ref(),
            of_text: schedule.of_text,
            by: &schedule.by,
            created_at: schedule.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// How it stands, in a word.
pub(crate) fn status(stored: &StoredSchedule) -> &'static str {
    match (stored.paused, &stored.past.last_error, stored.next) {
        (true, _, _) => "paused",
        (false, Some(_), _) => "failing",
        (false, None, None) => "over",
        (false, None, Some(_)) => "active",
    }
}
