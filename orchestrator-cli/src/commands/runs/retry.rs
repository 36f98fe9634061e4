//! `runs retry` and `runs compensate`: an ended run is reopened, and goes on from there.

use orchestrator_core::machine::{Asked, Command};

use crate::app::{App, no_run};
use crate::args::{Compensate, Drive, Reason, Retry, RunRef};
use crate::commands::runs::resume::{self, Taken};
use crate::commands::runs::steer;
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::Problem;

pub(super) async fn carry_out(app: &App, args: &Retry) -> Result<Exit, Problem> {
    reopen(app, &args.run, &args.reason, &args.drive, |names, asked| {
        Ok(match &args.from {
            Some(step) => Command::Rerun { step: find::step(names, step)?, asked },
            None => {
                let steps = args.steps.iter().map(|step| find::step(names, step));
                Command::Retry { steps: steps.collect::<Result<_, _>>()?, asked }
            }
        })
    })
    .await
}

pub(super) async fn compensate(app: &App, args: &Compensate) -> Result<Exit, Problem> {
    reopen(app, &args.run, &args.reason, &args.drive, |_, asked| Ok(Command::Compensate(asked))).await
}

async fn reopen(
    app: &App,
    named: &RunRef,
    reason: &Reason,
    drive: &Drive,
    command: impl FnOnce(&Names, Asked) -> Result<Command, Problem>,
) -> Result<Exit, Problem> {
    let Taken { engine, row, signals } = resume::take_up(app, named).await?;
    let run = row.run;
    let ended = async {
        let report = engine.outline(run).await?.ok_or_else(|| no_run(&named.run))?;
        let command = command(&Names::from(&report), app.asked(reason.reason.as_deref()))?;
        engine.command(run, command).await.map_err(|error| steer::refused(app, run, error))?;
        let row = engine.store().run(run).await?.ok_or_else(|| no_run(&named.run))?;
        resume::go_on(app, &engine, &row, signals, reason, drive).await
    };
    let ended = ended.await;
    if ended.is_err() {
        engine.stop(app.settings.grace()).await;
    }
    ended
}
