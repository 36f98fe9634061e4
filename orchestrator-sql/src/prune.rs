//! Removing runs that have ended.

use orchestrator_core::failpoint;
use orchestrator_core::port::store::{Prune, Pruned, StoreError};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use crate::dialect::{Dialect, WriteError};
use crate::entity::{events, logs, outputs, runs};
use crate::read::limit;
use crate::script::Kind::{Id, Int};
use crate::script::{self, Arg, Batch, Check, IntoArg, Kind, Rows, Section, Verb};
use crate::store::Shared;

/// The most runs that one transaction removes: others that write wait for it no longer than moments.
const BATCH: usize = 256;

/// How often runs are looked for again, of which one was reopened since they were found.
const ATTEMPTS: u32 = 8;

/// What belongs to runs, then the runs themselves, then what nothing names any longer, in tables that belong to all.
static SECTIONS: [Section; 16] = [
    delete(
        "orchestrator_dedupe WHERE (scope, key) IN (SELECT 'start/' || project, start_key FROM orchestrator_runs \
         WHERE start_key IS NOT NULL AND id IN (SELECT column1 FROM ",
        &[Id],
        " AS v))",
    ),
    delete("orchestrator_events WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_steps WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_outputs WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_decisions WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_approvals WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_logs WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_offers WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    delete("orchestrator_inbox WHERE run IN (SELECT column1 FROM ", &[Id], " AS v)"),
    Section {
        checked: Check::AsGiven,
        conditions: &[script::Condition {
            head: " AND finished_at < (SELECT column1 FROM ",
            columns: &[Int],
            tail: " AS d)",
        }],
        ..delete("orchestrator_runs WHERE id IN (SELECT column1 FROM ", &[Id], " AS v)")
    },
    delete(
        // By sets, which a database compares as a whole, however many there are.
        "orchestrator_revisions WHERE digest IN (SELECT digest FROM orchestrator_revisions \
         EXCEPT SELECT revision FROM orchestrator_runs EXCEPT SELECT body_digest FROM orchestrator_document_revisions \
         EXCEPT SELECT body_digest FROM orchestrator_documents)",
        &[],
        "",
    ),
    delete(
        "orchestrator_owners WHERE dead = 1 AND deadline < (SELECT column1 FROM ",
        &[Int],
        " AS v) AND id IN (SELECT id FROM orchestrator_owners \
         EXCEPT SELECT driver FROM orchestrator_runs WHERE driver IS NOT NULL AND finished_at IS NULL \
         EXCEPT SELECT owner FROM orchestrator_offers WHERE owner IS NOT NULL \
         EXCEPT SELECT s.owner FROM orchestrator_runs AS r JOIN orchestrator_steps AS s ON s.run = r.id \
         WHERE r.finished_at IS NULL AND s.owner IS NOT NULL)",
    ),
    // Of which nothing is held, nobody waits, and nothing counts any more. Whoever has read it, and writes to it, finds it gone and
    // begins anew.
    delete(
        "orchestrator_keys WHERE held = 0 AND coalesce(past_at, 0) <= (SELECT column1 FROM ",
        &[Int],
        " AS v) AND NOT EXISTS (SELECT 1 FROM orchestrator_waiters AS w \
         WHERE w.project = orchestrator_keys.project AND w.key = orchestrator_keys.key)",
    ),
    // A project that is given a ticket again, or that publishes one, has its row made anew.
    delete(
        "orchestrator_turns WHERE project IN (SELECT project FROM orchestrator_turns \
         EXCEPT SELECT project FROM orchestrator_tickets)",
        &[],
        "",
    ),
    // Both are written beside their run, or while it is there: what is left without one is of nobody.
    delete(
        "orchestrator_offers WHERE run IN (SELECT run FROM orchestrator_offers EXCEPT SELECT id FROM orchestrator_runs)",
        &[],
        "",
    ),
    delete(
        "orchestrator_inbox WHERE run IN (SELECT run FROM orchestrator_inbox EXCEPT SELECT id FROM orchestrator_runs)",
        &[],
        "",
    ),
];

/// The first sections that name runs alone.
const OF_RUNS: std::ops::Range<usize> = 0..9;
const RUNS: usize = 9;
const UNNAMED_TEXTS: usize = 10;
const UNNAMED_OWNERS: usize = 11;
const UNNAMED_KEYS: usize = 12;
const UNNAMED_TURNS: usize = 13;
const STRAY_OFFERS: usize = 14;
const STRAY_RESULTS: usize = 15;

const fn delete(head: &'static str, columns: &'static [Kind], tail: &'static str) -> Section {
    Section::new(Verb::Delete, head, columns, tail)
}

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
            let found =
                ended(&prune, Ord::min(left, BATCH).saturating_add(1)).into_tuple::<Uuid>().all(self.db());
            let mut ids = self.read(found).await?;
            pruned.more = !ids.is_empty();
            ids.truncate(Ord::min(left, BATCH));
            if ids.is_empty() {
                break;
            }
            let these = self.counted(just(&ids)).await?;
            let mut hand = self.pen.take().await;
            failpoint!("prune.before");
            let script = removal(&prune, &ids).finish(&mut hand.texts, D::WORDS);
            match self.pen.run(&mut hand, script).await {
                Ok(_) => {
                    failpoint!("prune.after");
                    pruned.runs += ids.len() as u64;
                    pruned.events += these.events;
                    pruned.lines += these.lines;
                    pruned.values += these.values;
                }
                Err(WriteError::Refused | WriteError::Busy) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        }
        if !pruned.more {
            let mut unnamed = Batch::of_one(&SECTIONS, UNNAMED_TEXTS, Rows::default());
            unnamed.add(UNNAMED_OWNERS, Rows::one([prune.before.arg()]));
            unnamed.add(UNNAMED_KEYS, Rows::one([prune.before.arg()]));
            unnamed.add(UNNAMED_TURNS, Rows::default());
            unnamed.add(STRAY_OFFERS, Rows::default());
            unnamed.add(STRAY_RESULTS, Rows::default());
            pruned.strays = self.stray_count().await?;
            let mut hand = self.pen.take().await;
            let script = unnamed.finish(&mut hand.texts, D::WORDS);
            self.pen.run_undisturbed(&mut hand, script).await?;
            drop(hand);
            self.sweep_artifacts().await?;
        }
        Ok(pruned)
    }

    async fn would_prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        let found = ended(prune, usize::MAX).count(self.db());
        let all = self.read(found).await?;
        let runs = Ord::min(all, limit(prune.limit));
        let counted = self.counted(ended(prune, prune.limit).into_query()).await?;
        let more = all > runs;
        let strays = if more { 0 } else { self.stray_count().await? };
        Ok(Pruned { runs, more, strays, ..counted })
    }

    /// How many rows belong to the runs of a query.
    async fn counted(&self, runs: SelectStatement) -> Result<Pruned, StoreError> {
        let events = events::Entity::find().filter(events::Column::Run.in_subquery(runs.clone()));
        let lines = logs::Entity::find().filter(logs::Column::Run.in_subquery(runs.clone()));
        let values = outputs::Entity::find().filter(outputs::Column::Run.in_subquery(runs));
        Ok(Pruned {
            events: self.explained(events.count(self.db()).await)?,
            lines: self.explained(lines.count(self.db()).await)?,
            values: self.explained(values.count(self.db()).await)?,
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
fn removal(prune: &Prune, ids: &[Uuid]) -> Batch {
    let of_ids = || {
        let mut rows = Rows::default();
        ids.iter().for_each(|id| rows.push([Arg::Id(*id)]));
        rows
    };
    let mut batch = Batch::new(&SECTIONS);
    OF_RUNS.for_each(|section| batch.add(section, of_ids()));
    let mut runs = of_ids();
    runs.push_condition(0, [prune.before.arg()]);
    batch.add(RUNS, runs);
    batch
}
