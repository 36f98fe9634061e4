//! The reference store, and the reference queue beside it: everything in this process's memory, for tests, for work that
//! need not outlive the process, and as the measure of what every other store must do. Simple enough to be seen to be
//! right; lean enough for runs of a hundred thousand steps.

mod compact;
mod desk;
mod due;
mod inner;
mod keys;
mod letters;
mod papers;
mod prune;
mod queue;
mod run;
mod shelf;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::id::{OwnerId, RunId};
use crate::machine::Recorded;
use crate::memory::desk::Desk;
use crate::memory::keys::Keys;
use crate::memory::papers::Papers;
use crate::memory::run::Run;
use crate::memory::shelf::Shelf;
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::port::store::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DEFAULT_PAGE, DeleteDocument, Deliver, Delivered,
    DocumentQuery, DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member,
    NewOwner, NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put,
    PutDocument, Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, SECOND_MEMBER,
    StepRow, Store, StoreError, StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::value::Digest;

pub use queue::MemoryQueue;

/// A store that keeps everything in memory and loses it with the process.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

/// Runs by the times at which they are due.
type Line = BTreeSet<(Timestamp, RunId)>;

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    mark: u64,
    runs: BTreeMap<RunId, Run>,
    /// The runs with a `due_at`, by it: a line for each project and priority.
    due: BTreeMap<(Arc<str>, i32), Line>,
    /// What each idempotency key has started, by project and key.
    started: HashMap<(Arc<str>, Arc<str>), (RunId, Digest)>,
    revisions: HashMap<Digest, Arc<str>>,
    shelf: Shelf,
    papers: Papers,
    desk: Desk,
    /// Places under keys.
    keys: Keys,
    owners: BTreeMap<OwnerId, OwnerRow>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::from_wall_clock()))
    }

    /// An empty store on a clock of the caller's: for simulation.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// The state, unless the store is closed. A panic while the lock was held can have happened only between whole
    /// changes, so the state behind a poisoned lock is whole.
    fn open(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed { Err(StoreError::Unavailable("it is closed".to_owned())) } else { Ok(inner) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> StoreInfo {
        StoreInfo {
            kind: "memory",
            location: "this process".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            durable: false,
            lanes: 1,
        }
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.open().map(|_| self.clock.now())
    }

    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        let mut inner = match self.open() {
            Ok(inner) => inner,
            Err(error) => return batch.iter().map(|_| Commit::Unavailable(error.to_string())).collect(),
        };
        let now = self.clock.now();
        let mut seen = HashSet::with_capacity(batch.len());
        let mut once = |member: Member| {
            if seen.insert(member.run) {
                inner.commit(member, now)
            } else {
                Commit::Invalid(SECOND_MEMBER.to_owned())
            }
        };
        batch.into_iter().map(&mut once).collect()
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        let inner = self.open()?;
        Ok(inner.runs.get(&run).map(|run| RunLog {
            row: run.row.clone(),
            text: inner.revisions.get(&run.row.new.revision).cloned().unwrap_or_default(),
            events: run.log.after(0, usize::MAX),
        }))
    }

    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        let inner = self.open()?;
        Ok(inner.runs.get(&query.run).map(|run| run.log.after(query.after, query.limit)).unwrap_or_default())
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        let inner = self.open()?;
        Ok(runs.iter().filter_map(|id| inner.runs.get(id).map(|run| (*id, run.row.seq))).collect())
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.open().map(|inner| inner.mark)
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        let inner = self.open()?;
        Ok(inner.runs.get(&run).and_then(|run| run.values.get(&digest).cloned()))
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.open()?.revisions.get(&revision).cloned())
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        if inner.owners.contains_key(&owner.id) {
            return Err(StoreError::Invalid(format!("{} is registered already", owner.id)));
        }
        let deadline = self.clock.now() + owner.ttl;
        let NewOwner { id, label, serves, .. } = owner;
        inner.owners.insert(id, OwnerRow { id, label, serves, deadline, dead: false });
        inner.changed();
        Ok(())
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        let mut inner = self.open()?;
        let now = self.clock.now();
        let Some(row) = inner.owners.get_mut(&owner) else { return Ok(Renewal::Dead) };
        if row.dead || row.deadline <= now {
            if !row.dead {
                // However the clock is set later: whoever was told that it is dead stays past its time.
                row.deadline = Timestamp::default();
            }
            return Ok(Renewal::Dead);
        }
        let until = now + ttl;
        row.deadline = until;
        Ok(Renewal::Alive(until))
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        inner.bury(owner, self.clock.now());
        Ok(())
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        let mut inner = self.open()?;
        let now = self.clock.now();
        let past = inner.owners.values().filter(|row| !row.dead && row.deadline <= now);
        let newly: Vec<OwnerId> = past.map(|row| row.id).collect();
        newly.iter().for_each(|owner| inner.bury(*owner, now));
        Ok(newly)
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        Ok(self.open()?.owners.get(&owner).cloned())
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        let inner = self.open()?;
        // By their ids, as the map has them.
        Ok(inner.owners.values().filter(|row| !row.dead).cloned().collect())
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        let inner = self.open()?;
        Ok(inner.due(self.clock.now(), limit))
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        Ok(page(self.open()?.desk.offers(&query).into_iter(), query.limit))
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let (mut inner, now) = (self.open()?, self.clock.now());
        if !inner.lives(claim.owner, now) {
            return Ok(Claimed::Dead);
        }
        if inner.runs.get(&claim.ticket.run).is_none_or(|run| run.row.finished_at.is_some()) {
            return Ok(Claimed::Gone);
        }
        inner.changed();
        Ok(inner.desk.claim(claim, now))
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        Ok(self.open()?.desk.stops(owner))
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        if let Some(fault) = deliver.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        let mut inner = self.open()?;
        let (answer, is_new) = inner.desk.deliver(&deliver, self.clock.now());
        if let Some(run) = inner.runs.get_mut(&deliver.ticket.run).filter(|_| is_new) {
            run.values.extend(deliver.values.into_iter().map(|value| (value.digest, value.body)));
            run.lines.extend(deliver.logs);
            inner.changed();
        }
        Ok(answer)
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        Ok(Inbox { rows: self.open()?.desk.inbox(run), unreadable: Vec::new() })
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        Ok(self.open()?.keys.holds(&query))
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        Ok(self.open()?.keys.waiters(&query))
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.open()?.runs.get(&run).map(|run| run.row.clone()))
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        let inner = self.open()?;
        let before = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let newest_first = inner.runs.range((Bound::Unbounded, before)).rev().map(|(_, run)| run);
        Ok(page(newest_first.filter(|run| run.matches(&query)).map(|run| &run.row), query.limit))
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        let inner = self.open()?;
        let Some((first, last)) = RunId::range_of_prefix(hex_prefix) else { return Ok(Vec::new()) };
        Ok(inner.runs.range(first..=last).rev().map(|(id, _)| *id).take(limit).collect())
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        let inner = self.open()?;
        Ok(inner.started.get(&(Arc::from(project), Arc::from(key))).map(|(run, _)| *run))
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let inner = self.open()?;
        let mut rows = inner.runs.get(&run).map(|run| run.steps.rows()).unwrap_or_default();
        inner.desk.lay_over(run, &mut rows);
        Ok(rows)
    }

    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        let inner = self.open()?;
        let runs = inner.runs.values().filter(|run| {
            query.project.as_deref().is_none_or(|project| *run.row.new.project == *project)
                && query.run.is_none_or(|id| run.row.run == id)
        });
        let rows = runs.flat_map(|run| run.approvals.values());
        let mut rows: Vec<&ApprovalRow> = rows.filter(|row| !query.open || row.status == "open").collect();
        rows.sort_by_key(|row| (row.asked_at, row.run, row.step, row.item, row.attempt));
        Ok(page(rows.into_iter(), query.limit))
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        Ok(self.open()?.runs.get(&run).map(|data| data.decisions.rows(run)).unwrap_or_default())
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let Some(data) = inner.runs.get_mut(&run) else {
            return Err(StoreError::Invalid(format!("there is no run {run}")));
        };
        data.lines.extend(lines);
        inner.changed();
        Ok(())
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        let inner = self.open()?;
        Ok(inner.runs.get(&query.run).map(|run| run.lines(&query)).unwrap_or_default())
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        if let Some(fault) = new.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        let mut inner = self.open()?;
        let answer = inner.shelf.register(&new);
        if let Registered::New(_) = answer {
            inner.revisions.entry(new.revision).or_insert(new.text);
            inner.changed();
        }
        Ok(answer)
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        let rows: Vec<WorkflowRow> = self.open()?.shelf.workflows(&query).collect();
        Ok(page(rows.iter(), query.limit))
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        let inner = self.open()?;
        Ok(page(inner.shelf.revisions(&query), query.limit))
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        let mut inner = self.open()?;
        put.fault().map_or(Ok(()), |fault| Err(StoreError::Invalid(fault.to_owned())))?;
        let answer = inner.papers.put(put);
        if let Put::Written(_) = answer {
            inner.changed();
        }
        Ok(answer)
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        Ok(page(self.open()?.papers.list(&query).iter(), query.limit))
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        let mut inner = self.open()?;
        delete.fault().map_or(Ok(()), |fault| Err(StoreError::Invalid(fault.to_owned())))?;
        inner.changed();
        Ok(inner.papers.delete(&delete))
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        Ok(self.open()?.prune(&prune))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

/// The first `limit` items, and whether there are more.
fn page<'a, T: Clone + 'a>(items: impl Iterator<Item = &'a T>, limit: usize) -> Page<T> {
    let limit = if limit == 0 { DEFAULT_PAGE } else { limit };
    let mut items = items;
    let shown = items.by_ref().take(limit).cloned().collect();
    Page { items: shown, more: items.next().is_some() }
}
