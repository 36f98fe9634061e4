//! From a command of `plugins` to what carries it out.

use crate::app::App;
use crate::args::PluginsCommand;
use crate::commands::plugins::{look, tools, try_out};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) async fn carry_out(app: &App, command: &PluginsCommand) -> Result<Exit, Problem> {
    match command {
        PluginsCommand::List => look::list(app),
        PluginsCommand::Schema { kind, server: None } => look::schema(app, kind),
        PluginsCommand::Schema { kind, server: Some(server) } => tools::show(app, kind, server).await,
        PluginsCommand::Try(args) => try_out::carry_out(app, args).await,
    }
}
