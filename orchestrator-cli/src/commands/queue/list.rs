//! `queue list`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::RUNS_QUEUE;
use orchestrator_core::time::Timestamp;

use crate::app::App;
use crate::commands::queue::{count, dead};
use crate::exit::Exit;
use crate::output::queued::QueueItem;
use crate::output::shapes::ListShape;
use crate::output::{Problem, escape, moment};

pub(crate) async fn carry_out(app: &App) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let bell = app.bell()?;
    let dead = match &bell {
        Some(bell) => dead::count(&**bell).await,
        None => Ok((BTreeMap::new(), false)),
    };
    // What is rung for anybody, and what has nothing but dead letters.
    let also = dead.iter().flat_map(|(dead, _)| dead.keys().cloned());
    let also: BTreeSet<Arc<str>> = also.chain(bell.iter().map(|_| RUNS_QUEUE.into())).collect();
    let count::Census { mut queues, is_partial } = count::census(&store, also).await?;
    let rings = match &bell {
        Some(bell) => count::add_rings(&**bell, &mut queues).await,
        None => Ok(()),
    };
    if let Some(error) = dead.err().or(rings.err()) {
        app.output.note(&format!("warning: {error}"));
    }
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items: queues, next: None })?;
        return Ok(Exit::Ok);
    }
    if queues.is_empty() {
        app.output.note("nobody serves a queue, and nothing waits for one");
        app.output.note(&format!("  {}", app.shell.command("worker")));
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = queues.iter().map(|queue| line(queue, now)).collect();
    let titles =
        ["QUEUE", "STATUS", "WORKERS", "SLOTS", "WAITING", "CLAIMED", "OLDEST", "CLAIM WAIT", "RUNG", "DEAD"];
    let has_bell = queues.iter().any(|queue| queue.rung.is_some());
    app.output.table(&titles[..titles.len() - if has_bell { 0 } else { 2 }], rows)?;
    for queue in &queues {
        if let Some(since) = queue.pause.since {
            let by = escape::line(queue.pause.by.as_deref().unwrap_or_default()).into_owned();
            let name = &queue.pause.queue;
            let resume = app.shell.resume_queue(name);
            app.output.note(&format!("{name} is paused since {since} by {by}: {resume}"));
        }
    }
    if is_partial {
        app.output.note("not all open runs were asked for steps that nobody is offered");
    }
    Ok(Exit::Ok)
}

fn line(queue: &QueueItem, now: Timestamp) -> Vec<String> {
    let none = || "-".to_owned();
    let mut cells = vec![
        queue.pause.queue.to_string(),
        queue.pause.status.to_owned(),
        queue.workers.len().to_string(),
        if queue.slots > 0 { queue.slots.to_string() } else { none() },
        (queue.offered + queue.held).to_string(),
        queue.claimed.to_string(),
        queue.oldest_at.map_or_else(none, |at| moment::duration(now.since(at))),
        queue.claim_wait_ms.map_or_else(none, |wait| moment::duration(Duration::from_millis(wait))),
    ];
    cells.extend([queue.rung, queue.dead].into_iter().flatten().map(|count| count.to_string()));
    cells
}
