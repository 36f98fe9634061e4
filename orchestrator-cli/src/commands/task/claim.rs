//! `task claim`.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{ClaimTask, ClaimedTask, Engine, FindTasks, TaskEnd, TaskError, TaskRight};
use orchestrator_core::port::store::Store;

use crate::app::App;
use crate::args::ClaimTaskArgs;
use crate::commands::runs::Changes;
use crate::commands::task::found::{LOOK, duration, find as asked, refused};
use crate::commands::task::list;
use crate::exit::Exit;
use crate::output::tasked::{ClaimedShape, HeldPaths, ReadyItem, TaskItem};
use crate::output::{Problem, block, escape};
use crate::signals::Signals;
use crate::span::millis;
use crate::{find, user};

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
    let told = match claimed {
        Ok(Ok(claimed)) => {
            let right = TaskRight { run: claimed.task.ticket.run, token: claimed.token };
            let told = tell(app, claimed);
            if told.is_err() {
                // Nobody was told of it: others can have it at once.
                let _ = engine.end_task(right, TaskEnd::Released).await;
            }
            told
        }
        Ok(Err(exit)) => Ok(exit),
        Err(problem) => Err(problem),
    };
    engine.stop(app.settings.grace()).await;
    told
}

/// What was claimed, or how the wait for it was ended.
type Claimed = Result<Result<ClaimedTask, Exit>, Problem>;

async fn claim_now(app: &App, engine: &Engine, wish: &ClaimTask) -> Claimed {
    match try_once(app, engine, wish).await? {
        Tried::Claimed(claimed) => Ok(Ok(*claimed)),
        Tried::Obstructed(problem) => Err(problem),
        Tried::InVain => {
            let title = "no task can be claimed now";
            Err(Problem::new(Exit::Waiting, "nothing_to_claim", title)
                .tries(app.shell.command("task ready --all")))
        }
    }
}

async fn claim_in_time(app: &App, engine: &Engine, wish: &ClaimTask, patience: Duration) -> Claimed {
    let mut signals = Signals::catch()?;
    let patience = tokio::time::sleep(patience.min(Duration::from_secs(u64::from(u32::MAX))));
    tokio::pin!(patience);
    let mut changes = Changes::of(engine.store()).await?;
    loop {
        // Not to be broken off: what was claimed must be told.
        if let Tried::Claimed(claimed) = try_once(app, engine, wish).await? {
            return Ok(Ok(*claimed));
        }
        tokio::select! {
            exit = signals.next() => return Ok(Err(exit)),
            () = &mut patience => {
                let title = "no task could be claimed in time";
                let problem = Problem::new(Exit::Cancelled, "timed_out", title);
                return Err(problem.tries(app.shell.command("task ready --all")));
            }
            changed = changes.next(LOOK) => changed?,
        }
    }
}

/// What came of an attempt to claim a task.
enum Tried {
    Claimed(Box<ClaimedTask>),
    /// Something is in the way of the one that was named.
    Obstructed(Problem),
    /// None can be claimed now.
    InVain,
}

/// Claims one, if one can be claimed.
///
/// # Errors
/// Exit 4 if none is open at all.
async fn try_once(app: &App, engine: &Engine, wish: &ClaimTask) -> Result<Tried, Problem> {
    match engine.claim_task(wish).await {
        Ok(Some(claimed)) => return Ok(Tried::Claimed(Box::new(claimed))),
        Ok(None) => {}
        Err(error @ TaskError::Obstructed { .. }) => return Ok(Tried::Obstructed(refused(app, error))),
        Err(error) => return Err(refused(app, error)),
    }
    let open = FindTasks { all: true, limit: 1, ..wish.find.clone() };
    if !engine.open_tasks(&open).await?.is_empty() || is_one_to_come(engine.store(), wish).await? {
        return Ok(Tried::InVain);
    }
    let title = "no task is open";
    Err(Problem::new(Exit::NotFound, "no_open_task", title).tries(app.shell.command("task list")))
}

/// Whether a task that has not ended is offered to nobody now: it is paused, or is to be tried again in a moment.
async fn is_one_to_come(store: &Arc<dyn Store>, wish: &ClaimTask) -> Result<bool, Problem> {
    let mut after = None;
    loop {
        let page = list::open_page(store, after).await?;
        let fits = |item: &TaskItem| {
            (wish.find.kinds.is_empty() || wish.find.kinds.contains(&item.kind))
                && wish.find.labels.iter().all(|(name, value)| item.labels.get(name) == Some(value))
        };
        let is_dark =
            |item: &TaskItem| item.status == "paused" || item.status == "blocked" && item.why.is_none();
        if page.items.iter().any(|item| is_dark(item) && fits(item)) {
            return Ok(true);
        }
        after = page.next;
        if after.is_none() {
            return Ok(false);
        }
    }
}

fn tell(app: &App, claimed: ClaimedTask) -> Result<Exit, Problem> {
    let ClaimedTask { task, token, until, ttl, prompt, data, holds, .. } = claimed;
    let (task, ttl_ms, paths) = (ReadyItem::from(task), millis(ttl), HeldPaths::of(&holds));
    let shape = ClaimedShape { task, token, until, ttl_ms, prompt, data, paths };
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
    if let Some(HeldPaths { workspace, read, write }) = &shape.paths {
        app.output.print(&format!("holds in the workspace {}:", escape::line(workspace)))?;
        for (what, globs) in
            [("write", write), ("read", read)].into_iter().filter(|(_, globs)| !globs.is_empty())
        {
            app.output.print(&format!("  {what:<5}  {}", escape::line(&globs.join(", "))))?;
        }
    }
    app.output.print(&format!("token: {token}"))?;
    let command = |words: &str| app.shell.command(&format!("task {words} {run} --token {token}"));
    app.output.note(&format!("yours until {until}; to keep it: {}", command("heartbeat")));
    app.output.note(&format!("when it is done: {}", command("complete")));
    Ok(Exit::Ok)
}
