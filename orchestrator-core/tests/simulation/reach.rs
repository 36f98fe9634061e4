//! The store as a process reaches it: over a line that is slow, breaks, and loses answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::machine::Recorded;
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DeleteDocument, Deliver, Delivered, DocumentQuery,
    DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member, NewOwner,
    NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put, PutDocument,
    Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, StepRow, Store, StoreError,
    StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use orchestrator_core::time::{Clock, Timestamp};
use orchestrator_core::value::Digest;
use tokio::sync::oneshot;

use crate::bugs::Bug;
use crate::dice::Die;
use crate::node::Process;
use crate::truth::Truth;

/// The store, from a process.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) truth: Arc<Truth>,
    pub(crate) process: Arc<Process>,
}

impl Reach {
    /// The way to the store. A process that has died on it never arrives.
    async fn way(&self, die: Die, permille: u64) -> Result<(), StoreError> {
        let world = &self.process.world;
        self.travel().await;
        if self.is_out() {
            return Err(StoreError::Unavailable("nobody reaches it".into()));
        }
        if world.roll(die, permille) {
            return Err(StoreError::Unavailable("the line is broken".into()));
        }
        Ok(())
    }

    async fn travel(&self) {
        let world = &self.process.world;
        let slow = world.roll(Die::Slow, 20);
        let millis = world.chance(|chance| if slow { chance.between(800, 2_500) } else { chance.below(4) });
        if millis > 0 {
            world.pass(millis).await;
        }
        if self.process.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// The answer to something that was written, unless it is lost.
    async fn arrived<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.travel().await;
        match self.process.world.roll(Die::AmbiguousApplied, 30) {
            true => Err(StoreError::Unavailable("the answer is lost".into())),
            false => answer,
        }
    }

    /// Outages come by themselves: two seconds of each twenty.
    fn is_out(&self) -> bool {
        let world = &self.process.world;
        let at = world.clock.now().since(crate::world::BEGIN);
        let is_out = at.as_secs() % 20 >= 18 && world.is_on(Die::Outage);
        if is_out {
            world.count(Die::Outage);
        }
        is_out
    }

    /// Has the store carry out a batch: even if this process dies meanwhile.
    async fn carry_out(&self, batch: Vec<Member>) -> Vec<Commit> {
        let world = &self.process.world;
        if !world.roll(Die::Posthumous, 20) {
            return self.truth.commit(self.process.number, batch).await;
        }
        let (reply, answer) = oneshot::channel();
        let on_its_way = world.chance(|chance| chance.between(1, 3_000));
        let dies_in = world.chance(|chance| chance.below(on_its_way));
        let (truth, process) = (self.truth.clone(), self.process.clone());
        tokio::spawn(async move {
            process.world.pass(dies_in).await;
            process.kill();
            process.world.pass(on_its_way - dies_in).await;
            let _ = reply.send(truth.commit(process.number, batch).await);
        });
        match answer.await {
            Ok(answers) => answers,
            Err(_) => std::future::pending().await,
        }
    }

    /// The wrong committers.
    async fn wrongly(&self, batch: &[Member]) -> Option<Vec<Commit>> {
        let world = &self.process.world;
        if world.is(Bug::DispatchBeforeIntent) {
            for member in batch {
                if let Some(held) = self.truth.held_back(member.run) {
                    self.truth.commit(self.process.number, vec![held]).await;
                }
            }
            if batch.iter().all(|member| self.truth.hold_back(member)) {
                return Some(vec![Commit::Applied; batch.len()]);
            }
        }
        if world.is(Bug::BlindRetry) && world.chance(|chance| chance.permille(50)) {
            self.truth.commit(self.process.number, batch.to_vec()).await;
            let mut again = batch.to_vec();
            for member in again.iter_mut().filter(|member| member.create.is_none()) {
                member.expected += member.events.len() as u64;
            }
            return Some(self.truth.commit(self.process.number, again).await);
        }
        None
    }

    /// Who is dead, by the clock of this process.
    async fn sweep_by_own_clock(&self) {
        let now = self.process.now();
        let mut owners = Vec::new();
        self.truth.each(|_, run| owners.extend(run.state.head().driver));
        for owner in owners {
            if let Ok(Some(row)) = self.truth.store.owner(owner).await
                && row.deadline <= now
                && !row.dead
            {
                self.dies(&row);
                let _ = self.truth.store.retire(owner).await;
            }
        }
    }

    /// An owner is taken for dead. Its time must be over, by the store's clock.
    fn dies(&self, row: &OwnerRow) {
        if row.deadline > self.process.world.clock.now() {
            self.process.world.broken(format!("{} is taken for dead before its time", row.label));
        }
    }
}

/// Reads, each over the way.
macro_rules! reads {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $gives:ty;)+) => {
        #[async_trait]
        impl Store for Reach {
            $(async fn $name(&self $(, $arg: $ty)*) -> Result<$gives, StoreError> {
                self.way(Die::Unreadable, 30).await?;
                let answer = self.truth.store.$name($($arg),*).await;
                self.travel().await;
                answer
            })+

            fn describe(&self) -> StoreInfo {
                let lanes = if self.process.world.roll(Die::Lanes, 1_000) { 2 } else { 1 };
                StoreInfo { lanes, ..self.truth.store.describe() }
            }

            async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
                let (world, count) = (&self.process.world, batch.len());
                if let Err(error) = self.way(Die::Unavailable, 30).await {
                    return vec![Commit::Unavailable(error.to_string()); count];
                }
                if world.roll(Die::Busy, 30) {
                    return vec![Commit::Busy; count];
                }
                if world.roll(Die::AmbiguousLost, 30) {
                    return vec![Commit::Ambiguous; count];
                }
                if let Some(answers) = self.wrongly(&batch).await {
                    return answers;
                }
                let answers = self.carry_out(batch).await;
                self.travel().await;
                if world.roll(Die::AmbiguousApplied, 30) { vec![Commit::Ambiguous; count] } else { answers }
            }

            async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
                self.way(Die::Unreadable, 30).await?;
                let mut events = self.truth.store.events_after(query).await?;
                if self.process.world.is(Bug::SkippingFeed) && query.after > 0 && events.len() > 1 {
                    events.remove(0);
                }
                self.travel().await;
                Ok(events)
            }

            async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
                self.way(Die::Unrenewed, 20).await?;
                self.truth.store.register(owner).await
            }

            async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
                self.way(Die::Unrenewed, 100).await?;
                let answer = match self.truth.store.renew(owner, ttl).await? {
                    Renewal::Dead if self.process.world.is(Bug::RenewalOfTheDead) => {
                        Renewal::Alive(self.process.now() + ttl)
                    }
                    answer => answer,
                };
                let is_dead = self.truth.store.owner(owner).await?.is_some_and(|row| row.dead);
                if is_dead && matches!(answer, Renewal::Alive(_)) {
                    self.process.world.broken("who is dead has renewed");
                }
                self.travel().await;
                Ok(answer)
            }

            async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                let answer = self.truth.store.claim(claim).await;
                if matches!(answer, Ok(Claimed::Yours(_))) {
                    self.process.world.count(Die::Fleet);
                    self.truth.claimed(&claim);
                }
                self.arrived(answer).await
            }

            async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                let answer = self.truth.store.deliver(deliver).await;
                self.arrived(answer).await
            }

            async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
                self.way(Die::Unavailable, 30).await?;
                self.truth.store.retire(owner).await
            }

            async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                if self.process.world.is(Bug::DeathByOwnClock) {
                    self.sweep_by_own_clock().await;
                }
                let dead = self.truth.store.sweep().await?;
                for owner in &dead {
                    if let Some(row) = self.truth.store.owner(*owner).await? {
                        self.dies(&row);
                    }
                }
                Ok(dead)
            }

            async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
                self.way(Die::Unavailable, 30).await?;
                self.truth.store.append_logs(run, lines).await
            }

            async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                self.truth.store.register_workflow(new).await
            }

            async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                let answer = self.truth.store.put_document(put).await;
                self.arrived(answer).await
            }

            async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                self.truth.store.delete_document(delete).await
            }

            async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
                self.way(Die::Unavailable, 30).await?;
                self.truth.store.prune(prune).await
            }

            async fn close(&self) -> Result<(), StoreError> {
                Ok(())
            }
        }
    };
}

reads! {
    now() -> Timestamp;
    load(run: RunId) -> Option<RunLog>;
    heads(runs: &[RunId]) -> Vec<(RunId, u64)>;
    change_mark() -> u64;
    value(run: RunId, digest: Digest) -> Option<Arc<str>>;
    revision(revision: Digest) -> Option<Arc<str>>;
    owner(owner: OwnerId) -> Option<OwnerRow>;
    owners() -> Vec<OwnerRow>;
    claim_due(limit: usize) -> Vec<DueRun>;
    offers(query: OfferQuery) -> Page<OfferRow>;
    stops(owner: OwnerId) -> Vec<StepTicket>;
    inbox(run: RunId) -> Inbox;
    holds(query: KeyQuery) -> Vec<HoldRow>;
    waiters(query: KeyQuery) -> Vec<WaiterRow>;
    run(run: RunId) -> Option<RunRow>;
    list_runs(query: RunQuery) -> Page<RunRow>;
    find_runs(hex_prefix: &str, limit: usize) -> Vec<RunId>;
    find_key(project: &str, key: &str) -> Option<RunId>;
    steps(run: RunId) -> Vec<StepRow>;
    approvals(query: ApprovalQuery) -> Page<ApprovalRow>;
    decisions(run: RunId) -> Vec<Decision>;
    logs(query: LogQuery) -> Vec<NumberedLine>;
    documents(query: DocumentQuery) -> Page<DocumentRow>;
    workflows(query: WorkflowQuery) -> Page<WorkflowRow>;
    workflow_revisions(query: RevisionQuery) -> Page<RevisionRow>;
    health() -> ();
}
