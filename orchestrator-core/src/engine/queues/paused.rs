//! The documents that say which queues are paused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::start::StartRun;
use crate::id::DocumentId;
use crate::port::store::{DeleteDocument, DocumentQuery, DocumentRow, Put, PutDocument, Store, StoreError};
use crate::time::Timestamp;

/// The kind of documents that are queues. One whose document is there, and says so, is paused.
pub const QUEUE_KIND: &str = "queue";

const PAUSED: &str = "paused";

/// How often a change is tried while others make some.
const TRIALS: usize = 16;

/// How many documents are read at once.
const PAGE: usize = 500;

/// A queue from which nothing begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PausedQueue {
    /// Its name.
    pub queue: Arc<str>,
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// Who has paused it; empty, if that cannot be read.
    pub by: Arc<str>,
}

impl PausedQueue {
    /// What is said of whoever waits for its end: `queue `gpu` is paused since 2026-01-31T12:00:00.000Z by ana`.
    #[must_use]
    pub fn told(&self) -> String {
        let by = if self.by.is_empty() { String::new() } else { format!(" by {}", self.by) };
        format!("queue `{}` is paused since {}{by}", self.queue, self.since)
    }
}

/// What somebody says who pauses a queue.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    by: Arc<str>,
}

/// A wish to pause a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseQueue {
    /// The id of the document, should there be none yet.
    pub id: DocumentId,
    /// The queue; a name as queues have them ([`crate::spec::is_queue_name`]).
    pub queue: Arc<str>,
    /// Who wants it.
    pub by: Arc<str>,
}

/// All queues that are paused, by their names.
///
/// # Errors
/// [`StoreError`] if the store cannot answer. A document that cannot be read whole says that its queue is paused, if it is.
pub async fn paused_queues(store: &dyn Store) -> Result<Vec<PausedQueue>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = DocumentQuery { after, limit: PAGE, ..query() };
        let page = store.documents(query).await?;
        after = page.items.last().map(|row| (row.project.to_string(), row.name.to_string()));
        found.extend(page.items.into_iter().filter_map(paused));
        if !page.more || after.is_none() {
            return Ok(found);
        }
    }
}

/// Pauses a queue: from here on nothing begins from it in this process, and nowhere within about a second. Tells whether it was
/// not paused already; if it was, it stays as it is.
///
/// # Errors
/// [`StoreError::Invalid`] for a name that no queue has, [`StoreError::Busy`] if others change it all the time, and others if
/// the store cannot answer.
pub async fn pause_queue(store: &dyn Store, pause: PauseQueue) -> Result<(PausedQueue, bool), StoreError> {
    if !crate::spec::is_queue_name(&pause.queue) {
        return Err(StoreError::Invalid(format!("`{}` cannot be the name of a queue", pause.queue)));
    }
    let said = Said { by: pause.by };
    let body = serde_json::to_string(&said).map_err(|error| StoreError::Invalid(error.to_string()))?;
    for _ in 0..TRIALS {
        let row = document(store, &pause.queue).await?;
        if let Some(paused) = row.clone().and_then(paused) {
            return Ok((paused, false));
        }
        let at = store.now().await?;
        let put = PutDocument {
            id: pause.id,
            project: StartRun::DEFAULT_PROJECT.into(),
            kind: QUEUE_KIND.into(),
            name: pause.queue.clone(),
            status: PAUSED.into(),
            due_at: None,
            body: body.as_str().into(),
            state: "".into(),
            at,
            expected: row.map_or(0, |row| row.number),
        };
        if let Put::Written(_) = store.put_document(put).await? {
            return Ok((PausedQueue { queue: pause.queue, since: at, by: said.by }, true));
        }
    }
    Err(StoreError::Busy)
}

/// Ends the pause of a queue, and gives what it was; `None` if it was not paused.
///
/// # Errors
/// [`StoreError::Busy`] if others change it all the time, and others if the store cannot answer.
pub async fn resume_queue(store: &dyn Store, queue: &str) -> Result<Option<PausedQueue>, StoreError> {
    for _ in 0..TRIALS {
        let Some(row) = document(store, queue).await? else { return Ok(None) };
        let delete = DeleteDocument {
            project: row.project.clone(),
            kind: QUEUE_KIND.into(),
            name: row.name.clone(),
            expected: row.number,
        };
        let Some(was) = paused(row) else { return Ok(None) };
        if store.delete_document(delete).await? {
            return Ok(Some(was));
        }
    }
    Err(StoreError::Busy)
}

fn query() -> DocumentQuery {
    // Queues are served across projects, and so they are paused for all.
    let project = Some(StartRun::DEFAULT_PROJECT.to_owned());
    DocumentQuery { kind: QUEUE_KIND.to_owned(), project, ..DocumentQuery::default() }
}

async fn document(store: &dyn Store, queue: &str) -> Result<Option<DocumentRow>, StoreError> {
    let of_name = DocumentQuery { name: Some(queue.to_owned()), ..query() };
    Ok(store.documents(of_name).await?.items.pop())
}

fn paused(row: DocumentRow) -> Option<PausedQueue> {
    if &*row.status != PAUSED {
        return None;
    }
    let said = serde_json::from_str(&row.body).map_or_else(|_| Arc::from(""), |said: Said| said.by);
    Some(PausedQueue { queue: row.name, since: row.updated_at, by: said })
}
