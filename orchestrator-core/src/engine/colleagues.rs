//! Who else is there: what others serve, as far as this process has looked.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::driver::Driver;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::id::{RunId, Unit};
use crate::machine::{StepKind, is_away, next_timer};
use crate::port::store::Serves;
use crate::spec::Placement;
use crate::time::Timestamp;

/// How long what was seen of others counts.
const FRESH: Duration = Duration::from_secs(1);

/// How many offers of a run there are at a time for each of those who serve its queue: enough that nobody waits for the next
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
    /// By nobody for now: none that is alive serves its queue, or enough is offered already.
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
            let wanted = known.asked || !known.waiting.is_empty();
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
        let others: Vec<_> = others.map(|row| (row.serves, row.deadline)).collect();
        let mut known = self.colleagues();
        let serves = |others: &[(Serves, Timestamp)]| {
            others
                .iter()
                .filter(|(_, until)| *until > now)
                .map(|(serves, _)| serves.clone())
                .collect::<Vec<_>>()
        };
        // Whoever waits learns too that they were looked for.
        let changed = known.at.is_none() || serves(&known.others) != serves(&others);
        (known.others, known.at, known.asked) = (others, Some(now), false);
        if changed {
            let waiting = std::mem::take(&mut known.waiting);
            drop(known);
            waiting.into_iter().for_each(|run| self.tell(run, Note::Served));
        }
    }
}

impl Driver {
    /// Where an attempt of the step is to be executed.
    pub(crate) fn site(&self, step: Unit) -> Site {
        let placement = self.loaded.workflow.step(step.step).options().placement.as_ref();
        let placement = placement.unwrap_or(&ANYWHERE);
        if self.shared.executes(placement) {
            Site::Here
        } else if self.may_offer(placement) {
            Site::Elsewhere(placement.clone())
        } else {
            Site::Nowhere
        }
    }

    /// To whom a step is offered for which there is no slot here.
    pub(crate) fn surplus(&self, step: Unit) -> Option<Arc<Placement>> {
        let placement = self.loaded.workflow.step(step.step).options().placement.as_ref();
        let placement = placement.unwrap_or(&ANYWHERE);
        if !self.shared.shares {
            return None;
        }
        let may_offer = self.may_offer(placement);
        if !may_offer {
            self.shared.colleagues().waiting.insert(self.run);
        }
        may_offer.then(|| placement.clone())
    }

    fn may_offer(&self, placement: &Placement) -> bool {
        let others = self.shared.colleagues_for(placement);
        (self.state.count(StepKind::Offered) as usize) < others * AHEAD
    }

    /// Whether nothing moves but what nobody serves.
    pub(crate) fn waits_for_a_worker(&self) -> bool {
        let is_idle = self.local.is_empty() && self.preparing.is_empty() && !self.wants_slot;
        let alone = is_idle && !self.unserved.is_empty() && self.inputs.is_empty();
        alone
            && self.state.children() == 0
            && !is_away(&self.state)
            && next_timer(&self.state).is_none()
            && self.shared.colleagues().at.is_some()
    }

    /// Leaves a step alone until others serve it, or have room for it.
    pub(crate) fn leave_for_later(&mut self, step: Unit) {
        self.unserved.insert(step.step);
        self.shared.colleagues().waiting.insert(self.run);
    }
}
