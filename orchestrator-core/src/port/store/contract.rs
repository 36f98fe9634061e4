//! The contract itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    ApprovalQuery, ApprovalRow, Claim, Claimed, Commit, DeleteDocument, Deliver, Delivered, DocumentQuery,
    DocumentRow, DueRun, EventsAfter, HoldRow, Inbox, KeyQuery, LogLine, LogQuery, Member, NewOwner,
    NewRevision, NumberedLine, OfferQuery, OfferRow, OwnerRow, Page, Prune, Pruned, Put, PutDocument,
    Registered, Renewal, RevisionQuery, RevisionRow, RunLog, RunQuery, RunRow, StepRow, StoreError,
    StoreInfo, WaiterRow, WorkflowQuery, WorkflowRow,
};
use crate::id::{OwnerId, RunId};
use crate::machine::Recorded;
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::time::Timestamp;
use crate::value::Digest;

/// Keeps runs.
///
/// Every method runs to completion even if its caller goes away: a dropped future never leaves a transaction open.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What this store is: for `version`, `doctor` and messages. Makes no request.
    fn describe(&self) -> StoreInfo;

    /// The store's clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Writes each member whole or not at all, in one transaction where the backend can. The answer has one entry per
    /// member, in order. A member is checked against the runs as they are before the batch: a batch holds at most one
    /// member per run. One bad member never harms another. The children of a member are created with it or not at all; one
    /// whose run exists already makes it a [`Commit::Conflict`].
    async fn commit(&self, batch: Vec<Member>) -> Vec<Commit>;

    /// A run with its whole log; `None` if there is no such run.
    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError>;

    /// The events of a run after a sequence number, in order, at most `limit`. Unknown run: empty.
    async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError>;

    /// The last sequence numbers of those of `runs` that exist. For noticing what others have committed.
    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError>;

    /// A number that differs from an earlier answer if anything may have been committed in between: at once if by this
    /// handle, a moment later if by another one or another process. Cheap.
    async fn change_mark(&self) -> Result<u64, StoreError>;

    /// Returns when [`Store::change_mark`] no longer answers `seen`. A store that would have to ask again and again for that
    /// never returns, and is asked again and again for its mark instead.
    async fn changed_since(&self, seen: u64) {
        let _ = seen;
        std::future::pending::<()>().await;
    }

    /// The bytes of a value of a run; `None` if it has no such value.
    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError>;

    /// The text of a revision; `None` if it is not known.
    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError>;

    /// Makes an owner known, alive for `ttl` from now by the store's clock.
    async fn register(&self, owner: NewOwner) -> Result<(), StoreError>;

    /// Keeps an owner alive for `ttl` from now. [`Renewal::Dead`] if it is dead or its time has passed: then it stays
    /// dead.
    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError>;

    /// Ends an owner in an orderly way: it is dead from here on. What it had claimed, and not delivered, is lost with it: the
    /// inbox says so from the same moment on. The runs that it drives leave every line.
    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError>;

    /// Marks as dead every owner whose time has passed or whose death can be proved, and gives those newly marked. What they
    /// had claimed is lost as with [`Store::retire`].
    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError>;

    /// An owner; `None` if it was never registered.
    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError>;

    /// Every owner that is not known to be dead, by their ids.
    async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError>;

    /// Offers by their places: the oldest first, each with a head start for the priority of its run. One that cannot be read is left out, and hides no other; who
    /// has claimed it stays known.
    async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError>;

    /// Claims an offer for an owner that is alive, by the store's clock. The run's log has no part in it; of a run that has ended,
    /// or is not there, nothing is claimed. Of each right there is one claim, for ever, and none once it was taken back.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;

    /// What an owner has claimed and is to stop, in order: told until the result is taken in.
    async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError>;

    /// Keeps how a claimed attempt has ended, until the driver of its run takes that in: the first that is said of it counts,
    /// by its owner or by the death of that.
    async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError>;

    /// What was delivered for a run and is not taken in yet, the oldest first; those of one moment by their tickets. A row that
    /// cannot be read is no error: the others are given, and it is told of.
    async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError>;

    /// Places that are held, by their keys; those of one key the longest held first.
    async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError>;

    /// Runs that wait for places, by the keys; those of one key in their order, and before them those that were given a place
    /// and have not taken it up yet.
    async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError>;

    /// Runs that nobody alive drives and that have something due by the store's clock, or something in their inbox that can be
    /// read. Projects take turns: the first of each, then the second of each, as [`super::in_turns`] has them. Within a project
    /// those go first that are due longest, each with a head start for its priority. Costs as much as what is wanted and the
    /// number of projects, however many runs are due.
    async fn claim_due(&self, limit: usize) -> Result<Vec<DueRun>, StoreError>;

    /// One run's row; `None` if there is no such run.
    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError>;

    /// Runs, newest first.
    async fn list_runs(&self, query: RunQuery) -> Result<Page<RunRow>, StoreError>;

    /// The ids that begin with these hex digits (lower case, without the `run_` prefix), at most `limit`.
    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError>;

    /// The run that an idempotency key has started, in a project.
    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError>;

    /// The rows of a run's steps that have begun or ended, in the order of the text. One that is offered, under the right that
    /// was claimed, is shown as `claimed`, with the owner and since when.
    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError>;

    /// Approvals, oldest first.
    async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError>;

    /// The policy decisions of a run, in order.
    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError>;

    /// Keeps lines of output. They are numbered per run, 1, 2, 3 … in the order given.
    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError>;

    /// Lines of output, in order.
    async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError>;

    /// Registers a text under a name of a project: the first is revision 1, each other text one more. The text that the
    /// latest revision has already is no new one.
    async fn register_workflow(&self, new: NewRevision) -> Result<Registered, StoreError>;

    /// Registered workflows, by project and name.
    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError>;

    /// The revisions of a registered workflow, newest first. Unknown name: empty.
    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError>;

    /// Makes or changes a document, if nobody else has changed it since the number that is expected.
    async fn put_document(&self, put: PutDocument) -> Result<Put, StoreError>;

    /// Documents of a kind, by project and name; or those that are due some time, the soonest first, those of one moment by
    /// their ids.
    async fn documents(&self, query: DocumentQuery) -> Result<Page<DocumentRow>, StoreError>;

    /// Removes a document, and tells whether it was there with the number that is expected. Its name is free then.
    async fn delete_document(&self, delete: DeleteDocument) -> Result<bool, StoreError>;

    /// Removes runs that have ended, the oldest first, each whole with all that belongs to it, and its idempotency key.
    /// A run that has not ended is never touched, and neither is one that carries out a step, directly or not, of a run
    /// that stays. When no more are left, also goes what nothing names any longer:
    /// revisions that are neither registered nor a run's, and owners that are dead, whose time was over before
    /// `before`, and that no open run names, and offers and what lies in inboxes, of runs that are not there.
    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError>;

    /// Checks that the store answers and is whole enough to work with.
    async fn health(&self) -> Result<(), StoreError>;

    /// Ends in an orderly way. Later calls answer [`StoreError::Unavailable`].
    async fn close(&self) -> Result<(), StoreError>;
}
