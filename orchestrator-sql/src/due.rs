//! Runs that are due, and that nobody alive drives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{DueRun, StoreError, in_turns};
use orchestrator_core::time::Timestamp;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::entity::{owners, runs};
use crate::read::IDS;
use crate::store::Shared;

/// How many of each line are read at first.
const FEW: usize = 4;

/// How many of each line are read at most.
const MOST: usize = 1 << 30;

/// The first of each line, so many, that are due at `$1`. A line is all runs of a project that have one priority: so it has them
/// in the order in which they are due, and those that are not due yet are after all others. The lines are found one after
/// the other, and so are the runs of each, by looking for what comes next in the index: nothing else is read, but for what
/// somebody drives.
fn firsts(each: usize, is_lateral: bool) -> String {
    let runs = "FROM orchestrator_runs AS n WHERE n.due_at IS NOT NULL";
    let next = |column: &str, of: &str| {
        format!("(SELECT n.{column} {runs}{of} ORDER BY n.project, n.priority LIMIT 1)")
    };
    let (project, priority) = (next("project", ""), next("priority", ""));
    let more = next("priority", " AND n.project = l.project AND n.priority > l.priority");
    let after = " AND n.project > l.project";
    let (next_project, next_priority) = (next("project", after), next("priority", after));
    let lines = format!(
        "WITH RECURSIVE lines (project, priority) AS (SELECT {project}, {priority} UNION ALL \
         SELECT CASE WHEN {more} IS NULL THEN {next_project} ELSE l.project END, \
         coalesce({more}, {next_priority}) FROM lines AS l WHERE l.project IS NOT NULL)"
    );
    let due = |of: &str, after: &str, limit: usize| {
        format!(
            "{runs} AND n.project = {of}.project AND n.priority = {of}.priority AND n.due_at <= $1{after} \
             AND (n.driver IS NULL OR EXISTS \
             (SELECT 1 FROM orchestrator_owners AS o WHERE o.id = n.driver AND o.dead = 1)) \
             ORDER BY n.due_at, n.id LIMIT {limit}"
        )
    };
    if is_lateral {
        let firsts = due("l", "", each);
        return format!(
            "{lines} SELECT f.id, l.project, l.priority, f.due_at FROM lines AS l \
             CROSS JOIN LATERAL (SELECT n.id, n.due_at {firsts}) AS f"
        );
    }
    let (first, after) = (due("l", "", 1), due("f", " AND (n.due_at, n.id) > (f.due_at, f.id)", 1));
    format!(
        "{lines}, firsts (project, priority, due_at, id, place) AS (\
         SELECT r.project, r.priority, r.due_at, r.id, 1 FROM lines AS l \
         JOIN orchestrator_runs AS r ON r.id = (SELECT n.id {first}) UNION ALL \
         SELECT r.project, r.priority, r.due_at, r.id, f.place + 1 FROM firsts AS f \
         JOIN orchestrator_runs AS r ON r.id = (SELECT n.id {after}) WHERE f.place < {each}) \
         SELECT id, project, priority, due_at FROM firsts"
    )
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    project: String,
    priority: i64,
    due_at: Option<i64>,
}

impl Row {
    fn since(&self) -> Option<Timestamp> {
        self.due_at.map(Timestamp::from_millis)
    }

    fn due(self, since: Timestamp) -> Result<DueRun, StoreError> {
        let run = RunId::from_uuid(self.id);
        let priority = i32::try_from(self.priority)
            .map_err(|_| StoreError::Corrupt(format!("{run} has the priority {}", self.priority)))?;
        Ok(DueRun::new(run, self.project.into(), priority, since))
    }
}

impl<D: Dialect> Shared<D> {
    pub(crate) async fn claim_due(&self, most: usize) -> Result<Vec<DueRun>, StoreError> {
        let now = self.dialect.now().await?;
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut each = FEW;
        let (waiting, mut rows) = tokio::try_join!(self.waiting(), self.firsts(now, each))?;
        let others = self.told(&waiting, now).await?;
        loop {
            let more = projects_with_more(&rows, each);
            let mut due = others.clone();
            for row in rows {
                if let Some(since) = row.since()
                    && !waiting.contains(&RunId::from_uuid(row.id))
                {
                    due.push(row.due(since)?);
                }
            }
            // Of projects with more runs than were read, only so many are known to be the first.
            let mut known: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
            due.iter().for_each(|run| *known.entry(&run.project).or_default() += 1);
            let known: usize = known.values().map(|count| (*count).min(each)).sum();
            if more == 0 || known >= most {
                return Ok(in_turns(due, most));
            }
            // At least twice as many: the last project that has more is reached after a few times. And few different
            // numbers, for each is a text that the database prepares.
            let wanted = each.max((most - known).div_ceil(more)).saturating_add(each);
            each = wanted.min(MOST).next_power_of_two();
            rows = self.firsts(now, each).await?;
        }
    }

    async fn firsts(&self, now: Timestamp, each: usize) -> Result<Vec<Row>, StoreError> {
        let (backend, text) = (self.db().get_database_backend(), firsts(each, D::LATERAL));
        let query = Statement::from_sql_and_values(backend, text, [now.as_millis().into()]);
        self.read(Row::find_by_statement(query).all(self.db())).await
    }

    /// Those of the runs with something in their inbox that somebody may come for.
    async fn told(&self, waiting: &BTreeSet<RunId>, now: Timestamp) -> Result<Vec<DueRun>, StoreError> {
        let mut found = Vec::new();
        let ids: Vec<Uuid> = waiting.iter().map(RunId::as_uuid).collect();
        for ids in ids.chunks(IDS) {
            let dead = Query::select()
                .column(owners::Column::Id)
                .from(owners::Entity)
                .and_where(owners::Column::Dead.eq(1))
                .take();
            let is_free = Condition::any()
                .add(runs::Column::Driver.is_null())
                .add(runs::Column::Driver.in_subquery(dead));
            let rows = runs::Entity::find()
                .select_only()
                .columns([
                    runs::Column::Id,
                    runs::Column::Project,
                    runs::Column::Priority,
                    runs::Column::DueAt,
                ])
                .filter(is_free)
                .filter(runs::Column::Id.is_in(ids.iter().copied()))
                .into_model::<Row>()
                .all(self.db());
            let rows = self.read(rows).await?;
            if rows.is_empty() {
                continue;
            }
            // Whoever came for what nobody can read could do nothing, and would come again and again.
            let told = self.told_since(&rows.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
            for row in rows {
                let is_due = row.since().filter(|due| *due <= now);
                let since = told.get(&RunId::from_uuid(row.id)).copied().into_iter().chain(is_due).min();
                if let Some(since) = since {
                    found.push(row.due(since)?);
                }
            }
        }
        Ok(found)
    }
}

/// How many projects have a line of which more may be due than were read.
fn projects_with_more(rows: &[Row], each: usize) -> usize {
    let mut lines: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    rows.iter().for_each(|row| *lines.entry((&row.project, row.priority)).or_default() += 1);
    let full = lines.into_iter().filter(|(_, count)| *count >= each).map(|((project, _), _)| project);
    full.collect::<BTreeSet<_>>().len()
}
