//! `worker`: drives runs that others have started; `worker list`: who uses the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{Engine, Live};
use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::machine::{Event, Recorded};
use orchestrator_core::port::store::{OwnerRow, RunQuery, Serves, Store, StoreError};
use orchestrator_core::spec::{DEFAULT_QUEUE, MAX_LABEL, MAX_QUEUE_NAME, is_queue_name};
use orchestrator_core::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::args::{Worker, WorkerCommand};
use crate::exit::Exit;
use crate::folder;
use crate::output::shapes::ListShape;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::runtime::Runtime;
use crate::signals::Signals;
use crate::store::Access;
use crate::user;

/// How often a worker looks for due runs of which nobody has told it.
const LOOK: Duration = Duration::from_millis(200);

/// What the label of a worker has that the label of no other process has.
const WORKER: &str = ", a worker with ";

/// Whether an owner takes up runs that others have started.
fn is_worker(owner: &OwnerRow) -> bool {
    owner.label.contains(WORKER)
}

/// How many steps an owner executes at once, if it says so.
pub(crate) fn slots(owner: &OwnerRow) -> Option<u64> {
    let (_, said) = owner.label.rsplit_once(WORKER)?;
    said.split_once(' ')?.0.parse().ok()
}

/// Whether anybody alive takes up runs, and starts those of schedules. `true` where that cannot be told.
pub(crate) async fn has_worker(store: &Arc<dyn Store>) -> bool {
    // Whoever has died is known to be dead from here on.
    match (store.sweep().await, store.owners().await) {
        (Ok(_), Ok(owners)) => owners.iter().any(is_worker),
        _ => true,
    }
}

/// How many open runs are looked at, at a time, for counting who drives them.
const PAGE: usize = 1000;

pub(crate) async fn carry_out(app: &App, args: &Worker) -> Result<Exit, Problem> {
    match args.command {
        Some(WorkerCommand::List) => list(app).await,
        None => work(app, args).await,
    }
}

async fn work(app: &App, args: &Worker) -> Result<Exit, Problem> {
    let mut signals = Signals::catch()?;
    let store = app.store_to_drive(Access::Create).await?;
    let serves = serves(args)?;
    let info = store.describe();
    if info.kind == "memory" {
        let title = "the memory store is seen by no other process: a worker finds nothing there";
        return Err(Problem::new(Exit::Usage, "usage", title).tries("--store sqlite:PATH"));
    }
    // Beside the project's own folder, which no script may look into.
    let place = app.settings.place.folder().with_file_name(".orchestrator-workspaces");
    let workspaces = std::path::absolute(args.workspaces.as_ref().unwrap_or(&place))
        .map_err(|error| Problem::new(Exit::Usage, "usage", format!("--workspaces: {error}")))?;
    std::fs::create_dir_all(&workspaces).map_err(|error| {
        let title = format!("cannot make the folder {}: {error}", workspaces.display());
        Problem::new(Exit::Unavailable, "workspaces_unavailable", title)
    })?;
    let label = format!("{}{WORKER}{} slots", user::process(), app.settings.slots());
    let told = told(&serves);
    let (runtime, hands) = Runtime::start();
    let engine = app
        .engine_as(store, label, |builder| {
            let builder = builder.poll(Some(LOOK)).workspaces(workspaces).leave(folder::LABEL);
            builder.serve(serves).share().schedules().hand_out(move |work| hands.take(work))
        })
        .await?;
    if app.output.json().is_some() {
        app.output.print_json_line(&json!({ "at": engine.store().now().await?, "kind": "worker.begun", "worker": engine.owner(), "store": info.location, "queues": engine.serves().queues, "labels": engine.serves().labels }))?;
    } else {
        app.output.note(&format!(
            "working for {} with {} slots on {}; Ctrl-C drains",
            escape::line(&info.location),
            app.settings.slots(),
            escape::line(&told)
        ));
    }
    let ended = follow(app, &engine, &mut signals).await;
    if ended.is_ok() && app.output.json().is_none() {
        let grace = moment::duration(app.settings.grace());
        app.output.note(&format!("draining: running steps have {grace} to end; Ctrl-C again stops at once"));
    }
    let stopped = async {
        engine.stop(app.settings.grace()).await;
        runtime.stop().await;
    };
    tokio::select! {
        () = stopped => {}
        _ = signals.next() => {}
    }
    ended
}

/// Which steps a worker executes.
fn serves(args: &Worker) -> Result<Serves, Problem> {
    let usage = |title: String| Problem::new(Exit::Usage, "usage", title);
    let mut serves = Serves::default();
    for queue in &args.queues {
        if !is_queue_name(queue) {
            let title = format!(
                "--queue {}: the name of a queue is 1 to {MAX_QUEUE_NAME} letters, digits, `_`, `-` and `.`",
                escape::line(queue)
            );
            return Err(usage(title));
        }
        if !serves.queues.iter().any(|known| **known == **queue) {
            serves.queues.push(queue.as_str().into());
        }
    }
    if serves.queues.is_empty() {
        serves.queues.push(DEFAULT_QUEUE.into());
    }
    for label in &args.labels {
        let Some((name, value)) = label.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(usage(format!("--label {}: write KEY=VALUE", escape::line(label))));
        };
        if name.len() > MAX_LABEL || value.len() > MAX_LABEL || label.contains('\0') {
            return Err(usage(format!("--label: a key and a value have at most {MAX_LABEL} bytes")));
        }
        if serves.labels.insert(name.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
            return Err(usage(format!("--label {}: given twice", escape::line(name))));
        }
    }
    Ok(serves)
}

/// What somebody serves, for people: `gpu, default (zone=eu)`.
fn told(serves: &Serves) -> String {
    let queues = serves.queues.join(", ");
    let labels: Vec<String> = serves.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if labels.is_empty() { queues } else { format!("{queues} ({})", labels.join(", ")) }
}

/// Tells of the runs that are driven here, until a signal comes, or nobody can be told any longer.
async fn follow(app: &App, engine: &Engine, signals: &mut Signals) -> Result<Exit, Problem> {
    let mut live = engine.subscribe();
    let mut names: HashMap<RunId, Arc<str>> = HashMap::new();
    loop {
        let told = tokio::select! {
            exit = signals.next() => return Ok(exit),
            told = live.recv() => told,
        };
        match told {
            Ok(Live::Event { run, recorded }) => tell(app, engine, &mut names, run, &recorded).await?,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            // The engine is never dropped before.
            Err(RecvError::Closed) => return Ok(Exit::Ok),
        }
    }
}

/// One line when a run is taken up, one when it has ended. What others have taken, or have brought to an end, is theirs to
/// tell. Where the store cannot say what a run is called, that is left out.
async fn tell(
    app: &App,
    engine: &Engine,
    names: &mut HashMap<RunId, Arc<str>>,
    run: RunId,
    recorded: &Recorded,
) -> Result<(), Problem> {
    let (kind, status) = match &recorded.event {
        Event::DriverTaken(taken) if taken.owner == engine.owner() => ("run.taken", None),
        Event::DriverTaken(_) => {
            names.remove(&run);
            return Ok(());
        }
        Event::RunEnded(ended) if names.contains_key(&run) => ("run.ended", Some(ended.status.as_str())),
        _ => return Ok(()),
    };
    let workflow = match (names.remove(&run), status) {
        (Some(name), _) => name,
        (None, _) => match engine.store().run(run).await {
            Ok(row) => row.map_or_else(|| Arc::from(""), |row| row.new.workflow),
            Err(error) => {
                tracing::debug!(%run, %error, "cannot tell what a run is called");
                Arc::from("")
            }
        },
    };
    if status.is_none() {
        names.insert(run, workflow.clone());
    }
    if app.output.json().is_some() {
        return app.output.print_json_line(&json!({
            "at": recorded.at, "kind": kind, "run_id": run, "workflow": workflow, "status": status,
        }));
    }
    let style = app.output.err();
    let workflow = escape::line(&workflow);
    let line = match status {
        None => format!("{} {run} {workflow}", style.tint(Tint::Dim, "took up")),
        Some(status) => format!("{} {run} {workflow}", style.status(status)),
    };
    app.output.note(line.trim_end());
    Ok(())
}

/// A process that uses the store.
#[derive(Debug, Serialize)]
struct Owner {
    owner: OwnerId,
    label: String,
    /// Until when it counts as alive without renewal.
    deadline: Timestamp,
    /// How many open runs it drives.
    runs: u64,
    /// The queues whose steps it executes.
    queues: Vec<Arc<str>>,
    /// What it has.
    labels: BTreeMap<String, String>,
}

impl Owner {
    fn serves(&self) -> Serves {
        Serves { queues: self.queues.clone(), labels: self.labels.clone() }
    }
}

async fn list(app: &App) -> Result<Exit, Problem> {
    let store = app.store().await?;
    // Whoever has died is known to be dead from here on.
    store.sweep().await?;
    let owners = owners(&store).await?;
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items: owners, next: None })?;
        return Ok(Exit::Ok);
    }
    if owners.is_empty() {
        app.output.note("nobody uses the store now");
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = owners.iter().map(|owner| {
        vec![
            escape::line(&owner.label).into_owned(),
            escape::line(&told(&owner.serves())).into_owned(),
            owner.runs.to_string(),
            moment::relative(owner.deadline, now),
        ]
    });
    app.output.table(&["PROCESS", "SERVES", "DRIVES", "DEADLINE"], rows.collect())?;
    Ok(Exit::Ok)
}

async fn owners(store: &Arc<dyn Store>) -> Result<Vec<Owner>, StoreError> {
    let mut drives: HashMap<OwnerId, u64> = HashMap::new();
    let mut after = None;
    loop {
        let query = RunQuery { open: true, after, limit: PAGE, ..RunQuery::default() };
        let page = store.list_runs(query).await?;
        for driver in page.items.iter().filter_map(|row| row.driver) {
            *drives.entry(driver).or_default() += 1;
        }
        after = page.items.last().map(|row| row.run);
        if !page.more {
            break;
        }
    }
    let owners =
        store.owners().await?.into_iter().map(|OwnerRow { id, label, deadline, serves, .. }| Owner {
            runs: drives.get(&id).copied().unwrap_or_default(),
            owner: id,
            label,
            deadline,
            queues: serves.queues,
            labels: serves.labels,
        });
    Ok(owners.collect())
}
