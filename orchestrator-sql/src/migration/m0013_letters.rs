//! Dead letters of queues.

use sea_orm::DbErr;
use sea_orm::sea_query::Index;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::form::Holds::{Id, Int, Text};
use super::form::{TableForm, drop_all};
use crate::dialect::Forms;

pub(super) struct Migration {
    pub(super) forms: Forms,
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0013_letters"
    }
}

const LETTERS: TableForm = TableForm {
    name: "orchestrator_letters",
    always: &[
        ("id", Id),
        ("number", Int),
        ("queue", Text),
        ("project", Text),
        ("priority", Int),
        ("count", Int),
        ("at", Int),
        ("reason", Text),
        ("ticket", Text),
    ],
    maybe: &[],
    primary: &["id"],
    clustered: true,
};

/// The order in which they were buried: of all, and of one queue.
const INDEXES: [(&str, &[&str]); 2] = [
    ("orchestrator_letters_number", &["number", "id"]),
    ("orchestrator_letters_queue", &["queue", "number", "id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(LETTERS.create(self.forms)).await?;
        for (name, columns) in INDEXES {
            let mut index = Index::create();
            index.name(name).table(LETTERS.name);
            columns.iter().for_each(|column| {
                index.col(*column);
            });
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_all(&[LETTERS], manager).await
    }
}
