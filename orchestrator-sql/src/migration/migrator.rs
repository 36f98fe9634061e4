//! All migrations, in order.

use std::marker::PhantomData;

use sea_orm::{DynIden, sea_query::IntoIden};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use super::{
    m0001_first, m0002_documents, m0003_items, m0004_children, m0005_artifacts, m0006_offers,
    m0007_document_state, m0008_keys, m0009_paths, m0010_turns, m0011_tasks, m0012_tickets, m0013_letters,
    m0014_rates,
};
use crate::dialect::Dialect;

/// Where it is kept which migrations have been applied: a table of our own name, beside that of a host.
pub(crate) const TABLE: &str = "orchestrator_migrations";

/// Runs our migrations.
pub(crate) struct Migrator<D>(PhantomData<fn() -> D>);

impl<D: Dialect> MigratorTrait for Migrator<D> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration { forms: D::FORMS }),
            Box::new(m0002_documents::Migration { forms: D::FORMS }),
            Box::new(m0003_items::Migration { forms: D::FORMS }),
            Box::new(m0004_children::Migration { forms: D::FORMS }),
            Box::new(m0005_artifacts::Migration),
            Box::new(m0006_offers::Migration { forms: D::FORMS }),
            Box::new(m0007_document_state::Migration { forms: D::FORMS }),
            Box::new(m0008_keys::Migration { forms: D::FORMS }),
            Box::new(m0009_paths::Migration { forms: D::FORMS }),
            Box::new(m0010_turns::Migration),
            Box::new(m0011_tasks::Migration { forms: D::FORMS }),
            Box::new(m0012_tickets::Migration { forms: D::FORMS }),
            Box::new(m0013_letters::Migration { forms: D::FORMS }),
            Box::new(m0014_rates::Migration { forms: D::FORMS }),
        ]
    }

    fn migration_table_name() -> DynIden {
        TABLE.into_iden()
    }
}
