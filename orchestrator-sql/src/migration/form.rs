//! How migrations write down the tables that they make.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table, TableCreateStatement};
use sea_orm_migration::SchemaManager;

use crate::dialect::Forms;

/// What a column holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// The row's own small integer, given by the database.
    Key,
    Id,
    Int,
    Text,
    Digest,
}

/// A table.
pub(super) struct TableForm {
    pub(super) name: &'static str,
    /// Columns that always have a value.
    pub(super) always: &'static [(&'static str, Holds)],
    /// Columns that may be NULL.
    pub(super) maybe: &'static [(&'static str, Holds)],
    /// The primary key, where it is not the column of type [`Holds::Key`].
    pub(super) primary: &'static [&'static str],
    /// Whether the rows lie in the order of the primary key, where the database can do that.
    pub(super) clustered: bool,
}

impl TableForm {
    pub(super) fn create(&self, forms: Forms) -> TableCreateStatement {
        let mut table = Table::create();
        table.table(self.name);
        for (name, holds) in self.always {
            table.col(column(forms, name, *holds).not_null());
        }
        for (name, holds) in self.maybe {
            table.col(column(forms, name, *holds).null());
        }
        if !self.primary.is_empty() {
            let mut primary = Index::create();
            self.primary.iter().for_each(|column| {
                primary.col(*column);
            });
            table.primary_key(&mut primary);
        }
        if self.clustered {
            table.extra(forms.clustered);
        }
        table
    }
}

fn column(forms: Forms, name: &'static str, holds: Holds) -> ColumnDef {
    match holds {
        Holds::Key => (forms.key)(name),
        Holds::Id => ColumnDef::new_with_type(name, (forms.id)()),
        Holds::Int => ColumnDef::new(name).big_integer().take(),
        Holds::Text => ColumnDef::new_with_type(name, (forms.text)()),
        Holds::Digest => ColumnDef::new(name).blob().take(),
    }
}

/// Drops the tables, the last first.
pub(super) async fn drop_all(tables: &[TableForm], manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for table in tables.iter().rev() {
        manager.drop_table(Table::drop().table(table.name).to_owned()).await?;
    }
    Ok(())
}
