//! `man`: the manual, made of what `--help` says.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use serde_json::json;

use crate::app::App;
use crate::args::{Cli, Man};
use crate::exit::Exit;
use crate::files;
use crate::output::{Problem, suggest};

pub(crate) fn carry_out(app: &App, args: &Man) -> Result<Exit, Problem> {
    let mut root = Cli::command();
    root.build();
    match &args.out {
        Some(folder) => write_all(app, &root, folder),
        None => {
            let command = find(&root, &args.command)?;
            app.output.print(page(command)?.trim_end())?;
            Ok(Exit::Ok)
        }
    }
}

/// The command that `words` name.
fn find<'c>(root: &'c Command, words: &[String]) -> Result<&'c Command, Problem> {
    let mut command = root;
    for word in words {
        let Some(inner) = command.find_subcommand(word) else {
            let title = format!("there is no command `{}`", words.join(" "));
            let problem = Problem::new(Exit::NotFound, "command_not_found", title);
            return Err(match suggest::nearest(word, command.get_subcommands().map(Command::get_name)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.tries("orchestrator --help"),
            });
        };
        command = inner;
    }
    Ok(command)
}

fn write_all(app: &App, root: &Command, folder: &Path) -> Result<Exit, Problem> {
    fs::create_dir_all(folder).map_err(|error| files::cannot_write(folder, &error))?;
    let mut written = Vec::new();
    let mut open = vec![root];
    while let Some(command) = open.pop() {
        let path = folder.join(format!("{}.1", name(command)));
        files::replace(&path, page(command)?.as_bytes())?;
        written.push(path.display().to_string());
        open.extend(command.get_subcommands().filter(|inner| inner.get_name() != "help"));
    }
    written.sort_unstable();
    if app.output.json().is_some() {
        app.output.print_json(&json!({ "written": written }))?;
    } else {
        app.output
            .print(&written.iter().map(|path| format!("written  {path}")).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Ok)
}

/// `orchestrator-runs-list`.
fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-")
}

fn page(command: &Command) -> Result<String, Problem> {
    let mut roff = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name(command));
    let man = man.source(concat!("orchestrator ", env!("CARGO_PKG_VERSION")));
    man.render(&mut roff).map_err(|error| {
        Problem::new(Exit::Unavailable, "output_failed", format!("the page cannot be made: {error}"))
    })?;
    // What is printed behind the options are examples and exit codes.
    Ok(String::from_utf8_lossy(&roff).replace(".SH EXTRA", ".SH EXAMPLES"))
}
