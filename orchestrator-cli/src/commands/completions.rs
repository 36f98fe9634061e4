//! `completions`: what a shell needs to complete commands.

use clap::CommandFactory;

use crate::app::App;
use crate::args::{Cli, Completions};
use crate::exit::Exit;
use crate::output::Problem;

pub(crate) fn carry_out(app: &App, args: &Completions) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "orchestrator", &mut script);
    app.output.print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}
