//! What lies in the inboxes of runs: what was delivered or lost, and is not taken in yet.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{Inbox, InboxRow, StoreError};
use orchestrator_core::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::entity::inbox;
use crate::rows;
use crate::store::Shared;

impl<D: Dialect> Shared<D> {
    pub(crate) async fn inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        let of_run = inbox::Entity::find().filter(inbox::Column::Run.eq(run.as_uuid()));
        let mut found = Inbox::default();
        for row in self.results(of_run).await? {
            match row {
                Ok(row) => found.rows.push(row),
                Err(why) => found.unreadable.push(why),
            }
        }
        found.rows.sort_by_key(|row| (row.at, row.claim.ticket));
        Ok(found)
    }

    /// Runs that have something in their inbox, whether or not it can be read.
    pub(crate) async fn waiting(&self) -> Result<BTreeSet<RunId>, StoreError> {
        let runs = inbox::Entity::find().select_only().column(inbox::Column::Run).distinct();
        let found = self.read(self.db().query_all_raw(runs.build(self.backend()))).await?;
        // What names no run is in the way of none.
        Ok(found.iter().filter_map(|row| row.try_get_by_index(0).ok()).map(RunId::from_uuid).collect())
    }

    /// Those of these runs that have something in their inbox that can be read, and since when.
    pub(crate) async fn told_since(&self, runs: &[Uuid]) -> Result<BTreeMap<RunId, Timestamp>, StoreError> {
        let of_runs = inbox::Entity::find().filter(inbox::Column::Run.is_in(runs.iter().copied()));
        let mut told = BTreeMap::new();
        for row in self.results(of_runs).await?.into_iter().flatten() {
            let since = told.entry(row.claim.ticket.run).or_insert(row.at);
            *since = row.at.min(*since);
        }
        Ok(told)
    }

    /// What lies in inboxes that nobody can read.
    pub(crate) async fn inbox_faults(&self) -> Result<Vec<String>, StoreError> {
        let all = inbox::Entity::find().order_by_asc(inbox::Column::Run);
        Ok(self.results(all).await?.into_iter().filter_map(Result::err).collect())
    }

    /// Rows, each read by itself: one that cannot be read hides no other. Of such a one, whose it is and why.
    async fn results(
        &self,
        select: Select<inbox::Entity>,
    ) -> Result<Vec<Result<InboxRow, String>>, StoreError> {
        let found = self.read(self.db().query_all_raw(select.build(self.backend()))).await?;
        Ok(found.iter().map(result).collect())
    }

    fn backend(&self) -> sea_orm::DatabaseBackend {
        self.db().get_database_backend()
    }
}

fn result(row: &QueryResult) -> Result<InboxRow, String> {
    let read = inbox::Model::from_query_result(row, "").map_err(|error| (String::new(), error.to_string()));
    let read = read.and_then(|model| {
        let inbox::Model { generation, step, item, iteration, attempt, epoch, .. } = model;
        let place = format!(
            " (generation {generation}, step {step}, item {item}, iteration {iteration}, attempt {attempt}, epoch {epoch})"
        );
        rows::result(model).map_err(|error| match error {
            StoreError::Corrupt(why) => (place, why),
            error => (place, error.to_string()),
        })
    });
    read.map_err(|(place, why)| {
        let run = row.try_get("", "run").map(RunId::from_uuid);
        let run = run.map_or_else(|_| "a run that it does not name".to_owned(), |run| run.to_string());
        format!("what was delivered for {run}{place} cannot be read: {why}")
    })
}
