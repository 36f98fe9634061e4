//! The migrations in the order in which they are applied.

use sea_orm_migration::MigrationTrait;

use super::{m0001_first, m0002_documents, m0003_items};
use crate::dialect::Forms;

/// All of them. One that a release has applied is never changed or moved.
pub(super) fn all(forms: Forms) -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m0001_first::Migration { forms }),
        Box::new(m0002_documents::Migration { forms }),
        Box::new(m0003_items::Migration { forms }),
    ]
}
