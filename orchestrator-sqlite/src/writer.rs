//! The connection that writes.

use async_trait::async_trait;
use orchestrator_core::failpoint;
use orchestrator_sql::{Arg, Kind, Script, WriteError, Writer};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Executor, Row};

use crate::error;

/// Commits go to the log, and to the disk with the next one that is synced.
const RELAXED: &str = "PRAGMA synchronous = NORMAL";

/// Commits are synced.
const STRICT: &str = "PRAGMA synchronous = FULL";

/// A connection that writes.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: SqliteConnection,
    /// How it syncs, but for one statement at a time.
    synced: &'static str,
}

impl SqliteWriter {
    pub(crate) const fn new(connection: SqliteConnection, durable: bool) -> Self {
        Self { connection, synced: if durable { STRICT } else { RELAXED } }
    }

    /// As a database that cannot commit: all is written, and the transaction is still open.
    #[cfg(feature = "failpoints")]
    async fn fail_at_commit(&mut self, script: Script) -> Result<u64, WriteError> {
        let text = script.text.trim_end().trim_end_matches("COMMIT;").into();
        self.run(Script { text, ..script }).await?;
        Err(WriteError::Busy)
    }

    /// One text for the statement and how it is synced, so that whoever waits waits once. The rows tell how many were
    /// written: what sqlx counts otherwise would count them again with each pragma.
    async fn relaxed(&mut self, statement: &str, args: Vec<Arg>) -> Result<Vec<SqliteRow>, WriteError> {
        let text = format!("{RELAXED}; {statement}; {}", self.synced);
        let arguments = arguments(args)?;
        // Safe: the text is made of constants and question marks alone.
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        match self.connection.fetch_all(query).await {
            Ok(rows) => Ok(rows),
            Err(error) => {
                // The text has ended before its last statement. How it syncs cannot be changed while a transaction is open.
                self.rollback().await?;
                self.set(self.synced).await?;
                Err(error::of_write(&error))
            }
        }
    }

    /// Where this fails it is not certain how the connection syncs, so that it must not be used again.
    async fn set(&mut self, pragma: &'static str) -> Result<(), WriteError> {
        let set = self.connection.execute(pragma).await;
        set.map(drop).map_err(|error| WriteError::Ambiguous(error.to_string()))
    }
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn run(&mut self, script: Script) -> Result<u64, WriteError> {
        failpoint!("commit.at", self.fail_at_commit(script).await);
        let arguments = arguments(script.args)?;
        // Safe: the text is made of constants and question marks alone.
        let query = sqlx::query_with(AssertSqlSafe(script.text), arguments);
        let answer = self.connection.execute(query).await.map_err(|error| error::of_write(&error))?;
        failpoint!("commit.answer", Err(WriteError::Ambiguous("the answer is lost".to_owned())));
        Ok(answer.rows_affected())
    }

    async fn run_relaxed(&mut self, script: Script) -> Result<u64, WriteError> {
        let rows = self.relaxed(&format!("{} RETURNING 1", script.text), script.args).await?;
        Ok(rows.len() as u64)
    }

    /// There is one writer at a time anyway.
    async fn run_undisturbed(&mut self, script: Script) -> Result<u64, WriteError> {
        self.run(script).await
    }

    async fn number(&mut self, script: Script) -> Result<Option<i64>, WriteError> {
        let rows = self.relaxed(&script.text, script.args).await?;
        let number = rows.first().map(|row| row.try_get(0)).transpose();
        number.map_err(|error| error::of_write(&error))
    }

    async fn rows(&mut self, script: Script, kinds: &'static [Kind]) -> Result<Vec<Vec<Arg>>, WriteError> {
        let rows = self.relaxed(&script.text, script.args).await?;
        let cells = |row: &SqliteRow| (0..).zip(kinds).map(|(at, kind)| cell(row, at, *kind)).collect();
        rows.iter()
            .map(cells)
            .collect::<sqlx::Result<_>>()
            .map_err(|error| WriteError::Corrupt(error.to_string()))
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

fn cell(row: &SqliteRow, at: usize, kind: Kind) -> sqlx::Result<Arg> {
    let wrong = |_| sqlx::Error::Decode("a value of another length than its kind has".into());
    let bytes = || row.try_get::<Option<&[u8]>, _>(at);
    Ok(match kind {
        Kind::Id => match bytes()? {
            Some(id) => {
                Arg::Id(uuid::Uuid::from_slice(id).map_err(|error| sqlx::Error::Decode(error.into()))?)
            }
            None => Arg::Null,
        },
        Kind::Int => row.try_get::<Option<i64>, _>(at)?.map_or(Arg::Null, Arg::Int),
        Kind::Text => row.try_get::<Option<&str>, _>(at)?.map_or(Arg::Null, |text| Arg::Text(text.into())),
        Kind::Digest => match bytes()? {
            Some(digest) => Arg::Digest(digest.try_into().map_err(wrong)?),
            None => Arg::Null,
        },
    })
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
            Arg::Column(..) => return Err(WriteError::Invalid("SQLite takes no arrays".to_owned())),
        };
        added.map_err(|error| WriteError::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use orchestrator_sql::Options;
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn owners_leave_the_writer_strict() {
        let folder = tempfile::tempdir().unwrap();
        let base = SqliteConnectOptions::new().filename(folder.path().join("x.db")).create_if_missing(true);
        let connection = crate::open::options(base, &Options::default()).connect().await.unwrap();
        let mut writer = SqliteWriter::new(connection, true);
        let script = |text: &'static str| Script { text: text.into(), args: Vec::new() };
        writer.run(script("CREATE TABLE t (x INTEGER)")).await.unwrap();
        // One that is refused, and one that is stopped by the database, must not leave it relaxed either.
        writer.run_relaxed(script("INSERT INTO nowhere VALUES (1)")).await.unwrap_err();
        for text in ["INSERT INTO t VALUES (1)", "UPDATE t SET x = 2 WHERE x = 1"] {
            assert_eq!(writer.run_relaxed(script(text)).await, Ok(1), "{text}");
        }
        assert_eq!(writer.run_relaxed(script("UPDATE t SET x = 3 WHERE x = 1")).await, Ok(0));
        // Neither must a transaction that is stopped in the middle, which is gone then.
        writer
            .rows(script("BEGIN IMMEDIATE; DELETE FROM t; DELETE FROM nowhere; COMMIT;"), &[])
            .await
            .unwrap_err();
        let left = writer.rows(script("BEGIN; UPDATE t SET x = x RETURNING x; COMMIT;"), &[Kind::Int]).await;
        assert_eq!(left, Ok(vec![vec![Arg::Int(2)]]));
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut writer.connection).await.unwrap();
        assert_eq!(synchronous, 2);
    }
}
