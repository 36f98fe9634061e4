//! A store with something between it and whoever commits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::{OwnerId, RunId};
use crate::machine::Recorded;
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::port::store::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DeleteDocument, Deliver, Delivered, DocumentQuery,
    DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member, NewOwner,
    NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put, PutDocument,
    Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, StepRow, Store, StoreError,
    StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use crate::time::Timestamp;
use crate::value::Digest;

/// What happens to a batch on its way.
#[async_trait]
pub(super) trait Way: fmt::Debug + Send + Sync + 'static {
    /// Hands on a batch, or not, and answers for each of its members.
    async fn commit(&self, store: &dyn Store, batch: Vec<Member>) -> Vec<Commit>;
}

/// A store behind a way; all but commits goes through as it is.
#[derive(Debug)]
pub(super) struct Behind<W> {
    pub(super) store: Arc<dyn Store>,
    pub(super) way: W,
}

#[async_trait]
impl<W: Way> Store for Behind<W> {
    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        self.way.commit(&*self.store, batch).await
    }

    fn describe(&self) -> StoreInfo {
        self.store.describe()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.store.now().await
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        self.store.load(run).await
    }

    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        self.store.events_after(query).await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.store.heads(runs).await
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.store.change_mark().await
    }

    async fn changed_since(&self, seen: u64) {
        self.store.changed_since(seen).await;
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.store.value(run, digest).await
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.store.revision(revision).await
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.store.register(owner).await
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        self.store.renew(owner, ttl).await
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.store.retire(owner).await
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        self.store.sweep().await
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.store.owner(owner).await
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.store.owners().await
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        self.store.offers(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.store.claim(claim).await
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        self.store.stops(owner).await
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        self.store.deliver(deliver).await
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        self.store.inbox(run).await
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        self.store.holds(query).await
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        self.store.waiters(query).await
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.store.claim_due(limit).await
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.store.run(run).await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        self.store.list_runs(query).await
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.store.find_runs(hex_prefix, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        self.store.find_key(project, key).await
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.store.steps(run).await
    }

    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        self.store.approvals(query).await
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.store.decisions(run).await
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        self.store.append_logs(run, lines).await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        self.store.logs(query).await
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        self.store.register_workflow(new).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        self.store.workflows(query).await
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        self.store.workflow_revisions(query).await
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        self.store.put_document(put).await
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        self.store.documents(query).await
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        self.store.delete_document(delete).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.store.prune(prune).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.store.health().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
