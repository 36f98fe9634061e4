//! A store that a process can write to only so often: then it is as if the process had died between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engine::Engine;
use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::machine::{Command, Recorded};
use orchestrator_core::memory::MemoryStore;
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DeleteDocument, Deliver, Delivered, DocumentQuery,
    DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member, NewOwner,
    NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put, PutDocument,
    Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, StepRow, Store, StoreError,
    StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use tokio::sync::{Mutex, Notify, Semaphore};

/// Passes everything on, and the first so many commits.
#[derive(Debug)]
pub(crate) struct Brake {
    right: Arc<MemoryStore>,
    left: AtomicI64,
    /// Whether the last commit that is passed on is not answered, and events are read once there is a permit for it.
    loses: bool,
    /// Whether it never tells that something has changed.
    deaf: bool,
    /// Whether changes of documents are passed on.
    documents: bool,
    /// Who had been given something when that was asked last, if it is to be told one question late.
    given: Option<std::sync::Mutex<Vec<WaiterRow>>>,
    pub(crate) reads: Semaphore,
    /// How often a run was loaded.
    pub(crate) loads: AtomicUsize,
    /// Whether no inbox can be read.
    pub(crate) spoiled: AtomicBool,
    /// Rung when an owner has made itself known.
    pub(crate) known: Notify,
    /// Rung when a commit is no longer passed on.
    pub(crate) stuck: Notify,
    /// Who says something to a run just before the next commit comes.
    pub(crate) rival: Mutex<Option<(Engine, RunId, Command)>>,
}

impl Brake {
    pub(crate) fn new(right: Arc<MemoryStore>, commits: i64) -> Arc<Self> {
        Arc::new(Self::over(right, commits))
    }

    /// One that passes on all commits, but loses the first answer, and lets nobody read what became of it until there are
    /// permits.
    pub(crate) fn losing(right: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { loses: true, ..Self::over(right, 1) })
    }

    /// One that passes on all but changes of documents.
    #[cfg(feature = "schedule")]
    pub(crate) fn without_documents(right: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { documents: false, ..Self::over(right, i64::MAX) })
    }

    /// One that passes on all, but tells who was given a place or paths as it was when that was asked before.
    pub(crate) fn late(right: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { given: Some(std::sync::Mutex::default()), ..Self::over(right, i64::MAX) })
    }

    /// One that passes on all, but never tells that something has changed.
    pub(crate) fn deaf(right: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { deaf: true, ..Self::over(right, i64::MAX) })
    }

    fn over(right: Arc<MemoryStore>, commits: i64) -> Self {
        Self {
            right,
            left: AtomicI64::new(commits),
            loses: false,
            deaf: false,
            documents: true,
            given: None,
            reads: Semaphore::new(0),
            loads: AtomicUsize::new(0),
            spoiled: AtomicBool::new(false),
            known: Notify::new(),
            stuck: Notify::new(),
            rival: Mutex::default(),
        }
    }
}

#[async_trait]
impl Store for Brake {
    fn describe(&self) -> StoreInfo {
        self.right.describe()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.right.now().await
    }

    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        let rival = self.rival.lock().await.take();
        if let Some((engine, run, command)) = rival {
            engine.command(run, command).await.unwrap();
        }
        let members = batch.len();
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if self.loses {
            let answers = self.right.commit(batch).await;
            if left != 1 {
                return answers;
            }
            self.stuck.notify_one();
            return vec![Commit::Ambiguous; members];
        }
        if left <= 0 {
            self.stuck.notify_one();
            return vec![Commit::Unavailable("the process is dead".to_owned()); members];
        }
        self.right.commit(batch).await
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.right.load(run).await
    }

    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        if self.loses {
            let unavailable = |_| StoreError::Unavailable("closed".to_owned());
            let _permit = self.reads.acquire().await.map_err(unavailable)?;
        }
        self.right.events_after(query).await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.right.heads(runs).await
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        if self.deaf {
            return Ok(1);
        }
        self.right.change_mark().await
    }

    async fn changed_since(&self, seen: u64) {
        if self.deaf {
            return std::future::pending().await;
        }
        self.right.changed_since(seen).await;
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.right.value(run, digest).await
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.right.revision(revision).await
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.right.register(owner).await?;
        self.known.notify_one();
        Ok(())
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        self.right.renew(owner, ttl).await
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.right.retire(owner).await
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        self.right.sweep().await
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.right.owner(owner).await
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.right.owners().await
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        self.right.offers(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.right.claim(claim).await
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        self.right.stops(owner).await
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        self.right.holds(query).await
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        let Some(given) = self.given.as_ref().filter(|_| query.granted) else {
            return self.right.waiters(query).await;
        };
        let now = self.right.waiters(query).await?;
        Ok(std::mem::replace(&mut *given.lock().unwrap(), now))
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        self.right.deliver(deliver).await
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        match self.spoiled.load(Ordering::SeqCst) {
            true => Err(StoreError::Corrupt("an inbox".to_owned())),
            false => self.right.inbox(run).await,
        }
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.right.claim_due(limit).await
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.right.run(run).await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        self.right.list_runs(query).await
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.right.find_runs(hex_prefix, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        self.right.find_key(project, key).await
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.right.steps(run).await
    }

    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        self.right.approvals(query).await
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.right.decisions(run).await
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        self.right.append_logs(run, lines).await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        self.right.logs(query).await
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        self.right.register_workflow(new).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        self.right.workflows(query).await
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        self.right.workflow_revisions(query).await
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        if !self.documents {
            return Err(StoreError::Unavailable("the process is dead".to_owned()));
        }
        self.right.put_document(put).await
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        self.right.documents(query).await
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        self.right.delete_document(delete).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.right.prune(prune).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.right.health().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.right.close().await
    }
}
