//! `runs resume`: goes on with a run that was paused, stopped or killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use orchestrator_core::engine::{DriveError, Engine};
use orchestrator_core::machine::{Command, Intent};
use orchestrator_core::port::store::RunRow;

use crate::app::{App, no_run};
use crate::args::{Drive, Reason, Resume, RunRef};
use crate::commands::runs::steer;
use crate::drive::Driving;
use crate::exit::Exit;
use crate::folder;
use crate::names::Names;
use crate::output::{Problem, block};
use crate::progress::View;
use crate::signals::Signals;
use crate::store::{self, Access};
use crate::{find, secrets, situation};

pub(crate) async fn carry_out(app: &App, args: &Resume) -> Result<Exit, Problem> {
    let store = app.store_to_drive(Access::Existing).await?;
    let run = find::run(&store, &args.run.run, &app.shell).await?;
    let mut row = store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let mut paused_below = None;
    if let Some(parent) = row.new.parent.filter(|_| row.finished_at.is_none()) {
        // It goes on with the run that somebody has started; here it would end, and that one would not know.
        paused_below = (row.intent == Intent::Pause).then_some(run);
        row = store.run(parent.root).await?.ok_or_else(|| no_run(&parent.root.to_string()))?;
        app.output.note(&format!("{run} carries out a step of {}: going on with that", row.run));
    }
    let folder = folder(app, &row, row.finished_at.is_none())?;
    let signals = Signals::catch()?;
    let engine = app.engine(store, &folder).await?;
    if let Some(paused) = paused_below {
        let asked = app.asked(args.reason.reason.as_deref());
        let resumed = engine.command(paused, Command::Resume(asked)).await;
        resumed.map_err(|error| steer::refused(app, paused, error))?;
    }
    let ended = go_on(app, &engine, &row, signals, &args.reason, &args.drive).await;
    if ended.is_err() {
        engine.stop(app.settings.grace()).await;
    }
    ended
}

/// An engine that can drive a run in the folder in which it was started, and what is caught meanwhile.
pub(super) struct Taken {
    pub(super) engine: Engine,
    pub(super) row: RunRow,
    pub(super) signals: Signals,
}

/// Prepares to reopen a run, or to begin another where it has been.
pub(super) async fn take_up(app: &App, named: &RunRef) -> Result<Taken, Problem> {
    let store = app.store_to_drive(Access::Existing).await?;
    let run = find::run(&store, &named.run, &app.shell).await?;
    let row = store.run(run).await?.ok_or_else(|| no_run(&named.run))?;
    let folder = folder(app, &row, true)?;
    let signals = Signals::catch()?;
    let engine = app.engine(store, &folder).await?;
    Ok(Taken { engine, row, signals })
}

/// Drives a run to its end, as far as that is possible here.
pub(super) async fn go_on(
    app: &App,
    engine: &Engine,
    row: &RunRow,
    signals: Signals,
    reason: &Reason,
    drive: &Drive,
) -> Result<Exit, Problem> {
    let run = row.run;
    let store = engine.store();
    if row.finished_at.is_none() {
        secrets::check_run(engine, row).await?;
    }
    if row.finished_at.is_none() && row.intent == Intent::Pause {
        let asked = app.asked(reason.reason.as_deref());
        engine.command(run, Command::Resume(asked)).await.map_err(|error| steer::refused(app, run, error))?;
        store.sweep().await?;
        let driver = situation::driver(store, row, store.now().await?).await?;
        if let Some(owner) = driver {
            return steer::told(app, engine, run, &format!("resumed; it is driven by {}", owner.label)).await;
        }
    }
    let live = engine.subscribe();
    let handle = engine.drive(run).await.map_err(|error| not_driven(app, run, error))?;
    let report = handle.report().await?;
    if row.finished_at.is_some() {
        app.output.note(&format!(
            "there is nothing left to do: {}",
            block::headline(&report, report.created_at, app.output.err())
        ));
    }
    let view = View::new(&app.output, run, Names::from(&report), report.counted_steps(), drive.logs);
    Driving { app, engine, handle, live, view, signals, told: BTreeSet::new(), reports: None }.drive().await
}

/// The folder in which the run was started; where it is needed, it must still be there.
pub(super) fn folder(app: &App, row: &RunRow, needed: bool) -> Result<PathBuf, Problem> {
    match row.new.labels.get(folder::LABEL) {
        Some(folder) if needed && !Path::new(folder).is_dir() => Err(folder::gone(folder)),
        Some(folder) if Path::new(folder).is_dir() => Ok(PathBuf::from(folder)),
        _ => Ok(app.cwd.clone()),
    }
}

fn not_driven(app: &App, run: orchestrator_core::id::RunId, error: DriveError) -> Problem {
    match error {
        DriveError::NotFound(run) => no_run(&run.to_string()),
        DriveError::Driven { ref label, .. } => {
            Problem::new(Exit::Conflict, "run_driven", format!("{run} is being driven by {label}"))
                .tries(app.shell.runs("wait", run))
        }
        DriveError::UnknownPlugin { .. } => Problem::new(Exit::Invalid, "unknown_plugin", error.to_string()),
        DriveError::Store(error) => store::of_error(&error),
        other => Problem::new(Exit::Unavailable, "drive_failed", other.to_string()),
    }
}
