//! `runs logs`.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::port::store::{LogQuery, NumberedLine, Store};
use orchestrator_core::time::Timestamp;

use crate::app::{App, Book, no_run};
use crate::args::Logs;
use crate::commands::runs::tail::Changes;
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::shapes::LineShape;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::signals::Signals;

/// How many lines are read at once.
const PAGE: usize = 1_000;

pub(crate) async fn carry_out(app: &App, args: &Logs) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let names = book.names(run).await?;
    let step = args.step.as_deref().map(|step| find::step(&names, step)).transpose()?;
    let row = book.store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let printer = Printer { app, run, names, step, start: row.created_at };
    let after = match args.tail {
        Some(lines) => printer.print_tail(&book.store, lines as usize).await?,
        None => 0,
    };
    if args.follow {
        let mut signals = Signals::catch()?;
        tokio::select! {
            exit = signals.next() => Ok(exit),
            done = printer.follow(&book.store, after) => done.map(|()| Exit::Ok),
        }
    } else {
        if args.tail.is_none() && printer.print_after(&book.store, after).await? == 0 {
            app.output.note("nothing has been written");
        }
        Ok(Exit::Ok)
    }
}

struct Printer<'a> {
    app: &'a App,
    run: RunId,
    names: Names,
    step: Option<Unit>,
    start: Timestamp,
}

impl Printer<'_> {
    async fn follow(&self, store: &Arc<dyn Store>, mut after: u64) -> Result<(), Problem> {
        let mut changes = Changes::of(store).await?;
        loop {
            // Asked before reading, so that the last lines are read after the end is known.
            let ended = store.run(self.run).await?.is_none_or(|row| row.finished_at.is_some());
            after = self.print_after(store, after).await?;
            if ended {
                return Ok(());
            }
            changes.next(Duration::from_secs(5)).await?;
        }
    }

    /// Prints the last lines; gives the number of the very last, or 0 if there is none.
    async fn print_tail(&self, store: &Arc<dyn Store>, lines: usize) -> Result<u64, Problem> {
        let found = store.logs(self.query(0, true, lines)).await?;
        self.print(&found)?;
        Ok(found.last().map_or(0, |line| line.number))
    }

    /// Prints what there is after a number; gives the number of the last.
    async fn print_after(&self, store: &Arc<dyn Store>, mut after: u64) -> Result<u64, Problem> {
        loop {
            let lines = store.logs(self.query(after, false, PAGE)).await?;
            let Some(last) = lines.last() else { return Ok(after) };
            after = last.number;
            self.print(&lines)?;
            if lines.len() < PAGE {
                return Ok(after);
            }
        }
    }

    fn query(&self, after: u64, tail: bool, limit: usize) -> LogQuery {
        LogQuery { run: self.run, step: self.step.map(|unit| unit.step), after, tail, limit }
    }

    fn print(&self, lines: &[NumberedLine]) -> Result<(), Problem> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = Vec::with_capacity(lines.len());
        let of_item = |line: &&NumberedLine| {
            self.step.and_then(Unit::item).is_none_or(|item| line.line.item == Some(item))
        };
        for line in lines.iter().filter(of_item) {
            text.push(self.line(line)?);
        }
        if text.is_empty() { Ok(()) } else { self.app.output.print(&text.join("\n")) }
    }

    fn line(&self, numbered: &NumberedLine) -> Result<String, Problem> {
        if self.app.output.json().is_some() {
            return crate::output::json_line(&LineShape::new(self.run, numbered, &self.names));
        }
        let style = self.app.output.out();
        let line = &numbered.line;
        let text = escape::line(&line.text);
        if self.step.is_some_and(|step| step.item() == line.item) {
            return Ok(text.into_owned());
        }
        let bar = match line.stream {
            Stream::Stderr => style.tint(Tint::Warn, style.either("┃", "!")),
            _ => style.tint(Tint::Dim, style.either("│", "|")),
        };
        let unit = Unit::new(line.step, line.item);
        let name = escape::line(&self.names.of(unit)).into_owned();
        let at = moment::offset(self.start, line.at);
        Ok(format!("{} {name} {bar} {text}", style.tint(Tint::Dim, &format!("{at:>8}"))))
    }
}
