//! A store in a temporary folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{Queue, StepTicket};
use orchestrator_core::port::store::Store;
use orchestrator_core::testkit::{Place, QueuePlace};
use orchestrator_sqlite::SqliteStore;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

/// A folder with a database.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    /// A new folder, without a database yet.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The database.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// The store in it.
    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::connect(self.file().to_str().unwrap()).await.unwrap()
    }

    /// A connection to the database, past the store.
    pub(crate) async fn bare(&self) -> sqlx::SqliteConnection {
        SqliteConnectOptions::new().filename(self.file()).connect().await.unwrap()
    }
}

impl Folder {
    /// Changes the one row of a step behind the store's back.
    async fn forge(&self, update: &'static str, ticket: StepTicket) -> bool {
        let forged = sqlx::query(update)
            .bind(ticket.run.as_uuid().as_bytes().as_slice())
            .bind(ticket.step.0)
            .execute(&mut self.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn keeps(&self) -> bool {
        true
    }

    async fn forge_kind(&self, run: RunId, kind: &str) -> bool {
        let forged = sqlx::query("UPDATE orchestrator_events SET kind = ? WHERE run = ? AND seq = 1")
            .bind(kind)
            .bind(run.as_uuid().as_bytes().as_slice())
            .execute(&mut self.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }

    async fn forge_delivery(&self, ticket: StepTicket) -> bool {
        self.forge("UPDATE orchestrator_inbox SET attempt = -1 WHERE run = ? AND step = ?", ticket).await
    }

    async fn forge_offer(&self, ticket: StepTicket) -> bool {
        self.forge("UPDATE orchestrator_offers SET labels = '{' WHERE run = ? AND step = ?", ticket).await
    }
}

/// Each handle is that of a store of its own, as in another process.
#[async_trait]
impl QueuePlace for Folder {
    async fn open(&self) -> Arc<dyn Queue> {
        Arc::new(self.store().await.queue().with_letters(8))
    }

    fn keeps(&self) -> bool {
        true
    }

    async fn forge_ticket(&self, written: &str, text: &str) -> bool {
        let forged = sqlx::query("UPDATE orchestrator_tickets SET ticket = ? WHERE ticket = ?")
            .bind(text)
            .bind(written)
            .execute(&mut self.bare().await)
            .await
            .unwrap();
        forged.rows_affected() == 1
    }

    async fn pass(&self, time: Duration) {
        let pass = sqlx::query("UPDATE orchestrator_tickets SET due_at = due_at - ?, place = place - ?");
        let time = time.as_millis() as i64;
        pass.bind(time).bind(time).execute(&mut self.bare().await).await.unwrap();
    }
}
