//! From a command of `plugins` to what carries it out.

use crate::app::App;
use crate::args::PluginsCommand;
use crate::commands::plugins::{look, try_out};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: &PluginsCommand) -> Result<Exit, Problem> {
    match command {
        PluginsCommand::List => look::list(app),
        PluginsCommand::Schema { kind } => look::schema(app, kind),
        PluginsCommand::Try(args) => try_out::carry_out(app, args).await,
    }
}
