//! `runs wait`.

use std::time::Duration;

use orchestrator_core::engine::RunReport;
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::RunRow;

use crate::app::{App, Book, no_run};
use crate::args::Wait;
use crate::commands::runs::tail::Changes;
use crate::exit::Exit;
use crate::find;
use crate::output::style::Tint;
use crate::output::{Problem, block};
use crate::report::{self, Place};
use crate::signals::Signals;
use crate::situation::{self, Situation};
use crate::span::parse_duration;

/// How often to look whether the driver is still alive.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn carry_out(app: &App, args: &Wait) -> Result<Exit, Problem> {
    let timeout = match args.timeout.as_deref().map(parse_duration) {
        Some(Err(why)) => return Err(Problem::new(Exit::Usage, "usage", format!("--timeout: {why}"))),
        Some(Ok(timeout)) => Some(timeout),
        None => None,
    };
    report::check(&args.reports)?;
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let mut signals = Signals::catch()?;
    // Nobody waits longer than this for anything.
    let patience = tokio::time::sleep(timeout.unwrap_or(Duration::from_secs(u64::from(u32::MAX))));
    tokio::select! {
        exit = signals.next() => {
            app.output.note(&format!("the run goes on; {}", app.shell.runs("wait", run)));
            Ok(exit)
        }
        () = patience => {
            let title = format!("{run} has not ended in {}", args.timeout.as_deref().unwrap_or_default());
            Err(Problem::new(Exit::Cancelled, "timed_out", title).tries(app.shell.runs("show", run)))
        }
        ended = until_ended(app, &book, run, args) => ended,
    }
}

async fn until_ended(app: &App, book: &Book, run: RunId, args: &Wait) -> Result<Exit, Problem> {
    let mut changes = Changes::of(&book.store).await?;
    let mut told = None;
    loop {
        let row = book.store.run(run).await?.ok_or_else(|| no_run(&run.to_string()))?;
        if row.finished_at.is_some() {
            let report = book.report(run).await?;
            let written = report::write(app, &book.store, &args.reports, &report, &Place::default()).await;
            return report::after(app, written, conclude(app, &report)?);
        }
        if told != Some(row.seq)
            && let Some(situation) = stands_still(app, book, &row).await?
        {
            told = Some(row.seq);
            let title = format!("{run}: {}", situation.text);
            let stays = args.timeout.is_some() || (app.output.is_watched() && app.output.json().is_none());
            if !stays {
                if app.output.json().is_some() {
                    app.output.print_json(&book.report(run).await?)?;
                }
                return Err(Problem::new(Exit::Waiting, "waits_for_someone", title).tries(situation.command));
            }
            app.output.note(&title);
            app.output.note(&format!("  {}", situation.command));
        }
        changes.next(LOOK).await?;
    }
}

/// What somebody must do before an open run moves on; `None` if it moves by itself.
pub(super) async fn stands_still(app: &App, book: &Book, row: &RunRow) -> Result<Option<Situation>, Problem> {
    if row.finished_at.is_some() {
        return Ok(None);
    }
    book.store.sweep().await?;
    let now = book.store.now().await?;
    let driver = situation::driver(&book.store, row, now).await?;
    if driver.is_some() && !matches!(&*row.status, "blocked" | "paused") {
        return Ok(None);
    }
    let report = book.report(row.run).await?;
    let situation = situation::of(row, driver.as_ref(), &report, now, &app.shell);
    Ok(situation.filter(|situation| situation.needs_someone))
}

/// Tells how a run has ended, and gives its exit code.
pub(super) fn conclude(app: &App, report: &RunReport) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        app.output.print_json(report)?;
    } else {
        let ended = report.finished_at.unwrap_or(report.created_at);
        app.output.print(&block::headline(report, ended, app.output.out()))?;
        if let Some(error) = &report.error {
            app.output
                .print(&format!("  {}", app.output.out().tint(Tint::Bad, &block::first_line(error))))?;
        }
        if report.outputs.as_object().is_some_and(|outputs| !outputs.is_empty()) {
            app.output.print(&block::values(&report.outputs, app.output.out()))?;
        }
    }
    Ok(Exit::of_status(&report.status))
}
