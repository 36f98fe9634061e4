//! `plugins try`: executes one step of a kind, outside of any workflow and any store.

use std::collections::BTreeSet;
use std::sync::Arc;

use orchestrator_core::engine::{Engine, Live, Progress, RunHandle, StepReport};
use orchestrator_core::machine::Command;
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::{MemoryStore, StartRun};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::TryOut;
use crate::commands::plugins::look;
use crate::exit::Exit;
use crate::output::{Problem, escape};
use crate::signals::Signals;
use crate::{inputs, secrets, source, user, workflow};

/// The longest `--with` that is read from a file, in bytes: 1 MiB.
const LIMIT: u64 = 1 << 20;

/// What the workflow of one step is called where something is wrong with it.
const NAME: &str = "the step to try";

pub(super) async fn carry_out(app: &App, args: &TryOut) -> Result<Exit, Problem> {
    let plugins = app.plugins()?;
    look::find(&plugins, &args.kind)?;
    let text = text(args)?;
    let loaded = workflow::of_text("try", NAME, &text, &plugins)?;
    let signals = Signals::catch()?;
    let engine = app.engine(Arc::new(MemoryStore::new()), &app.cwd).await?;
    let ended = tried(app, &engine, loaded.workflow, signals, &args.kind).await;
    engine.stop(app.settings.grace()).await;
    ended
}

/// A workflow of one step.
fn text(args: &TryOut) -> Result<String, Problem> {
    let with = match args.with.as_deref().map(|with| (with, with.strip_prefix('@'))) {
        None => None,
        Some((_, Some(path))) => {
            let read = source::read(path.as_ref(), LIMIT, "file")?;
            let text = String::from_utf8(read.bytes).map_err(|_| {
                Problem::new(Exit::Invalid, "invalid_spec", format!("{} is not valid UTF-8", read.name))
            })?;
            Some(text)
        }
        Some((with, None)) => Some(with.to_owned()),
    };
    let mut step = format!("steps:\n  try:\n    uses: {}\n", args.kind);
    if let Some(timeout) = &args.timeout {
        step.push_str(&format!("    timeout: {timeout}\n"));
    }
    if !args.network.is_empty() {
        step.push_str(&format!("    permissions: {}\n", json!({ "network": args.network })));
    }
    let env = inputs::pairs("--env", &args.env)?;
    if !env.is_empty() {
        step.push_str(&format!("    env: {}\n", json!(env)));
    }
    if let Some(with) = with.filter(|with| !with.trim().is_empty()) {
        step.push_str("    with:\n");
        with.lines().for_each(|line| step.push_str(&format!("      {line}\n")));
    }
    let secrets = secrets_in(&step);
    let secrets = if secrets.is_empty() { String::new() } else { format!("secrets: {}\n", json!(secrets)) };
    Ok(format!("name: try\n{secrets}{step}"))
}

/// The secrets that expressions name: whoever writes one here means it.
fn secrets_in(text: &str) -> BTreeSet<&str> {
    let behind = text.split("${{").skip(1).filter_map(|text| text.trim_start().strip_prefix("secrets."));
    let name =
        |text: &'_ str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    behind.map(|text| &text[..name(text)]).filter(|name| !name.is_empty()).collect()
}

async fn tried(
    app: &App,
    engine: &Engine,
    workflow: Arc<orchestrator_core::Workflow>,
    mut signals: Signals,
    kind: &str,
) -> Result<Exit, Problem> {
    secrets::check(engine, &workflow).await?;
    let mut live = engine.subscribe();
    let refused =
        |error| Problem::new(Exit::Unavailable, "start_failed", format!("it cannot be started: {error}"));
    let run = engine.start(StartRun::new(workflow).by(user::name())).await.map_err(refused)?;
    let mut progress = run.progress();
    let stands = |progress: &Progress| progress.ended || progress.status == "blocked" || !progress.driven;
    let mut stopped = None;
    loop {
        tokio::select! {
            biased;
            told = live.recv() => if let Ok(Live::Line { line, .. }) = told {
                tell(app, line.stream, &line.text);
            },
            exit = signals.next(), if stopped.is_none() => {
                stopped = Some(exit);
                // One that has just ended needs no telling.
                let _ = engine.command(run.id(), Command::Cancel(app.asked(None))).await;
            }
            _ = progress.wait_for(stands) => break,
        }
    }
    while let Ok(told) = live.try_recv() {
        if let Live::Line { line, .. } = told {
            tell(app, line.stream, &line.text);
        }
    }
    let exit = give(app, &run, kind).await?;
    Ok(stopped.unwrap_or(exit))
}

fn tell(app: &App, stream: Stream, text: &str) {
    let text = escape::line(text);
    app.output.note(&match stream {
        Stream::Stderr => format!("! {text}"),
        Stream::System => format!("* {text}"),
        _ => format!("| {text}"),
    });
}

/// Prints what became of it.
async fn give(app: &App, run: &RunHandle, kind: &str) -> Result<Exit, Problem> {
    let report = run.report().await?;
    let Some(step) = report.steps.first() else { return Ok(Exit::Failed) };
    let waits = report.waiting_for.first();
    if app.output.json().is_some() {
        app.output.print_json(&json!({
            "kind": kind,
            "status": step.status,
            "effect": step.effect,
            "output": step.output,
            "error": step.error,
            "waiting_for": waits,
        }))?;
        return Ok(exit_of(step));
    }
    match (&step.error, waits) {
        (Some(error), _) => {
            return Err(Problem::new(Exit::Failed, "step_failed", format!("{}: {error}", step.status)));
        }
        (None, Some(waits)) => {
            app.output.note(&format!("it waits ({}): in a run, somebody would answer now", waits.kind));
        }
        (None, None) => app.output.print(&pretty(&step.output))?,
    }
    Ok(exit_of(step))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn exit_of(step: &StepReport) -> Exit {
    match step.status {
        "completed" => Exit::Ok,
        "cancelled" => Exit::Cancelled,
        "failed" | "skipped" => Exit::Failed,
        _ => Exit::Waiting,
    }
}
