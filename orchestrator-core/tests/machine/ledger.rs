//! An account of a run kept from its events alone, by simple rules that share no code with the machine. It panics at
//! the first event that breaks a promise.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use orchestrator_core::id::{OwnerId, StepIx};
use orchestrator_core::machine::{
    AfterLoss, Arrival, Ending, Event, Fence, Hold, Holds, Intent, Recorded, Signal, SkipReason, StepArrived,
    StepClaimed, StepOffered, WaitOn,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, OnExpiry};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};

use crate::flow::Shape;

/// After so many losses a step is not begun again unasked.
const MAX_CRASHES: u32 = 3;

/// The right to execute an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) step: StepIx,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    Open,
    Offered { attempt: u32, epoch: u64 },
    Running(Right),
    Backoff(Timestamp),
    Waiting { attempt: u32, on: WaitOn, until: Option<Timestamp> },
    Arrived,
    Unknown { lost: bool },
    Quarantined,
    Ended(End),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

/// What is known of a step.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) granted: Option<Digest>,
    pub(crate) shape: Shape,
    pub(crate) attempts: u32,
    pub(crate) epoch: u64,
    pub(crate) effect: Option<EffectClass>,
    /// Whether the latest right was claimed by whoever executes steps elsewhere.
    pub(crate) remote: bool,
    arrival: Option<Arrival>,
    since: Timestamp,
    /// What a judge has said of an earlier attempt.
    pub(crate) feedback: Option<Arc<str>>,
    /// What was just judged, and whether it passed: the step's end follows.
    verdict: Option<bool>,
    pub(crate) request: Option<ValueRef>,
    /// The place under a key that the latest attempt has taken, or waits for.
    pub(crate) holds: Holds,
    /// What it waits for, if it is parked.
    pub(crate) parked_for: Option<Arc<Hold>>,
    /// Whether it waits for that.
    pub(crate) parked: bool,
    begun: u32,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    forgiven: u32,
}

/// Where a run is that needs a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Outside,
    InLine,
    Inside,
}

/// The account.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) steps: Vec<Entry>,
    pub(crate) intent: Intent,
    pub(crate) ended: Option<Ending>,
    pub(crate) driver: Option<Fence>,
    pub(crate) rights: Vec<Right>,
    pub(crate) generation: u32,
    /// The signals that nobody has taken, in the order in which they came.
    pub(crate) signals: VecDeque<Signal>,
    /// How many signals were given, and how many were taken.
    pub(crate) given: usize,
    pub(crate) taken: usize,
    /// The steps that wait for a signal, the one that has waited longest first.
    pub(crate) listening: Vec<StepIx>,
    /// When the run is to begin, until that time has come.
    pub(crate) not_before: Option<Timestamp>,
    /// The place that the run needs before anything of it begins, and whether it has that.
    pub(crate) door: Option<(Arc<Hold>, Door)>,
    seq: u64,
    driver_epoch: u64,
}

impl Ledger {
    pub(crate) fn new(shapes: &[Shape]) -> Self {
        let entry = |shape: &Shape| Entry {
            place: Place::Open,
            granted: None,
            shape: shape.clone(),
            attempts: 0,
            epoch: 0,
            effect: None,
            remote: false,
            arrival: None,
            since: Timestamp::default(),
            feedback: None,
            verdict: None,
            request: None,
            holds: Holds::default(),
            parked_for: None,
            parked: false,
            begun: 0,
            failures: 0,
            losses: 0,
            forgiven: 0,
        };
        Self {
            steps: shapes.iter().map(entry).collect(),
            intent: Intent::Proceed,
            ended: None,
            driver: None,
            rights: Vec::new(),
            generation: 1,
            signals: VecDeque::new(),
            given: 0,
            taken: 0,
            listening: Vec::new(),
            not_before: None,
            door: None,
            seq: 0,
            driver_epoch: 0,
        }
    }

    pub(crate) fn place(&self, step: StepIx) -> Option<&Place> {
        self.steps.get(step.index()).map(|entry| &entry.place)
    }

    /// Whether something may begin.
    pub(crate) fn proceeds(&self) -> bool {
        self.is_willing() && self.door.as_ref().is_none_or(|(_, door)| *door == Door::Inside)
    }

    /// Whether something may begin as soon as the run has its place.
    pub(crate) fn is_willing(&self) -> bool {
        self.ended.is_none() && self.intent == Intent::Proceed && self.not_before.is_none()
    }

    /// The place that the run needs and does not have, and whether it waits for that.
    pub(crate) fn lacks(&self) -> Option<(&Arc<Hold>, bool)> {
        let (hold, door) = self.door.as_ref()?;
        (*door != Door::Inside).then_some((hold, *door == Door::InLine))
    }

    /// Whether an owner may begin something: nobody else drives the run.
    pub(crate) fn may_be_moved_by(&self, owner: OwnerId) -> bool {
        self.driver.is_none_or(|driver| driver.owner == owner)
    }

    /// Whether a step can be prepared: its needs have ended, and nothing holds it.
    pub(crate) fn is_ready(&self, step: StepIx) -> bool {
        self.place(step) == Some(&Place::Open) && self.needs(step).all(|need| matches!(need, Place::Ended(_)))
    }

    /// Whether all a step needs has succeeded.
    pub(crate) fn has_its_needs(&self, step: StepIx) -> bool {
        self.needs(step).all(|need| *need == Place::Ended(End::Succeeded))
    }

    /// Whether a step may begin with its needs as they have ended.
    pub(crate) fn may_begin(&self, step: StepIx) -> bool {
        self.steps[step.index()].shape.judges || self.has_its_needs(step)
    }

    /// Whether a step that this one depends on, directly or not, has failed.
    pub(crate) fn has_failed_above(&self, step: StepIx) -> bool {
        self.steps[step.index()].shape.needs.iter().any(|need| {
            self.steps[*need as usize].place == Place::Ended(End::Failed)
                || self.has_failed_above(StepIx(*need))
        })
    }

    fn needs(&self, step: StepIx) -> impl Iterator<Item = &Place> {
        self.steps[step.index()].shape.needs.iter().map(|need| &self.steps[*need as usize].place)
    }

    /// Whether the run can be ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.steps.iter().all(|entry| match entry.place {
            Place::Ended(_) => true,
            Place::Unknown { .. } => self.intent == Intent::Cancel,
            _ => false,
        })
    }

    /// When the next timer falls due.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        let timers = self.steps.iter().filter_map(|entry| match &entry.place {
            Place::Backoff(until) => Some(*until),
            Place::Waiting { until, .. } => *until,
            _ => None,
        });
        timers.chain(self.not_before).min()
    }

    /// Takes note of an event.
    pub(crate) fn note(&mut self, recorded: &Recorded) {
        self.seq += 1;
        assert_eq!(recorded.seq, self.seq, "event numbers have no gaps");
        let event = &recorded.event;
        let reopens = matches!(event, Event::RunReopened(_));
        assert_eq!(
            self.ended.is_some(),
            reopens,
            "`{}`: only an ended run is reopened, and nothing else",
            event.kind()
        );
        match event.unit().map(|unit| unit.step) {
            Some(step) => {
                self.note_signal(step, event, recorded.at);
                self.note_step(step, event, recorded.at);
                self.listening.retain(|of| *of != step);
                if let Some(Place::Waiting { on: WaitOn::Signal { .. }, .. }) = self.place(step) {
                    self.listening.push(step);
                }
            }
            None => self.note_run(event, recorded.at),
        }
    }

    /// A signal is taken in its turn, by the step whose turn it is.
    fn note_signal(&mut self, step: StepIx, event: &Event, at: Timestamp) {
        let Event::StepArrived(StepArrived { arrival: Arrival::Signal(signal), .. }) = event else { return };
        let oldest = self.signals.iter().position(|kept| kept.name == signal.name);
        let oldest = oldest.and_then(|oldest| self.signals.remove(oldest));
        assert_eq!(
            oldest.as_ref(),
            Some(signal),
            "a signal is taken once, and in the order in which it came"
        );
        self.taken += 1;
        // One that is there when a step begins to wait is in time, however short the wait would be.
        let in_time = self.steps[step.index()].since == at && self.listening.last() == Some(&step);
        let next = self.next_to_take(&signal.name, at).or(in_time.then_some(step));
        assert_eq!(next, Some(step), "another step has waited longer");
    }

    /// The step that has waited longest for a signal, and whose time is not over. Steps that began to wait in the same
    /// moment go in the order of the text.
    pub(crate) fn next_to_take(&self, wanted: &str, now: Timestamp) -> Option<StepIx> {
        let open = self.listening.iter().copied().filter(|step| match self.place(*step) {
            Some(Place::Waiting { on: WaitOn::Signal { name }, until, .. }) => {
                **name == *wanted && until.is_none_or(|until| until > now)
            }
            _ => false,
        });
        open.min_by_key(|step| (self.steps[step.index()].since, *step))
    }

    fn note_run(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunCreated(created) => {
                assert_eq!(self.seq, 1);
                self.not_before = created.not_before;
                self.door = created.place.clone().map(|hold| (hold, Door::Outside));
            }
            Event::RunParked(parked) => {
                assert!(self.is_willing(), "waits for its place while nothing of it may begin");
                assert_eq!(self.lacks(), Some((&parked.hold, false)), "it waits once, for its place");
                self.go(Door::InLine);
            }
            Event::RunEntered(_) => {
                assert!(self.is_willing(), "takes its place while nothing of it may begin");
                assert!(self.lacks().is_some(), "takes a place that it needs, and takes it once");
                self.go(Door::Inside);
            }
            Event::RunDue(falls) => {
                let due = self.not_before.take().expect("it was put off");
                assert!(due <= at || falls.by.is_some(), "due at {at}, put off to {due:?}");
            }
            Event::DriverTaken(taken) => {
                assert!(taken.epoch > self.driver_epoch, "driver epochs increase");
                self.driver_epoch = taken.epoch;
                self.driver = Some(Fence { epoch: taken.epoch, owner: taken.owner });
            }
            Event::DriverReleased(released) => {
                let fence = Fence { epoch: released.epoch, owner: released.owner };
                assert_eq!(self.driver, Some(fence), "only the driver lets go");
                self.driver = None;
            }
            Event::IntentChanged(changed) => {
                assert_ne!(self.intent, Intent::Cancel, "nothing is wanted of a cancelled run");
                assert_ne!(self.intent, changed.intent, "a repeated wish is no event");
                self.intent = changed.intent;
                if self.intent == Intent::Cancel {
                    self.not_before = None;
                }
            }
            Event::RunSignalled(event) => {
                assert_ne!(self.intent, Intent::Cancel, "nobody waits in a cancelled run");
                let (name, data, by) = (event.name.clone(), event.data.clone(), event.by.clone());
                self.signals.push_back(Signal { name, data, by, at });
                self.given += 1;
            }
            Event::RunEnded(ended) => {
                assert!(self.is_settled(), "the run ended with open steps");
                // What is turned away has not begun anything, and nobody has cancelled it.
                let turned_away = self.is_willing() && self.lacks().is_some();
                let status = if turned_away { Ending::Failed } else { self.ending(ended.outputs.is_some()) };
                assert_eq!(ended.status, status);
                self.go(Door::Outside);
                assert_eq!(ended.error.is_some(), ended.status == Ending::Failed);
                self.ended = Some(ended.status);
                self.driver = None;
            }
            Event::RunReopened(reopened) => {
                self.generation += 1;
                assert_eq!(reopened.generation, self.generation);
                let steps: Vec<StepIx> = reopened.steps.iter().map(|unit| unit.step).collect();
                self.reopen(&steps);
            }
            other => panic!("`{}` is not of the run", other.kind()),
        }
    }

    fn go(&mut self, to: Door) {
        self.door.iter_mut().for_each(|(_, door)| *door = to);
    }

    fn ending(&self, outputs: bool) -> Ending {
        let any = |wanted: End| self.steps.iter().any(|entry| entry.place == Place::Ended(wanted));
        let unknown = self.steps.iter().any(|entry| matches!(entry.place, Place::Unknown { .. }));
        let stopped = unknown || any(End::Cancelled);
        match () {
            () if stopped && self.intent == Intent::Cancel => Ending::Cancelled,
            () if any(End::Failed) => Ending::Failed,
            () if stopped => Ending::Cancelled,
            () if outputs => Ending::Completed,
            () => Ending::Failed,
        }
    }

    fn reopen(&mut self, steps: &[StepIx]) {
        let again: BTreeSet<u32> = steps.iter().map(|step| step.0).collect();
        assert_eq!(again.len(), steps.len(), "a step is reopened once");
        for (ix, entry) in self.steps.iter_mut().enumerate() {
            let needs_one = entry.shape.needs.iter().any(|need| again.contains(need));
            assert!(!needs_one || again.contains(&(ix as u32)), "s{ix} needs a reopened step, but is not");
            if again.contains(&(ix as u32)) {
                assert!(matches!(entry.place, Place::Ended(_)), "s{ix} is reopened from {:?}", entry.place);
                entry.place = Place::Open;
                entry.request = None;
                entry.holds = Holds::default();
                entry.arrival = None;
                entry.feedback = None;
                entry.granted = None;
                (entry.begun, entry.failures, entry.losses, entry.forgiven) = (0, 0, 0, 0);
            }
        }
        self.intent = Intent::Proceed;
        self.ended = None;
    }

    fn note_step(&mut self, step: StepIx, event: &Event, at: Timestamp) {
        let place = self.steps[step.index()].place.clone();
        assert!(!matches!(place, Place::Ended(_)), "`{}` after s{} has ended", event.kind(), step.0);
        if let (
            Some(attempt),
            Place::Running(Right { attempt: current, .. }) | Place::Offered { attempt: current, .. },
        ) = (event.attempt(), &place)
        {
            assert_eq!(attempt, *current, "`{}` speaks of another attempt", event.kind());
        }
        let before = Before {
            place,
            at,
            ready: self.is_ready(step),
            may_begin: self.may_begin(step),
            proceeds: self.proceeds(),
            cancelling: self.intent == Intent::Cancel,
            // It is being turned away, and ends at once.
            lacks_a_place: self.is_willing() && self.lacks().is_some(),
        };
        let entry = &mut self.steps[step.index()];
        // Whatever else happens to it, it waits for a place no longer.
        entry.parked = false;
        entry.place = match event {
            Event::StepParked(parked) => {
                assert!(before.proceeds, "parked while the run is held");
                assert!(before.ready || before.place == Place::Arrived, "parked in {:?}", before.place);
                (entry.parked, entry.parked_for) = (true, Some(parked.hold.clone()));
                before.place
            }
            Event::StepBegun(_) | Event::StepContinued(_) => {
                let right = entry.run(&before, event);
                self.rights.push(right);
                Place::Running(right)
            }
            Event::StepClaimed(claimed) => {
                let right = entry.claim(&before, claimed);
                self.rights.push(right);
                Place::Running(right)
            }
            Event::StepOffered(offered) => entry.offer(&before, offered),
            Event::StepSucceeded(_)
            | Event::StepFailed(_)
            | Event::StepLost(_)
            | Event::StepOutcomeUnknown(_)
            | Event::StepInterrupted(_)
            | Event::StepWaiting(_) => entry.stop(&before, event),
            other => entry.stand(&before, other),
        };
    }
}

/// How things were before an event.
struct Before {
    place: Place,
    at: Timestamp,
    ready: bool,
    may_begin: bool,
    proceeds: bool,
    cancelling: bool,
    lacks_a_place: bool,
}

impl Before {
    fn runs(&self) -> bool {
        matches!(self.place, Place::Running(_))
    }
}

impl Entry {
    /// An attempt is offered. What holds of one that begins holds of it too: somebody may execute it at any moment from here on.
    fn offer(&mut self, before: &Before, offered: &StepOffered) -> Place {
        assert!(before.proceeds, "offered while the run is held");
        if before.place == Place::Arrived {
            assert_eq!(
                (offered.attempt, offered.decision),
                (self.attempts, None),
                "the same attempt goes on"
            );
            assert_eq!((self.effect, &self.request), (Some(offered.effect), &Some(offered.request.clone())));
        } else {
            assert!(before.ready && before.may_begin, "s{} was offered too early", offered.step.step.0);
            assert!(offered.decision.is_some(), "nobody has judged it");
            self.begin(offered.attempt, offered.effect, &offered.request);
        }
        assert!(offered.epoch > self.epoch, "epochs increase");
        assert_eq!(offered.task, self.shape.task, "whether it is a task");
        self.holds.clone_from(&offered.holds);
        self.epoch = offered.epoch;
        Place::Offered { attempt: offered.attempt, epoch: offered.epoch }
    }

    /// An attempt is executed by whoever has claimed it. That is so whatever has become of the run; but a task is claimed only
    /// while the run goes on.
    fn claim(&mut self, before: &Before, claimed: &StepClaimed) -> Right {
        let offered = Place::Offered { attempt: claimed.attempt, epoch: claimed.epoch };
        assert_eq!(before.place, offered, "claimed what is not offered");
        assert!(claimed.claimed_at <= before.at, "claimed in the future");
        assert!(before.proceeds || !self.shape.task, "a task was claimed while the run is held");
        self.remote = true;
        let fence = Fence { epoch: claimed.epoch, owner: claimed.owner };
        Right { step: claimed.step.step, attempt: claimed.attempt, fence }
    }

    /// An attempt is executed from here on.
    fn run(&mut self, before: &Before, event: &Event) -> Right {
        assert!(before.proceeds, "`{}` while the run is held", event.kind());
        let (step, attempt, fence) = match event {
            Event::StepBegun(begun) => {
                assert!(before.ready && before.may_begin, "s{} began too early", begun.step.step.0);
                self.begin(begun.attempt, begun.effect, &begun.request);
                self.holds.clone_from(&begun.holds);
                (begun.step, begun.attempt, Fence { epoch: begun.epoch, owner: begun.owner })
            }
            Event::StepContinued(continued) => {
                assert_eq!(before.place, Place::Arrived, "s{} went on", continued.step.step.0);
                assert_eq!(continued.attempt, self.attempts, "the same attempt goes on");
                let fence = Fence { epoch: continued.epoch, owner: continued.owner };
                (continued.step, continued.attempt, fence)
            }
            other => panic!("`{}` begins nothing", other.kind()),
        };
        assert!(fence.epoch > self.epoch, "epochs increase");
        self.epoch = fence.epoch;
        self.remote = false;
        Right { step: step.step, attempt, fence }
    }

    /// An attempt is executed no longer.
    fn stop(&mut self, before: &Before, event: &Event) -> Place {
        let Before { place, cancelling, .. } = before;
        if let Event::StepFailed(failed) = event
            && failed.error.class == ErrorClass::Evidence
        {
            self.feedback = Some(failed.error.message.clone());
        }
        match event {
            Event::StepSucceeded(succeeded) => {
                match place {
                    Place::Waiting { on: WaitOn::Qa { output, .. }, .. } => {
                        assert_eq!(self.verdict.take(), Some(true), "counted without a judgement");
                        assert_eq!(*output, succeeded.output, "what was judged is what it gave");
                    }
                    _ => assert!(before.runs(), "succeeded in {place:?}"),
                }
                Place::Ended(End::Succeeded)
            }
            Event::StepFailed(failed) => match failed.retry_at {
                Some(until) => {
                    let judged = self.verdict.take() == Some(false);
                    assert!((before.runs() || judged) && !cancelling, "to be retried in {place:?}");
                    assert!(self.shape.retry.is_some(), "nobody wrote `retry`");
                    assert!(until >= before.at, "to be retried in the past");
                    self.failures += 1;
                    self.arrival = None;
                    Place::Backoff(until)
                }
                None => {
                    self.verdict = None;
                    let begun = match place {
                        Place::Running(right) => right.attempt,
                        Place::Waiting { attempt, .. } => *attempt,
                        _ if before.ready => 0,
                        other => panic!("failed in {other:?}"),
                    };
                    assert_eq!(failed.attempt, begun);
                    Place::Ended(End::Failed)
                }
            },
            Event::StepLost(lost) => self.lose(place, lost.owner, lost.then, *cancelling),
            Event::StepOutcomeUnknown(_) => {
                assert!(before.runs(), "unknown in {place:?}");
                assert_eq!(self.effect, Some(EffectClass::AtMostOnce), "others are simply run again");
                self.arrival = None;
                Place::Unknown { lost: false }
            }
            Event::StepInterrupted(_) => {
                assert!(before.runs() && !cancelling, "interrupted in {place:?}");
                self.forgiven += 1;
                self.again()
            }
            Event::StepWaiting(waiting) => {
                assert_ne!((&waiting.on, waiting.until), (&WaitOn::Until, None), "waits for nothing");
                match waiting.attempt {
                    0 => {
                        let may_ask = before.ready && before.may_begin && before.proceeds;
                        assert!(may_ask, "asked in {place:?}");
                        self.granted = None;
                    }
                    _ => assert!(before.runs() && !cancelling, "waits in {place:?}"),
                }
                self.arrival = None;
                self.since = before.at;
                let (attempt, on, until) = (waiting.attempt, waiting.on.clone(), waiting.until);
                Place::Waiting { attempt, on, until }
            }
            other => panic!("`{}` stops nothing", other.kind()),
        }
    }

    /// Something happens to a step that is not executed.
    fn stand(&mut self, before: &Before, event: &Event) -> Place {
        let Before { place, at, .. } = before;
        match event {
            Event::StepArrived(arrived) => self.arrive(place, arrived.attempt, &arrived.arrival, *at),
            Event::StepJudged(judged) => {
                let Place::Waiting { on: WaitOn::Qa { then, .. }, until, .. } = place else {
                    panic!("judged in {place:?}")
                };
                let expired = until.is_some_and(|until| until <= *at);
                assert_eq!(expired, judged.by.is_none(), "a person judges in time, or nobody does");
                if expired {
                    assert_eq!(judged.passed, *then == OnExpiry::Approve, "what silence means");
                    assert_ne!(*then, OnExpiry::Fail);
                }
                if !judged.passed {
                    self.feedback = judged.comment.clone();
                }
                self.verdict = Some(judged.passed);
                place.clone()
            }
            Event::StepWithdrawn(withdrawn) => {
                let offered = Place::Offered { attempt: withdrawn.attempt, epoch: withdrawn.epoch };
                assert_eq!(*place, offered, "withdrawn, and not offered");
                self.forgiven += 1;
                self.again()
            }
            Event::StepDue(_) => {
                assert!(matches!(place, Place::Backoff(until) if until <= at), "due in {place:?} at {at}");
                Place::Open
            }
            Event::StepSkipped(skipped) => {
                assert!(before.ready && before.proceeds, "skipped in {place:?}");
                assert_eq!(skipped.reason == SkipReason::Condition, before.may_begin);
                Place::Ended(End::Skipped)
            }
            Event::StepCancelled(_) => {
                let unknown = matches!(place, Place::Unknown { .. });
                assert!((before.cancelling || before.lacks_a_place) && !unknown, "cancelled in {place:?}");
                Place::Ended(End::Cancelled)
            }
            Event::StepResolved(resolved) => {
                let lost = match place {
                    Place::Unknown { lost } => *lost,
                    Place::Quarantined => true,
                    other => panic!("resolved in {other:?}"),
                };
                if resolved.output.is_some() {
                    self.arrival = None;
                    return Place::Ended(End::Succeeded);
                }
                self.losses -= u32::from(lost);
                self.forgiven += 1;
                self.again()
            }
            other => panic!("`{}` is not of a step", other.kind()),
        }
    }

    fn begin(&mut self, attempt: u32, effect: EffectClass, request: &ValueRef) {
        self.attempts += 1;
        assert_eq!(attempt, self.attempts, "attempts count 1, 2, 3 for ever");
        self.effect = Some(effect);
        assert_eq!(self.arrival, None, "what had arrived was thrown away");
        let first = self.request.get_or_insert_with(|| request.clone());
        assert_eq!(first, request, "every attempt of a generation sends the same bytes");
        assert!(self.losses < MAX_CRASHES, "begun again after {} losses", self.losses);
        self.begun += 1;
        let bound = match &self.shape.retry {
            Some(policy) => {
                assert!(self.failures + self.losses < policy.max_attempts, "no attempt is left");
                policy.max_attempts
            }
            None => {
                assert_eq!(self.failures, 0, "nobody wrote `retry`");
                MAX_CRASHES
            }
        };
        assert!(self.begun <= bound + self.forgiven, "{} attempts, {bound} allowed", self.begun);
    }

    /// A continued attempt goes on with what had arrived; any other begins anew.
    fn again(&self) -> Place {
        if self.arrival.is_some() { Place::Arrived } else { Place::Open }
    }

    fn lose(&mut self, place: &Place, owner: OwnerId, then: AfterLoss, cancelling: bool) -> Place {
        assert!(matches!(place, Place::Running(right) if right.fence.owner == owner), "lost in {place:?}");
        self.losses += 1;
        let used_up = self
            .shape
            .retry
            .as_ref()
            .is_some_and(|policy| self.failures + self.losses >= policy.max_attempts);
        let expected = match () {
            () if self.effect == Some(EffectClass::AtMostOnce) => AfterLoss::Unknown,
            () if cancelling => AfterLoss::Cancel,
            () if used_up => AfterLoss::Fail,
            () if self.losses >= MAX_CRASHES => AfterLoss::Quarantine,
            () => AfterLoss::Again,
        };
        assert_eq!(then, expected);
        if !matches!(then, AfterLoss::Again | AfterLoss::Quarantine) {
            self.arrival = None;
        }
        match then {
            AfterLoss::Again => self.again(),
            AfterLoss::Unknown => Place::Unknown { lost: true },
            AfterLoss::Quarantine => Place::Quarantined,
            AfterLoss::Fail => Place::Ended(End::Failed),
            AfterLoss::Cancel => Place::Ended(End::Cancelled),
            other => panic!("unheard of: {other:?}"),
        }
    }

    fn arrive(&mut self, place: &Place, attempt: u32, arrival: &Arrival, at: Timestamp) -> Place {
        let Place::Waiting { attempt: waiting, on, until } = place else {
            panic!("{arrival:?} arrived in {place:?}")
        };
        assert_eq!(attempt, *waiting);
        let expired = until.is_some_and(|until| until <= at);
        match (on, arrival) {
            (WaitOn::Until, Arrival::Due) => assert!(expired, "due too early"),
            (WaitOn::Approval { then, .. }, Arrival::Expired { then: became }) => {
                assert!(expired && then == became && attempt > 0);
            }
            (WaitOn::Approval { digest, .. }, Arrival::Decision { approved, .. }) => {
                assert!(!expired, "decided too late");
                if attempt == 0 && *approved {
                    self.granted = Some(*digest);
                }
            }
            // Whether it is in turn is looked at before.
            (WaitOn::Signal { name }, Arrival::Signal(signal)) => assert_eq!(*name, signal.name),
            _ => panic!("{arrival:?} arrived, waited for was {on:?}"),
        }
        if attempt == 0 {
            return Place::Open;
        }
        self.arrival = Some(arrival.clone());
        Place::Arrived
    }

    /// What has arrived for the attempt that is to go on.
    pub(crate) fn arrival(&self) -> Option<&Arrival> {
        self.arrival.as_ref()
    }
}
