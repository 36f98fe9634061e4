//! From the arguments to the exit code.

use std::ffi::OsString;
use std::sync::{Mutex, OnceLock};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::args::{Cli, RunsCommand, Verb, WorkflowCommand};
use crate::commands;
use crate::exit::Exit;
use crate::output::{Json, Output, Problem, suggest};
use crate::settings::{Flags, Settings};
use crate::shell::Shell;

/// Does what the arguments ask for.
pub(crate) fn start() -> Exit {
    listen_to_traces();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(error),
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    let app = match prepare(&cli, output) {
        Ok(app) => app,
        Err((output, problem)) => return told(&output, &problem),
    };
    let exit = match cli.verb {
        Verb::Run(args) => commands::prepare_run(&app, &args).and_then(|prepared| {
            let threads = if prepared.is_chain() { Threads::One } else { Threads::Several };
            block_on(&app, threads, commands::carry_out_run(&app, &args, prepared))
        }),
        verb @ (Verb::Runs(RunsCommand::Resume(_)) | Verb::Worker(_)) => {
            block_on(&app, Threads::Several, commands::carry_out(&app, verb))
        }
        verb => block_on(&app, Threads::One, commands::carry_out(&app, verb)),
    };
    exit.unwrap_or_else(|problem| told(&app.output, &problem))
}

/// How many threads a command needs. Steps side by side may keep several busy; looking at a store needs one, and so do
/// steps one after the other, which then wait less for each other.
#[derive(Debug, Clone, Copy)]
enum Threads {
    One,
    Several,
}

fn block_on(
    app: &App,
    threads: Threads,
    work: impl Future<Output = Result<Exit, Problem>>,
) -> Result<Exit, Problem> {
    let runtime = runtime(threads)?;
    let exit = runtime.block_on(async {
        let exit = work.await;
        app.close().await;
        exit
    });
    // What still runs (a thread that waits for a pipe, for one) ends with the process.
    runtime.shutdown_background();
    exit
}

fn prepare(cli: &Cli, output: Output) -> Result<App, (Output, Problem)> {
    let cwd = match std::env::current_dir() {
        Ok(cwd) => cwd,
        Err(error) => {
            let title = format!("the current folder cannot be read: {error}");
            return Err((output, Problem::new(Exit::Usage, "no_current_folder", title)));
        }
    };
    let flags = flags(cli);
    if output.json() == Some(Json::Stream) && !streams(&cli.verb) {
        let title = "--json=stream is for `run`, `workflow execute` and `runs resume`";
        return Err((output, Problem::new(Exit::Usage, "usage", title).tries("--json")));
    }
    let (settings, broken_settings) = match Settings::read(&cwd, &flags) {
        Ok(settings) => (settings, None),
        // `doctor` looks on and reports it.
        Err(problem) if matches!(cli.verb, Verb::Doctor) => (Settings::defaults(&cwd), Some(problem)),
        Err(problem) => return Err((output, problem)),
    };
    let shell = Shell::new(&settings, cli.global.config.as_ref(), &cli.global.plugins);
    Ok(App {
        settings,
        broken_settings,
        output,
        shell,
        cwd,
        outside: OnceLock::new(),
        telling: OnceLock::new(),
        bell: OnceLock::new(),
        ringing: Mutex::default(),
    })
}

fn flags(cli: &Cli) -> Flags {
    let drive = match &cli.verb {
        Verb::Run(args) => Some(&args.start.drive),
        Verb::Workflow(WorkflowCommand::Execute(args)) => Some(&args.start.drive),
        Verb::Runs(RunsCommand::Resume(args)) => Some(&args.drive),
        _ => None,
    };
    let worker = if let Verb::Worker(args) = &cli.verb { Some(args) } else { None };
    let slots = drive.map_or_else(|| worker.and_then(|worker| worker.slots), |drive| drive.slots);
    let of =
        |drive: Option<&Option<String>>, worker: Option<&Option<String>>| drive.or(worker).cloned().flatten();
    Flags {
        store: cli.global.store.clone(),
        bell: cli.global.bell.clone(),
        config: cli.global.config.clone(),
        plugins: cli.global.plugins.clone(),
        slots: slots.map(|slots| slots.to_string()),
        grace: of(drive.map(|drive| &drive.grace), worker.map(|worker| &worker.grace)),
        ttl: worker.and_then(|worker| worker.ttl.clone()),
        secrets_file: of(drive.map(|drive| &drive.secrets_file), worker.map(|worker| &worker.secrets_file)),
    }
}

const fn streams(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Run(_) | Verb::Runs(RunsCommand::Resume(_)) | Verb::Workflow(WorkflowCommand::Execute(_))
    )
}

fn runtime(threads: Threads) -> Result<tokio::runtime::Runtime, Problem> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Several => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
            builder.worker_threads(cores.clamp(2, 8));
            builder
        }
    };
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Problem::new(Exit::Unavailable, "no_runtime", format!("cannot start: {error}")))
}

fn told(output: &Output, problem: &Problem) -> Exit {
    output.problem(problem);
    problem.exit()
}

/// Help and versions go to stdout as they are; anything else is a usage problem, in the form that was asked for.
fn not_understood(mut error: clap::Error) -> Exit {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(near) = nearest_command(word)
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near]));
    }
    let wants_json = std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| is_json_flag(&arg));
    let exit = exit_of(&error);
    if wants_json && exit != Exit::Ok {
        let rendered = error.render().to_string();
        let title = rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let title = if title.is_empty() { "a command is missing".to_owned() } else { title };
        let hint = rendered.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(str::to_owned);
        let problem = Problem::new(Exit::Usage, "usage", title);
        let problem = match hint {
            Some(hint) => problem.hint(hint),
            None => problem.tries("orchestrator --help"),
        };
        return told(&Output::new(Some(Json::Object), false), &problem);
    }
    // Where the reader has gone away there is nobody to tell.
    let _ = error.print();
    exit
}

/// How arguments end that are no command to be carried out: help was asked for, or they are wrong.
pub(crate) fn exit_of(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ => Exit::Usage,
    }
}

/// The command nearest to a word, among those that could stand where it stands.
fn nearest_command(word: &str) -> Option<String> {
    let mut command = Cli::command();
    let before =
        std::env::args_os().skip(1).filter_map(|arg| arg.into_string().ok()).take_while(|arg| arg != word);
    for name in before {
        if let Some(inner) = command.find_subcommand(&name) {
            command = inner.clone();
        }
    }
    suggest::nearest(word, command.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
}

fn is_json_flag(arg: &OsString) -> bool {
    arg == "--json" || arg.to_string_lossy().starts_with("--json=")
}

/// Traces go to stderr, and only if `ORCHESTRATOR_LOG` asks for some.
fn listen_to_traces() {
    let Some(filter) = std::env::var("ORCHESTRATOR_LOG").ok().filter(|filter| !filter.is_empty()) else {
        return;
    };
    match EnvFilter::try_new(&filter) {
        Ok(filter) => {
            let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
            // Nothing else in this process has set one before.
            let _ = subscriber.try_init();
        }
        Err(error) => {
            let text = format!("warning: ORCHESTRATOR_LOG is not understood: {error}");
            Output::new(None, false).say(&text);
        }
    }
}
