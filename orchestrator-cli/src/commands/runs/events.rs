//! `runs events`.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Event, Recorded};
use orchestrator_core::port::store::{EventsAfter, Store};
use orchestrator_core::time::Timestamp;

use crate::app::{App, Book, no_run};
use crate::args::Events;
use crate::commands::runs::tail::Changes;
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::shapes::EventShape;
use crate::output::style::Tint;
use crate::output::{Problem, moment};
use crate::progress::Teller;
use crate::signals::Signals;

/// How many events are read at once.
const PAGE: usize = 500;

pub(crate) async fn carry_out(app: &App, args: &Events) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let names = book.names(run).await?;
    let row = book.store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let printer = Printer { app, run, names, start: row.created_at };
    if args.follow {
        let mut signals = Signals::catch()?;
        tokio::select! {
            exit = signals.next() => Ok(exit),
            done = printer.follow(&book.store, args.after) => done.map(|()| Exit::Ok),
        }
    } else {
        printer.print_after(&book.store, args.after).await?;
        Ok(Exit::Ok)
    }
}

struct Printer<'a> {
    app: &'a App,
    run: RunId,
    names: Names,
    start: Timestamp,
}

impl Printer<'_> {
    async fn follow(&self, store: &Arc<dyn Store>, mut after: u64) -> Result<(), Problem> {
        let mut changes = Changes::of(store).await?;
        loop {
            // Asked before reading, so that the last events are read after the end is known.
            let ended = store.run(self.run).await?.is_none_or(|row| row.finished_at.is_some());
            after = self.print_after(store, after).await?;
            if ended {
                return Ok(());
            }
            changes.next(Duration::from_secs(5)).await?;
        }
    }

    /// Prints what there is; gives the number of the last.
    async fn print_after(&self, store: &Arc<dyn Store>, mut after: u64) -> Result<u64, Problem> {
        loop {
            let events = store.events_after(EventsAfter { run: self.run, after, limit: PAGE }).await?;
            let Some(last) = events.last() else { return Ok(after) };
            after = last.seq;
            let mut lines = Vec::with_capacity(events.len());
            for recorded in &events {
                lines.push(self.line(recorded)?);
            }
            self.app.output.print(&lines.join("\n"))?;
            if events.len() < PAGE {
                return Ok(after);
            }
        }
    }

    fn line(&self, recorded: &Recorded) -> Result<String, Problem> {
        if self.app.output.json().is_some() {
            return crate::output::json_line(&EventShape::new(self.run, recorded, &self.names));
        }
        let style = self.app.output.out();
        let teller = Teller { names: &self.names, style };
        let told = teller.line(&recorded.event, recorded.at, None).or_else(|| teller.begins(&recorded.event));
        let told =
            told.unwrap_or_else(|| format!("{} {}", style.mark(""), bare(&recorded.event, &self.names)));
        let kind = recorded.event.kind();
        let place = format!("{:>5} {:>9}  {kind:<20}", recorded.seq, moment::offset(self.start, recorded.at));
        Ok(format!("{}  {told}", style.tint(Tint::Dim, &place)))
    }
}

/// Events that say nothing to someone who watches a run, but belong into a listing.
fn bare(event: &Event, names: &Names) -> String {
    match event {
        Event::RunCreated(event) => format!("created by {}", crate::output::escape::line(&event.by)),
        Event::DriverTaken(event) => format!("driven by {}", event.owner),
        Event::DriverReleased(event) => format!("let go by {}", event.owner),
        Event::RunEnded(event) => match event.status {
            orchestrator_core::machine::Ending::Completed => "completed".to_owned(),
            orchestrator_core::machine::Ending::Failed => "failed".to_owned(),
            orchestrator_core::machine::Ending::Cancelled => "cancelled".to_owned(),
        },
        other => other
            .unit()
            .map(|unit| crate::output::escape::line(&names.of(unit)).into_owned())
            .unwrap_or_default(),
    }
}
