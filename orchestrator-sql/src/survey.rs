//! What a store holds, counted; and whether it fits together.

use orchestrator_core::port::store::StoreError;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::entity::events;
use crate::store::{Shared, SqlStore};
use crate::{rows, tables};

/// How many events are read at once.
const AT_ONCE: u64 = 1_000;

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// What the tables take with their indexes, in bytes, where the database tells that of tables.
    pub bytes: Option<u64>,
    /// Rows by table, without what all the names begin with.
    pub tables: Vec<(&'static str, u64)>,
    /// Runs by status.
    pub statuses: Vec<(String, u64)>,
    /// Owners that are not known to be dead and whose time is not over.
    pub alive: u64,
    /// Large values that are kept outside of the database, those among them that no run names any longer.
    pub artifacts: u64,
    /// Their length together, in bytes.
    pub artifact_bytes: u64,
}

/// Queries whose answer is 0 in a store that fits together, and what a larger number counts. They read tables of the
/// first version alone, so that they can be asked of any store.
pub const CHECKS: [(&str, &str); 6] = [
    (
        "runs whose log has a gap or has lost its end",
        "SELECT count(*) FROM orchestrator_runs AS r LEFT JOIN \
         (SELECT run, count(*) AS count, min(seq) AS first, max(seq) AS last \
         FROM orchestrator_events GROUP BY run) AS e \
         ON e.run = r.id WHERE e.run IS NULL OR e.count <> r.seq OR e.first <> 1 OR e.last <> r.seq",
    ),
    (
        "runs without the text of their workflow",
        "SELECT count(*) FROM orchestrator_runs AS r LEFT JOIN orchestrator_revisions AS t ON t.digest = r.revision \
         WHERE t.digest IS NULL",
    ),
    (
        "events of no run",
        "SELECT count(*) FROM orchestrator_events AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL",
    ),
    (
        "steps of no run",
        "SELECT count(*) FROM orchestrator_steps AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL",
    ),
    (
        "values of no run",
        "SELECT count(*) FROM orchestrator_outputs AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL",
    ),
    (
        "lines of no run",
        "SELECT count(*) FROM orchestrator_logs AS x LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL",
    ),
];

impl<D: Dialect> SqlStore<D> {
    /// Counts what the store holds. Reads all of it: for people, not for loops.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn survey(&self) -> Result<Survey, StoreError> {
        let now = self.shared.dialect.now().await?.as_millis();
        let names = tables::names();
        let mut counts = Vec::with_capacity(names.len());
        for table in &names {
            let count = self.shared.count(&format!("SELECT count(*) FROM {table}")).await?;
            counts.push((tables::shown(table), count));
        }
        let alive = format!("SELECT count(*) FROM orchestrator_owners WHERE dead = 0 AND deadline > {now}");
        let statuses = "SELECT status, count(*) FROM orchestrator_runs GROUP BY status ORDER BY status";
        let db = self.shared.db();
        let query = Statement::from_string(db.get_database_backend(), statuses);
        let rows = self.shared.explained(db.query_all_raw(query).await)?;
        let status = |row: &sea_orm::QueryResult| {
            Ok((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i64>(1)?.unsigned_abs()))
        };
        let bytes = match D::WEIGHT {
            Some(weight) => {
                let weights: Vec<String> = names.iter().map(|table| weight(table)).collect();
                let weights = weights.join(" + ");
                Some(self.shared.count(&format!("SELECT CAST({weights} AS BIGINT)")).await?)
            }
            None => None,
        };
        let (artifacts, artifact_bytes) = self.shared.artifacts().await?;
        Ok(Survey {
            bytes,
            artifacts,
            artifact_bytes,
            tables: counts,
            statuses: self.shared.explained(rows.iter().map(status).collect())?,
            alive: self.shared.count(&alive).await?,
        })
    }

    /// Looks whether what is stored fits together, and says what does not.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn faults(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        for (what, query) in CHECKS {
            let count = self.shared.count(query).await?;
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        faults.extend(self.key_faults().await?);
        faults.extend(self.shared.event_faults().await?);
        faults.extend(self.shared.inbox_faults().await?);
        faults.extend(self.shared.offer_faults().await?);
        faults.extend(self.shared.stray_faults().await?);
        faults.extend(self.shared.value_faults().await?);
        faults.extend(self.shared.artifact_faults().await?);
        Ok(faults)
    }

    /// Keys of which not as many places are held as it is written down, and places that nobody gives back.
    async fn key_faults(&self) -> Result<Vec<String>, StoreError> {
        const KEYS: [(&str, &str); 2] = [
            (
                "keys of which not as many places are held as is written down",
                "SELECT count(*) FROM orchestrator_keys AS k WHERE k.held <> \
                 (SELECT count(*) FROM orchestrator_holds AS h WHERE h.project = k.project AND h.key = k.key) + \
                 (SELECT count(*) FROM orchestrator_waiters AS w \
                 WHERE w.project = k.project AND w.key = k.key AND w.granted_at IS NOT NULL)",
            ),
            (
                "places that are held or waited for by runs that are not there or have ended",
                "SELECT count(*) FROM (SELECT run FROM orchestrator_holds UNION ALL SELECT run FROM orchestrator_waiters) AS x \
                 LEFT JOIN orchestrator_runs AS r ON r.id = x.run WHERE r.id IS NULL OR r.finished_at IS NOT NULL",
            ),
        ];
        let mut faults = Vec::new();
        for (what, query) in KEYS {
            let count = match self.shared.ask_count(query).await {
                // A store that is older than keys has none.
                Err(error) if self.shared.dialect.is_missing_table(&error) => return Ok(faults),
                answer => self.shared.explained(answer)?,
            };
            faults.extend((count > 0).then(|| format!("{count} {what}")));
        }
        Ok(faults)
    }
}

impl<D: Dialect> Shared<D> {
    async fn count(&self, query: &str) -> Result<u64, StoreError> {
        self.explained(self.ask_count(query).await)
    }

    /// The number that a query gives.
    pub(crate) async fn ask_count(&self, query: &str) -> Result<u64, DbErr> {
        let db = self.db();
        let query = Statement::from_string(db.get_database_backend(), query);
        let count = db.query_one_raw(query).await?.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    /// Events that nobody can read: of each run the first.
    async fn event_faults(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        let mut told = None;
        let mut after: Option<(Uuid, i64)> = None;
        loop {
            let mut query =
                events::Entity::find().order_by_asc(events::Column::Run).order_by_asc(events::Column::Seq);
            if let Some((run, seq)) = after {
                let later = events::Column::Run.eq(run).and(events::Column::Seq.gt(seq));
                query = query.filter(events::Column::Run.gt(run).or(later));
            }
            let rows = self.read(query.limit(AT_ONCE).all(self.db())).await?;
            for row in &rows {
                if told != Some(row.run)
                    && let Err(StoreError::Corrupt(why)) = rows::event(row)
                {
                    faults.push(why);
                    told = Some(row.run);
                }
            }
            let Some(last) = rows.last() else { return Ok(faults) };
            after = Some((last.run, last.seq));
        }
    }
}
