//! Offers and deliveries that belong to nothing: of runs that are not there or have ended, or of steps that these do not have.
//! They do no harm; nobody writes them but another version, or somebody's hand.

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::StoreError;
use sea_orm::{FromQueryResult, Statement};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::store::Shared;

/// The tables that name a run, and what a row of each is.
const TABLES: [(&str, &str); 2] =
    [("orchestrator_offers", "what is offered"), ("orchestrator_inbox", "what was delivered")];

/// The most rows of one table that are told of one by one.
const TOLD: usize = 100;

#[derive(Debug, FromQueryResult)]
struct Stray {
    run: Uuid,
    generation: i64,
    step: i64,
    item: i64,
    attempt: i64,
    epoch: i64,
    why: i64,
}

impl Stray {
    fn told(&self, what: &str) -> String {
        let Self { generation, step, item, attempt, epoch, .. } = self;
        let why = match self.why {
            0 => "there is no such run",
            1 => "the run has ended",
            _ => "the run has no such step",
        };
        let run = RunId::from_uuid(self.run);
        format!(
            "{what} of {run} (generation {generation}, step {step}, item {item}, attempt {attempt}, epoch {epoch}) \
             belongs to nothing: {why}"
        )
    }
}

impl<D: Dialect> Shared<D> {
    /// How many offers and deliveries there are of runs that are not there.
    pub(crate) async fn stray_count(&self) -> Result<u64, StoreError> {
        let mut sum = 0;
        for (table, _) in TABLES {
            let text = format!(
                "SELECT count(*) FROM {table} AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL"
            );
            sum += self.read(self.ask_count(&text)).await?;
        }
        Ok(sum)
    }

    /// Each row that belongs to nothing, in words: of each table the first ones, and how many more there are.
    pub(crate) async fn stray_faults(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        for (table, what) in TABLES {
            let text = format!(
                "SELECT x.run, x.generation, x.step, x.item, x.attempt, x.epoch, CAST(CASE WHEN r.id IS NULL THEN 0 \
                 WHEN r.finished_at IS NOT NULL THEN 1 ELSE 2 END AS BIGINT) AS why \
                 FROM {table} AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run \
                 WHERE r.id IS NULL OR r.finished_at IS NOT NULL OR x.step < 0 OR x.step >= r.step_count \
                 ORDER BY x.run, x.step, x.item"
            );
            let query = Statement::from_string(self.db().get_database_backend(), text);
            let found = self.read(Stray::find_by_statement(query).all(self.db())).await?;
            faults.extend(found.iter().take(TOLD).map(|stray| stray.told(what)));
            if found.len() > TOLD {
                faults.push(format!("{} more, {what} of nothing", found.len() - TOLD));
            }
        }
        Ok(faults)
    }
}
