//! `runs list`.

use std::collections::{HashMap, HashSet};

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{RunQuery, RunRow};
use orchestrator_core::time::Timestamp;

use crate::app::App;
use crate::args::ListRuns;
use crate::exit::Exit;
use crate::find;
use crate::output::shapes::{ListShape, RunItem};
use crate::output::{Problem, escape, moment};

/// The fewest hex digits of an id that are shown: those of its time in milliseconds and one more.
const SHORTEST: usize = 13;

pub(crate) async fn carry_out(app: &App, args: &ListRuns) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let after = match &args.after {
        Some(run) => Some(find::run(&store, run, &app.shell).await?),
        None => None,
    };
    let query = RunQuery {
        statuses: args.status.clone(),
        workflow: args.workflow.clone(),
        open: args.open,
        top: !args.children,
        after,
        limit: usize::from(args.limit),
        ..RunQuery::default()
    };
    let page = store.list_runs(query).await?;
    let next = page.items.last().filter(|_| page.more).map(|row| row.run);
    if app.output.json().is_some() {
        let items = page.items.iter().map(RunItem::from).collect();
        app.output.print_json(&ListShape { items, next: next.map(|run| run.to_string()) })?;
        return Ok(Exit::Ok);
    }
    if page.items.is_empty() {
        app.output.note(
            if args.status.is_empty() && args.workflow.is_none() && !args.open && after.is_none() {
                "no runs yet"
            } else {
                "no such runs"
            },
        );
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let digits = shown_digits(&page.items);
    let rows = below_parents(&page.items).into_iter().map(|(depth, row)| cells(row, depth, digits, now));
    let rows = rows.collect();
    app.output.table(&["RUN", "WORKFLOW", "STATUS", "STEPS", "STARTED", "TOOK"], rows)?;
    if let Some(next) = next {
        app.output.note(&format!("\nmore: {}", app.shell.command(&format!("runs list --after {next}"))));
    }
    Ok(Exit::Ok)
}

/// Runs that carry out steps below the runs that they do it for, the first one first; each with how deep it is. One whose
/// parent is not among the rows stands where it is.
fn below_parents(rows: &[RunRow]) -> Vec<(usize, &RunRow)> {
    let listed: HashSet<RunId> = rows.iter().map(|row| row.run).collect();
    let mut children: HashMap<RunId, Vec<&RunRow>> = HashMap::new();
    let parent = |row: &RunRow| row.new.parent.map(|parent| parent.run).filter(|run| listed.contains(run));
    for row in rows {
        if let Some(parent) = parent(row) {
            children.entry(parent).or_default().push(row);
        }
    }
    // The rows come newest first; what is taken from the end is the oldest child of the latest run.
    let mut open: Vec<_> =
        rows.iter().rev().filter(|row| parent(row).is_none()).map(|row| (0, row)).collect();
    let mut ordered = Vec::with_capacity(rows.len());
    while let Some((depth, row)) = open.pop() {
        ordered.push((depth, row));
        open.extend(children.get(&row.run).into_iter().flatten().map(|child| (depth + 1, *child)));
    }
    ordered
}

fn cells(row: &RunRow, depth: usize, digits: usize, now: Timestamp) -> Vec<String> {
    let mut workflow = format!("{:width$}{}", "", escape::line(&row.new.workflow), width = 2 * depth);
    if let Some(parent) = row.new.parent.filter(|_| depth == 0) {
        let id: String = parent.run.to_string().chars().take(RunId::PREFIX.len() + digits).collect();
        workflow.push_str(&format!(" (of {id})"));
    }
    if let Some(name) = row.new.labels.get("name") {
        workflow.push_str(&format!(" ({})", escape::line(name)));
    }
    let took = row.started_at.map(|start| row.finished_at.unwrap_or(now).since(start));
    vec![
        row.run.to_string().chars().take(RunId::PREFIX.len() + digits).collect(),
        workflow,
        row.status.to_string(),
        format!("{}/{}", row.done, row.new.steps),
        moment::relative(begins(row, now).unwrap_or(row.created_at), now),
        took.map(moment::duration).unwrap_or_default(),
    ]
}

/// When a run is to begin that is put off.
fn begins(row: &RunRow, now: Timestamp) -> Option<Timestamp> {
    row.due_at.filter(|due| &*row.status == "pending" && row.generation == 1 && *due > now)
}

/// How many hex digits tell the listed runs apart.
fn shown_digits(rows: &[RunRow]) -> usize {
    let mut ids: Vec<String> = rows.iter().map(|row| row.run.as_uuid().simple().to_string()).collect();
    ids.sort_unstable();
    let shared = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(|pair| shared(pair) + 1).max().unwrap_or(0).max(SHORTEST)
}
