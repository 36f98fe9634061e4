//! The connection that writes.

use async_trait::async_trait;
use orchestrator_sql::{Arg, Script, WriteError, Writer};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Connection, Executor};

use crate::error;

/// A connection that writes.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: SqliteConnection,
}

impl SqliteWriter {
    pub(crate) const fn new(connection: SqliteConnection) -> Self {
        Self { connection }
    }
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn run(&mut self, script: Script) -> Result<u64, WriteError> {
        let arguments = arguments(script.args)?;
        // Safe: the text is made of constants and question marks alone.
        let query = sqlx::query_with(AssertSqlSafe(script.text), arguments);
        let answer = self.connection.execute(query).await.map_err(|error| error::of_write(&error))?;
        Ok(answer.rows_affected())
    }

    async fn rollback(&mut self) -> Result<(), WriteError> {
        match self.connection.execute("ROLLBACK").await {
            Ok(_) => Ok(()),
            Err(error) if error::is_no_transaction(&error) => Ok(()),
            Err(error) => Err(error::of_write(&error)),
        }
    }

    async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing the connection that writes");
        }
    }
}

fn arguments(args: Vec<Arg>) -> Result<SqliteArguments, WriteError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(args.len(), 0);
    for arg in args {
        let added = match arg {
            Arg::Null => arguments.add(None::<i64>),
            Arg::Int(number) => arguments.add(number),
            Arg::Text(text) => arguments.add(text),
            Arg::Word(word) => arguments.add(word),
            Arg::Id(id) => arguments.add(id.as_bytes().as_slice()),
            Arg::Digest(digest) => arguments.add(digest.as_slice()),
        };
        added.map_err(|error| WriteError::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}
