//! From the verb to its file.

use crate::app::App;
use crate::args::TaskCommand;
use crate::commands::task::{claim, create, end, list, ready, watch};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: TaskCommand) -> Result<Exit, Problem> {
    match command {
        TaskCommand::Create(args) => create::carry_out(app, args).await,
        TaskCommand::List(args) => list::carry_out(app, &args).await,
        TaskCommand::Ready(args) => ready::carry_out(app, &args).await,
        TaskCommand::Show(args) => list::show(app, &args.task).await,
        TaskCommand::Claim(args) => claim::carry_out(app, &args).await,
        TaskCommand::Heartbeat(args) => end::heartbeat(app, &args).await,
        TaskCommand::Complete(args) => end::complete(app, &args).await,
        TaskCommand::Release(args) => end::release(app, &args).await,
        TaskCommand::Cancel(args) => end::cancel(app, &args.task).await,
        TaskCommand::Watch(args) => watch::carry_out(app, &args).await,
    }
}
