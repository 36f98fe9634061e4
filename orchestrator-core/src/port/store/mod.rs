//! The store: the truth about every run. It keeps and it checks fences; it does not think. Ids, times and transitions
//! come from the engine.

mod admission;
mod contract;
mod document;
mod error;
mod member;
mod offer;
mod prune;
mod query;
mod registry;
mod row;
mod turns;

pub use admission::{Admission, HoldRow, KeyQuery, WaiterRow};
pub use contract::Store;
pub use document::{
    DeleteDocument, DocumentQuery, DocumentRow, MAX_DOCUMENT, MAX_DOCUMENT_NAME, Put, PutDocument, WORKFLOWS,
};
pub use error::StoreError;
pub use member::{
    Commit, DEFAULT_PAGE, IdempotencyKey, MAX_BATCH_BYTES, MAX_BATCH_MEMBERS, Member, NewRun, Parent,
    SECOND_MEMBER, Summary,
};
pub use offer::{
    Claim, ClaimRow, Claimed, Deliver, Delivered, Inbox, InboxRow, MAX_END, MAX_TASK, NewOffer, OfferQuery,
    OfferRow, Remote, Serves,
};
pub use prune::{Prune, Pruned};
pub use query::{
    ApprovalQuery, EventsAfter, LogLine, LogQuery, NewOwner, NumberedLine, OwnerRow, Page, Renewal, RunQuery,
};
pub use registry::{
    MAX_REGISTERED_NAME, NewRevision, Registered, RevisionQuery, RevisionRow, WorkflowQuery, WorkflowRow,
};
pub use row::{ApprovalRow, RunLog, RunRow, StepRow, StoreInfo, unit_name};
pub use turns::{DueRun, in_turns};
