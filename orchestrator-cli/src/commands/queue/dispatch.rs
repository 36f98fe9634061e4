//! From the verb to its file.

use orchestrator_core::port::queue::Clearing;

use crate::app::App;
use crate::args::{DeadCommand, QueueCommand};
use crate::commands::queue::{dead, list, steer};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: QueueCommand) -> Result<Exit, Problem> {
    match command {
        QueueCommand::List => list::carry_out(app).await,
        QueueCommand::Pause(args) => steer::pause(app, &args.queue).await,
        QueueCommand::Resume(args) => steer::resume(app, &args.queue).await,
        QueueCommand::Dead(DeadCommand::List(args)) => dead::list(app, &args).await,
        QueueCommand::Dead(DeadCommand::Retry(args)) => {
            dead::clear(app, &args.letter, Clearing::Publish).await
        }
        QueueCommand::Dead(DeadCommand::Drop(args)) => dead::clear(app, &args.letter, Clearing::Drop).await,
    }
}
