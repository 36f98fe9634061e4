//! From the verb to its file.

use crate::app::App;
use crate::args::RunsCommand;
use crate::commands::runs::{events, fork, list, logs, qa, resume, retry, show, signal, steer, wait, watch};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: RunsCommand) -> Result<Exit, Problem> {
    match command {
        RunsCommand::List(args) => list::carry_out(app, &args).await,
        RunsCommand::Show(args) => show::carry_out(app, &args).await,
        RunsCommand::Logs(args) => logs::carry_out(app, &args).await,
        RunsCommand::Events(args) => events::carry_out(app, &args).await,
        RunsCommand::Wait(args) => wait::carry_out(app, &args).await,
        RunsCommand::Watch(args) => watch::carry_out(app, &args).await,
        RunsCommand::Signal(args) => signal::carry_out(app, &args).await,
        RunsCommand::Qa(args) => qa::carry_out(app, &args).await,
        RunsCommand::Cancel(args) => steer::cancel(app, &args).await,
        RunsCommand::Begin(args) => steer::begin(app, &args).await,
        RunsCommand::Pause(args) => steer::pause(app, &args).await,
        RunsCommand::Resume(args) => resume::carry_out(app, &args).await,
        RunsCommand::Retry(args) => retry::carry_out(app, &args).await,
        RunsCommand::Fork(args) => fork::carry_out(app, &args).await,
        RunsCommand::Compensate(args) => retry::compensate(app, &args).await,
        RunsCommand::Resolve(args) => steer::resolve(app, &args).await,
    }
}
