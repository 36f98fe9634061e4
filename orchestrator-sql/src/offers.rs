//! Attempts that others execute: offers, who has claimed them, and what was delivered.

use std::collections::BTreeMap;

use orchestrator_core::failpoint;
use orchestrator_core::id::{OwnerId, RunId};
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    Claim, ClaimRow, Claimed, Deliver, Delivered, InboxRow, OfferQuery, OfferRow, Page, Remote, StepRow,
    StoreError,
};
use orchestrator_core::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::artifact;
use crate::dialect::{Dialect, WriteError};
use crate::entity::{inbox, offers, owners};
use crate::member::{log, ticket};
use crate::read::{limit, page_size};
use crate::rows;
use crate::script::{Arg, Batch, IntoArg, Rows};
use crate::sections::{CLAIM, DELIVER, LOGS, LOSE, OUTPUTS, SECTIONS};
use crate::store::Shared;

/// How often a delivery is written again whose lines have got numbers that others took meanwhile.
const ATTEMPTS: u32 = 8;

impl<D: Dialect> Shared<D> {
    pub(crate) async fn offers(&self, query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        let most = page_size(query.limit);
        let mut items = Vec::new();
        let mut after = query.after.map(|(place, ticket)| (place, values(&ticket)));
        loop {
            let wanted = most + 1 - items.len();
            let found = self.read(asked(&query, after.take()).limit(limit(wanted)).all(self.db())).await?;
            after = found.last().map(|row| (row.place, raw(row)));
            let is_last = found.len() < wanted;
            // One that cannot be read hides no other: `store check` tells of it.
            items.extend(found.into_iter().filter_map(|row| rows::offer(row).ok()));
            if is_last || items.len() > most {
                let more = items.len() > most;
                items.truncate(most);
                return Ok(Page { items, more });
            }
        }
    }

    /// Offers that nobody can read.
    pub(crate) async fn offer_faults(&self) -> Result<Vec<String>, StoreError> {
        let all = offers::Entity::find().order_by_asc(offers::Column::Run).all(self.db());
        let faults = self.read(all).await?.into_iter().filter_map(|row| {
            let (run, step, item) = (RunId::from_uuid(row.run), row.step, row.item);
            let why = rows::offer(row).err()?;
            Some(format!("what is offered of {run} (step {step}, item {item}) cannot be read: {why}"))
        });
        Ok(faults.collect())
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let at = self.dialect.now().await?;
        let [run, step, item, generation, iteration, attempt, epoch] = ticket(&claim.ticket);
        let owner = Arg::Id(claim.owner.as_uuid());
        let row = [run, step, item, generation, iteration, attempt, epoch, owner, at.arg()];
        failpoint!("offer.claim.before");
        let claimed = match self.write_all(Batch::of_one(&SECTIONS, CLAIM, Rows::one(row))).await {
            Ok(()) => true,
            Err(WriteError::Refused) => false,
            Err(error) => return Err(error.into()),
        };
        failpoint!("offer.claim.after");
        let lives = match claimed {
            true => true,
            false => self.owner(claim.owner).await?.is_some_and(|owner| !owner.dead && owner.deadline > at),
        };
        let found = self.offer(&claim.ticket).await?;
        let held = found.filter(|row| row.claim.is_some_and(|held| held.owner == claim.owner));
        // Looked for after the offer: what was taken in meanwhile is gone from there. What is over must not begin again.
        let is_over = !claimed && held.is_some() && self.result(&claim.ticket).await?.is_some();
        Ok(match held {
            _ if !lives => Claimed::Dead,
            Some(row) if !is_over => Claimed::Yours(Box::new(row)),
            _ => Claimed::Gone,
        })
    }

    /// What is offered of the step or item of a ticket, under whichever right.
    async fn offer_of_unit(&self, asked: &StepTicket) -> Result<Option<OfferRow>, StoreError> {
        let key = (asked.run.as_uuid(), i64::from(asked.step.0), rank(asked));
        let found = offers::Entity::find_by_id(key).one(self.db());
        self.read(found).await?.map(rows::offer).transpose()
    }

    /// What is offered under this ticket.
    async fn offer(&self, asked: &StepTicket) -> Result<Option<OfferRow>, StoreError> {
        Ok(self.offer_of_unit(asked).await?.filter(|row| row.offer.ticket == *asked))
    }

    pub(crate) async fn stops(&self, owner: OwnerId) -> Result<Vec<StepTicket>, StoreError> {
        let found = offers::Entity::find()
            .filter(offers::Column::Owner.eq(owner.as_uuid()))
            .filter(offers::Column::Stops.eq(1))
            .all(self.db());
        // What cannot be read hides no other.
        let rights = self.read(found).await?.into_iter().filter_map(|row| rows::right(&row).ok());
        let mut stops: Vec<StepTicket> = rights.map(|(ticket, _)| ticket).collect();
        stops.sort_unstable();
        Ok(stops)
    }

    pub(crate) async fn deliver(&self, deliver: Deliver) -> Result<Delivered, StoreError> {
        if let Some(fault) = deliver.fault() {
            return Err(StoreError::Invalid(fault.to_owned()));
        }
        let marks = self.spill_values(&deliver.values).await?;
        let mut attempts = 0;
        loop {
            let at = self.dialect.now().await?;
            failpoint!("offer.deliver.before");
            match self.write_all(delivery(&deliver, at, marks)).await {
                Ok(()) => {
                    failpoint!("offer.deliver.after");
                    return Ok(Delivered::Kept);
                }
                // Something of it could not be written: perhaps only a line of output.
                Err(WriteError::Refused | WriteError::Invalid(_)) if attempts < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(row) = self.result(&deliver.ticket).await? {
                let own = row.end.is_some() && row.claim.owner == deliver.owner;
                return Ok(if own { Delivered::Kept } else { Delivered::Fenced });
            }
            let claim = self.offer(&deliver.ticket).await?.and_then(|row| row.claim);
            if claim.is_none_or(|claim| claim.owner != deliver.owner) {
                return Ok(Delivered::Fenced);
            }
            attempts += 1;
        }
    }

    async fn result(&self, asked: &StepTicket) -> Result<Option<InboxRow>, StoreError> {
        let found = inbox::Entity::find()
            .filter(inbox::Column::Run.eq(asked.run.as_uuid()))
            .filter(inbox::Column::Generation.eq(asked.generation))
            .filter(inbox::Column::Step.eq(asked.step.0))
            .filter(inbox::Column::Item.eq(rank(asked)))
            .filter(inbox::Column::Iteration.eq(asked.iteration))
            .filter(inbox::Column::Attempt.eq(asked.attempt))
            .filter(inbox::Column::Epoch.eq(i64::try_from(asked.epoch).unwrap_or(i64::MAX)))
            .one(self.db());
        self.read(found).await?.map(rows::result).transpose()
    }

    /// What the dead had claimed and have not delivered is lost. Looked for once their death is known to all: what they
    /// claim is asked for after that in vain.
    pub(crate) async fn lose(&self) -> Result<(), StoreError> {
        let dead = Query::select()
            .column(owners::Column::Id)
            .from(owners::Entity)
            .and_where(owners::Column::Dead.eq(1))
            .take();
        // Of this very right: what was said of another says nothing of it.
        let same = |of_inbox: inbox::Column, of_offer: offers::Column| {
            Expr::col((inbox::Entity, of_inbox)).equals((offers::Entity, of_offer))
        };
        let delivered = Query::select()
            .expr(Expr::val(1))
            .from(inbox::Entity)
            .and_where(same(inbox::Column::Run, offers::Column::Run))
            .and_where(same(inbox::Column::Generation, offers::Column::Generation))
            .and_where(same(inbox::Column::Step, offers::Column::Step))
            .and_where(same(inbox::Column::Item, offers::Column::Item))
            .and_where(same(inbox::Column::Iteration, offers::Column::Iteration))
            .and_where(same(inbox::Column::Attempt, offers::Column::Attempt))
            .and_where(same(inbox::Column::Epoch, offers::Column::Epoch))
            .take();
        let found = offers::Entity::find()
            .filter(offers::Column::Owner.is_not_null())
            .filter(offers::Column::Owner.in_subquery(dead))
            .filter(Expr::exists(delivered).not())
            .all(self.db());
        let found = self.read(found).await?;
        if found.is_empty() {
            return Ok(());
        }
        let at = self.dialect.now().await?;
        let mut lost = Rows::default();
        for row in found {
            // What cannot be read is in the way of no other: `store check` tells of it.
            if let Ok((_, Some(claim))) = rows::right(&row) {
                lost.push(result(&claim.ticket, claim.owner, at, Arg::Null));
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.write_all(Batch::of_one(&SECTIONS, LOSE, lost)).await.map_err(StoreError::from)
    }

    /// Claims of what a member takes back or claims.
    pub(crate) async fn claimed(&self, remote: &Remote) -> Result<Vec<ClaimRow>, StoreError> {
        let mut claims = Vec::new();
        for ticket in remote.withdrawn.iter().chain(remote.claims.iter().map(|claim| &claim.ticket)) {
            claims.extend(self.offer(ticket).await?.and_then(|row| row.claim));
        }
        Ok(claims)
    }

    /// Whether what a member claims is there, and whoever claims it is alive.
    pub(crate) async fn may_claim(&self, remote: &Remote) -> Result<bool, StoreError> {
        for Claim { ticket, owner } in &remote.claims {
            let at = self.dialect.now().await?;
            let lives = self.owner(*owner).await?.is_some_and(|owner| !owner.dead && owner.deadline > at);
            if !lives || self.offer(ticket).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a member offers what is offered already, and stays so.
    pub(crate) async fn doubles(&self, remote: &Remote) -> Result<bool, StoreError> {
        for offer in &remote.offers {
            if let Some(row) = self.offer_of_unit(&offer.ticket).await?
                && !remote.withdrawn.contains(&row.offer.ticket)
                && !remote.taken.contains(&row.offer.ticket)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says in the rows of a run's steps by whom they are claimed.
    pub(crate) async fn lay_over(&self, run: RunId, rows: &mut [StepRow]) -> Result<(), StoreError> {
        let found = offers::Entity::find()
            .filter(offers::Column::Run.eq(run.as_uuid()))
            .filter(offers::Column::Owner.is_not_null())
            .all(self.db());
        let mut claims = BTreeMap::new();
        for row in self.read(found).await? {
            if let Ok((_, Some(claim))) = rows::right(&row) {
                claims.insert((claim.ticket.step, claim.ticket.item), claim);
            }
        }
        for row in rows {
            claims.get(&(row.step, row.item)).into_iter().for_each(|claim| row.lay_over(claim));
        }
        Ok(())
    }

    async fn write_all(&self, batch: Batch) -> Result<(), WriteError> {
        let (pen, mut hand) = self.free_pen().await;
        let script = batch.finish(&mut hand.texts, D::WORDS);
        pen.run(&mut hand, script).await.map(drop)
    }
}

/// What orders the offers of one place: their tickets.
const ORDER: [offers::Column; 7] = [
    offers::Column::Run,
    offers::Column::Generation,
    offers::Column::Step,
    offers::Column::Item,
    offers::Column::Iteration,
    offers::Column::Attempt,
    offers::Column::Epoch,
];

/// What is asked for, in order; after an offer, if one is named.
fn asked(query: &OfferQuery, after: Option<(i64, [sea_orm::Value; 7])>) -> Select<offers::Entity> {
    let mut select = offers::Entity::find();
    if !query.queues.is_empty() {
        select = select.filter(offers::Column::Queue.is_in(query.queues.iter().map(|queue| &**queue)));
    }
    if let Some(run) = query.run {
        select = select.filter(offers::Column::Run.eq(run.as_uuid()));
    }
    if query.free {
        select = select.filter(offers::Column::Owner.is_null());
    }
    if query.claimed {
        select = select.filter(offers::Column::Owner.is_not_null());
    }
    match query.tasks {
        Some(true) => select = select.filter(offers::Column::Task.is_not_null()),
        Some(false) => select = select.filter(offers::Column::Task.is_null()),
        None => {}
    }
    if let Some((place, last)) = after {
        let keys = ORDER.map(Expr::col);
        let last = last.map(Expr::val);
        let later = Condition::any().add(offers::Column::Place.gt(place)).add(
            Condition::all()
                .add(offers::Column::Place.eq(place))
                .add(Expr::tuple(keys).gt(Expr::tuple(last))),
        );
        select = select.filter(later);
    }
    ORDER.into_iter().fold(select.order_by_asc(offers::Column::Place), QueryOrder::order_by_asc)
}

/// The values of these columns, as a row has them.
fn raw(row: &offers::Model) -> [sea_orm::Value; 7] {
    let offers::Model { generation, step, item, iteration, attempt, epoch, .. } = *row;
    let right = [generation, step, item, iteration, attempt, epoch];
    let [generation, step, item, iteration, attempt, epoch] = right.map(Into::into);
    [row.run.into(), generation, step, item, iteration, attempt, epoch]
}

/// The values of these columns.
fn values(ticket: &StepTicket) -> [sea_orm::Value; 7] {
    [
        ticket.run.as_uuid().into(),
        i64::from(ticket.generation).into(),
        i64::from(ticket.step.0).into(),
        rank(ticket).into(),
        i64::from(ticket.iteration).into(),
        i64::from(ticket.attempt).into(),
        i64::try_from(ticket.epoch).unwrap_or(i64::MAX).into(),
    ]
}

fn rank(ticket: &StepTicket) -> i64 {
    i64::from(ticket.unit().rank())
}

/// A row of the inbox.
fn result(of: &StepTicket, owner: OwnerId, at: Timestamp, end: Arg) -> [Arg; 10] {
    let [run, step, item, generation, iteration, attempt, epoch] = ticket(of);
    [run, step, item, generation, iteration, attempt, epoch, Arg::Id(owner.as_uuid()), at.arg(), end]
}

fn delivery(deliver: &Deliver, at: Timestamp, marks: bool) -> Batch {
    let end = Arg::Text(deliver.end.clone());
    let mut batch =
        Batch::of_one(&SECTIONS, DELIVER, Rows::one(result(&deliver.ticket, deliver.owner, at, end)));
    let run = Arg::Id(deliver.ticket.run.as_uuid());
    if !deliver.values.is_empty() {
        let mut rows = Rows::default();
        for value in &deliver.values {
            let body = if marks { artifact::held(value) } else { value.body.clone() };
            rows.push([run.clone(), value.digest.arg(), body.arg()]);
        }
        batch.add(OUTPUTS, rows);
    }
    if !deliver.logs.is_empty() {
        let mut rows = Rows::default();
        (1u64..).zip(&deliver.logs).for_each(|(number, line)| rows.push(log(&run, number, line)));
        batch.add(LOGS, rows);
    }
    batch
}
