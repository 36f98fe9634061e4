//! `runs fork`: another run, that begins where one has been.

use std::collections::BTreeSet;

use orchestrator_core::engine::{Engine, ForkError, ForkRun, RunReport};
use orchestrator_core::id::RunId;

use crate::app::{App, no_run};
use crate::args::Fork;
use crate::commands::run;
use crate::commands::runs::resume::{self, Taken};
use crate::commands::runs::steer;
use crate::drive::Driving;
use crate::exit::Exit;
use crate::names::Names;
use crate::output::Problem;
use crate::progress::View;
use crate::report::{self, Place};
use crate::signals::Signals;
use crate::{find, inputs, store, user};

pub(super) async fn carry_out(app: &App, args: &Fork) -> Result<Exit, Problem> {
    report::check(&args.reports)?;
    let given = inputs::given(&args.inputs)?;
    let Taken { engine, row, signals } = resume::take_up(app, &args.run).await?;
    let run = row.run;
    let ended = async {
        let report = engine.outline(run).await?.ok_or_else(|| no_run(&args.run.run))?;
        let names = Names::from(&report);
        let mut fork = ForkRun::new(run).inputs(given).by(user::name());
        for named in &args.from {
            fork = match named.split_once('/') {
                Some((step, place)) => fork.inside(find::step(&names, step)?, place),
                None => fork.from([find::step(&names, named)?]),
            };
        }
        begin(app, &engine, fork, signals, args, &report).await
    };
    let ended = ended.await;
    if ended.is_err() {
        engine.stop(app.settings.grace()).await;
    }
    ended
}

async fn begin(
    app: &App,
    engine: &Engine,
    fork: ForkRun,
    signals: Signals,
    args: &Fork,
    origin: &RunReport,
) -> Result<Exit, Problem> {
    let live = engine.subscribe();
    let handle =
        engine.fork(fork).await.map_err(|error| refused(app, origin.run_id, error, &origin.workflow))?;
    let report = handle.outline().await?;
    app.output.note(&format!("{} begins where {} has been", handle.id(), origin.run_id));
    let view =
        View::new(&app.output, handle.id(), Names::from(&report), report.counted_steps(), args.drive.logs);
    let reports = Some((&args.reports, Place::default()));
    Driving { app, engine, handle, live, view, signals, told: BTreeSet::new(), reports }.drive().await
}

fn refused(app: &App, origin: RunId, error: ForkError, workflow: &str) -> Problem {
    match error {
        ForkError::NotFound(run) => no_run(&run.to_string()),
        ForkError::UnknownPlace { message, name, known } => {
            find::step_not_found(message, &name, known.iter().map(String::as_str))
        }
        ForkError::RejectedInside { .. } => {
            Problem::new(Exit::Conflict, "rejected", format!("{origin}: {error}"))
                .tries(app.shell.runs("show", origin))
        }
        ForkError::Rejected(rejection) => steer::refused(app, origin, rejection.into()),
        ForkError::Start(error) => run::refused(app, error, workflow),
        ForkError::Store(error) => store::of_error(&error),
        other => Problem::new(Exit::Invalid, "fork_refused", other.to_string()),
    }
}
