//! Paths of workspaces: what is held of them, and who waits for some. A run can wait for several at once under one key, so
//! each has a row of its own.

use sea_orm::sea_query::{ColumnDef, ConditionalStatement as _, Expr, ExprTrait as _, Index, Table};
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Id, Int, Text};
use super::form::TableForm;
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0009_paths"
    }
}

const HOLDS: &str = "orchestrator_holds";

const WAITERS: &str = "orchestrator_waiters";

/// Take the name of the table that they replace.
const NEXT: TableForm = TableForm {
    name: "orchestrator_waiters_next",
    always: &[
        ("project", Text),
        ("key", Text),
        ("run", Id),
        // The digest of the paths; empty for a place.
        ("claim", Text),
        ("rank", Int),
        ("most", Int),
        ("since", Int),
    ],
    maybe: &[("paths", Text), ("granted_at", Int)],
    primary: &["project", "key", "run", "claim"],
    clustered: true,
};

const BEFORE: TableForm = TableForm {
    always: &[("project", Text), ("key", Text), ("run", Id), ("rank", Int), ("most", Int), ("since", Int)],
    maybe: &[("granted_at", Int)],
    primary: &["project", "key", "run"],
    ..NEXT
};

impl Migration {
    /// Puts another table in the place of the one of those that wait.
    async fn replace(
        &self,
        manager: &SchemaManager<'_>,
        next: TableForm,
        carry: &str,
        line: &[&'static str],
    ) -> Result<(), DbErr> {
        manager.create_table(next.create(self.forms)).await?;
        manager.get_connection().execute_unprepared(carry).await?;
        manager.drop_table(Table::drop().table(WAITERS).take()).await?;
        manager.rename_table(Table::rename().table(next.name, WAITERS).take()).await?;
        // As before: for whose turn it is, and for what a run waits for.
        let mut index = Index::create();
        index.name("orchestrator_waiters_line").table(WAITERS);
        for column in line {
            index.col(*column);
        }
        manager.create_index(index.and_where(Expr::col("granted_at").is_null()).take()).await?;
        let of_run = Index::create().name("orchestrator_waiters_of_run").table(WAITERS).col("run").take();
        manager.create_index(of_run).await
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut paths = ColumnDef::new_with_type("paths", (self.forms.text)());
        manager.alter_table(Table::alter().table(HOLDS).add_column(paths.null()).take()).await?;
        let carry = "INSERT INTO orchestrator_waiters_next \
                     (project, key, run, claim, rank, most, since, granted_at) \
                     SELECT project, key, run, '', rank, most, since, granted_at FROM orchestrator_waiters";
        self.replace(manager, NEXT, carry, &["project", "key", "rank", "run", "claim"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let carry = "INSERT INTO orchestrator_waiters_next (project, key, run, rank, most, since, granted_at) \
                     SELECT project, key, run, rank, most, since, granted_at FROM orchestrator_waiters \
                     WHERE claim = ''";
        self.replace(manager, BEFORE, carry, &["project", "key", "rank", "run"]).await?;
        manager
            .get_connection()
            .execute_unprepared("DELETE FROM orchestrator_holds WHERE paths IS NOT NULL")
            .await?;
        manager.alter_table(Table::alter().table(HOLDS).drop_column("paths").take()).await
    }
}
