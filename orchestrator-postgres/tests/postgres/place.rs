//! A store in a database of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{Queue, StepTicket};
use orchestrator_core::port::store::Store;
use orchestrator_core::testkit::{Place, QueuePlace};
use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::{Database, Server};

/// A database.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) database: Database,
}

impl Base {
    pub(crate) async fn new() -> Self {
        Self { database: Server::shared().await.database().await }
    }

    /// The store in it.
    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::connect(self.database.url()).await.unwrap()
    }
}

impl Base {
    /// Changes the one row of a step behind the store's back.
    async fn forge(&self, update: &'static str, ticket: StepTicket) -> bool {
        let forged = sqlx::query(update)
            .bind(ticket.run.as_uuid())
            .bind(i64::from(ticket.step.0))
            .execute(&mut self.database.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }
}

#[async_trait]
impl Place for Base {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn keeps(&self) -> bool {
        true
    }

    async fn forge_kind(&self, run: RunId, kind: &str) -> bool {
        let forged = sqlx::query("UPDATE orchestrator_events SET kind = $1 WHERE run = $2 AND seq = 1")
            .bind(kind)
            .bind(run.as_uuid())
            .execute(&mut self.database.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }

    async fn forge_delivery(&self, ticket: StepTicket) -> bool {
        self.forge("UPDATE orchestrator_inbox SET attempt = -1 WHERE run = $1 AND step = $2", ticket).await
    }

    async fn forge_offer(&self, ticket: StepTicket) -> bool {
        self.forge("UPDATE orchestrator_offers SET labels = '{' WHERE run = $1 AND step = $2", ticket).await
    }
}

/// A database with two stores that stay open, as of two processes: whoever goes away at once takes what is to be told along.
#[derive(Debug)]
pub(crate) struct Queues {
    base: Base,
    stores: [PostgresStore; 2],
    opened: AtomicUsize,
}

impl Queues {
    pub(crate) async fn new() -> Self {
        let base = Base::new().await;
        let stores = [base.store().await, base.store().await];
        Self { base, stores, opened: AtomicUsize::default() }
    }
}

#[async_trait]
impl QueuePlace for Queues {
    async fn open(&self) -> Arc<dyn Queue> {
        let nth = self.opened.fetch_add(1, Ordering::Relaxed);
        Arc::new(self.stores[nth % 2].queue().with_letters(8))
    }

    fn keeps(&self) -> bool {
        true
    }

    async fn forge_ticket(&self, written: &str, text: &str) -> bool {
        let forged = sqlx::query("UPDATE orchestrator_tickets SET ticket = $1 WHERE ticket = $2")
            .bind(text)
            .bind(written)
            .execute(&mut self.base.database.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }

    async fn pass(&self, time: Duration) {
        let pass = format!(
            "UPDATE orchestrator_tickets SET due_at = due_at - {0}, place = place - {0}; \
             SELECT pg_notify('orchestrator', '')",
            time.as_millis()
        );
        self.base.database.tell(&pass).await;
    }
}
