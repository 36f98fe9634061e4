//! A store that nobody else writes to.

use std::collections::BTreeSet;

use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::port::store::{OwnerRow, Serves, StoreError};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, StoredValue};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use uuid::Uuid;

use super::row::{Cell, Row, Sum};
use crate::artifact;
use crate::dialect::Dialect;
use crate::encoding::{corrupt, digest_of};
use crate::migration;
use crate::standing::Standing;
use crate::store::{Shared, SqlStore};
use crate::tables::{self, OUTPUTS, TABLES, Table};

/// The most rows that are in memory at a time. So many of the widest table have fewer cells than a statement may hold
/// arguments (32,766).
const PAGE: u64 = 1000;

/// The most bytes of large cells that are in memory at a time, where one row has fewer (8 MiB).
const HEAVY: i64 = 8 << 20;

/// A store in a transaction beside which nobody writes. What was written is gone if this is dropped before
/// [`Held::commit`].
pub(super) struct Held<'s, D: Dialect> {
    shared: &'s Shared<D>,
    pool: DatabaseConnection,
    transaction: DatabaseTransaction,
}

impl<'s, D: Dialect> Held<'s, D> {
    /// Waits for those who are writing.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if they do not come to an end.
    pub(super) async fn take(store: &'s SqlStore<D>) -> Result<Self, StoreError> {
        let shared = &*store.shared;
        let pool = shared.dialect.alterations().await?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let transaction = shared.explained(pool.begin_with_options(options).await)?;
        let held = Self { shared, pool, transaction };
        held.all((D::SEALS.alone)(&tables::names())).await?;
        Ok(held)
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.shared.explained(self.transaction.commit().await)?;
        self.shared.dialect.committed();
        if let Err(error) = self.pool.close().await {
            tracing::debug!(%error, "closing the connection of a copy");
        }
        Ok(())
    }

    /// Lets go of a store to which nothing was written.
    pub(super) async fn release(self) -> Result<(), StoreError> {
        self.shared.explained(self.transaction.rollback().await)?;
        if let Err(error) = self.pool.close().await {
            tracing::debug!(%error, "closing the connection of a copy");
        }
        Ok(())
    }

    async fn all(&self, texts: Vec<String>) -> Result<(), StoreError> {
        for text in texts {
            self.shared.explained(self.transaction.execute_unprepared(&text).await)?;
        }
        Ok(())
    }

    async fn numbers(&self, select: &str) -> Result<Vec<i64>, StoreError> {
        let query = Statement::from_string(self.transaction.get_database_backend(), select);
        let rows = self.shared.explained(self.transaction.query_all_raw(query).await)?;
        self.shared.explained(rows.iter().map(|row| row.try_get_by_index::<i64>(0)).collect())
    }

    /// How many rows of a table are copied.
    pub(super) async fn count(&self, table: &Table) -> Result<u64, StoreError> {
        let only = table.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        let counted = self.numbers(&format!("SELECT count(*) FROM {}{only}", table.name)).await?;
        Ok(counted.first().copied().unwrap_or_default().unsigned_abs())
    }

    /// One who is not known to be dead, if there is one.
    pub(super) async fn alive(&self) -> Result<Option<OwnerRow>, StoreError> {
        let text = "SELECT id, label, deadline FROM orchestrator_owners WHERE dead = 0 ORDER BY id LIMIT 1";
        let query = Statement::from_string(self.transaction.get_database_backend(), text);
        let row = self.shared.explained(self.transaction.query_one_raw(query).await)?;
        let owner = row.map(|row| {
            Ok(OwnerRow {
                serves: Serves::default(),
                id: OwnerId::from_uuid(row.try_get_by_index::<Uuid>(0)?),
                label: row.try_get_by_index(1)?,
                deadline: Timestamp::from_millis(row.try_get_by_index(2)?),
                dead: false,
            })
        });
        self.shared.explained(owner.transpose())
    }

    pub(super) async fn standing(&self) -> Result<Standing, StoreError> {
        let text = format!("SELECT version FROM {}", migration::TABLE);
        let query = Statement::from_string(self.transaction.get_database_backend(), text);
        let rows = self.shared.explained(self.transaction.query_all_raw(query).await)?;
        let names: Result<BTreeSet<String>, DbErr> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        Ok(Standing::of(&self.shared.explained(names)?))
    }

    /// Says whether the store is the one to work with from here on, and opens or seals it: it is sealed where it is not.
    pub(super) async fn mark(&self, standing: &Standing) -> Result<(), StoreError> {
        let migrations = Alias::new(migration::TABLE);
        let backend = self.transaction.get_database_backend();
        if let Some(old) = self.standing().await?.mark() {
            self.all((D::SEALS.unseal)(&tables::names())).await?;
            let gone =
                Query::delete().from_table(migrations.clone()).and_where(Expr::col("version").eq(old)).take();
            self.shared.explained(self.transaction.execute_raw(backend.build(&gone)).await)?;
        }
        let Some(mark) = standing.mark() else { return Ok(()) };
        let mut new = Query::insert();
        new.into_table(migrations).columns(["version", "applied_at"]);
        let seconds = self.shared.dialect.now().await?.as_millis() / 1000;
        new.values([Expr::val(mark), Expr::val(seconds)])
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        self.shared.explained(self.transaction.execute_raw(backend.build(&new)).await)?;
        self.all((D::SEALS.seal)(&tables::names())).await
    }

    /// Opens the store for this transaction alone, and takes out all that is in it.
    pub(super) async fn clear(&self) -> Result<(), StoreError> {
        self.all((D::SEALS.unseal)(&tables::names())).await?;
        self.all(TABLES.iter().map(|table| format!("DELETE FROM {}", table.name)).collect()).await
    }

    /// The next rows of a table after a key, in the order of keys; none where there are no more. Values that are kept
    /// outside of the database are read from there.
    pub(super) async fn page(&self, table: &Table, after: Option<&[Cell]>) -> Result<Vec<Row>, StoreError> {
        let backend = self.transaction.get_database_backend();
        let most = match table.weight {
            None => PAGE,
            Some(weight) => self.fitting(table, weight, after).await?,
        };
        let mut select = select(table, after);
        select.columns(table.key.iter().chain(table.columns).map(|(column, _)| *column)).limit(most);
        let rows = self.shared.explained(self.transaction.query_all_raw(backend.build(&select)).await)?;
        let rows = rows.iter().map(|row| Row::read(table, row)).collect();
        let mut rows: Vec<Row> = self.shared.explained(rows)?;
        if table.name == OUTPUTS {
            for row in &mut rows {
                self.unfold(&mut row.cells).await?;
            }
        }
        Ok(rows)
    }

    /// How many of the next rows are not too much at a time; at least one.
    async fn fitting(
        &self,
        table: &Table,
        weight: &'static str,
        after: Option<&[Cell]>,
    ) -> Result<u64, StoreError> {
        let mut select = select(table, after);
        select.expr(Expr::cust(weight)).limit(PAGE);
        let statement = self.transaction.get_database_backend().build(&select);
        let rows = self.shared.explained(self.transaction.query_all_raw(statement).await)?;
        let weights: Result<Vec<i64>, DbErr> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        let mut sum = 0_i64;
        let fit = self.shared.explained(weights)?.into_iter().take_while(|weight| {
            sum = sum.saturating_add(*weight);
            sum <= HEAVY
        });
        Ok(Ord::max(fit.count() as u64, 1))
    }

    /// A value as it is, instead of what its row holds.
    async fn unfold(&self, cells: &mut [Cell]) -> Result<(), StoreError> {
        let [Cell::Id(Some(run)), Cell::Digest(Some(digest)), Cell::Text(body)] = cells else {
            return Err(corrupt("value", &format!("{cells:?}")));
        };
        let held = body.take().unwrap_or_default();
        let value = self.shared.unfold(RunId::from_uuid(*run), digest_of(digest)?, held).await?;
        *body = Some(String::from(&*value));
        Ok(())
    }

    /// Writes rows that are not there.
    pub(super) async fn write(&self, table: &Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let mut insert = Query::insert();
        insert.into_table(table.name).columns(table.columns.iter().map(|(column, _)| *column));
        for row in rows {
            let mut cells = row.cells;
            if table.name == OUTPUTS {
                self.fold(&mut cells).await?;
            }
            insert
                .values(cells.into_iter().map(Expr::val))
                .map_err(|error| StoreError::Invalid(error.to_string()))?;
        }
        let statement = self.transaction.get_database_backend().build(&insert);
        self.shared.explained(self.transaction.execute_raw(statement).await).map(drop)
    }

    /// What a row of this store holds of a value.
    async fn fold(&self, cells: &mut [Cell]) -> Result<(), StoreError> {
        if let [_, Cell::Digest(Some(digest)), Cell::Text(Some(body))] = cells {
            *body = self.shared.fold(digest_of(digest)?, std::mem::take(body)).await?;
        }
        Ok(())
    }

    /// All rows of a table in short; `told` hears of each page.
    pub(super) async fn sum(&self, table: &Table, mut told: impl FnMut(u64)) -> Result<Sum, StoreError> {
        let mut sum = Sum::new();
        let mut rows = self.page(table, None).await?;
        while let Some(last) = rows.last() {
            rows.iter().for_each(|row| sum.add(&row.cells));
            told(rows.len() as u64);
            rows = self.page(table, Some(&last.key)).await?;
        }
        Ok(sum)
    }
}

/// The rows of a table after a key, in the order of keys.
fn select(table: &Table, after: Option<&[Cell]>) -> SelectStatement {
    let mut select = Query::select();
    select.from(table.name);
    if let Some(only) = table.only {
        select.and_where(Expr::cust(only));
    }
    if let Some(after) = after {
        let columns = table.key.iter().map(|(column, _)| Expr::col(*column));
        let values = after.iter().cloned().map(Expr::val);
        select.and_where(Expr::tuple(columns).gt(Expr::tuple(values)));
    }
    for (column, _) in table.key {
        select.order_by(*column, Order::Asc);
    }
    select
}

impl<D: Dialect> Shared<D> {
    /// What a row holds of a value, after its bytes were put where they are kept.
    async fn fold(&self, digest: Digest, body: String) -> Result<String, StoreError> {
        let Some(artifacts) = self.dialect.artifacts() else { return Ok(body) };
        let value = StoredValue { digest, body: body.into() };
        if artifact::is_large(&value.body) {
            artifacts.put(digest, value.body.clone()).await?;
        }
        Ok(artifact::held(&value).to_string())
    }
}
