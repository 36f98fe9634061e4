//! A store around another one. Every event that the inner one has taken is written to a file as well, a line of JSON
//! each, in the order of each run's log.
//!
//! The rule that it must keep: the inner store decides. What it has not taken is never mirrored, and a line that cannot
//! be written changes nothing about a run; whoever follows the file finds gaps by the numbers.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
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
use serde_json::json;

/// A store, and the file that tells of it.
#[derive(Debug)]
pub(crate) struct Mirrored<S> {
    inner: S,
    file: Mutex<File>,
}

impl<S: Store> Mirrored<S> {
    /// Adds to the file, and makes it if it is not there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn new(inner: S, file: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(file)?;
        Ok(Self { inner, file: Mutex::new(file) })
    }

    fn write(&self, text: &str) {
        // One call for all lines of a member: those of another do not come between them.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(text.as_bytes()) {
            eprintln!("cannot mirror: {error}");
        }
    }
}

/// The lines that tell of a member.
fn lines(member: &Member) -> String {
    let line = |(seq, kind): (u64, &str)| {
        let run = member.run.to_string();
        format!("{}\n", json!({ "run_id": run, "seq": seq, "kind": kind, "status": member.summary.status }))
    };
    (member.expected + 1..).zip(member.events.iter().map(|event| event.kind())).map(line).collect()
}

#[async_trait]
impl<S: Store> Store for Mirrored<S> {
    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        let told: Vec<String> = batch.iter().map(lines).collect();
        let answers = self.inner.commit(batch).await;
        for (told, answer) in told.iter().zip(&answers) {
            if *answer == Commit::Applied {
                self.write(told);
            }
        }
        answers
    }

    // All else is the inner store's.

    fn describe(&self) -> StoreInfo {
        self.inner.describe()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.now().await
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        self.inner.load(run).await
    }

    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        self.inner.events_after(query).await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        self.inner.heads(runs).await
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.inner.change_mark().await
    }

    async fn changed_since(&self, seen: u64) {
        self.inner.changed_since(seen).await;
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.inner.value(run, digest).await
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.inner.revision(revision).await
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.inner.register(owner).await
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        self.inner.renew(owner, ttl).await
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.inner.retire(owner).await
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        self.inner.sweep().await
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.inner.owner(owner).await
    }

    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.inner.owners().await
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        self.inner.claim_due(limit).await
    }

    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        self.inner.offers(query).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.inner.claim(claim).await
    }

    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        self.inner.stops(owner).await
    }

    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        self.inner.holds(query).await
    }

    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        self.inner.waiters(query).await
    }

    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        self.inner.deliver(deliver).await
    }

    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        self.inner.inbox(run).await
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.inner.run(run).await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        self.inner.list_runs(query).await
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.inner.find_runs(hex_prefix, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        self.inner.find_key(project, key).await
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.inner.steps(run).await
    }

    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        self.inner.approvals(query).await
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.inner.decisions(run).await
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        self.inner.append_logs(run, lines).await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        self.inner.logs(query).await
    }

    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError> {
        self.inner.register_workflow(new).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        self.inner.workflows(query).await
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        self.inner.workflow_revisions(query).await
    }

    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError> {
        self.inner.put_document(put).await
    }

    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError> {
        self.inner.documents(query).await
    }

    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError> {
        self.inner.delete_document(delete).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.inner.prune(prune).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
