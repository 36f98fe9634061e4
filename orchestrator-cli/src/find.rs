//! Finding the run that a user names: its id, the beginning of one, or `@last`.

use std::sync::Arc;

use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::port::store::{RunQuery, Store};

use crate::app::no_run;
use crate::exit::Exit;
use crate::names::Names;
use crate::output::{Problem, suggest};
use crate::shell::Shell;

/// How many candidates an ambiguous beginning is answered with.
const CANDIDATES: usize = 5;

/// The run called `named`.
///
/// # Errors
/// Exit 4 if there is none, or several begin so.
pub(crate) async fn run(store: &Arc<dyn Store>, named: &str, shell: &Shell) -> Result<RunId, Problem> {
    let unknown = || no_run(named).tries(shell.command("runs list"));
    if named == "@last" {
        let page = store.list_runs(RunQuery { limit: 1, top: true, ..RunQuery::default() }).await?;
        return page.items.first().map(|row| row.run).ok_or_else(unknown);
    }
    if named.starts_with('@') {
        return Err(unknown().hint("@last is the latest run"));
    }
    let prefix = named.strip_prefix(RunId::PREFIX).unwrap_or(named).replace('-', "").to_ascii_lowercase();
    if prefix.is_empty() || prefix.len() > 32 || !prefix.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let found = store.find_runs(&prefix, CANDIDATES + 1).await?;
    match found.as_slice() {
        [] => Err(unknown()),
        [run] => Ok(*run),
        several => {
            let mut detail: Vec<String> = several.iter().take(CANDIDATES).map(ToString::to_string).collect();
            if several.len() > CANDIDATES {
                detail.push("…".to_owned());
            }
            let title = format!("several runs begin with `{named}`");
            Err(Problem::new(Exit::NotFound, "run_ambiguous", title)
                .detail(detail.join("\n"))
                .hint("give more of the id"))
        }
    }
}

/// The step called `named`, or its item: `build`, `build[3]`.
///
/// # Errors
/// Exit 4 if the run has none of that name.
pub(crate) fn step(names: &Names, named: &str) -> Result<Unit, Problem> {
    let unknown = || step_not_found(format!("the run has no step `{named}`"), named, names.iter());
    names.find(named).ok_or_else(unknown)
}

/// No step is called `named`; with the nearest of the names that there are.
pub(crate) fn step_not_found<'n>(
    title: String,
    named: &str,
    known: impl Iterator<Item = &'n str>,
) -> Problem {
    let problem = Problem::new(Exit::NotFound, "step_not_found", title);
    match suggest::nearest(named, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}
