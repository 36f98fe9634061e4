//! The tables as sea-orm entities: what is read. What is written goes by [`crate::sections`].

#![expect(unreachable_pub, reason = "the derive of sea-orm makes public items")]

/// An entity without relations: rows are joined by their ids, in the queries that need it.
macro_rules! entity {
    ($module:ident = $table:literal { $($(#[$attribute:meta])* $field:ident: $ty:ty,)* }) => {
        pub(crate) mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                $($(#[$attribute])* pub $field: $ty,)*
            }

            #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(runs = "orchestrator_runs" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    seq: i64,
    status: String,
    intent: String,
    generation: i64,
    driver_epoch: i64,
    updated_at: i64,
    done: i64,
    project: String,
    workflow: String,
    revision: Vec<u8>,
    inputs: String,
    labels: String,
    priority: i64,
    created_by: String,
    created_at: i64,
    step_count: i64,
    driver: Option<Uuid>,
    due_at: Option<i64>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    outputs: Option<String>,
    error: Option<String>,
    start_key: Option<String>,
    start_content: Option<Vec<u8>>,
    parent_run: Option<Uuid>,
    parent_step: Option<i64>,
    parent_item: Option<i64>,
    root_run: Option<Uuid>,
});

entity!(events = "orchestrator_events" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    seq: i64,
    at: i64,
    kind: String,
    transition: Uuid,
    body: String,
});

entity!(steps = "orchestrator_steps" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    step: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    item: i64,
    name: String,
    status: String,
    attempts: i64,
    epoch: i64,
    owner: Option<Uuid>,
    effect: Option<String>,
    due_at: Option<i64>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    output: Option<String>,
    error: Option<String>,
});

entity!(outputs = "orchestrator_outputs" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    digest: Vec<u8>,
    body: String,
});

entity!(revisions = "orchestrator_revisions" {
    #[sea_orm(primary_key, auto_increment = false)]
    digest: Vec<u8>,
    text: String,
});

entity!(decisions = "orchestrator_decisions" {
    #[sea_orm(primary_key)]
    key: i64,
    run: Uuid,
    id: Uuid,
    step: i64,
    item: i64,
    verdict: String,
    policy: String,
    rule: Option<String>,
    reason: Option<String>,
    input: Vec<u8>,
    at: i64,
});

entity!(approvals = "orchestrator_approvals" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    step: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    item: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    attempt: i64,
    name: String,
    digest: Vec<u8>,
    message: String,
    shown: Option<String>,
    status: String,
    asked_at: i64,
    expires_at: Option<i64>,
    decided_at: Option<i64>,
    decided_by: Option<String>,
    via: Option<String>,
    comment: Option<String>,
});

entity!(logs = "orchestrator_logs" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    number: i64,
    step: i64,
    item: i64,
    attempt: i64,
    stream: String,
    at: i64,
    text: String,
});

entity!(owners = "orchestrator_owners" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    label: String,
    deadline: i64,
    dead: i64,
    queues: Option<String>,
    labels: Option<String>,
});

entity!(offers = "orchestrator_offers" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    step: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    item: i64,
    generation: i64,
    iteration: i64,
    attempt: i64,
    epoch: i64,
    queue: String,
    labels: String,
    job: String,
    offered_at: i64,
    priority: i64,
    place: i64,
    task: Option<String>,
    stops: i64,
    owner: Option<Uuid>,
    claimed_at: Option<i64>,
});

entity!(inbox = "orchestrator_inbox" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    generation: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    step: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    item: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    iteration: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    attempt: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    epoch: i64,
    owner: Uuid,
    claimed_at: i64,
    at: i64,
    body: Option<String>,
});

entity!(dedupe = "orchestrator_dedupe" {
    #[sea_orm(primary_key, auto_increment = false)]
    scope: String,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    digest: Vec<u8>,
    answer: Uuid,
});

entity!(documents = "orchestrator_documents" {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    project: String,
    kind: String,
    name: String,
    revision: i64,
    status: String,
    updated_at: i64,
    body_digest: Vec<u8>,
    due_at: Option<i64>,
    state: Option<String>,
});

entity!(document_revisions = "orchestrator_document_revisions" {
    #[sea_orm(primary_key, auto_increment = false)]
    document: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    revision: i64,
    body_digest: Vec<u8>,
    created_at: i64,
    created_by: String,
});

entity!(keys = "orchestrator_keys" {
    #[sea_orm(primary_key, auto_increment = false)]
    project: String,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    held: i64,
    mark: Uuid,
    spent: Option<String>,
    past_at: Option<i64>,
});

entity!(holds = "orchestrator_holds" {
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    step: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    item: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    project: String,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    paths: Option<String>,
    since: i64,
});

entity!(waiters = "orchestrator_waiters" {
    #[sea_orm(primary_key, auto_increment = false)]
    project: String,
    #[sea_orm(primary_key, auto_increment = false)]
    key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    run: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    claim: String,
    paths: Option<String>,
    rank: i64,
    most: i64,
    since: i64,
    granted_at: Option<i64>,
});
