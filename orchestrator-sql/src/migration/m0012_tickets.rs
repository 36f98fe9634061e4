//! Tickets of queues, and when each project was last given one.

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
        "m0012_tickets"
    }
}

const TICKETS: TableForm = TableForm {
    name: "orchestrator_tickets",
    always: &[
        ("id", Id),
        ("queue", Text),
        ("project", Text),
        ("priority", Int),
        ("due_at", Int),
        ("place", Int),
        ("arrival", Int),
        ("count", Int),
        ("ticket", Text),
    ],
    maybe: &[("held", Id)],
    primary: &["id"],
    clustered: true,
};

const TURNS: TableForm = TableForm {
    name: "orchestrator_turns",
    always: &[("project", Text), ("turn", Int)],
    maybe: &[],
    primary: &["project"],
    clustered: true,
};

/// What is found without reading the rest: the first of each line, what comes out next, and the last numbers that were given.
const INDEXES: [(&str, &str, &[&str]); 4] = [
    ("orchestrator_tickets_line", TICKETS.name, &["queue", "project", "place", "arrival"]),
    ("orchestrator_tickets_due", TICKETS.name, &["queue", "due_at"]),
    ("orchestrator_tickets_arrival", TICKETS.name, &["arrival"]),
    ("orchestrator_turns_last", TURNS.name, &["turn"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [TICKETS, TURNS] {
            manager.create_table(table.create(self.forms)).await?;
        }
        for (name, table, columns) in INDEXES {
            let mut index = Index::create();
            index.name(name).table(table);
            columns.iter().for_each(|column| {
                index.col(*column);
            });
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_all(&[TICKETS, TURNS], manager).await
    }
}
