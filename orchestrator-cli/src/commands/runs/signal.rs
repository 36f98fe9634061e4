//! `runs signal`: word from outside, for a step that waits for it.

use std::path::Path;

use orchestrator_core::engine::{CommandError, Engine};
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::machine::{Arrival, Event, Rejection};
use orchestrator_core::port::store::EventsAfter;
use serde_json::{Value, json};

use crate::app::{App, no_run};
use crate::args::Signal;
use crate::commands::runs::steer::{finish, next_command, prepare, refused};
use crate::exit::Exit;
use crate::names::Names;
use crate::output::{Problem, escape, suggest};
use crate::source;

/// The longest data that is read, in bytes: what a store keeps. What a signal may carry is less; the run tells.
const LIMIT: u64 = orchestrator_core::value::VALUE_LIMIT as u64;

pub(super) async fn carry_out(app: &App, args: &Signal) -> Result<Exit, Problem> {
    let data = args.data.as_deref().map(read).transpose()?.unwrap_or_default();
    let (engine, run) = prepare(app, &args.run.run).await?;
    let result = give(app, &engine, run, args, &data).await;
    finish(app, &engine, result).await
}

async fn give(app: &App, engine: &Engine, run: RunId, args: &Signal, data: &Value) -> Result<Exit, Problem> {
    let name = &*args.name;
    let asked = app.asked(args.reason.reason.as_deref());
    let given = engine.signal(run, name, data, asked).await;
    let receipt = given.map_err(|error| not_given(app, run, error))?;
    let taker = taker(engine, run, receipt.seq).await?;
    let names = Names::from(&engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?);
    let next = if receipt.driven { None } else { next_command(app, engine, run).await? };
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "run_id": run,
            "signal": name,
            "step": taker.map(|unit| names.step(unit.step)),
            "item": taker.and_then(Unit::item),
            "kept": taker.is_none(),
            "seq": receipt.seq,
            "driven": receipt.driven,
            "next": next,
        }))?;
        return Ok(Exit::Ok);
    }
    let name = escape::line(name);
    let what = match taker {
        Some(unit) => format!("`{}` goes on with the signal `{name}`", escape::line(&names.of(unit))),
        None => format!("the signal `{name}` is kept for the next step that waits for it"),
    };
    app.output.print(&format!("{run}: {what}"))?;
    if let Some(next) = next {
        app.output.note(&format!("next: {next}"));
    }
    Ok(Exit::Ok)
}

/// Who has taken the signal, by the last event of the commit that gave it.
async fn taker(engine: &Engine, run: RunId, seq: u64) -> Result<Option<Unit>, Problem> {
    let query = EventsAfter { run, after: seq.saturating_sub(1), limit: 1 };
    let events = engine.store().events_after(query).await?;
    Ok(events.into_iter().find_map(|recorded| match recorded.event {
        Event::StepArrived(event) if matches!(event.arrival, Arrival::Signal(_)) => Some(event.step),
        _ => None,
    }))
}

fn not_given(app: &App, run: RunId, error: CommandError) -> Problem {
    match &error {
        CommandError::UnknownSignal { name, known } => {
            let problem = Problem::new(Exit::NotFound, "signal_not_found", format!("{run}: {error}"));
            match suggest::nearest(name, known.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => problem.hint("a step with `uses: signal` waits for one"),
                None => problem.hint(format!("it waits for {}", known.join(", "))),
            }
        }
        CommandError::InvalidSignal(_)
        | CommandError::Rejected(Rejection::SignalName | Rejection::SignalTooLong(_)) => {
            Problem::new(Exit::Invalid, "invalid_signal", format!("{run}: {error}"))
        }
        _ => refused(app, run, error),
    }
}

/// The data: JSON as given, from a file (`@FILE`), or from stdin (`-`).
fn read(text: &str) -> Result<Value, Problem> {
    let (name, text) = match text.strip_prefix('@').or_else(|| (text == "-").then_some("-")) {
        None => ("--data".to_owned(), text.to_owned()),
        Some(path) => {
            let source = source::read(Path::new(path), LIMIT, "value")?;
            let text = String::from_utf8(source.bytes).map_err(|_| {
                Problem::new(Exit::Invalid, "encoding", format!("{} is not valid UTF-8", source.name))
            })?;
            (source.name, text)
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        Problem::new(Exit::Invalid, "invalid_signal", format!("{name} is not JSON: {error}"))
            .tries("--data '\"text\"'")
    })
}
