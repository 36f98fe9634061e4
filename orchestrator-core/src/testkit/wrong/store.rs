//! A store that is wrong in one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::list::Wrong::{self, *};
use super::place::{World, lock};
use crate::id::{OwnerId, RunId};
use crate::machine::Recorded;
use crate::memory::MemoryStore;
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::port::store::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DeleteDocument, Deliver, Delivered, DocumentQuery,
    DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member, NewOwner,
    NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put, PutDocument,
    Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, Serves, StepRow, Store,
    StoreError, StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use crate::time::Timestamp;
use crate::value::Digest;

/// A handle on a store that is right but for one thing.
#[derive(Debug)]
pub(super) struct Spoiled {
    pub(super) right: Arc<MemoryStore>,
    pub(super) wrong: Wrong,
    pub(super) world: Arc<World>,
    /// Which of the handles on the place it is.
    pub(super) number: u32,
    pub(super) durable: bool,
    pub(super) closed: AtomicBool,
}

impl Spoiled {
    pub(super) fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    /// Writes down that a method was called, and refuses it if the handle is closed.
    fn enter(&self, method: &'static str) -> Result<(), StoreError> {
        lock(&self.world.called).insert(method);
        let reads = matches!(method, "load" | "logs" | "find_key" | "heads") && self.is(ReadsWhenClosed);
        if self.closed.load(Ordering::Relaxed) && !reads {
            return Err(StoreError::Unavailable("it is closed".to_owned()));
        }
        Ok(())
    }

    fn require_known(&self, run: RunId) -> Result<(), StoreError> {
        match lock(&self.world.forged).get(&run) {
            Some(kind) if !self.is(PassesOverUnknownKinds) => Err(StoreError::Corrupt(format!("`{kind}`"))),
            _ => Ok(()),
        }
    }

    fn spoil_events(&self, run: RunId, events: &mut Vec<Recorded>) {
        if self.is(PassesOverUnknownKinds) && lock(&self.world.forged).contains_key(&run) {
            events.retain(|recorded| recorded.seq > 1);
        }
        if self.is(NumbersAcrossRuns) {
            let numbers = lock(&self.world.numbers);
            for recorded in events.iter_mut() {
                recorded.seq = numbers.get(&(run, recorded.seq)).copied().unwrap_or(recorded.seq);
            }
        }
        self.hide_events(run, events);
    }

    pub(super) async fn shown_steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let mut rows = self.right.steps(run).await?;
        if self.is(KeepsRowsOfTheRefused) {
            let refused = lock(&self.world.refused);
            rows.extend(
                refused.iter().filter(|member| member.run == run).flat_map(|member| member.steps.clone()),
            );
        }
        if self.is(HidesClaims) {
            rows.iter_mut().filter(|row| row.status == "claimed").for_each(|row| row.status = "queued");
        }
        self.hide_steps(run, &mut rows);
        Ok(rows)
    }

    /// How far the clock of this handle goes before the others.
    fn skew(&self) -> Duration {
        if self.is(LivesByTheClockOfTheHandle) {
            Duration::from_secs(3600) * self.number
        } else {
            Duration::ZERO
        }
    }
}

#[async_trait]
impl Store for Spoiled {
    fn describe(&self) -> StoreInfo {
        lock(&self.world.called).insert("describe");
        StoreInfo { durable: self.durable, ..self.right.describe() }
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.enter("now")?;
        let now = self.right.now().await? + self.skew();
        Ok(if self.is(CountsSeconds) { Timestamp::from_millis(now.as_millis() / 1000) } else { now })
    }

    async fn commit(&self, mut batch: Vec<Member>) -> Vec<Commit> {
        // An engine that tries again for ever gives others a turn.
        tokio::task::yield_now().await;
        if let Err(error) = self.enter("commit") {
            return batch.iter().map(|_| Commit::Unavailable(error.to_string())).collect();
        }
        if let Some(bad) = self.answer_badly(&batch) {
            return bad;
        }
        self.before_the_first(&batch).await;
        for member in &mut batch {
            self.spoil(member).await;
        }
        self.spoil_keys_of_batch(&mut batch);
        let members = batch.clone();
        let answers = match self.wrong {
            TakesTwoOfARun => self.commit_singly(batch).await,
            LooksForKeysBeforeTheBatch => self.commit_without_own_keys(batch).await,
            _ => self.right.commit(batch).await,
        };
        self.write_the_second(&members).await;
        self.take_places_in_part(members.clone(), &answers).await;
        let count = members.len();
        self.note(members, &answers);
        if self.is(AnswersAppliedAlways) { vec![Commit::Applied; count] } else { answers }
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        tokio::task::yield_now().await;
        self.enter("load")?;
        self.require_known(run)?;
        let mut log = self.right.load(run).await?;
        if let Some(log) = &mut log {
            self.spoil_events(run, &mut log.events);
            self.hide_in_row(&mut log.row);
            if self.is(LosesTheText) {
                log.text = "".into();
            }
        }
        Ok(log)
    }

    async fn events_after(&self, mut query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        tokio::task::yield_now().await;
        self.enter("events_after")?;
        self.require_known(query.run)?;
        match self.wrong {
            ShiftsEventsAfter => query.after = query.after.saturating_sub(1),
            IgnoresLimits => query.limit = usize::MAX,
            NumbersAcrossRuns => {
                let mut all =
                    self.right.events_after(EventsAfter { after: 0, limit: usize::MAX, ..query }).await?;
                self.spoil_events(query.run, &mut all);
                all.retain(|recorded| recorded.seq > query.after);
                all.truncate(query.limit);
                return Ok(all);
            }
            _ => {}
        }
        let mut events = self.right.events_after(query).await?;
        self.spoil_events(query.run, &mut events);
        Ok(events)
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.enter("heads")?;
        let heads = self.right.heads(runs).await?;
        Ok(if self.is(KnowsEveryRun) { runs.iter().map(|run| (*run, 1)).collect() } else { heads })
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.enter("change_mark")?;
        let mark = self.right.change_mark().await?;
        Ok(if self.is(NeverChanges) { 0 } else { mark })
    }

    async fn changed_since(&self, seen: u64) {
        // Who is stopped here waits for ever.
        if self.is(NeverChanges) || self.enter("changed_since").is_err() {
            std::future::pending::<()>().await;
        }
        self.right.changed_since(seen).await;
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        tokio::task::yield_now().await;
        self.enter("value")?;
        if self.hides_value(run, digest) {
            return Ok(None);
        }
        let found = self.right.value(run, digest).await?;
        if found.is_none() && self.is(KeepsValuesOfTheRefused) {
            let refused = lock(&self.world.refused);
            let mut values = refused.iter().flat_map(|member| &member.values);
            return Ok(values.find(|value| value.digest == digest).map(|value| value.body.clone()));
        }
        if found.is_none() && self.is(SharesValues) {
            for row in self.right.list_runs(RunQuery::default()).await?.items {
                if let Some(found) = self.right.value(row.run, digest).await? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(found)
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.enter("revision")?;
        let text = self.right.revision(revision).await?;
        let gone = self.is(PrunesTextsTooSoon) && self.world.once.load(Ordering::Relaxed);
        Ok(if self.is(LosesRevisions) || gone { None } else { text })
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.enter("register")?;
        if owner.outside {
            lock(&self.world.outside).push(owner.id);
        }
        let answer = self.right.register(owner).await;
        if self.is(RegistersAgain) { Ok(()) } else { answer }
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        self.enter("renew")?;
        let row = self.right.owner(owner).await?;
        let answer = self.right.renew(owner, ttl).await?;
        let revives = match self.wrong {
            RenewsTheDead => true,
            RenewsWhoIsPast => row.is_some_and(|row| !row.dead),
            _ => false,
        };
        Ok(if revives { Renewal::Alive(self.right.now().await? + ttl) } else { answer })
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.enter("retire")?;
        if self.is(RetiresNobody) { Ok(()) } else { self.right.retire(owner).await }
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        self.enter("sweep")?;
        if self.is(SweepsNobody) {
            return Ok(Vec::new());
        }
        let mut newly = self.right.sweep().await?;
        if self.is(BuriesWhoComesFromOutside) {
            let outside = std::mem::take(&mut *lock(&self.world.outside));
            for owner in outside {
                self.right.retire(owner).await?;
                newly.push(owner);
            }
        }
        if self.is(ReportsTwice) {
            newly.extend(newly.clone());
        }
        Ok(newly)
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.enter("owner")?;
        let row = self.right.owner(owner).await?;
        let invented = || OwnerRow {
            id: owner,
            label: String::new(),
            deadline: Timestamp::default(),
            dead: true,
            serves: Serves::default(),
        };
        Ok(row.or_else(|| self.is(InventsWhatIsNotThere).then(invented)))
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.enter("owners")?;
        let mut rows = self.right.owners().await?;
        if self.is(ForgetsWhatIsServed) {
            rows.iter_mut().for_each(|row| row.serves = Serves::default());
        }
        Ok(rows)
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        self.enter("offers")?;
        self.spoiled_offers(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.enter("claim")?;
        self.spoiled_claim(claim).await
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        self.enter("stops")?;
        if self.is(TellsNobodyToStop) { Ok(Vec::new()) } else { self.right.stops(owner).await }
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        self.enter("deliver")?;
        self.spoiled_deliver(deliver).await
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        self.enter("inbox")?;
        self.spoiled_inbox(run).await
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        self.enter("holds")?;
        self.spoiled_holds(query).await
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        self.enter("waiters")?;
        self.spoiled_waiters(query).await
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.enter("claim_due")?;
        let mut due = self.due_with_inboxes(limit).await?;
        match self.wrong {
            LetsAFloodGoFirst | ClaimsTheFirstOfEachAlone | IgnoresUrgency | LetsTheUrgentGoFirst => {
                due = self.unfair(limit).await?;
            }
            ClaimsTheYoungestFirst => due.reverse(),
            ClaimsTheDriven => {
                let now = self.right.now().await?;
                let all = self.right.list_runs(RunQuery::default()).await?.items;
                let is_due = |row: &&RunRow| row.due_at.is_some_and(|due| due <= now);
                let due_run = |row: &RunRow| DueRun::new(row.run, row.new.project.clone(), 0, now);
                due = all.iter().filter(is_due).map(due_run).collect();
            }
            _ => due.retain(|due| !self.hides_due(due.run)),
        }
        Ok(due)
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        tokio::task::yield_now().await;
        self.enter("run")?;
        let mut row = self.right.run(run).await?;
        row.iter_mut().for_each(|row| self.hide_in_row(row));
        Ok(row)
    }

    async fn list_runs(&self, mut query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        self.enter("list_runs")?;
        if self.is(IgnoresFilters) {
            query = RunQuery { after: query.after, limit: query.limit, ..Default::default() };
        }
        if self.is(MixesChildren) {
            query = RunQuery { top: false, parent: None, ..query };
        }
        let mut page = self.right.list_runs(query).await?;
        match self.wrong {
            ListsOldestFirst => page.items.reverse(),
            ListsRunsByTime => page.items.sort_by_key(|row| std::cmp::Reverse(row.created_at)),
            _ => {}
        }
        Ok(page)
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.enter("find_runs")?;
        self.right.find_runs(if self.is(FindsAnyPrefix) { "" } else { hex_prefix }, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        self.enter("find_key")?;
        let found = self.right.find_key(project, key).await?;
        if found.is_none() && self.is(KeepsKeysOfThePruned) && self.world.once.load(Ordering::Relaxed) {
            return Ok(Some(RunId::from_uuid(uuid::Uuid::nil())));
        }
        Ok(found)
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.enter("steps")?;
        self.shown_steps(run).await
    }

    async fn approvals(&self, mut query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        self.enter("approvals")?;
        if self.is(IgnoresFilters) {
            query = ApprovalQuery { limit: query.limit, ..Default::default() };
        }
        let mut page = self.right.approvals(query).await?;
        if self.is(ListsApprovalsByRun) {
            page.items.sort_by_key(|row| (row.run, row.step));
        }
        Ok(page)
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.enter("decisions")?;
        let mut rows = self.right.decisions(run).await?;
        self.hide_decisions(run, &mut rows);
        Ok(rows)
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        self.enter("append_logs")?;
        let answer = self.right.append_logs(run, lines).await;
        if self.is(TakesLinesOfNoRun) { Ok(()) } else { answer }
    }

    async fn logs(&self, mut query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        self.enter("logs")?;
        query.tail &= !self.is(IgnoresTail);
        let mut lines = self.right.logs(query).await?;
        if self.is(NumbersLinesAcrossRuns) {
            let runs = self.right.list_runs(RunQuery::default()).await?.items;
            let mut before = 0;
            for row in runs.iter().filter(|row| row.run != query.run) {
                let all = LogQuery { run: row.run, step: None, after: 0, tail: false, limit: usize::MAX };
                before += self.right.logs(all).await?.len() as u64;
            }
            lines.iter_mut().for_each(|line| line.number += before);
        }
        self.hide_lines(query.run, &mut lines);
        Ok(lines)
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        self.enter("register_workflow")?;
        self.spoiled_registration(new).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        self.enter("workflows")?;
        let mut page = self.right.workflows(query).await?;
        if self.is(ListsWorkflowsBackwards) {
            page.items.reverse();
        }
        Ok(page)
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        self.enter("workflow_revisions")?;
        let mut page = self.right.workflow_revisions(query).await?;
        match self.wrong {
            ForgetsOldRevisions => page.items.truncate(1),
            ListsRevisionsBackwards => page.items.reverse(),
            _ => {}
        }
        Ok(page)
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        self.enter("put_document")?;
        self.spoiled_put(put).await
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        self.enter("documents")?;
        self.spoiled_documents(query).await
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        self.enter("delete_document")?;
        self.spoiled_delete(delete).await
    }

    async fn prune(&self, mut prune: Prune) -> Result<Pruned, StoreError> {
        self.enter("prune")?;
        match self.wrong {
            PrunesTheYoung => prune.before = Timestamp::from_millis(i64::MAX),
            PrunesWhenDry => prune.dry = false,
            PrunesWithoutLimit => prune.limit = usize::MAX,
            PrunesNothing => prune.dry = true,
            _ => {}
        }
        let pruned = self.right.prune(prune).await?;
        if pruned.runs > 0
            && matches!(self.wrong, KeepsKeysOfThePruned | PrunesTextsTooSoon | PrunesTextsOfDocuments)
        {
            self.world.once.store(true, Ordering::Relaxed);
        }
        if self.is(PrunesWhatCounts) {
            self.world.once.store(true, Ordering::Relaxed);
        }
        Ok(match self.wrong {
            CountsNoRows => Pruned { events: 0, lines: 0, ..pruned },
            CountsValuesTwice => Pruned { values: pruned.values * 2, ..pruned },
            _ => pruned,
        })
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.enter("health")?;
        self.right.health().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        lock(&self.world.called).insert("close");
        self.closed.store(!self.is(StaysOpen), Ordering::Relaxed);
        if self.is(ForgetsWhenClosed) {
            self.world.once.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
