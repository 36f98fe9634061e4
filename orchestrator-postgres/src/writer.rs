//! A connection that writes.

use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::failpoint;
use orchestrator_sql::{Arg, Kind, Script, WriteError, Writer};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Executor, Row};
use tokio::time::error::Elapsed;

use crate::error;

/// Waits for all who write, and lets nobody begin: what was read since then is what there is.
const UNDISTURBED: &str =
    "LOCK TABLE orchestrator_runs, orchestrator_documents, orchestrator_document_revisions IN SHARE MODE";

/// A connection that writes. All it sends is one statement that is a transaction by itself, but for what must not be
/// disturbed.
#[derive(Debug)]
pub struct PostgresWriter {
    connection: PgConnection,
    /// How long an answer may take. A network that loses what is sent says nothing.
    patience: Duration,
    /// Whether an answer is owed, for what comes next on this connection may be that; or it is spent.
    owes: bool,
    /// Whether a transaction was begun and has not ended.
    open: bool,
}

impl PostgresWriter {
    pub(crate) const fn new(connection: PgConnection, patience: Duration) -> Self {
        Self { connection, patience, owes: false, open: false }
    }

    async fn send(&mut self, script: Script) -> Result<u64, WriteError> {
        let arguments = arguments(script.args)?;
        // Safe: the text is made of constants and numbered places alone.
        let query = sqlx::query_with(AssertSqlSafe(script.text), arguments);
        self.owes = true;
        let answer = tokio::time::timeout(self.patience, self.connection.execute(query)).await;
        self.heard(answer).map(|answer| answer.rows_affected())
    }

    async fn say(&mut self, text: &'static str) -> Result<(), WriteError> {
        self.owes = true;
        let answer = tokio::time::timeout(self.patience, self.connection.execute(text)).await;
        self.heard(answer).map(drop)
    }

    /// What an answer means, if it came in time; otherwise it is still owed.
    fn heard<T>(&mut self, answer: Result<sqlx::Result<T>, Elapsed>) -> Result<T, WriteError> {
        let Ok(answer) = answer else {
            return Err(WriteError::Ambiguous(format!("no answer within {:?}", self.patience)));
        };
        let is_spent = answer.as_ref().is_err_and(error::is_spent);
        let answer = answer.map_err(|error| error::of_write(&error));
        self.owes = is_spent || matches!(answer, Err(WriteError::Ambiguous(_)));
        answer
    }
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn run(&mut self, script: Script) -> Result<u64, WriteError> {
        let written = self.send(script).await?;
        failpoint!("commit.answer", {
            self.owes = true;
            Err(WriteError::Ambiguous("the answer is lost".to_owned()))
        });
        Ok(written)
    }

    async fn run_undisturbed(&mut self, script: Script) -> Result<u64, WriteError> {
        self.open = true;
        self.say("BEGIN").await?;
        self.say(UNDISTURBED).await?;
        let written = self.send(script).await?;
        self.say("COMMIT").await?;
        self.open = false;
        Ok(written)
    }

    async fn number(&mut self, script: Script) -> Result<Option<i64>, WriteError> {
        let arguments = arguments(script.args)?;
        // Safe: the text is made of constants and numbered places alone.
        let query = sqlx::query_scalar_with(AssertSqlSafe(script.text), arguments);
        self.owes = true;
        let answer = tokio::time::timeout(self.patience, query.fetch_optional(&mut self.connection)).await;
        self.heard(answer)
    }

    async fn rows(&mut self, script: Script, kinds: &'static [Kind]) -> Result<Vec<Vec<Arg>>, WriteError> {
        let arguments = arguments(script.args)?;
        // Safe: the text is made of constants and numbered places alone.
        let query = sqlx::query_with(AssertSqlSafe(script.text), arguments);
        self.owes = true;
        let answer = tokio::time::timeout(self.patience, self.connection.fetch_all(query)).await;
        let cells = |row: &PgRow| (0..).zip(kinds).map(|(at, kind)| cell(row, at, *kind)).collect();
        let rows = self.heard(answer)?;
        rows.iter()
            .map(cells)
            .collect::<sqlx::Result<_>>()
            .map_err(|error| WriteError::Corrupt(error.to_string()))
    }

    async fn rollback(&mut self) -> Result<(), WriteError> {
        if self.owes {
            return Err(WriteError::Ambiguous("an answer is owed".to_owned()));
        }
        if self.open {
            self.say("ROLLBACK").await?;
            self.open = false;
        }
        Ok(())
    }

    async fn close(self) {
        if let Ok(Err(error)) = tokio::time::timeout(self.patience, self.connection.close()).await {
            tracing::debug!(%error, "closing a connection that writes");
        }
    }
}

fn cell(row: &PgRow, at: usize, kind: Kind) -> sqlx::Result<Arg> {
    Ok(match kind {
        Kind::Id => row.try_get::<Option<uuid::Uuid>, _>(at)?.map_or(Arg::Null, Arg::Id),
        Kind::Int => row.try_get::<Option<i64>, _>(at)?.map_or(Arg::Null, Arg::Int),
        Kind::Text => row.try_get::<Option<String>, _>(at)?.map_or(Arg::Null, |text| Arg::Text(text.into())),
        Kind::Digest => row.try_get::<Option<[u8; 32]>, _>(at)?.map_or(Arg::Null, Arg::Digest),
    })
}

fn arguments(args: Vec<Arg>) -> Result<PgArguments, WriteError> {
    let mut arguments = PgArguments::default();
    arguments.reserve(args.len(), 0);
    for arg in args {
        let added = match arg {
            Arg::Null => arguments.add(None::<i64>),
            Arg::Int(number) => arguments.add(number),
            Arg::Text(text) => arguments.add(&*text),
            Arg::Word(word) => arguments.add(word),
            Arg::Id(id) => arguments.add(id),
            Arg::Digest(digest) => arguments.add(digest.as_slice()),
            Arg::Column(kind, cells) => column(&mut arguments, kind, &cells),
        };
        added.map_err(|error| WriteError::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}

/// An array. A cell that does not fit its column is NULL: no column takes that where it must not.
fn column(arguments: &mut PgArguments, kind: Kind, cells: &[Arg]) -> Result<(), sqlx::error::BoxDynError> {
    match kind {
        Kind::Id => arguments.add(cells.iter().map(id).collect::<Vec<_>>()),
        Kind::Int => arguments.add(cells.iter().map(int).collect::<Vec<_>>()),
        Kind::Text => arguments.add(cells.iter().map(text).collect::<Vec<_>>()),
        Kind::Digest => arguments.add(cells.iter().map(digest).collect::<Vec<_>>()),
    }
}

fn id(cell: &Arg) -> Option<uuid::Uuid> {
    if let Arg::Id(id) = cell { Some(*id) } else { None }
}

fn int(cell: &Arg) -> Option<i64> {
    if let Arg::Int(number) = cell { Some(*number) } else { None }
}

fn text(cell: &Arg) -> Option<&str> {
    match cell {
        Arg::Text(text) => Some(text),
        Arg::Word(word) => Some(word),
        _ => None,
    }
}

fn digest(cell: &Arg) -> Option<&[u8]> {
    if let Arg::Digest(digest) = cell { Some(digest) } else { None }
}
