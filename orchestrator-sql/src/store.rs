//! The store.

use std::future::Future;
use std::sync::{Arc, OnceLock};
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
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use tokio::runtime::Handle;
use tokio::sync::MutexGuard;
use tokio::task::JoinHandle;

use crate::dialect::{Dialect, Options};
use crate::pen::{Hand, Pen};

/// A store in a SQL database. Cheap to clone: all clones are one store.
#[derive(Debug)]
pub struct SqlStore<D: Dialect> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// What the tasks that write have in common with the store.
#[derive(Debug)]
pub(crate) struct Shared<D: Dialect> {
    pub(crate) dialect: Arc<D>,
    pub(crate) pen: Pen<D>,
    /// More of them, where several batches are written at the same time.
    others: Vec<Pen<D>>,
    /// For keeping owners alive, where the dialect can write on several connections.
    keeper: Option<Pen<D>>,
    /// Where such a dialect is asked for all else: its connections belong to the runtime in which they were opened, while
    /// owners are kept alive from another.
    home: Option<Handle>,
    /// Where the store had moved when its tables were looked at.
    pub(crate) moved: OnceLock<String>,
}

impl<D: Dialect> Shared<D> {
    /// A pen that nobody holds, or the one that is waited for.
    pub(crate) async fn free_pen(&self) -> (&Pen<D>, MutexGuard<'_, Hand<D::Writer>>) {
        for pen in std::iter::once(&self.pen).chain(&self.others) {
            if let Some(hand) = pen.try_take() {
                return (pen, hand);
            }
        }
        (&self.pen, self.pen.take().await)
    }

    /// The pen that keeps owners alive.
    pub(crate) fn keeper(&self) -> &Pen<D> {
        self.keeper.as_ref().unwrap_or(&self.pen)
    }
}

impl<D: Dialect> SqlStore<D> {
    /// Opens the store at a location, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the location makes no sense, [`StoreError::Incompatible`] if what is there cannot be
    /// worked with, [`StoreError::Corrupt`] if it is damaged or something else, [`StoreError::Unavailable`] if it
    /// cannot be reached.
    pub async fn connect(location: &str) -> Result<Self, StoreError> {
        Self::open(location, Options::default()).await
    }

    /// As [`SqlStore::connect`], with options.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub async fn open(location: &str, options: Options) -> Result<Self, StoreError> {
        Self::over(D::connect(location, &options).await?, &options).await
    }

    /// Opens a store in the database behind a host's pool, beside the tables of the host. The store opens connections
    /// of its own with the pool's settings, so that neither waits for the other's.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub async fn from_pool(pool: D::Pool) -> Result<Self, StoreError> {
        Self::from_pool_with(pool, Options::default()).await
    }

    /// As [`SqlStore::from_pool`], with options.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub async fn from_pool_with(pool: D::Pool, options: Options) -> Result<Self, StoreError> {
        Self::over(D::over(pool, &options).await?, &options).await
    }

    async fn over(dialect: D, options: &Options) -> Result<Self, StoreError> {
        let dialect = Arc::new(dialect);
        let keeper = D::CONCURRENT.then(|| Pen::new(dialect.clone()));
        let home = D::CONCURRENT.then(Handle::current);
        let pen = || Pen::new(dialect.clone());
        let (pen, others) = (pen(), (1..D::LANES).map(|_| pen()).collect());
        let shared = Shared { pen, others, keeper, home, dialect, moved: OnceLock::new() };
        let store = Self { shared: Arc::new(shared) };
        let ready = if options.migrate {
            store.migrate().await
        } else if options.require_current {
            store.require_current().await
        } else {
            Ok(())
        };
        if ready.is_err() {
            // Whatever it is that was opened, nothing of ours stays beside it.
            store.shared.dialect.close().await;
        }
        ready.map(|()| store)
    }

    /// Does something on a task of its own: it runs to its end even if the caller goes away.
    pub(crate) async fn apart<T, F>(&self, work: impl FnOnce(Arc<Shared<D>>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let work = work(self.shared.clone());
        joined(match &self.shared.home {
            Some(home) => home.spawn(work),
            None => tokio::spawn(work),
        })
        .await?
    }

    /// As [`SqlStore::apart`], in the runtime of whoever asks.
    async fn here<T, F>(&self, work: impl FnOnce(Arc<Shared<D>>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        joined(tokio::spawn(work(self.shared.clone()))).await?
    }
}

#[async_trait]
impl<D: Dialect> Store for SqlStore<D> {
    fn describe(&self) -> StoreInfo {
        self.shared.dialect.describe()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.shared.pen.require_open()?;
        self.shared.dialect.now().await
    }

    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        let members = batch.len();
        let committed = self.apart(|shared| async move { Ok(shared.commit(batch).await) }).await;
        committed.unwrap_or_else(|error| {
            tracing::error!(%error, "a commit whose end is not known");
            vec![Commit::Ambiguous; members]
        })
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        self.shared.load(run).await
    }

    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        self.shared.events_after(query).await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.shared.heads(runs).await
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.shared.pen.require_open()?;
        self.apart(|shared| async move { shared.dialect.change_mark().await }).await
    }

    async fn changed_since(&self, seen: u64) {
        self.shared.dialect.changed_since(seen).await;
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.shared.value(run, digest).await
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.shared.revision(revision).await
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.apart(|shared| async move { shared.register(owner).await }).await
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        self.here(move |shared| async move { shared.renew(owner, ttl).await }).await
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.apart(move |shared| async move { shared.retire(owner).await }).await
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        self.apart(|shared| async move { shared.sweep().await }).await
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.shared.owner(owner).await
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.shared.owners().await
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.shared.claim_due(limit).await
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        self.shared.offers(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.apart(move |shared| async move { shared.claim(claim).await }).await
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        self.shared.stops(owner).await
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        self.apart(|shared| async move { shared.deliver(deliver).await }).await
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        self.shared.inbox(run).await
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        self.shared.holds(query).await
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        self.shared.waiters(query).await
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.shared.row(run).await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        self.shared.list_runs(query).await
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.shared.find_runs(hex_prefix, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        Ok(self.shared.find_key(project, key).await?.map(|(run, _)| run))
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.shared.steps(run).await
    }

    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        self.shared.approvals(query).await
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.shared.decisions(run).await
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        self.apart(move |shared| async move { shared.append_logs(run, &lines).await }).await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        self.shared.logs(query).await
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        self.apart(|shared| async move { shared.register_workflow(&new).await }).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        self.shared.workflows(query).await
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        self.shared.workflow_revisions(query).await
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        self.apart(|shared| async move { shared.put_document(&put).await }).await
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        self.shared.documents(query).await
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        self.apart(|shared| async move { shared.delete_document(&delete).await }).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.apart(|shared| async move { shared.prune(prune).await }).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.require_current().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.apart(|shared| async move {
            shared.pen.close().await;
            for pen in &shared.others {
                pen.close().await;
            }
            if let Some(keeper) = &shared.keeper {
                keeper.close().await;
            }
            shared.dialect.close().await;
            Ok(())
        })
        .await
    }
}

/// Waits for a task that is one only so that it runs to its end whoever goes away. Its panic is that of who waits.
///
/// # Errors
/// [`StoreError::Unavailable`] if the runtime has ended it.
pub async fn joined<T>(task: JoinHandle<T>) -> Result<T, StoreError> {
    task.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => StoreError::Unavailable(format!("its task has ended: {error}")),
    })
}
