//! From the verb to its file.

use crate::app::App;
use crate::args::QueueCommand;
use crate::commands::queue::{list, steer};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: QueueCommand) -> Result<Exit, Problem> {
    match command {
        QueueCommand::List => list::carry_out(app).await,
        QueueCommand::Pause(args) => steer::pause(app, &args.queue).await,
        QueueCommand::Resume(args) => steer::resume(app, &args.queue).await,
    }
}
