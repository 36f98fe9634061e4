//! From the verb to its file.

use crate::app::App;
use crate::args::WorkflowCommand;
use crate::commands::workflow::{diff, execute, list, register, show};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: WorkflowCommand) -> Result<Exit, Problem> {
    match command {
        WorkflowCommand::Register(args) => register::carry_out(app, &args).await,
        WorkflowCommand::List(args) => list::carry_out(app, &args).await,
        WorkflowCommand::Show(args) => show::carry_out(app, &args).await,
        WorkflowCommand::Diff(args) => diff::carry_out(app, &args).await,
        WorkflowCommand::Execute(args) => execute::carry_out(app, &args).await,
    }
}
