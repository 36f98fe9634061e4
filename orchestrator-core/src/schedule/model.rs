//! What a schedule says, and what has become of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::RunId;
use crate::time::Timestamp;

/// The kind of documents that are schedules.
pub const KIND: &str = "schedule";

/// The longest name that somebody may give a schedule, in characters.
pub const MAX_SCHEDULE_NAME: usize = 100;

/// What becomes of times at which nobody was there to start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One run for all of them: that of the latest, unless one is on time.
    #[default]
    RunOnce,
    /// A run for each, at most [`CATCH_UP`](super::CATCH_UP).
    RunAll,
}

/// What happens at a time when the last run of the schedule has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// A run is started beside it.
    #[default]
    Allow,
    /// No run is started: the time counts as missed.
    Skip,
    /// A run is started, and the last one is cancelled.
    CancelOldest,
}

/// What a schedule says: the body of its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The registered workflow that is started; its latest revision at that time.
    pub workflow: Arc<str>,
    /// The cron expression.
    pub cron: String,
    /// The time zone.
    pub zone: String,
    /// What the runs are given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Value>,
    /// The input that is given the time for which the run is started, as RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_input: Option<String>,
    /// What becomes of missed times.
    #[serde(default)]
    pub missed: Missed,
    /// What happens if the last run has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// How far back missed times are made up for, in milliseconds; without it, as far as there are any.
    #[serde(default, rename = "window_ms", skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<u64>,
    /// Who has made it.
    pub by: Arc<str>,
    /// When.
    pub created_at: Timestamp,
    /// Whether it stands in the text of the workflow, and changes with that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_text: bool,
}

impl Schedule {
    /// A schedule with the default policies, without inputs.
    #[must_use]
    pub fn new(workflow: impl Into<Arc<str>>, cron: impl Into<String>, zone: impl Into<String>) -> Self {
        Self {
            workflow: workflow.into(),
            cron: cron.into(),
            zone: zone.into(),
            inputs: BTreeMap::new(),
            time_input: None,
            missed: Missed::default(),
            overlap: Overlap::default(),
            window: None,
            by: "host".into(),
            created_at: Timestamp::default(),
            of_text: false,
        }
    }

    /// How far back missed times are made up for.
    #[must_use]
    pub const fn window(&self) -> Option<Duration> {
        match self.window {
            Some(millis) => Some(Duration::from_millis(millis)),
            None => None,
        }
    }

    /// Makes up for missed times only so far back.
    pub fn set_window(&mut self, window: Option<Duration>) {
        self.window = window.map(|window| u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
    }
}

/// What has become of a schedule so far: the state of its document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// The last time for which a run was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fire: Option<Timestamp>,
    /// That run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// The last time for which none was started, though one was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_missed: Option<Timestamp>,
    /// Why no run could be started, the last time that one was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Failing>,
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// For which time.
    pub fire: Timestamp,
    /// What is wrong.
    pub message: String,
}

/// Whether somebody may call a schedule so: letters, digits, `_`, `-`, `.` and single inner spaces.
#[must_use]
pub fn is_schedule_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    (1..=MAX_SCHEDULE_NAME).contains(&name.chars().count())
        && name.chars().all(is_allowed)
        && name.trim() == name
        && !name.contains("  ")
}

/// What a schedule is called that stands in the text of a workflow: nobody else may call one so.
#[must_use]
pub fn name_in_text(workflow: &str, number: usize) -> String {
    format!("{workflow}/{number}")
}
