//! Whose turn it is: runs that are due are found by project and priority, the longest due of each first.

use sea_orm::DbErr;
use sea_orm::sea_query::{ConditionalStatement as _, Expr, ExprTrait as _, Index, IndexCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0010_turns"
    }
}

const RUNS: &str = "orchestrator_runs";

/// In one line for all, as it was before.
const DUE: &str = "orchestrator_runs_due";

const TURNS: &str = "orchestrator_runs_turns";

fn of_due(name: &str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(RUNS).and_where(Expr::col("due_at").is_not_null());
    columns.iter().for_each(|column| {
        index.col(*column);
    });
    index
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(of_due(TURNS, &["project", "priority", "due_at", "id"])).await?;
        // Nothing asks for it any more, and every commit would change both.
        manager.drop_index(Index::drop().name(DUE).table(RUNS).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(of_due(DUE, &["due_at"])).await?;
        manager.drop_index(Index::drop().name(TURNS).table(RUNS).to_owned()).await
    }
}
