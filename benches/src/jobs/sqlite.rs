//! The limit on SQLite: a thread that writes, with statements prepared once.

use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use rusqlite::{CachedStatement, Connection, params};
use tokio::sync::oneshot;

use crate::jobs::weight::Job;
use crate::sample::runtime;

const TABLES: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE runs (id BLOB PRIMARY KEY, body TEXT) WITHOUT ROWID;
    CREATE TABLE entries (run BLOB, number INTEGER, body TEXT, PRIMARY KEY (run, number)) WITHOUT ROWID;";

/// The place of the step among the entries of a run.
const STEP: i64 = 1_000;

struct Limit<'j> {
    database: Connection,
    job: &'j Job,
}

fn id(number: usize) -> [u8; 16] {
    (number as u128).to_be_bytes()
}

impl<'j> Limit<'j> {
    fn open(path: &Path, job: &'j Job) -> Self {
        let database = Connection::open(path).expect("a database");
        database.execute_batch(TABLES).expect("tables");
        Self { database, job }
    }

    fn statement(&self, text: &str) -> CachedStatement<'_> {
        self.database.prepare_cached(text).expect("a statement")
    }

    fn entries(&self, run: &[u8; 16], commit: usize) {
        let mut insert = self.statement("INSERT INTO entries VALUES (?1, ?2, ?3)");
        let rows = &self.job.commits[commit];
        for row in 0..rows.count {
            insert.execute(params![run, (commit * 10 + row) as i64, rows.body]).expect("a row");
        }
    }

    fn transaction(&self, write: impl FnOnce()) {
        self.database.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        write();
        self.database.execute_batch("COMMIT").expect("a commit");
    }

    fn create(&self, jobs: std::ops::Range<usize>) {
        self.transaction(|| {
            let mut insert = self.statement("INSERT INTO runs VALUES (?1, ?2)");
            for id in jobs.map(id) {
                insert.execute(params![id, self.job.run]).expect("a run");
                self.entries(&id, 0);
            }
        });
    }

    fn fill(&self, jobs: usize, batch: usize) {
        (0..jobs).step_by(batch).for_each(|first| self.create(first..jobs.min(first + batch)));
    }

    /// The second or the last commit of these jobs.
    fn advance(&self, jobs: std::ops::Range<usize>, commit: usize) {
        self.transaction(|| {
            let mut update = self.statement("UPDATE runs SET body = ?2 WHERE id = ?1");
            let mut step = self.statement("UPDATE entries SET body = ?3 WHERE run = ?1 AND number = ?2");
            let mut insert = self.statement("INSERT INTO entries VALUES (?1, ?2, ?3)");
            for id in jobs.map(id) {
                update.execute(params![id, self.job.run]).expect("a run");
                self.entries(&id, commit);
                if commit == 1 {
                    insert.execute(params![id, STEP, self.job.step]).expect("a step");
                } else {
                    step.execute(params![id, STEP, self.job.step]).expect("a step");
                }
            }
        });
    }
}

/// A commit for each job, which a writer is handed.
pub(crate) fn one_by_one(job: &Job, jobs: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("limit.db");
    let (inbox, work) = mpsc::channel::<(usize, oneshot::Sender<()>)>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let limit = Limit::open(&path, job);
            for (number, done) in work {
                limit.create(number..number + 1);
                let _ = done.send(());
            }
        });
        let hand_in = async |number| {
            let (done, answer) = oneshot::channel();
            inbox.send((number, done)).expect("a writer");
            answer.await.expect("an answer");
        };
        let spent = runtime().block_on(async {
            hand_in(jobs).await;
            let began = Instant::now();
            for number in 0..jobs {
                hand_in(number).await;
            }
            began.elapsed()
        });
        drop(inbox);
        jobs as f64 / spent.as_secs_f64()
    })
}

/// A commit for each batch.
pub(crate) fn in_batches(job: &Job, jobs: usize, batch: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Limit::open(&folder.path().join("limit.db"), job);
    let began = Instant::now();
    limit.fill(jobs, batch);
    jobs as f64 / began.elapsed().as_secs_f64()
}

/// Two commits for each group of jobs: their beginning and their end.
pub(crate) fn consumed(job: &Job, jobs: usize, group: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = Limit::open(&folder.path().join("limit.db"), job);
    limit.fill(jobs, 256);
    let began = Instant::now();
    for first in (0..jobs).step_by(group) {
        for commit in [1, 2] {
            limit.advance(first..jobs.min(first + group), commit);
        }
    }
    jobs as f64 / began.elapsed().as_secs_f64()
}
