//! Offers, who has claimed them, and what was delivered.

use std::collections::BTreeMap;

use crate::id::{OwnerId, RunId, Unit};
use crate::port::queue::StepTicket;
use crate::port::store::{
    Claim, ClaimRow, Claimed, Deliver, Delivered, InboxRow, OfferQuery, OfferRow, Remote, StepRow,
};
use crate::time::Timestamp;

/// The offers of all runs, and their inboxes.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// A step or item has one at a time.
    offers: BTreeMap<(RunId, Unit), Offered>,
    inbox: BTreeMap<StepTicket, InboxRow>,
}

#[derive(Debug)]
struct Offered {
    row: OfferRow,
    /// Whether its executor is to be told to stop.
    stops: bool,
}

impl Desk {
    fn find(&self, ticket: &StepTicket) -> Option<&Offered> {
        let offered = self.offers.get(&(ticket.run, ticket.unit()));
        offered.filter(|offered| offered.row.offer.ticket == *ticket)
    }

    fn find_mut(&mut self, ticket: &StepTicket) -> Option<&mut Offered> {
        let offered = self.offers.get_mut(&(ticket.run, ticket.unit()));
        offered.filter(|offered| offered.row.offer.ticket == *ticket)
    }

    /// The claims of what a member takes back or claims.
    pub(super) fn claimed(&self, remote: &Remote) -> Vec<ClaimRow> {
        let named = remote.withdrawn.iter().chain(remote.claims.iter().map(|claim| &claim.ticket));
        named.filter_map(|ticket| self.find(ticket)?.row.claim).collect()
    }

    /// Whether all is there that a member claims.
    pub(super) fn has_claimed(&self, remote: &Remote) -> bool {
        remote.claims.iter().all(|claim| self.find(&claim.ticket).is_some())
    }

    /// Whether a member offers what is offered already, and stays so.
    pub(super) fn doubles(&self, remote: &Remote) -> bool {
        remote.offers.iter().any(|offer| {
            let there = self.offers.get(&(offer.ticket.run, offer.ticket.unit()));
            there.is_some_and(|there| {
                let ticket = &there.row.offer.ticket;
                !remote.withdrawn.contains(ticket) && !remote.taken.contains(ticket)
            })
        })
    }

    pub(super) fn write(&mut self, remote: Remote, at: Timestamp, now: Timestamp) {
        for ticket in remote.withdrawn.iter().chain(&remote.taken) {
            self.inbox.remove(ticket);
            if self.find(ticket).is_some() {
                self.offers.remove(&(ticket.run, ticket.unit()));
            }
        }
        for ticket in &remote.stops {
            if let Some(offered) = self.find_mut(ticket) {
                offered.stops = true;
            }
        }
        for Claim { ticket, owner } in remote.claims {
            if let Some(offered) = self.find_mut(&ticket) {
                offered.row.claim = Some(ClaimRow { ticket, owner, at: now });
            }
        }
        for offer in remote.offers {
            let place = (offer.ticket.run, offer.ticket.unit());
            let row = OfferRow { offer, offered_at: at, claim: None };
            self.offers.insert(place, Offered { row, stops: false });
        }
    }

    /// The owner is alive.
    pub(super) fn claim(&mut self, claim: Claim, now: Timestamp) -> Claimed {
        let Claim { ticket, owner } = claim;
        // It is over: an answer about it that was long on its way must not begin it again.
        if self.inbox.contains_key(&ticket) {
            return Claimed::Gone;
        }
        let Some(offered) = self.find_mut(&ticket) else { return Claimed::Gone };
        let held = offered.row.claim.get_or_insert(ClaimRow { ticket, owner, at: now });
        if held.owner == owner { Claimed::Yours(Box::new(offered.row.clone())) } else { Claimed::Gone }
    }

    /// Whether it is the first that is said of that end is the second answer.
    pub(super) fn deliver(&mut self, deliver: &Deliver, now: Timestamp) -> (Delivered, bool) {
        let claim = self.find(&deliver.ticket).and_then(|offered| offered.row.claim);
        let Some(claim) = claim.filter(|claim| claim.owner == deliver.owner) else {
            return (Delivered::Fenced, false);
        };
        match self.inbox.get(&deliver.ticket) {
            Some(InboxRow { end: Some(_), .. }) => (Delivered::Kept, false),
            Some(_) => (Delivered::Fenced, false),
            None => {
                let row = InboxRow { claim, at: now, end: Some(deliver.end.clone()) };
                self.inbox.insert(deliver.ticket, row);
                (Delivered::Kept, true)
            }
        }
    }

    /// An owner has died: what it had claimed, and not delivered, is lost.
    pub(super) fn lose(&mut self, owner: OwnerId, now: Timestamp) {
        let claims = self.offers.values().filter_map(|offered| offered.row.claim);
        for claim in claims.filter(|claim| claim.owner == owner) {
            self.inbox.entry(claim.ticket).or_insert(InboxRow { claim, at: now, end: None });
        }
    }

    /// What an owner has claimed and is to stop.
    pub(super) fn stops(&self, owner: OwnerId) -> Vec<StepTicket> {
        let claimed = self.offers.values().filter(|offered| offered.stops);
        let claimed = claimed.filter_map(|offered| offered.row.claim);
        claimed.filter(|claim| claim.owner == owner).map(|claim| claim.ticket).collect()
    }

    pub(super) fn offers(&self, query: &OfferQuery) -> Vec<&OfferRow> {
        let is_asked = |row: &&OfferRow| {
            (query.queues.is_empty() || query.queues.contains(&row.offer.queue))
                && query.run.is_none_or(|run| row.offer.ticket.run == run)
                && (!query.free || row.claim.is_none())
                && (!query.claimed || row.claim.is_some())
                && query.tasks.is_none_or(|tasks| row.offer.task.is_some() == tasks)
                && query.after.is_none_or(|after| row.place() > after)
        };
        let mut rows: Vec<&OfferRow> =
            self.offers.values().map(|offered| &offered.row).filter(is_asked).collect();
        rows.sort_by_key(|row| row.place());
        rows
    }

    pub(super) fn inbox(&self, run: RunId) -> Vec<InboxRow> {
        let mut rows: Vec<InboxRow> =
            self.inbox.values().filter(|row| row.claim.ticket.run == run).cloned().collect();
        rows.sort_by_key(|row| (row.at, row.claim.ticket));
        rows
    }

    /// The runs that have something in their inbox, and since when.
    pub(super) fn waiting(&self) -> BTreeMap<RunId, Timestamp> {
        let mut waiting = BTreeMap::new();
        for row in self.inbox.values() {
            let since = waiting.entry(row.claim.ticket.run).or_insert(row.at);
            *since = row.at.min(*since);
        }
        waiting
    }

    /// Says in the rows of a run's steps by whom they are claimed.
    pub(super) fn lay_over(&self, run: RunId, rows: &mut [StepRow]) {
        for row in rows {
            let offered = self.offers.get(&(run, Unit::new(row.step, row.item)));
            offered.and_then(|offered| offered.row.claim).iter().for_each(|claim| row.lay_over(claim));
        }
    }

    /// The owners that claims name.
    pub(super) fn owners(&self) -> impl Iterator<Item = OwnerId> {
        self.offers.values().filter_map(|offered| Some(offered.row.claim?.owner))
    }

    /// A run is gone.
    pub(super) fn forget(&mut self, run: RunId) {
        self.offers.retain(|(of, _), _| *of != run);
        self.inbox.retain(|ticket, _| ticket.run != run);
    }
}
