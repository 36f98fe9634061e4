//! Runs, their events, steps, outputs, revisions, decisions, approvals and logs; owners; idempotency keys.
//!
//! Times are milliseconds since 1970. Rows of a run carry its id: ids sort by time, so what is written at the same time
//! lies together.

use sea_orm::DbErr;
use sea_orm::sea_query::{ConditionalStatement, Expr, ExprTrait, Index, IndexCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Digest, Id, Int, Key, Text};
use super::form::{TableForm, drop_all};
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in &TABLES {
            manager.create_table(table.create(self.forms)).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_all(&TABLES, manager).await
    }
}

const TABLES: [TableForm; 10] = [
    TableForm {
        name: "orchestrator_runs",
        always: &[
            ("id", Id),
            ("seq", Int),
            ("status", Text),
            ("intent", Text),
            ("generation", Int),
            ("driver_epoch", Int),
            ("updated_at", Int),
            ("done", Int),
            ("project", Text),
            ("workflow", Text),
            ("revision", Digest),
            ("inputs", Text),
            ("labels", Text),
            ("priority", Int),
            ("created_by", Text),
            ("created_at", Int),
            ("step_count", Int),
        ],
        maybe: &[
            ("driver", Id),
            ("due_at", Int),
            ("started_at", Int),
            ("finished_at", Int),
            ("outputs", Text),
            ("error", Text),
            ("start_key", Text),
            ("start_content", Digest),
        ],
        primary: &["id"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_events",
        always: &[("run", Id), ("seq", Int), ("at", Int), ("kind", Text), ("transition", Id), ("body", Text)],
        maybe: &[("step", Int)],
        primary: &["run", "seq"],
        // In the order of arrival: a batch from many runs then fills a few pages at the end instead of changing one page
        // for each run.
        clustered: false,
    },
    TableForm {
        name: "orchestrator_steps",
        always: &[
            ("run", Id),
            ("step", Int),
            // Which element of a step that runs once for each of many; 0 for a plain step.
            ("item", Int),
            ("name", Text),
            ("status", Text),
            ("attempts", Int),
            ("epoch", Int),
        ],
        maybe: &[
            ("owner", Id),
            ("effect", Text),
            ("due_at", Int),
            ("started_at", Int),
            ("finished_at", Int),
            ("output", Text),
            ("error", Text),
        ],
        primary: &["run", "step", "item"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_outputs",
        always: &[("run", Id), ("digest", Digest), ("body", Text)],
        maybe: &[],
        primary: &["run", "digest"],
        clustered: false,
    },
    TableForm {
        name: "orchestrator_revisions",
        always: &[("digest", Digest), ("text", Text), ("created_at", Int)],
        maybe: &[],
        primary: &["digest"],
        clustered: false,
    },
    TableForm {
        name: "orchestrator_decisions",
        always: &[
            ("key", Key),
            ("run", Id),
            ("id", Id),
            ("step", Int),
            ("verdict", Text),
            ("policy", Text),
            ("input", Digest),
            ("at", Int),
        ],
        maybe: &[("rule", Text), ("reason", Text)],
        primary: &[],
        clustered: false,
    },
    TableForm {
        name: "orchestrator_approvals",
        always: &[
            ("run", Id),
            ("step", Int),
            ("attempt", Int),
            ("name", Text),
            ("digest", Digest),
            ("message", Text),
            ("status", Text),
            ("asked_at", Int),
        ],
        maybe: &[
            ("shown", Text),
            ("expires_at", Int),
            ("decided_at", Int),
            ("decided_by", Text),
            ("via", Text),
            ("comment", Text),
        ],
        primary: &["run", "step", "attempt"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_logs",
        always: &[
            ("run", Id),
            ("number", Int),
            ("step", Int),
            ("attempt", Int),
            ("stream", Text),
            ("at", Int),
            ("text", Text),
        ],
        maybe: &[],
        primary: &["run", "number"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_owners",
        always: &[("id", Id), ("label", Text), ("deadline", Int), ("dead", Int)],
        maybe: &[],
        primary: &["id"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_dedupe",
        always: &[("scope", Text), ("key", Text), ("digest", Digest), ("answer", Id), ("created_at", Int)],
        maybe: &[("expires", Int)],
        primary: &["scope", "key"],
        clustered: true,
    },
];

fn indexes() -> Vec<IndexCreateStatement> {
    let on_runs = |name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table("orchestrator_runs");
        columns.iter().for_each(|column| {
            index.col(*column);
        });
        index
    };
    let column = |name: &'static str| Expr::col(name);
    vec![
        on_runs("orchestrator_runs_project", &["project", "id"]),
        on_runs("orchestrator_runs_status", &["status", "id"]),
        on_runs("orchestrator_runs_open", &["id"]).and_where(column("finished_at").is_null()).take(),
        on_runs("orchestrator_runs_due", &["due_at"]).and_where(column("due_at").is_not_null()).take(),
        Index::create().name("orchestrator_decisions_run").table("orchestrator_decisions").col("run").take(),
        Index::create()
            .name("orchestrator_approvals_asked")
            .table("orchestrator_approvals")
            .col("asked_at")
            .take(),
        Index::create()
            .name("orchestrator_owners_alive")
            .table("orchestrator_owners")
            .col("deadline")
            .and_where(column("dead").eq(0))
            .take(),
    ]
}
