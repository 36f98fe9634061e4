//! `runs logs`.

use std::sync::Arc;

use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::port::store::{LogQuery, NumberedLine, Store, StoreError};
use orchestrator_core::time::Timestamp;

use crate::app::{App, Book, no_run};
use crate::args::Logs;
use crate::commands::runs::pages::{self, Numbered, Reading};
use crate::exit::Exit;
use crate::find;
use crate::names::Names;
use crate::output::shapes::LineShape;
use crate::output::style::Tint;
use crate::output::{Problem, escape, moment};
use crate::span::parse_moment;

pub(crate) async fn carry_out(app: &App, args: &Logs) -> Result<Exit, Problem> {
    let book = Book::open(app).await?;
    let now = book.store.now().await?;
    let since = at("--since", args.since.as_deref(), now)?;
    let until = at("--until", args.until.as_deref(), now)?;
    refuse_nonsense(since, until, now, args)?;
    let run = find::run(&book.store, &args.run.run, &app.shell).await?;
    let names = book.names(run).await?;
    let step = args.step.as_deref().map(|step| find::step(&names, step)).transpose()?;
    let row = book.store.run(run).await?.ok_or_else(|| no_run(&args.run.run))?;
    let lines = Lines { app, run, names, step, levels: &args.level, since, until, start: row.created_at };
    let reading = Reading { run, after: 0, tail: args.tail.map(|lines| lines as usize), follow: args.follow };
    let all = step.is_none() && args.level.is_empty() && since.is_none() && until.is_none();
    let nothing = if all { "nothing has been written" } else { "nothing that fits has been written" };
    pages::print(app, &book.store, reading, &lines, nothing).await
}

/// The moment that a flag names.
fn at(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    parse_moment(text, now)
        .map(Some)
        .map_err(|why| Problem::new(Exit::Usage, "usage", format!("{flag}: {why}")))
}

/// Times between which nothing can lie.
fn refuse_nonsense(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
    args: &Logs,
) -> Result<(), Problem> {
    let usage = |title: String| Err(Problem::new(Exit::Usage, "usage", title));
    match (since, until) {
        (Some(since), _) if since > now => usage(format!("--since {since} is in the future")),
        (Some(since), Some(until)) if since >= until => {
            usage(format!("--since {since} is not before --until {until}"))
        }
        (_, Some(until)) if args.follow && until <= now => {
            usage(format!("--until {until} has passed: there is nothing to follow"))
        }
        _ => Ok(()),
    }
}

struct Lines<'a> {
    app: &'a App,
    run: RunId,
    names: Names,
    step: Option<Unit>,
    /// Only these; empty: all.
    levels: &'a [String],
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    start: Timestamp,
}

impl Numbered for Lines<'_> {
    type Item = NumberedLine;

    const PAGE: usize = 1_000;

    async fn page(&self, store: &Arc<dyn Store>, after: u64) -> Result<Vec<NumberedLine>, StoreError> {
        store.logs(LogQuery { run: self.run, step: self.step, after, tail: false, limit: Self::PAGE }).await
    }

    async fn last(
        &self,
        store: &Arc<dyn Store>,
        count: usize,
    ) -> Result<Option<Vec<NumberedLine>>, StoreError> {
        if !self.levels.is_empty() || self.since.is_some() || self.until.is_some() {
            return Ok(None);
        }
        let query = LogQuery { run: self.run, step: self.step, after: 0, tail: true, limit: count };
        store.logs(query).await.map(Some)
    }

    fn number(item: &NumberedLine) -> u64 {
        item.number
    }

    fn line(&self, numbered: &NumberedLine) -> Result<Option<String>, Problem> {
        if !self.asked_for(numbered) {
            return Ok(None);
        }
        if self.app.output.json().is_some() {
            return crate::output::json_line(&LineShape::new(self.run, numbered, &self.names)).map(Some);
        }
        let style = self.app.output.out();
        let line = &numbered.line;
        let text = escape::line(&line.text);
        if self.step.is_some_and(|step| step.item() == line.item) {
            return Ok(Some(text.into_owned()));
        }
        let bar = match line.stream {
            Stream::Stderr => style.tint(Tint::Warn, style.either("┃", "!")),
            _ => style.tint(Tint::Dim, style.either("│", "|")),
        };
        let unit = Unit::new(line.step, line.item);
        let name = escape::line(&self.names.of(unit)).into_owned();
        let at = moment::offset(self.start, line.at);
        Ok(Some(format!("{} {name} {bar} {text}", style.tint(Tint::Dim, &format!("{at:>8}")))))
    }
}

impl Lines<'_> {
    fn asked_for(&self, numbered: &NumberedLine) -> bool {
        let line = &numbered.line;
        (self.levels.is_empty() || self.levels.iter().any(|level| level == line.stream.as_str()))
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
    }
}
