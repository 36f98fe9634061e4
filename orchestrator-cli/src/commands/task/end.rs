//! `task heartbeat`, `complete`, `release` and `cancel`.

use std::time::Duration;

use orchestrator_core::engine::{Engine, TaskEnd, TaskRight};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::Command;
use serde_json::json;

use crate::app::App;
use crate::args::{ClaimedRef, CompleteTask, HeartbeatTask};
use crate::commands::runs::refused as not_said;
use crate::commands::task::create::json as read_json;
use crate::commands::task::found::{Named, claim, duration, refused};
use crate::commands::task::list;
use crate::exit::Exit;
use crate::find;
use crate::output::Problem;

pub(crate) async fn heartbeat(app: &App, args: &HeartbeatTask) -> Result<Exit, Problem> {
    let ttl = args.ttl.as_deref().map(|text| duration("--ttl", text)).transpose()?;
    let (engine, right, lasts) = claimed(app, &args.claimed).await?;
    let beat = engine.renew_claim(right, ttl.or(lasts)).await.map_err(|error| refused(app, error));
    engine.stop(app.settings.grace()).await;
    let beat = beat?;
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "run_id": right.run, "until": beat.until, "stop": beat.stop }))?;
    } else {
        app.output.print(&format!("{}: yours until {}", right.run, beat.until))?;
    }
    if beat.stop {
        let title = format!("{} is to be stopped: it was cancelled, or is past its deadline", right.run);
        let release = format!("task release {} --token {}", right.run, right.token);
        return Err(Problem::new(Exit::Cancelled, "task_cancelled", title).tries(app.shell.command(&release)));
    }
    Ok(Exit::Ok)
}

pub(crate) async fn complete(app: &App, args: &CompleteTask) -> Result<Exit, Problem> {
    let end = match (&args.failed, &args.output) {
        (Some(message), _) => TaskEnd::Failed { message: message.clone(), for_good: args.for_good },
        (None, Some(output)) => TaskEnd::Done(read_json("--output", output)?),
        (None, None) => TaskEnd::Done(json!({})),
    };
    ended(app, &args.claimed, end).await
}

pub(crate) async fn release(app: &App, args: &ClaimedRef) -> Result<Exit, Problem> {
    ended(app, args, TaskEnd::Released).await
}

async fn ended(app: &App, claimed_ref: &ClaimedRef, end: TaskEnd) -> Result<Exit, Problem> {
    let (engine, right, _) = claimed(app, claimed_ref).await?;
    let said = engine.end_task(right, end).await.map_err(|error| refused(app, error));
    let stands = match said {
        Ok(()) => stands(app, &engine, right.run).await,
        Err(problem) => Err(problem),
    };
    engine.stop(app.settings.grace()).await;
    stands
}

pub(crate) async fn cancel(app: &App, named: &str) -> Result<Exit, Problem> {
    let store = app.store_to_change().await?;
    let run = find::run(&store, named, &app.shell).await?;
    list::shape(&store, run).await?;
    let engine = app.engine(store, &app.cwd).await?;
    let said = engine.command(run, Command::Cancel(app.asked(None))).await;
    let stands = match said {
        Ok(_) => match engine.tend_task(run).await {
            Ok(()) => stands(app, &engine, run).await,
            Err(error) => Err(refused(app, error)),
        },
        Err(error) => Err(not_said(app, run, error)),
    };
    engine.stop(app.settings.grace()).await;
    stands
}

/// Tells how a run stands after what was said of its task.
async fn stands(app: &App, engine: &Engine, run: RunId) -> Result<Exit, Problem> {
    let row = engine.store().run(run).await?;
    let row = row.ok_or_else(|| crate::app::no_run(&run.to_string()))?;
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "run_id": run, "status": row.status }))?;
        return Ok(Exit::Ok);
    }
    let text = match &*row.status {
        "blocked" => "open again",
        "running" => "said",
        status => status,
    };
    app.output.print(&format!("{run}: {text}"))?;
    Ok(Exit::Ok)
}

/// An engine, and the claim that is meant.
async fn claimed(app: &App, named: &ClaimedRef) -> Result<(Engine, TaskRight, Option<Duration>), Problem> {
    let Named { task, token, ttl } = claim(named)?;
    let store = app.store_to_change().await?;
    let run = find::run(&store, &task, &app.shell).await?;
    Ok((app.engine(store, &app.cwd).await?, TaskRight { run, token }, ttl))
}
