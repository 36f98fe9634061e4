//! The tables, and how they came to be.

mod form;
mod m0001_first;
mod m0002_documents;
mod m0003_items;
mod order;

use std::marker::PhantomData;

use sea_orm::{DynIden, sea_query::IntoIden};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::dialect::Dialect;

/// Where it is kept which migrations have been applied: a table of our own name, beside that of a host.
pub(crate) const TABLE: &str = "orchestrator_migrations";

/// Runs our migrations.
pub(crate) struct Migrator<D>(PhantomData<fn() -> D>);

impl<D: Dialect> MigratorTrait for Migrator<D> {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        order::all(D::FORMS)
    }

    fn migration_table_name() -> DynIden {
        TABLE.into_iden()
    }
}
