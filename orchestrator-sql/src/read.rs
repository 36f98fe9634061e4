//! Reading: through a small pool of its own, so that it never waits for a writer of this process.

use std::sync::Arc;

use orchestrator_core::id::RunId;
use orchestrator_core::machine::Recorded;
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::store::{
    ApprovalQuery, ApprovalRow, DEFAULT_PAGE, EventsAfter, LogQuery, NumberedLine, Page, RunLog, RunQuery,
    RunRow, StepRow, StoreError,
};
use orchestrator_core::value::Digest;
use sea_orm::sea_query::{ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::encoding::start_scope;
use crate::entity::{approvals, decisions, dedupe, events, logs, outputs, revisions, runs, steps};
use crate::rows;
use crate::store::Shared;

/// The most ids in one list of a query.
pub(crate) const IDS: usize = 1000;

impl<D: Dialect> Shared<D> {
    pub(crate) fn db(&self) -> &DatabaseConnection {
        self.dialect.reads()
    }

    /// The answer to a question, if it comes in time.
    pub(crate) async fn read<T>(
        &self,
        question: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, StoreError> {
        let Some(patience) = self.dialect.patience() else { return self.explained(question.await) };
        match tokio::time::timeout(patience, question).await {
            Ok(answer) => self.explained(answer),
            Err(_) => Err(StoreError::Unavailable(format!("no answer within {patience:?}"))),
        }
    }

    /// An answer, with its error in the words of the port.
    pub(crate) fn explained<T>(&self, answer: Result<T, DbErr>) -> Result<T, StoreError> {
        answer.map_err(|error| self.dialect.explain(&error))
    }

    pub(crate) async fn row(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        let row = runs::Entity::find_by_id(run.as_uuid()).one(self.db());
        self.read(row).await?.map(rows::run).transpose()
    }

    pub(crate) async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        let Some(row) = self.row(run).await? else { return Ok(None) };
        let Some(text) = self.revision(row.new.revision).await? else {
            return Err(StoreError::Corrupt(format!("{run} has no revision {}", row.new.revision)));
        };
        // Someone may have committed since the row was read; what the row does not know is not taken.
        let found = events::Entity::find()
            .filter(events::Column::Run.eq(run.as_uuid()))
            .filter(events::Column::Seq.lte(i64::try_from(row.seq).unwrap_or(i64::MAX)))
            .order_by_asc(events::Column::Seq)
            .all(self.db());
        let events = self.read(found).await?.iter().map(rows::event).collect::<Result<Vec<_>, _>>()?;
        let gapless = (1u64..).zip(&events).all(|(seq, event)| event.seq == seq);
        if !gapless || events.len() as u64 != row.seq {
            return Err(StoreError::Corrupt(format!("the log of {run} has a gap or has lost its end")));
        }
        Ok(Some(RunLog { row, text, events }))
    }

    pub(crate) async fn events_after(&self, query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        let found = events::Entity::find()
            .filter(events::Column::Run.eq(query.run.as_uuid()))
            .filter(events::Column::Seq.gt(i64::try_from(query.after).unwrap_or(i64::MAX)))
            .order_by_asc(events::Column::Seq)
            .limit(limit(query.limit))
            .all(self.db());
        self.read(found).await?.iter().map(rows::event).collect()
    }

    pub(crate) async fn heads(&self, ids: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        let mut heads = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS) {
            let found = runs::Entity::find()
                .select_only()
                .columns([runs::Column::Id, runs::Column::Seq])
                .filter(runs::Column::Id.is_in(ids.iter().map(RunId::as_uuid)))
                .into_tuple::<(Uuid, i64)>()
                .all(self.db());
            for (id, seq) in self.read(found).await? {
                heads.push((RunId::from_uuid(id), rows::number(seq)?));
            }
        }
        Ok(heads)
    }

    pub(crate) async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        let key = (run.as_uuid(), digest.as_bytes().to_vec());
        let found = outputs::Entity::find_by_id(key).one(self.db());
        match self.read(found).await? {
            Some(row) => self.unfold(run, digest, row.body).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        let found = revisions::Entity::find_by_id(revision.as_bytes().to_vec()).one(self.db());
        let Some(row) = self.read(found).await? else { return Ok(None) };
        if Digest::of(row.text.as_bytes()) != revision {
            return Err(StoreError::Corrupt(format!("the revision {revision} is damaged")));
        }
        Ok(Some(row.text.into()))
    }

    pub(crate) async fn list_runs(&self, mut query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        let most = page_size(query.limit);
        let mut statuses = std::mem::take(&mut query.statuses);
        statuses.sort_unstable();
        statuses.dedup();
        let mut found = Vec::new();
        match statuses.as_slice() {
            [] => found = self.read(listing(&query, None, most).all(self.db())).await?,
            // One by one: together, a database would sort all runs of these statuses to find the newest few.
            several => {
                for status in several {
                    found.extend(self.read(listing(&query, Some(status), most).all(self.db())).await?);
                }
                found.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
                // A run whose status has changed in between is found twice.
                found.dedup_by_key(|row| row.id);
            }
        }
        page(found, most, rows::run)
    }

    pub(crate) async fn find_runs(&self, prefix: &str, most: usize) -> Result<Vec<RunId>, StoreError> {
        let Some((first, last)) = RunId::range_of_prefix(prefix) else { return Ok(Vec::new()) };
        let found = runs::Entity::find()
            .select_only()
            .column(runs::Column::Id)
            .filter(runs::Column::Id.between(first.as_uuid(), last.as_uuid()))
            .order_by_desc(runs::Column::Id)
            .limit(limit(most))
            .into_tuple::<Uuid>()
            .all(self.db());
        Ok(self.read(found).await?.into_iter().map(RunId::from_uuid).collect())
    }

    pub(crate) async fn find_key(
        &self,
        project: &str,
        key: &str,
    ) -> Result<Option<(RunId, Digest)>, StoreError> {
        let id = (start_scope(project).to_string(), key.to_owned());
        let found = dedupe::Entity::find_by_id(id).one(self.db());
        let Some(row) = self.read(found).await? else { return Ok(None) };
        Ok(Some((RunId::from_uuid(row.answer), crate::encoding::digest_of(&row.digest)?)))
    }

    pub(crate) async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let found = steps::Entity::find()
            .filter(steps::Column::Run.eq(run.as_uuid()))
            .order_by_asc(steps::Column::Step)
            .order_by_asc(steps::Column::Item)
            .all(self.db());
        let mut rows = self.read(found).await?.into_iter().map(rows::step).collect::<Result<Vec<_>, _>>()?;
        self.lay_over(run, &mut rows).await?;
        Ok(rows)
    }

    pub(crate) async fn approvals(&self, query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        let most = page_size(query.limit);
        let mut select = approvals::Entity::find().limit(limit(most + 1));
        for column in [
            approvals::Column::AskedAt,
            approvals::Column::Run,
            approvals::Column::Step,
            approvals::Column::Attempt,
        ] {
            select = select.order_by_asc(column);
        }
        if let Some(project) = query.project {
            let of_project = Query::select()
                .column(runs::Column::Id)
                .from(runs::Entity)
                .and_where(runs::Column::Project.eq(project))
                .take();
            select = select.filter(approvals::Column::Run.in_subquery(of_project));
        }
        if let Some(run) = query.run {
            select = select.filter(approvals::Column::Run.eq(run.as_uuid()));
        }
        if query.open {
            select = select.filter(approvals::Column::Status.eq("open"));
        }
        page(self.read(select.all(self.db())).await?, most, rows::approval)
    }

    pub(crate) async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        let found = decisions::Entity::find()
            .filter(decisions::Column::Run.eq(run.as_uuid()))
            .order_by_asc(decisions::Column::Key)
            .all(self.db());
        self.read(found).await?.into_iter().map(rows::decision).collect()
    }

    pub(crate) async fn logs(&self, query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        let mut select = logs::Entity::find()
            .filter(logs::Column::Run.eq(query.run.as_uuid()))
            .filter(logs::Column::Number.gt(i64::try_from(query.after).unwrap_or(i64::MAX)))
            .limit(limit(query.limit));
        if let Some(step) = query.step {
            select = select.filter(logs::Column::Step.eq(i64::from(step.step.0)));
            if step.item().is_some() {
                select = select.filter(logs::Column::Item.eq(i64::from(step.rank())));
            }
        }
        select = if query.tail {
            select.order_by_desc(logs::Column::Number)
        } else {
            select.order_by_asc(logs::Column::Number)
        };
        let mut found = self.read(select.all(self.db())).await?;
        if query.tail {
            found.reverse();
        }
        found.into_iter().map(rows::line).collect()
    }
}

/// Runs of one status or of any, the newest first: as many as a page has, and one more.
fn listing(query: &RunQuery, status: Option<&str>, most: usize) -> Select<runs::Entity> {
    let mut select = runs::Entity::find().order_by_desc(runs::Column::Id).limit(limit(most + 1));
    if let Some(project) = &query.project {
        select = select.filter(runs::Column::Project.eq(project.as_str()));
    }
    if let Some(workflow) = &query.workflow {
        select = select.filter(runs::Column::Workflow.eq(workflow.as_str()));
    }
    if let Some(status) = status {
        select = select.filter(runs::Column::Status.eq(status));
    }
    if query.open {
        select = select.filter(runs::Column::FinishedAt.is_null());
    }
    if query.top {
        // What is open is few, and has an index of its own: said otherwise, this cannot lead a database to the other.
        select = select.filter(match query.open {
            true => runs::Column::ParentRun.is_not_null().not(),
            false => runs::Column::ParentRun.is_null(),
        });
    }
    if let Some(parent) = query.parent {
        select = select.filter(runs::Column::ParentRun.eq(parent.as_uuid()));
    }
    if let Some(after) = query.after {
        select = select.filter(runs::Column::Id.lt(after.as_uuid()));
    }
    select
}

/// A limit that databases can take.
pub(crate) fn limit(most: usize) -> u64 {
    i64::try_from(most).unwrap_or(i64::MAX).unsigned_abs()
}

/// How many items a page has.
pub(crate) const fn page_size(asked: usize) -> usize {
    if asked == 0 {
        DEFAULT_PAGE
    } else if asked == usize::MAX {
        usize::MAX - 1
    } else {
        asked
    }
}

/// The first `most` of the rows, and whether there is one more.
pub(crate) fn page<M, T>(
    mut found: Vec<M>,
    most: usize,
    read: impl Fn(M) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let more = found.len() > most;
    found.truncate(most);
    Ok(Page { items: found.into_iter().map(read).collect::<Result<_, _>>()?, more })
}
