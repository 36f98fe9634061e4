//! Engines and stores that are built wrong on purpose, each in one way, at the ports of the right ones. The simulation must
//! notice every one of them, or it could not be believed where it notices nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_core::id::{RunId, TransitionId, Unit};
use orchestrator_core::machine::{
    self, AfterLoss, Claim, Event, Hold, Intent, Recorded, StepCancelled, StepKind, WaitOn,
};
use orchestrator_core::port::store::{Member, Store};
use orchestrator_core::spec::Paths;
use orchestrator_core::time::Timestamp;

use crate::ticks::TICK;
use crate::truth::Truth;
use crate::world::BEGIN;

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident,)+) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($(#[$doc])* $bug,)+
        }

        impl Bug {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$bug),+];
        }
    };
}

bugs! {
    /// Whoever writes is not asked for the right to.
    NoFence,
    /// The epoch of a step begins anew with each attempt.
    EpochReset,
    /// Who is dead is told by the clock of whoever asks.
    DeathByOwnClock,
    /// A dead owner that renews is alive again.
    RenewalOfTheDead,
    /// An attempt is dispatched before its beginning is written.
    DispatchBeforeIntent,
    /// The idempotency key holds the attempt.
    KeyWithAttempt,
    /// The request is rendered anew for each attempt.
    RenderedAnew,
    /// A commit whose answer was lost is written again without a look.
    BlindRetry,
    /// The rows that are listed are written in a transaction of their own.
    RowsApart,
    /// What comes next is scheduled in a transaction of its own.
    ScheduledApart,
    /// A timeout lets go of the slot, and not of the work.
    WorkGoesOn,
    /// A step that waits for a person times out like one that works.
    WaitTimesOut,
    /// Cancelling writes over what has succeeded.
    CancelOverSuccess,
    /// A decision is not bound to what was shown.
    UnboundDecision,
    /// A reader of events is told of a number before the events below it are written.
    SkippingFeed,
    /// Lost attempts do not count.
    UncountedLosses,
    /// Who takes over a run takes the epoch of the last.
    SameEpoch,
    /// Values are written after the commit that refers to them.
    ValuesApart,
    /// The policy that is recorded is the one of the moment of the commit.
    PolicyOfTheMoment,
    /// What a key allows is not looked at.
    TooManyHold,
    /// Whoever gives a place back says nothing of it.
    PlacesAreKept,
    /// Who waits for a place is not written down.
    NobodyIsInLine,
    /// What a rate allows is not looked at.
    TooManyBegin,
    /// Runs of a schedule are started under no key.
    KeylessTicks,
}

/// What wrong stores remember.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Members of those who had lost the right to write.
    pub(crate) stale: BTreeSet<(RunId, TransitionId)>,
    /// Members that were acknowledged and not written yet.
    held: BTreeMap<RunId, Member>,
    /// Which version the policy has.
    pub(crate) policy: u64,
    /// What the policy has answered with.
    pub(crate) ruled: BTreeSet<(RunId, String, String)>,
}

impl Truth {
    /// Makes a member what the wrong store makes of it.
    pub(crate) async fn spoil(&self, member: &mut Member) {
        let Some(bug) = self.world.bug else { return };
        match bug {
            Bug::NoFence if member.create.is_none() => {
                if let Ok(Some(row)) = self.store.run(member.run).await {
                    member.expected = row.seq;
                    member.driver = None;
                }
            }
            Bug::RowsApart => {
                if let Ok(Some(row)) = self.store.run(member.run).await
                    && self.world.chance(|chance| chance.permille(100))
                {
                    member.summary.done = row.done;
                    member.summary.generation = row.generation;
                    member.summary.driver = row.driver;
                }
            }
            Bug::ScheduledApart if self.world.chance(|chance| chance.permille(100)) => {
                member.summary.due_at = None;
            }
            Bug::KeylessTicks if member.create.as_ref().is_some_and(|new| &*new.workflow == TICK) => {
                member.create.iter_mut().for_each(|new| new.key = None);
            }
            Bug::CancelOverSuccess => self.cancel_over_success(member),
            Bug::ValuesApart if self.world.chance(|chance| chance.permille(200)) => member.values.clear(),
            Bug::TooManyHold | Bug::PlacesAreKept | Bug::NobodyIsInLine | Bug::TooManyBegin => {
                spoil_places(bug, member);
            }
            Bug::PolicyOfTheMoment => {
                let version = policy_name(self.memory.lock().unwrap().policy);
                member.decisions.iter_mut().for_each(|decision| decision.policy = version.as_str().into());
            }
            _ => {}
        }
        let driver = member.driver.map(|fence| fence.epoch).or(self.driver_epoch(member.run));
        member.events.iter_mut().for_each(|event| spoil_event(bug, event, driver));
        if matches!(bug, Bug::WaitTimesOut | Bug::UncountedLosses) {
            self.summarize_anew(member);
        }
    }

    /// The rows say what the spoilt events say, as those of a wrong engine would.
    fn summarize_anew(&self, member: &mut Member) {
        let Some(mut state) = self.with(member.run, |seen| seen.state.clone()) else { return };
        for (seq, event) in (member.expected + 1..).zip(&member.events) {
            let (at, transition, event) = (member.at, member.transition, event.clone());
            if machine::apply(&mut state, &Recorded { seq, at, transition, event }).is_err() {
                return;
            }
        }
        member.summary.due_at = machine::wake_at(&state);
        member.summary.status = state.status();
    }

    fn driver_epoch(&self, run: RunId) -> Option<u64> {
        self.with(run, |seen| seen.state.head().driver_epoch)
    }

    fn cancel_over_success(&self, member: &mut Member) {
        let cancels = |event: &Event| matches!(event, Event::IntentChanged(changed) if changed.intent == Intent::Cancel);
        if !member.events.iter().any(cancels) {
            return;
        }
        let done: Vec<Unit> = self
            .with(member.run, |seen| {
                let done = |kind| kind == StepKind::Succeeded;
                seen.state.slots().filter(|(_, slot)| done(slot.state.kind())).map(|(unit, _)| unit).collect()
            })
            .unwrap_or_default();
        member.events.extend(done.into_iter().take(1).map(|step| StepCancelled { step, attempt: 1 }.into()));
    }

    /// Keeps a member back that begins something: it is written with the next of its run.
    pub(crate) fn hold_back(&self, member: &Member) -> bool {
        let begins = member.events.iter().any(|event| matches!(event, Event::StepBegun(_)));
        if !self.world.is(Bug::DispatchBeforeIntent) || !begins || member.create.is_some() {
            return false;
        }
        self.memory.lock().unwrap().held.insert(member.run, member.clone());
        true
    }

    /// What was kept back of a run.
    pub(crate) fn held_back(&self, run: RunId) -> Option<Member> {
        self.memory.lock().unwrap().held.remove(&run)
    }
}

fn spoil_places(bug: Bug, member: &mut Member) {
    let Some(admission) = &mut member.admission else { return };
    match bug {
        Bug::TooManyBegin => admission.takes.iter_mut().for_each(|(_, hold)| {
            if let Claim::Rate { limit, .. } = &mut Arc::make_mut(hold).claim {
                *limit = u32::MAX;
            }
        }),
        Bug::TooManyHold => admission.takes.iter_mut().for_each(|(_, hold)| {
            if hold.claim.per().is_some() {
                return;
            }
            *hold = Arc::new(match hold.claim.paths() {
                None => Hold::place(&hold.key, u32::MAX),
                Some(_) => Hold::paths("site", Paths::new(&[] as &[&str], &[]).unwrap()),
            });
        }),
        Bug::PlacesAreKept => admission.releases.clear(),
        _ => admission.waits.clear(),
    }
}

/// When a wait that should have no end is over.
const SOON: Timestamp = Timestamp::from_millis(BEGIN.as_millis() + 1);

fn spoil_event(bug: Bug, event: &mut Event, driver_epoch: Option<u64>) {
    match (bug, event) {
        (Bug::EpochReset, Event::StepBegun(begun)) => begun.epoch = 1,
        (Bug::UncountedLosses, Event::StepLost(lost)) if lost.then == AfterLoss::Quarantine => {
            lost.then = AfterLoss::Again;
        }
        (Bug::SameEpoch, Event::DriverTaken(taken)) => {
            taken.epoch = driver_epoch.filter(|epoch| *epoch > 0).unwrap_or(taken.epoch);
        }
        (Bug::WaitTimesOut, Event::StepWaiting(waiting))
            if waiting.until.is_none() && matches!(waiting.on, WaitOn::Approval { .. }) =>
        {
            waiting.until = Some(SOON);
        }
        _ => {}
    }
}

/// What the policy of a version is called.
pub(crate) fn policy_name(version: u64) -> String {
    format!("simulated@{version}")
}
