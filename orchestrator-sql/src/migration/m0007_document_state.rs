//! What has become of a document, beside what somebody has written in it: it changes often, and each of its texts would stay
//! among those of revisions. Workflows have none.
//!
//! Versions that do not know of it remove the bodies of documents that are no workflows when they prune: from here on they
//! refuse the store.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0007_document_state"
    }
}

const DOCUMENTS: &str = "orchestrator_documents";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = ColumnDef::new_with_type("state", (self.forms.text)());
        manager.alter_table(Table::alter().table(DOCUMENTS).add_column(column.null()).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(DOCUMENTS).drop_column("state").take()).await
    }
}
