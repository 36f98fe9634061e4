//! Rates: what has begun under a key, and when all of it will be of the past.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0014_rates"
    }
}

const KEYS: &str = "orchestrator_keys";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let spent = ColumnDef::new_with_type("spent", (self.forms.text)()).null().take();
        let past_at = ColumnDef::new("past_at").big_integer().null().take();
        for mut column in [spent, past_at] {
            manager.alter_table(Table::alter().table(KEYS).add_column(&mut column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["past_at", "spent"] {
            manager.alter_table(Table::alter().table(KEYS).drop_column(name).take()).await?;
        }
        Ok(())
    }
}
