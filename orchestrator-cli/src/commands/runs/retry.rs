//! `runs retry`: begins steps of an ended run again, and goes on from there.

use orchestrator_core::machine::Command;

use crate::app::{App, no_run};
use crate::args::Retry;
use crate::commands::runs::{resume, steer};
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::Problem;
use crate::signals::Signals;
use crate::store::Access;

pub(super) async fn carry_out(app: &App, args: &Retry) -> Result<Exit, Problem> {
    let store = app.store_to_drive(Access::Existing).await?;
    let run = find::run(&store, &args.run.run, &app.shell).await?;
    let row = store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let folder = resume::folder(app, &row, true)?;
    let signals = Signals::catch()?;
    let engine = app.engine(store, &folder).await?;
    let ended = async {
        let report = engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?;
        let names = Names::from(&report);
        let asked = app.asked(args.reason.reason.as_deref());
        let command = match &args.from {
            Some(step) => Command::Rerun { step: find::step(&names, step)?, asked },
            None => {
                let steps = args.steps.iter().map(|step| find::step(&names, step));
                Command::Retry { steps: steps.collect::<Result<_, _>>()?, asked }
            }
        };
        engine.command(run, command).await.map_err(|error| steer::refused(app, run, error))?;
        let row = engine.store().run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
        resume::go_on(app, &engine, &row, signals, &args.reason, &args.drive).await
    };
    let ended = ended.await;
    if ended.is_err() {
        engine.stop(app.settings.grace()).await;
    }
    ended
}
