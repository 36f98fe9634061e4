//! Children: a run's row says which step of which run it carries out. What was there before carries out none.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, ConditionalStatement as _, Expr, ExprTrait as _, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0004_children"
    }
}

const RUNS: &str = "orchestrator_runs";

/// For finding the children of a run.
const OF_PARENT: &str = "orchestrator_runs_parent";

/// For listing the runs that somebody has started, however many children they have.
const TOP: &str = "orchestrator_runs_top";

const COLUMNS: [&str; 4] = ["parent_run", "parent_step", "parent_item", "root_run"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            let mut column = match name {
                "parent_run" | "root_run" => ColumnDef::new_with_type(name, (self.forms.id)()),
                _ => ColumnDef::new(name).big_integer().take(),
            };
            manager.alter_table(Table::alter().table(RUNS).add_column(column.null()).take()).await?;
        }
        let has_parent = Expr::col("parent_run").is_not_null();
        let of_parent = Index::create()
            .name(OF_PARENT)
            .table(RUNS)
            .col("parent_run")
            .col("id")
            .and_where(has_parent)
            .take();
        manager.create_index(of_parent).await?;
        let top = Index::create()
            .name(TOP)
            .table(RUNS)
            .col("id")
            .and_where(Expr::col("parent_run").is_null())
            .take();
        manager.create_index(top).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in [OF_PARENT, TOP] {
            manager.drop_index(Index::drop().name(name).table(RUNS).to_owned()).await?;
        }
        for name in COLUMNS {
            manager.alter_table(Table::alter().table(RUNS).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
