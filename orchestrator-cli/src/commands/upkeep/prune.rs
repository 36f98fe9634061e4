//! `prune`.

use std::time::Duration;

use orchestrator_core::port::store::{Prune, Pruned, Store};
use orchestrator_core::time::Timestamp;
use serde_json::json;

use super::kept::Kept;
use crate::app::App;
use crate::args;
use crate::exit::Exit;
use crate::output::{Problem, size};
use crate::signals::Signals;
use crate::span::parse_duration;

/// How many runs go between two looks whether we were told to stop.
const BATCH: usize = 1024;

pub(crate) async fn prune(app: &App, args: &args::Prune) -> Result<Exit, Problem> {
    let usage = |why| Problem::new(Exit::Usage, "usage", format!("--older-than: {why}"));
    let age = parse_duration(&args.older_than).map_err(usage)?;
    let mut signals = Signals::catch()?;
    let kept = Kept::to_change(app).await?;
    let store = kept.store();
    let before = earlier(store.now().await?, age);
    let footprint = kept.footprint().await?;
    let (pruned, stopped) = if args.dry_run {
        let all = Prune { project: None, before, limit: usize::MAX, dry: true };
        (store.prune(all).await?, None)
    } else {
        remove(store, before, &mut signals).await?
    };
    let mut freed = footprint.map(|_| 0);
    let mut in_use = false;
    if let Some(footprint) = footprint.filter(|_| !args.dry_run && pruned.runs > 0 && stopped.is_none()) {
        // Whoever has died is known to be dead from here on.
        store.sweep().await?;
        in_use = kept.survey().await?.alive > 0;
        if !in_use {
            kept.shrink().await?;
            freed = kept.footprint().await?.map(|now| footprint.saturating_sub(now));
        }
    }
    store.close().await?;
    let summary = Summary { pruned, before, age: &args.older_than, freed, in_use, dry: args.dry_run };
    tell(app, &summary)?;
    Ok(stopped.unwrap_or(Exit::Ok))
}

/// Removes batch after batch, until nothing is left or we are told to stop.
async fn remove(
    store: &dyn Store,
    before: Timestamp,
    signals: &mut Signals,
) -> Result<(Pruned, Option<Exit>), Problem> {
    let mut sum = Pruned::default();
    loop {
        let batch = store.prune(Prune { project: None, before, limit: BATCH, dry: false });
        tokio::pin!(batch);
        let (these, told) = tokio::select! {
            these = &mut batch => (these?, None),
            // The batch runs to its end: what it removes is counted.
            exit = signals.next() => (batch.await?, Some(exit)),
        };
        sum.runs += these.runs;
        sum.events += these.events;
        sum.lines += these.lines;
        sum.values += these.values;
        sum.strays += these.strays;
        sum.more = these.more;
        if told.is_some() || !these.more {
            return Ok((sum, told));
        }
    }
}

fn earlier(now: Timestamp, age: Duration) -> Timestamp {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

/// What is told.
struct Summary<'a> {
    pruned: Pruned,
    before: Timestamp,
    age: &'a str,
    /// In bytes; `None` where a server takes care of it.
    freed: Option<u64>,
    in_use: bool,
    dry: bool,
}

fn tell(app: &App, summary: &Summary<'_>) -> Result<(), Problem> {
    let Summary { pruned, before, age, freed, in_use, dry } = summary;
    if app.output.json().is_some() {
        return app.output.print_json(&json!({
            "dry_run": dry,
            "before": before,
            "runs": pruned.runs,
            "events": pruned.events,
            "lines": pruned.lines,
            "values": pruned.values,
            "strays": pruned.strays,
            "freed_bytes": freed,
        }));
    }
    let counted = |count: u64, one: &str, more: &str| {
        format!("{} {}", size::count(count), if count == 1 { one } else { more })
    };
    let verb = if *dry { "would remove" } else { "removed" };
    if pruned.strays > 0 {
        let strays = counted(pruned.strays, "offer or delivery", "offers and deliveries");
        app.output.print(&format!("{verb} {strays} of runs that are not there"))?;
    }
    if pruned.runs == 0 {
        return app.output.print(&format!("no run ended more than {age} ago"));
    }
    app.output.print(&format!(
        "{verb} {} that ended more than {age} ago: {}, {}, {}",
        counted(pruned.runs, "run", "runs"),
        counted(pruned.events, "event", "events"),
        counted(pruned.lines, "line of output", "lines of output"),
        counted(pruned.values, "value", "values"),
    ))?;
    if *dry {
        app.output.note(&format!("  {}", app.shell.command(&format!("prune --older-than {age}"))));
    } else if *in_use {
        app.output.note("  the file keeps its size while something runs here; the space is used again");
    } else if let Some(freed) = freed.filter(|freed| *freed > 0) {
        app.output.print(&format!("gave {} back", size::bytes(freed)))?;
    }
    Ok(())
}
