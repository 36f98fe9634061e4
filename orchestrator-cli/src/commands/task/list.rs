//! `task list` and `task show`.

use std::collections::HashMap;
use std::sync::Arc;

use orchestrator_core::engine::{
    FindTasks, Obstacle, OpenTask, RunReport, TASK_WORKFLOW, read_report, read_tasks,
};
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{RunQuery, RunRow, Store};
use orchestrator_core::time::Timestamp;
use serde_json::{Value, json};

use crate::app::{App, no_run};
use crate::args::ListTasks;
use crate::exit::Exit;
use crate::find;
use crate::inputs::pairs;
use crate::output::shapes::ListShape;
use crate::output::tasked::{TaskItem, TaskShape};
use crate::output::{Problem, block, escape, moment};

/// How many runs are read at once.
const PAGE: usize = 200;

pub(crate) async fn carry_out(app: &App, args: &ListTasks) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let labels = pairs("--label", &args.labels)?;
    let mut after = match &args.after {
        Some(task) => Some(find::run(&store, task, &app.shell).await?),
        None => None,
    };
    let (most, mut items, mut more) = (usize::from(args.limit), Vec::new(), true);
    while more && items.len() <= most {
        let page = page(&store, after).await?;
        (after, more) = (page.next, page.next.is_some());
        items.extend(page.items.into_iter().filter(|item| {
            (args.status.is_empty() || args.status.contains(&item.status))
                && (args.kinds.is_empty() || args.kinds.contains(&item.kind))
                && labels.iter().all(|(name, value)| item.labels.get(name) == Some(value))
        }));
    }
    let more = items.len() > most;
    items.truncate(most);
    let next = items.last().filter(|_| more).map(|item| item.run_id.to_string());
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items, next })?;
        return Ok(Exit::Ok);
    }
    if items.is_empty() {
        app.output.note("no such tasks");
        app.output.note(&format!("  {}", app.shell.command("task create TITLE")));
        app.output.note(&format!("tasks of workflows: {}", app.shell.command("task ready --all")));
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = items.iter().map(|item| cells(item, now)).collect();
    app.output.table(&["TASK", "TITLE", "TYPE", "STATUS", "CREATED", "WHY"], rows)?;
    if let Some(next) = next {
        app.output.note(&format!("\nmore: {}", app.shell.command(&format!("task list --after {next}"))));
    }
    Ok(Exit::Ok)
}

pub(crate) async fn show(app: &App, named: &str) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let run = find::run(&store, named, &app.shell).await?;
    let shape = shape(&store, run).await?;
    if app.output.json().is_some() {
        app.output.print_json(&shape)?;
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    app.output.print(&told(app, &shape, now))?;
    Ok(Exit::Ok)
}

/// Some tasks, the newest first, and where the next ones are.
pub(super) struct Page {
    pub(super) items: Vec<TaskItem>,
    pub(super) next: Option<RunId>,
}

/// The tasks after one.
pub(super) async fn page(store: &Arc<dyn Store>, after: Option<RunId>) -> Result<Page, Problem> {
    page_of(store, RunQuery { after, ..RunQuery::default() }).await
}

/// The tasks after one that have not ended.
pub(super) async fn open_page(store: &Arc<dyn Store>, after: Option<RunId>) -> Result<Page, Problem> {
    page_of(store, RunQuery { after, open: true, ..RunQuery::default() }).await
}

async fn page_of(store: &Arc<dyn Store>, query: RunQuery) -> Result<Page, Problem> {
    let workflow = Some(TASK_WORKFLOW.to_owned());
    let query = RunQuery { workflow, top: true, limit: PAGE, ..query };
    let page = store.list_runs(query).await?;
    let next = page.items.last().filter(|_| page.more).map(|row| row.run);
    let open = open_tasks(store, &page.items).await?;
    let mut items = Vec::new();
    for row in &page.items {
        // One that only goes by the name of a task is none.
        items.extend(item(store, row, open.get(&row.run)).await?);
    }
    Ok(Page { items, next })
}

/// What is known of those that have not ended.
async fn open_tasks(store: &Arc<dyn Store>, rows: &[RunRow]) -> Result<HashMap<RunId, OpenTask>, Problem> {
    let mut open = HashMap::new();
    let few = rows.iter().filter(|row| row.finished_at.is_none()).count() <= PAGE / 8;
    let all = FindTasks { all: true, limit: usize::MAX, ..FindTasks::default() };
    let found = if few {
        let mut found = Vec::new();
        for row in rows.iter().filter(|row| row.finished_at.is_none()) {
            found.extend(read_tasks(&**store, &FindTasks { run: Some(row.run), ..all.clone() }).await?);
        }
        found
    } else {
        read_tasks(&**store, &all).await?
    };
    open.extend(found.into_iter().map(|task| (task.ticket.run, task)));
    Ok(open)
}

async fn item(
    store: &Arc<dyn Store>,
    row: &RunRow,
    open: Option<&OpenTask>,
) -> Result<Option<TaskItem>, Problem> {
    let inputs = match &row.new.inputs {
        inputs if row.new.steps == 1 => read(store, row.run, inputs).await?,
        _ => return Ok(None),
    };
    let Some(title) = inputs["title"].as_str() else { return Ok(None) };
    let attempts = store.steps(row.run).await?.first().map_or(0, |step| step.attempts);
    Ok(Some(made(row, title, &inputs, attempts, open)))
}

async fn read(
    store: &Arc<dyn Store>,
    run: RunId,
    value: &orchestrator_core::value::ValueRef,
) -> Result<Value, Problem> {
    use orchestrator_core::value::ValueRef;
    let body = match value {
        ValueRef::Inline(body) => Some(body.clone()),
        ValueRef::Stored(stored) => store.value(run, stored.digest).await?,
    };
    Ok(body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null))
}

fn made(row: &RunRow, title: &str, inputs: &Value, attempts: u32, open: Option<&OpenTask>) -> TaskItem {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let labels = inputs["labels"].as_object().into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let obstacle = open.and_then(|task| task.obstacle.as_ref());
    let (status, claimed) = match obstacle {
        _ if row.finished_at.is_some() || &*row.status == "paused" => (&*row.status, None),
        Some(Obstacle::Claimed { by, until }) => ("claimed", Some((by.clone(), *until))),
        // Where something is required, somebody who has that can claim it; and whoever looks next sees to a claim that is over.
        Some(Obstacle::Lacks { .. } | Obstacle::Unnoticed) => ("queued", None),
        None if open.is_some() => ("queued", None),
        // Something is in the way; or it is about to be offered, or waits for somebody to look at it.
        _ => ("blocked", None),
    };
    TaskItem {
        run_id: row.run,
        title: title.to_owned(),
        kind: inputs["type"].as_str().and_then(|kind| kind.parse().ok()).unwrap_or_default(),
        status: status.to_owned(),
        priority: row.new.priority,
        labels: labels.collect(),
        depends_on: texts(&inputs["depends_on"]),
        project: row.new.project.clone(),
        by: row.new.by.clone(),
        created_at: row.created_at,
        finished_at: row.finished_at,
        attempts,
        claimed_until: claimed.as_ref().map(|(_, until)| *until),
        why: obstacle.filter(|_| claimed.is_none()).map(ToString::to_string),
        claimed_by: claimed.map(|(by, _)| by),
        error: row.error.as_deref().map(str::to_owned),
    }
}

/// A task, whole.
pub(super) async fn shape(store: &Arc<dyn Store>, run: RunId) -> Result<TaskShape, Problem> {
    let row = store.run(run).await?.ok_or_else(|| no_run(&run.to_string()))?;
    let open = open_tasks(store, std::slice::from_ref(&row)).await?;
    let not_a_task = || {
        let title = format!("{run} is a run of `{}`, and no task of its own", row.new.workflow);
        Problem::new(Exit::Invalid, "not_a_task", title)
            .hint("`runs show` and `runs cancel` are for runs; `task ready --all` lists its open tasks")
    };
    let mut item = item(store, &row, open.get(&run)).await?.ok_or_else(not_a_task)?;
    let report = read_report(&**store, run).await?.ok_or_else(|| no_run(&run.to_string()))?;
    let step = report.steps.first();
    if item.status == "blocked" && item.why.is_none() {
        item.why = report.waiting_for.first().map(|waiting| waiting.message.clone());
    }
    let inputs = &report.inputs;
    let text = |name: &str| inputs[name].as_str().unwrap_or_default().to_owned();
    Ok(TaskShape {
        prompt: text("prompt"),
        data: inputs["data"].clone(),
        queue: open.get(&run).map(|task| task.queue.clone()),
        requires: open.get(&run).map(|task| task.requires.clone()).unwrap_or_default(),
        claim_ttl: text("claim_ttl"),
        paths: paths(&report),
        output: step.map_or(Value::Null, |step| step.output.clone()),
        item,
    })
}

fn paths(report: &RunReport) -> Value {
    let inputs = &report.inputs;
    json!({ "read": inputs["read"], "write": inputs["write"], "workspace": inputs["workspace"] })
}

fn cells(item: &TaskItem, now: Timestamp) -> Vec<String> {
    let why = match (&item.claimed_by, &item.why, &item.error) {
        (Some(by), _, _) => format!("by {by}"),
        (_, Some(why), _) => why.clone(),
        (_, _, Some(error)) => block::first_line(error),
        _ => String::new(),
    };
    vec![
        item.run_id.to_string(),
        escape::line(&item.title).into_owned(),
        item.kind.to_string(),
        item.status.clone(),
        moment::relative(item.created_at, now),
        escape::line(&why).into_owned(),
    ]
}

/// A task for people.
fn told(app: &App, shape: &TaskShape, now: Timestamp) -> String {
    use std::fmt::Write as _;
    let (item, style) = (&shape.item, app.output.out());
    let mut text = format!(
        "{} {} {}  {}",
        style.mark(&item.status),
        escape::line(&item.title),
        style.status(&item.status),
        item.run_id
    );
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name:<10} {}", escape::line(value));
    };
    line("created", &format!("{} by {}", moment::relative(item.created_at, now), item.by));
    line("type", item.kind.as_str());
    if item.priority != 0 {
        line("priority", &item.priority.to_string());
    }
    for (name, value) in &item.labels {
        line("label", &format!("{name}={value}"));
    }
    for (name, value) in &shape.requires {
        line("requires", &format!("{name}={value}"));
    }
    for (name, key) in [("reads", "read"), ("writes", "write")] {
        for path in shape.paths[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
            line(name, path);
        }
    }
    for run in &item.depends_on {
        line("after", run);
    }
    if let (Some(by), Some(until)) = (&item.claimed_by, item.claimed_until) {
        line("claimed", &format!("by {by}, until {until} ({})", moment::relative(until, now)));
    }
    if item.attempts > 1 {
        line("attempt", &item.attempts.to_string());
    }
    if let Some(why) = &item.why {
        line("waits", why);
    }
    if let Some(error) = &item.error {
        line("error", &block::first_line(error));
    }
    if !shape.prompt.is_empty() {
        let _ = write!(
            text,
            "\n\n{}",
            block::value(&Value::from(shape.prompt.as_str()), 2).trim_start_matches('\n')
        );
    }
    if shape.output.as_object().is_some_and(|output| !output.is_empty()) {
        let _ = write!(text, "\n\n{}", block::values(&shape.output, style));
    }
    text
}
