//! Documents: what is kept under a name and changes by compare-and-set, such as registered workflows. And an
//! index for listing the runs of one workflow.
//!
//! Their bodies are texts by digest, in the table that holds the revisions of runs.

use sea_orm::DbErr;
use sea_orm::sea_query::{ConditionalStatement, Expr, ExprTrait, Index, IndexCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Digest, Id, Int, Text};
use super::form::{TableForm, drop_all};
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_documents"
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
        manager.drop_index(Index::drop().name(BY_WORKFLOW).table(RUNS).to_owned()).await?;
        drop_all(&TABLES, manager).await
    }
}

/// Finds the runs of one workflow among all runs.
const BY_WORKFLOW: &str = "orchestrator_runs_workflow";
const RUNS: &str = "orchestrator_runs";

const TABLES: [TableForm; 2] = [
    TableForm {
        name: "orchestrator_documents",
        always: &[
            ("id", Id),
            ("project", Text),
            ("kind", Text),
            ("name", Text),
            // 1, 2, 3 …: what a change compares.
            ("revision", Int),
            ("status", Text),
            ("updated_at", Int),
            ("body_digest", Digest),
        ],
        maybe: &[("owner", Id), ("parent", Id), ("external_key", Text), ("due_at", Int)],
        primary: &["id"],
        clustered: true,
    },
    TableForm {
        name: "orchestrator_document_revisions",
        always: &[
            ("document", Id),
            ("revision", Int),
            ("body_digest", Digest),
            ("created_at", Int),
            ("created_by", Text),
        ],
        maybe: &[],
        primary: &["document", "revision"],
        clustered: true,
    },
];

fn indexes() -> Vec<IndexCreateStatement> {
    let unique = |name: &'static str, last: &'static str| {
        let mut index = Index::create();
        index.name(name).table("orchestrator_documents").unique();
        for column in ["project", "kind", last] {
            index.col(column);
        }
        index
    };
    vec![
        Index::create().name(BY_WORKFLOW).table(RUNS).col("workflow").col("id").take(),
        unique("orchestrator_documents_name", "name"),
        unique("orchestrator_documents_external", "external_key")
            .and_where(Expr::col("external_key").is_not_null())
            .take(),
        Index::create()
            .name("orchestrator_documents_due")
            .table("orchestrator_documents")
            .col("due_at")
            .and_where(Expr::col("due_at").is_not_null())
            .take(),
    ]
}
