//! Offers: attempts that others execute, what was delivered of them, and what owners serve. What was there before offers
//! nothing, and serves nothing.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, ConditionalStatement as _, Expr, ExprTrait as _, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Id, Int, Text};
use super::form::{TableForm, drop_all};
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_offers"
    }
}

const OWNERS: &str = "orchestrator_owners";

const COLUMNS: [&str; 2] = ["queues", "labels"];

const OFFERS: TableForm = TableForm {
    name: "orchestrator_offers",
    always: &[
        ("run", Id),
        ("step", Int),
        ("item", Int),
        ("generation", Int),
        ("iteration", Int),
        ("attempt", Int),
        ("epoch", Int),
        ("queue", Text),
        ("labels", Text),
        ("job", Text),
        ("offered_at", Int),
        ("stops", Int),
    ],
    maybe: &[("owner", Id), ("claimed_at", Int)],
    primary: &["run", "step", "item"],
    clustered: true,
};

const INBOX: TableForm = TableForm {
    name: "orchestrator_inbox",
    always: &[
        ("run", Id),
        ("generation", Int),
        ("step", Int),
        ("item", Int),
        ("iteration", Int),
        ("attempt", Int),
        ("epoch", Int),
        ("owner", Id),
        ("claimed_at", Int),
        ("at", Int),
    ],
    maybe: &[("body", Text)],
    primary: &["run", "generation", "step", "item", "iteration", "attempt", "epoch"],
    clustered: true,
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [OFFERS, INBOX] {
            manager.create_table(table.create(self.forms)).await?;
        }
        // For those who look for work.
        let free = Index::create()
            .name("orchestrator_offers_free")
            .table(OFFERS.name)
            .col("queue")
            .col("offered_at")
            .and_where(Expr::col("owner").is_null())
            .take();
        manager.create_index(free).await?;
        // For what an owner is to stop, and what it has lost.
        let claimed = Index::create()
            .name("orchestrator_offers_claimed")
            .table(OFFERS.name)
            .col("owner")
            .and_where(Expr::col("owner").is_not_null())
            .take();
        manager.create_index(claimed).await?;
        for name in COLUMNS {
            let mut column = ColumnDef::new_with_type(name, (self.forms.text)());
            manager.alter_table(Table::alter().table(OWNERS).add_column(column.null()).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in COLUMNS {
            manager.alter_table(Table::alter().table(OWNERS).drop_column(name).take()).await?;
        }
        drop_all(&[OFFERS, INBOX], manager).await
    }
}
