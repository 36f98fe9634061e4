//! `runs show`.

use std::fmt::Write as _;

use orchestrator_core::engine::RunReport;
use orchestrator_core::port::store::RunRow;
use orchestrator_core::time::Timestamp;

use crate::app::{App, Book, no_run};
use crate::args::Show;
use crate::exit::Exit;
use crate::folder;
use crate::output::style::Tint;
use crate::output::{Problem, block, escape, moment};
use crate::report::{self, Place};
use crate::{find, situation};

pub(crate) async fn carry_out(app: &App, args: &Show) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let report = book.report(run).await?;
    report::check(&args.reports)?;
    report::write(app, &book.store, &args.reports, &report, &Place::default()).await?;
    if app.output.json().is_some() {
        app.output.print_json(&report)?;
        return Ok(Exit::Ok);
    }
    let row = book.store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let now = book.store.now().await?;
    app.output.print(&head(app, &report, &row, now))?;
    let rows = block::step_rows(&report.steps, now);
    app.output.table(&["STEP", "STATUS", "TOOK", "ATTEMPTS", ""], rows)?;
    let mut tail = String::new();
    for waiting in report.waiting_for.iter().filter(|waiting| waiting.needs_someone()) {
        for line in block::waiting(waiting, Some(&app.shell), app.output.out()) {
            // Writing to a String cannot fail.
            let _ = write!(tail, "\n{line}");
        }
    }
    if tail.is_empty() {
        let driver = situation::driver(&book.store, &row, now).await?;
        if let Some(situation) = situation::of(&row, driver.as_ref(), &report, now, &app.shell) {
            let _ = write!(tail, "\nthe run {}\n  {}", situation.text, situation.command);
        }
    }
    if report.outputs.as_object().is_some_and(|outputs| !outputs.is_empty()) {
        let all = app.shell.command(&format!("runs show {run} --json"));
        let _ = write!(tail, "\n{}", block::brief(&report.outputs, app.output.out(), &all));
    }
    if !tail.is_empty() {
        app.output.print(&tail)?;
    }
    Ok(Exit::Ok)
}

fn head(app: &App, report: &RunReport, row: &RunRow, now: Timestamp) -> String {
    let style = app.output.out();
    let mut text = block::headline(report, now, style);
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {} {}", style.tint(Tint::Dim, &format!("{name:<9}")), escape::line(value));
    };
    line(
        "created",
        &format!("{} ({}) by {}", report.created_at, moment::relative(report.created_at, now), report.by),
    );
    if let Some(due) = report.not_before.filter(|due| *due > now) {
        line("begins", &format!("{due} ({})", moment::relative(due, now)));
    }
    if let Some(parent) = report.parent {
        let step = report.parent_step.as_deref().unwrap_or("a step");
        line("parent", &format!("{parent} ({step})"));
    }
    line("revision", &report.revision.to_string().chars().take(19).collect::<String>());
    for (key, value) in &row.new.labels {
        if key == folder::LABEL { line("folder", value) } else { line("label", &format!("{key}={value}")) }
    }
    if report.generation > 1 {
        line("generation", &report.generation.to_string());
    }
    if let Some(inputs) = report.inputs.as_object().filter(|inputs| !inputs.is_empty()) {
        for (name, value) in inputs {
            line("input", &format!("{name} = {}", block::first_line(&block::value(value, 0))));
        }
    }
    if let Some(error) = &report.error {
        line("error", &block::first_line(error));
    }
    text.push('\n');
    text
}
