//! The schedules that stand in the text of a registered workflow: they change with it.

use std::sync::Arc;

use serde::Serialize;

use super::stored::{StoredSchedule, read_schedules};
use crate::engine::family::registered_workflow;
use crate::id::{DocumentId, Ids};
use crate::port::store::{DeleteDocument, DocumentQuery, Put, Store, StoreError};
use crate::schedule::{KIND, Schedule, name_in_text};
use crate::spec::parse_stored;
use crate::time::Timestamp;

/// How often it is begun anew because somebody else has changed one of them meanwhile.
const TRIALS: usize = 16;

/// What became of the schedules of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Synced {
    /// Those that are new, by name.
    pub created: Vec<String>,
    /// Those that say something else now.
    pub changed: Vec<String>,
    /// Those that the text no longer has.
    pub removed: Vec<String>,
}

impl Synced {
    /// Whether all was so already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Makes the schedules of a registered workflow what its latest revision says (`on: schedule:`): to be called by who has
/// registered it. What is so already stays as it is; what is paused stays paused.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Invalid`] if the text has schedules that this program cannot reckon. It may have done a
/// part then; called again, it does the rest.
pub async fn sync_schedules(
    store: &dyn Store,
    ids: &dyn Ids,
    project: &str,
    workflow: &str,
) -> Result<Synced, StoreError> {
    let mut synced = Synced::default();
    for _ in 0..TRIALS {
        // What the store holds, not what was registered just now: another may have come after it.
        let wanted = wanted(store, project, workflow).await?;
        let text = Text { store, ids, project, workflow };
        if text.sync(&wanted, &mut synced).await? {
            return Ok(synced);
        }
    }
    Err(StoreError::Busy)
}

/// What the latest revision says.
async fn wanted(store: &dyn Store, project: &str, workflow: &str) -> Result<Vec<Schedule>, StoreError> {
    let Some(row) = registered_workflow(store, project, workflow).await? else { return Ok(Vec::new()) };
    let text = store.revision(row.latest.revision).await?.unwrap_or_default();
    let read = parse_stored(&text, workflow).map_err(|problems| StoreError::Invalid(problems.to_string()))?;
    let whole = |timetable: &Schedule| Schedule {
        workflow: workflow.into(),
        by: row.latest.by.clone(),
        of_text: true,
        ..timetable.clone()
    };
    Ok(read.schedules.iter().map(whole).collect())
}

struct Text<'a> {
    store: &'a dyn Store,
    ids: &'a dyn Ids,
    project: &'a str,
    workflow: &'a str,
}

impl Text<'_> {
    /// Whether it has come to its end: nobody else has changed anything meanwhile.
    async fn sync(&self, wanted: &[Schedule], synced: &mut Synced) -> Result<bool, StoreError> {
        let now = self.store.now().await?;
        for (at, schedule) in wanted.iter().enumerate() {
            if !self.sync_one(at + 1, schedule, now, synced).await? {
                return Ok(false);
            }
        }
        for number in wanted.len() + 1.. {
            let name = name_in_text(self.workflow, number);
            let Some(there) = self.there(&name).await? else { break };
            let expected = there.number;
            let delete = DeleteDocument {
                project: self.project.into(),
                kind: KIND.into(),
                name: name.as_str().into(),
                expected,
            };
            if !self.store.delete_document(delete).await? {
                return Ok(false);
            }
            synced.removed.push(name);
        }
        Ok(true)
    }

    async fn sync_one(
        &self,
        number: usize,
        schedule: &Schedule,
        now: Timestamp,
        synced: &mut Synced,
    ) -> Result<bool, StoreError> {
        let name = name_in_text(self.workflow, number);
        let there = self.there(&name).await?;
        let is_new = there.is_none();
        let invalid = |fault: crate::schedule::CronFault| StoreError::Invalid(format!("`{name}`: {fault}"));
        let stored = match there {
            None => {
                let id = DocumentId::from_uuid(self.ids.uuid());
                let name: Arc<str> = name.as_str().into();
                StoredSchedule::new(id, self.project, name, schedule.clone(), now).map_err(invalid)?
            }
            Some(mut there) => {
                let before = there.clone();
                there.revise(schedule.clone(), now).map_err(invalid)?;
                // Whoever has registered the same once more has changed nothing.
                let by = std::mem::replace(&mut there.schedule.by, before.schedule.by.clone());
                if there == before {
                    return Ok(true);
                }
                there.schedule.by = by;
                there
            }
        };
        if let Put::Stale(_) = self.store.put_document(stored.put(now)).await? {
            return Ok(false);
        }
        if is_new { &mut synced.created } else { &mut synced.changed }.push(name);
        Ok(true)
    }

    async fn there(&self, name: &str) -> Result<Option<StoredSchedule>, StoreError> {
        let query = DocumentQuery {
            project: Some(self.project.to_owned()),
            name: Some(name.to_owned()),
            ..DocumentQuery::default()
        };
        Ok(read_schedules(self.store, query).await?.items.into_iter().next())
    }
}
