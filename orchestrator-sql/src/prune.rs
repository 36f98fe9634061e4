//! Removing runs that have ended.

use std::sync::Arc;

use orchestrator_core::failpoint;
use orchestrator_core::port::store::{Prune, Pruned, StoreError};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
};
use uuid::Uuid;

use crate::dialect::{Dialect, WriteError};
use crate::entity::{events, logs, outputs, runs};
use crate::read::limit;
use crate::script::{Arg, IntoArg, Script};
use crate::store::Shared;

/// The most runs that one transaction removes: others that write wait for it no longer than moments.
const BATCH: usize = 256;

/// How often runs are looked for again, of which one was reopened since they were found.
const ATTEMPTS: u32 = 8;

/// The tables whose rows belong to a run, by their column `run`.
const OF_RUNS: [&str; 6] = [
    "orchestrator_events",
    "orchestrator_steps",
    "orchestrator_outputs",
    "orchestrator_decisions",
    "orchestrator_approvals",
    "orchestrator_logs",
];

/// What nothing names any longer, in tables that belong to all runs.
const UNNAMED: &str = "\
DELETE FROM orchestrator_revisions WHERE digest NOT IN (SELECT revision FROM orchestrator_runs) \
AND digest NOT IN (SELECT body_digest FROM orchestrator_document_revisions);\n\
DELETE FROM orchestrator_owners WHERE dead = 1 AND deadline < ? \
AND id NOT IN (SELECT driver FROM orchestrator_runs WHERE driver IS NOT NULL AND finished_at IS NULL) \
AND id NOT IN (SELECT s.owner FROM orchestrator_runs AS r JOIN orchestrator_steps AS s ON s.run = r.id \
WHERE r.finished_at IS NULL AND s.owner IS NOT NULL);\n";

impl<D: Dialect> Shared<D> {
    pub(crate) async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.pen.require_open()?;
        if prune.dry {
            return self.would_prune(&prune).await;
        }
        let mut pruned = Pruned { more: true, ..Pruned::default() };
        let mut attempts = 0;
        loop {
            let left = prune.limit.saturating_sub(usize::try_from(pruned.runs).unwrap_or(usize::MAX));
            let found: Result<Vec<Uuid>, DbErr> =
                ended(&prune, Ord::min(left, BATCH).saturating_add(1)).into_tuple().all(self.db()).await;
            let mut ids = self.read(found)?;
            pruned.more = !ids.is_empty();
            ids.truncate(Ord::min(left, BATCH));
            if ids.is_empty() {
                break;
            }
            let these = self.counted(just(&ids)).await?;
            let mut hand = self.pen.take().await;
            failpoint!("prune.before");
            match self.pen.run(&mut hand, removal::<D>(&prune, &ids)).await {
                Ok(_) => {
                    failpoint!("prune.after");
                    pruned.runs += ids.len() as u64;
                    pruned.events += these.events;
                    pruned.lines += these.lines;
                    pruned.values += these.values;
                }
                Err(WriteError::Refused) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if !pruned.more {
            let text = format!("{}{UNNAMED}{}", D::WORDS.begin, D::WORDS.commit);
            self.pen.run_alone(Script { text: text.into(), args: vec![prune.before.arg()] }).await?;
            self.sweep_artifacts().await?;
        }
        Ok(pruned)
    }

    async fn would_prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        let found = ended(prune, usize::MAX).count(self.db()).await;
        let all = self.read(found)?;
        let runs = Ord::min(all, limit(prune.limit));
        let counted = self.counted(ended(prune, prune.limit).into_query()).await?;
        Ok(Pruned { runs, more: all > runs, ..counted })
    }

    /// How many rows belong to the runs of a query.
    async fn counted(&self, runs: SelectStatement) -> Result<Pruned, StoreError> {
        let events = events::Entity::find().filter(events::Column::Run.in_subquery(runs.clone()));
        let lines = logs::Entity::find().filter(logs::Column::Run.in_subquery(runs.clone()));
        let values = outputs::Entity::find().filter(outputs::Column::Run.in_subquery(runs));
        Ok(Pruned {
            events: self.read(events.count(self.db()).await)?,
            lines: self.read(lines.count(self.db()).await)?,
            values: self.read(values.count(self.db()).await)?,
            ..Pruned::default()
        })
    }
}

/// The ids of runs that have ended, the oldest first.
fn ended(prune: &Prune, most: usize) -> Select<runs::Entity> {
    let mut select = runs::Entity::find()
        .select_only()
        .column(runs::Column::Id)
        .filter(runs::Column::FinishedAt.lt(prune.before.as_millis()))
        .filter(is_free(prune))
        .order_by_asc(runs::Column::Id)
        .limit(limit(most));
    if let Some(project) = &prune.project {
        select = select.filter(runs::Column::Project.eq(project.as_str()));
    }
    select
}

/// Whether a run belongs to none that stays.
fn is_free(prune: &Prune) -> Condition {
    let root = || Alias::new("root");
    let of_root = |column: runs::Column| Expr::col((root(), column));
    let stays = Condition::any()
        .add(of_root(runs::Column::FinishedAt).is_null())
        .add(of_root(runs::Column::FinishedAt).gte(prune.before.as_millis()));
    let needed = Query::select()
        .expr(Expr::val(1))
        .from_as(runs::Entity, root())
        .and_where(of_root(runs::Column::Id).equals((runs::Entity, runs::Column::RootRun)))
        .cond_where(stays)
        .take();
    Condition::any().add(runs::Column::RootRun.is_null()).add(Expr::exists(needed).not())
}

/// These ids, as the counting takes them.
fn just(ids: &[Uuid]) -> SelectStatement {
    let select = runs::Entity::find().select_only().column(runs::Column::Id);
    select.filter(runs::Column::Id.is_in(ids.iter().copied())).into_query()
}

/// Removes these runs with all that belongs to them, or nothing if one of them is no longer what it was.
fn removal<D: Dialect>(prune: &Prune, ids: &[Uuid]) -> Script {
    // Always as many places, so that the driver keeps one text prepared; NULL matches no run.
    let places = format!("({})", vec!["?"; BATCH].join(","));
    let padded = || (0..BATCH).map(|at| ids.get(at).map_or(Arg::Null, |id| Arg::Id(*id)));
    let mut text = String::from(D::WORDS.begin);
    let mut args = Vec::new();
    text.push_str(
        "DELETE FROM orchestrator_dedupe WHERE (scope, key) IN \
         (SELECT 'start/' || project, start_key FROM orchestrator_runs WHERE start_key IS NOT NULL AND id IN ",
    );
    text.push_str(&places);
    text.push_str(");\n");
    args.extend(padded());
    for table in OF_RUNS {
        text.push_str(&format!("DELETE FROM {table} WHERE run IN {places};\n"));
        args.extend(padded());
    }
    text.push_str(&format!("DELETE FROM orchestrator_runs WHERE finished_at < ? AND id IN {places};\n"));
    args.push(prune.before.arg());
    args.extend(padded());
    text.push_str(D::WORDS.guard);
    args.push(Arg::Int(ids.len() as i64));
    text.push_str(D::WORDS.commit);
    Script { text: Arc::from(text), args }
}
