//! The shop: its tables, its workflow, and the one transaction that this example is about.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use orchestrator_core::port::store::Commit;
use orchestrator_core::spec::{EffectClass, Input};
use orchestrator_core::{Engine, RunId, StartRun, StepFailure, Workflow};
use orchestrator_sqlite::SqliteStore;
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY,
        item TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count > 0),
        run TEXT,
        packed INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, remaining INTEGER NOT NULL CHECK (remaining >= 0));
    INSERT OR IGNORE INTO stock VALUES ('tea', 10), ('cake', 3);
";

const ORDERS: &str = "SELECT id, item, count, run, packed FROM orders";

/// What a customer wants.
#[derive(Debug, Deserialize)]
pub(crate) struct NewOrder {
    item: String,
    count: i64,
}

/// Why something was not done. Nothing of it is in the database then.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The customer asks for what cannot be had.
    Refused(String),
    /// We are at fault.
    Broken(Box<dyn Error + Send + Sync>),
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

#[derive(Debug)]
pub(crate) struct Shop {
    db: DatabaseConnection,
    store: SqliteStore,
    pub(crate) engine: Engine,
    carry_out: Arc<Workflow>,
    /// Rung when a courier is at the door: each takes one parcel.
    pub(crate) courier: Arc<Notify>,
}

impl Shop {
    pub(crate) async fn open(file: &str) -> Result<Arc<Self>, Box<dyn Error>> {
        let file = std::path::absolute(Path::new(file))?;
        let db = Database::connect(format!("sqlite://{}?mode=rwc", file.display())).await?;
        db.execute_unprepared(TABLES).await?;
        // The same database; the store's tables stand beside ours, and it has connections of its own.
        let store = SqliteStore::from_pool(db.get_sqlite_connection_pool().clone()).await?;
        let courier = Arc::new(Notify::new());

        let (desk, door) = (db.clone(), courier.clone());
        let engine = Engine::builder()
            .store(Arc::new(store.clone()))
            .step("pack", move |order: i64| {
                let db = desk.clone();
                async move {
                    let packed = "UPDATE orders SET packed = 1 WHERE id = ?";
                    db.execute_raw(statement(packed, [order.into()])).await?;
                    Ok(())
                }
            })
            .step("ship", move |order: i64| {
                let door = door.clone();
                async move {
                    door.notified().await;
                    Ok::<_, StepFailure>(format!("parcel {order}"))
                }
            })
            .start()
            .await?;

        // Both steps may be done again after a crash: packing what is packed changes nothing, and a parcel that was
        // not handed over waits for the next courier.
        let carry_out = Workflow::builder("carry-out")
            .input("order", Input::integer())
            .step("pack", |step| {
                step.uses("pack").with("${{ inputs.order }}").effect(EffectClass::Idempotent)
            })
            .step("ship", |step| {
                step.uses("ship").needs(["pack"]).with("${{ inputs.order }}").effect(EffectClass::Idempotent)
            })
            .output("parcel", "${{ steps.ship.value }}")
            .build(engine.plugins())?;
        Ok(Arc::new(Self { db, store, engine, carry_out: Arc::new(carry_out), courier }))
    }

    /// Takes an order: its row, the run that carries it out, and what it takes from the stock, all or nothing.
    pub(crate) async fn order(&self, order: &NewOrder) -> Result<(i64, RunId), Failure> {
        if order.count < 1 {
            return Err(Failure::Refused("an order is of one at least".to_owned()));
        }
        // SQLite: a transaction that writes says so when it begins, and then never has to give way in the middle.
        let mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let transaction = self.db.begin_with_options(options).await?;
        match self.place(&transaction, order).await {
            Ok(placed) => {
                transaction.commit().await?;
                // Found within moments anyway; this makes it now.
                self.engine.ring();
                Ok(placed)
            }
            Err(failure) => {
                transaction.rollback().await?;
                Err(failure)
            }
        }
    }

    async fn place(
        &self,
        transaction: &DatabaseTransaction,
        order: &NewOrder,
    ) -> Result<(i64, RunId), Failure> {
        let insert = "INSERT INTO orders (item, count) VALUES (?, ?) RETURNING id";
        let insert = statement(insert, [order.item.as_str().into(), order.count.into()]);
        let row = transaction.query_one_raw(insert).await?;
        let id: i64 = row.ok_or(DbErr::RecordNotInserted)?.try_get("", "id")?;

        let start = StartRun::new(self.carry_out.clone()).input("order", id).label("order", id.to_string());
        let member = self.engine.member_for(start)?;
        match self.store.create_in(transaction, &member).await? {
            Commit::Applied => {}
            other => return Err(Failure::Broken(format!("the run was not created: {other:?}").into())),
        }
        let named = "UPDATE orders SET run = ? WHERE id = ?";
        transaction.execute_raw(statement(named, [member.run.to_string().into(), id.into()])).await?;

        // Whoever comes too late finds the shelf empty only now, with order and run written already: both go.
        let take = "UPDATE stock SET remaining = remaining - ? WHERE item = ? AND remaining >= ?";
        let take = statement(take, [order.count.into(), order.item.as_str().into(), order.count.into()]);
        if transaction.execute_raw(take).await?.rows_affected() == 0 {
            return Err(Failure::Refused(format!("there are not {} of `{}`", order.count, order.item)));
        }
        Ok((id, member.run))
    }

    /// Every order, as it was placed.
    pub(crate) async fn orders(&self) -> Result<Vec<serde_json::Value>, Failure> {
        let rows = self.db.query_all_raw(statement(ORDERS, [])).await?;
        rows.iter().map(|row| Ok(shown(row)?.0)).collect()
    }

    /// An order, and how far its run is.
    pub(crate) async fn find(&self, id: i64) -> Result<Option<serde_json::Value>, Failure> {
        let read = || self.db.query_one_raw(statement(&format!("{ORDERS} WHERE id = ?"), [id.into()]));
        let Some(row) = read().await? else { return Ok(None) };
        let (mut order, run) = shown(&row)?;
        if let Some(report) = self.engine.report(run).await? {
            // Read again after the run: the order must not be older than what the run says it has done.
            if let Some(row) = read().await? {
                order = shown(&row)?.0;
            }
            order["status"] = report.status.into();
            order["parcel"] = report.outputs["parcel"].clone();
        }
        Ok(Some(order))
    }
}

fn shown(row: &QueryResult) -> Result<(serde_json::Value, RunId), Failure> {
    let run: String = row.try_get("", "run")?;
    let id: i64 = row.try_get("", "id")?;
    let item: String = row.try_get("", "item")?;
    let count: i64 = row.try_get("", "count")?;
    let packed: bool = row.try_get("", "packed")?;
    let order = json!({ "id": id, "item": item, "count": count, "run": run, "packed": packed });
    Ok((order, run.parse()?))
}

fn statement<const N: usize>(text: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, text, values)
}
