//! What a batch begins: steps are prepared, and executed here, offered to others, or carried out by another run.

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::batch::{BYTE_LIMIT, Batch, Begun, Decided, EVENT_LIMIT};
use crate::engine::colleagues::Site;
use crate::engine::driver::Driver;
use crate::engine::member::Draft;
use crate::engine::places::Rooms;
use crate::engine::prepare::{self, Done, Preparation};
use crate::id::Unit;
use crate::machine::{Begin, Command, Effect, Prepared, effect_of};

impl Batch {
    /// Prepares and begins steps while there are slots and room.
    pub(crate) fn begin_more(&mut self, driver: &mut Driver, draft: &mut Draft) {
        (driver.wants_slot, driver.reconsiders) = (false, None);
        let slots = driver.permits.len() + driver.shared.slots.available_permits();
        let begins = driver.state.actionable_count().min(slots).min(EVENT_LIMIT);
        draft.reserve(begins);
        self.begun.reserve(begins);
        // Without a slot only what is for others can begin.
        let mut for_others = false;
        self.enter(driver, draft);
        while draft.events.len() < EVENT_LIMIT && self.bytes < BYTE_LIMIT {
            let Some(effect) = driver.next_actionable(for_others, &self.taken) else { return };
            let went_on = match effect {
                Effect::Prepare(step) => self.prepare(driver, draft, step),
                Effect::Continue(step) => self.go_on(driver, draft, step),
                _ => false,
            };
            if !went_on {
                if for_others || !driver.loaded.workflow.is_placed() {
                    return;
                }
                for_others = true;
            }
        }
    }

    fn prepare(&mut self, driver: &mut Driver, draft: &mut Draft, step: Unit) -> bool {
        if !driver.state.may_begin(step) {
            let skip = Command::Prepared { step, verdict: Prepared::Skip };
            return matches!(self.say(driver, draft, &skip), Decided::Changed(_));
        }
        let is_delegated = driver.state.spec(step).options().child.is_some();
        let permit = match driver.site(step) {
            _ if is_delegated => None,
            Site::Elsewhere(_) => None,
            Site::Nowhere => {
                driver.leave_for_later(step);
                return true;
            }
            Site::Here => {
                let permit = driver.permit();
                if permit.is_none() && driver.surplus(step).is_none() {
                    driver.wants_slot = true;
                    return false;
                }
                permit
            }
        };
        match prepare::prepare(driver, step, self.at) {
            Preparation::Done(done) => {
                matches!(self.take_done(driver, draft, step, done, permit), Decided::Changed(_))
            }
            Preparation::Load(references) => {
                driver.preparing.insert(step);
                driver.load(Some(step), references, permit);
                true
            }
            Preparation::Judge(case) => {
                driver.preparing.insert(step);
                driver.judge(*case, permit);
                true
            }
        }
    }

    pub(crate) fn take_done(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        mut done: Done,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Decided {
        // A task takes what it holds when it is claimed.
        if let Prepared::Begin(Begin { holds, .. }) = &done.verdict
            && !driver.loaded.workflow.step(step.step).is_task()
            && let Some(hold) = self.missing(driver, holds).cloned()
        {
            driver.permits.extend(permit);
            return self.park(driver, draft, step, hold);
        }
        if driver.loaded.workflow.step(step.step).options().child.is_some() {
            // Another run takes the slots that it needs.
            driver.permits.extend(permit);
            return self.delegate(driver, draft, step, done);
        }
        if !matches!(done.verdict, Prepared::Begin(_)) {
            return self.say_done(driver, draft, step, done);
        }
        let permit = match (driver.site(step), permit) {
            (Site::Here, Some(permit)) => permit,
            (Site::Here, None) => match driver.surplus(step) {
                Some(placement) => return self.offer(driver, draft, step, done, &placement),
                None => {
                    // Without a slot nothing begins; the step is prepared again when there is one.
                    driver.wants_slot = true;
                    return Decided::Changed(false);
                }
            },
            (Site::Elsewhere(placement), permit) => {
                driver.permits.extend(permit);
                return self.offer(driver, draft, step, done, &placement);
            }
            (Site::Nowhere, permit) => {
                driver.permits.extend(permit);
                driver.leave_for_later(step);
                return Decided::Changed(false);
            }
        };
        let request = done.request.take();
        let decided = self.say_done(driver, draft, step, done);
        match decided {
            Decided::Changed(_) => self.begun.push(Begun { step, permit, request }),
            Decided::Rejected(_) => driver.permits.push(permit),
        }
        decided
    }

    pub(crate) fn say_done(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        done: Done,
    ) -> Decided {
        let Done { verdict, decision, value, request: _, list, ground: _ } = done;
        if let (Prepared::Expand { items, .. }, Some(list)) = (&verdict, list) {
            // The items are prepared before this very commit has brought their list into the store.
            driver.values.keep(items, list);
        }
        let decided = self.say(driver, draft, &Command::Prepared { step, verdict });
        if matches!(decided, Decided::Changed(_)) {
            self.bytes += value.as_ref().map_or(0, |value| value.body.len());
            draft.values.extend(value);
            if let Some(decision) = decision {
                draft.decisions.push(decision);
            }
            self.count_place(driver, step);
        }
        decided
    }

    fn go_on(&mut self, driver: &mut Driver, draft: &mut Draft, step: Unit) -> bool {
        let site = driver.site(step);
        let permit = match site {
            Site::Here => driver.permit(),
            Site::Elsewhere(_) => None,
            Site::Nowhere => {
                driver.leave_for_later(step);
                return true;
            }
        };
        if matches!(site, Site::Here) && permit.is_none() {
            driver.wants_slot = true;
            return false;
        }
        if let Some(hold) = self.missing(driver, driver.state.slot(step).holds()).cloned() {
            driver.permits.extend(permit);
            return matches!(self.park(driver, draft, step, hold), Decided::Changed(true));
        }
        let slot = driver.state.slot(step);
        let missing = driver.values.missing(slot.request.iter().chain(slot.state.signalled()));
        if !missing.is_empty() {
            driver.preparing.insert(step);
            driver.load(Some(step), missing, permit);
            return true;
        }
        let permit = match (site, permit) {
            (Site::Elsewhere(placement), _) => return self.offer_again(driver, draft, step, &placement),
            (_, Some(permit)) => permit,
            (_, None) => return false,
        };
        let command = Command::Continue { step, owner: driver.owner() };
        let accepted = matches!(self.say(driver, draft, &command), Decided::Changed(_));
        if accepted {
            self.count_place(driver, step);
            self.begun.push(Begun { step, permit, request: None });
        } else {
            driver.permits.push(permit);
        }
        accepted
    }
}

impl Driver {
    /// A slot, if one is free.
    pub(crate) fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        self.permits.pop().or_else(|| self.shared.slots.clone().try_acquire_owned().ok())
    }

    /// The first step that can be prepared or continued now.
    fn next_actionable(&self, for_others: bool, taken: &Rooms) -> Option<Effect> {
        if let Some(given) = self.given_place(for_others, taken) {
            return Some(given);
        }
        let mut actionable = self.state.actionable().filter(|step| {
            let is_open = !self.preparing.contains(step) && !self.unserved.contains(&step.step);
            is_open && (!for_others || self.is_for_others(*step))
        });
        effect_of(&self.state, actionable.next()?)
    }
}
