//! What wrong stores make of offers, claims and deliveries.

use super::list::Wrong::*;
use super::place::lock;
use super::store::Spoiled;
use crate::id::{OwnerId, RunId};
use crate::port::queue::StepTicket;
use crate::port::store::{
    Claim, ClaimRow, Claimed, Deliver, Delivered, DueRun, Inbox, InboxRow, Member, OfferQuery, OfferRow,
    Page, Store, StoreError,
};

impl Spoiled {
    async fn offered(&self, ticket: StepTicket) -> Option<OfferRow> {
        let query = OfferQuery { run: Some(ticket.run), limit: usize::MAX, ..OfferQuery::default() };
        let rows = self.right.offers(query).await.ok()?.items;
        rows.into_iter().find(|row| row.offer.ticket.unit() == ticket.unit())
    }

    pub(super) async fn spoil_offers(&self, member: &mut Member) {
        let Some(remote) = &mut member.remote else { return };
        match self.wrong {
            ForgetsWithdrawals => remote.withdrawn.clear(),
            KeepsWhatIsTakenIn => remote.taken.clear(),
            ClaimsNoTask => remote.claims.clear(),
            ClaimsTasksTwice => {
                let mut free = Vec::new();
                for claim in std::mem::take(&mut remote.claims) {
                    let is_claimed = self.offered(claim.ticket).await.is_some_and(|row| row.claim.is_some());
                    free.extend((!is_claimed).then_some(claim));
                }
                remote.claims = free;
            }
            ClaimsTasksForTheDead => {
                let living: Vec<OwnerId> =
                    self.right.owners().await.into_iter().flatten().map(|owner| owner.id).collect();
                remote.claims.retain(|claim| living.contains(&claim.owner));
            }
            ClaimsWithoutHolding if !remote.claims.is_empty() => member.admission = None,
            TakesWhateverATaskSays => remote.offers.iter_mut().for_each(|offer| offer.task = None),
            WithdrawsTheClaimed => {
                let mut free = Vec::new();
                for ticket in std::mem::take(&mut remote.withdrawn) {
                    let is_claimed = self.offered(ticket).await.is_some_and(|row| row.claim.is_some());
                    free.extend((!is_claimed).then_some(ticket));
                }
                remote.withdrawn = free;
            }
            OffersTwice => {
                for offer in &remote.offers {
                    if let Some(row) = self.offered(offer.ticket).await {
                        remote.withdrawn.push(row.offer.ticket);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) async fn spoiled_claim(&self, mut claim: Claim) -> Result<Claimed, StoreError> {
        let row = self.offered(claim.ticket).await;
        let held = row.as_ref().and_then(|row| row.claim);
        if let (ClaimsByTheStepAlone, Some(row)) = (self.wrong, &row) {
            claim.ticket = row.offer.ticket;
        }
        // Who asks meanwhile sees what this one has seen.
        tokio::task::yield_now().await;
        let answer = self.right.claim(claim).await?;
        let invents = match (self.wrong, &answer) {
            (GivesTwoClaims, Claimed::Gone) => held.is_some_and(|held| held.ticket == claim.ticket),
            (LooksBeforeItClaims, Claimed::Gone) => {
                held.is_none() && row.as_ref().is_some_and(|row| row.offer.ticket == claim.ticket)
            }
            (BeginsAgainWhatIsOver, Claimed::Gone) => held.is_some_and(|held| held.owner == claim.owner),
            (ClaimsOfTheEnded, Claimed::Gone) => {
                let of = self.right.run(claim.ticket.run).await?;
                held.is_none() && of.is_some_and(|run| run.finished_at.is_some())
            }
            (LetsTheDeadClaim, Claimed::Dead) => true,
            _ => false,
        };
        Ok(match (self.wrong, row) {
            (_, Some(mut row)) if invents => {
                let at = self.right.now().await?;
                row.claim = Some(ClaimRow { ticket: claim.ticket, owner: claim.owner, at });
                Claimed::Yours(Box::new(row))
            }
            (RefusesOnesOwn, _) if held.is_some() => Claimed::Gone,
            _ => answer,
        })
    }

    pub(super) async fn spoiled_deliver(&self, mut deliver: Deliver) -> Result<Delivered, StoreError> {
        match self.wrong {
            TakesWhatOthersDeliver => {
                let claim = self.offered(deliver.ticket).await.and_then(|row| row.claim);
                deliver.owner = claim.map_or(deliver.owner, |claim| claim.owner);
            }
            LosesValuesOfDeliveries => deliver.values.clear(),
            LetsTheLastWordCount => {
                lock(&self.world.delivered).insert(deliver.ticket, deliver.end.clone());
            }
            _ => {}
        }
        self.right.deliver(deliver).await
    }

    pub(super) async fn spoiled_inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        let mut inbox = self.readable_inbox(run).await?;
        let rows = &mut inbox.rows;
        match self.wrong {
            ForgetsWhatIsLost => rows.retain(|row| row.end.is_some()),
            LetsTheLastWordCount => {
                let last = lock(&self.world.delivered);
                for row in rows {
                    row.end = last.get(&row.claim.ticket).cloned().or(row.end.take());
                }
            }
            LosesWhatWasDelivered => {
                for row in rows {
                    let owner = self.right.owner(row.claim.owner).await?;
                    row.end = row.end.take().filter(|_| owner.is_some_and(|owner| !owner.dead));
                }
            }
            FailsForTheUnreadable => {
                if let Some(why) = inbox.unreadable.pop() {
                    return Err(StoreError::Corrupt(why));
                }
            }
            HidesTheUnreadable => inbox.unreadable.clear(),
            _ => {}
        }
        Ok(inbox)
    }

    /// What was forged cannot be read.
    async fn readable_inbox(&self, run: RunId) -> Result<Inbox, StoreError> {
        let mut inbox = self.right.inbox(run).await?;
        let unreadable = lock(&self.world.unreadable);
        let (forged, rows): (Vec<InboxRow>, _) =
            inbox.rows.into_iter().partition(|row| unreadable.contains(&row.claim.ticket));
        inbox.rows = rows;
        inbox.unreadable = forged.iter().map(|_| format!("what was forged of {run}")).collect();
        Ok(inbox)
    }

    /// The runs that are due, or have something in their inbox that can be read.
    pub(super) async fn due_with_inboxes(&self, limit: usize) -> Result<Vec<DueRun>, StoreError> {
        let due = self.right.claim_due(limit).await?;
        let counts_all = lock(&self.world.unreadable).is_empty() || self.is(ComesForTheUnreadable);
        if counts_all && !self.is(OverlooksTheInbox) {
            return Ok(due);
        }
        let now = self.right.now().await?;
        let mut found = Vec::new();
        for due in due {
            let row = self.right.run(due.run).await?;
            let is_due = row.and_then(|row| row.due_at).is_some_and(|due| due <= now);
            let has_news =
                !self.is(OverlooksTheInbox) && !self.readable_inbox(due.run).await?.rows.is_empty();
            found.extend((is_due || has_news).then_some(due));
        }
        Ok(found)
    }

    pub(super) async fn spoiled_offers(&self, mut query: OfferQuery) -> Result<Page<OfferRow>, StoreError> {
        if self.is(MixesQueues) {
            query.queues.clear();
        }
        if self.is(MixesTasksWithWork) {
            query.tasks = None;
        }
        let dark = lock(&self.world.dark_offers).clone();
        if self.is(FailsForUnreadableOffers) && !dark.is_empty() {
            return Err(StoreError::Corrupt("labels that nobody can read".to_owned()));
        }
        let most = query.limit;
        // A page holds what can be read.
        query.limit = if dark.is_empty() { most } else { usize::MAX };
        let mut page = self.right.offers(query).await?;
        if !dark.is_empty() {
            page.items.retain(|row| !dark.contains(&row.offer.ticket));
            page.more = most > 0 && page.items.len() > most;
            page.items.truncate(if most > 0 { most } else { usize::MAX });
        }
        if self.is(ListsTasksByAge) {
            page.items.sort_by_key(|row| (row.offered_at, row.offer.ticket));
        }
        if self.is(ListsOffersBackwards) {
            page.items.reverse();
        }
        Ok(page)
    }
}
