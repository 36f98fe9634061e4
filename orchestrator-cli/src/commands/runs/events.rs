//! `runs events`.

use std::sync::Arc;

use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Event, Recorded};
use orchestrator_core::port::store::{EventsAfter, Store, StoreError};
use orchestrator_core::time::Timestamp;

use crate::app::{App, Book, no_run};
use crate::args::Events;
use crate::commands::runs::pages::{self, Numbered, Reading};
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::shapes::EventShape;
use crate::output::style::Tint;
use crate::output::{Problem, moment};
use crate::progress::Teller;

pub(crate) async fn carry_out(app: &App, args: &Events) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let names = book.names(run).await?;
    let row = book.store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let events = Log { app, run, names, after: args.after, start: row.created_at };
    let reading =
        Reading { run, after: args.after, tail: args.tail.map(|lines| lines as usize), follow: args.follow };
    pages::print(app, &book.store, reading, &events, "nothing has happened after that").await
}

struct Log<'a> {
    app: &'a App,
    run: RunId,
    names: Names,
    after: u64,
    start: Timestamp,
}

impl Numbered for Log<'_> {
    type Item = Recorded;

    const PAGE: usize = 500;

    async fn page(&self, store: &Arc<dyn Store>, after: u64) -> Result<Vec<Recorded>, StoreError> {
        store.events_after(EventsAfter { run: self.run, after, limit: Self::PAGE }).await
    }

    async fn last(&self, store: &Arc<dyn Store>, count: usize) -> Result<Option<Vec<Recorded>>, StoreError> {
        // Events have no gaps.
        let head = store.heads(&[self.run]).await?.first().map_or(0, |(_, seq)| *seq);
        let after = self.after.max(head.saturating_sub(count as u64));
        store.events_after(EventsAfter { run: self.run, after, limit: count }).await.map(Some)
    }

    fn number(item: &Recorded) -> u64 {
        item.seq
    }

    fn line(&self, recorded: &Recorded) -> Result<Option<String>, Problem> {
        if self.app.output.json().is_some() {
            return crate::output::json_line(&EventShape::new(self.run, recorded, &self.names)).map(Some);
        }
        let style = self.app.output.out();
        let teller = Teller { names: &self.names, style };
        let told = teller.line(&recorded.event, recorded.at, None).or_else(|| teller.begins(&recorded.event));
        let told =
            told.unwrap_or_else(|| format!("{} {}", style.mark(""), bare(&recorded.event, &self.names)));
        let kind = recorded.event.kind();
        let place = format!("{:>5} {:>9}  {kind:<20}", recorded.seq, moment::offset(self.start, recorded.at));
        Ok(Some(format!("{}  {told}", style.tint(Tint::Dim, &place))))
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
