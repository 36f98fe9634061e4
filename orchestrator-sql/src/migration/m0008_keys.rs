//! Keys: places under them that are held, and runs that wait for one. What was there before holds nothing.

use sea_orm::DbErr;
use sea_orm::sea_query::{ConditionalStatement as _, Expr, ExprTrait as _, Index};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Id, Int, Text};
use super::form::{TableForm, drop_all};
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0008_keys"
    }
}

const KEYS: TableForm = TableForm {
    name: "orchestrator_keys",
    always: &[("project", Text), ("key", Text), ("held", Int), ("mark", Id)],
    maybe: &[],
    primary: &["project", "key"],
    clustered: true,
};

const HOLDS: TableForm = TableForm {
    name: "orchestrator_holds",
    always: &[("run", Id), ("step", Int), ("item", Int), ("project", Text), ("key", Text), ("since", Int)],
    maybe: &[],
    primary: &["run", "step", "item", "project", "key"],
    clustered: true,
};

const WAITERS: TableForm = TableForm {
    name: "orchestrator_waiters",
    always: &[("project", Text), ("key", Text), ("run", Id), ("rank", Int), ("most", Int), ("since", Int)],
    maybe: &[("granted_at", Int)],
    primary: &["project", "key", "run"],
    clustered: true,
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [KEYS, HOLDS, WAITERS] {
            manager.create_table(table.create(self.forms)).await?;
        }
        // For who holds a place under a key.
        let of_key = Index::create()
            .name("orchestrator_holds_of_key")
            .table(HOLDS.name)
            .col("project")
            .col("key")
            .take();
        manager.create_index(of_key).await?;
        // For whose turn it is.
        let line = Index::create()
            .name("orchestrator_waiters_line")
            .table(WAITERS.name)
            .col("project")
            .col("key")
            .col("rank")
            .col("run")
            .and_where(Expr::col("granted_at").is_null())
            .take();
        manager.create_index(line).await?;
        // For what a run waits for.
        let of_run =
            Index::create().name("orchestrator_waiters_of_run").table(WAITERS.name).col("run").take();
        manager.create_index(of_run).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_all(&[KEYS, HOLDS, WAITERS], manager).await
    }
}
