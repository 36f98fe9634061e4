//! What a job makes a store write: the limit writes as many rows of the same size.

use std::sync::Arc;

use orchestrator_sqlite::SqliteStore;
use rusqlite::Connection;

use crate::jobs::{fill, work};
use crate::sample::runtime;

/// The tables of which rows belong to a job, beside its own row and its events.
const OTHERS: [&str; 3] = ["orchestrator_steps", "orchestrator_decisions", "orchestrator_outputs"];

/// The key of a row takes so many of its bytes: the run's id, and a number.
const KEY: usize = 24;

/// What the commits of one job write.
pub(crate) struct Job {
    /// The row of the run, which the first commit inserts and each other one updates.
    pub(crate) run: String,
    /// What each commit inserts beside it: creation, beginning, end.
    pub(crate) commits: Vec<Rows>,
    /// The row of the step, which the second commit inserts and the last one updates.
    pub(crate) step: String,
}

/// Rows of one size, without their keys.
pub(crate) struct Rows {
    pub(crate) count: usize,
    pub(crate) body: String,
}

fn body(bytes: usize) -> String {
    "x".repeat(bytes.saturating_sub(KEY))
}

impl Job {
    /// Looks at the rows of jobs that were carried out.
    pub(crate) fn weigh() -> Self {
        const SOME: usize = 50;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        runtime().block_on(async {
            let store = Arc::new(SqliteStore::connect(&path.display().to_string()).await.expect("a store"));
            fill(store.clone(), SOME).await;
            work(store, SOME).await;
        });
        let database = Connection::open(&path).expect("a database");
        let mean = |(count, bytes): (usize, usize)| bytes / count.max(1);
        let (runs, bytes) = weight(&database, "orchestrator_runs", "true");
        let mut commits: Vec<Rows> = Vec::new();
        for condition in ["seq = 1", "seq IN (2, 3)", "seq > 3"] {
            let events = weight(&database, "orchestrator_events", condition);
            commits.push(Rows { count: events.0 / runs, body: body(mean(events)) });
        }
        let mut others = weight(&database, "orchestrator_events", "seq IN (2, 3)");
        for table in OTHERS {
            let (count, bytes) = weight(&database, table, "true");
            (others.0, others.1) = (others.0 + count, others.1 + bytes);
        }
        commits[1] = Rows { count: others.0 / runs, body: body(mean(others)) };
        let step = weight(&database, "orchestrator_steps", "true");
        Self { run: body(bytes / runs), commits, step: body(mean(step)) }
    }
}

/// How many rows there are, and how many bytes in all of them. A number of SQLite takes up to six bytes, one of PostgreSQL eight.
fn weight(database: &Connection, table: &str, condition: &str) -> (usize, usize) {
    let mut columns =
        database.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("a query");
    let columns = columns.query_map([], |row| row.get::<_, String>(0)).expect("its columns");
    let bytes = columns.map(|column| {
        let column = column.expect("a name");
        format!(
            "CASE typeof({column}) WHEN 'null' THEN 0 WHEN 'integer' THEN 6 ELSE length(CAST({column} AS BLOB)) END"
        )
    });
    let bytes = bytes.collect::<Vec<_>>().join(" + ");
    let query = format!("SELECT count(*), coalesce(sum({bytes}), 0) FROM {table} WHERE {condition}");
    let sums = database.query_row(&query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (count, bytes) = sums.expect("their weight");
    (count as usize, bytes as usize)
}
