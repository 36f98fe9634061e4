//! `task watch`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::Store;
use serde::Serialize;

use crate::app::App;
use crate::args::WatchTasks;
use crate::commands::runs::Changes;
use crate::commands::task::found::LOOK;
use crate::commands::task::list::page;
use crate::exit::Exit;
use crate::output::tasked::TaskItem;
use crate::output::{Problem, escape};
use crate::signals::Signals;

/// A task that has changed.
#[derive(Serialize)]
struct Changed<'a> {
    at: orchestrator_core::time::Timestamp,
    #[serde(flatten)]
    task: &'a TaskItem,
}

pub(crate) async fn carry_out(app: &App, args: &WatchTasks) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let mut signals = Signals::catch()?;
    tokio::select! {
        exit = signals.next() => Ok(exit),
        ended = follow(app, &store, args.follow) => ended,
    }
}

async fn follow(app: &App, store: &Arc<dyn Store>, forever: bool) -> Result<Exit, Problem> {
    let mut known: HashMap<RunId, TaskItem> = HashMap::new();
    let mut changes = Changes::of(store).await?;
    let mut is_first = true;
    loop {
        let open = tell_changes(app, store, &mut known, is_first).await?;
        if open == 0 && !forever {
            app.output.note("no task is open");
            return Ok(Exit::Ok);
        }
        is_first = false;
        changes.next(LOOK).await?;
    }
}

/// Tells of each task that has changed, and gives how many are open. What had ended before the first look is not told.
async fn tell_changes(
    app: &App,
    store: &Arc<dyn Store>,
    known: &mut HashMap<RunId, TaskItem>,
    is_first: bool,
) -> Result<usize, Problem> {
    let (mut after, mut open, mut changed) = (None, 0, Vec::new());
    let mut unseen: HashSet<RunId> =
        known.values().filter(|item| item.finished_at.is_none()).map(|item| item.run_id).collect();
    loop {
        let page = page(store, after).await?;
        // Once all that were open are seen, there is nothing behind what is known but what had ended before.
        let is_old = page.items.iter().all(|item| known.get(&item.run_id) == Some(item));
        for item in page.items {
            unseen.remove(&item.run_id);
            let has_ended = item.finished_at.is_some();
            open += usize::from(!has_ended);
            if known.get(&item.run_id) != Some(&item) {
                if !(is_first && has_ended) {
                    changed.push(item.clone());
                }
                known.insert(item.run_id, item);
            }
        }
        after = page.next;
        if after.is_none() || is_old && unseen.is_empty() {
            break;
        }
    }
    let at = store.now().await?;
    // The oldest first.
    for task in changed.iter().rev() {
        if app.output.json().is_some() {
            app.output.print_json_line(&Changed { at, task })?;
            continue;
        }
        let by = match (&task.claimed_by, &task.why) {
            (Some(by), _) => format!(" by {by}"),
            (None, Some(why)) => format!(": {why}"),
            (None, None) => String::new(),
        };
        let line = format!("{} {}{by}", task.title, task.status);
        app.output.print(&format!("{at}  {}  {}", task.run_id, escape::line(&line)))?;
    }
    Ok(open)
}
