//! SQLite as a dialect.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::artifact::ArtifactStore;
use orchestrator_core::port::store::{StoreError, StoreInfo};
use orchestrator_core::time::{Timestamp, wall_clock};
use orchestrator_sql::{Dialect, Forms, Options, SEALED, Seals, TextWords, Words, joined};
use sea_orm::sea_query::{ColumnDef, ColumnType};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::artifacts::Folder;
use crate::holds::Holds;
use crate::watch::Watch;
use crate::writer::SqliteWriter;
use crate::{error, open};

/// One SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    /// The version of the library.
    version: String,
    options: SqliteConnectOptions,
    /// Whether commits are synced.
    durable: bool,
    readers: DatabaseConnection,
    /// The first connection, until somebody writes.
    first: Mutex<Option<SqliteConnection>>,
    watch: Watch,
    holds: Arc<Holds>,
    artifacts: Arc<Folder>,
}

impl Sqlite {
    async fn open(path: &Path, base: SqliteConnectOptions, asked: &Options) -> Result<Self, StoreError> {
        let options = open::options(base, asked);
        // One taken from the pool would go back to it in its own time, and meanwhile the next reader opens another.
        let failed = |error: sqlx::Error| error::at(path, error::of_read(&error));
        let mut first = open::patiently(&options, asked.busy_timeout).await.map_err(failed)?;
        let version = open::look(&mut first).await.map_err(|error| error::at(path, error))?;
        open::require_library(&version)?;
        Ok(Self {
            path: path.to_owned(),
            version,
            first: Mutex::new(Some(first)),
            watch: Watch::new(options.clone()),
            readers: open::readers(options.clone(), asked).into(),
            options,
            durable: asked.durable,
            holds: Arc::new(Holds::beside(path)),
            artifacts: Arc::new(Folder::beside(path)),
        })
    }

    /// The connection that writes after another was given up. What a sync has failed on is never brought to the disk by a
    /// later one, so that the log is not gone on with: what is in it goes to the file, and it begins anew.
    async fn replacement(&self) -> sqlx::Result<SqliteConnection> {
        let mut connection = self.options.connect().await?;
        sqlx::query("PRAGMA wal_checkpoint(RESTART)").execute(&mut connection).await?;
        Ok(connection)
    }

    /// Does something with lock files, where it may block.
    async fn with_holds<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Holds) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let holds = self.holds.clone();
        joined(tokio::task::spawn_blocking(move || work(&holds))).await
    }
}

#[async_trait]
impl Dialect for Sqlite {
    type Pool = SqlitePool;

    type Writer = SqliteWriter;

    const FORMS: Forms = Forms {
        key: |name| ColumnDef::new(name).integer().primary_key().take(),
        id: || ColumnType::Blob,
        text: || ColumnType::Text,
        clustered: "WITHOUT ROWID",
    };

    const WORDS: Words = Words::Text(TextWords {
        // A statement that fails may leave its rows behind, for the transaction is rolled back anyway: so SQLite need
        // not copy every page before it changes it.
        insert: "INSERT OR FAIL INTO",
        update: "UPDATE OR FAIL",
        begin: "BEGIN IMMEDIATE;\n",
        commit: "COMMIT;",
        // The smallest integer has no absolute value: that is an error, and the rest of the text is not run.
        guard: "SELECT abs(-9223372036854775807 - (changes() <> ?));\n",
    });

    const CLOCK: &'static str = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";

    const SEALS: Seals = Seals {
        // There is one writer at a time anyway.
        alone: |_| Vec::new(),
        seal: |tables| {
            each_seal(tables, |name, verb, table| {
                format!(
                    "CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{SEALED}'); END"
                )
            })
        },
        unseal: |tables| each_seal(tables, |name, _, _| format!("DROP TRIGGER IF EXISTS {name}")),
    };

    async fn connect(location: &str, options: &Options) -> Result<Self, StoreError> {
        let path = open::path_of(location)?;
        open::prepare(&path)?;
        Self::open(&path, SqliteConnectOptions::new().filename(&path), options).await
    }

    async fn over(pool: SqlitePool, options: &Options) -> Result<Self, StoreError> {
        let base = pool.connect_options().as_ref().clone();
        let path = base.get_filename().to_owned();
        if path.to_string_lossy().starts_with("file:") || path == Path::new(":memory:") {
            return Err(StoreError::Invalid(
                "the pool's database is in memory, where no other connection reaches it: give one of a file"
                    .to_owned(),
            ));
        }
        Self::open(&path, base, options).await
    }

    async fn alterations(&self) -> Result<DatabaseConnection, StoreError> {
        Ok(open::pool(self.options.clone(), 1).into())
    }

    fn describe(&self) -> StoreInfo {
        StoreInfo {
            kind: "sqlite",
            location: self.path.display().to_string(),
            version: self.version.clone(),
            durable: self.durable,
            lanes: 1,
        }
    }

    fn reads(&self) -> &DatabaseConnection {
        &self.readers
    }

    async fn connect_writer(&self) -> Result<SqliteWriter, StoreError> {
        let first = self.first.lock().await.take();
        let connection = match first {
            Some(first) => first,
            None => self.replacement().await.map_err(|error| error::of_read(&error))?,
        };
        #[cfg(feature = "failpoints")]
        let mut connection = connection;
        #[cfg(feature = "failpoints")]
        crate::points::set(&mut connection).await.map_err(|error| error::of_read(&error))?;
        Ok(SqliteWriter::new(connection, self.durable))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(wall_clock())
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.watch.mark().await
    }

    fn explain(&self, error: &sea_orm::DbErr) -> StoreError {
        error::at(&self.path, error::of_orm(error))
    }

    async fn ask_ahead(&self, query: &str) -> Option<Result<Vec<String>, DbErr>> {
        let mut first = self.first.lock().await;
        let connection = first.as_mut()?;
        // Safe: the store's own queries are made of constants alone.
        let asked = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(connection).await;
        Some(asked.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into()))))
    }

    fn is_missing_table(&self, error: &sea_orm::DbErr) -> bool {
        error::is_missing_table(error)
    }

    async fn hold(&self, owner: OwnerId) -> Result<(), StoreError> {
        // Making a small file takes less than handing it to a thread that has to be started for it.
        if let Some(held) = self.holds.try_hold(owner) {
            return held;
        }
        self.with_holds(move |holds| holds.hold(owner)).await?
    }

    async fn let_go(&self, owner: OwnerId) {
        self.holds.let_go(owner);
    }

    async fn proven_dead(&self, alive: HashSet<OwnerId>) -> HashSet<OwnerId> {
        self.with_holds(move |holds| holds.dead(&alive)).await.unwrap_or_default()
    }

    fn artifacts(&self) -> Option<Arc<dyn ArtifactStore>> {
        Some(self.artifacts.clone())
    }

    async fn close(&self) {
        self.watch.close().await;
        if let Some(first) = self.first.lock().await.take()
            && let Err(error) = first.close().await
        {
            tracing::debug!(%error, "closing the first connection");
        }
        if let Err(error) = self.readers.close_by_ref().await {
            tracing::debug!(%error, "closing the connections that read");
        }
    }
}

/// A statement for each trigger that seals one of these tables, from its name, its verb and its table.
fn each_seal(tables: &[&str], statement: impl Fn(&str, &str, &str) -> String) -> Vec<String> {
    const VERBS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
    let one =
        |table: &str, verb: &str| statement(&format!("{table}_sealed_{}", verb.to_lowercase()), verb, table);
    tables.iter().flat_map(|table| VERBS.map(|verb| one(table, verb))).collect()
}
