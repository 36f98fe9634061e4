//! `workflow list`.

use orchestrator_core::port::store::WorkflowQuery;

use crate::app::App;
use crate::args::ListWorkflows;
use crate::exit::Exit;
use crate::output::registered::RevisionItem;
use crate::output::shapes::ListShape;
use crate::output::{Problem, escape, moment};
use crate::registered::PROJECT;
use crate::shell::quoted;

/// As much of a digest as tells it apart.
const SHOWN: usize = "sha256:".len() + 12;

pub(crate) async fn carry_out(app: &App, args: &ListWorkflows) -> Result<Exit, Problem> {
    let store = app.store().await?;
    let query = WorkflowQuery {
        project: Some(PROJECT.to_owned()),
        after: args.after.clone().map(|name| (PROJECT.to_owned(), name)),
        limit: usize::from(args.limit),
        ..WorkflowQuery::default()
    };
    let page = store.workflows(query).await?;
    let next = page.items.last().filter(|_| page.more).map(|row| row.name.to_string());
    if app.output.json().is_some() {
        let items =
            page.items.iter().map(|row| RevisionItem::new(&row.project, &row.name, &row.latest)).collect();
        app.output.print_json(&ListShape::<RevisionItem> { items, next })?;
        return Ok(Exit::Ok);
    }
    if page.items.is_empty() {
        app.output.note("no workflow is registered");
        app.output.note(&format!("  {}", app.shell.command("workflow register FILE")));
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let rows = page.items.iter().map(|row| {
        vec![
            escape::line(&row.name).into_owned(),
            row.latest.number.to_string(),
            row.latest.revision.to_string().chars().take(SHOWN).collect(),
            moment::relative(row.latest.at, now),
            escape::line(&row.latest.by).into_owned(),
        ]
    });
    app.output.table(&["WORKFLOW", "REVISION", "DIGEST", "REGISTERED", "BY"], rows.collect())?;
    if let Some(next) = next {
        let more = app.shell.command(&format!("workflow list --after {}", quoted(&next)));
        app.output.note(&format!("\nmore: {more}"));
    }
    Ok(Exit::Ok)
}
