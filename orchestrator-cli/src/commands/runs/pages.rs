//! Reading a run's numbered things page by page, once or until the run has ended: events and lines of output alike.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{Store, StoreError};

use crate::app::App;
use crate::commands::runs::tail::Changes;
use crate::exit::Exit;
use crate::output::Problem;
use crate::signals::Signals;

/// How long to wait for a change at most: who drives a run may end without writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that is kept under growing numbers, and printed one a line.
pub(super) trait Numbered {
    type Item;

    /// How many are read at once.
    const PAGE: usize;

    /// Those with a larger number than `after`, at most a page.
    async fn page(&self, store: &Arc<dyn Store>, after: u64) -> Result<Vec<Self::Item>, StoreError>;

    /// The last so many of them, if they can be had without reading all and every one is asked for.
    async fn last(&self, store: &Arc<dyn Store>, count: usize)
    -> Result<Option<Vec<Self::Item>>, StoreError>;

    fn number(item: &Self::Item) -> u64;

    /// The line for it; `None` if it is not asked for.
    fn line(&self, item: &Self::Item) -> Result<Option<String>, Problem>;
}

/// How they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) run: RunId,
    /// Those with a larger number.
    pub(super) after: u64,
    /// Of those there are, only the last so many lines.
    pub(super) tail: Option<usize>,
    /// Go on until the run has ended.
    pub(super) follow: bool,
}

/// Prints what is asked for. `nothing` is told where there is nothing.
pub(super) async fn print<T: Numbered>(
    app: &App,
    store: &Arc<dyn Store>,
    reading: Reading,
    numbered: &T,
    nothing: &str,
) -> Result<Exit, Problem> {
    let pages = Pages { app, store, numbered };
    if reading.follow {
        let mut signals = Signals::catch()?;
        return tokio::select! {
            exit = signals.next() => Ok(exit),
            done = pages.follow(reading) => done.map(|()| Exit::Ok),
        };
    }
    if pages.pass(reading.after, reading.tail).await?.lines == 0 {
        app.output.note(nothing);
    }
    Ok(Exit::Ok)
}

struct Pages<'a, T> {
    app: &'a App,
    store: &'a Arc<dyn Store>,
    numbered: &'a T,
}

/// What one pass over what there is has come to.
struct Passed {
    /// The last number that was read, asked for or not.
    last: u64,
    /// How many lines were printed.
    lines: usize,
}

impl<T: Numbered> Pages<'_, T> {
    async fn follow(&self, reading: Reading) -> Result<(), Problem> {
        let mut changes = Changes::of(self.store).await?;
        let (mut after, mut tail) = (reading.after, reading.tail);
        loop {
            // Asked before reading, so that the last ones are read after the end is known.
            let ended = self.store.run(reading.run).await?.is_none_or(|row| row.finished_at.is_some());
            after = self.pass(after, tail.take()).await?.last;
            if ended {
                return Ok(());
            }
            changes.next(PATIENCE).await?;
        }
    }

    /// Prints what there is after a number, or the last lines of it.
    async fn pass(&self, mut after: u64, tail: Option<usize>) -> Result<Passed, Problem> {
        if let Some(count) = tail
            && let Some(items) = self.numbered.last(self.store, count).await?
        {
            let lines = self.lines(&items)?;
            return Ok(Passed { last: items.last().map_or(after, T::number), lines: self.print(&lines)? });
        }
        let mut printed = 0;
        let mut kept = std::collections::VecDeque::new();
        loop {
            let items = self.numbered.page(self.store, after).await?;
            let Some(last) = items.last() else { break };
            after = T::number(last);
            let full = items.len() >= T::PAGE;
            let lines = self.lines(&items)?;
            match tail {
                Some(most) => {
                    kept.extend(lines);
                    kept.drain(..kept.len().saturating_sub(most));
                }
                None => printed += self.print(&lines)?,
            }
            if !full {
                break;
            }
        }
        printed += self.print(kept.make_contiguous())?;
        Ok(Passed { last: after, lines: printed })
    }

    fn lines(&self, items: &[T::Item]) -> Result<Vec<String>, Problem> {
        let mut lines = Vec::with_capacity(items.len());
        for item in items {
            lines.extend(self.numbered.line(item)?);
        }
        Ok(lines)
    }

    fn print(&self, lines: &[String]) -> Result<usize, Problem> {
        if !lines.is_empty() {
            self.app.output.print(&lines.join("\n"))?;
        }
        Ok(lines.len())
    }
}
