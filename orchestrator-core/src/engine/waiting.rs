//! What a run waits for, as it is told.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::engine::queues::PausedQueue;
use crate::engine::waits::{Cause, Waits};
use crate::id::{RunId, Unit};
use crate::machine::{Spot, StepError, WaitOn, rate_of};
use crate::port::store::{ApprovalRow, HoldRow, KeyQuery, RunRow, StepRow, Store, StoreError, unit_name};
use crate::spec::{Paths, Placement, StepSpec, Workflow, duration};
use crate::time::Timestamp;
use crate::value::Digest;

/// The most holders of a key that are named.
const NAMED: usize = 3;

/// The most holders of a workspace that are looked at.
const LOCKS: usize = 1024;

/// Of how many keys the holders are named.
const KEYS: usize = 16;

/// Something a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Waiting {
    /// The run to which the step belongs: this one, or one below it that carries out a step of it.
    pub run: RunId,
    /// The step that waits; `None` if it is the run itself: for its place under the key of its workflow.
    pub step: Option<Arc<str>>,
    /// Which item of it, if it has items.
    pub item: Option<u32>,
    /// Its position.
    #[serde(skip)]
    pub ix: Unit,
    /// How many attempts of it have begun.
    #[serde(skip)]
    pub attempt: u32,
    /// `approval`, `qa`, `signal`, `timer`, `backoff`, `child`, `worker`, `task`, `queue`, `concurrency`, `rate`, `paths`,
    /// `outcome_unknown` or `quarantine`.
    pub kind: &'static str,
    /// The name of the signal that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Arc<str>>,
    /// What is asked or known, for people.
    pub message: String,
    /// What the decider of an approval, or the judge, is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show: Option<Value>,
    /// Digest of what is decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When waiting ends by itself.
    pub until: Option<Timestamp>,
    /// The key of `concurrency` under which it waits for a place, that of the `rate` under which it waits for its turn, or `paths:`
    /// and the name of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The paths that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Arc<Paths>>,
    /// Who holds places under that key, or paths that are in the way, those that have longest first; not all, if many do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<Holder>,
    /// Why the last attempt has failed, where another one is to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// Where it is to be executed, where it waits for a worker or for the end of a pause.
    #[serde(skip)]
    pub placement: Option<Arc<Placement>>,
    /// The pause that it waits for the end of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedQueue>,
}

/// Who holds a place under a key, or paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// The step of it, as it is called; its number, where its workflow cannot be read. `None` if the run itself holds the place.
    pub step: Option<Arc<str>>,
    /// Which item of it, if it has items.
    pub item: Option<u32>,
    /// Since when.
    pub since: Timestamp,
}

impl Waiting {
    /// What it is called where a step is named: `review`, `review[3]`; the run itself is `the run`.
    #[must_use]
    pub fn name(&self) -> String {
        self.step.as_ref().map_or_else(|| "the run".to_owned(), |step| unit_name(step, self.item))
    }

    /// Whether only a person can end it.
    #[must_use]
    pub fn needs_someone(&self) -> bool {
        matches!(
            self.kind,
            "approval" | "qa" | "signal" | "worker" | "task" | "queue" | "outcome_unknown" | "quarantine"
        )
    }
}

impl Holder {
    /// What its step is called: `build`, `build[3]`; `None` if the run itself holds the place.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.step.as_ref().map(|step| unit_name(step, self.item))
    }

    /// `build of run_…`, or the run.
    fn told(&self) -> String {
        self.name().map_or_else(|| self.run.to_string(), |name| format!("{name} of {}", self.run))
    }

    pub(crate) fn new(row: &HoldRow, workflow: Option<&Workflow>) -> Self {
        let step = workflow.and_then(|workflow| workflow.steps.get(row.step.index()));
        let step = step.map_or_else(|| row.step.0.to_string().into(), |step| step.name.clone());
        let of_run = Unit::new(row.step, row.item) == Unit::RUN;
        Self { run: row.run, step: (!of_run).then_some(step), item: row.item, since: row.since }
    }
}

/// Who holds the places and the paths that these wait for.
pub(crate) async fn holders(
    store: &dyn Store,
    row: &RunRow,
    waiting_for: &[Waiting],
) -> Result<HashMap<Spot, Vec<HoldRow>>, StoreError> {
    let mut holders = HashMap::new();
    for spot in waiting_for.iter().filter(|waiting| waiting.run == row.run).filter_map(Waiting::spot) {
        if !holders.contains_key(&spot) && holders.len() < KEYS {
            // Of those that hold paths, not all are in the way.
            let limit = if spot.paths.is_some() { LOCKS } else { NAMED + 1 };
            let (project, key) = (Some(row.new.project.clone()), Some(spot.key.clone()));
            let mut rows = store.holds(KeyQuery { project, key, limit, ..KeyQuery::default() }).await?;
            if let Some(paths) = &spot.paths {
                rows.retain(|row| row.paths.as_ref().is_some_and(|held| held.clashes(paths)));
            }
            holders.insert(spot, rows);
        }
    }
    Ok(holders)
}

impl Waiting {
    /// What the run itself waits for, before anything of it begins: its place.
    pub(crate) fn of_run(run: RunId, waits: &Waits) -> Option<Self> {
        let Some(Cause::Parked(hold)) = waits.get(&Unit::RUN) else { return None };
        let waiting = Self::new(run, None, Unit::RUN, "concurrency", "waits for a place".to_owned());
        Some(Self { key: Some(hold.key.clone()), ..waiting })
    }

    /// That a step or item waits, or the run itself: nothing more is known of it.
    pub(crate) fn new(
        run: RunId,
        step: Option<Arc<str>>,
        ix: Unit,
        kind: &'static str,
        message: String,
    ) -> Self {
        Self {
            run,
            item: ix.item(),
            step,
            ix,
            attempt: 0,
            kind,
            signal: None,
            message,
            show: None,
            digest: None,
            until: None,
            key: None,
            paths: None,
            held_by: Vec::new(),
            error: None,
            placement: None,
            paused: None,
        }
    }

    /// Where it stands in the line of what others hold, if it does.
    pub(crate) fn spot(&self) -> Option<Spot> {
        let key = self.key.clone().filter(|_| self.kind != "rate");
        Some(Spot { key: key?, paths: self.paths.clone() })
    }

    /// Says who holds what it waits for.
    pub(crate) fn tell_holders(&mut self, mut holders: Vec<Holder>) {
        let Some(wanted) = self.spot() else { return };
        let more = holders.len() > NAMED;
        holders.truncate(NAMED);
        let named: Vec<String> = holders.iter().map(Holder::told).collect();
        self.message = match (named.as_slice(), more) {
            ([], _) => format!("waits for {wanted}"),
            (named, false) => format!("waits for {wanted}, held by {}", named.join(" and ")),
            (named, true) => format!("waits for {wanted}, held by {} and others", named.join(", ")),
        };
        self.held_by = holders;
    }
}

pub(crate) fn unit_of(approval: &ApprovalRow) -> Unit {
    Unit::new(approval.step, approval.item)
}

/// What a step's row says it waits for.
pub(crate) fn waiting(
    run: RunId,
    row: &StepRow,
    workflow: &Workflow,
    approvals: &[ApprovalRow],
    waits: &Waits,
) -> Option<Waiting> {
    let unit = Unit::new(row.step, row.item);
    let is_task = workflow.steps.get(row.step.index()).is_some_and(StepSpec::is_task);
    let approval = approvals.iter().find(|approval| unit_of(approval) == unit);
    let mut signal = None;
    let judged = match waits.get(&unit) {
        Some(Cause::On(WaitOn::Qa { message, digest, .. })) if row.status == "needs_qa" => {
            Some((message, *digest))
        }
        _ => None,
    };
    let parked = match waits.get(&unit) {
        Some(Cause::Parked(hold)) if row.status == "queued" => Some(hold),
        _ => None,
    };
    let rate = parked.and_then(|hold| rate_of(&hold.key));
    let (kind, message) = match row.status {
        "waiting" => match (approval, waits.get(&unit)) {
            (Some(approval), _) => ("approval", approval.message.to_string()),
            (None, Some(Cause::On(WaitOn::Signal { name }))) => {
                signal = Some(name.clone());
                ("signal", format!("waits for the signal `{name}`"))
            }
            (None, _) => ("timer", "sleeps".to_owned()),
        },
        "needs_qa" => ("qa", judged.map_or_else(String::new, |(message, _)| message.to_string())),
        "queued" if parked.is_some_and(|hold| hold.claim.paths().is_some()) => {
            ("paths", "waits for paths".to_owned())
        }
        "queued" if let (Some(hold), Some((per, name))) = (parked, rate) => {
            let (limit, per) = (hold.limit(), duration::print(per));
            ("rate", format!("waits for its turn: no more than {limit} may begin under `{name}` in {per}"))
        }
        "queued" if parked.is_some() => ("concurrency", "waits for a place".to_owned()),
        "queued" if row.due_at.is_some() => ("backoff", format!("waits before attempt {}", row.attempts + 1)),
        "queued" if is_task => ("task", "waits for somebody who claims it".to_owned()),
        "outcome_unknown" => {
            ("outcome_unknown", format!("nobody knows whether attempt {} has had its effect", row.attempts))
        }
        "blocked" => ("quarantine", format!("its executor died {} times", row.attempts)),
        _ => return None,
    };
    Some(Waiting {
        attempt: row.attempts,
        signal,
        digest: approval.map(|approval| approval.digest).or(judged.map(|(_, digest)| digest)),
        until: row.due_at,
        key: parked.map(|hold| rate.map_or_else(|| hold.key.clone(), |(_, name)| name.into())),
        paths: parked.and_then(|hold| hold.claim.paths().cloned()),
        error: match waits.get(&unit) {
            Some(Cause::Failed(error)) if kind == "backoff" => Some(error.clone()),
            _ => None,
        },
        ..Waiting::new(run, Some(row.name.clone()), unit, kind, message)
    })
}
