//! `runs begin`, `pause`, `cancel`, `resolve`: what is asked of a run, whoever drives it.

use std::sync::Arc;

use orchestrator_core::engine::{CommandError, Engine, Receipt};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Command, Rejection};
use orchestrator_core::port::store::Store;
use orchestrator_core::value::ValueRef;
use serde_json::{Value, json};

use crate::app::{App, no_run};
use crate::args::{Ask, Begin, Cancel, Resolve};
use crate::commands::runs::resume;
use crate::exit::Exit;
use crate::names::Names;
use crate::output::{Problem, block};
use crate::{find, store};

pub(super) async fn pause(app: &App, args: &Ask) -> Result<Exit, Problem> {
    let command = Command::Pause(app.asked(args.reason.reason.as_deref()));
    ask(app, &args.run.run, command, |receipt| match receipt {
        Receipt { changed: false, .. } => "it was paused already",
        Receipt { driven: true, .. } => "paused; what is running is left to end",
        Receipt { .. } => "paused",
    })
    .await
}

pub(super) async fn begin(app: &App, args: &Begin) -> Result<Exit, Problem> {
    let command = Command::BeginNow(app.asked(args.reason.reason.as_deref()));
    ask(app, &args.run.run, command, |receipt| match receipt {
        Receipt { changed: false, .. } => "it is not put off, or not any more",
        Receipt { driven: true, .. } => "begins now",
        Receipt { .. } => "begins as soon as somebody drives it",
    })
    .await
}

/// Says a command to a run that need not be driven for it, and tells in these words what has become of it.
async fn ask(
    app: &App,
    named: &str,
    command: Command,
    words: fn(Receipt) -> &'static str,
) -> Result<Exit, Problem> {
    let (engine, run) = prepare(app, named).await?;
    let result = async {
        let receipt = say(app, &engine, run, command).await?;
        told(app, &engine, run, words(receipt)).await
    };
    finish(app, &engine, result.await).await
}

pub(super) async fn cancel(app: &App, args: &Cancel) -> Result<Exit, Problem> {
    let (engine, run) = prepare_in_its_folder(app, &args.run.run).await?;
    let command = Command::Cancel(app.asked(args.reason.reason.as_deref()));
    let result = async {
        let receipt = say(app, &engine, run, command).await?;
        if receipt.driven {
            return told(app, &engine, run, "being cancelled by the process that drives it").await;
        }
        // Nobody is there to end it: we do.
        match engine.drive(run).await {
            Ok(handle) => drop(handle.wait().await?),
            Err(error) => app.output.note(&format!("it ends when it is driven again: {error}")),
        }
        told(app, &engine, run, "cancelled").await
    };
    finish(app, &engine, result.await).await
}

pub(super) async fn resolve(app: &App, args: &Resolve) -> Result<Exit, Problem> {
    let output = match &args.output {
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Problem::new(Exit::Invalid, "invalid_input", format!("--output is not JSON: {error}"))
                .tries("--output '\"text\"'")
        })?,
        None => Value::Null,
    };
    let (engine, run) = prepare(app, &args.run.run).await?;
    let result = async {
        let names = Names::from(&engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?);
        let step = find::step(&names, &args.step)?;
        let applied = if args.applied { Some(encoded(&output)?) } else { None };
        let how = if args.applied {
            "applied: it goes on after the step"
        } else {
            "not applied: the step begins again"
        };
        let command = Command::Resolve { step, applied, asked: app.asked(args.reason.reason.as_deref()) };
        say(app, &engine, run, command).await?;
        told(app, &engine, run, &format!("{} resolved as {how}", args.step)).await
    };
    finish(app, &engine, result.await).await
}

/// An output as a command carries it.
fn encoded(output: &Value) -> Result<ValueRef, Problem> {
    // The engine keeps it beside the log where it is long; whether any store can keep it is told here.
    ValueRef::encode(output)
        .map_err(|error| Problem::new(Exit::Invalid, "invalid_input", format!("--output: {error}")))?;
    Ok(ValueRef::Inline(output.to_string().into()))
}

/// An engine that drives nothing, and the run.
pub(crate) async fn prepare(app: &App, named: &str) -> Result<(Engine, RunId), Problem> {
    let (store, run) = found(app, named).await?;
    Ok((app.engine(store, &app.cwd).await?, run))
}

/// As [`prepare`], for a command after which the run may have to be driven: `finally` runs where the run was started.
async fn prepare_in_its_folder(app: &App, named: &str) -> Result<(Engine, RunId), Problem> {
    let (store, run) = found(app, named).await?;
    let row = store.run(run).await?.ok_or_else(|| no_run(named))?;
    let folder = resume::folder(app, &row, false)?;
    Ok((app.engine(store, &folder).await?, run))
}

async fn found(app: &App, named: &str) -> Result<(Arc<dyn Store>, RunId), Problem> {
    let store = app.store_to_change().await?;
    let run = find::run(&store, named, &app.shell).await?;
    // A driver that was killed is known to be dead from here on, so that nobody is told to wait for it.
    store.sweep().await?;
    Ok((store, run))
}

/// Ends what [`prepare`] has begun.
pub(crate) async fn finish(
    app: &App,
    engine: &Engine,
    result: Result<Exit, Problem>,
) -> Result<Exit, Problem> {
    engine.stop(app.settings.grace()).await;
    let store: Arc<dyn Store> = engine.store().clone();
    store.close().await?;
    result
}

async fn say(app: &App, engine: &Engine, run: RunId, command: Command) -> Result<Receipt, Problem> {
    engine.command(run, command).await.map_err(|error| refused(app, run, error))
}

/// Tells what has been done, and how the run stands now.
pub(crate) async fn told(app: &App, engine: &Engine, run: RunId, text: &str) -> Result<Exit, Problem> {
    let report = engine.outline(run).await?.ok_or_else(|| no_run(&run.to_string()))?;
    let next = next_command(app, engine, run).await?;
    if app.output.json().is_some() {
        let answer = json!({ "run_id": run, "status": report.status, "seq": report.seq, "result": text, "next": next });
        app.output.print_json(&answer)?;
        return Ok(Exit::Ok);
    }
    app.output.print(&format!("{run}: {text}"))?;
    if report.has_ended() {
        let ended = report.finished_at.unwrap_or(report.created_at);
        app.output.note(&block::headline(&report, ended, app.output.err()));
    } else if let Some(next) = next {
        app.output.note(&format!("next: {next}"));
    }
    Ok(Exit::Ok)
}

/// The command that moves the run from here, if it does not move by itself.
pub(super) async fn next_command(app: &App, engine: &Engine, run: RunId) -> Result<Option<String>, Problem> {
    let store = engine.store();
    let (Some(row), Some(report)) = (store.run(run).await?, engine.report(run).await?) else {
        return Ok(None);
    };
    let now = store.now().await?;
    let driver = crate::situation::driver(store, &row, now).await?;
    let situation = crate::situation::of(&row, driver.as_ref(), &report, now, &app.shell);
    Ok(situation.map(|situation| situation.command))
}

/// A command that the run does not take.
pub(crate) fn refused(app: &App, run: RunId, error: CommandError) -> Problem {
    match error {
        CommandError::NotFound(run) => no_run(&run.to_string()),
        CommandError::Rejected(ref rejection) => {
            let code = match rejection {
                Rejection::Ended(_) => "run_ended",
                Rejection::NotOpen(_) => "approval_not_open",
                Rejection::QaNotOpen(_) => "qa_not_open",
                Rejection::WrongState { .. } => "wrong_state",
                Rejection::Held(_) => "run_held",
                _ => "rejected",
            };
            Problem::new(Exit::Conflict, code, format!("{run}: {error}")).tries(app.shell.runs("show", run))
        }
        CommandError::OfParent { parent, .. } => {
            Problem::new(Exit::Conflict, "run_of_parent", error.to_string())
                .tries(app.shell.runs("retry", parent))
        }
        CommandError::Contended => Problem::new(Exit::Conflict, "contended", error.to_string()),
        CommandError::Store(error) => store::of_error(&error),
        other => Problem::new(Exit::Conflict, "rejected", other.to_string()),
    }
}
