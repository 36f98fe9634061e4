//! The limit on PostgreSQL: connections that each write one statement after the other, with an array for each column.

use std::time::Instant;

use futures_util::future::join_all;
use orchestrator_postgres::testkit::{Database, Server};
use sqlx::types::Uuid;
use sqlx::{Connection, Executor, PgConnection};

use crate::jobs::weight::Job;
use crate::sample::runtime;

const TABLES: &str = "CREATE TABLE runs (id uuid PRIMARY KEY, body text);
    CREATE TABLE entries (run uuid, number int8, body text, PRIMARY KEY (run, number))";

/// As many as write for one engine of ours at the same time.
const LANES: usize = 2;

/// The place of the step among the entries of a run.
const STEP: i64 = 1_000;

const CREATE: &str = "WITH r AS (INSERT INTO runs SELECT id, $2 FROM unnest($1) AS id) \
    INSERT INTO entries SELECT id, n, $3 FROM unnest($1) AS id, generate_series(1, $4) AS n";

const BEGIN: &str = "WITH r AS (UPDATE runs SET body = $2 WHERE id = ANY($1)), \
    s AS (INSERT INTO entries SELECT id, $5, $6 FROM unnest($1) AS id) \
    INSERT INTO entries SELECT id, 10 + n, $3 FROM unnest($1) AS id, generate_series(1, $4) AS n";

const END: &str = "WITH r AS (UPDATE runs SET body = $2 WHERE id = ANY($1)), \
    s AS (UPDATE entries SET body = $6 FROM unnest($1) AS id WHERE run = id AND number = $5) \
    INSERT INTO entries SELECT id, 20 + n, $3 FROM unnest($1) AS id, generate_series(1, $4) AS n";

pub(crate) struct Limit<'b> {
    pub(crate) server: &'b Server,
    pub(crate) job: &'b Job,
}

impl Limit<'_> {
    async fn database(&self) -> Database {
        let database = self.server.database().await;
        let mut connection = connect(&database).await;
        connection.execute(TABLES).await.expect("tables");
        database
    }

    async fn create(&self, connection: &mut PgConnection, ids: Vec<Uuid>) {
        let rows = &self.job.commits[0];
        let query =
            sqlx::query(CREATE).bind(ids).bind(&self.job.run).bind(&rows.body).bind(rows.count as i64);
        query.execute(connection).await.expect("a commit");
    }

    async fn advance(&self, connection: &mut PgConnection, ids: Vec<Uuid>, commit: usize) {
        let rows = &self.job.commits[commit];
        let query = sqlx::query(if commit == 1 { BEGIN } else { END });
        let query = query.bind(ids).bind(&self.job.run).bind(&rows.body).bind(rows.count as i64);
        query.bind(STEP).bind(&self.job.step).execute(connection).await.expect("a commit");
    }

    /// A commit for each job, and as many callers as connections.
    pub(crate) fn one_by_one(&self, callers: usize, jobs: usize) -> f64 {
        runtime().block_on(async {
            let database = self.database().await;
            let mut connections = Vec::new();
            for caller in 0..callers {
                let mut connection = connect(&database).await;
                self.create(&mut connection, ids(caller * 2 * jobs..caller * 2 * jobs + 1)).await;
                connections.push(connection);
            }
            let began = Instant::now();
            let lanes = connections.iter_mut().enumerate().map(|(caller, connection)| async move {
                for job in 1..=jobs {
                    let number = caller * 2 * jobs + job;
                    self.create(connection, ids(number..number + 1)).await;
                }
            });
            join_all(lanes).await;
            (callers * jobs) as f64 / began.elapsed().as_secs_f64()
        })
    }

    /// A commit for each batch.
    pub(crate) fn in_batches(&self, jobs: usize, batch: usize) -> f64 {
        runtime().block_on(async {
            let database = self.database().await;
            let began = Instant::now();
            self.fill(&database, jobs, batch).await;
            jobs as f64 / began.elapsed().as_secs_f64()
        })
    }

    async fn fill(&self, database: &Database, jobs: usize, batch: usize) {
        join_all((0..LANES).map(|lane| async move {
            let mut connection = connect(database).await;
            for first in (lane * batch..jobs).step_by(LANES * batch) {
                self.create(&mut connection, ids(first..jobs.min(first + batch))).await;
            }
        }))
        .await;
    }

    /// Two commits for each group of jobs: their beginning and their end.
    pub(crate) fn consumed(&self, jobs: usize, group: usize) -> f64 {
        runtime().block_on(async {
            let database = self.database().await;
            self.fill(&database, jobs, 256).await;
            let began = Instant::now();
            let database = &database;
            join_all((0..LANES).map(|lane| async move {
                let mut connection = connect(database).await;
                for first in (lane * group..jobs).step_by(LANES * group) {
                    for commit in [1, 2] {
                        self.advance(&mut connection, ids(first..jobs.min(first + group)), commit).await;
                    }
                }
            }))
            .await;
            jobs as f64 / began.elapsed().as_secs_f64()
        })
    }
}

async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(database.url()).await.expect("a connection")
}

fn ids(numbers: std::ops::Range<usize>) -> Vec<Uuid> {
    numbers.map(|number| Uuid::from_u128(number as u128)).collect()
}
