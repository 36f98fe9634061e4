//! A run and the world around it. Every command goes through [`World::say`], which holds decide, apply and the
//! ledger against each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use orchestrator_core::machine::transitions::TRANSITIONS;
use orchestrator_core::machine::{
    Arrival, Asked, Begin, Command, Decide, Effect, Event, Fence, Finished, Hold, Holds, Intent, Judge,
    MAX_SIGNALS, Prepared, Recorded, Rejection, RunCreated, RunState, StepKind, StepState, WaitOn, apply,
    check, decide, effect_of, fold, is_to_stop, outstanding, wake_at,
};
use orchestrator_core::plan::Plan;
use orchestrator_core::spec::Paths;
use orchestrator_core::spec::expr::Standing;
use orchestrator_core::spec::{EffectClass, OnExpiry, Workflow};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};
use uuid::Uuid;

use crate::answer::check_answer;
use crate::away::Claims;
use crate::flow::{Shape, workflow};
use crate::ledger::{Door, End, Ledger, Place, Right};
use crate::view::{Coverage, View, name, step_of};

/// A run, its log, its ledger, and the time.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) state: RunState,
    pub(crate) log: Vec<Recorded>,
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    pub(crate) said: Vec<Command>,
    pub(crate) coverage: Coverage,
    pub(crate) shapes: Vec<Shape>,
    /// What the store knows of offers, and the log need not: who has claimed them, and when.
    claims: Claims,
    owners: Vec<OwnerId>,
    workflow: Arc<Workflow>,
    plan: Arc<Plan>,
}

/// A small id: the same number makes the same id.
pub(crate) fn owner(number: u128) -> OwnerId {
    OwnerId::from_uuid(Uuid::from_u128(number))
}

/// Someone who asks.
pub(crate) fn asked() -> Asked {
    Asked { by: "someone".into(), reason: Some("because".into()) }
}

/// A short value.
pub(crate) fn value(number: u64) -> ValueRef {
    ValueRef::Inline(number.to_string().into())
}

/// How many owners act at a time.
pub(crate) const OWNERS: usize = 3;

impl World {
    pub(crate) fn new(shapes: Vec<Shape>) -> Self {
        Self::held_up(shapes, None, None)
    }

    /// A run that is to begin after some time, or that needs a place.
    pub(crate) fn held_up(shapes: Vec<Shape>, after: Option<Duration>, place: Option<Arc<Hold>>) -> Self {
        let (workflow, plan) = workflow(&shapes);
        let run = RunId::from_uuid(Uuid::from_u128(99));
        let mut world = Self {
            state: RunState::new(run, workflow.clone(), plan.clone()),
            log: Vec::new(),
            ledger: Ledger::new(&shapes),
            now: Timestamp::from_millis(1_000_000),
            said: Vec::new(),
            coverage: Coverage::default(),
            shapes,
            claims: Claims::default(),
            owners: (1..=OWNERS as u128).map(owner).collect(),
            workflow,
            plan,
        };
        check(&world.state).expect("a state before its first event");
        let created = RunCreated {
            workflow: "random".into(),
            revision: Digest::of(b""),
            inputs: value(1),
            by: "someone".into(),
            pins: None,
            not_before: after.map(|after| world.now + after),
            place,
            within: Vec::new(),
        };
        world.record(vec![created.into()]);
        world
    }

    /// The incarnation that is alive in one of the places for owners.
    pub(crate) fn owner(&self, place: u8) -> OwnerId {
        self.owners[usize::from(place) % OWNERS]
    }

    /// The incarnation in a place dies, and a new one takes its place. Gives the dead one.
    pub(crate) fn die(&mut self, place: u8) -> OwnerId {
        let number = self.owners.iter().map(|owner| owner.as_uuid().as_u128()).max().unwrap_or_default() + 1;
        std::mem::replace(&mut self.owners[usize::from(place) % OWNERS], owner(number))
    }

    /// Says something to the run, and holds the answer to the laws. Gives the events.
    pub(crate) fn say(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        let answer = decide(&self.state, &command, self.now);
        assert_eq!(answer, decide(&self.state, &command, self.now), "the same question, another answer");
        assert_eq!(answer.is_ok(), self.is_acceptable(&command), "{command:?}: {answer:?}");
        let reason = match &answer {
            Ok(events) if events.is_empty() => "ok, nothing".to_owned(),
            Ok(_) if self.ledger.ended.is_some() => "ok, after the end".to_owned(),
            Ok(_) => "ok".to_owned(),
            Err(Rejection::Driven(_)) => "the run is driven by another".to_owned(),
            Err(rejection) => rejection.to_string(),
        };
        *self.coverage.answers.entry(format!("{}: {reason}", name(&command))).or_default() += 1;
        if let Ok(events) = &answer {
            check_answer(self, &command, events);
        }
        if let Ok(events) = &answer
            && !events.is_empty()
        {
            self.record(events.clone());
            let again = decide(&self.state, &command, self.now);
            // A signal that is said twice is two signals.
            let counts = matches!(command, Command::Signal { .. });
            assert!(
                counts || again.as_ref().map_or(true, Vec::is_empty),
                "{command:?} a second time: {again:?}"
            );
        }
        self.said.push(command);
        answer
    }

    /// Whether a command may be accepted, by the ledger's account.
    fn is_acceptable(&self, command: &Command) -> bool {
        let ledger = &self.ledger;
        let place = |unit: &Unit| ledger.place(unit.step);
        if ledger.ended.is_some() {
            return match command {
                Command::Retry { .. } => self.retried(command).is_some(),
                Command::Resolve { step, .. } => matches!(place(step), Some(Place::Unknown { .. })),
                _ => false,
            };
        }
        match command {
            Command::ReleaseDriver(fence) => ledger.driver == Some(*fence),
            Command::TakeDriver { owner, dead } => match ledger.driver {
                None => *dead != Some(*owner),
                Some(driver) => {
                    *dead != Some(*owner) && (driver.owner == *owner || *dead == Some(driver.owner))
                }
            },
            Command::Prepared { step, verdict } => self.may_be_prepared(*step, verdict),
            Command::Continue { step, owner } | Command::Offer { step, owner, .. } => {
                ledger.proceeds() && place(step) == Some(&Place::Arrived) && ledger.may_be_moved_by(*owner)
            }
            Command::Enter { owner } | Command::StandInLine { owner } | Command::TurnAway { owner, .. } => {
                ledger.may_be_moved_by(*owner) && (ledger.lacks().is_none() || ledger.is_willing())
            }
            Command::Park { step, owner, .. } => self.may_be_parked(*step, *owner),
            Command::Claim { step, .. } | Command::Claimed { step, .. } | Command::Withdraw { step, .. } => {
                self.fits_the_offer(*step, command)
            }
            Command::Finish { step, attempt, fence, outcome } => {
                let right = Right { step: step.step, attempt: *attempt, fence: *fence };
                let may = *outcome != Finished::Lost || ledger.steps[step.step.index()].remote;
                place(step) == Some(&Place::Running(right)) && may
            }
            Command::Decide(decision) => match place(&decision.step) {
                Some(Place::Waiting { on: WaitOn::Approval { digest, .. }, until, .. }) => {
                    let seen = decision.digest.is_none_or(|seen| seen == *digest);
                    seen && until.is_none_or(|until| until > self.now)
                }
                _ => false,
            },
            Command::Judge(judge) => match place(&judge.step) {
                Some(Place::Waiting { on: WaitOn::Qa { digest, .. }, until, .. }) => {
                    let seen = judge.digest.is_none_or(|seen| seen == *digest);
                    seen && until.is_none_or(|until| until > self.now)
                }
                _ => false,
            },
            Command::Signal { name, .. } => {
                let room = ledger.signals.len() < MAX_SIGNALS;
                ledger.intent != Intent::Cancel && (room || ledger.next_to_take(name, self.now).is_some())
            }
            Command::Pause(_) | Command::Resume(_) => ledger.intent != Intent::Cancel,
            Command::Resolve { step, .. } => {
                matches!(place(step), Some(Place::Unknown { .. } | Place::Quarantined))
            }
            Command::Reconcile { step, attempt, .. } => {
                let latest = ledger.steps.get(step.step.index()).map(|entry| entry.attempts);
                matches!(place(step), Some(Place::Unknown { .. })) && latest == Some(*attempt)
            }
            Command::Retry { .. } => false,
            Command::Conclude(_) => ledger.is_settled(),
            _ => true,
        }
    }

    /// Whether what is said of an offer is so: that it is claimed, or that nobody has claimed it.
    fn fits_the_offer(&self, unit: Unit, command: &Command) -> bool {
        let is_task = self.shapes.get(unit.step.index()).is_some_and(|shape| shape.task);
        match (command, self.ledger.place(unit.step)) {
            (Command::Claim { fence, .. }, Some(Place::Offered { epoch, .. })) => {
                *epoch == fence.epoch && is_task && self.ledger.proceeds()
            }
            (Command::Claimed { attempt, fence, .. }, Some(Place::Offered { attempt: offered, epoch })) => {
                (offered, epoch) == (attempt, &fence.epoch) && !is_task
            }
            (Command::Claim { fence, .. }, Some(Place::Running(right))) => {
                right.fence == *fence && self.ledger.steps[unit.step.index()].remote
            }
            (Command::Claimed { attempt, fence, .. }, Some(Place::Running(right))) => {
                let is_right = (right.attempt, right.fence) == (*attempt, *fence);
                is_right && self.ledger.steps[unit.step.index()].remote
            }
            (Command::Withdraw { epoch, .. }, Some(Place::Offered { epoch: offered, .. })) => {
                offered == epoch
            }
            _ => false,
        }
    }

    /// Whether a step may be said to wait for a place.
    fn may_be_parked(&self, step: Unit, owner: OwnerId) -> bool {
        let ledger = &self.ledger;
        let begins = ledger.is_ready(step.step) && ledger.may_begin(step.step);
        let goes_on = ledger.place(step.step) == Some(&Place::Arrived);
        ledger.proceeds() && (begins || goes_on) && ledger.may_be_moved_by(owner)
    }

    /// Whether preparing a step may give this.
    fn may_be_prepared(&self, step: Unit, verdict: &Prepared) -> bool {
        let ledger = &self.ledger;
        let granted = |digest: &Digest| ledger.steps[step.step.index()].granted == Some(*digest);
        let suits = || match verdict {
            Prepared::Skip => true,
            Prepared::Ask { digest, .. } => ledger.may_begin(step.step) && !granted(digest),
            _ => ledger.may_begin(step.step),
        };
        let by = match verdict {
            Prepared::Begin(begin) | Prepared::Offer { begin, .. } => Some(begin.owner),
            _ => None,
        };
        ledger.proceeds()
            && ledger.is_ready(step.step)
            && suits()
            && by.is_none_or(|owner| ledger.may_be_moved_by(owner))
    }

    /// What a retry begins again; `None` where it is refused. An ended run is reopened for steps that have failed or
    /// were cancelled, unless the outcome of one of them, or of one that depends on them, is unknown, or a need of
    /// theirs has ended without success and stays so.
    pub(crate) fn retried(&self, command: &Command) -> Option<Vec<StepIx>> {
        let Command::Retry { steps, .. } = command else { return None };
        let all: Vec<StepIx> = self.plan.steps().collect();
        let is_unknown = |step: &StepIx| matches!(self.ledger.place(*step), Some(Place::Unknown { .. }));
        let has_failed = |step: &StepIx| {
            matches!(self.ledger.place(*step), Some(Place::Ended(End::Failed | End::Cancelled)))
        };
        let named: Vec<StepIx> = match steps.is_empty() {
            true => all.iter().copied().filter(|step| is_unknown(step) || has_failed(step)).collect(),
            false => steps.iter().map(|unit| unit.step).collect(),
        };
        let mut found: Vec<StepIx> = named.clone();
        // As many rounds as there are steps reach whatever can be reached.
        for _ in &all {
            found = all
                .iter()
                .copied()
                .filter(|step| {
                    let needs = &self.shapes[step.index()].needs;
                    found.contains(step) || needs.iter().any(|need| found.contains(&StepIx(*need)))
                })
                .collect();
        }
        let held = |step: &StepIx| {
            !self.shapes[step.index()].judges
                && self.shapes[step.index()].needs.iter().map(|need| StepIx(*need)).any(|need| {
                    let succeeded = self.ledger.place(need) == Some(&Place::Ended(End::Succeeded));
                    !succeeded && !is_unknown(&need) && !found.contains(&need)
                })
        };
        let accepted = !named.is_empty()
            && named.iter().all(|step| has_failed(step) && !held(step))
            && !found.iter().any(is_unknown);
        accepted.then_some(found)
    }

    /// Writes events to the log and applies them: first on a scratch that is taken back, then for good.
    fn record(&mut self, events: Vec<Event>) {
        let first = self.log.len() as u64 + 1;
        let batch: Vec<Recorded> = (first..)
            .zip(events)
            .map(|(seq, event)| Recorded {
                seq,
                at: self.now,
                transition: TransitionId::from_uuid(Uuid::from_u128(u128::from(first))),
                event,
            })
            .collect();
        let before = View::of(&self.state);
        self.state.begin_scratch();
        for recorded in &batch {
            self.apply(recorded);
        }
        let after = View::of(&self.state);
        self.state.take_back();
        assert_eq!(View::of(&self.state), before, "taking back left something");
        check(&self.state).expect("a state that was taken back to");
        self.state.begin_scratch();
        for recorded in &batch {
            let from = recorded.event.unit().map(|step| self.state.slot(step).state.kind());
            let driver = self.ledger.driver;
            self.apply(recorded);
            self.ledger.note(recorded);
            let fence = recorded.event.fence().map(|(epoch, owner)| Fence { epoch, owner });
            assert_eq!(fence, self.fence_of(&recorded.event, driver), "{recorded:?}");
            self.compare();
            *self.coverage.kinds.entry(recorded.event.kind()).or_default() += 1;
            if let (Some(step), Some(from)) = (recorded.event.unit(), from) {
                let row = (from, recorded.event.kind(), self.state.slot(step).state.kind());
                assert!(TRANSITIONS.contains(&row), "{row:?} is not in the table");
                *self.coverage.rows.entry(row).or_default() += 1;
            }
        }
        self.state.keep();
        assert_eq!(View::of(&self.state), after, "keeping changed something");
        self.log.extend(batch);
        self.look();
    }

    /// The right that an event gives, or takes from who drove the run before it.
    fn fence_of(&self, event: &Event, driver: Option<Fence>) -> Option<Fence> {
        match event {
            Event::DriverTaken(_) => self.ledger.driver,
            Event::DriverReleased(_) => driver,
            Event::StepBegun(_) | Event::StepContinued(_) | Event::StepClaimed(_) => {
                match self.ledger.place(event.unit()?.step) {
                    Some(Place::Running(right)) => Some(right.fence),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn apply(&mut self, recorded: &Recorded) {
        apply(&mut self.state, recorded).unwrap_or_else(|error| panic!("{error}: {recorded:?}"));
        check(&self.state).unwrap_or_else(|violation| panic!("{violation} after {recorded:?}"));
    }

    /// The state says of each step what the ledger says.
    fn compare(&self) {
        let ledger = &self.ledger;
        assert_eq!(self.state.head().ended.map(|(ending, _)| ending), ledger.ended);
        assert_eq!(self.state.head().intent, ledger.intent);
        assert_eq!(self.state.head().not_before, ledger.not_before);
        assert!(self.state.signals().iter().eq(&ledger.signals), "the signals that nobody has taken");
        assert_eq!(ledger.given, ledger.taken + ledger.signals.len(), "a signal was lost, or taken twice");
        assert_eq!(self.state.is_settled(), ledger.is_settled());
        assert_eq!(self.state.head().driver, ledger.driver.map(|driver| driver.owner));
        for (step, slot) in self.state.slots().map(|(unit, slot)| (unit.step, slot)) {
            let entry = &ledger.steps[step.index()];
            assert_eq!(slot.granted().copied(), entry.granted, "what was granted for s{}", step.0);
            assert_eq!(slot.feedback(), entry.feedback.as_ref(), "what s{} is told", step.0);
            assert_eq!(slot.request, entry.request, "the request of s{}", step.0);
            assert_eq!((slot.attempts, slot.epoch), (entry.attempts, entry.epoch), "s{}", step.0);
            assert_eq!(*slot.holds(), entry.holds, "what s{} has taken", step.0);
            // A task holds nothing before somebody has claimed it.
            let is_offered = matches!(entry.place, Place::Offered { .. }) && !entry.shape.task;
            let executed = is_offered || matches!(entry.place, Place::Running(_));
            let held = if executed { &entry.holds } else { Holds::NONE };
            assert_eq!(slot.held(), held, "what s{} holds", step.0);
            assert_eq!(
                slot.parked(),
                entry.parked_for.as_ref().filter(|_| entry.parked),
                "s{} waits",
                step.0
            );
            let agrees = match (&entry.place, &slot.state) {
                (Place::Open, StepState::Ready | StepState::Parked { arrival: None, .. }) => {
                    ledger.is_ready(step)
                }
                (Place::Arrived, StepState::Parked { arrival: Some(arrival), .. }) => {
                    Some(&**arrival) == entry.arrival()
                }
                (Place::Open, StepState::Pending { .. }) => !ledger.is_ready(step),
                (Place::Running(right), StepState::Running { attempt, fence, remote, arrival }) => {
                    (right.attempt, right.fence, entry.remote) == (*attempt, *fence, *remote)
                        && arrival.as_deref() == entry.arrival()
                }
                (
                    Place::Offered { attempt, epoch },
                    StepState::Offered { attempt: offered, epoch: right, arrival, task },
                ) => {
                    (attempt, epoch, entry.arrival()) == (offered, right, arrival.as_deref())
                        && *task == entry.shape.task
                }
                (Place::Backoff(due), StepState::Backoff { until }) => due == until,
                (Place::Waiting { on, until, .. }, StepState::Waiting { on: found, until: due, .. }) => {
                    *on == **found && until == due
                }
                (Place::Arrived, StepState::Arrived { arrival, .. }) => Some(&**arrival) == entry.arrival(),
                (Place::Unknown { .. }, StepState::OutcomeUnknown { .. })
                | (Place::Quarantined, StepState::Quarantined { .. }) => true,
                (Place::Ended(end), state) => format!("{end:?}") == format!("{:?}", state.kind()),
                _ => false,
            };
            assert!(agrees, "s{}: the ledger says {:?}, the state {:?}", step.0, entry.place, slot.state);
        }
    }

    /// What the world should do for the steps, by the ledger's account.
    fn expected(&self) -> Vec<Effect> {
        let ledger = &self.ledger;
        let effect = |step: StepIx| match ledger.place(step)? {
            _ if ledger.steps[step.index()].parked => None,
            Place::Open if ledger.is_ready(step) => ledger.proceeds().then(|| Effect::Prepare(step.into())),
            Place::Arrived => ledger.proceeds().then(|| Effect::Continue(step.into())),
            Place::Offered { epoch, .. } => {
                (!ledger.proceeds()).then(|| Effect::Withdraw { step: step.into(), epoch: *epoch })
            }
            // Whoever has claimed it sees to it, driven or not.
            Place::Running(_) if ledger.steps[step.index()].remote => None,
            Place::Running(_) if ledger.intent == Intent::Cancel => Some(Effect::Stop(step.into())),
            Place::Running(Right { attempt, fence, .. }) => {
                Some(Effect::Execute { step: step.into(), attempt: *attempt, fence: *fence })
            }
            _ => None,
        };
        let begins = |step: StepIx| ledger.is_ready(step) || ledger.place(step) == Some(&Place::Arrived);
        let is_new = ledger.is_willing() && ledger.lacks().is_some_and(|(_, waits)| !waits);
        let enters = (is_new && self.plan.steps().any(begins)).then_some(Effect::Enter);
        enters.into_iter().chain(self.plan.steps().filter_map(effect)).collect()
    }

    /// What the world should do, and when to look again, fits where the run is.
    fn look(&mut self) {
        assert!(self.ledger.signals.len() <= MAX_SIGNALS);
        for signal in &self.ledger.signals {
            let taker = self.ledger.next_to_take(&signal.name, self.now);
            assert_eq!(taker, None, "`{}` is kept from a step that waits for it", signal.name);
        }
        *self.coverage.statuses.entry(self.state.status()).or_default() += 1;
        let ledger = &self.ledger;
        let effects = outstanding(&self.state);
        let concludes = ledger.ended.is_none() && ledger.is_settled();
        let mut expected = if concludes { vec![Effect::Conclude] } else { self.expected() };
        for step in self.plan.steps().filter(|_| !concludes) {
            let of_step: Vec<Effect> = effects.iter().copied().filter(|e| step_of(e) == Some(step)).collect();
            assert_eq!(effect_of(&self.state, step.into()).as_slice(), of_step, "s{}", step.0);
            let stops = matches!(ledger.place(step), Some(Place::Running(_)));
            assert_eq!(is_to_stop(&self.state, step.into()), stops && ledger.intent == Intent::Cancel);
        }
        let order = |effect: &Effect| format!("{effect:?}");
        let mut found = effects.clone();
        found.sort_by_key(order);
        expected.sort_by_key(order);
        assert_eq!(found, expected);

        for step in self.plan.steps().filter(|step| ledger.proceeds() && ledger.is_ready(*step)) {
            let standing = Standing {
                success: ledger.has_its_needs(step),
                failure: ledger.has_failed_above(step),
                cancelled: false,
            };
            assert_eq!(self.state.standing(step.into()), standing, "s{}", step.0);
        }
        if ledger.intent == Intent::Cancel {
            let stays = |kind: StepKind| {
                kind.is_terminal()
                    || matches!(kind, StepKind::Offered | StepKind::Running | StepKind::OutcomeUnknown)
            };
            assert!(self.state.slots().all(|(_, slot)| stays(slot.state.kind())), "open, though cancelled");
        }

        let parked = ledger.steps.iter().any(|entry| entry.parked);
        let wanted: BTreeSet<&Arc<Hold>> =
            ledger.steps.iter().filter(|entry| entry.parked).flat_map(|entry| &entry.parked_for).collect();
        let in_line = ledger.lacks().filter(|(_, waits)| *waits).map(|(hold, _)| hold);
        // Whoever stands in a line is there to begin what waits.
        let wanted = in_line.into_iter().chain(wanted);
        let wanted = wanted.filter(|_| ledger.is_willing() && ledger.driver.is_some());
        let held: Vec<_> = self.state.held().iter().cloned().collect();
        let inside = ledger.door.iter().filter(|(_, door)| *door == Door::Inside).map(|(hold, _)| hold);
        assert!(held.iter().eq(inside), "what the run itself holds");
        assert!(self.state.wanted_holds().eq(wanted), "the places that the run waits for");

        let wake = wake_at(&self.state);
        if ledger.ended.is_some() {
            assert_eq!((wake, effects.len()), (None, 0), "an ended run wants something");
        } else if (parked || in_line.is_some()) && ledger.is_willing() {
            assert!(wake.is_some_and(|wake| wake <= self.now), "whoever is there has to stand in the line");
            assert!(!self.state.is_blocked(), "a place that it is given moves it");
        } else if effects.is_empty() {
            assert_eq!(wake, ledger.next_timer(), "when to look again");
            if wake.is_none() {
                let away = self.away().next().is_some();
                assert!(
                    !away || !self.state.is_blocked(),
                    "what is executed elsewhere is no person's to move"
                );
                let waits = ledger.intent == Intent::Pause || self.state.is_blocked();
                assert!(away || waits, "nobody moves the run");
            }
        } else {
            assert!(wake.is_some_and(|wake| wake <= self.now), "the run is due at once");
            assert!(!self.state.is_blocked() || ledger.intent != Intent::Proceed, "blocked, with work to do");
        }
    }

    /// The state is a fold of the log, and of the log as it is stored.
    pub(crate) fn check_fold(&self) {
        let fresh = || RunState::new(self.state.run(), self.workflow.clone(), self.plan.clone());
        let mut folded = fresh();
        fold(&mut folded, &self.log).expect("a log that was written");
        assert_eq!(View::of(&folded), View::of(&self.state));
        let stored: Vec<Recorded> = self
            .log
            .iter()
            .map(|recorded| {
                let body = recorded.event.body().expect("every event can be encoded");
                let event = Event::read(recorded.event.kind(), &body).expect("what was written can be read");
                assert_eq!(event, recorded.event, "{body}");
                Recorded { event, ..recorded.clone() }
            })
            .collect();
        let mut loaded = fresh();
        fold(&mut loaded, &stored).expect("a log that was read");
        assert_eq!(View::of(&loaded), View::of(&self.state));
    }

    /// Who begins something: the driver, where there is one; now and then the owner in that place all the same.
    pub(crate) fn beginner(&self, place: u8) -> OwnerId {
        let driver = self.ledger.driver.filter(|_| place < 224).map(|driver| driver.owner);
        driver.unwrap_or_else(|| self.owner(place))
    }

    /// A begin of a step by the driver, or by the owner in a place. The request differs with time: the first of a generation counts.
    pub(crate) fn begin(&self, step: StepIx, place: u8) -> Begin {
        let effect = self.shapes.get(step.index()).map_or(EffectClass::Pure, |shape| shape.effect);
        Begin {
            owner: self.beginner(place),
            request: value(self.now.as_millis() as u64),
            effect,
            decision: DecisionId::from_uuid(Uuid::from_u128(5)),
            holds: (0..self.now.as_millis() % 3).map(|nth| hold(place.wrapping_add(2 * nth as u8))).collect(),
        }
    }

    /// Everyone does what is asked of them, until the run has ended. Panics if that takes too long.
    pub(crate) fn settle(&mut self) {
        for _ in 0..self.shapes.len() * 20 + 20 {
            if self.ledger.ended.is_some() {
                return;
            }
            let command = match outstanding(&self.state).first() {
                Some(effect) => self.serve(*effect),
                None if self.ledger.is_willing() && self.ledger.lacks().is_some_and(|(_, waits)| waits) => {
                    Command::Enter { owner: self.beginner(0) }
                }
                None if self.ledger.proceeds() && self.given().is_some() => self.given().expect("as it was"),
                None => match wake_at(&self.state) {
                    Some(due) => {
                        self.now = self.now.max(due);
                        Command::Wake
                    }
                    None => self.help(),
                },
            };
            self.say(command).expect("what is asked for is accepted");
        }
        panic!("the run does not end: {:#?}", View::of(&self.state));
    }

    /// What serves an effect well.
    pub(crate) fn serve(&self, effect: Effect) -> Command {
        match effect {
            Effect::Enter => Command::Enter { owner: self.beginner(0) },
            Effect::Prepare(step) if !self.ledger.may_begin(step.step) => {
                Command::Prepared { step, verdict: Prepared::Skip }
            }
            Effect::Prepare(step) => {
                Command::Prepared { step, verdict: Prepared::Begin(self.begin(step.step, 0)) }
            }
            Effect::Continue(step) => Command::Continue { step, owner: self.beginner(0) },
            Effect::Withdraw { step, epoch } => self.claims.withdraw(&self.state, step, epoch),
            Effect::Execute { step, attempt, fence } => {
                Command::Finish { step, attempt, fence, outcome: Finished::Succeeded(value(7)) }
            }
            Effect::Stop(step) => match self.ledger.place(step.step) {
                Some(Place::Running(Right { attempt, fence, .. })) => {
                    Command::Finish { step, attempt: *attempt, fence: *fence, outcome: Finished::Interrupted }
                }
                other => panic!("asked to stop s{step:?} in {other:?}"),
            },
            Effect::Conclude => Command::Conclude(Ok(value(8))),
            other => panic!("unheard of: {other:?}"),
        }
    }

    /// What follows where the first that waits for a place was given one.
    fn given(&self) -> Option<Command> {
        let step = self.plan.steps().find(|step| self.ledger.steps[step.index()].parked)?;
        Some(match self.ledger.place(step) {
            Some(Place::Arrived) => self.serve(Effect::Continue(step.into())),
            _ => self.serve(Effect::Prepare(step.into())),
        })
    }

    /// What an outsider does for a run that only an outsider can move.
    fn help(&self) -> Command {
        if self.ledger.intent == Intent::Pause {
            return Command::Resume(asked());
        }
        let open = self.plan.steps().find_map(|step| match self.ledger.place(step)? {
            Place::Offered { epoch, .. } if self.shapes[step.index()].task => {
                Some(self.claim_task(step, *epoch, self.owner(1)))
            }
            Place::Offered { attempt, epoch } => Some(self.claimed(step).unwrap_or(Command::Claimed {
                step: step.into(),
                attempt: *attempt,
                fence: fence(*epoch, self.owner(1)),
                at: self.now,
            })),
            Place::Running(Right { attempt, fence, .. }) => {
                let outcome = Finished::Succeeded(value(7));
                Some(Command::Finish { step: step.into(), attempt: *attempt, fence: *fence, outcome })
            }
            Place::Unknown { .. } | Place::Quarantined => {
                Some(Command::Resolve { step: step.into(), applied: Some(value(9)), asked: asked() })
            }
            Place::Waiting { on: WaitOn::Signal { name }, .. } => {
                Some(Command::Signal { name: name.clone(), data: value(6), asked: asked() })
            }
            Place::Waiting { on: WaitOn::Qa { .. }, .. } => Some(judge(step, None, true)),
            Place::Waiting { .. } => Some(approve(step, None, true)),
            _ => None,
        });
        open.expect("someone can move the run")
    }

    /// What is executed elsewhere, or offered for that.
    fn away(&self) -> impl Iterator<Item = StepIx> {
        self.plan.steps().filter(|step| match self.ledger.place(*step) {
            // A task waits for somebody from outside.
            Some(Place::Offered { .. }) => !self.shapes[step.index()].task,
            Some(Place::Running(_)) => self.ledger.steps[step.index()].remote,
            _ => false,
        })
    }

    /// Somebody claims what is offered of a step, if nobody has: the log learns nothing of that.
    pub(crate) fn claim(&mut self, step: StepIx, owner: OwnerId) {
        self.claims.claim(&self.state, step.into(), owner, self.now);
    }

    /// Somebody from outside claims a task under this right.
    pub(crate) fn claim_task(&self, step: StepIx, epoch: u64, owner: OwnerId) -> Command {
        Command::Claim { step: step.into(), fence: fence(epoch, owner) }
    }

    /// What the store says of an offer that somebody has claimed.
    pub(crate) fn claimed(&self, step: StepIx) -> Option<Command> {
        self.claims.told(&self.state, step.into())
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }
}

/// A place under one of two keys, or one of two sets of paths.
pub(crate) fn hold(number: u8) -> Arc<Hold> {
    Arc::new(match number % 4 {
        place @ 0..2 => Hold::place(&format!("key {place}"), 2),
        paths => Hold::paths("site", Paths::new(&[], &[format!("folder {paths}")]).expect("this is a path")),
    })
}

/// What needs a judgement.
pub(crate) fn qa(number: u8, then: OnExpiry) -> WaitOn {
    let (digest, message) = (Digest::of(&[number]), "is it good?".into());
    WaitOn::Qa { digest, message, show: value(1), output: value(20 + u64::from(number)), then }
}

/// A judgement.
pub(crate) fn judge(step: StepIx, digest: Option<Digest>, passed: bool) -> Command {
    Command::Judge(Judge { step: step.into(), digest, passed, asked: asked(), via: "cli".into() })
}

/// The name of a signal.
pub(crate) fn signal_name(number: u8) -> Arc<str> {
    format!("signal {number}").into()
}

/// A signal.
pub(crate) fn signal(name: u8, data: u64) -> Command {
    Command::Signal { name: signal_name(name), data: value(data), asked: asked() }
}

/// A decision.
pub(crate) fn approve(step: StepIx, digest: Option<Digest>, approved: bool) -> Command {
    Command::Decide(Decide { step: step.into(), digest, approved, asked: asked(), via: "cli".into() })
}

/// The same decision as what arrives.
pub(crate) fn decided(approved: bool) -> Arrival {
    let Asked { by, reason } = asked();
    Arrival::Decision { approved, by, via: "cli".into(), comment: reason }
}

/// The fence of an owner.
pub(crate) fn fence(epoch: u64, owner: OwnerId) -> Fence {
    Fence { epoch, owner }
}
