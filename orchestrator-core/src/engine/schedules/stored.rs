//! A schedule as it is kept.

use std::sync::Arc;

use crate::id::DocumentId;
use crate::port::store::{DocumentQuery, DocumentRow, Page, PutDocument, Store, StoreError};
use crate::schedule::{Cron, CronFault, KIND, Past, Schedule};
use crate::time::Timestamp;

const ACTIVE: &str = "active";
const PAUSED: &str = "paused";

/// A schedule as it is kept: what it says, how it stands, and what has become of it.
///
/// It is changed by changing this and handing [`StoredSchedule::put`] to
/// [`Store::put_document`]: nobody else may have changed it meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchedule {
    /// Its document.
    pub id: DocumentId,
    /// The tenant.
    pub project: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The number of its last change; 0 if it is not kept yet.
    pub number: u64,
    /// Whether it rests until somebody resumes it.
    pub paused: bool,
    /// The next time for which a run is started; `None` while it is paused, or if no time ever comes.
    pub next: Option<Timestamp>,
    /// What it says.
    pub schedule: Schedule,
    /// What has become of it.
    pub past: Past,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl StoredSchedule {
    /// A new one, which starts its first run at the first of its times after `now`.
    ///
    /// # Errors
    /// [`CronFault`] if its expression or zone is none.
    pub fn new(
        id: DocumentId,
        project: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        mut schedule: Schedule,
        now: Timestamp,
    ) -> Result<Self, CronFault> {
        let cron = Cron::parse(&schedule.cron, &schedule.zone)?;
        schedule.zone = cron.zone().to_owned();
        schedule.created_at = now;
        Ok(Self {
            id,
            project: project.into(),
            name: name.into(),
            number: 0,
            paused: false,
            next: cron.next_after(now),
            schedule,
            past: Past::default(),
            updated_at: now,
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is not a schedule, or one that another version has written and this one cannot read.
    pub fn read(row: &DocumentRow) -> Result<Self, StoreError> {
        let corrupt = |error: serde_json::Error| {
            StoreError::Corrupt(format!("the schedule `{}` cannot be read: {error}", row.name))
        };
        Ok(Self {
            id: row.id,
            project: row.project.clone(),
            name: row.name.clone(),
            number: row.number,
            paused: &*row.status == PAUSED,
            next: row.due_at,
            schedule: serde_json::from_str(&row.body).map_err(corrupt)?,
            past: serde_json::from_str(&row.state).map_err(corrupt)?,
            updated_at: row.updated_at,
        })
    }

    /// The next times at which it starts runs, at most `count`; those that it would have, were it not paused.
    ///
    /// # Errors
    /// [`CronFault`] if its expression or zone is none any more.
    pub fn times(&self, now: Timestamp, count: usize) -> Result<Vec<Timestamp>, CronFault> {
        let cron = Cron::parse(&self.schedule.cron, &self.schedule.zone)?;
        let first = self.next.or_else(|| cron.next_after(now));
        Ok(std::iter::successors(first, |at| cron.next_after(*at)).take(count).collect())
    }

    /// Rests: starts no run until it is resumed.
    pub fn pause(&mut self) {
        self.paused = true;
        self.next = None;
    }

    /// Goes on with the first of its times after `now`. What it has missed meanwhile is not made up for.
    ///
    /// # Errors
    /// [`CronFault`] if its expression or zone is none any more.
    pub fn resume(&mut self, now: Timestamp) -> Result<(), CronFault> {
        self.next = Cron::parse(&self.schedule.cron, &self.schedule.zone)?.next_after(now);
        self.paused = false;
        self.past.last_error = None;
        Ok(())
    }

    /// Says something else from now on. Other times count from `now`; the same ones go on.
    ///
    /// # Errors
    /// [`CronFault`] if the new expression or zone is none.
    pub fn revise(&mut self, mut schedule: Schedule, now: Timestamp) -> Result<(), CronFault> {
        let cron = Cron::parse(&schedule.cron, &schedule.zone)?;
        schedule.zone = cron.zone().to_owned();
        schedule.created_at = self.schedule.created_at;
        let is_same = |other: &Schedule| other.cron == schedule.cron && other.zone == schedule.zone;
        if !self.paused && !is_same(&self.schedule) {
            self.next = cron.next_after(now);
        }
        self.schedule = schedule;
        Ok(())
    }

    /// The change that makes the store keep this.
    #[must_use]
    pub fn put(&self, at: Timestamp) -> PutDocument {
        // Both are made of texts and numbers alone, which JSON can hold.
        let json = |written: serde_json::Result<String>| Arc::from(written.unwrap_or_default());
        PutDocument {
            id: self.id,
            project: self.project.clone(),
            kind: KIND.into(),
            name: self.name.clone(),
            status: if self.paused { PAUSED } else { ACTIVE }.into(),
            due_at: self.next,
            body: json(serde_json::to_string(&self.schedule)),
            state: json(serde_json::to_string(&self.past)),
            at,
            expected: self.number,
        }
    }
}

/// Schedules, by project and name. `query.kind` is not asked for.
///
/// # Errors
/// [`StoreError`].
pub async fn read_schedules(
    store: &dyn Store,
    query: DocumentQuery,
) -> Result<Page<StoredSchedule>, StoreError> {
    let page = store.documents(DocumentQuery { kind: KIND.to_owned(), ..query }).await?;
    let items = page.items.iter().map(StoredSchedule::read).collect::<Result<_, _>>()?;
    Ok(Page { items, more: page.more })
}
