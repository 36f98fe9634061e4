//! `task ready`.

use orchestrator_core::engine::FindTasks;

use crate::app::App;
use crate::args::ReadyTasks;
use crate::commands::task::found::find;
use crate::exit::Exit;
use crate::output::shapes::ListShape;
use crate::output::tasked::ReadyItem;
use crate::output::{Problem, escape, moment};

pub(crate) async fn carry_out(app: &App, args: &ReadyTasks) -> Result<Exit, Problem> {
    let find = FindTasks { all: args.all, limit: usize::from(args.limit), ..find(&args.which)? };
    let engine = app.engine(app.store_to_change().await?, &app.cwd).await?;
    let found = engine.open_tasks(&find).await;
    engine.stop(app.settings.grace()).await;
    let items: Vec<ReadyItem> = found?.into_iter().map(ReadyItem::from).collect();
    if app.output.json().is_some() {
        app.output.print_json(&ListShape { items, next: None })?;
        return Ok(Exit::Ok);
    }
    if items.is_empty() {
        app.output.note("no task can be claimed now");
        app.output.note(&format!("  {}", app.shell.command("task list")));
        return Ok(Exit::Ok);
    }
    let now = engine.store().now().await?;
    let rows = items.iter().map(|item| {
        vec![
            item.run_id.to_string(),
            escape::line(&item.title).into_owned(),
            item.kind.to_string(),
            item.priority.to_string(),
            moment::relative(item.since, now),
            if item.workflow.as_ref() == orchestrator_core::engine::TASK_WORKFLOW {
                String::new()
            } else {
                escape::line(&format!("{} of {}", item.step, item.workflow)).into_owned()
            },
            escape::line(item.why.as_deref().unwrap_or_default()).into_owned(),
        ]
    });
    let mut titles = vec!["TASK", "TITLE", "TYPE", "PRIORITY", "OPEN", "STEP", "WHY NOT"];
    let mut rows: Vec<Vec<String>> = rows.collect();
    if !args.all {
        titles.pop();
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    app.output.table(&titles, rows)?;
    Ok(Exit::Ok)
}
