//! What an open run waits for, and the one command that moves it.

use std::sync::Arc;

use orchestrator_core::engine::{RunReport, Waiting};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::Intent;
use orchestrator_core::port::store::{OwnerRow, RunRow, Store, StoreError};
use orchestrator_core::time::Timestamp;
use serde::Serialize;

use crate::folder;
use crate::output::{block, moment};
use crate::shell::{Shell, quoted};

/// What an open run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Situation {
    /// `driven`, `claimed`, `approval`, `qa`, `signal`, `worker`, `task`, `queue`, `outcome_unknown`, `quarantine`, `paused`, `cancelling`, `timer` or `undriven`.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) text: String,
    /// The command that moves it; for a run that moves by itself, the one that watches it.
    pub(crate) command: String,
    /// Whether it stands still until somebody does something.
    pub(crate) needs_someone: bool,
}

/// The one who drives a run, if that one is alive.
pub(crate) async fn driver(
    store: &Arc<dyn Store>,
    row: &RunRow,
    now: Timestamp,
) -> Result<Option<OwnerRow>, StoreError> {
    let Some(driver) = row.driver else { return Ok(None) };
    Ok(store.owner(driver).await?.filter(|owner| !owner.dead && owner.deadline > now))
}

/// What an open run waits for; `None` if it has ended.
pub(crate) fn of(
    row: &RunRow,
    driver: Option<&OwnerRow>,
    report: &RunReport,
    now: Timestamp,
    shell: &Shell,
) -> Option<Situation> {
    if report.has_ended() {
        return None;
    }
    let run = row.run;
    let put_off = report.not_before.filter(|due| *due > now);
    let situation =
        |kind, text: String, command, needs_someone| Some(Situation { kind, text, command, needs_someone });
    if row.intent == Intent::Cancel {
        return Some(being_cancelled(run, driver, shell));
    }
    if row.intent == Intent::Pause {
        return situation("paused", "is paused".to_owned(), shell.runs("resume", run), true);
    }
    if report.status == "blocked"
        && let Some(waiting) = report.waiting_for.iter().find(|waiting| waiting.needs_someone())
    {
        return Some(waits_for_someone(waiting, shell));
    }
    // Nothing of it is executed, and nothing else is known of why.
    let is_held = |waiting: &&Waiting| waiting.kind == "queue";
    if report.waiting_for.iter().all(Waiting::needs_someone)
        && !report.steps.iter().any(|step| matches!(step.status, "running" | "claimed"))
        && let Some(waiting) = report.waiting_for.iter().find(is_held)
    {
        return Some(waits_for_someone(waiting, shell));
    }
    if let Some(owner) = driver {
        let text = match put_off {
            Some(due) => {
                format!("is to begin {}, and is driven by {}", moment::relative(due, now), owner.label)
            }
            None => {
                format!("is being driven by {} ({} of {} steps done)", owner.label, row.done, row.new.steps)
            }
        };
        let text = text + &held_up(report);
        return situation("driven", text, shell.runs("wait", run), false);
    }
    if let Some(due) = put_off.filter(|_| !row.new.labels.contains_key(folder::LABEL)) {
        let when = moment::relative(due, now);
        let text = format!("is to begin {when}, if somebody works for the store then");
        return situation("timer", text, shell.command("worker"), true);
    }
    if let Some(text) = executed_elsewhere(row, report) {
        return situation("claimed", text, shell.runs("wait", run), false);
    }
    match row.due_at.filter(|due| *due > now) {
        Some(due) => {
            let what = if put_off.is_some() { "is to begin" } else { "has something due" };
            let text = format!("{what} {}, and nobody drives it", moment::relative(due, now));
            let text = text + &held_up(report);
            situation("timer", text, shell.runs("resume", run), true)
        }
        None => situation(
            "undriven",
            format!("could go on, but nobody drives it{}", held_up(report)),
            shell.runs("resume", run),
            true,
        ),
    }
}

fn being_cancelled(run: RunId, driver: Option<&OwnerRow>, shell: &Shell) -> Situation {
    match driver {
        Some(owner) => Situation {
            kind: "driven",
            text: format!("is being cancelled by {}", owner.label),
            command: shell.runs("wait", run),
            needs_someone: false,
        },
        None => Situation {
            kind: "cancelling",
            text: "is being cancelled, and nobody drives it".to_owned(),
            command: shell.runs("resume", run),
            needs_someone: true,
        },
    }
}

/// Of a run that has nothing due: what of it others execute. What that comes to makes the run due.
fn executed_elsewhere(row: &RunRow, report: &RunReport) -> Option<String> {
    let claimed = report.steps.iter().find(|step| step.status == "claimed" && row.due_at.is_none())?;
    Some(format!("waits for the end of {}, which somebody has claimed", claimed.name()))
}

/// What keeps a run from getting on, if a step is to be tried again: a host that is left alone, for one.
fn held_up(report: &RunReport) -> String {
    let waiting = report.waiting_for.iter().find(|waiting| {
        matches!(waiting.kind, "backoff" | "worker" | "queue" | "concurrency" | "rate" | "paths")
    });
    let told = |waiting: &Waiting| {
        let error = waiting.error.as_ref().map(|error| format!(": {}", block::first_line(&error.message)));
        format!("; {} {}{}", waiting.name(), waiting.message, error.unwrap_or_default())
    };
    waiting.map(told).unwrap_or_default()
}

fn waits_for_someone(waiting: &Waiting, shell: &Shell) -> Situation {
    let (run, step) = (waiting.run, &*waiting.name());
    let named = quoted(step);
    let message = block::first_line(&waiting.message);
    let (kind, text, command) = match waiting.kind {
        "approval" => (
            "approval",
            format!("{step} waits for approval: {message}"),
            shell.approval("approve", run, step),
        ),
        "qa" => ("qa", format!("{step} needs QA: {message}"), qa(waiting, run, "--pass", shell)),
        "signal" => ("signal", format!("{step} {message}"), signal(waiting, run, shell)),
        "worker" => ("worker", format!("{step} {message}"), worker(waiting, shell)),
        "task" => ("task", format!("{step} {message}"), claim(run, shell)),
        "queue" => ("queue", format!("{step} {message}"), resume(waiting, shell)),
        kind => {
            let kind = if kind == "quarantine" { "quarantine" } else { "outcome_unknown" };
            let command = shell.command(&format!("runs resolve {run} {named} --not-applied"));
            (kind, format!("{step}: {message}"), command)
        }
    };
    Situation { kind, text, command, needs_someone: true }
}

/// `orchestrator runs qa RUN STEP VERDICT`.
fn qa(waiting: &Waiting, run: RunId, verdict: &str, shell: &Shell) -> String {
    shell.command(&format!("runs qa {run} {} {verdict}", quoted(&waiting.name())))
}

/// `orchestrator runs signal RUN NAME`.
fn signal(waiting: &Waiting, run: RunId, shell: &Shell) -> String {
    let name = waiting.signal.as_deref().unwrap_or_default();
    shell.command(&format!("runs signal {run} {}", quoted(name)))
}

/// `orchestrator worker --queue QUEUE --label NAME=VALUE`.
fn worker(waiting: &Waiting, shell: &Shell) -> String {
    let mut words = String::from("worker");
    if let Some(placement) = &waiting.placement {
        words.push_str(&format!(" --queue {}", quoted(&placement.queue)));
        for (name, value) in &placement.labels {
            words.push_str(&format!(" --label {}", quoted(&format!("{name}={value}"))));
        }
    }
    shell.command(&words)
}

/// `orchestrator task claim RUN`.
fn claim(run: RunId, shell: &Shell) -> String {
    shell.command(&format!("task claim {run}"))
}

/// What ends the pause that it waits for the end of.
fn resume(waiting: &Waiting, shell: &Shell) -> String {
    let queue = waiting.paused.as_ref().map(|paused| &*paused.queue).unwrap_or_default();
    shell.resume_queue(queue)
}

/// The commands that answer a waiting step, each with what it says.
pub(crate) fn answers(waiting: &Waiting, shell: &Shell) -> Vec<(&'static str, String)> {
    let (run, step) = (waiting.run, &*waiting.name());
    let named = quoted(step);
    match waiting.kind {
        "approval" => vec![
            ("approve", shell.approval("approve", run, step)),
            ("reject", shell.approval("reject", run, step)),
        ],
        "qa" => {
            vec![("pass", qa(waiting, run, "--pass", shell)), ("fail", qa(waiting, run, "--fail", shell))]
        }
        "signal" => vec![("signal", signal(waiting, run, shell))],
        "worker" => vec![("worker", worker(waiting, shell))],
        "task" => vec![("claim", claim(run, shell))],
        "queue" => vec![("resume", resume(waiting, shell))],
        "outcome_unknown" | "quarantine" => vec![
            ("it has happened", shell.command(&format!("runs resolve {run} {named} --applied"))),
            ("it has not", shell.command(&format!("runs resolve {run} {named} --not-applied"))),
        ],
        _ => Vec::new(),
    }
}
