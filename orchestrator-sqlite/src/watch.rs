//! Noticing commits: `PRAGMA data_version` on a connection that never writes changes with every commit of any other
//! connection, of this process or another.

use orchestrator_core::port::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::error;

/// The connection that looks.
#[derive(Debug)]
pub(crate) struct Watch {
    options: SqliteConnectOptions,
    eye: Mutex<Eye>,
}

#[derive(Debug, Default)]
struct Eye {
    /// How many connections there were: what one says cannot be compared with what another said.
    generation: u32,
    connection: Option<SqliteConnection>,
}

impl Watch {
    pub(crate) fn new(options: SqliteConnectOptions) -> Self {
        Self { options, eye: Mutex::default() }
    }

    pub(crate) async fn mark(&self) -> Result<u64, StoreError> {
        let mut eye = self.eye.lock().await;
        let mut connection = match eye.connection.take() {
            Some(connection) => connection,
            None => {
                eye.generation += 1;
                self.options.connect().await.map_err(|error| error::of_read(&error))?
            }
        };
        let version: Result<u32, _> =
            sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await;
        let version = version.map_err(|error| error::of_read(&error))?;
        eye.connection = Some(connection);
        Ok(u64::from(eye.generation) << 32 | u64::from(version))
    }

    pub(crate) async fn close(&self) {
        if let Some(connection) = self.eye.lock().await.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing the connection that watches");
        }
    }
}
