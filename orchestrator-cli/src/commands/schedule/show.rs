//! `schedule show` and `schedule next`.

use orchestrator_core::engine::StoredSchedule;
use orchestrator_core::schedule::{Missed, Overlap};
use orchestrator_core::time::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::schedule::create::invalid_cron;
use crate::commands::schedule::named;
use crate::exit::Exit;
use crate::output::scheduled::{ScheduleItem, status};
use crate::output::{Problem, block, escape, moment};

/// How many of its next times are shown beside a schedule.
const SHOWN: usize = 3;

pub(crate) async fn carry_out(app: &App, name: &str) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let stored = named::schedule(&store, name, &app.shell).await?;
    let now = store.now().await?;
    // What cannot be reckoned any more is told by its last error.
    let times = if stored.paused { Vec::new() } else { stored.times(now, SHOWN).unwrap_or_default() };
    if app.output.json().is_some() {
        let mut object = serde_json::to_value(ScheduleItem::from(&stored)).unwrap_or_default();
        object["next_times"] = json!(times);
        app.output.print_json(&object)?;
        return Ok(Exit::Ok);
    }
    app.output.print(&block::values(&facts(&stored, &times, now), app.output.out()))?;
    if let Some(run) = stored.past.last_run {
        app.output.note(&format!("\n{}", app.shell.runs("show", run)));
    }
    Ok(Exit::Ok)
}

/// What is shown to people, in order.
fn facts(stored: &StoredSchedule, times: &[Timestamp], now: Timestamp) -> Value {
    let (schedule, past) = (&stored.schedule, &stored.past);
    let at = |at: Timestamp| format!("{at} ({})", moment::relative(at, now));
    let mut facts = serde_json::Map::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), Value::from(value));
        }
    };
    say("schedule", Some(escape::line(&stored.name).into_owned()));
    say("status", Some(status(stored).to_owned()));
    say("workflow", Some(escape::line(&schedule.workflow).into_owned()));
    say("cron", Some(format!("{} ({})", schedule.cron, schedule.zone)));
    say("inputs", (!schedule.inputs.is_empty()).then(|| json!(schedule.inputs).to_string()));
    say("time input", schedule.time_input.clone());
    let window = schedule.window().map(|window| format!(", {} back", moment::duration(window)));
    let missed = match schedule.missed {
        Missed::Skip => "skip",
        Missed::RunOnce => "run_once",
        Missed::RunAll => "run_all",
    };
    say("missed", Some(format!("{missed}{}", window.unwrap_or_default())));
    say("overlap", (schedule.overlap == Overlap::Skip).then(|| "skip".to_owned()));
    let next: Vec<String> = times.iter().copied().map(at).collect();
    say("next", (!next.is_empty()).then(|| next.join("\n")));
    say("last run", past.last_fire.map(at));
    say("last missed", past.last_missed.map(at));
    say("error", past.last_error.as_ref().map(|failing| format!("{}: {}", failing.fire, failing.message)));
    let origin = if schedule.of_text { ", in the text of the workflow" } else { "" };
    say("by", Some(format!("{}{origin}", escape::line(&schedule.by))));
    Value::Object(facts)
}

pub(crate) async fn next(app: &App, name: &str, count: usize) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let stored = named::schedule(&store, name, &app.shell).await?;
    let now = store.now().await?;
    let times = stored.times(now, count).map_err(|fault| invalid_cron(&fault))?;
    if app.output.json().is_some() {
        app.output
            .print_json(&json!({ "schedule": stored.name, "paused": stored.paused, "items": times }))?;
        return Ok(Exit::Ok);
    }
    if stored.paused {
        app.output.note("it is paused; these times it would have");
    }
    let lines: Vec<String> = times.iter().map(|at| format!("{at}  {}", moment::relative(*at, now))).collect();
    app.output.print(&lines.join("\n"))?;
    Ok(Exit::Ok)
}
