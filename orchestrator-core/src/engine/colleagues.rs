//! Who else is there: what others serve, as far as this process has looked.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::driver::Driver;
use crate::engine::note::Note;
use crate::engine::occupancy::LOOK;
use crate::engine::shared::Shared;
use crate::id::{RunId, Unit};
use crate::machine::{is_away, next_timer, offered};
use crate::port::store::Serves;
use crate::spec::Placement;
use crate::time::Timestamp;

/// How long what was seen of others counts.
const FRESH: Duration = Duration::from_secs(1);

/// How many offers of a step there are at a time for each of those who serve its queue: enough that nobody waits for the next
/// while a commit is on its way, and no more than can be taken back.
const AHEAD: usize = 64;

/// What others serve.
#[derive(Debug, Default)]
pub(crate) struct Colleagues(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When they were looked for.
    at: Option<Timestamp>,
    /// Whether somebody has asked since.
    asked: bool,
    /// What each of them serves, and until when it is alive without renewal.
    others: Vec<(Serves, Timestamp)>,
    /// Runs with a step that nobody serves.
    waiting: BTreeSet<RunId>,
}

/// Where an attempt is to be executed.
#[derive(Debug)]
pub(crate) enum Site {
    /// By this process.
    Here,
    /// By whoever claims it.
    Elsewhere(Arc<Placement>),
    /// By nobody for now: its queue is paused, none that is alive serves it, or enough is offered already.
    Nowhere,
}

static ANYWHERE: LazyLock<Arc<Placement>> = LazyLock::new(Arc::default);

impl Shared {
    fn colleagues(&self) -> MutexGuard<'_, Known> {
        self.colleagues.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many others are alive that take offers of this kind.
    fn colleagues_for(&self, placement: &Placement) -> usize {
        let now = self.clock.now();
        let mut known = self.colleagues();
        known.asked = true;
        let Placement { queue, labels } = placement;
        known.others.iter().filter(|(serves, until)| *until > now && serves.takes(queue, labels)).count()
    }

    /// Whether this process executes what is placed so.
    fn executes(&self, placement: &Placement) -> bool {
        match &self.serves.queues[..] {
            // One that takes no work off others does what asks for nobody in particular.
            [] => placement == &**ANYWHERE,
            _ => self.serves.takes(&placement.queue, &placement.labels),
        }
    }

    /// Looks for others, if somebody wants to know, and tells those who wait for them what has changed.
    pub(crate) async fn look_for_colleagues(&self) {
        let now = self.clock.now();
        let is_fresh = {
            let known = self.colleagues();
            let wanted = known.asked || !known.waiting.is_empty() || !self.away().is_empty();
            !wanted || known.at.is_some_and(|at| now.since(at) < FRESH)
        };
        if is_fresh {
            return;
        }
        let rows = match self.store.owners().await {
            Ok(rows) => rows,
            Err(error) => return tracing::debug!(%error, "cannot look for others"),
        };
        let own = self.owner();
        let others = rows.into_iter().filter(|row| row.id != own && !row.serves.queues.is_empty());
        let others = others.map(|row| (row.serves, row.deadline)).collect();
        let told = {
            let mut known = self.colleagues();
            (known.others, known.at, known.asked) = (others, Some(self.clock.now()), false);
            let mut told = std::mem::take(&mut known.waiting);
            told.extend(self.away().iter());
            told
        };
        // Also where nothing has changed: whoever waits has perhaps asked a moment before.
        told.into_iter().for_each(|run| self.tell(run, Note::Served));
    }

    /// Whether what is known of others is of this moment.
    fn has_looked(&self) -> bool {
        let now = self.clock.now();
        self.colleagues().at.is_some_and(|at| now.since(at) < 2 * FRESH)
    }

    /// Whether anybody takes what is placed so, as far as is known at this moment.
    fn is_taken(&self, placement: &Placement) -> bool {
        let Placement { queue, labels } = placement;
        self.serves.takes(queue, labels) || self.colleagues_for(placement) > 0 || !self.has_looked()
    }
}

impl Driver {
    /// Where an attempt of the step is to be executed.
    pub(crate) fn site(&self, step: Unit) -> Site {
        let placement = self.placement(step);
        if self.is_held(step, &placement.queue) {
            Site::Nowhere
        } else if self.state.spec(step).is_task() {
            // Whoever claims it need not be there yet.
            Site::Elsewhere(placement.clone())
        } else if self.shared.executes(placement) {
            Site::Here
        } else if !self.shared.is_paused(&placement.queue) && self.may_offer(step, placement) {
            Site::Elsewhere(placement.clone())
        } else {
            Site::Nowhere
        }
    }

    /// To whom a step is offered for which there is no slot here.
    pub(crate) fn surplus(&mut self, step: Unit) -> Option<Arc<Placement>> {
        if !self.shared.shares {
            return None;
        }
        let now = self.shared.clock.now();
        if !self.shared.occupancy.is_busy(now) {
            self.reconsiders = Some(now + LOOK);
            return None;
        }
        let placement = self.placement(step).clone();
        let may_offer = self.may_offer(step, &placement);
        if !may_offer {
            self.shared.colleagues().waiting.insert(self.run);
        }
        may_offer.then_some(placement)
    }

    fn may_offer(&self, step: Unit, placement: &Placement) -> bool {
        let others = self.shared.colleagues_for(placement);
        others > 0 && offered(&self.state).filter(|(unit, _)| unit.step == step.step).count() < others * AHEAD
    }

    pub(crate) fn placement(&self, step: Unit) -> &Arc<Placement> {
        let placement = self.loaded.workflow.step(step.step).options().placement.as_ref();
        placement.unwrap_or(&ANYWHERE)
    }

    /// Whether a step is for others, whether or not there is a slot here.
    pub(crate) fn is_for_others(&self, step: Unit) -> bool {
        self.state.spec(step).is_task() || !self.shared.executes(self.placement(step))
    }

    /// What is offered, and nobody takes any more.
    pub(crate) fn forsaken(&self) -> Vec<(Unit, u64)> {
        offered(&self.state).filter(|(unit, _)| !self.shared.is_taken(self.placement(*unit))).collect()
    }

    /// Whether nothing moves but what nobody serves.
    pub(crate) fn waits_for_a_worker(&self) -> bool {
        let is_idle = self.local.is_empty() && self.preparing.is_empty() && !self.wants_slot;
        let alone = is_idle && !self.unserved.is_empty() && self.inputs.is_empty();
        alone
            && self.state.children() == 0
            && !is_away(&self.state)
            && !self.state.parked().any(|step| !self.unserved.contains(&step.step))
            && next_timer(&self.state).is_none()
            && self.shared.has_looked()
    }

    /// Leaves a step alone until others serve it, or have room for it, or its queue is resumed.
    pub(crate) fn leave_for_later(&mut self, step: Unit) {
        self.unserved.insert(step.step);
        self.shared.colleagues().waiting.insert(self.run);
    }
}
