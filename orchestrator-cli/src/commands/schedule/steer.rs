//! `schedule pause`, `resume` and `delete`.

use std::sync::Arc;

use orchestrator_core::engine::StoredSchedule;
use orchestrator_core::port::store::{DeleteDocument, Put, Store};
use orchestrator_core::schedule::KIND;
use orchestrator_core::time::Timestamp;
use serde_json::json;

use crate::app::App;
use crate::commands::schedule::create::invalid_cron;
use crate::commands::schedule::named;
use crate::exit::Exit;
use crate::output::scheduled::ScheduleItem;
use crate::output::{Problem, escape, moment};
use crate::registered::PROJECT;

/// How often a change is tried while workers move the schedule on.
const TRIALS: usize = 16;

pub(crate) async fn pause(app: &App, name: &str) -> Result<Exit, Problem> {
    let store = app.store_to_change().await?;
    let pause = |stored: &mut StoredSchedule, _| {
        stored.pause();
        Ok(())
    };
    let (stored, _) = change(app, &store, name, |stored| stored.paused, pause).await?;
    tell(app, &stored, "paused")
}

pub(crate) async fn resume(app: &App, name: &str) -> Result<Exit, Problem> {
    let store = app.store_to_change().await?;
    // One that fails, or whose next time was reckoned by a clock that was wrong, begins anew.
    let resume = |stored: &mut StoredSchedule, now| stored.resume(now).map_err(|fault| invalid_cron(&fault));
    let (stored, now) = change(app, &store, name, |_| false, resume).await?;
    let next = stored.next.map(|next| format!(", next {} ({next})", moment::relative(next, now)));
    tell(app, &stored, &format!("resumed{}", next.unwrap_or_default()))
}

/// Changes a schedule, unless it is so already.
async fn change(
    app: &App,
    store: &Arc<dyn Store>,
    name: &str,
    is_so: impl Fn(&StoredSchedule) -> bool,
    change: impl Fn(&mut StoredSchedule, Timestamp) -> Result<(), Problem>,
) -> Result<(StoredSchedule, Timestamp), Problem> {
    for _ in 0..TRIALS {
        let mut stored = named::schedule(store, name, &app.shell).await?;
        let now = store.now().await?;
        if is_so(&stored) {
            return Ok((stored, now));
        }
        change(&mut stored, now)?;
        if let Put::Written(number) = store.put_document(stored.put(now)).await? {
            stored.number = number;
            return Ok((stored, now));
        }
    }
    Err(contended(name))
}

pub(crate) async fn delete(app: &App, name: &str) -> Result<Exit, Problem> {
    let store = app.store_to_change().await?;
    for _ in 0..TRIALS {
        let stored = named::schedule(&store, name, &app.shell).await?;
        let delete = DeleteDocument {
            project: PROJECT.into(),
            kind: KIND.into(),
            name: stored.name.clone(),
            expected: stored.number,
        };
        if store.delete_document(delete).await? {
            if app.output.json().is_some() {
                app.output.print_json(&json!({ "schedule": stored.name, "deleted": true }))?;
            } else {
                app.output.print(&format!("{}: deleted", escape::line(&stored.name)))?;
            }
            return Ok(Exit::Ok);
        }
    }
    Err(contended(name))
}

fn contended(name: &str) -> Problem {
    let title = format!("somebody else keeps changing the schedule `{name}`");
    Problem::new(Exit::Conflict, "schedule_conflict", title).hint("try again")
}

fn tell(app: &App, stored: &StoredSchedule, what: &str) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        app.output.print_json(&ScheduleItem::from(stored))?;
    } else {
        app.output.print(&format!("{}: {what}", escape::line(&stored.name)))?;
    }
    Ok(Exit::Ok)
}
