//! `task claim`.

use std::time::Duration;

use orchestrator_core::engine::{ClaimTask, ClaimedTask, Engine, FindTasks};

use crate::app::App;
use crate::args::ClaimTaskArgs;
use crate::commands::runs::Changes;
use crate::commands::task::found::{duration, find as asked, refused};
use crate::exit::Exit;
use crate::output::tasked::{ClaimedShape, ReadyItem, millis};
use crate::output::{Problem, block, escape};
use crate::signals::Signals;
use crate::{find, user};

/// How often it is looked for claims that are over, which nothing tells of.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn carry_out(app: &App, args: &ClaimTaskArgs) -> Result<Exit, Problem> {
    let wait = match args.wait.as_deref() {
        None => None,
        Some("") => Some(Duration::MAX),
        Some(text) => Some(duration("--wait", text)?),
    };
    let ttl = args.ttl.as_deref().map(|text| duration("--ttl", text)).transpose()?;
    let by = args.by.clone().unwrap_or_else(|| format!("{} on {}", user::name(), user::process()));
    let mut wish = ClaimTask { find: asked(&args.which)?, by, ttl };
    let store = app.store_to_change().await?;
    if let Some(task) = &args.task {
        wish.find.run = Some(find::run(&store, task, &app.shell).await?);
    }
    let engine = app.engine(store, &app.cwd).await?;
    let claimed = match wait {
        None => claim_now(app, &engine, &wish).await,
        Some(patience) => claim_in_time(app, &engine, &wish, patience).await,
    };
    engine.stop(app.settings.grace()).await;
    match claimed? {
        Ok(claimed) => tell(app, claimed),
        Err(exit) => Ok(exit),
    }
}

/// What was claimed, or how the wait for it was ended.
type Claimed = Result<Result<ClaimedTask, Exit>, Problem>;

async fn claim_now(app: &App, engine: &Engine, wish: &ClaimTask) -> Claimed {
    match try_once(app, engine, wish).await? {
        Some(claimed) => Ok(Ok(claimed)),
        None => {
            let title = "no task can be claimed now";
            Err(Problem::new(Exit::Waiting, "nothing_to_claim", title)
                .tries(app.shell.command("task ready --all")))
        }
    }
}

async fn claim_in_time(app: &App, engine: &Engine, wish: &ClaimTask, patience: Duration) -> Claimed {
    let mut signals = Signals::catch()?;
    let patience = patience.min(Duration::from_secs(u64::from(u32::MAX)));
    let waits = async {
        let mut changes = Changes::of(engine.store()).await?;
        loop {
            match try_once(app, engine, wish).await {
                Ok(Some(claimed)) => return Ok(claimed),
                // Somebody has it, or something is in the way.
                Err(problem) if problem.exit() != Exit::Conflict => return Err(problem),
                Ok(None) | Err(_) => {}
            }
            changes.next(LOOK).await?;
        }
    };
    tokio::select! {
        exit = signals.next() => Ok(Err(exit)),
        () = tokio::time::sleep(patience) => {
            let title = "no task could be claimed in time";
            Err(Problem::new(Exit::Cancelled, "timed_out", title).tries(app.shell.command("task ready --all")))
        }
        claimed = waits => claimed.map(Ok),
    }
}

/// Claims one, if one can be claimed.
///
/// # Errors
/// Exit 4 if none is open at all.
async fn try_once(app: &App, engine: &Engine, wish: &ClaimTask) -> Result<Option<ClaimedTask>, Problem> {
    if let Some(claimed) = engine.claim_task(wish).await.map_err(|error| refused(app, error))? {
        return Ok(Some(claimed));
    }
    let open = FindTasks { all: true, limit: 1, ..wish.find.clone() };
    if engine.open_tasks(&open).await?.is_empty() {
        let title = "no task is open";
        return Err(Problem::new(Exit::NotFound, "no_open_task", title).tries(app.shell.command("task list")));
    }
    Ok(None)
}

fn tell(app: &App, claimed: ClaimedTask) -> Result<Exit, Problem> {
    let ClaimedTask { task, token, until, ttl, prompt, data, .. } = claimed;
    let shape = ClaimedShape { task: ReadyItem::from(task), token, until, ttl_ms: millis(ttl), prompt, data };
    if app.output.json().is_some() {
        app.output.print_json(&shape)?;
        return Ok(Exit::Ok);
    }
    let run = shape.task.run_id;
    app.output.print(&format!("{run}: {}", escape::line(&shape.task.title)))?;
    if shape.task.attempt > 1 {
        app.output.print(&format!("  attempt {}: see what the ones before have left", shape.task.attempt))?;
    }
    if !shape.prompt.is_empty() {
        app.output.print(&block::value(&serde_json::Value::from(&*shape.prompt), 2))?;
    }
    app.output.print(&format!("token: {token}"))?;
    let command = |words: &str| app.shell.command(&format!("task {words} {run} --token {token}"));
    app.output.note(&format!("yours until {until}; to keep it: {}", command("heartbeat")));
    app.output.note(&format!("when it is done: {}", command("complete")));
    Ok(Exit::Ok)
}
