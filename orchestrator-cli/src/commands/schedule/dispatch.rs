//! From the verb to its file.

use crate::app::App;
use crate::args::ScheduleCommand;
use crate::commands::schedule::{create, list, show, steer};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: ScheduleCommand) -> Result<Exit, Problem> {
    match command {
        ScheduleCommand::Create(args) => create::carry_out(app, &args).await,
        ScheduleCommand::List(args) => list::carry_out(app, &args).await,
        ScheduleCommand::Show(args) => show::carry_out(app, &args.schedule).await,
        ScheduleCommand::Next(args) => {
            show::next(app, &args.schedule.schedule, usize::from(args.count)).await
        }
        ScheduleCommand::Pause(args) => steer::pause(app, &args.schedule).await,
        ScheduleCommand::Resume(args) => steer::resume(app, &args.schedule).await,
        ScheduleCommand::Delete(args) => steer::delete(app, &args.schedule).await,
    }
}
