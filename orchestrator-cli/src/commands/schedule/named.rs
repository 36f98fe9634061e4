//! Finding a schedule by its name.

use std::sync::Arc;

use orchestrator_core::engine::{StoredSchedule, read_schedules};
use orchestrator_core::port::store::{DocumentQuery, Store};

use crate::exit::Exit;
use crate::output::{Problem, suggest};
use crate::registered::PROJECT;
use crate::shell::Shell;

/// How many names are looked through for one that was meant.
const NEIGHBOURS: usize = 500;

/// Asks for the schedules of this command line.
pub(super) fn query() -> DocumentQuery {
    DocumentQuery { project: Some(PROJECT.to_owned()), ..DocumentQuery::default() }
}

/// The schedule of this name; `None` if there is none.
///
/// # Errors
/// Exit 7 if the store does not answer, or another version has written it.
pub(super) async fn find(store: &Arc<dyn Store>, name: &str) -> Result<Option<StoredSchedule>, Problem> {
    let of_name = DocumentQuery { name: Some(name.to_owned()), ..query() };
    Ok(read_schedules(&**store, of_name).await?.items.pop())
}

/// The schedule of this name.
///
/// # Errors
/// Exit 4 if there is none.
pub(super) async fn schedule(
    store: &Arc<dyn Store>,
    name: &str,
    shell: &Shell,
) -> Result<StoredSchedule, Problem> {
    if let Some(found) = find(store, name).await? {
        return Ok(found);
    }
    let all = read_schedules(&**store, DocumentQuery { limit: NEIGHBOURS, ..query() }).await?.items;
    let problem =
        Problem::new(Exit::NotFound, "schedule_not_found", format!("there is no schedule `{name}`"));
    Err(match suggest::nearest(name, all.iter().map(|row| &*row.name)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None if all.is_empty() => problem.tries(shell.command("schedule create --help")),
        None => problem.tries(shell.command("schedule list")),
    })
}
