//! `runs watch`.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{EventsAfter, LogQuery, NumberedLine, RunRow, Store};
use tokio::time::Instant;

use crate::app::{App, Book, no_run};
use crate::args::Watch;
use crate::commands::runs::wait;
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::Problem;
use crate::output::shapes::EventShape;
use crate::progress::Teller;
use crate::signals::Signals;
use crate::situation::Situation;
use crate::watch::{Frame, Keys, Known, Screen, afterwards, frame};

/// The shortest time between two looks.
const LEAST: Duration = Duration::from_millis(100);

/// A look that took long is followed by a pause of so many times its length: watching takes less than a tenth of a core,
/// whatever there is to see.
const REST: u32 = 14;

/// How often durations move on and the driver is looked for where nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// How many events are read at once.
const PAGE: usize = 1_000;

/// How many of the last lines of output are shown at most.
const LOGS: usize = 8;

pub(crate) async fn carry_out(app: &App, args: &Watch) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let names = book.names(run).await?;
    let mut signals = Signals::catch()?;
    let on_screen = Screen::is_there() && app.output.json().is_none() && !app.output.is_quiet();
    if !on_screen {
        return tokio::select! {
            exit = signals.next() => Ok(exit),
            ended = plain(app, &book, run, names) => ended,
        };
    }
    let mut watching = Watching::new(app, &book, run, names);
    let screen = Screen::open();
    let mut keys = Keys::listen();
    let ended = tokio::select! {
        exit = signals.next() => Left::Told(exit),
        () = keys.leave() => Left::Told(Exit::Ok),
        ended = watching.until_ended(screen) => Left::Ended(ended),
    };
    match ended {
        Left::Ended(Err(problem)) => Err(problem),
        Left::Ended(Ok(())) => {
            let report = book.report(run).await?;
            let several = afterwards(&report, app.output.out());
            // Of a single one the run's own error tells.
            for line in several.into_iter().skip_while(|_| watching.known.failed.len() < 2) {
                app.output.print(&line)?;
            }
            wait::conclude(app, &report)
        }
        Left::Told(exit) => {
            app.output.note(&match watching.situation {
                Some(situation) => format!("the run {}\n  {}", situation.text, situation.command),
                None => format!("the run goes on; {}", app.shell.runs("watch", run)),
            });
            Ok(exit)
        }
    }
}

/// Why watching has come to an end.
enum Left {
    Ended(Result<(), Problem>),
    Told(Exit),
}

/// A run that is being watched on a screen.
struct Watching<'a> {
    app: &'a App,
    book: &'a Book,
    run: RunId,
    known: Known,
    logs: Vec<NumberedLine>,
    situation: Option<Situation>,
}

impl<'a> Watching<'a> {
    fn new(app: &'a App, book: &'a Book, run: RunId, names: Names) -> Self {
        Self { app, book, run, known: Known::new(names), logs: Vec::new(), situation: None }
    }

    /// Draws until the run has ended. The screen is given back however this ends.
    async fn until_ended(&mut self, mut screen: Screen) -> Result<(), Problem> {
        let store = self.book.store.clone();
        let mut seen = None;
        let mut looked = None;
        loop {
            let began = Instant::now();
            let mark = store.change_mark().await?;
            let is_due = looked.is_none_or(|looked: Instant| looked.elapsed() >= TICK);
            if seen != Some(mark) || is_due || screen.is_resized() {
                let row = store.run(self.run).await?.ok_or_else(|| no_run(&self.run.to_string()))?;
                if seen != Some(mark) {
                    self.catch_up(&store, began).await?;
                }
                if is_due {
                    self.situation = wait::stands_still(self.app, self.book, &row).await?;
                    looked = Some(began);
                }
                // Another look at once if there was more than one look may read.
                seen = (self.known.seq >= row.seq).then_some(mark);
                self.draw(&mut screen, &row).await?;
                if row.finished_at.is_some() && seen.is_some() {
                    return Ok(());
                }
            }
            tokio::time::sleep((began.elapsed() * REST).max(LEAST)).await;
        }
    }

    /// Reads what has happened since the last look, for a moment at most.
    async fn catch_up(&mut self, store: &Arc<dyn Store>, began: Instant) -> Result<(), Problem> {
        loop {
            let query = EventsAfter { run: self.run, after: self.known.seq, limit: PAGE };
            let events = store.events_after(query).await?;
            events.iter().for_each(|recorded| self.known.apply(recorded));
            if events.len() < PAGE || began.elapsed() >= LEAST {
                break;
            }
        }
        let query = LogQuery { run: self.run, step: None, after: 0, tail: true, limit: LOGS };
        self.logs = store.logs(query).await?;
        Ok(())
    }

    async fn draw(&self, screen: &mut Screen, row: &RunRow) -> Result<(), Problem> {
        let size = Screen::size();
        let lines = frame(&Frame {
            run: self.run,
            row,
            known: &self.known,
            logs: &self.logs,
            situation: self.situation.as_ref(),
            now: self.book.store.now().await?,
            width: size.0,
            height: size.1,
            style: self.app.output.out(),
        });
        screen.draw(lines, size);
        Ok(())
    }
}

/// Tells line by line what happens, until the run has ended or only somebody can move it.
async fn plain(app: &App, book: &Book, run: RunId, names: Names) -> Result<Exit, Problem> {
    let store = &book.store;
    let teller = Teller { names: &names, style: app.output.out() };
    let mut after = 0;
    let mut changes = super::tail::Changes::of(store).await?;
    loop {
        // Asked before reading, so that the last events are read after the end is known.
        let row = store.run(run).await?.ok_or_else(|| no_run(&run.to_string()))?;
        loop {
            let events = store.events_after(EventsAfter { run, after, limit: PAGE }).await?;
            for recorded in &events {
                after = recorded.seq;
                if app.output.json().is_some() {
                    app.output.print_json_line(&EventShape::new(run, recorded, &names))?;
                    continue;
                }
                let told = teller.line(&recorded.event, recorded.at, None);
                if let Some(line) = told.or_else(|| teller.begins(&recorded.event)) {
                    app.output.print(&line)?;
                }
            }
            if events.len() < PAGE {
                break;
            }
        }
        if row.finished_at.is_some() {
            return wait::conclude(app, &book.report(run).await?);
        }
        if let Some(situation) = wait::stands_still(app, book, &row).await? {
            let problem =
                Problem::new(Exit::Waiting, "waits_for_someone", format!("{run}: {}", situation.text));
            return Err(problem.tries(situation.command));
        }
        changes.next(TICK).await?;
    }
}
