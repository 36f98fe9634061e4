//! Starting the runs of one schedule.

use std::sync::Arc;

use serde_json::Value;

use super::stored::StoredSchedule;
use crate::engine::error::{CommandError, StartError};
use crate::engine::family::registered_workflow;
use crate::engine::shared::Shared;
use crate::engine::start::StartRun;
use crate::id::RunId;
use crate::machine::{Asked, Command};
use crate::port::store::{DocumentRow, Put, StoreError};
use crate::schedule::{Cron, Failing, GRACE, Overlap, due};
use crate::spec::inputs::Given;
use crate::spec::{Diagnostics, ParseOptions, Workflow, parse_with};
use crate::time::Timestamp;

/// The labels of runs that schedules have started: by which of them, and for which time.
const SCHEDULE: &str = "schedule";
const TIME: &str = "scheduled_at";

/// What became of one of its times.
enum Fired {
    Run(RunId),
    /// The last run has not ended.
    Overlaps,
    /// No engine can start it.
    Failed(String),
    /// This engine cannot, and another may.
    NotHere,
}

impl Shared {
    /// Starts a run for each time of a schedule that is due, then moves it on. `false` if it is left as it is, for others.
    pub(super) async fn fire(
        self: &Arc<Self>,
        row: &DocumentRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(first) = row.due_at else { return Ok(true) };
        let mut stored = match StoredSchedule::read(row) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::debug!(%error, "leaving a schedule to an engine that can read it");
                return Ok(false);
            }
        };
        let cron = match Cron::parse(&stored.schedule.cron, &stored.schedule.zone) {
            Ok(cron) => cron,
            Err(fault) => {
                stored.next = None;
                stored.fails(first, fault.to_string());
                return self.move_on(&stored, now).await;
            }
        };
        let window = stored.schedule.window();
        let due = due(|at| cron.next_after(at), first, now, stored.schedule.missed, window);
        stored.past.last_missed = stored.past.last_missed.max(due.missed);
        stored.next = due.next;
        for fire in due.fires {
            match self.start_for(&stored, fire).await? {
                Fired::Run(run) => stored.fired(fire, run),
                Fired::Overlaps => stored.past.last_missed = stored.past.last_missed.max(Some(fire)),
                Fired::NotHere if now.since(fire) < GRACE => return Ok(false),
                Fired::NotHere => stored.fails(fire, "no engine has a plugin that its workflow needs".into()),
                Fired::Failed(why) => stored.fails(fire, why),
            }
        }
        self.move_on(&stored, now).await
    }

    /// Writes down what has become of a schedule. If somebody else was faster, that stands.
    async fn move_on(&self, stored: &StoredSchedule, now: Timestamp) -> Result<bool, StoreError> {
        if let Put::Stale(_) = self.store.put_document(stored.put(now)).await? {
            tracing::debug!(schedule = &*stored.name, "somebody else has moved a schedule on");
        }
        Ok(true)
    }

    async fn start_for(
        self: &Arc<Self>,
        stored: &StoredSchedule,
        fire: Timestamp,
    ) -> Result<Fired, StoreError> {
        if stored.schedule.overlap == Overlap::Skip
            && let Some(last) = stored.past.last_run
            && self.store.run(last).await?.is_some_and(|row| row.finished_at.is_none())
        {
            return Ok(Fired::Overlaps);
        }
        let workflow = match self.registered(&stored.project, &stored.schedule.workflow).await? {
            None => {
                let name = &stored.schedule.workflow;
                return Ok(Fired::Failed(format!("there is no registered workflow `{name}`")));
            }
            Some(Ok(workflow)) => workflow,
            Some(Err(problems)) if problems.0.iter().any(|problem| problem.code == "unknown_plugin") => {
                return Ok(Fired::NotHere);
            }
            Some(Err(problems)) => return Ok(Fired::Failed(first_of(&problems))),
        };
        match self.enqueue(start_of(stored, workflow, fire)).await {
            Ok(run) | Err(StartError::KeyReused { run }) => {
                if stored.schedule.overlap == Overlap::CancelOldest {
                    self.give_way(stored, run).await?;
                }
                Ok(Fired::Run(run))
            }
            Err(StartError::Store(error)) => Err(error),
            Err(StartError::Inputs(problems)) => {
                Ok(Fired::Failed(format!("the inputs do not fit the workflow: {}", first_of(&problems))))
            }
            Err(error) => Ok(Fired::Failed(error.to_string())),
        }
    }

    /// Cancels the last run of a schedule, unless it has ended: not before there is another. Whoever is killed in between leaves
    /// the schedule where it was, and another does both.
    async fn give_way(&self, stored: &StoredSchedule, to: RunId) -> Result<(), StoreError> {
        let Some(last) = stored.past.last_run.filter(|last| *last != to) else { return Ok(()) };
        let reason = format!("its schedule has started {to}, and says `overlap: cancel_oldest`");
        let asked = Asked { by: by(&stored.name).into(), reason: Some(reason.into()) };
        match self.say(last, Command::Cancel(asked)).await {
            Err(CommandError::Store(error)) => Err(error),
            Err(CommandError::Contended) => Err(StoreError::Busy),
            // Or it has ended, or is being cancelled, or nobody keeps it any more.
            _ => Ok(()),
        }
    }

    /// The latest revision of a registered workflow, as it reads here; `None` if there is none.
    async fn registered(
        &self,
        project: &str,
        name: &str,
    ) -> Result<Option<Result<Workflow, Diagnostics>>, StoreError> {
        let Some(row) = registered_workflow(&*self.store, project, name).await? else { return Ok(None) };
        let Some(text) = self.store.revision(row.latest.revision).await? else { return Ok(None) };
        let options = ParseOptions::default().default_name(name);
        Ok(Some(parse_with(&text, &*self.registry, &options).map(|parsed| {
            // Whatever its own `name` says.
            Workflow { name: name.into(), ..parsed.workflow }
        })))
    }
}

impl StoredSchedule {
    fn fired(&mut self, fire: Timestamp, run: RunId) {
        self.past.last_fire = Some(fire);
        self.past.last_run = Some(run);
        self.past.last_error = None;
    }

    fn fails(&mut self, fire: Timestamp, message: String) {
        tracing::warn!(schedule = &*self.name, %fire, why = message, "no run was started");
        self.past.last_missed = self.past.last_missed.max(Some(fire));
        self.past.last_error = Some(Failing { fire, message });
    }

    /// The key under which the run of a time is started, once.
    fn key(&self, fire: Timestamp) -> String {
        format!("schedule:{}:{fire}", self.id)
    }
}

/// Who starts and cancels runs, in their logs.
fn by(schedule: &str) -> String {
    format!("schedule/{schedule}")
}

fn start_of(stored: &StoredSchedule, workflow: Workflow, fire: Timestamp) -> StartRun {
    let inputs = stored.schedule.inputs.iter();
    let time = stored.schedule.time_input.clone().map(|name| (name, Value::from(fire.to_string())));
    let given = inputs.map(|(name, value)| (name.clone(), value.clone())).chain(time);
    StartRun::new(workflow)
        .inputs(given.map(|(name, value)| (name, Given::Value(value))))
        .project(stored.project.clone())
        .label(SCHEDULE, &*stored.name)
        .label(TIME, fire.to_string())
        .by(by(&stored.name))
        .idempotency_key(stored.key(fire))
}

/// What is wrong first, and how much else.
fn first_of(problems: &Diagnostics) -> String {
    match problems.0.as_slice() {
        [] => "it cannot be read".to_owned(),
        [only] => only.to_string(),
        [first, others @ ..] => format!("{first}, and {} more", others.len()),
    }
}
