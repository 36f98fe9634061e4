//! Items: rows of approvals, decisions and lines of output say which item of a step they belong to. 0 is the step
//! itself, as in the table of steps, so what was kept before stays true.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Digest, Id, Int, Text};
use super::form::TableForm;
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_items"
    }
}

/// Tables whose key does not hold the item.
const WIDENED: [&str; 2] = ["orchestrator_decisions", "orchestrator_logs"];

const APPROVALS: &str = "orchestrator_approvals";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in WIDENED {
            let mut item = ColumnDef::new("item").big_integer().not_null().default(0).take();
            manager.alter_table(Table::alter().table(table).add_column(&mut item).take()).await?;
        }
        // An item has approvals of its own: it belongs to their key, and a key cannot be changed in place.
        self.replace(manager, &WITH_ITEMS, "item, ", "0, ").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.replace(manager, &WITHOUT_ITEMS, "", "").await?;
        for table in WIDENED {
            manager.alter_table(Table::alter().table(table).drop_column("item").take()).await?;
        }
        Ok(())
    }
}

impl Migration {
    /// Puts a table of approvals of another form in the place of the one that is there.
    async fn replace(
        &self,
        manager: &SchemaManager<'_>,
        form: &TableForm,
        column: &str,
        value: &str,
    ) -> Result<(), DbErr> {
        const KEPT: &str = "run, step, attempt, name, digest, message, status, asked_at, shown, expires_at, \
                            decided_at, decided_by, via, comment";
        manager.create_table(form.create(self.forms)).await?;
        let copy =
            format!("INSERT INTO {} ({column}{KEPT}) SELECT {value}{KEPT} FROM {APPROVALS}", form.name);
        manager.get_connection().execute_unprepared(&copy).await?;
        manager.drop_table(Table::drop().table(APPROVALS).take()).await?;
        manager.rename_table(Table::rename().table(form.name, APPROVALS).take()).await?;
        let mut asked = Index::create();
        asked.name("orchestrator_approvals_asked").table(APPROVALS).col("asked_at");
        manager.create_index(asked.take()).await
    }
}

const WITH_ITEMS: TableForm = TableForm {
    name: "orchestrator_approvals_with_items",
    always: &[
        ("run", Id),
        ("step", Int),
        ("item", Int),
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
    primary: &["run", "step", "item", "attempt"],
    clustered: true,
};

const WITHOUT_ITEMS: TableForm = TableForm {
    name: "orchestrator_approvals_without_items",
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
    maybe: WITH_ITEMS.maybe,
    primary: &["run", "step", "attempt"],
    clustered: true,
};
