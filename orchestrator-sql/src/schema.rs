//! Which tables there are, and bringing them up to date.

use std::collections::BTreeSet;

use orchestrator_core::port::store::StoreError;
use orchestrator_core::time::{Timestamp, wall_clock};
use sea_orm::{
    ConnectionTrait, DbErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::dialect::Dialect;
use crate::migration::{Migrator, TABLE};
use crate::standing::{Standing, is_mark};
use crate::store::SqlStore;

impl<D: Dialect> SqlStore<D> {
    /// Makes the tables of this version, or brings older ones up to date; all in one transaction. Nothing is written
    /// if there is nothing to do. [`SqlStore::connect`] does this, unless it is told not to.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if a newer version has been here: then nothing is changed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.pending().await?.is_empty() {
            return Ok(());
        }
        if let Some(target) = self.moved_to() {
            return Err(StoreError::Incompatible(format!(
                "it has moved to {target}, and its tables are older than this version"
            )));
        }
        // When a table was made is written down as the seconds since then.
        if wall_clock() < Timestamp::default() {
            return Err(StoreError::Unavailable(
                "the clock of this machine shows a time before 1970: set it, and the tables can be made"
                    .to_owned(),
            ));
        }
        orchestrator_core::failpoint!("migrate.before");
        self.alter(|transaction| Box::pin(async move { Migrator::<D>::up(transaction, None).await })).await
    }

    /// As [`SqlStore::migrate`], for one that is about to be filled, or was being filled when that was cut short.
    pub(crate) async fn make_tables(&self) -> Result<(), StoreError> {
        let applied = self.applied().await?;
        if Standing::of(&applied) == Standing::Here {
            return self.migrate().await;
        }
        match missing(&applied, Self::migrations())?.first() {
            None => Ok(()),
            Some(name) => Err(StoreError::Incompatible(format!(
                "its tables are older than this version: {name} is missing; copy into a new one"
            ))),
        }
    }

    /// Where the store had moved when its tables were last looked at, as a URL. It is only looked at then.
    #[must_use]
    pub fn moved_to(&self) -> Option<&str> {
        self.shared.moved.get().map(String::as_str)
    }

    /// Takes all migrations back: drops the tables, with all that is in them.
    ///
    /// # Errors
    /// As [`SqlStore::migrate`].
    pub async fn revert(&self) -> Result<(), StoreError> {
        self.pending().await?;
        self.alter(|transaction| Box::pin(async move { Migrator::<D>::down(transaction, None).await })).await
    }

    /// Whether the tables are those of this version.
    pub(crate) async fn require_current(&self) -> Result<(), StoreError> {
        let missing = self.pending().await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreError::Incompatible(format!(
            "its tables are older than this version: {} is missing",
            missing.join(", ")
        )))
    }

    /// The names of all migrations that this version knows, in order.
    #[must_use]
    pub fn migrations() -> Vec<String> {
        Migrator::<D>::migrations().iter().map(|migration| migration.name().to_owned()).collect()
    }

    /// The migrations that this version knows and that have not been applied.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if one has been applied that this version does not know; [`StoreError::Invalid`] if the
    /// store is the unfinished copy of another.
    pub async fn pending(&self) -> Result<Vec<String>, StoreError> {
        let applied = self.applied().await?;
        match Standing::of(&applied) {
            Standing::Here => {}
            Standing::Moved(target) => {
                let _ = self.shared.moved.set(target);
            }
            Standing::Unfinished(source) => {
                let place = self.url();
                return Err(StoreError::Invalid(format!(
                    "{place} is an unfinished copy of {source}: `orchestrator store copy {source} {place}` begins anew"
                )));
            }
        }
        missing(&applied, Self::migrations())
    }

    /// The migrations that have been applied. One query where there are any.
    async fn applied(&self) -> Result<BTreeSet<String>, StoreError> {
        let query = format!("SELECT version FROM {TABLE}");
        let names = match self.shared.dialect.ask_ahead(&query).await {
            Some(names) => names,
            None => self.names(query).await,
        };
        match names {
            Ok(names) => Ok(names.into_iter().collect()),
            Err(error) if self.shared.dialect.is_missing_table(&error) => Ok(BTreeSet::new()),
            Err(error) => self.shared.explained(Err(error)),
        }
    }

    async fn names(&self, query: String) -> Result<Vec<String>, DbErr> {
        let db = self.shared.db();
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await?;
        rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect()
    }

    /// Changes tables in one transaction that nobody else can come between.
    async fn alter<F>(&self, work: F) -> Result<(), StoreError>
    where
        F: for<'t> FnOnce(
            &'t sea_orm::DatabaseTransaction,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), DbErr>> + Send + 't>>,
    {
        let db = self.shared.dialect.alterations().await?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let changed = async {
            let transaction = db.begin_with_options(options).await?;
            if let Some(alone) = D::ALONE {
                transaction.execute_unprepared(alone).await?;
            }
            work(&transaction).await?;
            transaction.commit().await
        }
        .await;
        if let Err(error) = db.close().await {
            tracing::debug!(%error, "closing the connection that changes tables");
        }
        self.shared.explained(changed)
    }
}

/// Which of our migrations are not among those that have been applied.
fn missing(applied: &BTreeSet<String>, ours: Vec<String>) -> Result<Vec<String>, StoreError> {
    if let Some(unknown) = applied.iter().find(|name| !ours.contains(name) && !is_mark(name)) {
        return Err(StoreError::Incompatible(format!(
            "a newer version has changed its tables (`{unknown}`); use that version or a later one"
        )));
    }
    Ok(ours.into_iter().filter(|name| !applied.contains(name)).collect())
}
