//! `workflow show`.

use std::fmt::Write as _;
use std::io::IsTerminal;

use orchestrator_core::port::store::{Page, RevisionRow, WorkflowRow};
use orchestrator_core::spec::{Workflow, parse_stored};
use orchestrator_core::time::Timestamp;
use serde_json::json;

use crate::app::App;
use crate::args::ShowWorkflow;
use crate::exit::Exit;
use crate::output::registered::RevisionItem;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::registered::{self, PROJECT, Which};
use crate::shell::quoted;
use crate::workflow::counted;

/// How many revisions are told.
const TOLD: usize = 20;

pub(crate) async fn carry_out(app: &App, args: &ShowWorkflow) -> Result<Exit, Problem> {
    let (name, which) = Which::split(&args.workflow.workflow)?;
    let store = app.store().await?;
    let workflow = registered::workflow(&store, name, &app.shell).await?;
    let shown = registered::revision(&store, &workflow, &which, &app.shell).await?;
    let text = registered::text(&store, &shown).await?;
    if args.text {
        // Into a file or a pipe exactly as it was registered.
        if std::io::stdout().is_terminal() {
            app.output.print(&visible(&text, ""))?;
        } else {
            app.output.print_as_it_is(&text)?;
        }
        return Ok(Exit::Ok);
    }
    let revisions = store.workflow_revisions(registered::query(name, None, TOLD)).await?;
    if app.output.json().is_some() {
        let mut object = serde_json::to_value(RevisionItem::new(PROJECT, name, &shown)).unwrap_or_default();
        let items: Vec<_> = revisions.items.iter().map(|row| RevisionItem::new(PROJECT, name, row)).collect();
        object["latest"] = json!(workflow.latest.number);
        object["text"] = json!(text);
        object["revisions"] = json!(items);
        app.output.print_json(&object)?;
        return Ok(Exit::Ok);
    }
    let now = store.now().await?;
    let read = parse_stored(&text, name).ok();
    app.output.print(&head(app, &workflow, &shown, read.as_ref(), now))?;
    app.output.table(&["REVISION", "DIGEST", "REGISTERED", "BY"], rows(&revisions, now))?;
    if revisions.more {
        app.output.print("…")?;
    }
    app.output.print(&format!("\n{}", visible(&text, "  ")))?;
    let execute = app.shell.command(&format!("workflow execute {}", quoted(&args.workflow.workflow)));
    app.output.note(&format!("\n{execute}"));
    Ok(Exit::Ok)
}

fn head(
    app: &App,
    workflow: &WorkflowRow,
    shown: &RevisionRow,
    read: Option<&Workflow>,
    now: Timestamp,
) -> String {
    let style = app.output.out();
    let name = escape::line(&workflow.name).into_owned();
    let mut text = format!("{} revision {}", style.tint(Tint::Strong, &name), shown.number);
    if shown.number != workflow.latest.number {
        // Writing to a String cannot fail.
        let _ = write!(text, " of {}", workflow.latest.number);
    }
    let mut line = |what: &str, value: &str| {
        let _ = write!(text, "\n  {} {}", style.tint(Tint::Dim, &format!("{what:<10}")), escape::line(value));
    };
    line("registered", &format!("{} ({}) by {}", shown.at, moment::relative(shown.at, now), shown.by));
    line("digest", &shown.revision.to_string().chars().take(19).collect::<String>());
    match read {
        Some(read) => {
            if let Some(description) = &read.description {
                line("for", description.trim());
            }
            let inputs: Vec<&str> = read.inputs.keys().map(|name| &**name).collect();
            line("steps", &counted(read.counted_steps() as usize, "step"));
            if !inputs.is_empty() {
                line("inputs", &inputs.join(", "));
            }
        }
        None => line("steps", "this version does not read it: try `validate` on its text"),
    }
    text.push('\n');
    text
}

fn rows(revisions: &Page<RevisionRow>, now: Timestamp) -> Vec<Vec<String>> {
    let row = |row: &RevisionRow| {
        vec![
            row.number.to_string(),
            row.revision.to_string().chars().take(19).collect(),
            moment::relative(row.at, now),
            escape::line(&row.by).into_owned(),
        ]
    };
    revisions.items.iter().map(row).collect()
}

/// A text for a terminal, each line after `margin`.
fn visible(text: &str, margin: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{}", escape::line(line)) })
        .collect();
    lines.join("\n")
}
