//! Tasks: what an offer says of itself to whoever comes from outside, and the place of each offer, which the priority of its
//! run moves forward.

use sea_orm::sea_query::{
    ColumnDef, ConditionalStatement as _, Expr, ExprTrait as _, Index, IndexCreateStatement, Table,
};
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0011_tasks"
    }
}

const OFFERS: &str = "orchestrator_offers";

/// For those who look for work.
const FREE: &str = "orchestrator_offers_free";

/// For those who look for tasks.
const TASKS: &str = "orchestrator_offers_tasks";

/// A minute a point, as [`orchestrator_core::time::HEAD_START`] has it.
const FILL: &str = "UPDATE orchestrator_offers SET place = offered_at - 60000 * priority";

const OF_RUNS: &str = "UPDATE orchestrator_offers SET priority = coalesce((SELECT r.priority FROM orchestrator_runs AS r \
                       WHERE r.id = orchestrator_offers.run), 0)";

fn free(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.table(OFFERS).and_where(Expr::col("owner").is_null());
    columns.iter().for_each(|column| {
        index.col(*column);
    });
    index
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["priority", "place"] {
            let mut column = ColumnDef::new(name).big_integer().not_null().default(0).take();
            manager.alter_table(Table::alter().table(OFFERS).add_column(&mut column).take()).await?;
        }
        let mut task = ColumnDef::new_with_type("task", (self.forms.text)());
        manager.alter_table(Table::alter().table(OFFERS).add_column(task.null()).take()).await?;
        for fill in [OF_RUNS, FILL] {
            manager.get_connection().execute_unprepared(fill).await?;
        }
        manager.drop_index(Index::drop().name(FREE).table(OFFERS).to_owned()).await?;
        let work = free(&["queue", "place"]).name(FREE).and_where(Expr::col("task").is_null()).take();
        manager.create_index(work).await?;
        let tasks = free(&["place"]).name(TASKS).and_where(Expr::col("task").is_not_null()).take();
        manager.create_index(tasks).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in [FREE, TASKS] {
            manager.drop_index(Index::drop().name(name).table(OFFERS).to_owned()).await?;
        }
        manager.create_index(free(&["queue", "offered_at"]).name(FREE).take()).await?;
        for name in ["task", "place", "priority"] {
            manager.alter_table(Table::alter().table(OFFERS).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
