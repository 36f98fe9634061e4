//! `run`: starts a run and drives it here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{Engine, StartError, StartRun, read_report};
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::Store;
use orchestrator_core::time::{Timestamp, wall_clock};

use crate::app::{App, no_run};
use crate::args::{Run, Start};
use crate::commands::worker;
use crate::drive::Driving;
use crate::exit::Exit;
use crate::names::Names;
use crate::output::{Problem, moment};
use crate::progress::View;
use crate::report::{self, Place};
use crate::signals::Signals;
use crate::span::{parse_duration, parse_time};
use crate::store::{self, Access};
use crate::workflow::{self, Loaded};
use crate::{folder, inputs, secrets, user};

/// A run that can be started: everything that can be refused has been looked at, and nothing has been made.
#[derive(Debug)]
pub(crate) struct Prepared {
    start: StartRun,
    loaded: Loaded,
    later: Option<Later>,
}

/// Reads the workflow and what the run is given.
pub(crate) fn prepare(app: &App, args: &Run) -> Result<Prepared, Problem> {
    let labels = labels(&args.start)?;
    let loaded = workflow::load(&args.source.file, &app.plugins()?)?;
    prepared(app, loaded, &args.start, labels)
}

/// What is to be started, found to fit; tells the warnings.
pub(crate) fn prepared(
    app: &App,
    loaded: Loaded,
    args: &Start,
    labels: BTreeMap<String, String>,
) -> Result<Prepared, Problem> {
    report::check(&args.reports)?;
    let inputs = inputs::read(&args.inputs, &loaded.workflow, &loaded.name)?;
    for warning in &loaded.warnings {
        app.output.note(warning.to_human(app.output.err()).trim_end());
    }
    let mut start = StartRun::new(loaded.workflow.clone()).inputs(inputs).by(user::name());
    if !args.detach {
        // A worker has a workspace for it.
        start = start.label(folder::LABEL, app.cwd.display().to_string());
    }
    for (key, value) in labels {
        start = start.label(key, value);
    }
    if let Some(key) = &args.idempotency_key {
        start = start.idempotency_key(key.as_str());
    }
    let later = later(args)?;
    if let Some(later) = later
        && args.idempotency_key.is_none()
    {
        // No clock of a store is so far behind this one.
        later.not_before(wall_clock() - Duration::from_secs(86_400))?;
    }
    Ok(Prepared { start, loaded, later })
}

impl Prepared {
    /// Whether no two attempts of it ever run side by side.
    pub(crate) fn is_chain(&self) -> bool {
        let steps = &self.loaded.workflow.steps;
        let follows = steps
            .iter()
            .enumerate()
            .skip(1)
            .all(|(place, step)| step.needs.iter().any(|need| need.index() + 1 == place));
        follows && steps.iter().all(|step| step.options().each.is_none())
    }
}

pub(crate) async fn carry_out(app: &App, args: &Run, prepared: Prepared) -> Result<Exit, Problem> {
    let signals = Signals::catch()?;
    let store = app.store_to_drive(Access::Create).await?;
    launch(app, store, prepared, signals, &args.start).await
}

/// Starts a run and drives it here.
pub(crate) async fn launch(
    app: &App,
    store: Arc<dyn Store>,
    prepared: Prepared,
    signals: Signals,
    args: &Start,
) -> Result<Exit, Problem> {
    let Prepared { start, loaded, later } = prepared;
    let loaded = loaded.complete(&store, &app.plugins()?).await?;
    let start = start.workflow(loaded.workflow.clone());
    if loaded.workflow.steps.iter().any(|step| &*step.uses == "script") {
        orchestrator_plugins::Script::prepare_ahead();
    }
    let engine = app.engine(store, &app.cwd).await?;
    let ended = begin(app, &engine, start, later, signals, &loaded, args).await;
    if ended.is_err() {
        engine.stop(app.settings.grace()).await;
    }
    ended
}

async fn begin(
    app: &App,
    engine: &Engine,
    mut start: StartRun,
    later: Option<Later>,
    signals: Signals,
    loaded: &Loaded,
    args: &Start,
) -> Result<Exit, Problem> {
    if args.detach {
        if engine.store().describe().kind == "memory" {
            let title = "the memory store is gone with this process: nobody could take the run up";
            return Err(Problem::new(Exit::Usage, "usage", title).tries("--store sqlite:PATH"));
        }
    } else {
        // What workers have is not known here.
        secrets::check(engine, &loaded.workflow).await?;
    }
    let before = match &args.idempotency_key {
        Some(key) => engine.store().find_key(StartRun::DEFAULT_PROJECT, key).await?,
        None => None,
    };
    match (before, later) {
        (Some(run), _) => app.output.note(&format!("{run} has been started with this key before")),
        (None, Some(later)) => start = start.not_before(later.not_before(engine.store().now().await?)?),
        (None, None) => {}
    }
    if args.detach {
        // Of a new run that begins at once nothing more is to be told: it need not be read.
        let may_begin_later = before.is_some() || later.is_some();
        return leave(app, engine, start, loaded, may_begin_later).await;
    }
    // Listening begins before the run does, so that nothing of it is missed.
    let live = engine.subscribe();
    let handle = engine.start(start).await.map_err(|error| refused(app, error, &loaded.name))?;
    open_ahead(engine, handle.id());
    let workflow = &loaded.workflow;
    let view = View::new(
        &app.output,
        handle.id(),
        Names::from(&**workflow),
        workflow.counted_steps() as usize,
        args.drive.logs,
    );
    let place = Place { file: Some(loaded.name.clone()), text: workflow.text.clone() };
    let reports = Some((&args.reports, place));
    Driving { app, engine, handle, live, view, signals, told: BTreeSet::new(), reports }.drive().await
}

/// Creates a run and leaves it to whoever works for the store.
async fn leave(
    app: &App,
    engine: &Engine,
    start: StartRun,
    loaded: &Loaded,
    may_begin_later: bool,
) -> Result<Exit, Problem> {
    let run = engine.enqueue(start).await.map_err(|error| refused(app, error, &loaded.name))?;
    engine.stop(app.settings.grace()).await;
    let store = engine.store();
    let report = async || read_report(&**store, run).await?.ok_or_else(|| no_run(&run.to_string()));
    if app.output.json().is_some() {
        app.output.print_json(&report().await?)?;
    } else {
        app.output.print(&run.to_string())?;
        if may_begin_later && let Some(due) = report().await?.not_before {
            app.output.note(&format!("it is to begin {} ({due})", moment::relative(due, store.now().await?)));
        }
        if !worker::has_worker(store).await {
            app.output.note(&format!("nobody works for this store now: {}", app.shell.command("worker")));
        }
        app.output.note(&format!("  {}", app.shell.runs("watch", run)));
    }
    Ok(Exit::Ok)
}

/// Opens the connection that the result is read from at the end, while the first steps run.
fn open_ahead(engine: &Engine, run: RunId) {
    let store = engine.store().clone();
    // Who needs it later tries again, and tells why it fails.
    tokio::spawn(async move { drop(store.heads(&[run]).await) });
}

/// The labels that a run is given.
///
/// # Errors
/// Exit 2 for whatever about the arguments needs no workflow to be found wrong.
pub(crate) fn labels(args: &Start) -> Result<BTreeMap<String, String>, Problem> {
    let mut labels = inputs::pairs("--label", &args.labels)?;
    if let Some(name) = &args.name
        && labels.insert("name".to_owned(), name.clone()).is_some()
    {
        return Err(Problem::new(Exit::Usage, "usage", "--name and `--label name=…` are both given"));
    }
    if labels.contains_key(folder::LABEL) {
        return Err(Problem::new(
            Exit::Usage,
            "usage",
            format!("the label `{}` is kept for orchestrator itself", folder::LABEL),
        ));
    }
    if let Some(key) = &args.idempotency_key
        && !(1..=255).contains(&key.len())
    {
        return Err(Problem::new(Exit::Usage, "usage", "an idempotency key has 1 to 255 bytes"));
    }
    Ok(labels)
}

/// When a run is to begin that is put off, as it was typed.
#[derive(Debug, Clone, Copy)]
enum Later {
    /// So long from now.
    After(Duration),
    /// At this time.
    At(Timestamp),
}

fn later(args: &Start) -> Result<Option<Later>, Problem> {
    let wrong = |name: &str, why: String| Problem::new(Exit::Usage, "usage", format!("{name}: {why}"));
    match (&args.delay, &args.at) {
        (Some(delay), _) => {
            let delay = parse_duration(delay)
                .map_err(|why| wrong("--in", why).tries("--at TIME, for what is longer than a year away"))?;
            Ok(Some(Later::After(delay)))
        }
        (None, Some(at)) => Ok(Some(Later::At(parse_time(at).map_err(|why| wrong("--at", why))?))),
        (None, None) => Ok(None),
    }
}

impl Later {
    /// By the clock of the store, like all that falls due.
    fn not_before(self, now: Timestamp) -> Result<Timestamp, Problem> {
        match self {
            Self::After(delay) => Ok(now + delay),
            Self::At(at) if at > now => Ok(at),
            Self::At(at) => {
                let title = format!("--at: {at} was {}", moment::relative(at, now));
                Err(Problem::new(Exit::Usage, "usage", title).tries("leave out --at to begin at once"))
            }
        }
    }
}

pub(crate) fn refused(app: &App, error: StartError, spec_name: &str) -> Problem {
    match error {
        StartError::Inputs(diagnostics) => inputs::refused(&diagnostics, spec_name),
        StartError::KeyReused { run } => {
            Problem::new(Exit::Conflict, "idempotency_key_reused", error.to_string())
                .tries(app.shell.runs("show", run))
        }
        StartError::UnknownPlugin { .. } => Problem::new(Exit::Invalid, "unknown_plugin", error.to_string()),
        StartError::UnknownWorkflow { .. } => {
            Problem::new(Exit::Invalid, "unknown_workflow", error.to_string())
        }
        StartError::Invalid(_) => Problem::new(Exit::Invalid, "invalid_input", error.to_string()),
        StartError::Store(error) => store::of_error(&error),
        other => Problem::new(Exit::Unavailable, "start_failed", other.to_string()),
    }
}
